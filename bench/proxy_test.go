package main

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// What is written arrives half a round trip later, however much is under way,
// in order, and so does the end.
func TestRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const half, chunks = 25 * time.Millisecond, 300
		in, from := net.Pipe()
		to, out := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			relay(to, from, half)
			to.Close()
		})
		begun := time.Now()
		chunk := bytes.Repeat([]byte("x"), 1000)
		wg.Go(func() {
			for i := range chunks {
				chunk[0] = byte(i)
				if _, err := in.Write(chunk); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(10 * time.Millisecond)
			in.Close()
		})
		got := make([]byte, len(chunk))
		for i := range chunks {
			if _, err := io.ReadFull(out, got); err != nil {
				t.Fatal(err)
			}
			if got[0] != byte(i) {
				t.Fatalf("chunk %d is number %d", i, got[0])
			}
			if took := time.Since(begun); took != half {
				t.Fatalf("chunk %d arrived after %v, want %v", i, took, half)
			}
		}
		if n, err := out.Read(got); err != io.EOF {
			t.Errorf("%d more bytes, %v; want the end", n, err)
		}
		if took := time.Since(begun); took != half+10*time.Millisecond {
			t.Errorf("the end arrived after %v, want %v", took, half+10*time.Millisecond)
		}
		wg.Wait()
	})
}

// A receiver that goes away does not leave the relay behind.
func TestRelayEndsWithItsReceiver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in, from := net.Pipe()
		to, out := net.Pipe()
		var wg sync.WaitGroup
		wg.Go(func() {
			relay(to, closeReader{from}, time.Millisecond)
		})
		out.Close()
		if _, err := in.Write([]byte("into the void")); err != nil {
			t.Error(err)
		}
		wg.Wait() // a bubble that cannot go on fails the test
		in.Close()
	})
}

// closeReader gives a pipe what a TCP connection has.
type closeReader struct{ net.Conn }

func (c closeReader) CloseRead() error { return c.Close() }

// Through the proxy both sides say everything that they have to say, and no
// answer comes before a round trip.
func TestProxy(t *testing.T) {
	const rtt = 20 * time.Millisecond
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		conn, err := l.Accept()
		if err != nil {
			t.Error(err)
			return
		}
		defer conn.Close()
		all, err := io.ReadAll(conn) // until the client has closed its side
		if err != nil {
			t.Error(err)
		}
		if _, err := conn.Write(all); err != nil {
			t.Error(err)
		}
	})
	p, err := startProxy(l.Addr().String(), rtt)
	if err != nil {
		t.Fatal(err)
	}
	defer p.close()
	begun := time.Now()
	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	wg.Go(func() {
		if _, err := conn.Write(want); err != nil {
			t.Error(err)
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
	})
	got, err := io.ReadAll(conn)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes came back of %d, %v", len(got), len(want), err)
	}
	if took := time.Since(begun); took < 2*rtt { // one to connect, one to and fro
		t.Errorf("it took %v, less than two round trips", took)
	}
}

// A proxy to nobody ends the connection, and closes with one still open.
func TestProxyToNobody(t *testing.T) {
	nobody, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	p, err := startProxy(nobody, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", p.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if n, err := conn.Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes from nobody", n)
	}
	p.close()
}

func TestMeasureRTT(t *testing.T) {
	ms, err := measureRTT(4 * time.Millisecond)
	if err != nil || ms < 4 {
		t.Errorf("%.2f ms, %v; want at least 4", ms, err)
	}
}
