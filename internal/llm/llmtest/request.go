package llmtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// Request is one request that kept the rules.
type Request struct {
	// Number counts all requests of the server from 1.
	Number int
	Header http.Header
	Body   []byte

	Model     string
	MaxTokens int
	// System is the system prompt's texts, joined by line feeds.
	System string
	Tools  []Tool
	// Messages with those of one role that follow each other joined, as the API
	// reads them.
	Messages []Message
}

// Tool is a tool as it was offered.
type Tool struct {
	Name, Description string
	Schema            json.RawMessage
	Cached            bool
}

// Message is one side's turn.
type Message struct {
	Role   string
	Blocks []In
}

// In is a block of a request.
type In struct {
	Type string // text, tool_use, tool_result, thinking, redacted_thinking
	Text string // of a text or a tool_result
	ID   string // of the tool_use, in tool_result too
	Tool string // of a tool_use
	// Input of a tool_use.
	Input   json.RawMessage
	IsError bool
	Cached  bool
	// Raw is the block as it came.
	Raw json.RawMessage
}

// Turn counts the model's answers in this conversation from 1: it is the number
// of the answer that the request asks for. A script for several conversations
// at once goes by it.
func (r *Request) Turn() int {
	n := 1
	for _, m := range r.Messages {
		if m.Role == "assistant" {
			n++
		}
	}
	return n
}

// LastResults are the tool results of the newest message, in order.
func (r *Request) LastResults() []In {
	var out []In
	for _, b := range r.Messages[len(r.Messages)-1].Blocks {
		if b.Type == "tool_result" {
			out = append(out, b)
		}
	}
	return out
}

// UserText is every text of the user's side, joined by line feeds.
func (r *Request) UserText() string {
	var texts []string
	for _, m := range r.Messages {
		for _, b := range m.Blocks {
			if m.Role == "user" && b.Type == "text" {
				texts = append(texts, b.Text)
			}
		}
	}
	return strings.Join(texts, "\n")
}

// The wire format.
type wireRequest struct {
	Model         string          `json:"model"`
	MaxTokens     *int            `json:"max_tokens"`
	Messages      []wireMessage   `json:"messages"`
	System        wireContent     `json:"system"`
	Tools         []wireTool      `json:"tools"`
	ToolChoice    json.RawMessage `json:"tool_choice"`
	Thinking      json.RawMessage `json:"thinking"`
	Metadata      json.RawMessage `json:"metadata"`
	OutputConfig  json.RawMessage `json:"output_config"`
	StopSequences []string        `json:"stop_sequences"`
	Temperature   *float64        `json:"temperature"`
	TopK          *int            `json:"top_k"`
	TopP          *float64        `json:"top_p"`
	Stream        bool            `json:"stream"`
	CacheControl  *wireCache      `json:"cache_control"`
}

type wireMessage struct {
	Role    string      `json:"role"`
	Content wireContent `json:"content"`
}

type wireTool struct {
	Type         string          `json:"type"`
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	InputSchema  json.RawMessage `json:"input_schema"`
	Strict       *bool           `json:"strict"`
	CacheControl *wireCache      `json:"cache_control"`
}

type wireCache struct {
	Type string `json:"type"`
	TTL  string `json:"ttl"`
}

type wireBlock struct {
	Type         string          `json:"type"`
	Text         *string         `json:"text"`
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Input        json.RawMessage `json:"input"`
	ToolUseID    string          `json:"tool_use_id"`
	Content      wireContent     `json:"content"`
	IsError      bool            `json:"is_error"`
	Thinking     string          `json:"thinking"`
	Signature    string          `json:"signature"`
	Data         string          `json:"data"`
	CacheControl *wireCache      `json:"cache_control"`

	raw json.RawMessage
}

// wireContent is a text or a list of blocks.
type wireContent []wireBlock

func (c *wireContent) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		var text string
		if err := json.Unmarshal(data, &text); err != nil {
			return err
		}
		*c = wireContent{{Type: "text", Text: &text, raw: data}}
		return nil
	}
	var raws []json.RawMessage
	if err := json.Unmarshal(data, &raws); err != nil {
		return err
	}
	for _, raw := range raws {
		var b wireBlock
		if err := strict(raw, &b); err != nil {
			return err
		}
		b.raw = raw
		*c = append(*c, b)
	}
	return nil
}

// strict refuses fields that the API does not have.
func strict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("there is more than one JSON value")
	}
	return nil
}

// readRequest judges a body as the API does.
func readRequest(body []byte) (*Request, refusal) {
	var wire wireRequest
	if err := strict(body, &wire); err != nil {
		return nil, invalid("The request body is not valid: %v", err)
	}
	switch {
	case wire.Model == "":
		return nil, invalid("model: Field required")
	case wire.MaxTokens == nil:
		return nil, invalid("max_tokens: Field required")
	case *wire.MaxTokens < 1:
		return nil, invalid("max_tokens: Input should be greater than or equal to 1")
	case wire.Stream:
		return nil, invalid("stream: this server does not stream")
	case len(wire.Messages) == 0:
		return nil, invalid("messages: at least one message is required")
	}
	req := &Request{Body: body, Model: wire.Model, MaxTokens: *wire.MaxTokens}
	cached := 0
	for i, b := range wire.System {
		if b.Type != "text" || b.Text == nil || strings.TrimSpace(*b.Text) == "" {
			return nil, invalid("system.%d: text content blocks must be non-empty", i)
		}
		req.System = strings.TrimPrefix(req.System+"\n"+*b.Text, "\n")
		if b.CacheControl != nil {
			cached++
		}
	}
	for i, t := range wire.Tools {
		if no := judgeTool(i, t, req.Tools); no.status != 0 {
			return nil, no
		}
		if t.CacheControl != nil {
			cached++
		}
		req.Tools = append(req.Tools, Tool{t.Name, t.Description, t.InputSchema, t.CacheControl != nil})
	}
	for i, m := range wire.Messages {
		if m.Role != "user" && m.Role != "assistant" {
			return nil, invalid("messages.%d.role: Input should be 'user' or 'assistant'", i)
		}
		if len(m.Content) == 0 {
			return nil, invalid("messages.%d: all messages must have non-empty content", i)
		}
		blocks := make([]In, len(m.Content))
		for j, b := range m.Content {
			var no refusal
			if blocks[j], no = judgeBlock(fmt.Sprintf("messages.%d.content.%d", i, j), m.Role, b); no.status != 0 {
				return nil, no
			}
			if b.CacheControl != nil {
				cached++
			}
		}
		if last := len(req.Messages) - 1; last >= 0 && req.Messages[last].Role == m.Role {
			req.Messages[last].Blocks = append(req.Messages[last].Blocks, blocks...)
		} else {
			req.Messages = append(req.Messages, Message{m.Role, blocks})
		}
	}
	if cached > 4 {
		return nil, invalid("A maximum of 4 blocks with cache_control may be provided. Found %d.", cached)
	}
	return req, judgeConversation(req.Messages)
}

