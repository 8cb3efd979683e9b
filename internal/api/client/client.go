// Package client asks a running Lifeline through its API.
//
//	c, err := client.New(client.Config{Server: "https://lifeline.example.net", Token: token})
//	page, err := c.Incidents(ctx, lifeline.IncidentQuery{})
//
// Errors are *lifeline.Error with the cause, the sentence and the hint of the
// server's problem document, so that a command ends with the same status as on the
// machine itself. A token is never sent elsewhere: redirects are not followed, and
// over plain HTTP only to this machine.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"lifeline"
)

// Config of a Client.
type Config struct {
	// Server is the address of a Lifeline: http://HOST:PORT or https://HOST, with
	// the path below which it is served, if there is one.
	Server string
	// Token of lifeline token; "": none is sent.
	Token string
	// HTTP makes the requests; nil: one of its own with a bound of two minutes.
	HTTP *http.Client
}

// Client asks one Lifeline. It is safe for concurrent use.
type Client struct {
	server string
	token  string
	http   *http.Client
}

// answerMost bounds an answer, in bytes: the longest is a case with all its outputs.
const answerMost = 256 << 20

// New checks the address.
func New(cfg Config) (*Client, error) {
	u, err := url.Parse(cfg.Server)
	wrong := func(what string) error {
		return &lifeline.Error{Code: lifeline.CodeUsage, Message: "the server's address " + what, Hint: "want http://HOST:PORT or https://HOST, such as http://127.0.0.1:8674"}
	}
	switch {
	case err != nil: // it may hold a password: it is not shown
		return nil, wrong("cannot be read")
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, wrong("is not one of HTTP")
	case u.User != nil:
		return nil, wrong("has an account in it: give a token with --token-file")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, wrong("has more than a host and a path")
	case cfg.Token != "" && u.Scheme == "http" && !here(u.Hostname()):
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: "a token is not sent over plain HTTP to another machine: everybody between could read it", Hint: "use https://"}
	case strings.ContainsAny(cfg.Token, " \t\r\n\x00"):
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: "the token is more than one word", Hint: "the file of a token has nothing else in it"}
	}
	c := &Client{server: strings.TrimRight(u.String(), "/"), token: cfg.Token, http: cfg.HTTP}
	if c.http == nil {
		c.http = &http.Client{Timeout: 2 * time.Minute}
	}
	own := *c.http
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &own
	return c, nil
}

// here reports whether a host is this machine alone.
func here(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// problem is an error of the server.
type problem struct {
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Code   string `json:"code"`
	Rule   string `json:"rule"`
	Next   string `json:"next"`
}

// call sends in, unless it is nil, and reads the answer into out.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	answer, err := c.send(ctx, method, path, query, in, "application/json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return c.stranger(fmt.Errorf("read its answer: %w", err))
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, query url.Values, in any, accept string) ([]byte, error) {
	address := c.server + "/api/v1" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: "the request cannot be made", Err: err}
	}
	req.Header.Set("Accept", accept)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if method != http.MethodGet { // net/http sends it again where the connection broke before anything came back
		req.Header.Set("Idempotency-Key", rand.Text())
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, answerMost+1))
	switch {
	case err != nil:
		return nil, c.unreachable(err)
	case len(answer) > answerMost:
		return nil, c.stranger(fmt.Errorf("its answer is longer than %d bytes", answerMost))
	case resp.StatusCode >= 300:
		return nil, c.refused(resp, answer)
	}
	return answer, nil
}

// unreachable is the error where no answer came, or not the whole of one.
func (c *Client) unreachable(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // the address is said already
	}
	e := &lifeline.Error{Code: lifeline.CodeUnreachable, Message: "ask Lifeline at " + c.server, Err: err, Hint: "does lifeline serve run there? curl " + c.server + "/healthz"}
	if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() {
		e.Code = lifeline.CodeTimeout
	}
	return e
}

// stranger is the error where something answers that is no Lifeline of ours.
func (c *Client) stranger(err error) error {
	return &lifeline.Error{Code: lifeline.CodeInternal, Message: "what answers at " + c.server + " is no Lifeline that this one understands", Err: err,
		Hint: "look at the address, and at lifeline version on both sides"}
}

// refused is the error that the server's problem document says.
func (c *Client) refused(resp *http.Response, answer []byte) error {
	kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	var p problem
	if kind != "application/problem+json" || json.Unmarshal(answer, &p) != nil || p.Detail == "" {
		return c.stranger(errors.New("it answers " + strconv.Itoa(resp.StatusCode) + " " + http.StatusText(resp.StatusCode)))
	}
	e := &lifeline.Error{Code: lifeline.Code(p.Code), Message: p.Detail, Rule: p.Rule, Hint: p.Next}
	switch p.Code {
	case "unauthenticated":
		e.Code, e.Hint = lifeline.CodeAuth, "give a token with --token-file or $LIFELINE_TOKEN: lifeline token create makes one on the machine of "+c.server
	case "invalid":
		e.Code = lifeline.CodeUsage
	case "under_way":
		e.Code = lifeline.CodeUnknown
	case "too_many":
		e.Code = lifeline.CodeTimeout
	}
	return e
}
