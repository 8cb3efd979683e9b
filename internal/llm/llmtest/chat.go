package llmtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// chatPath is where the Chat Completions format is spoken; every other path is
// that of the Messages format.
const chatPath = "/v1/chat/completions"

func isChat(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/chat/completions") }

// The wire format of requests.
type chatRequest struct {
	Model               string        `json:"model"`
	Messages            []chatMessage `json:"messages"`
	Tools               []chatTool    `json:"tools"`
	MaxTokens           *int          `json:"max_tokens"`
	MaxCompletionTokens *int          `json:"max_completion_tokens"`
	Temperature         *float64      `json:"temperature"`
	TopP                *float64      `json:"top_p"`
	Stop                []string      `json:"stop"`
	ParallelToolCalls   *bool         `json:"parallel_tool_calls"`
	Stream              bool          `json:"stream"`
}

type chatMessage struct {
	Role       string          `json:"role"`
	Content    *string         `json:"content"`
	Name       string          `json:"name"`
	ToolCallID string          `json:"tool_call_id"`
	ToolCalls  []chatCall      `json:"tool_calls"`
	Reasoning  json.RawMessage `json:"reasoning_content"`
}

type chatCall struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type chatTool struct {
	Type     string `json:"type"`
	Function struct {
		Name        string          `json:"name"`
		Description string          `json:"description"`
		Parameters  json.RawMessage `json:"parameters"`
		Strict      *bool           `json:"strict"`
	} `json:"function"`
}

// judgeChatHeader checks what does not depend on the body. Without a key in the
// configuration none is needed, as on one's own machine.
func (s *Server) judgeChatHeader(r *http.Request) refusal {
	key, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch {
	case r.URL.Path != chatPath:
		return refusal{404, "invalid_request_error", fmt.Sprintf("Invalid URL (%s %s)", r.Method, r.URL.Path)}
	case r.Method != http.MethodPost:
		return refusal{405, "invalid_request_error", "Not allowed to " + r.Method + " on " + r.URL.Path}
	case s.cfg.APIKey != "" && !bearer:
		return refusal{401, "invalid_request_error", "You didn't provide an API key."}
	case s.cfg.APIKey != "" && key != s.cfg.APIKey:
		return refusal{401, "invalid_request_error", "Incorrect API key provided"}
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return refusal{400, "invalid_request_error", "content-type: must be application/json"}
	}
	return refusal{}
}

// readChat judges a body as the API does and gives the request in the terms of
// the Messages format, in which scripts are written: results stand in a user's
// message, and what was cached is not known.
func readChat(body []byte) (*Request, refusal) {
	var wire chatRequest
	if err := strict(body, &wire); err != nil {
		return nil, invalid("The request body is not valid: %v", err)
	}
	most := wire.MaxTokens
	if most == nil {
		most = wire.MaxCompletionTokens
	}
	switch {
	case wire.Model == "":
		return nil, invalid("you must provide a model parameter")
	case wire.MaxTokens != nil && wire.MaxCompletionTokens != nil:
		return nil, invalid("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
	case most != nil && *most < 1:
		return nil, invalid("Invalid 'max_tokens': integer below minimum value. Expected a value >= 1.")
	case wire.Stream:
		return nil, invalid("stream: this server does not stream")
	case len(wire.Messages) == 0:
		return nil, invalid("Invalid 'messages': empty array. Expected an array with minimum length 1.")
	}
	req := &Request{Body: body, Model: wire.Model}
	if most != nil {
		req.MaxTokens = *most
	}
	for i, t := range wire.Tools {
		if no := judgeChatTool(i, t, req.Tools); no.status != 0 {
			return nil, no
		}
		req.Tools = append(req.Tools, Tool{Name: t.Function.Name, Description: t.Function.Description, Schema: t.Function.Parameters})
	}
	for i, m := range wire.Messages {
		if no := req.addChat(i, m); no.status != 0 {
			return nil, no
		}
	}
	return req, judgeChat(req.Messages)
}

func judgeChatTool(i int, t chatTool, before []Tool) refusal {
	var schema struct {
		Type string `json:"type"`
	}
	switch err := json.Unmarshal(t.Function.Parameters, &schema); {
	case t.Type != "function":
		return invalid("Invalid value: '%s'. Supported values are: 'function'.", t.Type)
	case !isName(t.Function.Name, 64):
		return invalid("Invalid 'tools[%d].function.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.", i)
	case slices.ContainsFunc(before, func(b Tool) bool { return b.Name == t.Function.Name }):
		return invalid("tools: names must be unique")
	case err != nil || schema.Type != "object":
		return invalid("Invalid schema for function '%s': schema must be a JSON Schema of 'type: \"object\"'", t.Function.Name)
	}
	return refusal{}
}

// addChat adds one message of the wire.
func (r *Request) addChat(i int, m chatMessage) refusal {
	where := fmt.Sprintf("messages[%d]", i)
	text := func() []In {
		if m.Content == nil || *m.Content == "" {
			return nil
		}
		return []In{{Type: "text", Text: *m.Content}}
	}
	role, blocks := m.Role, []In(nil)
	switch m.Role {
	case "system":
		if i != 0 {
			return invalid("%s: this server takes a system message as the first only", where)
		}
		if m.Content != nil {
			r.System = *m.Content
		}
		return refusal{}
	case "user":
		if blocks = text(); blocks == nil {
			return invalid("Invalid value for 'content': expected a string, got null. (%s)", where)
		}
	case "tool":
		if m.Content == nil {
			return invalid("Invalid value for 'content': expected a string, got null. (%s)", where)
		}
		role = "user"
		said, failed := strings.CutPrefix(*m.Content, "ERROR: ")
		blocks = []In{{Type: "tool_result", ID: m.ToolCallID, Text: said, IsError: failed}}
	case "assistant":
		if len(m.Reasoning) > 0 {
			blocks = append(blocks, In{Type: "thinking", Raw: m.Reasoning})
		}
		blocks = append(blocks, text()...)
		if m.Content == nil && len(m.ToolCalls) == 0 {
			return invalid("Invalid value for 'content': expected a string, got null. (%s)", where)
		}
		for _, c := range m.ToolCalls {
			if c.Type != "function" || c.ID == "" || !isName(c.Function.Name, 64) {
				return invalid("Invalid '%s.tool_calls': want a type, an id and a name, got %+v", where, c)
			}
			if !json.Valid([]byte(c.Function.Arguments)) {
				return invalid("Invalid '%s.tool_calls': the arguments are not JSON", where)
			}
			blocks = append(blocks, In{Type: "tool_use", ID: c.ID, Tool: c.Function.Name, Input: json.RawMessage(c.Function.Arguments)})
		}
	default:
		return invalid("Invalid value: '%s'. Supported values are: 'system', 'assistant', 'user', 'function', 'tool', and 'developer'.", m.Role)
	}
	if last := len(r.Messages) - 1; last >= 0 && r.Messages[last].Role == role {
		r.Messages[last].Blocks = append(r.Messages[last].Blocks, blocks...)
	} else {
		r.Messages = append(r.Messages, Message{role, blocks})
	}
	return refusal{}
}

// judgeChat checks that every call is answered right after it. The order of the
// results is free here.
func judgeChat(messages []Message) refusal {
	var open []string
	for _, m := range messages {
		var calls []string
		for _, b := range m.Blocks {
			switch b.Type {
			case "tool_use":
				if slices.Contains(calls, b.ID) {
					return invalid("Duplicate value for 'tool_call_id' of %s", b.ID)
				}
				calls = append(calls, b.ID)
			case "tool_result":
				at := slices.Index(open, b.ID)
				if at < 0 {
					return invalid("Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.")
				}
				open = slices.Delete(open, at, at+1)
			}
		}
		if len(open) > 0 {
			return invalid("An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The following tool_call_ids did not have response messages: %s", strings.Join(open, ", "))
		}
		open = calls
	}
	if last := messages[len(messages)-1]; last.Role != "user" {
		return invalid("this server continues no message of the assistant")
	}
	return refusal{}
}

// answerChat writes an answer in the Chat Completions format.
func (s *Server) answerChat(w http.ResponseWriter, req *Request, reply Reply) {
	message := map[string]any{"role": "assistant", "content": nil, "refusal": nil}
	finish := "stop"
	var texts []string
	var calls []map[string]any
	for i, b := range reply.Blocks {
		switch b.fields["type"] {
		case "text":
			texts = append(texts, b.fields["text"].(string))
		case "thinking":
			message["reasoning_content"] = b.fields["thinking"]
		case "tool_use":
			finish = "tool_calls"
			calls = append(calls, map[string]any{
				"id": cmp.Or(b.fields["id"].(string), fmt.Sprintf("call_%02d_%02d", req.Number, i)), "type": "function",
				"function": map[string]any{"name": b.fields["name"], "arguments": b.arguments()},
			})
		}
	}
	if len(texts) > 0 {
		message["content"] = strings.Join(texts, "\n")
	}
	if len(calls) > 0 {
		message["tool_calls"] = calls
	}
	if reply.Stop != "" {
		finish = reply.Stop
		if ours, ok := map[string]string{"end_turn": "stop", "tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}[reply.Stop]; ok {
			finish = ours
		}
	}
	answer := map[string]any{
		"id": fmt.Sprintf("chatcmpl-%02d", req.Number), "object": "chat.completion", "created": 1_700_000_000, "model": req.Model,
		"choices": []any{map[string]any{"index": 0, "message": message, "logprobs": nil, "finish_reason": finish}},
	}
	if !reply.NoUsage {
		u := reply.usage(req, message)
		asked := u.InputTokens + u.CacheReadTokens + u.CacheWriteTokens
		answer["usage"] = map[string]any{"prompt_tokens": asked, "completion_tokens": u.OutputTokens, "total_tokens": asked + u.OutputTokens,
			"prompt_tokens_details": map[string]any{"cached_tokens": u.CacheReadTokens}}
	}
	writeJSON(w, 200, answer)
}

// arguments is the input of a call as this format has it: a text.
func (b Block) arguments() string {
	if text, ok := b.fields["garbled"].(string); ok {
		return text
	}
	raw, err := json.Marshal(b.fields["input"])
	if err != nil {
		panic(fmt.Sprintf("llmtest: the script holds what JSON cannot: %v", err))
	}
	return string(raw)
}

// writeChatError writes the format's form of an error.
func writeChatError(w http.ResponseWriter, no refusal, code any) {
	w.Header().Set("X-Request-Id", "req_test")
	writeJSON(w, no.status, map[string]any{"error": map[string]any{"message": no.message, "type": no.kind, "param": nil, "code": code}})
}
