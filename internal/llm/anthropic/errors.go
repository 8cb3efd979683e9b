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
	"strings"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"lifeline/internal/llm"
	"lifeline/internal/llm/httpapi"
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
		resp.Body = httpapi.Bounded(resp.Body)
		return resp, nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is enough to classify it
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	wait := httpapi.RetryAfter(resp.Header)
	tooLong := wait > httpapi.MaxRetryWait || !w.deadline.IsZero() && time.Now().Add(wait).After(w.deadline)
	if tooLong || readProblem(body).spendingLimit(resp.StatusCode) {
		resp.Header.Set("X-Should-Retry", "false")
	}
	return resp, nil
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
	out := &llm.Error{Class: llm.ClassUnavailable, Model: c.cfg.Model, Err: httpapi.Quiet{Cause: err}}
	if apiErr, ok := errors.AsType[*sdk.Error](err); ok {
		p := readProblem([]byte(apiErr.RawJSON()))
		out.Status, out.RequestID = apiErr.StatusCode, c.clean(apiErr.RequestID)
		out.Class = classOf(apiErr.StatusCode, p)
		out.RetryAfter = httpapi.RetryAfter(apiErr.Response.Header)
		out.Message = c.clean(cmp.Or(p.Error.Message, apiErr.RawJSON(), http.StatusText(apiErr.StatusCode)))
		return out
	}
	transport, isTransport := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, httpapi.ErrRedirect):
		out.Class, out.Message = llm.ClassInvalidRequest, httpapi.ErrRedirect.Error()
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

// clean is a text from outside without the key.
func (c *Client) clean(s string) string { return httpapi.Clean(s, c.cfg.APIKey) }
