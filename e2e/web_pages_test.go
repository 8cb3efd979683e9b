//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/web/webtest"
)

// screenshots names, in the environment, the folder that pictures of the pages
// are put into; "": none are made.
const screenshots = "LIFELINE_SCREENSHOTS"

// mostPicture bounds a picture, in bytes: they are in the repository.
const mostPicture = 200 << 10

// Every page can be used by people who hear it, have no mouse, see little, like
// it dark, or hold a phone of 360 pixels; and none does what its policy forbids.
func TestWebPagesForEverybody(t *testing.T) {
	check, err := os.ReadFile("testdata/accessible.js")
	if err != nil {
		t.Fatal(err)
	}
	url := servePages(t, webtest.Night(time.Now()), lifeline.RoleAdmin).URL
	b := openBrowser(t)
	for _, page := range []struct{ name, path string }{
		{"now", "/"}, {"incident", "/incidents/" + webtest.Asking}, {"acting", "/incidents/" + webtest.Acting}, {"handed", "/incidents/" + webtest.Handed},
		{"over", "/incidents/" + webtest.Over}, {"repaired", "/incidents/" + webtest.Repaired}, {"hostile", "/incidents/" + webtest.Hostile},
		{"explained", "/incidents/" + webtest.Asking + "?explain=1"}, {"replay", "/incidents/" + webtest.Repaired + "/replay?step=9"},
		{"approvals", "/approvals"}, {"approval", "/approvals/" + webtest.Question}, {"decided", "/approvals/apr_web"}, {"hosts", "/hosts"}, {"host", "/hosts/nexus"},
		{"trouble", "/hosts/vault"}, {"policy", "/policy?host=nexus&command=docker+restart+scrypted"}, {"refused", "/policy?command=rm+-rf+/srv"}, {"history", "/history"},
		{"nothing", "/nothing/here"},
	} {
		for _, dark := range []bool{false, true} {
			b.window(360, 780, dark)
			b.do(chromedp.Navigate(url+page.path), chromedp.WaitReady(chromedp.CSS("main")))
			// What is folded counts too.
			b.run(`document.querySelectorAll("details").forEach((d) => d.open = true)`)
			if faults := ask[[]string](b, string(check)); len(faults) > 0 {
				t.Errorf("%s, dark %v:\n%s", page.path, dark, strings.Join(faults, "\n"))
			}
			if title := ask[string](b, "document.title"); title == "owned" {
				t.Errorf("%s obeys a text from outside", page.path)
			}
			complaints := slices.DeleteFunc(b.complained(), func(c string) bool { return page.name == "nothing" && strings.Contains(c, "404") })
			if len(complaints) > 0 {
				t.Errorf("%s: the browser complains:\n%s", page.path, strings.Join(complaints, "\n"))
			}
		}
		if dir := os.Getenv(screenshots); dir != "" {
			switch page.name {
			case "handed": // the others are made of a real run
				picture(b, url+page.path, filepath.Join(dir, "page-"+page.name+".png"), 400, 840)
			}
		}
	}
	// What the checks say is theirs: they find what is wrong.
	b.do(chromedp.Navigate(url + "/policy"))
	b.run(`
		document.querySelector("label[for=command]").remove();
		document.querySelector("main").insertAdjacentHTML("beforeend", "<h5>x</h5><p id=pale>pale</p><img src=/static/icon.svg><p id=wide>wide</p>");
		document.getElementById("pale").style.color = "rgb(150, 150, 150)";
		document.getElementById("pale").style.backgroundColor = "rgb(255, 255, 255)";
		document.getElementById("wide").style.width = "500px"`)
	found := strings.Join(ask[[]string](b, string(check)), "\n")
	for _, want := range []string{"a field has no label", "leaves out a level", "the contrast is 2.9", "a picture has no text", "wider than the window"} {
		if !strings.Contains(found, want) {
			t.Errorf("the checks do not find %q:\n%s", want, found)
		}
	}
	b.complained()
	// Nor is the browser silent about what the policy forbids.
	b.run(`document.head.appendChild(document.createElement("style")).textContent = "p { color: red }"`)
	eventually(t, "the browser complains of what the policy forbids", func() error {
		if all := strings.Join(b.complained(), "\n"); !strings.Contains(all, "CSP: ") {
			return errNotYet
		}
		return nil
	})
}

// picture makes a picture of the beginning of a page.
func picture(b *browser, url, file string, width, height int64) {
	b.t.Helper()
	b.window(width, height, false)
	b.do(chromedp.Navigate(url), chromedp.WaitReady(chromedp.CSS("main")))
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if len(png) > mostPicture {
		b.t.Errorf("%s would have %d bytes", file, len(png))
		return
	}
	if err := os.WriteFile(file, png, 0o644); err != nil {
		b.t.Error(err)
	}
}

