package llm

import (
	"fmt"
	"strings"
	"time"
)

// Class is the kind of a model's failure: what a caller can do about it.
type Class string

const (
	// ClassUnavailable: no connection, or the provider failed, and the retries
	// are used up.
	ClassUnavailable Class = "unavailable"
	// ClassOverloaded: the provider has no capacity at the moment.
	ClassOverloaded Class = "overloaded"
	// ClassRateLimited: this account asks too often; it passes by itself.
	ClassRateLimited Class = "rate_limited"
	// ClassSpendingLimit: money or credit is used up. Retrying cannot help.
	ClassSpendingLimit Class = "spending_limit"
	// ClassAuthentication: the key is missing, wrong or not allowed to do this.
	ClassAuthentication Class = "authentication"
	// ClassInvalidRequest: the provider does not accept the question, or does
	// not know the model. Retrying cannot help.
	ClassInvalidRequest Class = "invalid_request"
	// ClassTimeout: no answer in time.
	ClassTimeout Class = "timeout"
	// ClassBroken: an answer came that cannot be read, or broke off.
	ClassBroken Class = "broken"
)

// Hint says what a person can do about it.
func (c Class) Hint() string {
	switch c {
	case ClassUnavailable:
		return "look at the network, at model.base_url and at the provider's status page"
	case ClassOverloaded:
		return "the provider is short of capacity: wait, or choose another model with model.name"
	case ClassRateLimited:
		return "ask the provider for a higher rate limit, or let fewer incidents run at once"
	case ClassSpendingLimit:
		return "raise the spending limit or buy credit in the provider's console"
	case ClassAuthentication:
		return "set model.api_key_file, or ANTHROPIC_API_KEY or OPENAI_API_KEY as model.provider says, to a key that is valid for this model"
	case ClassInvalidRequest:
		return "check model.name and model.max_tokens"
	case ClassTimeout:
		return "raise model.request_timeout, or choose a faster model with model.name"
	case ClassBroken:
		return "if model.base_url names a gateway, check that it speaks the provider's protocol"
	}
	return ""
}

// Error is a failure to get an answer. It never holds the key.
type Error struct {
	Class Class `json:"class"`
	// Model that was asked.
	Model string `json:"model"`
	// Message is the provider's, or ours, in a sentence. Text from outside in it
	// is bounded and has no control characters.
	Message string `json:"message"`
	// Status is the HTTP status; 0 if none came.
	Status int `json:"status,omitempty"`
	// RequestID is the provider's, for a question to its support.
	RequestID string `json:"request_id,omitempty"`
	// RetryAfter is what the provider asked for; 0 if it did not.
	RetryAfter time.Duration `json:"retry_after_ns,omitempty"`
	// Err is the cause; nil after a round trip through JSON.
	Err error `json:"-"`
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "model %s: %s", e.Model, strings.ReplaceAll(string(e.Class), "_", " "))
	var detail []string
	if e.Status != 0 {
		detail = append(detail, fmt.Sprintf("HTTP %d", e.Status))
	}
	if e.RetryAfter > 0 {
		detail = append(detail, fmt.Sprintf("try again in %s", e.RetryAfter))
	}
	if e.RequestID != "" {
		detail = append(detail, "request "+e.RequestID)
	}
	if len(detail) > 0 {
		fmt.Fprintf(&b, " (%s)", strings.Join(detail, ", "))
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }
