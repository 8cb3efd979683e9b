package sshpool

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// openSettle is how old the youngest opening of a channel must be before the
// end of the connection is passed on to x/crypto/ssh: see transport.
const openSettle = 250 * time.Millisecond

// errStalled ends a connection whose peer takes no more bytes.
var errStalled = errors.New("the peer takes no more data")

// transport is the net.Conn under one SSH connection. It closes the gaps of
// golang.org/x/crypto/ssh v0.58.0:
//
//   - The opening of a channel can block for ever if the connection dies at the
//     same moment: mux.loop forgets all channels before later writes fail. So
//     the end of the connection is announced at the first error, no channel is
//     opened after that, and the error itself is passed on only when the
//     channels being opened are surely registered with the mux, which then
//     releases them.
//   - A write has no deadline, and a tunnelled connection knows none: a write
//     that takes longer than stall closes the connection.
//   - The lines before the server's version are thrown away; here they are kept,
//     for they say why a server does not want us.
type transport struct {
	net.Conn
	stall time.Duration
	// writes counts the writes begun. It stands still once the transport is dead.
	writes atomic.Int64
	// lastRead is when bytes last came, as time since born.
	lastRead atomic.Int64
	born     time.Time
	dead     chan struct{} // closed at the first error, or by Close

	mu         sync.Mutex // guards what follows
	err        error      // why it is dead
	opening    int        // channels being opened
	lastOpen   time.Time
	writeTimer *time.Timer
	preamble   []byte // before the version line, at most preambleMax bytes
	versioned  bool   // the version line has come
	partial    []byte // the line being read
}

const preambleMax = 1024

func newTransport(c net.Conn, stall time.Duration) *transport {
	return &transport{Conn: c, stall: stall, born: time.Now(), dead: make(chan struct{})}
}

// fail marks the connection as dead; only the first error counts.
func (t *transport) fail(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
		close(t.dead)
	}
}

// cause is why the connection is dead; nil while it lives.
func (t *transport) cause() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.err
}

func (t *transport) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.lastRead.Store(int64(time.Since(t.born)))
		t.look(p[:n])
	}
	if err != nil {
		t.fail(err)
		t.settle()
	}
	return n, err
}

// settle waits until no channel is so young that its opening might still be on
// the way into the mux. No new one can begin: the transport is dead.
func (t *transport) settle() {
	t.mu.Lock()
	wait := openSettle - time.Since(t.lastOpen)
	if t.opening == 0 {
		wait = 0
	}
	t.mu.Unlock()
	if wait > 0 {
		time.Sleep(wait)
	}
}

// beginOpen must be called before a channel is opened, and endOpen after. It
// fails if the connection is dead.
func (t *transport) beginOpen() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err != nil {
		return t.err
	}
	t.opening++
	t.lastOpen = time.Now()
	return nil
}

func (t *transport) endOpen() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opening--
}

// Write has a bound: a peer that takes nothing for the stall time is gone.
// x/crypto/ssh writes from one goroutine at a time.
func (t *transport) Write(p []byte) (int, error) {
	t.mu.Lock()
	if t.err != nil {
		t.mu.Unlock()
		return 0, t.err // nothing leaves a dead connection: writes tells what was sent
	}
	t.writes.Add(1)
	if t.writeTimer == nil {
		t.writeTimer = time.AfterFunc(t.stall, func() { t.end(fmt.Errorf("%w for %v", errStalled, t.stall)) })
	} else {
		t.writeTimer.Reset(t.stall)
	}
	t.mu.Unlock()
	n, err := t.Conn.Write(p)
	t.writeTimer.Stop()
	if err != nil {
		if !t.greeted() {
			t.hear()
		}
		// The reader must learn of it, too: x/crypto/ssh reports the first
		// failed write as a success.
		t.end(err)
	}
	return n, err
}

// end closes the connection for a reason.
func (t *transport) end(cause error) error {
	t.fail(cause)
	return t.Conn.Close()
}

func (t *transport) Close() error { return t.end(net.ErrClosed) }

// silence is how long nothing has come from the peer.
func (t *transport) silence() time.Duration {
	return time.Since(t.born) - time.Duration(t.lastRead.Load())
}

// look keeps what a server says before its version line.
func (t *transport) look(p []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for !t.versioned && len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		t.partial = append(t.partial, line[:min(len(line), preambleMax)]...)
		p = rest
		if bytes.HasPrefix(t.partial, []byte("SSH-")) {
			t.versioned = true
			return
		}
		if ended || len(t.partial) > preambleMax {
			t.keepPartial()
		}
	}
}

// hear reads what a server said that hung up before our first write: x/crypto/ssh
// speaks first and does not listen when that fails.
func (t *transport) hear() {
	defer time.AfterFunc(hearMost, func() { t.Conn.Close() }).Stop()
	buf := make([]byte, preambleMax)
	for {
		n, err := t.Conn.Read(buf)
		t.look(buf[:n])
		if err != nil || t.greeted() {
			return
		}
	}
}

// hearMost bounds hear.
const hearMost = time.Second

// greeted reports whether the server's version line has come.
func (t *transport) greeted() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.versioned
}

// keepPartial adds the line being read to the preamble. t.mu is held.
func (t *transport) keepPartial() {
	line := append(t.partial, '\n')
	t.preamble = append(t.preamble, line[:min(len(line), preambleMax-len(t.preamble))]...)
	t.partial = t.partial[:0]
}

// saidFirst is what the server said instead of, or before, its version line:
// one line, with control characters made visible; "" if nothing.
func (t *transport) saidFirst() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.versioned && len(t.partial) > 0 {
		t.keepPartial()
	}
	return printable(string(t.preamble))
}

// printable makes one line of text that came from a server: lines are joined
// by a space, control characters and invalid bytes are replaced.
func printable(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == 0xfffd || r >= 0x200b && r <= 0x200f || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '?'
		}
		return r
	}, s)
}
