package sshpool

import "time"

// Command is one thing to run on a host.
type Command struct {
	// Script is a shell command line.
	Script string
	// Shell is the absolute path of the POSIX shell that reads Script, for
	// example "/bin/sh". "" leaves it to the account's login shell.
	//
	// With a Shell the script finds the usual system directories in its PATH
	// even where a non-login shell has none of them: see Env.
	Shell string
	// Env is set for the command without a round trip; it needs Shell. It is
	// visible in the host's process list for as long as the command runs. A
	// PATH that is not set here is the account's own, followed by
	// /usr/local/bin, /usr/bin, /bin, /usr/local/sbin, /usr/sbin and /sbin.
	Env map[string]string
	// Dir is the working directory; it needs Shell. If it cannot be entered,
	// the script does not run and the exit status is 126.
	Dir string
	// Sudo runs Shell as root by "sudo -n", which never asks for a password;
	// it needs Shell. Env, Dir and Stdin are for the command behind it, and no
	// round trip is added. Where sudo is not allowed without a password the
	// exit status is sudo's, 1, and Stderr says so.
	Sudo bool
	// Stdin is the whole standard input; nil: empty.
	Stdin []byte

	// Clocks for this command; 0 takes the Config's.
	QueueTimeout, ConnectTimeout, RunTimeout, KillGrace time.Duration

	// BeforeStart, if set, is called when everything is ready, right before the
	// command would be sent: after the wait for a slot and for a connection. An
	// error calls the command off, which has then not started. It should be
	// quick, and is called again if a try that did not start is repeated.
	BeforeStart func() error
	// OnOutput, if set, receives output as it comes, in order per stream, from
	// one goroutine at a time. It must not block. The slice is not kept.
	OnOutput func(stream Stream, chunk []byte)
	// OnLine, if set, receives the output as lines, without their line feeds,
	// each as soon as it is complete; what follows the last line feed comes before
	// Run returns. A line of more than MaxLine bytes comes in pieces of that size.
	// For the rest it is as OnOutput.
	OnLine func(stream Stream, line []byte)
}

// MaxLine is the longest line that OnLine receives in one piece, in bytes.
const MaxLine = 64 << 10

// Stream names one of a command's outputs.
type Stream int

const (
	Stdout Stream = iota + 1
	Stderr
)

// Outcome is how a command ended. There is no -1.
type Outcome string

const (
	Exited     Outcome = "exited"      // with ExitStatus
	Signaled   Outcome = "signaled"    // by Signal
	TimedOut   Outcome = "timed_out"   // the run clock ended; Kill says what is known of the process
	NotStarted Outcome = "not_started" // provably never began; safe to run again
	Unknown    Outcome = "unknown"     // may have run, in part or whole; never run again by the pool
)

// Result of one command. It is never nil, whatever happened.
type Result struct {
	Host       string
	Outcome    Outcome
	ExitStatus int    // valid if Outcome is Exited
	Signal     string // "KILL", "TERM", …: set if Outcome is Signaled
	Stdout     Output
	Stderr     Output
	// OutputCut is true of a command that Exited or was Signaled if the end of
	// its output was not seen: the connection was lost between the exit status
	// and the output, which OpenSSH sends in any order, or a child in the
	// background holds the output open. There may be more than was kept.
	OutputCut bool
	// Kill is what was done to end the process; nil if nothing was.
	Kill *Kill
	// Reused is true if the command found its connection open: it did not wait
	// for a dial of its own or of another first caller.
	Reused bool
	// Tries counts how often the server was asked for a session: 2 if the first
	// try provably did not start and was repeated, 0 if it never came to that.
	Tries int
	// The three clocks as they were spent.
	Queue, Connect, Run time.Duration
}

// Kill reports an attempt to end a remote process.
type Kill struct {
	// Confirmed is true only if the process was seen to end, and nothing that
	// it left behind was seen to live on.
	Confirmed bool
	// Signals that the server acknowledged, in order.
	Signals []string
	// Found counts the processes of the command that were found by a look
	// through the host's /proc after the signals, and ended by it; Left those of
	// them that are still there. Both are 0 if no look was made: see Note.
	Found, Left int
	// Note says how the end was confirmed, or what may still run.
	Note string
}
