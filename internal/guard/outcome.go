package guard

import (
	"errors"
	"fmt"
	"strings"

	"lifeline"
	"lifeline/sshpool"
)

// describe writes what the pool says of a run onto the record of the command.
func describe(cmd *lifeline.Command, result *sshpool.Result, err error) {
	cmd.Outcome = outcome(result.Outcome)
	switch result.Outcome {
	case sshpool.Exited:
		cmd.ExitStatus = new(result.ExitStatus)
	case sshpool.Signaled:
		cmd.Signal = result.Signal
	}
	cmd.Stdout, cmd.Stderr = result.Stdout.Bytes(), result.Stderr.Bytes()
	cmd.Truncated = result.Stdout.Truncated() || result.Stderr.Truncated() || result.OutputCut
	cmd.Kill = kill(result.Kill)
	cmd.Reused = result.Reused
	cmd.Queue, cmd.Connect, cmd.Run = result.Queue, result.Connect, result.Run
	if err == nil {
		return
	}
	cmd.Error, cmd.Cause = err.Error(), lifeline.CodeUnknown
	if e, ok := errors.AsType[*sshpool.Error](err); ok {
		cmd.Cause, cmd.Hint = cause(e, cmd.Outcome), e.Hint
	}
}

// outcome is the pool's word in the record's terms. What the pool does not say
// clearly is unknown, never a success.
func outcome(o sshpool.Outcome) lifeline.Outcome {
	switch o {
	case sshpool.Exited:
		return lifeline.OutcomeExited
	case sshpool.Signaled:
		return lifeline.OutcomeSignaled
	case sshpool.TimedOut:
		return lifeline.OutcomeTimedOut
	case sshpool.NotStarted:
		return lifeline.OutcomeNotStarted
	}
	return lifeline.OutcomeUnknown
}

// cause is what scripts branch on.
func cause(e *sshpool.Error, o lifeline.Outcome) lifeline.Code {
	if o == lifeline.OutcomeUnknown {
		return lifeline.CodeUnknown
	}
	switch e.Kind {
	case sshpool.KindBackoff: // nothing was dialled: the last dial's cause still holds
		if last, ok := errors.AsType[*sshpool.Error](e.Err); ok {
			return cause(last, o)
		}
	case sshpool.KindConfig, sshpool.KindUnknownHost:
		return lifeline.CodeConfig
	case sshpool.KindHostKey:
		return lifeline.CodeHostKey
	case sshpool.KindAuthentication:
		return lifeline.CodeAuth
	case sshpool.KindQueueTimeout, sshpool.KindConnectTimeout, sshpool.KindRunTimeout:
		return lifeline.CodeTimeout
	case sshpool.KindCanceled:
		return lifeline.CodeFailed
	}
	return lifeline.CodeUnreachable
}

// kill says what was done to end the process and whether it is known to be gone.
func kill(k *sshpool.Kill) string {
	if k == nil {
		return ""
	}
	sent := "no signal was acknowledged"
	if len(k.Signals) > 0 {
		sent = strings.Join(k.Signals, ", then ") + " acknowledged"
	}
	if k.Confirmed {
		return fmt.Sprintf("ended: %s; %s", sent, k.Note)
	}
	return fmt.Sprintf("possibly still running: %s; %s", sent, k.Note)
}
