package lab

import (
	"bytes"
	"context"
	"testing"
	"time"
)

// noon is the clock of hosts whose output is compared.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// said is what a script printed and how it ended.
type said struct {
	Stdout, Stderr string
	Status         int
}

// run plays a script as a login of the host's account would.
func run(ctx context.Context, h *Host, script string) said {
	var stdout, stderr bytes.Buffer
	status := h.shell(ctx, h.user, script, []string{"sh"}, h.login(), "/home/"+h.user, shellIO{nil, &stdout, &stderr})
	return said{stdout.String(), stderr.String(), status}
}

// quick is a host whose programs hardly take time and whose clock stands still.
func quick(t *testing.T, name string) *Host {
	t.Helper()
	return closing(t, NewHost(name, Options{Pace: 0.001, Now: func() time.Time { return noon }}))
}

func closing(t *testing.T, h *Host) *Host {
	t.Helper()
	t.Cleanup(func() {
		if err := h.close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

func mustBreak(t *testing.T, h *Host, kind, name string) {
	t.Helper()
	if err := h.Break(kind, name); err != nil {
		t.Fatal(err)
	}
}

// contextWithEnd is what a script's context looks like: end is the signal.
func contextWithEnd(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(parent)
	return ctx, cancel
}
