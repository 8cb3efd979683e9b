package anthropic

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"lifeline/internal/llm"
)

var (
	errRedirect = errors.New("the address redirects elsewhere, which is not followed: set model.base_url to the final address")
	errTooLarge = fmt.Errorf("the answer is longer than %d bytes", maxAnswer)
)

// watcher looks at each try before the SDK decides whether to repeat it. The
// SDK repeats every 429 and waits for as long as the server says.
type watcher struct {
	// deadline of the caller; zero: none.
	deadline time.Time
}

func (w watcher) attempt(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	resp, err := next(req)
	if err != nil || resp == nil {
		return resp, err
	}
	if resp.StatusCode < 400 {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswer}
		return resp, nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is enough to classify it
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	wait := retryAfter(resp.Header)
	tooLong := wait > MaxRetryWait || !w.deadline.IsZero() && time.Now().Add(wait).After(w.deadline)
	if tooLong || readProblem(body).spendingLimit(resp.StatusCode) {
		resp.Header.Set("X-Should-Retry", "false")
	}
	return resp, nil
}

// boundedBody fails where an answer is longer than it can be.
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

// problem is the body of the API's errors.
type problem struct {
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
		Details struct {
			Code string `json:"error_code"`
		} `json:"details"`
	} `json:"error"`
}

func readProblem(body []byte) problem {
	var p problem
	if json.Unmarshal(body, &p) != nil {
		return problem{}
	}
	return p
}

// spendingLimit tells money that is used up from a rate that is too high. Both
// can be a 429; a limit that the owner set, and credit that is used up, are a
// 400 that only its text tells from others.
func (p problem) spendingLimit(status int) bool {
	message := strings.ToLower(p.Error.Message)
	return status == http.StatusPaymentRequired || p.Error.Type == "billing_error" ||
		p.Error.Details.Code == "enforced_spend_limit_reached" ||
		strings.HasPrefix(message, "you have reached your specified") && strings.Contains(message, "api usage limits") ||
		strings.Contains(message, "credit balance is too low")
}

// classify turns what the SDK gives into an *llm.Error. Only a cancelled ctx
// stays what it is: then nobody waits for the answer.
func (c *Client) classify(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("ask %s: %w", c.cfg.Model, context.Cause(ctx))
	}
	out := &llm.Error{Class: llm.ClassUnavailable, Model: c.cfg.Model, Err: quiet{err}}
	if apiErr, ok := errors.AsType[*sdk.Error](err); ok {
		p := readProblem([]byte(apiErr.RawJSON()))
		out.Status, out.RequestID = apiErr.StatusCode, c.clean(apiErr.RequestID)
		out.Class = classOf(apiErr.StatusCode, p)
		out.RetryAfter = retryAfter(apiErr.Response.Header)
		out.Message = c.clean(cmp.Or(p.Error.Message, apiErr.RawJSON(), http.StatusText(apiErr.StatusCode)))
		return out
	}
	transport, isTransport := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, errRedirect):
		out.Class, out.Message = llm.ClassInvalidRequest, errRedirect.Error()
	case errors.Is(err, context.DeadlineExceeded), isTransport && transport.Timeout():
		out.Class, out.Message = llm.ClassTimeout, "no answer from "+c.host+" in time"
	case isTransport: // its own text would repeat the address, which may hold a password
		out.Message = c.clean("no connection to " + c.host + ": " + transport.Err.Error())
	default:
		out.Class, out.Message = llm.ClassBroken, c.clean(err.Error())
	}
	return out
}

func classOf(status int, p problem) llm.Class {
	switch {
	case p.spendingLimit(status):
		return llm.ClassSpendingLimit
	case status == 529 || p.Error.Type == "overloaded_error":
		return llm.ClassOverloaded
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return llm.ClassAuthentication
	case status == http.StatusTooManyRequests:
		return llm.ClassRateLimited
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return llm.ClassTimeout
	case status == http.StatusConflict, status >= 500:
		return llm.ClassUnavailable
	}
	return llm.ClassInvalidRequest
}

// retryAfter reads what the SDK waits by: milliseconds, seconds or a date; 0 if
// there is none.
func retryAfter(h http.Header) time.Duration {
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

// clean bounds a text from outside and takes the key out of it: a gateway may
// say what it was sent.
func (c *Client) clean(s string) string {
	return llm.Line(strings.ReplaceAll(s, c.cfg.APIKey, "[key]"), 300)
}

// quiet keeps a cause for errors.Is without its text, which may hold the
// address with its password.
type quiet struct{ err error }

func (quiet) Error() string          { return "see the message" }
func (q quiet) Is(target error) bool { return errors.Is(q.err, target) }
