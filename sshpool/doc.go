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
//   - Three clocks, each with its own error: waiting for a session (QueueTimeout),
//     connecting with TCP, handshake and authentication (ConnectTimeout), and
//     running (RunTimeout). Run answers in bounded time on any kind of dead link.
//   - A command that provably did not start is tried once more; one that may have
//     started is never run again. Result.Outcome says which: Exited, Signaled,
//     TimedOut, NotStarted or Unknown.
//   - A timeout, an ended context and a Shutdown end the remote process: TERM, a
//     grace, KILL, each repeated until the server acknowledges it. Result.Kill
//     says whether the end was seen. A process that may still run keeps its
//     session slot.
//   - Run returns when the command exits, not when a child in the background
//     closes the output.
//   - Output is kept head and tail, bounded in bytes and marked where it was cut.
//     The remote side never waits for the caller.
//   - The number of sessions that a server allows is learned. A refused session
//     is asked for again on the same connection, whose other sessions go on.
//     Waiting is first in, first out.
//   - After a failed dial the host is left alone for a while, longer if a person
//     has to act (keys, accounts) or the server turned us away; callers get the
//     last error meanwhile. So sshd's PerSourcePenalties are not earned.
//   - An unknown host key is refused unless the host says HostKeysAcceptNew; a
//     changed or revoked one always. known_hosts is read in all its forms.
//   - Jump hosts are connections of the same pool, shared by what is behind them.
//   - Shutdown leaves no goroutine.
//
// # Errors
//
// Every error of New and Run is an *Error with a Kind to branch on and a Hint of
// what to type next:
//
//	config           correct the field or file that is named
//	unknown_host     Run was called with another name than Config.Hosts has
//	unreachable      no connection; the message holds what the server said first
//	host_key         compare the fingerprints that are named
//	authentication   the keys that were offered are named
//	queue_timeout    run less at once; see HostStats.SessionLimit
//	connect_timeout  the message says what was being done
//	run_timeout      look at Result.Kill, then at the host's state
//	canceled         the caller's context ended
//	refused          the server runs no commands for this account
//	lost             the connection ended; Outcome says if it may have run
//	closed           the pool is shut down
//	backoff          not dialled again yet; Err is the last dial's error
//
// # What it does not do
//
// It has no policy about what may run, asks no questions (no passwords, no
// prompts), forwards nothing, starts no terminal, copies no files, and does not
// follow "StrictHostKeyChecking no", ProxyCommand or "Match exec". It cannot end
// what leaves the session's process group (setsid, "timeout" in a compound
// command, children of sudo after KILL); where it sees such a process hold the
// output open it says so. OpenSSH before 9.9 delivers no signals to a session of
// root: there a timeout is reported, and the process runs on. A process on an OpenSSH server outlives its
// connection.
//
// The package sshtest is a server in memory for tests.
package sshpool
