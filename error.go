package lifeline

import (
	"errors"
	"fmt"
)

// Code is a cause that callers and scripts can branch on.
type Code string

const (
	CodeFailed      Code = "command_failed"   // a command ran and did not succeed
	CodeUsage       Code = "usage"            // the call is wrong
	CodeConfig      Code = "config"           // the configuration is wrong
	CodeUnreachable Code = "host_unreachable" // no connection to the host
	CodeHostKey     Code = "host_key"         // the host's key is unknown, changed or revoked
	CodeRefused     Code = "refused"          // the policy, a budget or a person said no
	CodeAuth        Code = "authentication"   // the host did not accept the account
	CodeTimeout     Code = "timeout"          // a clock ran out
	CodeUnknown     Code = "outcome_unknown"  // the command may have run
	CodeStore       Code = "store"            // the record cannot be read or written
	CodeNotFound    Code = "not_found"        // no such incident, approval, host or runbook
	CodeTampered    Code = "record_tampered"  // the record is not what was written
	CodeWaits       Code = "awaits_approval"  // not run: a person is asked first
	CodeFenced      Code = "fenced"           // another node took over from this one
	CodeInternal    Code = "internal"         // a defect of ours
)

// ExitStatus is the status that the command line ends with for the cause.
func (c Code) ExitStatus() int {
	switch c {
	case CodeFailed:
		return 1
	case CodeUsage, CodeConfig:
		return 2
	case CodeUnreachable:
		return 3
	case CodeHostKey:
		return 4
	case CodeRefused, CodeWaits:
		return 5
	case CodeAuth:
		return 6
	case CodeTimeout:
		return 7
	case CodeUnknown:
		return 8
	case CodeStore:
		return 9
	case CodeNotFound:
		return 10
	case CodeTampered:
		return 11
	case CodeFenced:
		return 12
	}
	return 70 // EX_SOFTWARE of sysexits.h
}

// Error is an error that reaches a person: what happened, where, and what to
// type next.
type Error struct {
	Code Code
	// Message is one sentence, without a final full stop.
	Message string
	// Hint is the next command to type or line to change; "" if there is none.
	Hint string
	// Rule names what refused, one of the Rule constants, if Code is CodeRefused.
	Rule string
	// Err is the cause; nil if Message says it all.
	Err error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return e.Message
	}
	return fmt.Sprintf("%s: %v", e.Message, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// CodeOf finds the cause of an error; CodeInternal if none was given.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return CodeInternal
}
