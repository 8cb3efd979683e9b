package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/shared"

	"lifeline/internal/llm"
)

// params is the request in the SDK's terms.
func (c *Client) params(req llm.Request) (sdk.ChatCompletionNewParams, error) {
	p := sdk.ChatCompletionNewParams{Model: c.cfg.Model}
	most := int64(c.cfg.MaxTokens)
	if req.MaxTokens > 0 {
		most = int64(req.MaxTokens)
	}
	// OpenAI's newer models refuse the older name of the limit, and most of the
	// others know only that one.
	if ofOpenAI(c.host) {
		p.MaxCompletionTokens = sdk.Int(most)
	} else {
		p.MaxTokens = sdk.Int(most)
	}
	for _, t := range req.Tools {
		var schema map[string]any
		if json.Unmarshal(t.InputSchema, &schema) != nil || schema == nil {
			return p, fmt.Errorf("the schema of tool %s is not a JSON object", t.Name)
		}
		f := shared.FunctionDefinitionParam{Name: t.Name, Parameters: schema}
		if t.Description != "" {
			f.Description = sdk.String(t.Description)
		}
		p.Tools = append(p.Tools, sdk.ChatCompletionFunctionTool(f))
	}
	if req.System != "" {
		p.Messages = append(p.Messages, sdk.SystemMessage(req.System))
	}
	for i, m := range req.Messages {
		messages, err := messageParams(m)
		if err != nil {
			return p, fmt.Errorf("message %d: %w", i, err)
		}
		p.Messages = append(p.Messages, messages...)
	}
	return p, nil
}

func ofOpenAI(host string) bool {
	for _, domain := range []string{"api.openai.com", ".openai.azure.com"} {
		if host == domain || strings.HasSuffix(host, domain) {
			return true
		}
	}
	return false
}

// messageParams is one of our messages as this API has it: each result is a
// message of its own, and the user's texts follow them.
func messageParams(m llm.Message) ([]sdk.ChatCompletionMessageParamUnion, error) {
	switch m.Role {
	case llm.User:
		return userParams(m)
	case llm.Assistant:
		return assistantParams(m)
	}
	return nil, fmt.Errorf("role %q", m.Role)
}

func userParams(m llm.Message) ([]sdk.ChatCompletionMessageParamUnion, error) {
	var out []sdk.ChatCompletionMessageParamUnion
	var texts []string
	for _, part := range m.Parts {
		switch {
		case part.Result != nil:
			content := part.Result.Content
			if strings.TrimSpace(content) == "" {
				content = "(nothing)" // some providers refuse an empty text
			}
			if part.Result.IsError { // the API has no field for it
				content = "ERROR: " + content
			}
			out = append(out, sdk.ToolMessage(content, part.Result.CallID))
		case strings.TrimSpace(part.Text) != "":
			texts = append(texts, part.Text)
		}
	}
	if len(texts) > 0 {
		out = append(out, sdk.UserMessage(strings.Join(texts, "\n\n")))
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the %s says nothing", m.Role)
	}
	return out, nil
}

func assistantParams(m llm.Message) ([]sdk.ChatCompletionMessageParamUnion, error) {
	var out sdk.ChatCompletionAssistantMessageParam
	var texts []string
	extra := map[string]any{}
	for _, part := range m.Parts {
		switch {
		case part.Call != nil:
			if !isObject(part.Call.Input) {
				return nil, fmt.Errorf("the input of tool call %s is not a JSON object", part.Call.ID)
			}
			out.ToolCalls = append(out.ToolCalls, sdk.ChatCompletionMessageToolCallUnionParam{OfFunction: &sdk.ChatCompletionMessageFunctionToolCallParam{
				ID:       part.Call.ID,
				Function: sdk.ChatCompletionMessageFunctionToolCallFunctionParam{Name: part.Call.Name, Arguments: string(part.Call.Input)},
			}})
		case len(part.Opaque) > 0:
			var fields map[string]json.RawMessage
			if json.Unmarshal(part.Opaque, &fields) != nil {
				return nil, errors.New("a block of the provider's own is not a JSON object")
			}
			for name, value := range fields {
				if isReasoning(name) { // what another provider's blocks hold stays here
					extra[name] = value
				}
			}
		case strings.TrimSpace(part.Text) != "":
			texts = append(texts, part.Text)
		}
	}
	if len(texts) == 0 && len(out.ToolCalls) == 0 {
		return nil, fmt.Errorf("the %s says nothing", m.Role)
	}
	if len(texts) > 0 {
		out.Content.OfString = sdk.String(strings.Join(texts, "\n\n"))
	}
	if len(extra) > 0 {
		out.SetExtraFields(extra)
	}
	return []sdk.ChatCompletionMessageParamUnion{{OfAssistant: &out}}, nil
}