func judgeTool(i int, t wireTool, before []Tool) refusal {
	var schema struct {
		Type string `json:"type"`
	}
	switch err := json.Unmarshal(t.InputSchema, &schema); {
	case !isName(t.Name, 128):
		return invalid("tools.%d.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'", i)
	case slices.ContainsFunc(before, func(b Tool) bool { return b.Name == t.Name }):
		return invalid("tools: Tool names must be unique.")
	case err != nil || schema.Type != "object":
		return invalid("tools.%d.input_schema.type: Field required to be 'object'", i)
	}
	return judgeCache(fmt.Sprintf("tools.%d", i), t.CacheControl)
}

func judgeCache(where string, c *wireCache) refusal {
	if c != nil && (c.Type != "ephemeral" || c.TTL != "" && c.TTL != "5m" && c.TTL != "1h") {
		return invalid("%s.cache_control: not valid", where)
	}
	return refusal{}
}

func judgeBlock(where, role string, b wireBlock) (In, refusal) {
	in := In{Type: b.Type, Cached: b.CacheControl != nil, IsError: b.IsError, Raw: b.raw}
	if no := judgeCache(where, b.CacheControl); no.status != 0 {
		return in, no
	}
	switch {
	case b.Type == "text":
		if b.Text == nil || strings.TrimSpace(*b.Text) == "" {
			return in, invalid("%s: text content blocks must contain non-whitespace text", where)
		}
		in.Text = *b.Text
	case b.Type == "tool_use" && role == "assistant":
		in.ID, in.Tool, in.Input = b.ID, b.Name, b.Input
		switch {
		case !isName(b.ID, 256):
			return in, invalid("%s.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'", where)
		case !isName(b.Name, 200):
			return in, invalid("%s.tool_use.name: String should match pattern '^[a-zA-Z0-9_-]{1,200}$'", where)
		case !bytes.HasPrefix(bytes.TrimSpace(b.Input), []byte("{")):
			return in, invalid("%s.tool_use.input: Input should be a valid dictionary", where)
		}
	case b.Type == "tool_result" && role == "user":
		in.ID = b.ToolUseID
		for _, c := range b.Content {
			if c.Type != "text" || c.Text == nil || *c.Text == "" {
				return in, invalid("%s.tool_result.content: text content blocks must be non-empty", where)
			}
			in.Text += *c.Text
		}
	case b.Type == "thinking" && role == "assistant":
		if b.Signature == "" {
			return in, invalid("%s.thinking.signature: Field required", where)
		}
	case b.Type == "redacted_thinking" && role == "assistant":
	default:
		return in, invalid("%s: a block of type %q is not expected from the %s", where, b.Type, role)
	}
	return in, refusal{}
}

// judgeConversation checks that every call is answered, in order, at the
// beginning of the next message, and that nothing else is answered.
func judgeConversation(messages []Message) refusal {
	if messages[0].Role != "user" {
		return invalid("messages: first message must use the \"user\" role")
	}
	if messages[len(messages)-1].Role != "user" {
		return invalid("This model does not support assistant message prefill. The conversation must end with a user message.")
	}
	seen := map[string]bool{}
	var open []string
	for i, m := range messages {
		var calls []string
		other := false
		for j, b := range m.Blocks {
			switch b.Type {
			case "tool_use":
				if seen[b.ID] {
					return invalid("messages.%d.content.%d: `tool_use` ids must be unique", i, j)
				}
				seen[b.ID] = true
				calls = append(calls, b.ID)
			case "tool_result":
				switch {
				case !slices.Contains(open, b.ID):
					return invalid("messages.%d.content.%d: unexpected `tool_use_id` found in `tool_result` blocks: %s. Each `tool_result` block must have a corresponding `tool_use` block in the previous message.", i, j, b.ID)
				case other:
					return invalid("messages.%d.content.%d: `tool_result` blocks must come before other content", i, j)
				case open[0] != b.ID:
					return invalid("messages.%d.content.%d: the `tool_result` blocks are not in the order of the `tool_use` blocks: want %s, got %s", i, j, open[0], b.ID)
				}
				open = open[1:]
			default:
				other = true
			}
		}
		if len(open) > 0 {
			return invalid("messages.%d: `tool_use` ids were found without `tool_result` blocks immediately after: %s. Each `tool_use` block must have a corresponding `tool_result` block in the next message.",
				i, strings.Join(open, ", "))
		}
		open = calls
	}
	return refusal{}
}

func isName(s string, longest int) bool {
	return s != "" && len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}
