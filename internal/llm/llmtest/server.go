// Package llmtest is the far end of a language model for tests: a server that
// speaks the wire formats of Anthropic's POST /v1/messages and of OpenAI's POST
// /v1/chat/completions and answers both by the same written script. It judges
// requests as the real ones do, so that a client's mistake is a 400 here too,
// and keeps them. It does not stream, as no client of ours asks for it.
//
//	model, err := llmtest.Start(llmtest.Config{APIKey: "test-key", Turns: []llmtest.Turn{
//		llmtest.Overloaded(),
//		llmtest.Say(llmtest.Text("Let me look."), llmtest.Call("gather_logs", map[string]any{"host": "nexus"})),
//		func(r *llmtest.Request) llmtest.Reply { return llmtest.Say(llmtest.Text(r.LastResults()[0].Text))(r) },
//	}})
//	defer model.Close()
//	// model.URL is the base URL for a client of the Messages format, and with
//	// /v1 behind it for one of the Chat Completions format.
//
// A Server is also an http.Handler. It shares no type with any client: what it
// reads and writes is spelled out here once more.
package llmtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Version is the only anthropic-version that the API has.
const Version = "2023-06-01"

// Turn answers one request.
type Turn func(*Request) Reply

// Config of a Server.
type Config struct {
	// APIKey that requests must carry; "": any that is not empty, and none in the
	// Chat Completions format.
	APIKey string
	// Turns answer the requests in the order in which they come. A refused
	// request uses up no turn; a failure that is played does.
	Turns []Turn
	// Then answers what comes after the last of Turns; nil: a 400 that says so.
	Then Turn
}

// Server plays a script. It is safe for concurrent use.
type Server struct {
	// URL is the base URL for clients, once started.
	URL string

	cfg     Config
	closing chan struct{}
	http    *http.Server
	served  chan error

	mu         sync.Mutex // guards the rest
	next       int
	requests   []*Request
	violations []string
}

// New returns a server that is not started: an http.Handler.
func New(cfg Config) *Server { return &Server{cfg: cfg, closing: make(chan struct{})} }

// Start serves on a free port of 127.0.0.1.
func Start(cfg Config) (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("llmtest: %w", err)
	}
	s := New(cfg)
	s.URL = "http://" + listener.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	s.served = make(chan error, 1)
	go func() { s.served <- s.http.Serve(listener) }()
	return s, nil
}

// Close ends the server and every reply that hangs. Call it once.
func (s *Server) Close() error {
	close(s.closing)
	if s.http == nil {
		return nil
	}
	err := s.http.Close()
	<-s.served
	return err
}

// Requests are the requests that were answered by a turn, in order.
func (s *Server) Requests() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Violations say what was wrong with the requests that were refused, and which
// requests came after the end of the script.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// Left is how many of the script's turns have not been played.
func (s *Server) Left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, len(s.cfg.Turns)-s.next)
}

// maxBody is the API's limit on a request, in bytes.
const maxBody = 32 << 20

// ServeHTTP judges a request and answers it by the next turn.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		s.refuse(w, r, refusal{413, "request_too_large", "Request exceeds the maximum size"})
		return
	}
	judge, read := s.judgeHeader, readRequest
	if isChat(r) {
		judge, read = s.judgeChatHeader, readChat
	}
	if no := judge(r); no.status != 0 {
		s.refuse(w, r, no)
		return
	}
	req, no := read(body)
	if no.status != 0 {
		s.refuse(w, r, no)
		return
	}
	req.Header = r.Header.Clone()
	s.mu.Lock()
	turn := s.cfg.Then
	if s.next < len(s.cfg.Turns) {
		turn = s.cfg.Turns[s.next]
	}
	s.next++
	req.Number = s.next
	if turn != nil {
		s.requests = append(s.requests, req)
	}
	s.mu.Unlock()
	if turn == nil {
		s.refuse(w, r, refusal{400, "invalid_request_error", fmt.Sprintf("the script has %d turns, and this is request %d", len(s.cfg.Turns), req.Number)})
		return
	}
	reply := turn(req)
	if reply.fault != nil {
		reply.fault(s, w, r)
		return
	}
	s.answerAs(r, w, req, reply)
}

// answerAs answers in the format of the request on the wire.
func (s *Server) answerAs(on *http.Request, w http.ResponseWriter, req *Request, reply Reply) {
	if isChat(on) {
		s.answerChat(w, req, reply)
		return
	}
	s.answer(w, req, reply)
}

// judgeHeader checks what does not depend on the body, in the API's order.
func (s *Server) judgeHeader(r *http.Request) refusal {
	key := r.Header.Get("X-Api-Key")
	switch {
	case r.URL.Path != "/v1/messages":
		return refusal{404, "not_found_error", "Not found"}
	case r.Method != http.MethodPost:
		return refusal{405, "invalid_request_error", "Method Not Allowed"}
	case key == "":
		return refusal{401, "authentication_error", "x-api-key header is required"}
	case s.cfg.APIKey != "" && key != s.cfg.APIKey:
		return refusal{401, "authentication_error", "invalid x-api-key"}
	case r.Header.Get("Anthropic-Version") == "":
		return refusal{400, "invalid_request_error", "anthropic-version: header is required"}
	case r.Header.Get("Anthropic-Version") != Version:
		return refusal{400, "invalid_request_error", fmt.Sprintf("anthropic-version: %q is not a valid version", r.Header.Get("Anthropic-Version"))}
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return refusal{400, "invalid_request_error", "content-type: must be application/json"}
	}
	return refusal{}
}

// refusal is an error of the API. The zero refusal is none.
type refusal struct {
	status  int
	kind    string
	message string
}

func invalid(format string, args ...any) refusal {
	return refusal{400, "invalid_request_error", fmt.Sprintf(format, args...)}
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, no refusal) {
	s.mu.Lock()
	s.violations = append(s.violations, no.message)
	s.mu.Unlock()
	fail(w, r, no)
}

// writeError writes the API's form of an error.
func writeError(w http.ResponseWriter, no refusal, details map[string]any) {
	problem := map[string]any{"type": no.kind, "message": no.message}
	if details != nil {
		problem["details"] = details
	}
	writeJSON(w, no.status, map[string]any{"type": "error", "error": problem, "request_id": "req_test"})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(fmt.Sprintf("llmtest: the script holds what JSON cannot: %v", err))
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Request-Id", "req_test")
	w.WriteHeader(status)
	w.Write(b.Bytes())
}
