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

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
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
	b := &browser{t: t, ctx: ctx}
	if err := chromedp.Listen(ctx, b.hear); err != nil { // it starts the browser
		t.Fatal(err)
	}
	bounded, stop := context.WithTimeout(ctx, 4*time.Minute)
	t.Cleanup(stop)
	b.ctx = bounded
	protocol(b, log.Enable, cdp.Empty{})
	protocol(b, runtime.Enable, cdp.Empty{})
	protocol(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: tellViolations})
	return b
}

// protocol sends a command of the browser's protocol.
func protocol[P, R any](b *browser, c cdp.Command[P, R], params P) {
	b.t.Helper()
	if _, err := chromedp.Call(b.ctx, c, params); err != nil {
		b.t.Fatalf("%s: %v", c.Method, err)
	}
}

// hear collects complaints.
func (b *browser) hear(ev any) {
	var text string
	switch e := ev.(type) {
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError || e.Entry.Source == log.EntrySourceSecurity {
			text = fmt.Sprintf("log: %s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		text = "exception: " + e.ExceptionDetails.Text
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError || e.Type == runtime.ConsoleAPICalledTypeWarning {
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

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
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
	b.do(chromedp.EmulateViewport(width, height))
	protocol(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}})
}

// ask evaluates an expression in the page.
func ask[T any](b *browser, expression string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		b.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// run evaluates statements in the page.
func (b *browser) run(statements string) {
	b.t.Helper()
	ask[bool](b, "(() => {"+statements+"; return true})()")
}

// until waits for an expression to be true. While a page is being opened there is
// nothing to ask.
func (b *browser) until(expression string) {
	b.t.Helper()
	within(b.t, 30*time.Second, expression, func() error {
		if ok, err := chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+expression+")")); err != nil || !ok {
			return errors.Join(errNotYet, err)
		}
		return nil
	})
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
	protocol(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
}

// errNotYet is for what has not come yet.
var errNotYet = errors.New("not yet")
