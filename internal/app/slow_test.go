package app

import (
	"bufio"
	"cmp"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/internal/intake"
)

// pipes is a listener in memory.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// A sender that is slow with its headers or its body is cut in bounded time,
// nothing of it is stored, and another one is answered meanwhile.
func TestSlowSendersAreCut(t *testing.T) {
	const head = "POST /webhook/%s HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\nContent-Type: application/json\r\n"
	for name, tc := range map[string]struct {
		first  string        // sent at once, then a byte each second
		within time.Duration // until the connection ends
		status string        // of the answer; "": 4xx or none
	}{
		"headers":            {"POST /webhook/generic HTTP/1.1\r\nX-Slow: ", 6 * time.Second, ""},
		"nothing at all":     {"", 6 * time.Second, ""},
		"body":               {strings.ReplaceAll(head, "%s", "generic") + "\r\n{", 30 * time.Second, "408"},
		"body of a form":     {strings.ReplaceAll(head, "%s", "uptime-kuma") + "\r\n{", 30 * time.Second, "408"},
		"body to no webhook": {strings.ReplaceAll(head, "%s", "none") + "\r\n{", 30 * time.Second, "404"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := &keeper{}
				h, err := intake.Handler(intake.Config{Receiver: k, Logger: slog.New(slog.DiscardHandler)})
				if err != nil {
					t.Fatal(err)
				}
				srv, listener := newServer(h, slog.New(slog.DiscardHandler)), newPipes()
				served := make(chan error, 1)
				go func() { served <- srv.Serve(listener) }()

				slow, begun := listener.dial(), time.Now()
				gone := make(chan struct{})
				go func() {
					defer close(gone)
					for _, b := range append([]string{tc.first}, strings.Split(strings.Repeat("x", 1000), "")...) {
						if _, err := io.WriteString(slow, b); err != nil {
							return
						}
						time.Sleep(time.Second)
					}
				}()
				answer := make(chan string, 1)
				go func() {
					all, _ := io.ReadAll(slow)
					answer <- string(all)
				}()

				other := listener.dial()
				good := `{"name": "Good"}`
				r, err := http.NewRequest("POST", "http://h/webhook/generic", strings.NewReader(good))
				if err != nil {
					t.Fatal(err)
				}
				go r.Write(other)
				resp, err := http.ReadResponse(bufio.NewReader(other), r)
				if err != nil || resp.StatusCode != 200 {
					t.Errorf("the other sender: %v, %v", resp, err)
				}
				other.Close()

				got := <-answer
				if took := time.Since(begun); took > tc.within {
					t.Errorf("the connection ended after %v, want within %v", took, tc.within)
				}
				// net/http answers what it has not read to its headers' end in its own way.
				if !strings.HasPrefix(got, "HTTP/1.1 "+cmp.Or(tc.status, "4")) && got+tc.status != "" {
					t.Errorf("answered %.300q, want %s", got, tc.status)
				}
				if len(k.got) != 1 || k.got[0].Name != "Good" {
					t.Errorf("stored %+v", k.got)
				}
				slow.Close()
				<-gone
				if err := srv.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				<-served
			})
		})
	}
}
