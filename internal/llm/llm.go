// Package llm is a language model as the rest of Lifeline sees it, whoever
// provides it: a conversation goes in, an answer with texts and tool calls
// comes out.
//
//	resp, err := model.Complete(ctx, llm.Request{System: rules, Messages: messages, Tools: tools})
//	for call := range resp.Calls() { ... }
//
// All types can be written as JSON and read back without loss: an answer is
// kept as the result of a durable step. What goes wrong is an *Error with a
// Class to branch on. How text from outside is put before a model so that it
// reads as data is in Fence.
//
// The package holds no client: see internal/llm/anthropic and
// internal/llm/openai.
package llm

import (
	"context"
	"encoding/json"
	"iter"
	"strings"
)

// Model answers conversations. It is safe for concurrent use.
type Model interface {
	// Name is the model's name as its provider knows it.
	Name() string
	// Complete gives the model's next message. It retries what may pass, within
	// bounds and within ctx. The error is an *Error, except when ctx was
	// cancelled by the caller.
	Complete(ctx context.Context, req Request) (Response, error)
}

// Request is one question: the whole conversation so far.
type Request struct {
	// System is what the model is told about its role. It is the same for all
	// requests of a conversation, so that the provider can cache it.
	System string `json:"system,omitempty"`
	// Messages alternate; the first and the last are the user's.
	Messages []Message `json:"messages"`
	// Tools that the model may call.
	Tools []Tool `json:"tools,omitempty"`
	// MaxTokens bounds the answer; 0 takes the client's default.
	MaxTokens int `json:"max_tokens,omitempty"`
}

// Role says who speaks.
type Role string

const (
	User      Role = "user" // us, with the results of tools
	Assistant Role = "assistant"
)

// Message is what one side says in its turn.
type Message struct {
	Role  Role   `json:"role"`
	Parts []Part `json:"parts"`
}

// Part is one piece of a message: exactly one field is set.
type Part struct {
	Text   string      `json:"text,omitempty"`
	Call   *ToolCall   `json:"call,omitempty"`
	Result *ToolResult `json:"result,omitempty"`
	// Opaque is a block of the provider's own, such as signed reasoning. It goes
	// back in the next request exactly as it came, and means nothing to us.
	Opaque json.RawMessage `json:"opaque,omitempty"`
}

// Text is a message with one text.
func Text(role Role, text string) Message {
	return Message{Role: role, Parts: []Part{{Text: text}}}
}

// ToolCall is the model's wish to have a tool run. Everything in it is the
// model's: nothing is checked yet.
type ToolCall struct {
	// ID ties the result to the call.
	ID   string `json:"id"`
	Name string `json:"name"`
	// Input should be a JSON object that fits the tool's schema.
	Input json.RawMessage `json:"input"`
}

// ToolResult answers a ToolCall.
type ToolResult struct {
	CallID string `json:"call_id"`
	// Content is text for the model.
	Content string `json:"content"`
	// IsError says that the call did not do what it was meant to.
	IsError bool `json:"is_error,omitempty"`
}

// Tool is something that the model may call.
type Tool struct {
	Name        string `json:"name"`
	Description string `json:"description"`
	// InputSchema is a JSON schema of type object.
	InputSchema json.RawMessage `json:"input_schema"`
}

// Stop says why an answer ended.
type Stop string

const (
	StopEnd       Stop = "end"        // the model had said what it wanted
	StopTools     Stop = "tools"      // it waits for the results of its calls
	StopMaxTokens Stop = "max_tokens" // it was cut; its last call may be incomplete
	StopRefused   Stop = "refused"    // it declined to go on
	StopContext   Stop = "context"    // the conversation no longer fits
)

// Response is the model's answer.
type Response struct {
	Parts []Part `json:"parts"`
	Stop  Stop   `json:"stop"`
	Usage Usage  `json:"usage"`
}

// Text is all the texts of the answer.
func (r Response) Text() string {
	var texts []string
	for _, p := range r.Parts {
		if p.Text != "" {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}

// Calls are the tool calls of the answer, in its order.
func (r Response) Calls() iter.Seq[ToolCall] {
	return func(yield func(ToolCall) bool) {
		for _, p := range r.Parts {
			if p.Call != nil && !yield(*p.Call) {
				return
			}
		}
	}
}

// Usage counts tokens. The four kinds are disjoint: what was read from or
// written to the provider's cache is not part of InputTokens.
type Usage struct {
	InputTokens      int `json:"input_tokens"`
	OutputTokens     int `json:"output_tokens"`
	CacheReadTokens  int `json:"cache_read_tokens,omitempty"`
	CacheWriteTokens int `json:"cache_write_tokens,omitempty"`
	// Unknown says that the provider did not say what it used: the numbers are 0,
	// or an estimate of ours.
	Unknown bool `json:"unknown,omitempty"`
}

// Asked is the size of the question, cached or not.
func (u Usage) Asked() int { return u.InputTokens + u.CacheReadTokens + u.CacheWriteTokens }

// Total is question and answer together.
func (u Usage) Total() int { return u.Asked() + u.OutputTokens }

// Add gives the sum.
func (u Usage) Add(v Usage) Usage {
	return Usage{
		InputTokens:      u.InputTokens + v.InputTokens,
		OutputTokens:     u.OutputTokens + v.OutputTokens,
		CacheReadTokens:  u.CacheReadTokens + v.CacheReadTokens,
		CacheWriteTokens: u.CacheWriteTokens + v.CacheWriteTokens,
		Unknown:          u.Unknown || v.Unknown,
	}
}
