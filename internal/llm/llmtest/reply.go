package llmtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// Reply is what a Turn answers: blocks, or a failure. Functions that return a
// Turn make it.
type Reply struct {
	// Blocks of the answer, in order.
	Blocks []Block
	// Stop is the stop_reason; "": tool_use if there is a call, else end_turn. In
	// the Chat Completions format it is translated; another word stays as it is.
	Stop string
	// Usage; the zero Usage is made from the sizes of question and answer.
	Usage Usage
	// NoUsage leaves the usage out, as some servers do.
	NoUsage bool

	fault func(s *Server, w http.ResponseWriter, r *http.Request)
}

// Usage counts tokens.
type Usage struct {
	InputTokens      int `json:"input_tokens"`
	OutputTokens     int `json:"output_tokens"`
	CacheReadTokens  int `json:"cache_read_input_tokens"`
	CacheWriteTokens int `json:"cache_creation_input_tokens"`
}

// Block is one block of an answer.
type Block struct{ fields map[string]any }

// Text is a block of text.
func Text(text string) Block { return Block{map[string]any{"type": "text", "text": text}} }

// Call is a call of a tool, with an id of its own. The input can be anything
// that JSON can hold.
func Call(tool string, input any) Block { return CallID("", tool, input) }

// CallID is Call with an id of the script's choice: two calls may have the same.
func CallID(id, tool string, input any) Block {
	return Block{map[string]any{"type": "tool_use", "id": id, "name": tool, "input": input}}
}

// Garbled is a call whose input is no JSON: a text that was cut off. The
// Messages format cannot hold such a thing and has the text as the input.
func Garbled(tool, text string) Block {
	return Block{map[string]any{"type": "tool_use", "id": "", "name": tool, "input": text, "garbled": text}}
}

// Thinking is a block of signed reasoning, which a client has to send back as
// it came. The Chat Completions format has it as the message's
// reasoning_content, without the signature.
func Thinking(text, signature string) Block {
	return Block{map[string]any{"type": "thinking", "thinking": text, "signature": signature}}
}

// Say answers with blocks.
func Say(blocks ...Block) Turn {
	return func(*Request) Reply { return Reply{Blocks: blocks} }
}

// answer writes a message as the API does.
func (s *Server) answer(w http.ResponseWriter, req *Request, reply Reply) {
	content := make([]map[string]any, len(reply.Blocks))
	stop := "end_turn"
	for i, b := range reply.Blocks {
		content[i] = map[string]any{}
		for k, v := range b.fields {
			if k != "garbled" {
				content[i][k] = v
			}
		}
		if b.fields["type"] == "tool_use" {
			stop = "tool_use"
			if b.fields["id"] == "" {
				content[i]["id"] = fmt.Sprintf("toolu_%02d_%02d", req.Number, i)
			}
		}
	}
	answer := map[string]any{
		"id": fmt.Sprintf("msg_%02d", req.Number), "type": "message", "role": "assistant", "model": req.Model,
		"content": content, "stop_reason": cmp.Or(reply.Stop, stop), "stop_sequence": nil,
	}
	if !reply.NoUsage {
		answer["usage"] = reply.usage(req, content)
	}
	writeJSON(w, 200, answer)
}

// usage is what the script says, or what the sizes of question and answer say.
func (r Reply) usage(req *Request, said any) Usage {
	if r.Usage != (Usage{}) {
		return r.Usage
	}
	raw, err := json.Marshal(said)
	if err != nil {
		panic(fmt.Sprintf("llmtest: the script holds what JSON cannot: %v", err))
	}
	return Usage{InputTokens: 1 + len(req.Body)/4, OutputTokens: 1 + len(raw)/4}
}

func fault(f func(s *Server, w http.ResponseWriter, r *http.Request)) Turn {
	return func(*Request) Reply { return Reply{fault: f} }
}

// Fail answers with an error of the API: its HTTP status, type and message.
func Fail(status int, kind, message string) Turn {
	return fault(func(_ *Server, w http.ResponseWriter, r *http.Request) { fail(w, r, refusal{status, kind, message}) })
}

