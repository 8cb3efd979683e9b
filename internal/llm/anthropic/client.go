// Package anthropic asks Claude, through the official SDK.
//
//	model, err := anthropic.New(anthropic.Config{APIKey: key, Model: "claude-haiku-5-5"})
//	resp, err := model.Complete(ctx, req)
//
// Guaranteed: nothing is read from the environment but the usual proxy
// variables; the key is in no error and goes to no other address than the
// configured one, redirects included; what may pass is retried at most twice,
// with a wait of at most httpapi.MaxRetryWait each; a spent budget at the provider is
// not retried; an answer is bounded in size. The system prompt, the tools and
// the conversation so far are marked for the provider's prompt cache.
package anthropic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"

	"lifeline/internal/llm"
	"lifeline/internal/llm/httpapi"
)

// Config of a Client. APIKey and Model are required.
type Config struct {
	// APIKey is sent to BaseURL and nowhere else.
	APIKey string
	// BaseURL is the address of a gateway or of a test; "": Anthropic's own.
	BaseURL string
	// Model is the model's name: "claude-haiku-5-5".
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
	sdk  sdk.Client
}

var _ llm.Model = (*Client)(nil)

// New checks the configuration. It asks nobody: a wrong key shows at the first
// question.
func New(cfg Config) (*Client, error) {
	switch {
	case cfg.APIKey == "":
		return nil, errors.New("anthropic: Config.APIKey is not set")
	case cfg.Model == "":
		return nil, errors.New("anthropic: Config.Model is not set")
	case cfg.MaxTokens < 0:
		return nil, fmt.Errorf("anthropic: Config.MaxTokens is %d, want 1 or more", cfg.MaxTokens)
	case cfg.Timeout < 0:
		return nil, fmt.Errorf("anthropic: Config.Timeout is %s, want more than 0", cfg.Timeout)
	}
	if err := httpapi.CheckKey(cfg.APIKey); err != nil {
		return nil, fmt.Errorf("anthropic: %w", err)
	}
	cfg.MaxTokens = cmp.Or(cfg.MaxTokens, 4096)
	cfg.Timeout = cmp.Or(cfg.Timeout, 2*time.Minute)
	c := &Client{cfg: cfg, host: "api.anthropic.com"}
	opts := []option.RequestOption{
		option.WithoutEnvironmentDefaults(),
		option.WithoutOpenTelemetry(),
		option.WithAPIKey(cfg.APIKey),
		option.WithHTTPClient(httpapi.Client(cfg.Timeout)),
		option.WithMaxRetries(httpapi.MaxRetries),
		option.WithRequestTimeout(cfg.Timeout),
	}
	if cfg.BaseURL != "" {
		u, err := httpapi.ParseBaseURL(cfg.BaseURL)
		if err != nil {
			return nil, fmt.Errorf("anthropic: %w", err)
		}
		c.host = u.Host
		opts = append(opts, option.WithBaseURL(cfg.BaseURL))
	}
	c.sdk = sdk.NewClient(opts...)
	return c, nil
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
	watch := watcher{deadline: deadlineOf(ctx)}
	msg, err := c.sdk.Messages.New(ctx, params, option.WithMiddleware(watch.attempt))
	if err != nil {
		return llm.Response{}, c.classify(ctx, err)
	}
	resp, err := response(msg)
	if err != nil {
		return llm.Response{}, &llm.Error{Class: llm.ClassBroken, Model: c.cfg.Model, Status: http.StatusOK,
			Message: c.clean(err.Error()), Err: err}
	}
	return resp, nil
}

func deadlineOf(ctx context.Context) time.Time {
	d, _ := ctx.Deadline()
	return d
}