// A page moves while the incident is worked, without being loaded again, and
// takes nothing away from a person who is writing.
func TestWebPageMoves(t *testing.T) {
	s := webtest.Night(time.Now())
	server := servePages(t, s, lifeline.RoleApprover)
	b := openBrowser(t)
	b.window(360, 780, false)
	b.do(chromedp.Navigate(server.URL + "/incidents/" + webtest.Asking))
	b.live()
	b.run(`window.mark = "still here"; document.querySelector("#p-timeline details").open = true; document.querySelector("#p-timeline summary").focus()`)
	unfolded := ask[string](b, `document.querySelector("#p-timeline details").id`)

	move := func(to lifeline.State, words string) {
		s.Do(func(k *webtest.Known) {
			c := k.Case(webtest.Asking)
			c.Incident.State, c.Incident.Reason = to, words
			c.Approvals[0].State = lifeline.ApprovalUsed
		})
		s.Append(lifeline.Event{IncidentID: webtest.Asking, Kind: lifeline.EventStateChanged, Actor: "respond", Text: words})
	}
	move(lifeline.StateActing, "the first thing that happened meanwhile")
	b.says("the first thing that happened meanwhile")
	b.says("being repaired")
	b.until(`!document.getElementById("approve") && !!document.getElementById("handover")`)
	if got := ask[string](b, `window.mark`); got != "still here" {
		t.Errorf("the page was loaded again: %q", got)
	}
	if got := ask[string](b, `document.activeElement.parentElement.id + " " + document.activeElement.parentElement.open`); got != unfolded+" true" {
		t.Errorf("the focus, and what was unfolded, are at %q, want %q", got, unfolded)
	}
	if got := ask[string](b, `document.getElementById("announce").textContent`); got != "ContainerDown: being repaired" {
		t.Errorf("a person who hears the page is told %q", got)
	}

	// The stream is lost, and nothing that comes meanwhile.
	server.CloseClientConnections()
	move(lifeline.StateVerifying, "what came while the stream was lost")
	b.says("what came while the stream was lost")
	b.live()
	b.complained() // of the connection that was lost

	b.do(chromedp.SendKeys(chromedp.CSS("#handover-reason"), "I am writing"))
	move(lifeline.StateEscalated, "what came while somebody was writing")
	b.says("what came while somebody was writing")
	if got := ask[string](b, `document.getElementById("handover-reason").value`); got != "I am writing" {
		t.Errorf("what was written is %q", got)
	}

	// A new incident appears by itself.
	b.do(chromedp.Navigate(server.URL + "/"))
	b.live()
	s.Do(func(k *webtest.Known) {
		k.Cases = append(k.Cases, &lifeline.CaseFile{Incident: lifeline.Incident{ID: "inc_new", AlertName: "BrandNew", Severity: "critical", State: lifeline.StateOpen, OpenedAt: time.Now()}})
	})
	s.Append(lifeline.Event{IncidentID: "inc_new", Kind: lifeline.EventIncidentOpened, Actor: "triage", Text: "BrandNew"})
	b.says("BrandNew")
	b.quiet()
}

// tabs presses Tab until a thing has the focus, and says how often.
func tabs(b *browser, id string) int {
	b.t.Helper()
	for n := 1; n <= 60; n++ {
		b.do(chromedp.KeyEvent(kb.Tab))
		if ask[string](b, "document.activeElement.id") == id {
			return n
		}
	}
	b.t.Fatalf("60 tabs do not lead to %s", id)
	return 0
}

// A person decides with the keyboard alone, and without scripts.
func TestWebKeyboard(t *testing.T) {
	s := webtest.Night(time.Now())
	server := servePages(t, s, lifeline.RoleApprover)
	b := openBrowser(t)
	b.window(360, 780, true)
	b.do(chromedp.Navigate(server.URL+"/approvals/"+webtest.Question), chromedp.WaitReady(chromedp.CSS("#approve")))
	b.do(chromedp.KeyEvent(kb.Tab))
	if got := ask[string](b, `document.activeElement.className + " " + Math.sign(document.activeElement.getBoundingClientRect().left)`); got != "skip 1" {
		t.Errorf("the first thing is %q, want the link that skips the navigation, to be seen", got)
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	count := tabs(b, "approve")
	if outline := ask[string](b, `getComputedStyle(document.activeElement).outlineStyle`); outline != "solid" {
		t.Errorf("the focus is not seen: outline %q", outline)
	}
	if count > 4 { // back to the incident, the reason, the button
		t.Errorf("it takes %d tabs from the beginning of the content", count)
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	b.says("being repaired")
	if diff := cmp.Diff([]string{"person:ann decide " + webtest.Question + " true: "}, s.Did()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	b.quiet()
}

// A viewer sees the question and cannot answer it.
func TestWebViewer(t *testing.T) {
	server := servePages(t, webtest.Night(time.Now()), lifeline.RoleViewer)
	b := openBrowser(t)
	for _, path := range []string{"/approvals/" + webtest.Question, "/incidents/" + webtest.Asking, "/"} {
		b.do(chromedp.Navigate(server.URL+path), chromedp.WaitReady(chromedp.CSS("main")))
		b.says("docker restart --time 10 scrypted")
		if n := ask[int](b, `document.querySelectorAll("main form, main button").length`); n != 0 {
			t.Errorf("%s has %d buttons for a viewer", path, n)
		}
	}
	b.quiet()
}

// Without scripts, pages are read and forms are sent all the same.
func TestWebWithoutScripts(t *testing.T) {
	s := webtest.Night(time.Now())
	server := servePages(t, s, lifeline.RoleApprover)
	b := openBrowser(t)
	b.do(chromedp.Navigate(server.URL+"/incidents/"+webtest.Handed), chromedp.WaitReady(chromedp.CSS("#retry")))
	count := tabs(b, "retry")
	withoutScripts(b)
	b.do(chromedp.Navigate(server.URL + "/incidents/" + webtest.Handed))
	for range count {
		b.do(chromedp.KeyEvent(kb.Tab))
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	eventually(t, "the form is sent", func() error {
		if len(s.Did()) == 0 {
			return errNotYet
		}
		return nil
	})
	if diff := cmp.Diff([]string{"person:ann retry " + webtest.Handed}, s.Did()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
