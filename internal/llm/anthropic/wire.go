package anthropic

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/packages/param"

	"lifeline/internal/llm"
)

// params is the request in the SDK's terms. Three places are marked for the
// cache: the end of tools and system prompt, which all incidents share; the end
// of the conversation so far, which the next turn begins with; and the end of
// what the last turn asked, which it marked itself: the provider looks back over
// 20 blocks only, and an answer with many calls has more of them.
func (c *Client) params(req llm.Request) (sdk.MessageNewParams, error) {
	p := sdk.MessageNewParams{Model: c.cfg.Model, MaxTokens: int64(c.cfg.MaxTokens)}
	if req.MaxTokens > 0 {
		p.MaxTokens = int64(req.MaxTokens)
	}
	for _, t := range req.Tools {
		if !isObject(t.InputSchema) {
			return p, fmt.Errorf("the schema of tool %s is not a JSON object", t.Name)
		}
		p.Tools = append(p.Tools, sdk.ToolUnionParam{OfTool: &sdk.ToolParam{
			Name: t.Name, Description: sdk.String(t.Description),
			InputSchema: param.Override[sdk.ToolInputSchemaParam](t.InputSchema),
		}})
	}
	if req.System != "" {
		p.System = []sdk.TextBlockParam{{Text: req.System, CacheControl: sdk.NewCacheControlEphemeralParam()}}
	} else if n := len(p.Tools); n > 0 {
		p.Tools[n-1].OfTool.CacheControl = sdk.NewCacheControlEphemeralParam()
	}
	for i, m := range req.Messages {
		message, err := messageParam(m)
		if err != nil {
			return p, fmt.Errorf("message %d: %w", i, err)
		}
		p.Messages = append(p.Messages, message)
	}
	for i, marks := len(p.Messages)-1, 0; i >= 0 && marks < 2; i-- {
		if p.Messages[i].Role == sdk.MessageParamRoleUser {
			markForCache(p.Messages[i].Content)
			marks++
		}
	}
	return p, nil
}

func messageParam(m llm.Message) (sdk.MessageParam, error) {
	var out sdk.MessageParam
	switch m.Role {
	case llm.User:
		out.Role = sdk.MessageParamRoleUser
	case llm.Assistant:
		out.Role = sdk.MessageParamRoleAssistant
	default:
		return out, fmt.Errorf("role %q", m.Role)
	}
	for _, part := range m.Parts {
		switch {
		case part.Call != nil:
			if !isObject(part.Call.Input) {
				return out, fmt.Errorf("the input of tool call %s is not a JSON object", part.Call.ID)
			}
			out.Content = append(out.Content, sdk.NewToolUseBlock(part.Call.ID, part.Call.Input, part.Call.Name))
		case part.Result != nil:
			r := sdk.ToolResultBlockParam{ToolUseID: part.Result.CallID}
			if part.Result.IsError {
				r.IsError = sdk.Bool(true)
			}
			if text := part.Result.Content; strings.TrimSpace(text) != "" {
				r.Content = []sdk.ToolResultBlockParamContentUnion{{OfText: &sdk.TextBlockParam{Text: text}}}
			}
			out.Content = append(out.Content, sdk.ContentBlockParamUnion{OfToolResult: &r})
		case len(part.Opaque) > 0:
			out.Content = append(out.Content, param.Override[sdk.ContentBlockParamUnion](part.Opaque))
		case strings.TrimSpace(part.Text) != "": // the API refuses an empty text
			out.Content = append(out.Content, sdk.NewTextBlock(part.Text))
		}
	}
	if len(out.Content) == 0 {
		return out, fmt.Errorf("the %s says nothing", m.Role)
	}
	return out, nil
}

// markForCache marks the last block of a user's message.
func markForCache(content []sdk.ContentBlockParamUnion) {
	last := content[len(content)-1]
	switch {
	case last.OfText != nil:
		last.OfText.CacheControl = sdk.NewCacheControlEphemeralParam()
	case last.OfToolResult != nil:
		last.OfToolResult.CacheControl = sdk.NewCacheControlEphemeralParam()
	}
}

// response reads the SDK's message, which takes a body of any shape without an
// error: what an answer must have is checked here.
func response(msg *sdk.Message) (llm.Response, error) {
	if msg == nil || msg.Type != "message" || msg.Role != "assistant" || !msg.JSON.Content.Valid() {
		return llm.Response{}, fmt.Errorf("what came is not a message of the model")
	}
	out := llm.Response{
		Usage: llm.Usage{
			InputTokens:      int(msg.Usage.InputTokens),
			OutputTokens:     int(msg.Usage.OutputTokens),
			CacheReadTokens:  int(msg.Usage.CacheReadInputTokens),
			CacheWriteTokens: int(msg.Usage.CacheCreationInputTokens),
		},
	}
	out.Usage.Unknown = out.Usage.Total() == 0 // a gateway that does not say
	for _, block := range msg.Content {
		switch block.Type {
		case "":
			return out, fmt.Errorf("a block of the answer has no type")
		case "text":
			if block.Text != "" {
				out.Parts = append(out.Parts, llm.Part{Text: block.Text})
			}
		case "tool_use":
			input := json.RawMessage(bytes.Clone(block.Input))
			if !json.Valid(input) {
				input = json.RawMessage("null")
			}
			out.Parts = append(out.Parts, llm.Part{Call: &llm.ToolCall{ID: block.ID, Name: block.Name, Input: input}})
		default:
			out.Parts = append(out.Parts, llm.Part{Opaque: json.RawMessage(block.RawJSON())})
		}
	}
	switch msg.StopReason {
	case sdk.StopReasonToolUse:
		out.Stop = llm.StopTools
	case sdk.StopReasonMaxTokens:
		out.Stop = llm.StopMaxTokens
	case sdk.StopReasonRefusal:
		out.Stop = llm.StopRefused
	case sdk.StopReasonModelContextWindowExceeded:
		out.Stop = llm.StopContext
	case "":
		return out, fmt.Errorf("the answer does not say why it ended")
	default:
		out.Stop = llm.StopEnd
	}
	return out, nil
}

func isObject(raw json.RawMessage) bool {
	return json.Valid(raw) && bytes.HasPrefix(bytes.TrimSpace(raw), []byte("{"))
}
