// Package httpapi is what the clients of all providers have in common: how an
// address is asked so that the key goes nowhere else, answers are bounded, and
// no text from outside brings a key or an escape into an error.
package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lifeline/internal/llm"
)

const (
	// MaxRetries is how often a question that may pass is repeated.
	MaxRetries = 2
	// MaxRetryWait is the longest retry-after that is waited for: an incident
	// does not wait longer, it goes to a person.
	MaxRetryWait = 60 * time.Second
	// MaxAnswer bounds the body of an answer, in bytes. The longest answers are
	// a few hundred kilobytes.
	MaxAnswer = 8 << 20
)

// ErrRedirect is the cause where an address redirects: the next address would
// get the key too.
var ErrRedirect = errors.New("the address redirects elsewhere, which is not followed: set model.base_url to the final address")

var errTooLarge = fmt.Errorf("the answer is longer than %d bytes", MaxAnswer)

// Client follows no redirect and waits no longer than timeout for an answer to
// begin.
func Client(timeout time.Duration) *http.Client {
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		ForceAttemptHTTP2:     true,
		MaxIdleConns:          10,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   15 * time.Second,
		ResponseHeaderTimeout: timeout,
		ExpectContinueTimeout: time.Second,
	}
	return &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return ErrRedirect }}
}

// CheckKey refuses a key that cannot stand in a header.
func CheckKey(key string) error {
	if strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return errors.New("the API key has a character that no key has, such as a space or a line's end")
	}
	return nil
}

// ParseBaseURL reads the address of an API. Its errors show no password.
func ParseBaseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The cause would repeat the address, which may hold a password.
		return nil, errors.New("Config.BaseURL is not a URL")
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("Config.BaseURL %s: want http://HOST[:PORT][/PATH] or https://…", u.Redacted())
	}
	return u, nil
}

// Bounded fails where an answer is longer than it can be.
func Bounded(body io.ReadCloser) io.ReadCloser {
	return &boundedBody{ReadCloser: body, left: MaxAnswer}
}

type boundedBody struct {
	io.ReadCloser
	left int64
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errTooLarge
	}
	return n, err
}

// TooLarge reports whether a reading ended at the bound.
func TooLarge(err error) bool { return errors.Is(err, errTooLarge) }

// RetryAfter reads what a provider asks for: milliseconds, seconds or a date; 0
// if it asks for nothing.
func RetryAfter(h http.Header) time.Duration {
	for _, in := range []struct {
		header string
		unit   time.Duration
	}{{"Retry-After-Ms", time.Millisecond}, {"Retry-After", time.Second}} {
		if n, err := strconv.ParseFloat(h.Get(in.header), 64); err == nil {
			if !(n > 0) { // NaN too
				return 0
			}
			return time.Duration(min(n*float64(in.unit), float64(365*24*time.Hour)))
		}
	}
	if at, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		return max(0, time.Until(at).Round(time.Second))
	}
	return 0
}

// Clean bounds a text from outside and takes the key out of it: a gateway may
// say what it was sent.
func Clean(text, key string) string {
	if key != "" {
		text = strings.ReplaceAll(text, key, "[key]")
	}
	return llm.Line(text, 300)
}

// Quiet keeps a cause for errors.Is without its text, which may hold the
// address with its password.
type Quiet struct{ Cause error }

func (Quiet) Error() string          { return "see the message" }
func (q Quiet) Is(target error) bool { return errors.Is(q.Cause, target) }
