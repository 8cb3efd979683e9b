package sshpool

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/sshpool/sshtest"
)

// The caller can call a command off at the last moment: then it has not
// started, and its slot is free.
func TestBeforeStart(t *testing.T) {
	no := errors.New("not any more")
	inBubble(t, sshtest.Config{}, nil, func(t *testing.T, l lab) {
		asked := 0
		for _, answer := range []error{nil, no, nil} {
			r, err := l.Run(t.Context(), "nexus", Command{Script: "exit 0", BeforeStart: func() error { asked++; return answer }})
			if answer == nil {
				if err != nil || r.Outcome != Exited {
					t.Errorf("%+v, %v", r, err)
				}
				continue
			}
			if kindOf(err) != KindCanceled || !errors.Is(err, no) || r.Outcome != NotStarted || r.Kill != nil {
				t.Errorf("called off: %+v, %v", r, err)
			}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if c, s := l.server.Counts(), l.Stats()["nexus"]; asked != 3 || c.Commands != 2 || c.Connections != 1 || s.SessionsInUse != 0 {
			t.Errorf("asked %d times; the server has seen %+v; %+v", asked, c, s)
		}
	})
	p := localPool(t, nil)
	if r, err := p.Run(t.Context(), "here", Command{Script: "true", BeforeStart: func() error { return no }}); kindOf(err) != KindCanceled || r.Outcome != NotStarted {
		t.Errorf("local: %+v, %v", r, err)
	}
	if s := p.Stats()["here"]; s.SessionsInUse != 0 {
		t.Errorf("local: %+v", s)
	}
}