// isReasoning reports whether a field of a message is reasoning that providers
// want back as it came: DeepSeek and older vLLM, newer vLLM and OpenRouter.
func isReasoning(field string) bool {
	return field == "reasoning_content" || field == "reasoning" || field == "reasoning_details"
}

// response reads the SDK's answer, which takes a body of any shape without an
// error: what an answer must have is checked here. An error of the provider
// with a 200 is a *problem.
func (c *Client) response(answer *sdk.ChatCompletion) (llm.Response, error) {
	if answer == nil {
		return llm.Response{}, errors.New("what came is not an answer of the model")
	}
	if raw := answer.JSON.ExtraFields["error"].Raw(); raw != "" && raw != "null" {
		return llm.Response{}, new(readProblem([]byte(answer.RawJSON())))
	}
	if len(answer.Choices) == 0 || !answer.Choices[0].JSON.Message.Valid() {
		return llm.Response{}, errors.New("what came is not an answer of the model")
	}
	choice := answer.Choices[0]
	out := llm.Response{Usage: usageOf(answer)}
	if opaque := reasoningOf(choice.Message); opaque != nil {
		out.Parts = append(out.Parts, llm.Part{Opaque: opaque})
	}
	for _, text := range []string{choice.Message.Content, choice.Message.Refusal} {
		if text != "" {
			out.Parts = append(out.Parts, llm.Part{Text: text})
		}
	}
	for _, call := range choice.Message.ToolCalls {
		out.Parts = append(out.Parts, llm.Part{Call: &llm.ToolCall{ID: call.ID, Name: call.Function.Name, Input: inputOf(call)}})
	}
	switch reason := string(choice.FinishReason); {
	case reason == "length":
		out.Stop = llm.StopMaxTokens
	case reason == "content_filter", choice.Message.Refusal != "" && len(choice.Message.ToolCalls) == 0:
		out.Stop = llm.StopRefused
	case reason == "error":
		return llm.Response{}, errors.New("the provider failed in the middle of the answer")
	case reason == "":
		return llm.Response{}, errors.New("the answer does not say why it ended")
	case len(choice.Message.ToolCalls) > 0: // many servers say stop here too
		out.Stop = llm.StopTools
	default:
		out.Stop = llm.StopEnd
	}
	return out, nil
}

// usageOf counts what the provider told: tokens from its cache are part of
// prompt_tokens there.
func usageOf(answer *sdk.ChatCompletion) llm.Usage {
	u := answer.Usage
	cached := min(max(u.PromptTokensDetails.CachedTokens, 0), max(u.PromptTokens, 0))
	out := llm.Usage{InputTokens: int(max(u.PromptTokens, 0) - cached), OutputTokens: int(max(u.CompletionTokens, 0)), CacheReadTokens: int(cached)}
	out.Unknown = out.Total() == 0
	return out
}

// reasoningOf is the reasoning of a message as it came, one object; nil if
// there is none.
func reasoningOf(m sdk.ChatCompletionMessage) json.RawMessage {
	fields := map[string]json.RawMessage{}
	for name, field := range m.JSON.ExtraFields {
		if raw := field.Raw(); isReasoning(name) && raw != "" && raw != "null" && raw != `""` {
			fields[name] = json.RawMessage(raw)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	raw, err := json.Marshal(fields)
	if err != nil { // the provider's JSON was read already
		return nil
	}
	return raw
}

// inputOf is the input of a call as JSON. It comes as a text, which may be no
// JSON; then it is given as that text. Some servers send the object itself, and
// nothing at all for a tool without fields.
func inputOf(call sdk.ChatCompletionMessageToolCallUnion) json.RawMessage {
	arguments := call.Function.Arguments
	if raw := call.Function.JSON.Arguments.Raw(); strings.HasPrefix(raw, "{") {
		arguments = raw
	}
	if strings.TrimSpace(arguments) == "" {
		return json.RawMessage("{}")
	}
	if json.Valid([]byte(arguments)) {
		return json.RawMessage(arguments)
	}
	raw, err := json.Marshal(strings.ToValidUTF8(arguments, "\uFFFD"))
	if err != nil { // a text can always be written
		return json.RawMessage("null")
	}
	return raw
}

func isObject(raw json.RawMessage) bool {
	return json.Valid(raw) && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
}
