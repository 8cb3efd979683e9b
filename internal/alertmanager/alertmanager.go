// Package alertmanager asks an Alertmanager, over its API v2, what fires and
// what is silenced, and silences an alert for the time of a repair.
//
//	c, err := alertmanager.New(alertmanager.Config{URLs: []string{"http://127.0.0.1:9093"}})
//	firing, err := c.Firing(ctx, alerts)
//
// Of several addresses, the members of one cluster, the first that answers is
// the one that counts. Guaranteed: answers are bounded, redirects are not
// followed, the account goes to the configured addresses only, and "does not
// fire" is said only by an Alertmanager that must know.
//
// The client is written by hand: four calls do not need the generated one and
// the runtime that comes with it.
package alertmanager

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds an answer. An alert is about 1 KiB.
const maxAnswer = 16 << 20

// Config of a Client.
type Config struct {
	// URLs are the addresses of one Alertmanager, or of the members of a cluster.
	URLs []string
	// Username and Password for HTTP basic authentication, or Token for bearer.
	Username, Password, Token string
	// Roots are what its certificate must be signed by; nil: the system's.
	Roots *x509.CertPool
	// Timeout of one request; 0: 10 s.
	Timeout time.Duration
}

// String keeps the secrets out of whatever prints it.
func (c Config) String() string { return "Alertmanager " + strings.Join(c.URLs, ", ") }

// GoString is String.
func (c Config) GoString() string { return c.String() }

// Client asks an Alertmanager. It is safe for concurrent use.
type Client struct {
	cfg  Config
	http *http.Client
}

// New prepares a Client. It connects to nothing.
func New(cfg Config) (*Client, error) {
	if len(cfg.URLs) == 0 {
		return nil, errors.New("alertmanager: Config.URLs is empty")
	}
	for _, raw := range cfg.URLs {
		u, err := url.Parse(raw)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			return nil, errors.New("alertmanager: Config.URLs: want URLs such as http://127.0.0.1:9093")
		}
	}
	return &Client{cfg: cfg, http: &http.Client{
		Timeout: cmp.Or(cfg.Timeout, 10*time.Second),
		Transport: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   &tls.Config{RootCAs: cfg.Roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
			IdleConnTimeout:   30 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Close closes the connections that are not used.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// each asks one address after the other until one answers. What a reachable one
// refuses, another of the same cluster would refuse too.
func (c *Client) each(ctx context.Context, ask func(base string) error) error {
	var all []error
	for _, base := range c.cfg.URLs {
		err := ask(strings.TrimRight(base, "/") + "/api/v2")
		if err == nil {
			return nil
		}
		all = append(all, fmt.Errorf("%s: %w", base, err))
		if refused, ok := errors.AsType[*refusal](err); ok && refused.status/100 == 4 || ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("ask Alertmanager: %w", errors.Join(all...))
}

// refusal is an answer with another status than 200.
type refusal struct {
	status int
	says   string
}

func (r *refusal) Error() string { return fmt.Sprintf("status %d: %s", r.status, r.says) }

// call makes one request. in is sent as JSON unless it is nil, and the answer
// read into out unless that is nil.
func (c *Client) call(ctx context.Context, method, address string, in, out any) error {
	var body io.Reader
	if in != nil {
		sent, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(sent)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "lifeline")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	switch {
	case c.cfg.Token != "":
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	case c.cfg.Password != "":
		req.SetBasicAuth(c.cfg.Username, c.cfg.Password)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok { // without the address, which is long and stands before it
			err = e.Err
		}
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case len(answer) > maxAnswer:
		return fmt.Errorf("the answer is longer than %d MiB", maxAnswer>>20)
	case resp.StatusCode != http.StatusOK:
		return &refusal{resp.StatusCode, line(string(answer))}
	case out == nil:
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("the answer cannot be read: %w", err)
	}
	return nil
}

// line bounds text from outside.
func line(s string) string {
	s = strings.Join(strings.Fields(strings.ToValidUTF8(s, "\uFFFD")), " ")
	if short := []rune(s); len(short) > 200 {
		return string(short[:200]) + "…"
	}
	return s
}