// fail writes an error in the format of the request.
func fail(w http.ResponseWriter, r *http.Request, no refusal) {
	if isChat(r) {
		writeChatError(w, no, nil)
		return
	}
	writeError(w, no, nil)
}

// RateLimited is a 429 that passes after the given time. Clients of the
// official SDKs also read the wait in milliseconds, so tests need not wait for
// a second.
func RateLimited(after time.Duration) Turn {
	return fault(func(_ *Server, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(after.Seconds()))))
		w.Header().Set("Retry-After-Ms", strconv.FormatInt(after.Milliseconds(), 10))
		if isChat(r) {
			writeChatError(w, refusal{429, "requests", "Rate limit reached for requests"}, "rate_limit_exceeded")
			return
		}
		writeError(w, refusal{429, "rate_limit_error", "This request would exceed your organization's rate limit"}, nil)
	})
}

// SpendingLimit is a 429 that retrying does not help: the money is used up.
func SpendingLimit() Turn {
	return fault(func(_ *Server, w http.ResponseWriter, r *http.Request) {
		if isChat(r) {
			writeChatError(w, refusal{429, "insufficient_quota", "You exceeded your current quota, please check your plan and billing details."}, "insufficient_quota")
			return
		}
		writeError(w, refusal{429, "rate_limit_error", "Your organization has reached its monthly spend limit"},
			map[string]any{"error_code": "enforced_spend_limit_reached"})
	})
}

// Overloaded is a 529, a 503 in the Chat Completions format, to be retried at
// once.
func Overloaded() Turn {
	return fault(func(_ *Server, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After-Ms", "1")
		if isChat(r) {
			writeChatError(w, refusal{503, "server_error", "The engine is currently overloaded, please try again later"}, nil)
			return
		}
		writeError(w, refusal{529, "overloaded_error", "Overloaded"}, nil)
	})
}

// Broken is a 500, to be retried at once.
func Broken() Turn {
	return fault(func(_ *Server, w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After-Ms", "1")
		fail(w, r, refusal{500, "api_error", "Internal server error"})
	})
}

// Unauthorized is a 401.
func Unauthorized() Turn { return Fail(401, "authentication_error", "invalid x-api-key") }

// Hang answers nothing until the client or the server goes away.
func Hang() Turn {
	return fault(func(s *Server, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-s.closing:
		}
	})
}

// Truncated is a 200 whose JSON ends in the middle, with all the bytes that it
// announced.
func Truncated() Turn {
	return fault(func(s *Server, w http.ResponseWriter, r *http.Request) {
		body := `{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"x","input":{"ho`
		if isChat(r) {
			body = `{"id":"chatcmpl-1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"x","arguments":"{\"ho`
		}
		writeRaw(w, 200, "application/json", body)
	})
}

// BreaksOff is a 200 whose connection ends in the middle of the body.
func BreaksOff() Turn {
	return fault(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "5000")
		w.Header().Set("Retry-After-Ms", "1")
		w.WriteHeader(200)
		w.Write([]byte(`{"id":"msg_1","type":"message","content":[`))
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
}

// WithHeader adds a header to what another turn answers; one that the turn sets
// itself is replaced.
func WithHeader(name, value string, turn Turn) Turn {
	return func(r *Request) Reply {
		reply := turn(r)
		inner := reply.fault
		reply.fault = func(s *Server, w http.ResponseWriter, hr *http.Request) {
			w = fixedHeader{w, name, value}
			if inner != nil {
				inner(s, w, hr)
				return
			}
			s.answerAs(hr, w, r, reply)
		}
		return reply
	}
}

// fixedHeader sets one header last.
type fixedHeader struct {
	http.ResponseWriter
	name, value string
}

func (f fixedHeader) WriteHeader(status int) {
	f.Header().Set(f.name, f.value)
	f.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.NewResponseController reach the connection.
func (f fixedHeader) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// Raw answers with any status, content type and body.
func Raw(status int, contentType, body string) Turn {
	return fault(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
		writeRaw(w, status, contentType, body)
	})
}

func writeRaw(w http.ResponseWriter, status int, contentType, body string) {
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	w.Write([]byte(body))
}

// Redirect answers with a redirect to another address.
func Redirect(to string) Turn {
	return fault(func(_ *Server, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", to)
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
}
