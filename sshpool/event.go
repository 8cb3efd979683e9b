package sshpool

import "time"

// EventKind names what happened to a connection or a command.
type EventKind string

const (
	ConnectionEstablished EventKind = "connection_established"
	ConnectionReused      EventKind = "connection_reused"
	ConnectionClosed      EventKind = "connection_closed"
	DialFailed            EventKind = "dial_failed"
	SessionRefused        EventKind = "session_refused" // the server had no slot; the command waits on, or there is no spare
	SpareLost             EventKind = "spare_lost"      // the server closed a session that waited for a command
	CommandTimeout        EventKind = "command_timeout" // one of the three clocks ran out; Err says which
	CommandKilled         EventKind = "command_killed"
	CommandUnknown        EventKind = "command_unknown"
)

// Event is one thing that happened in the pool. Logs, metrics and traces are
// the caller's: see Config.OnEvent.
type Event struct {
	Kind EventKind
	Host string
	At   time.Time
	// Command is the script concerned; "" for an event of a connection.
	Command string
	// Duration of the dial, of the command, or of the connection's life.
	Duration time.Duration
	Err      error
}
