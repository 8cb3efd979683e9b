// Package sshpool runs commands on many hosts over few SSH connections: one per
// host, opened once, shared by every caller and kept alive in the background.
//
//	pool, err := sshpool.New(sshpool.Config{
//		Hosts: map[string]sshpool.Host{
//			"nexus":   {Address: "192.0.2.11", User: "ops"},
//			"outpost": {Alias: "outpost"}, // everything from ~/.ssh/config
//		},
//	})
//	defer pool.Shutdown(ctx)
//	result, err := pool.Run(ctx, "nexus", sshpool.Command{Script: "docker ps", Shell: "/bin/sh"})
//
// # What it guarantees
//
//   - One connection per host, however many callers come first at the same
//     instant: they share one dial, and one that gives up does not take it away
//     from the others. A second connection needs Config.MaxConnections.
//   - Nothing is sent before a command on an open connection. Whether it still
//     lives is found out in the background.
//   - On a warm line a command costs one round trip; see "Spare sessions".
//   - Three clocks, each with its own error: waiting for a session (QueueTimeout),
//     connecting with TCP, handshake and authentication (ConnectTimeout), and
//     running (RunTimeout). Run answers in bounded time on any kind of dead link.
//   - A command that provably did not start is tried once more; one that may have
//     started is never run again. Result.Outcome says which: Exited, Signaled,
//     TimedOut, NotStarted or Unknown.
//   - A timeout, an ended context and a Shutdown end the remote process; see "How
//     a command is ended". Result.Kill says whether the end was seen, and how. A
//     process that may still run keeps its session slot.
//   - Run returns when the command exits, not when a child in the background
//     closes the output; Result.OutputCut says that the end was not seen.
//   - Output is kept head and tail, bounded in bytes and marked where it was cut.
//     The remote side never waits for the caller. Command.OnOutput and OnLine
//     receive it as it comes.
//   - The number of sessions that a server allows is learned. A refused session
//     is asked for again on the same connection, whose other sessions go on.
//     Waiting is first in, first out.
//   - A command has any size: what does not fit into a request goes by standard
//     input. Standard input, environment, working directory and "sudo -n" add no
//     round trip.
//   - After a failed dial the host is left alone for a while, longer if a person
//     has to act (keys, accounts) or the server turned us away; callers get the
//     last error meanwhile. All hosts at one address together stay below the sum
//     for which OpenSSH bans a client (PerSourcePenalties).
//   - An unknown host key is refused unless the host says HostKeysAcceptNew; a
//     changed or revoked one always. known_hosts is read in all its forms.
//   - Jump hosts are connections of the same pool, shared by what is behind them.
//   - Small files are read, and replaced in one step, without SFTP: ReadFile,
//     WriteFile.
//   - Shutdown leaves no goroutine.
//
// # Spare sessions
//
// To open a session takes a round trip, and its command another. So up to
// Config.SpareSessions sessions are opened ahead, in the background, on a line
// that runs commands or is kept warm, and a command that finds one costs a single
// round trip. A command that finds none takes whichever session is opened first.
// The last two slots of the learned limit are left free, so that a server with
// MaxSessions 1 or 2 has no spare; where the server closes sessions that run
// nothing, or refuses them, they are given up for a while that grows; after 10
// minutes without a command one is left. While nothing runs, spares also find
// out whether the server allows more sessions than the limit, if the last use
// could have had use for them.
//
// They have one price. On a connection that died silently, less than a keepalive
// interval ago, a command without a spare waits for its session and is known not
// to have started. One with a spare was sent, and is reported as TimedOut or
// Unknown. A negative SpareSessions buys that back for a round trip.
//
// # How a command is ended
//
// TERM, which sudo passes on, a grace, KILL: as signal requests to the session's
// process group, each repeated until the server says that it was delivered. That
// does not reach what has a process group or a session of its own ("timeout" in a
// compound command, "set -m", setsid); and OpenSSH before 9.9 delivers nothing to
// sessions of root, nor any version to a forced command.
//
// So each process of a command with a Shell carries SSHPOOL_ID, a random mark, in
// its environment, and after the signals a small script for any POSIX shell, in a
// second session of the same connection, looks through /proc for what carries it,
// for what is in a session that such a process leads, and for what these have
// started, ends all that in the same way, and says what is left. With Command.Sudo
// it is root, too. Result.Kill counts what was found and is left. The look needs
// Linux, a free session and an account that is not bound to one command; where one
// of them is missing, the Note says so and Confirmed is about what was seen. Out of
// reach is a process that has both cleared its environment and left a session whose
// leader has ended; and, without Command.Sudo, a process of another user, which is
// counted as left if its session is known.
//
// A process on an OpenSSH server outlives its connection: what ran when it was
// lost may still run, and the outcome is Unknown.
//
// # Errors
//
// Every error of New and Run is an *Error with a Kind to branch on and a Hint of
// what to type next. "Started" says whether the command may have run:
//
//	Kind             started  what to do
//	config           no       correct the field or file that is named
//	unknown_host     no       Run was called with another name than Config.Hosts has
//	unreachable      no       the message holds what the server said first; see whether the port answers
//	host_key         no       compare the fingerprints that are named; remove an old key by hand
//	authentication   no       install one of the keys that are named, or name another
//	queue_timeout    no       run less at once; see HostStats.SessionLimit
//	connect_timeout  no       the message says what was being done
//	run_timeout      yes      look at Result.Kill, then at the host's state
//	canceled         see Outcome: the caller's context ended
//	refused          no       the server runs no commands for this account
//	file             no       the message says what is wrong with the file
//	lost             see Outcome: NotStarted may be run again; Unknown: look at the state first
//	closed           see Outcome: the pool is shut down
//	backoff          no       not dialled again yet; Err is the last dial's error
//
// # What it does not do
//
// It has no policy about what may run, asks no questions (no passwords, no
// prompts), forwards nothing, starts no terminal, and does not follow
// "StrictHostKeyChecking no", ProxyCommand or "Match exec". It moves no large
// files.
//
// The package sshtest is a server in memory for tests.
package sshpool
