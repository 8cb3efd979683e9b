// Package probe makes the owner's checks that Lifeline makes itself, from its
// own process: over HTTP, over TCP, and by a Prometheus query.
//
//	p, err := probe.New(probe.Config{Prometheus: probe.Server{URL: "http://127.0.0.1:9090"}})
//	detail, ok, err := p.Check(ctx, lifeline.Check{HTTP: "http://nexus:8080/health"})
//
// Guaranteed: a check ends within its timeout; no more than 64 KiB of an answer
// are read for one over HTTP or TCP, and 4 MiB for a query; a certificate is
// verified; nothing is followed to another host than the one that the check
// names. Connections are not kept: that one could be opened is part of the proof.
//
// A check of a command is none of its own: that goes through the door.
package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"

	"lifeline"
)

// maxBody bounds what is read of an answer.
const maxBody = 64 << 10

// maxHops bounds the redirects that are followed on the host itself.
const maxHops = 5

// Config of a Prober.
type Config struct {
	// Prometheus is the server for queries; without a URL they cannot be made.
	Prometheus Server
	// Roots are what certificates of HTTP checks must be signed by; nil: the
	// system's.
	Roots *x509.CertPool
}

// Prober makes checks. It is safe for concurrent use.
type Prober struct {
	http   *http.Client
	dialer *net.Dialer
	// query is nil without a server.
	query prometheus.API
}

// New prepares a Prober. It connects to nothing.
func New(cfg Config) (*Prober, error) {
	dialer := &net.Dialer{}
	p := &Prober{dialer: dialer, http: &http.Client{
		Transport: &http.Transport{ // no proxy: the check is about the thing itself
			DialContext:       dialer.DialContext,
			TLSClientConfig:   &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true,
			ForceAttemptHTTP2: true,
		},
	}}
	if cfg.Prometheus.URL != "" {
		api, err := cfg.Prometheus.client()
		if err != nil {
			return nil, err
		}
		p.query = api
	}
	return p, nil
}

// Check makes one try of a check. detail says what came back, in one line for a
// person. The error means that it could not be made: that says nothing about
// the thing, and is no success either.
func (p *Prober) Check(ctx context.Context, c lifeline.Check) (detail string, ok bool, err error) {
	if field, text := c.Fault(); text != "" {
		return "", false, fmt.Errorf("%s %s", cmp.Or(field, "the check"), text)
	}
	timeout := cmp.Or(c.Timeout, lifeline.CheckTimeout)
	within, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("no answer within %s", timeout))
	defer cancel()
	switch {
	case c.HTTP != "":
		detail, ok, err = p.get(within, c)
	case c.TCP != "":
		detail, ok, err = p.connect(within, c)
	case c.Prometheus != "":
		detail, ok, err = p.ask(within, c)
	default:
		return "", false, errors.New("a command is not checked from here: it goes through the door")
	}
	if ctx.Err() != nil { // the caller's end, not the thing's
		return "", false, context.Cause(ctx)
	}
	return detail, ok, err
}

// get makes a check over HTTP.
func (p *Prober) get(ctx context.Context, c lifeline.Check) (string, bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.HTTP, nil)
	if err != nil {
		return "", false, err
	}
	req.Header.Set("User-Agent", "lifeline")
	client := *p.http
	client.CheckRedirect = func(next *http.Request, via []*http.Request) error {
		first := via[0].URL
		switch {
		case c.Status >= 300 && c.Status < 400, // the redirect is what is wanted
			!strings.EqualFold(next.URL.Hostname(), first.Hostname()),
			first.Scheme == "https" && next.URL.Scheme != "https",
			len(via) >= maxHops:
			return http.ErrUseLastResponse
		}
		return nil
	}
	resp, err := client.Do(req)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil && c.Expect != "" {
		return unanswered(ctx, fmt.Errorf("status %d, and then: %w", resp.StatusCode, err))
	}
	detail := fmt.Sprintf("status %d", resp.StatusCode)
	if to := resp.Header.Get("Location"); to != "" {
		detail += " to " + line(to)
	}
	good := resp.StatusCode == c.Status || c.Status == 0 && resp.StatusCode/100 == 2
	if !good {
		want := "any 2xx"
		if c.Status != 0 {
			want = fmt.Sprint(c.Status)
		}
		return detail + ", want " + want + said(body), false, nil
	}
	return matched(detail, body, c.Expect)
}

// connect makes a check over TCP. A greeting may come in pieces: it is read
// until it matches.
func (p *Prober) connect(ctx context.Context, c lifeline.Check) (string, bool, error) {
	conn, err := p.dialer.DialContext(ctx, "tcp", c.TCP)
	if err != nil {
		return unanswered(ctx, err)
	}
	defer conn.Close()
	if c.Expect == "" {
		return "connected", true, nil
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return "", false, err
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	want, err := regexp.Compile(c.Expect)
	if err != nil {
		return "", false, err
	}
	greeting := make([]byte, 0, 512)
	for len(greeting) < maxBody {
		chunk := make([]byte, 512)
		n, err := conn.Read(chunk)
		greeting = append(greeting, chunk[:n]...)
		if want.Match(greeting) {
			return matched("connected", greeting, c.Expect)
		}
		if err != nil {
			break
		}
	}
	return matched("connected", greeting, c.Expect)
}

// matched holds an answer against the expression.
func matched(detail string, answer []byte, expect string) (string, bool, error) {
	if expect == "" {
		return detail, true, nil
	}
	want, err := regexp.Compile(expect)
	if err != nil {
		return "", false, err
	}
	if !want.Match(answer) {
		return fmt.Sprintf("%s, but nothing matches /%s/%s", detail, expect, said(answer)), false, nil
	}
	return fmt.Sprintf("%s, /%s/ matches", detail, expect), true, nil
}

// unanswered tells a thing that does not answer from a check that could not be
// made: a name that is not found, a network that cannot be reached, and a
// signer that is not known say nothing about the thing.
func unanswered(ctx context.Context, err error) (string, bool, error) {
	if cause := context.Cause(ctx); cause != nil && ctx.Err() != nil {
		return cause.Error(), false, nil
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return "", false, dns
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "", false, unknown
	}
	if unreachable(err) {
		return "", false, inner(err)
	}
	return line(inner(err).Error()), false, nil
}

// inner is an error without the address, which stands beside it already.
func inner(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
		return op.Err
	}
	return err
}

// said quotes the beginning of an answer.
func said(answer []byte) string {
	text := line(string(answer))
	if text == "" {
		return "; it said nothing"
	}
	return fmt.Sprintf("; it said %q", text)
}

// line bounds text from outside.
func line(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if short := []rune(s); len(short) > 160 {
		return string(short[:160]) + "…"
	}
	return s
}
