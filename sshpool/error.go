package sshpool

import (
	"fmt"
	"strings"
)

// ErrorKind is the cause of an Error: what a caller branches on.
type ErrorKind string

const (
	KindConfig         ErrorKind = "config"          // the configuration or the Command is wrong
	KindUnknownHost    ErrorKind = "unknown_host"    // no host of that name is configured
	KindUnreachable    ErrorKind = "unreachable"     // no connection: network, name, or the server hung up
	KindHostKey        ErrorKind = "host_key"        // unknown, changed or revoked
	KindAuthentication ErrorKind = "authentication"  // the server did not accept the account or its keys
	KindQueueTimeout   ErrorKind = "queue_timeout"   // the first clock: no session slot
	KindConnectTimeout ErrorKind = "connect_timeout" // the second clock: no connection
	KindRunTimeout     ErrorKind = "run_timeout"     // the third clock: the command did not end
	KindCanceled       ErrorKind = "canceled"        // the caller's context ended
	KindRefused        ErrorKind = "refused"         // the server refused the exec, or every session
	KindFile           ErrorKind = "file"            // a file cannot be read or written; see ReadFile and WriteFile
	KindLost           ErrorKind = "lost"            // the connection or the session was lost; Outcome says what is known
	KindClosed         ErrorKind = "closed"          // the pool is shut down
	KindBackoff        ErrorKind = "backoff"         // not dialled again yet; Err is the last dial's error
)

// Error says what happened, to which host, and what to type next.
type Error struct {
	Kind ErrorKind
	// Host by the name of Config.Hosts; "" if the error is not about one.
	Host string
	// Message is a sentence without a final full stop.
	Message string
	// Hint is the next command to type or line to change; "" if there is none.
	Hint string
	// Err is the cause; nil if Message says it all.
	Err error
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Host != "" {
		b.WriteString(e.Host + ": ")
	}
	b.WriteString(e.Message)
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// configError is an Error of KindConfig. host may be "".
func configError(host, format string, args ...any) *Error {
	return &Error{Kind: KindConfig, Host: host, Message: fmt.Sprintf(format, args...)}
}
