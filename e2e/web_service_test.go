//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/lab"
)

// The people of these stories, by their roles, and what each types to sign in.
const (
	viewerName, approverName = "vic", "ann"
	passphrase               = "four words and a lamp"
)

// ward is lifeline serve with people who sign in to its pages, over simulated
// hosts.
type ward struct {
	*product
	// client posts alerts; streams has no limit of time.
	client, streams *http.Client
}

// openWard starts a service over hosts. An incident is worked by the shipped
// runbooks.
func openWard(t *testing.T, mode lifeline.Mode, more string, hosts ...*lab.Host) *ward {
	t.Helper()
	dir := newDir(t)
	simulated, err := lab.Start(t.Context(), hosts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := simulated.Close(); err != nil {
			t.Error(err)
		}
	})
	knownHosts := filepath.Join(dir, "known_hosts")
	var list strings.Builder
	for _, h := range hosts {
		identity := filepath.Join(dir, h.Name()+".key")
		if err := errors.Join(h.WriteKnownHosts(knownHosts), h.WriteIdentity(identity)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&list, "  %s: {address: %q, user: %s, identity: %q, mode: %s}\n", h.Name(), h.Address(), h.User(), identity, mode)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	w := &ward{client: &http.Client{Timeout: patience, Transport: transport}, streams: &http.Client{Transport: transport}}
	t.Cleanup(w.client.CloseIdleConnections)
	w.product = install(t, dir, knownHosts, list.String(), fmt.Sprintf(`responder: runbook
respond: {verify_for: 1s, alert_timeout: 60s}
access:
  users:
    %s: {role: viewer, password_hash: %q}
    %s: {role: approver, password_hash: %q}
%s`, viewerName, hashed(t), approverName, hashed(t), more))
	w.serve(t)
	return w
}

// hashed is what lifeline password makes of the passphrase.
func hashed(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t, "lifeline"), "password")
	cmd.Stdin = strings.NewReader(passphrase + "\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("lifeline password: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// firing is an alert about a container, as a sender of alerts has it.
type firing struct {
	Status      lifeline.AlertStatus `json:"status"`
	Labels      map[string]string    `json:"labels"`
	Annotations map[string]string    `json:"annotations"`
	StartsAt    time.Time            `json:"startsAt"`
}

func containerDown(status lifeline.AlertStatus, host, container string) firing {
	return firing{Status: status, Annotations: map[string]string{"summary": container + " is down"}, StartsAt: time.Now().UTC().Truncate(time.Second),
		Labels: map[string]string{"alertname": "ContainerDown", "host": host, "container": container, "severity": "critical"}}
}

// post sends alerts to the webhook.
func (w *ward) post(t *testing.T, alerts ...firing) {
	t.Helper()
	if err := w.send(t.Context(), alerts...); err != nil {
		t.Fatal(err)
	}
}

func (w *ward) send(ctx context.Context, alerts ...firing) error {
	body, err := json.Marshal(map[string]any{"version": "4", "status": "firing", "alerts": alerts})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/webhook/alertmanager", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if said, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the webhook answers %s: %s %w", resp.Status, said, err)
	}
	return nil
}

// only is the only incident on record, once there is one.
func (w *ward) only(t *testing.T) lifeline.Incident {
	t.Helper()
	var list struct{ Incidents []lifeline.Incident }
	eventually(t, "there is an incident", func() error {
		if w.read(t, &list, "incidents", "--json"); len(list.Incidents) == 0 {
			return errNotYet
		}
		return nil
	})
	if len(list.Incidents) > 1 {
		t.Fatalf("one fault became %d incidents: %+v", len(list.Incidents), list.Incidents)
	}
	return list.Incidents[0]
}

