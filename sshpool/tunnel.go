package sshpool

import (
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// tunnel is a connection through a jump host. Unlike the one of x/crypto/ssh
// its Close releases a Read at once, also when the jump host no longer answers.
type tunnel struct {
	ch     ssh.Channel
	spawn  func(func())
	chunks chan []byte // from the pump; closed at the end of the stream
	closed chan struct{}
	once   sync.Once
	remote tunnelAddr

	rest []byte // of the chunk being read; the reader's own
}

// newTunnel takes over the channel. spawn starts a goroutine that ends with
// the jump host's connection at the latest.
func newTunnel(ch ssh.Channel, requests <-chan *ssh.Request, remote string, spawn func(func())) *tunnel {
	t := &tunnel{ch: ch, spawn: spawn, chunks: make(chan []byte), closed: make(chan struct{}), remote: tunnelAddr(remote)}
	spawn(func() { ssh.DiscardRequests(requests) })
	spawn(func() { io.Copy(io.Discard, ch.Stderr()) })
	spawn(t.pump)
	return t
}

func (t *tunnel) pump() {
	defer close(t.chunks)
	for {
		buf := make([]byte, 32<<10)
		n, err := t.ch.Read(buf)
		if n > 0 {
			select {
			case t.chunks <- buf[:n]:
			case <-t.closed: // nobody reads; go on until the channel ends
			}
		}
		if err != nil {
			return
		}
	}
}

func (t *tunnel) Read(p []byte) (int, error) {
	if len(t.rest) == 0 {
		select {
		case chunk, ok := <-t.chunks:
			if !ok {
				return 0, io.EOF
			}
			t.rest = chunk
		case <-t.closed:
			return 0, net.ErrClosed
		}
	}
	n := copy(p, t.rest)
	t.rest = t.rest[n:]
	return n, nil
}

func (t *tunnel) Write(p []byte) (int, error) {
	select {
	case <-t.closed:
		return 0, net.ErrClosed
	default:
		return t.ch.Write(p)
	}
}

func (t *tunnel) Close() error {
	t.once.Do(func() {
		close(t.closed)
		t.spawn(func() { t.ch.Close() }) // may wait for the jump host's connection
	})
	return nil
}

func (t *tunnel) LocalAddr() net.Addr  { return tunnelAddr("127.0.0.1:0") }
func (t *tunnel) RemoteAddr() net.Addr { return t.remote }

// Deadlines are the transport's own business.
func (t *tunnel) SetDeadline(time.Time) error      { return nil }
func (t *tunnel) SetReadDeadline(time.Time) error  { return nil }
func (t *tunnel) SetWriteDeadline(time.Time) error { return nil }

// tunnelAddr is the address as the jump host is asked for it.
type tunnelAddr string

func (a tunnelAddr) Network() string { return "tcp" }
func (a tunnelAddr) String() string  { return string(a) }
