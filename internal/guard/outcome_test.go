package guard

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/sshpool"
)

func TestDescribe(t *testing.T) {
	failed := func(kind sshpool.ErrorKind) error {
		return &sshpool.Error{Kind: kind, Host: "nexus", Message: "it went wrong", Hint: "type this"}
	}
	for name, tt := range map[string]struct {
		result sshpool.Result
		err    error
		want   lifeline.Command
	}{
		"exited": {
			result: sshpool.Result{Outcome: sshpool.Exited, ExitStatus: 3, Stdout: sshpool.Output{Head: []byte("out")}, Reused: true, Queue: 1, Connect: 2, Run: 3},
			want:   lifeline.Command{Outcome: lifeline.OutcomeExited, ExitStatus: new(3), Stdout: []byte("out"), Reused: true, Queue: 1, Connect: 2, Run: 3},
		},
		"cut output": {
			result: sshpool.Result{Outcome: sshpool.Exited, Stderr: sshpool.Output{Head: []byte("a"), Tail: []byte("z"), Omitted: 9}},
			want:   lifeline.Command{Outcome: lifeline.OutcomeExited, ExitStatus: new(0), Stderr: []byte("a\n[... 9 bytes omitted ...]\nz"), Truncated: true},
		},
		"output lost with the connection": {
			result: sshpool.Result{Outcome: sshpool.Exited, OutputCut: true},
			want:   lifeline.Command{Outcome: lifeline.OutcomeExited, ExitStatus: new(0), Truncated: true},
		},
		"ended by a signal": {
			result: sshpool.Result{Outcome: sshpool.Signaled, Signal: "KILL"},
			want:   lifeline.Command{Outcome: lifeline.OutcomeSignaled, Signal: "KILL"},
		},
		"timed out and killed": {
			result: sshpool.Result{Outcome: sshpool.TimedOut, Kill: &sshpool.Kill{Confirmed: true, Signals: []string{"TERM", "KILL"}, Note: "its exit was seen"}},
			err:    failed(sshpool.KindRunTimeout),
			want: lifeline.Command{Outcome: lifeline.OutcomeTimedOut, Cause: lifeline.CodeTimeout, Error: "nexus: it went wrong", Hint: "type this",
				Kill: "ended: TERM, then KILL acknowledged; its exit was seen"},
		},
		"timed out and not known to be gone": {
			result: sshpool.Result{Outcome: sshpool.TimedOut, Kill: &sshpool.Kill{Note: "the connection is dead"}},
			err:    failed(sshpool.KindRunTimeout),
			want: lifeline.Command{Outcome: lifeline.OutcomeTimedOut, Cause: lifeline.CodeTimeout, Error: "nexus: it went wrong", Hint: "type this",
				Kill: "possibly still running: no signal was acknowledged; the connection is dead"},
		},
		"a timeout whose outcome is unknown is unknown first": {
			result: sshpool.Result{Outcome: sshpool.Unknown}, err: failed(sshpool.KindRunTimeout),
			want: lifeline.Command{Outcome: lifeline.OutcomeUnknown, Cause: lifeline.CodeUnknown, Error: "nexus: it went wrong", Hint: "type this"},
		},
		"a changed host key": {
			result: sshpool.Result{Outcome: sshpool.NotStarted}, err: failed(sshpool.KindHostKey),
			want: lifeline.Command{Outcome: lifeline.OutcomeNotStarted, Cause: lifeline.CodeHostKey, Error: "nexus: it went wrong", Hint: "type this"},
		},
		"not dialled again after a failed authentication": {
			result: sshpool.Result{Outcome: sshpool.NotStarted},
			err:    &sshpool.Error{Kind: sshpool.KindBackoff, Message: "not tried again yet", Err: failed(sshpool.KindAuthentication)},
			want:   lifeline.Command{Outcome: lifeline.OutcomeNotStarted, Cause: lifeline.CodeAuth, Error: "not tried again yet: nexus: it went wrong"},
		},
		"unreachable": {
			result: sshpool.Result{Outcome: sshpool.NotStarted}, err: failed(sshpool.KindUnreachable),
			want: lifeline.Command{Outcome: lifeline.OutcomeNotStarted, Cause: lifeline.CodeUnreachable, Error: "nexus: it went wrong", Hint: "type this"},
		},
		"an outcome that nobody defined is unknown": {
			result: sshpool.Result{Outcome: "maybe"}, err: errors.New("odd"),
			want: lifeline.Command{Outcome: lifeline.OutcomeUnknown, Cause: lifeline.CodeUnknown, Error: "odd"},
		},
	} {
		var got lifeline.Command
		describe(&got, &tt.result, tt.err)
		empty := cmp.Transformer("empty", func(b []byte) string { return string(b) })
		if diff := cmp.Diff(tt.want, got, empty); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
