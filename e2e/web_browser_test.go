//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"lifeline"
	"lifeline/internal/web"
)

// noDesk knows no link.
type noDesk struct{}

func (noDesk) ByToken(context.Context, string) (lifeline.Approval, lifeline.Incident, error) {
	return lifeline.Approval{}, lifeline.Incident{}, &lifeline.Error{Code: lifeline.CodeRefused, Message: "this link is not valid"}
}

func (noDesk) Decide(context.Context, string, bool, string, string) (lifeline.Approval, error) {
	return lifeline.Approval{}, errors.New("nothing can be decided by link")
}

// servePages serves the pages of a service on loopback, to a person with a role.
func servePages(t *testing.T, s web.Service, role lifeline.Role) *httptest.Server {
	t.Helper()
	pages, err := web.Handler(web.Config{Desk: noDesk{}, Service: s, PersonOf: func(context.Context) (lifeline.Person, bool) {
		return lifeline.Person{Name: "ann", Role: role, Via: "password"}, true
	}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(pages)
	t.Cleanup(server.Close)
	t.Cleanup(pages.Close) // first: else its streams would be waited for
	return server
}

// browser is a tab in headless Chromium. Whatever the page does against its
// Content-Security-Policy, throws, or complains of on the console is a complaint.
type browser struct {
	t   *testing.T
	ctx context.Context

	mu         sync.Mutex // guards complaints
	complaints []string
}

// tellViolations has the page say on the console what its policy forbids. It is
// put in by the browser itself, which no policy forbids.
const tellViolations = `document.addEventListener("securitypolicyviolation", (e) => console.error("CSP: " + e.violatedDirective + " " + e.blockedURI + " " + e.sample))`

func openBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath("chromium"),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("disable-background-networking", true), chromedp.Flag("hide-scrollbars", true), chromedp.UserDataDir(t.TempDir()))
	allocator, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, closeTab := chromedp.NewContext(allocator)
	t.Cleanup(closeTab)
	bounded, stop := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(stop)
	b := &browser{t: t, ctx: bounded}
	chromedp.ListenTarget(ctx, b.hear)
	b.do(log.Enable(), runtime.Enable(), network.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := cdppage.AddScriptToEvaluateOnNewDocument(tellViolations).Do(ctx)
		return err
	}))
	return b
}

// hear collects complaints.
func (b *browser) hear(ev any) {
	var text string
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.LevelError || e.Entry.Source == log.SourceSecurity {
			text = fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		text = "exception: " + e.ExceptionDetails.Error()
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.APITypeError || e.Type == runtime.APITypeWarning {
			text = "console:"
			for _, a := range e.Args {
				text += " " + string(a.Value)
			}
		}
	}
	if text == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.complaints = append(b.complaints, text)
}

// complained gives what was complained of since it was asked last.
func (b *browser) complained() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.complaints
	b.complaints = nil
	return all
}

// quiet fails the test if there was a complaint.
func (b *browser) quiet() {
	b.t.Helper()
	if all := b.complained(); len(all) > 0 {
		b.t.Errorf("the browser complains:\n%s", strings.Join(all, "\n"))
	}
}

func (b *browser) do(actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.t.Fatalf("in the browser: %v\n%s", err, strings.Join(b.complained(), "\n"))
	}
}

// window is how large the page is, and whether it is dark.
func (b *browser) window(width, height int64, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.do(chromedp.EmulateViewport(width, height), emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}))
}

// ask evaluates an expression in the page.
func ask[T any](b *browser, expression string) (value T) {
	b.t.Helper()
	b.do(chromedp.Evaluate(expression, &value))
	return value
}

// until waits for an expression to be true.
func (b *browser) until(expression string) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, chromedp.Poll(expression, nil, chromedp.WithPollingTimeout(30*time.Second))); err != nil {
		b.t.Fatalf("it never came true: %s: %v\n%s\n%s", expression, err, strings.Join(b.complained(), "\n"), ask[string](b, "document.body.innerText.slice(0, 1500)"))
	}
}

// says waits for a text on the page.
func (b *browser) says(text string) {
	b.t.Helper()
	b.until(fmt.Sprintf("document.body.innerText.includes(%q)", text))
}

// live waits until the page follows.
func (b *browser) live() {
	b.t.Helper()
	b.until(`document.querySelector("main").dataset.stream === "open"`)
}

// withoutScripts lets the pages that are opened from now on run none.
func withoutScripts(b *browser) {
	b.t.Helper()
	b.do(emulation.SetScriptExecutionDisabled(true))
}

// errNotYet is for what has not come yet.
var errNotYet = errors.New("not yet")
