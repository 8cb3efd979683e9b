// Package openai asks models over the Chat Completions API, which OpenAI made
// and Ollama, vLLM, LM Studio, OpenRouter and many others speak too, through
// OpenAI's official SDK.
//
//	model, err := openai.New(openai.Config{BaseURL: "http://127.0.0.1:11434/v1", Model: "qwen3:14b"})
//	resp, err := model.Complete(ctx, req)
//
// Guaranteed: nothing is read from the environment but the usual proxy
// variables; the key is in no error and goes to no other address than the
// configured one, redirects included; what may pass is retried at most twice,
// with a wait of at most httpapi.MaxRetryWait each; money that is used up is
// not retried; an answer is bounded in size. What is asked begins with the same
// bytes at every turn of a conversation, which is what such providers cache by.
package openai

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"lifeline/internal/llm"
	"lifeline/internal/llm/httpapi"
)

// ownURL is OpenAI's own address.
const ownURL = "https://api.openai.com/v1"

// firstWait is the wait before the first repetition where the provider names
// none; the second is twice as long.
const firstWait = 500 * time.Millisecond

// Config of a Client. Model is required, and APIKey where BaseURL is not set.
type Config struct {
	// APIKey is sent to BaseURL and nowhere else; "": none is sent, which models
	// on one's own machines take.
	APIKey string
	// BaseURL is the address of the API with its /v1; "": OpenAI's own.
	BaseURL string
	// Model is the model's name as the provider knows it.
	Model string
	// MaxTokens bounds an answer whose request does not; 0: 4096.
	MaxTokens int
	// Timeout bounds one try, of which there are at most three; 0: 2 minutes.
	Timeout time.Duration
}

// Client is one model. It is safe for concurrent use.
type Client struct {
	cfg  Config
	host string
	sdk  sdk.ChatCompletionService
}

var _ llm.Model = (*Client)(nil)

// New checks the configuration. It asks nobody: a wrong key shows at the first
// question.
func New(cfg Config) (*Client, error) {
	switch {
	case cfg.APIKey == "" && cfg.BaseURL == "":
		return nil, errors.New("openai: Config.APIKey is not set, and OpenAI's own address needs one")
	case cfg.Model == "":
		return nil, errors.New("openai: Config.Model is not set")
	case cfg.MaxTokens < 0:
		return nil, fmt.Errorf("openai: Config.MaxTokens is %d, want 1 or more", cfg.MaxTokens)
	case cfg.Timeout < 0:
		return nil, fmt.Errorf("openai: Config.Timeout is %s, want more than 0", cfg.Timeout)
	}
	if err := httpapi.CheckKey(cfg.APIKey); err != nil {
		return nil, fmt.Errorf("openai: %w", err)
	}
	u, err := httpapi.ParseBaseURL(cmp.Or(cfg.BaseURL, ownURL))
	if err != nil {
		return nil, fmt.Errorf("openai: %w", err)
	}
	if !strings.HasSuffix(u.Path, "/") {
		u.Path += "/" // without it the SDK would drop the last part of the path
	}
	cfg.MaxTokens = cmp.Or(cfg.MaxTokens, 4096)
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Minute)
	opts := []option.RequestOption{
		option.WithBaseURL(u.String()),
		option.WithHTTPClient(httpapi.Client(cfg.Timeout)),
		option.WithMaxRetries(0), // Complete decides about each repetition
		option.WithRequestTimeout(cfg.Timeout),
	}
	if cfg.APIKey != "" {
		opts = append(opts, option.WithAPIKey(cfg.APIKey))
	}
	// The service alone, not sdk.NewClient: that reads OPENAI_* variables.
	return &Client{cfg: cfg, host: u.Host, sdk: sdk.NewChatCompletionService(opts...)}, nil
}

// Name is the model's name.
func (c *Client) Name() string { return c.cfg.Model }

// Complete asks the model. It takes at most three times Config.Timeout and
// twice httpapi.MaxRetryWait, and never longer than ctx.
func (c *Client) Complete(ctx context.Context, req llm.Request) (llm.Response, error) {
	params, err := c.params(req)
	if err != nil {
		return llm.Response{}, &llm.Error{Class: llm.ClassInvalidRequest, Model: c.cfg.Model, Message: err.Error(), Err: err}
	}
	for try := 0; ; try++ {
		resp, again, err := c.once(ctx, params)
		if err == nil || !again || try == httpapi.MaxRetries {
			return resp, err
		}
		wait := backoff(try)
		if e, ok := errors.AsType[*llm.Error](err); ok && e.RetryAfter > 0 {
			wait = e.RetryAfter
		}
		if wait > httpapi.MaxRetryWait || !pause(ctx, wait) {
			return resp, err
		}
	}
}

// backoff is a wait that callers do not share.
func backoff(try int) time.Duration {
	d := firstWait << try
	return d - rand.N(d/4)
}

// pause waits; it gives false at once if ctx would end before, and when it ends.
func pause(ctx context.Context, d time.Duration) bool {
	if deadline, ok := ctx.Deadline(); ok && time.Now().Add(d).After(deadline) {
		return false
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// once makes one try; again says whether another one may help.
func (c *Client) once(ctx context.Context, params sdk.ChatCompletionNewParams) (_ llm.Response, again bool, _ error) {
	var seen seen
	completion, err := c.sdk.New(ctx, params, option.WithMiddleware(seen.look))
	if err != nil {
		err, again = c.classify(ctx, err, seen)
		return llm.Response{}, again, err
	}
	resp, err := c.response(completion)
	if err != nil {
		failure := &llm.Error{Class: llm.ClassBroken, Model: c.cfg.Model, Status: http.StatusOK, RequestID: c.clean(seen.header.Get("X-Request-Id")),
			Message: c.clean(err.Error()), Err: err}
		if p, ok := errors.AsType[*problem](err); ok { // gateways fail with a 200 too
			failure.Class, again = classOf(p.status(), *p)
		}
		return llm.Response{}, again, failure
	}
	return resp, false, nil
}

// seen is what came back on one try.
type seen struct {
	status int
	header http.Header
	body   []byte // of a failure
}

// look bounds the body of an answer, and keeps that of a failure: the SDK reads
// it in OpenAI's own form only.
func (s *seen) look(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
	resp, err := next(req)
	if err != nil || resp == nil {
		return resp, err
	}
	s.status, s.header = resp.StatusCode, resp.Header
	if resp.StatusCode < 400 {
		resp.Body = httpapi.Bounded(resp.Body)
		return resp, nil
	}
	s.body, _ = io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came is enough to classify it
	resp.Body.Close()
	// The SDK fails on an error that is not in the form it knows.
	resp.Body = io.NopCloser(bytes.NewReader([]byte(`{"error":{}}`)))
	return resp, nil
}
