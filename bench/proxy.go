package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// delayProxy puts a server farther away: every byte is under way for half a
// round trip in each direction, and opening a connection takes a round trip
// more. It does not limit how much is under way.
type delayProxy struct {
	listener net.Listener
	target   string
	half     time.Duration
	stop     context.CancelFunc
	wg       sync.WaitGroup
}

// startProxy listens on a loopback address of its own for a target.
func startProxy(target string, rtt time.Duration) (*delayProxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for the delay proxy: %w", err)
	}
	ctx, stop := context.WithCancel(context.Background())
	p := &delayProxy{listener: listener, target: target, half: rtt / 2, stop: stop}
	p.wg.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // closed
			}
			p.wg.Go(func() { p.serve(ctx, client) })
		}
	})
	return p, nil
}

func (p *delayProxy) address() string { return p.listener.Addr().String() }

// close ends every connection and waits for what served it.
func (p *delayProxy) close() {
	p.stop()
	p.listener.Close()
	p.wg.Wait()
}

// serve carries one connection. On loopback the client's connect returns at
// once; over a link it would return after a round trip, and the server would
// see the connection half a round trip after that. So the server is dialled
// three halves later, and what the client sent meanwhile waits.
func (p *delayProxy) serve(ctx context.Context, client net.Conn) {
	defer client.Close()
	select {
	case <-time.After(3 * p.half):
	case <-ctx.Done():
		return
	}
	server, err := (&net.Dialer{}).DialContext(ctx, "tcp", p.target)
	if err != nil {
		return // the client sees the connection end, as when a server hangs up
	}
	defer server.Close()
	defer context.AfterFunc(ctx, func() { client.Close(); server.Close() })()
	var both sync.WaitGroup
	both.Go(func() { relay(server, client, p.half) })
	both.Go(func() { relay(client, server, p.half) })
	both.Wait()
}

// underWay bounds the chunks of 32 KiB that are under way in one direction: 128
// MiB, far more than a few SSH windows of 2 MiB can hold.
const underWay = 4096

// relay copies from src to dst, each chunk half a round trip later, until src
// ends or dst takes no more. Then dst gets to know, just as late.
func relay(dst io.Writer, src io.Reader, half time.Duration) {
	type chunk struct {
		due  time.Time
		data []byte
	}
	queue := make(chan chunk, underWay)
	gone := make(chan struct{})
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(queue)
		buf := make([]byte, 32<<10)
		for {
			n, err := src.Read(buf)
			c := chunk{due: time.Now().Add(half), data: append([]byte(nil), buf[:n]...)}
			select {
			case queue <- c: // without data it is the end, which is late as well
			case <-gone:
				return
			}
			if err != nil {
				return
			}
		}
	})
	for c := range queue {
		time.Sleep(time.Until(c.due))
		if len(c.data) == 0 {
			continue
		}
		if _, err := dst.Write(c.data); err != nil {
			break
		}
	}
	close(gone)
	if half, ok := dst.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite() // it may be gone already
	}
	// A reader that still waits for its peer is let go: nobody takes what it
	// would bring.
	if half, ok := src.(interface{ CloseRead() error }); ok {
		_ = half.CloseRead()
	}
	reader.Wait()
}

// measureRTT asks a proxied echo server for the round-trip time that the proxy
// really makes.
func measureRTT(rtt time.Duration) (median float64, err error) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("listen for the echo: %w", err)
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	defer echo.Close()
	wg.Go(func() {
		conn, err := echo.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.Copy(conn, conn)
	})
	address := echo.Addr().String()
	if rtt > 0 {
		proxy, err := startProxy(address, rtt)
		if err != nil {
			return 0, err
		}
		defer proxy.close()
		address = proxy.address()
	}
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return 0, fmt.Errorf("dial the echo: %w", err)
	}
	defer conn.Close()
	var times []float64
	for i := range 21 {
		begun := time.Now()
		if _, err := conn.Write([]byte{1}); err != nil {
			return 0, fmt.Errorf("write to the echo: %w", err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
			return 0, fmt.Errorf("read from the echo: %w", err)
		}
		if i > 0 { // the first waits for the connection
			times = append(times, time.Since(begun).Seconds()*1e3)
		}
	}
	return spreadOf(times).Median, nil
}
