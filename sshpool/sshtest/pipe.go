package sshtest

import (
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// pipe returns the two ends of a connection in memory. Unlike net.Pipe it
// buffers without a bound, as both ends of an SSH connection speak first;
// latency is how long a byte is under way.
func pipe(client, server net.Addr, latency time.Duration) (c, s net.Conn) {
	up, down := newWire(latency), newWire(latency)
	return &end{in: down, out: up, local: client, remote: server},
		&end{in: up, out: down, local: server, remote: client}
}

// end is one end of a pipe.
type end struct {
	in, out       *wire
	local, remote net.Addr
}

func (e *end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }
func (e *end) LocalAddr() net.Addr         { return e.local }
func (e *end) RemoteAddr() net.Addr        { return e.remote }

func (e *end) Close() error {
	e.out.finish()
	e.in.abandon()
	return nil
}

func (e *end) SetDeadline(t time.Time) error {
	e.in.setDeadline(t)
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error { return e.SetDeadline(t) }

// SetWriteDeadline has nothing to do: a write never blocks.
func (e *end) SetWriteDeadline(time.Time) error { return nil }

// wire carries bytes in one direction.
type wire struct {
	latency time.Duration

	mu        sync.Mutex // guards what follows
	changed   *sync.Cond
	parcels   []parcel // in order of arrival
	finished  bool     // nothing will follow
	abandoned bool     // nobody reads
	deadline  time.Time
}

// parcel is what one write sent.
type parcel struct {
	data []byte
	at   time.Time // of arrival
}

func newWire(latency time.Duration) *wire {
	w := &wire{latency: latency}
	w.changed = sync.NewCond(&w.mu)
	return w
}

func (w *wire) write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.finished {
		return 0, net.ErrClosed
	}
	if w.abandoned {
		return 0, io.ErrClosedPipe
	}
	if len(p) > 0 {
		w.parcels = append(w.parcels, parcel{append([]byte(nil), p...), time.Now().Add(w.latency)})
		w.wake(w.latency)
	}
	return len(p), nil
}

func (w *wire) read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		now := time.Now()
		switch {
		case w.abandoned:
			return 0, net.ErrClosed
		case !w.deadline.IsZero() && !now.Before(w.deadline):
			return 0, os.ErrDeadlineExceeded
		case len(w.parcels) > 0 && !w.parcels[0].at.After(now):
			first := &w.parcels[0]
			n := copy(p, first.data)
			if first.data = first.data[n:]; len(first.data) == 0 {
				w.parcels = w.parcels[1:]
			}
			return n, nil
		case len(w.parcels) == 0 && w.finished:
			return 0, io.EOF
		}
		w.changed.Wait()
	}
}

// wake lets the reader look again after d. w.mu is held.
func (w *wire) wake(d time.Duration) {
	if d <= 0 {
		w.changed.Broadcast()
		return
	}
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed.Broadcast()
	})
}

func (w *wire) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.finished = true
	w.changed.Broadcast()
}

func (w *wire) abandon() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.abandoned = true
	w.parcels = nil
	w.changed.Broadcast()
}

func (w *wire) setDeadline(t time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadline = t
	w.changed.Broadcast()
	if !t.IsZero() {
		w.wake(time.Until(t))
	}
}

// gate is the server's end of a connection, which can be frozen: then nothing
// that is sent arrives on either side, and nobody is told.
type gate struct {
	net.Conn
	closed chan struct{}

	mu     sync.Mutex // guards what follows; never held while waiting
	thawed chan struct{}
	frozen bool
	held   []byte // written while frozen
	once   sync.Once
}

func newGate(c net.Conn) *gate {
	open := make(chan struct{})
	close(open)
	return &gate{Conn: c, closed: make(chan struct{}), thawed: open}
}

func (g *gate) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	for {
		g.mu.Lock()
		thawed, frozen := g.thawed, g.frozen
		g.mu.Unlock()
		if !frozen {
			return n, err
		}
		select {
		case <-thawed:
		case <-g.closed:
			return 0, net.ErrClosed
		}
	}
}

// Write never blocks on a frozen gate: the kernel of a half-open connection
// takes what is written, too.
func (g *gate) Write(p []byte) (int, error) {
	g.mu.Lock()
	if g.frozen {
		g.held = append(g.held, p...)
		g.mu.Unlock()
		return len(p), nil
	}
	g.mu.Unlock()
	return g.Conn.Write(p)
}

func (g *gate) freeze() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.frozen {
		g.frozen, g.thawed = true, make(chan struct{})
	}
}

// thaw delivers what was held. It is called by Server.Thaw for connections
// that are frozen, where nobody writes past it: writers wait for g.mu.
func (g *gate) thaw() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.frozen {
		return
	}
	if len(g.held) > 0 {
		g.Conn.Write(g.held) // an error shows at the next read or write
		g.held = nil
	}
	g.frozen = false
	close(g.thawed)
}

func (g *gate) Close() error {
	g.once.Do(func() { close(g.closed) })
	return g.Conn.Close()
}
