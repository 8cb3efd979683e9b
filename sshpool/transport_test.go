package sshpool

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// fakeConn reads what the test feeds it.
type fakeConn struct {
	net.Conn // nil: everything else panics
	in       chan []byte
	closed   chan struct{}
	once     sync.Once
}

func newFakeConn() *fakeConn { return &fakeConn{in: make(chan []byte, 8), closed: make(chan struct{})} }

func (c *fakeConn) Read(p []byte) (int, error) {
	select {
	case b, ok := <-c.in:
		if !ok {
			return 0, io.EOF
		}
		return copy(p, b), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *fakeConn) Write([]byte) (int, error) { <-c.closed; return 0, net.ErrClosed }
func (c *fakeConn) Close() error              { c.once.Do(func() { close(c.closed) }); return nil }

// The end of the connection is known at once, and passed on only when the
// channels being opened are registered for sure.
func TestTransportHoldsTheEndBack(t *testing.T) {
	for _, opening := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			conn := newFakeConn()
			tr := newTransport(conn, time.Minute)
			if opening {
				if err := tr.beginOpen(); err != nil {
					t.Fatal(err)
				}
			}
			close(conn.in)
			begun := time.Now()
			go func() {
				<-tr.dead
				if took := time.Since(begun); took != 0 {
					t.Errorf("known after %v", took)
				}
				if err := tr.beginOpen(); err != io.EOF {
					t.Errorf("a channel is opened on a dead connection: %v", err)
				}
			}()
			_, err := tr.Read(make([]byte, 10))
			want := time.Duration(0)
			if opening {
				want = openSettle
			}
			if took := time.Since(begun); err != io.EOF || took != want {
				t.Errorf("opening %v: passed on after %v, want %v: %v", opening, took, want, err)
			}
		})
	}
}

func TestTransportEndsAStalledWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn := newFakeConn()
		tr := newTransport(conn, time.Minute)
		begun := time.Now()
		_, err := tr.Write([]byte("x"))
		if took := time.Since(begun); err == nil || took != time.Minute || !errors.Is(tr.cause(), errStalled) {
			t.Errorf("after %v: %v, %v", took, err, tr.cause())
		}
		before := tr.writes.Load()
		if _, err := tr.Write([]byte("y")); err == nil || tr.writes.Load() != before {
			t.Errorf("something left a dead connection: %v", err)
		}
	})
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Not allowed\r\nat  this\ttime": "Not allowed at this time",
		"a\x1b[31mb\x00c\xffd":          "a?[31mb?c?d",
		"right\u202eleft\u200b\u2066":   "right?left??",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
}
