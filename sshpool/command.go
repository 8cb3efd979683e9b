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
	// Stdin is the whole standard input; nil: empty.
	Stdin []byte

	// Clocks for this command; 0 takes the Config's.
	QueueTimeout, ConnectTimeout, RunTimeout, KillGrace time.Duration

	// OnOutput, if set, receives output as it comes, in order per stream, from
	// one goroutine at a time. It must not block. The slice is not kept.
	OnOutput func(stream Stream, chunk []byte)
}

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
	// Note says how the end was confirmed, or what may still run.
	Note string
}
