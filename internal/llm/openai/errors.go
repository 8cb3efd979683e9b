package openai

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"lifeline/internal/llm"
	"lifeline/internal/llm/httpapi"
)

// problem is an error as providers write it.
type problem struct {
	Message string
	Type    string
	Code    string // a word, or an HTTP status
}

func (p *problem) Error() string {
	return cmp.Or(p.Message, p.Code, p.Type, "an error without a message")
}

// status is the HTTP status in the code; 500 if it has none.
func (p *problem) status() int {
	if n, err := strconv.Atoi(p.Code); err == nil && n >= 400 && n < 600 {
		return n
	}
	return http.StatusInternalServerError
}

// UnmarshalJSON takes a text, or an object whose fields may have any type: a
// gateway's code is a number where OpenAI's is a word or null.
func (p *problem) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &p.Message) == nil {
		return nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return err
	}
	for name, into := range map[string]*string{"message": &p.Message, "type": &p.Type, "code": &p.Code} {
		raw := fields[name]
		if json.Unmarshal(raw, into) != nil && len(raw) > 0 {
			*into = string(raw)
		}
	}
	return nil
}

// readProblem reads the body of a failure: {"error": {…}}, {"error": "…"}, or
// the error itself, as older versions of vLLM write it. What is none of these
// is the message as it is.
func readProblem(body []byte) problem {
	var wrapped struct {
		Error *problem `json:"error"`
	}
	if json.Unmarshal(body, &wrapped) == nil && wrapped.Error != nil {
		return *wrapped.Error
	}
	var bare problem
	if json.Unmarshal(body, &bare) == nil && bare.Message != "" {
		return bare
	}
	return problem{Message: string(body)}
}

// spendingLimit tells money that is used up from a rate that is too high: both
// can be a 429, and only one of them passes.
func (p problem) spendingLimit(status int) bool {
	message := strings.ToLower(p.Message)
	switch {
	case status == http.StatusPaymentRequired,
		p.Code == "insufficient_quota", p.Type == "insufficient_quota",
		p.Code == "billing_hard_limit_reached", p.Code == "billing_not_active":
		return true
	}
	return strings.Contains(message, "exceeded your current quota") || strings.Contains(message, "insufficient balance") ||
		strings.Contains(message, "insufficient credits")
}

// classOf gives the class of a failure and whether another try may help.
func classOf(status int, p problem) (class llm.Class, again bool) {
	message := strings.ToLower(p.Message)
	switch {
	case p.spendingLimit(status):
		return llm.ClassSpendingLimit, false
	case status == 529, status == http.StatusServiceUnavailable && (strings.Contains(message, "overloaded") || strings.Contains(message, "capacity") || strings.Contains(message, "slow down")):
		return llm.ClassOverloaded, true
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return llm.ClassAuthentication, false
	case status == http.StatusTooManyRequests:
		return llm.ClassRateLimited, true
	case status == http.StatusRequestTimeout, status == http.StatusGatewayTimeout:
		return llm.ClassTimeout, true
	case status == http.StatusConflict, status >= 500:
		return llm.ClassUnavailable, true
	}
	return llm.ClassInvalidRequest, false
}

// classify turns what the SDK gives into an *llm.Error and says whether another
// try may help. Only a cancelled ctx stays what it is: then nobody waits for
// the answer.
func (c *Client) classify(ctx context.Context, err error, s seen) (_ error, again bool) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("ask %s: %w", c.cfg.Model, context.Cause(ctx)), false
	}
	out := &llm.Error{Class: llm.ClassUnavailable, Model: c.cfg.Model, Err: httpapi.Quiet{Cause: err}}
	if s.status >= 400 {
		p := readProblem(s.body)
		out.Status, out.RequestID, out.RetryAfter = s.status, c.clean(s.header.Get("X-Request-Id")), httpapi.RetryAfter(s.header)
		out.Class, again = classOf(s.status, p)
		out.Message = c.clean(cmp.Or(p.Message, http.StatusText(s.status)))
		return out, again
	}
	transport, isTransport := errors.AsType[*url.Error](err)
	switch {
	case errors.Is(err, httpapi.ErrRedirect):
		out.Class, out.Message = llm.ClassInvalidRequest, httpapi.ErrRedirect.Error()
	case errors.Is(err, context.DeadlineExceeded), isTransport && transport.Timeout():
		out.Class, out.Message, again = llm.ClassTimeout, "no answer from "+c.host+" in time", ctx.Err() == nil
	case isTransport: // its own text would repeat the address, which may hold a password
		out.Message, again = c.clean("no connection to "+c.host+": "+transport.Err.Error()), true
	default:
		// What broke off may pass; what came whole and cannot be read is the same again.
		whole := httpapi.TooLarge(err) || !strings.Contains(err.Error(), "reading response body")
		out.Class, out.Message, again = llm.ClassBroken, c.clean(err.Error()), !whole
	}
	return out, again
}

// clean is a text from outside without the key.
func (c *Client) clean(s string) string { return httpapi.Clean(s, c.cfg.APIKey) }