// signIn signs a person in, as a program that keeps cookies.
func (w *ward) signIn(t *testing.T, name string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Jar: jar, Transport: w.client.Transport}
	resp, err := c.PostForm(w.url+"/login", url.Values{"name": {name}, "password": {passphrase}, "next": {"/"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if page, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK || !bytes.Contains(page, []byte(name+",")) {
		t.Fatalf("%s is not signed in: %s %v\n%s", name, resp.Status, err, page)
	}
	return c
}

// enter opens a page in the browser as somebody who is not signed in, and signs
// in on the form that comes instead.
func (w *ward) enter(b *browser, name, path string) {
	b.t.Helper()
	b.do(chromedp.Navigate(w.url+path), chromedp.WaitReady(chromedp.CSS("#password")),
		chromedp.SendKeys(chromedp.CSS("#name"), name), chromedp.SendKeys(chromedp.CSS("#password"), passphrase+"\r"))
	b.until(fmt.Sprintf(`location.pathname === %q && document.querySelector(".me")`, path))
	b.says(name + ",")
}

// leave signs out.
func (w *ward) leave(b *browser) {
	b.t.Helper()
	b.do(chromedp.Click(chromedp.CSS(".me button")))
	b.until(`location.pathname === "/login"`)
}

// entriesShown counts the entries of the timeline on the page.
const entriesShown = `document.querySelectorAll("#p-timeline li.entry").length`

// badge is the state of the incident as its page shows it.
func badge(words string) string {
	return fmt.Sprintf(`document.querySelector("#p-head .badge").textContent === %q`, words)
}

// An alert comes while a person looks: the incident is on the page of what is the
// matter now, and its own page goes with it to the end. Neither is loaded again.
func TestWebServiceMoves(t *testing.T) {
	nexus := lab.NewHost("nexus", lab.Options{Pace: 0.2})
	w := openWard(t, lifeline.ModeAuto, "", nexus)
	if err := nexus.Break("container-exited", "mosquitto"); err != nil {
		t.Fatal(err)
	}
	b := openBrowser(t)
	b.window(400, 840, false)
	w.enter(b, viewerName, "/")
	b.live()
	b.says("0 incidents open")
	b.run(`window.mark = "never loaded again"`)
	w.post(t, containerDown(lifeline.AlertFiring, "nexus", "mosquitto"))
	inc := w.only(t)
	b.says("ContainerDown")
	b.until(fmt.Sprintf(`document.getElementById("inc-%s")`, inc.ID))
	if got := ask[string](b, `String(window.mark)`); got != "never loaded again" {
		t.Errorf("the page of what is the matter now was loaded again: %q", got)
	}

	b.do(chromedp.Click(chromedp.CSS("#inc-" + inc.ID)))
	b.until(`location.pathname === "/incidents/` + inc.ID + `"`)
	b.live()
	b.run(`window.mark = "nor this one"`)
	// It waits for the end of the alert: it cannot have ended before.
	if ask[bool](b, badge("repaired")) {
		t.Error("the incident ended while its alert fires")
	}
	b.until(`document.querySelector("#p-timeline").textContent.includes("docker start mosquitto")`)
	before := ask[int](b, entriesShown)
	w.post(t, containerDown(lifeline.AlertResolved, "nexus", "mosquitto"))
	b.until(badge("repaired"))
	b.until(entriesShown + fmt.Sprintf(" > %d", before))
	if got := ask[string](b, `String(window.mark)`); got != "nor this one" {
		t.Errorf("the page of the incident was loaded again: %q", got)
	}
	if got := ask[string](b, `document.getElementById("announce").textContent`); got != "ContainerDown: repaired" {
		t.Errorf("a person who hears the page is told %q", got)
	}
	if !nexus.World().Running("mosquitto") {
		t.Error("the container does not run")
	}
	b.quiet()
}

// A repair waits for a person: one who may only look cannot let it go on, neither
// by the page nor past it; one who may presses the button, and it goes on to its
// end.
func TestWebServiceApproval(t *testing.T) {
	nexus := lab.NewHost("nexus", lab.Options{Pace: 0.2})
	w := openWard(t, lifeline.ModeSuggest, "", nexus)
	if err := nexus.Break("container-killed", "scrypted"); err != nil {
		t.Fatal(err)
	}
	w.post(t, containerDown(lifeline.AlertFiring, "nexus", "scrypted"))
	inc := w.only(t)
	var waiting struct{ Approvals []lifeline.Approval }
	eventually(t, "a person is asked", func() error {
		if w.read(t, &waiting, "approvals", "--json"); len(waiting.Approvals) == 0 {
			return errNotYet
		}
		return nil
	})
	question := "/approvals/" + waiting.Approvals[0].ID

	b := openBrowser(t)
	b.window(400, 840, false)
	w.enter(b, viewerName, question)
	b.says("docker start scrypted")
	b.says("that needs the role approver")
	for _, path := range []string{question, "/incidents/" + inc.ID} {
		b.do(chromedp.Navigate(w.url+path), chromedp.WaitReady(chromedp.CSS("main")))
		if buttons := ask[int](b, `document.querySelectorAll("main form, main button").length`); buttons != 0 {
			t.Errorf("%s offers %d forms and buttons to somebody who may only look", path, buttons)
		}
	}
	b.quiet()
	vic := w.signIn(t, viewerName)
	for path, form := range map[string]url.Values{
		question:                                 {"decision": {"approve"}},
		"/incidents/" + inc.ID + "/handover":     {},
		"/api/v1" + question:                     {},
		"/incidents/" + inc.ID + "/close":        {},
		"/incidents/" + inc.ID + "/retry":        {},
		"/api/v1/incidents/" + inc.ID + "/retry": {},
	} {
		if got := posted(t, vic, w.url+path, form); got != http.StatusForbidden {
			t.Errorf("a viewer who posts to %s is answered %d, want 403", path, got)
		}
	}
	if nexus.World().Running("scrypted") {
		t.Fatal("the container was started without a yes")
	}
	w.leave(b)

	w.enter(b, approverName, question)
	w.pictures(b, map[string]string{"now": "/", "incident": "/incidents/" + inc.ID, "approval": question}, 400, 840)
	b.do(chromedp.Navigate(w.url+question), chromedp.WaitReady(chromedp.CSS("#approve")))
	b.do(chromedp.SendKeys(chromedp.CSS("#reason"), "the cameras are needed"), chromedp.Click(chromedp.CSS("#approve")))
	b.until(`location.pathname === "/incidents/` + inc.ID + `"`)
	b.live()
	b.until(`document.querySelector("#p-timeline").textContent.includes("the cameras are needed")`)
	eventually(t, "the container runs", func() error {
		if !nexus.World().Running("scrypted") {
			return errors.New("it is " + nexus.World().ContainerState("scrypted"))
		}
		return nil
	})
	w.post(t, containerDown(lifeline.AlertResolved, "nexus", "scrypted"))
	b.until(badge("repaired"))
	c := w.ended(t)
	if diff := cmp.Diff([]string{"docker start scrypted"}, c.changes()); diff != "" {
		t.Errorf("changes made to nexus (-want +got):\n%s", diff)
	}
	if decided := c.find(t, lifeline.EventApprovalDecided); !strings.Contains(decided.Actor+decided.Text, approverName) {
		t.Errorf("the record does not name who decided: %s: %s", decided.Actor, decided.Text)
	}
	w.pictures(b, map[string]string{"repaired": "/incidents/" + inc.ID, "host": "/hosts/nexus", "policy": "/policy?host=nexus&command=docker+restart+scrypted", "history": "/history"}, 960, 900)
	b.quiet()
}

// posted posts a form and gives the status of the answer.
func posted(t *testing.T, c *http.Client, address string, form url.Values) int {
	t.Helper()
	body, kind := form.Encode(), "application/x-www-form-urlencoded"
	if strings.Contains(address, "/api/") {
		body, kind = `{"decision": "approve"}`, "application/json"
	}
	resp, err := c.Post(address, kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

// pictures makes pictures of pages if they are asked for.
func (w *ward) pictures(b *browser, pages map[string]string, width, height int64) {
	b.t.Helper()
	dir := os.Getenv(screenshots)
	if dir == "" {
		return
	}
	for name, path := range pages {
		picture(b, w.url+path, filepath.Join(dir, "page-"+name+".png"), width, height)
	}
}

// hostile are lines of a container's log that want to be more than text.
var hostile = []string{
	`<script>window.owned = 1; document.title = "owned"</script>`,
	`</pre></details></main><img src=x onerror="window.owned = 1"><svg onload="window.owned = 1">`,
	"\x1b]0;owned\x07\x1b[2J\x1b[31mred\x1b[0m \x9b31m",
	"pay \u202egnihton\u202c to \u2066nobody\u2069 and\u200b hide \U000e0041",
	"a" + strings.Repeat(" ", 400) + "<b>far right</b>",
	"before\x00after\r\x08over",
	strings.Repeat("W", 3000),
}

// What a host prints is on the page as text, spelled out where it would do
// something, and does nothing.
func TestWebServiceHostileLog(t *testing.T) {
	nexus := lab.NewHost("nexus", lab.Options{Pace: 0.2, World: func(w *lab.World) {
		w.AddContainer(lab.ContainerSpec{Name: "web", Image: "caddy:2", StartLog: hostile})
		w.SetFilesystem(lab.Filesystem{Device: "/dev/sda1", Type: "ext4", Mount: "/", Size: 100 << 30, Used: 40 << 30, Inodes: 1 << 20, InodesUsed: 1 << 18})
	}})
	w := openWard(t, lifeline.ModeSuggest, "", nexus)
	if err := nexus.Break("container-exited", "web"); err != nil {
		t.Fatal(err)
	}
	down := containerDown(lifeline.AlertFiring, "nexus", "web")
	down.Annotations["summary"] = hostile[0] + hostile[2] + hostile[3] + hostile[4]
	w.post(t, down)
	inc := w.only(t)
	b := openBrowser(t)
	b.window(360, 780, false)
	w.enter(b, approverName, "/incidents/"+inc.ID)
	b.live()
	// The page was there first: it takes the lines in while it is open.
	b.until(`[...document.querySelectorAll("#p-timeline details pre")].some((e) => e.textContent.includes("far right"))`)
	b.until(`document.getElementById("approve")`)
	for _, path := range []string{"/incidents/" + inc.ID, "/", "/incidents/" + inc.ID + "?explain=1", "/incidents/" + inc.ID + "/replay", "/history", "/hosts/nexus", "/approvals"} {
		if path != "/incidents/"+inc.ID {
			b.do(chromedp.Navigate(w.url+path), chromedp.WaitReady(chromedp.CSS("main")))
		}
		b.run(`document.querySelectorAll("details").forEach((d) => d.open = true)`)
		if faults := ask[[]string](b, `[
			window.owned && "a script ran",
			document.title.includes("owned") && !document.title.includes("<script>") && "the title is what the log wants",
			document.querySelector("main script, main img, main b, main > svg[onload]") && "the log became elements",
			/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b\u202a-\u202e\u2066-\u2069]|\udb40/.test(document.documentElement.textContent) && "there are characters that hide or reorder",
			document.documentElement.scrollWidth > innerWidth && "it is wider than the window: " + document.documentElement.scrollWidth,
		].filter(Boolean)`); len(faults) > 0 {
			t.Errorf("%s: %s", path, strings.Join(faults, "; "))
		}
		if path == "/incidents/"+inc.ID {
			shown := ask[string](b, `[...document.querySelectorAll("#p-timeline details pre")].map((e) => e.textContent).join("\n")`)
			for _, want := range []string{hostile[0], hostile[1], `\x1b]0;owned\x07\x1b[2J\x1b[31mred`, `pay \u{202e}gnihton\u{202c} to \u{2066}nobody\u{2069} and\u{200b} hide \u{e0041}`,
				hostile[4], `before\x00after\r\x08over`} {
				if !strings.Contains(shown, want) {
					t.Errorf("the page does not show %q:\n%s", want, shown)
				}
			}
		}
	}
	b.quiet()
}
