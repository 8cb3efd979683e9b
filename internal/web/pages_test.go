package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/web/webtest"
)

type whoKey struct{}

// as is a person with a role; "" is nobody.
func as(role lifeline.Role) lifeline.Person {
	return lifeline.Person{Name: "ann", Role: role, Via: "password"}
}

// served are the pages of a service, as a person sees them.
func served(t *testing.T, s Service, who lifeline.Person) http.Handler {
	t.Helper()
	h, err := Handler(Config{Desk: newDesk(), Service: s, PersonOf: func(ctx context.Context) (lifeline.Person, bool) {
		who, known := ctx.Value(whoKey{}).(lifeline.Person)
		return who, known
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if who.Role != "" {
			r = r.WithContext(context.WithValue(r.Context(), whoKey{}, who))
		}
		h.ServeHTTP(w, r)
	})
}

// everyPage are the addresses of all pages in Night.
func everyPage() []string {
	return []string{"/", "/?page=1", "/incidents/" + webtest.Asking, "/incidents/" + webtest.Acting, "/incidents/" + webtest.Handed, "/incidents/" + webtest.Over,
		"/incidents/" + webtest.Repaired, "/incidents/" + webtest.Hostile, "/incidents/" + webtest.Repaired + "/replay?step=9", "/incidents/" + webtest.Asking + "?explain=1",
		"/incidents/" + webtest.Hostile + "/replay?step=99", "/approvals", "/approvals/" + webtest.Question, "/hosts", "/hosts/nexus", "/hosts/vault", "/hosts/skynet",
		"/policy", "/policy?host=nexus&command=docker+restart+web", "/policy?command=rm+-rf+/", "/history", "/history?text=scrypted&state=resolved&from=2020-01-01",
		"/nothing/here", "/incidents/none", "/hosts/none", "/approvals/none", "/history?from=yesterday"}
}

// squeezed is a page as a person reads it: without markup.
func squeezed(page string) string {
	page = html.UnescapeString(regexp.MustCompile(`<[^>]*>`).ReplaceAllString(page, " "))
	return strings.Join(strings.Fields(page), " ")
}

// Each page says what it is for.
func TestPages(t *testing.T) {
	h := served(t, webtest.Night(time.Now()), as(lifeline.RoleAdmin))
	for path, tt := range map[string]struct {
		status int
		has    []string
		not    []string
	}{
		"/": {200, []string{"Waits for an answer", "docker restart --time 10 scrypted", "Needs a person", "less than 2 % is free on /srv", "Open incidents", "being repaired",
			"Hosts in trouble", "vault", "nothing listens on port 2222", "Stop all changes", "3 of 50 changes", "88520 tokens", "In maintenance until", "Channel phone: 1 message waiting", "ann, admin"}, []string{"HighLoad"}},
		"/incidents/" + webtest.Asking: {200, []string{"ContainerDown, container scrypted on nexus", "waits for an answer", "It wants to do this", "Run it once", "Do not run it", "which nobody has checked", "opened 1 min ", "Stands there since",
			"one connection, opened once, reused 3 times", "at most 4 at the same time", "exited 0", "exited 137", "model's own words", "Hand it to me", "Explain", "Markdown", "tokens in 2 answers"}, []string{"Try again"}},
		"/incidents/" + webtest.Acting:                         {200, []string{"Hand it to me", "running for", "systemctl restart nginx.service", "rule systemctl restart"}, []string{"Run it once", "Try again"}},
		"/incidents/" + webtest.Handed:                         {200, []string{"Try again", "Look at this next", "Old backups fill /srv", "rm -r /srv/backup/2024-01-14", "refused", "12 days ago", "I have dealt with it"}, []string{"Hand it to me"}},
		"/incidents/" + webtest.Over:                           {200, []string{"Close it", "the alert is over", "no model was asked"}, []string{"Hand it to me", "Side by side"}},
		"/incidents/" + webtest.Repaired:                       {200, []string{"There is nothing to do", "approved: docker restart", "container web runs since 20 s", "Dashed lines"}, []string{"Try again", "Hand it to me"}},
		"/incidents/" + webtest.Asking + "?explain=1":          {200, []string{"In plain words", "The incident is awaiting_approval."}, nil},
		"/incidents/" + webtest.Asking + "/replay":             {200, []string{"Step 0 of", "before the first step", "Nothing has happened yet", "waits to be worked"}, []string{"Run it once", "/retry", "Side by side"}},
		"/approvals/" + webtest.Question:                       {200, []string{"May this run on nexus?", "This is the whole command, 33 characters", "Run it once", "ContainerDown, container scrypted on nexus", "claude-haiku-5-5"}, nil},
		"/approvals/apr_web":                                   {200, []string{"Approved, and run", "person:ann", "go on"}, []string{"Run it once"}},
		"/approvals":                                           {200, []string{"pending", "used", "docker restart --time 10 web"}, nil},
		"/hosts":                                               {200, []string{"atlas", "connected for 9 h", "99 %", "cannot be reached", "tried again in", "this machine", "1 of 10"}, nil},
		"/hosts/nexus":                                         {200, []string{"SHA256:p3mJ", "lifeline@192.168.0.11", "3 ms", "docker ps", "within 6 h", "closed: commands go through", "2 opened, reused 214 times"}, nil},
		"/hosts/vault":                                         {200, []string{"open: connection refused", "Nothing is measured yet", "Nothing ran here yet", "not seen since the start"}, nil},
		"/policy":                                              {200, []string{"In force on atlas", "it may be restarted at any time", "unit lifeline.service", "8 programs in the catalogue"}, nil},
		"/policy?host=nexus&command=docker+restart+web":        {200, []string{"A person is asked first", "ask, in mode suggest on nexus", "docker restart", "which can be taken back"}, nil},
		"/policy?host=nexus&mode=auto&command=rm+-rf+/":        {200, []string{"It does not run", "deny, in mode auto", "destructive", "Words that decided", "du -sh /srv"}, nil},
		"/history":                                             {200, []string{"78 %", "36 of 46", "48 s", "11 min", "container scrypted on nexus: 17 incidents", "The record is what was written", "HighLoad"}, nil},
		"/history?state=escalated&host=vault":                  {200, []string{"DiskFull"}, []string{"HighLoad", "UnitFailed"}},
		"/history?text=no+such+thing":                          {200, []string{"No incident is like that"}, nil},
		"/history?from=2026-02-02&until=2026-02-01":            {400, []string{"The time ends before it begins", "swap the two days"}, nil},
		"/history?from=yesterday":                              {400, []string{"is not a day", "write days as"}, nil},
		"/policy?mode=wild":                                    {400, []string{"want observe, suggest or auto"}, nil},
		"/policy?host=none":                                    {404, []string{"There is no host \"none\"", "lifeline hosts list"}, nil},
		"/policy?command=" + strings.Repeat("x", maxCommand+1): {400, []string{"longer than this page explains", "lifeline policy explain"}, nil},
		"/incidents/none":                                      {404, []string{"There is no incident", "lifeline incidents"}, nil},
		"/incidents/none/replay":                               {404, []string{"There is no incident"}, nil},
		"/incidents/none.md":                                   {404, []string{"There is no incident"}, nil},
		"/incidents/" + webtest.Asking + "/replay?step=x":      {400, []string{"A step is a number"}, nil},
		"/approvals/none":                                      {404, []string{"There is no approval", "lifeline approvals --all"}, nil},
		"/hosts/none":                                          {404, []string{"There is no host"}, nil},
		"/nothing":                                             {404, []string{"Nothing of Lifeline's is at /nothing"}, nil},
		"/?fragment=other":                                     {400, []string{"no part of that name"}, nil},
	} {
		r := ask(h, http.MethodGet, path, "")
		page := text(t, r)
		if r.StatusCode != tt.status {
			t.Errorf("%s: %s, want %d\n%s", path, r.Status, tt.status, squeezed(page))
		}
		if got := r.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", path, got)
		}
		if got := r.Header.Get("Content-Security-Policy"); got != policy {
			t.Errorf("%s: Content-Security-Policy %q", path, got)
		}
		for _, want := range tt.has {
			if !strings.Contains(squeezed(page), want) {
				t.Errorf("%s does not say %q:\n%s", path, want, squeezed(page))
			}
		}
		for _, not := range tt.not {
			if strings.Contains(squeezed(page), not) {
				t.Errorf("%s says %q:\n%s", path, not, squeezed(page))
			}
		}
	}
}

// Every page has the frame that people and programs find their way by.
func TestStructure(t *testing.T) {
	h := served(t, webtest.Night(time.Now()), as(lifeline.RoleAdmin))
	ids := regexp.MustCompile(` id="([^"]*)"`)
	headings := regexp.MustCompile(`<h([1-6])[ >]`)
	for _, path := range everyPage() {
		page := text(t, ask(h, http.MethodGet, path, ""))
		for _, want := range []string{`<html lang="en">`, `<a class="skip" href="#main">`, `<main id="main"`, `<nav aria-label="Pages">`, `name="viewport"`, `role="status" aria-live="polite"`, "</html>"} {
			if strings.Count(page, want) != 1 {
				t.Errorf("%s has %d of %s", path, strings.Count(page, want), want)
			}
		}
		level := 0
		for i, m := range headings.FindAllStringSubmatch(page, -1) {
			n := int(m[1][0] - '0')
			if (n == 1) != (i == 0) || n > level+1 {
				t.Errorf("%s: heading %d is an h%s after an h%d", path, i+1, m[1], level)
			}
			level = n
		}
		if level == 0 {
			t.Errorf("%s has no heading", path)
		}
		seen := map[string]bool{}
		for _, m := range ids.FindAllStringSubmatch(page, -1) {
			if seen[m[1]] {
				t.Errorf("%s has the id %q twice", path, m[1])
			}
			seen[m[1]] = true
		}
	}
}

// Nothing that came from outside is obeyed, on any page, in text and in
// attributes.
func TestHostileText(t *testing.T) {
	s := webtest.Night(time.Now())
	s.Do(func(k *webtest.Known) {
		k.Hosts[0].Trouble, k.Hosts[0].Fingerprint, k.Hosts[0].Address = webtest.Evil, webtest.Evil, webtest.Evil
		k.Status.Paused = lifeline.Pause{On: true, By: webtest.Evil, Reason: webtest.Evil, File: webtest.Evil}
		k.Status.Notifications = map[string]lifeline.NotificationCount{webtest.Evil: {GivenUp: 1}}
		k.Figures.Causes = []lifeline.Cause{{AlertName: webtest.Evil, Target: lifeline.Target{Host: webtest.Evil}}}
		k.Audit = lifeline.AuditView{BadRow: webtest.Evil, What: webtest.Evil}
		c := k.Case(webtest.Hostile)
		c.Incident.Target.Host, c.Incident.Reason = webtest.Evil, webtest.Evil
		c.Handover = &lifeline.Handover{Next: []string{webtest.Evil}, Unknown: []string{webtest.Evil}, Verification: webtest.Evil, Seen: []string{webtest.Evil},
			Reports: []lifeline.Report{{Responder: webtest.Evil, Summary: webtest.Evil}}, Past: []string{webtest.Evil}}
		a := k.Case(webtest.Asking).Approvals[0]
		a.ID, a.Canonical, a.Reason, a.Rule, a.Request.Purpose, a.Request.Actor = "apr_evil", webtest.Evil, webtest.Evil, webtest.Evil, webtest.Evil, webtest.Evil
		a.Marks = []string{webtest.Evil}
		c.Approvals = append(c.Approvals, a)
	})
	person := as(lifeline.RoleAdmin)
	person.Name = webtest.Evil
	h := served(t, s, person)
	tags := regexp.MustCompile(`<(/?)([a-zA-Z][a-zA-Z0-9]*)((?:[^"'>]|"[^"]*"|'[^']*')*)>`)
	handlers := regexp.MustCompile(`(?i)\s(on[a-z]+|style|srcdoc|formaction)\s*=`)
	values := regexp.MustCompile(`"[^"]*"`)
	evil := "?text=" + strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E", " ", "%20", "\x1b", "%1B", "\u202e", "%E2%80%AE", "\x00", "%00", "'", "%27", "{", "%7B", "}", "%7D").Replace(webtest.Evil)
	for _, path := range append(everyPage(), "/history"+evil, "/policy?command="+evil[6:], "/approvals/apr_evil", "/incidents/"+evil[6:], "/incidents/"+webtest.Hostile+"?explain=1") {
		page := text(t, ask(h, http.MethodGet, path, ""))
		if i := strings.IndexFunc(page, func(r rune) bool {
			return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r))
		}); i >= 0 {
			t.Errorf("%s has a character that acts: %q", path, page[max(i-60, 0):i+4])
		}
		if strings.Contains(page, "<script>") || strings.Count(page, "<script") != 1 || strings.Contains(page, "<img") || strings.Contains(page, "<style") {
			t.Errorf("%s has something that acts:\n%s", path, page)
		}
		for _, m := range tags.FindAllStringSubmatch(page, -1) {
			if handlers.MatchString(values.ReplaceAllString(m[3], `""`)) {
				t.Errorf("%s: an attribute acts: %s", path, m[0])
			}
			if strings.Contains(strings.ToLower(m[3]), `="javascript:`) {
				t.Errorf("%s: an address acts: %s", path, m[0])
			}
		}
		if strings.Contains(page, "ZgotmplZ") {
			t.Errorf("%s: a template took a value for dangerous:\n%s", path, page)
		}
	}
	// A command is shown letter by letter: blanks can hide nothing.
	page := text(t, ask(h, http.MethodGet, "/incidents/"+webtest.Hostile, ""))
	if !strings.Contains(page, "docker logs web"+strings.Repeat(" ", 400)+`&#34;&gt;&lt;script&gt;`) {
		t.Error("the command is not shown whole")
	}
}

// What a role may not do is neither offered nor done.
func TestRoles(t *testing.T) {
	posts := []struct {
		path, form string
		needs      lifeline.Role
		did, to    string
	}{
		{"/approvals/" + webtest.Question, "decision=approve&reason=+go+", lifeline.RoleApprover, "decide " + webtest.Question + " true: go", "/incidents/" + webtest.Asking},
		{"/approvals/" + webtest.Question, "decision=deny&reason=no", lifeline.RoleApprover, "decide " + webtest.Question + " false: no", "/incidents/" + webtest.Asking},
		{"/incidents/" + webtest.Handed + "/retry", "", lifeline.RoleApprover, "retry " + webtest.Handed, "/incidents/" + webtest.Handed},
		{"/incidents/" + webtest.Acting + "/handover", "reason=mine", lifeline.RoleApprover, "handover " + webtest.Acting + ": mine", "/incidents/" + webtest.Acting},
		{"/incidents/" + webtest.Over + "/close", "reason=done", lifeline.RoleApprover, "close " + webtest.Over + ": done", "/incidents/" + webtest.Over},
		{"/pause", "reason=stop&now=yes", lifeline.RoleAdmin, "pause true: stop", "/"},
		{"/pause", "reason=", lifeline.RoleAdmin, "pause false: ", "/"},
		{"/resume", "reason=fine", lifeline.RoleAdmin, "resume: fine", "/"},
	}
	for _, role := range []lifeline.Role{"", "guest", lifeline.RoleViewer, lifeline.RoleApprover, lifeline.RoleAdmin} {
		for _, p := range posts {
			s := webtest.Night(time.Now())
			r := ask(served(t, s, as(role)), http.MethodPost, p.path, p.form)
			var want []string
			if role.May(p.needs) {
				want = []string{"person:ann " + p.did}
				if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != p.to {
					t.Errorf("%s: %s: %s to %q", role, p.path, r.Status, r.Header.Get("Location"))
				}
			} else if r.StatusCode != http.StatusForbidden {
				t.Errorf("%s: %s: %s", role, p.path, r.Status)
			}
			if diff := cmp.Diff(want, s.Did()); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", role, p.path, diff)
			}
		}
		h := served(t, webtest.Night(time.Now()), as(role))
		forms := regexp.MustCompile(`<form method="post" action="([^"]*)"`)
		for _, path := range everyPage() {
			r := ask(h, http.MethodGet, path, "")
			page := text(t, r)
			if !role.May(lifeline.RoleViewer) {
				if r.StatusCode != http.StatusForbidden || strings.Contains(page, "scrypted") || !strings.Contains(page, "You are not signed in") {
					t.Errorf("%s sees %s: %s", role, path, r.Status)
				}
				continue
			}
			for _, m := range forms.FindAllStringSubmatch(page, -1) {
				needs := lifeline.RoleApprover
				if m[1] == "/pause" || m[1] == "/resume" {
					needs = lifeline.RoleAdmin
				}
				if m[1] != "/logout" && !role.May(needs) {
					t.Errorf("%s is offered %s on %s", role, m[1], path)
				}
			}
		}
		if !role.May(lifeline.RoleViewer) {
			if r := ask(h, http.MethodGet, "/live?after=0", ""); r.StatusCode != http.StatusForbidden {
				t.Errorf("%s may follow: %s", role, r.Status)
			}
		}
	}
	// Another site cannot act in a person's name.
	s := webtest.Night(time.Now())
	if r := ask(served(t, s, as(lifeline.RoleAdmin)), http.MethodPost, "/pause", "reason=x", "Sec-Fetch-Site", "cross-site", "Origin", "http://evil.example.net"); r.StatusCode != http.StatusForbidden || len(s.Did()) != 0 {
		t.Errorf("another site: %s, %v", r.Status, s.Did())
	}
}

// What cannot be done says why, and what to do.
func TestActionsThatFail(t *testing.T) {
	s := webtest.Night(time.Now())
	s.Do(func(k *webtest.Known) { k.Status.Paused.File = "/run/lifeline.pause" })
	h := served(t, s, as(lifeline.RoleAdmin))
	for _, tt := range []struct {
		path, form string
		status     int
		says       string
	}{
		{"/approvals/apr_web", "decision=approve", 409, "is used already"},
		{"/approvals/none", "decision=approve", 404, "There is no approval"},
		{"/approvals/" + webtest.Question, "decision=maybe", 400, "neither yes nor no"},
		{"/approvals/" + webtest.Question, "decision=approve&reason=" + strings.Repeat("x", 20<<10), 400, "could not be read"},
		{"/incidents/none/retry", "", 404, "There is no incident"},
		{"/incidents/none/handover", "", 404, "There is no incident"},
		{"/incidents/none/close", "", 404, "There is no incident"},
		{"/pause", "reason=" + strings.Repeat("x", 20<<10), 400, "could not be read"},
		{"/resume", "", 409, "rm /run/lifeline.pause"},
	} {
		r := ask(h, http.MethodPost, tt.path, tt.form)
		if page := text(t, r); r.StatusCode != tt.status || !strings.Contains(page, tt.says) {
			t.Errorf("%s: %s\n%s", tt.path, r.Status, squeezed(page))
		}
	}
	for err, want := range map[error]int{
		&lifeline.Error{Code: lifeline.CodeStore, Message: "secret path", Err: errors.New("disk")}: 503,
		errors.New("secret path"): 500,
	} {
		s.Do(func(k *webtest.Known) { k.Fails = err })
		for _, path := range []string{"/", "/incidents/" + webtest.Asking, "/incidents/x.json", "/incidents/x.md", "/incidents/x/replay", "/approvals", "/approvals/x", "/hosts", "/hosts/x", "/policy", "/history"} {
			r := ask(h, http.MethodGet, path, "")
			if page := text(t, r); r.StatusCode != want || strings.Contains(page, "secret") || !strings.Contains(page, "journalctl -u lifeline") {
				t.Errorf("%s: %s, want %d\n%s", path, r.Status, want, squeezed(page))
			}
		}
	}
}

// An empty page says what to do next.
func TestEmpty(t *testing.T) {
	h := served(t, &webtest.Service{}, as(lifeline.RoleViewer))
	for path, want := range map[string]string{
		"/":          "No alert has come yet. Point your monitoring at /webhook/alertmanager",
		"/hosts":     "add one under hosts in lifeline.yaml",
		"/policy":    "No host is configured",
		"/approvals": "No person was asked anything yet",
		"/history":   "No incident yet. Point your monitoring at /webhook/alertmanager",
	} {
		r := ask(h, http.MethodGet, path, "")
		if page := squeezed(text(t, r)); r.StatusCode != http.StatusOK || !strings.Contains(page, want) {
			t.Errorf("%s: %s\n%s", path, r.Status, page)
		}
	}
}

// With many open incidents the page stays as large as it is, and the most urgent
// are on its first page.
func TestManyOpenIncidents(t *testing.T) {
	now := time.Now()
	s := &webtest.Service{}
	s.Do(func(k *webtest.Known) {
		k.Status.Incidents = map[lifeline.State]int{lifeline.StateInvestigating: 1300}
		for i := range 1300 {
			inc := lifeline.Incident{ID: fmt.Sprintf("inc_%04d", i), AlertName: strings.Repeat("Long", 200), Severity: "warning", State: lifeline.StateInvestigating,
				Summary: strings.Repeat("word ", 2000), OpenedAt: now.Add(-time.Duration(i) * time.Second), AlertFiring: true}
			if i == 900 {
				inc.Severity = "critical"
			}
			if i == 950 {
				inc.State = lifeline.StateAwaitingApproval
			}
			k.Cases = append(k.Cases, &lifeline.CaseFile{Incident: inc})
		}
	})
	h := served(t, s, as(lifeline.RoleViewer))
	order := regexp.MustCompile(`id="inc-(inc_\d+)"`)
	page := text(t, ask(h, http.MethodGet, "/", ""))
	found := order.FindAllStringSubmatch(page, -1)
	if len(found) != perPage || found[0][1] != "inc_0950" || found[1][1] != "inc_0900" || found[2][1] != "inc_0999" {
		t.Errorf("%d incidents, the first %v", len(found), found[:min(3, len(found))])
	}
	if len(page) > 100<<10 || !strings.Contains(page, "1300 incidents open") || !strings.Contains(page, "Page 1 of 20") || !strings.Contains(page, "these are the newest") || strings.Contains(page, "More urgent") {
		t.Errorf("%d bytes:\n%s", len(page), squeezed(page)[:1000])
	}
	last := text(t, ask(h, http.MethodGet, "/?page=99", ""))
	if !strings.Contains(last, "Page 20 of 20") || !strings.Contains(last, "inc_0000") || strings.Contains(last, "Less urgent") || !strings.Contains(last, `href="/?page=19"`) {
		t.Errorf("the last page:\n%s", squeezed(last)[:1000])
	}
}

// Each list has a next page that goes on where the one before ended.
func TestHistoryPages(t *testing.T) {
	now := time.Now()
	s := &webtest.Service{}
	s.Do(func(k *webtest.Known) {
		for i := range 120 {
			k.Cases = append(k.Cases, &lifeline.CaseFile{Incident: lifeline.Incident{ID: fmt.Sprintf("inc_%04d", i), AlertName: "A&B", State: lifeline.StateResolved, OpenedAt: now.Add(-time.Duration(i) * time.Hour)}})
		}
	})
	h := served(t, s, as(lifeline.RoleViewer))
	next := regexp.MustCompile(`<a rel="next" href="([^"]*)"`)
	order := regexp.MustCompile(`href="/incidents/(inc_\d+)"`)
	var sizes []int
	seen := map[string]bool{}
	for path := "/history?alert=A%26B&state=resolved"; path != ""; {
		page := text(t, ask(h, http.MethodGet, path, ""))
		found := order.FindAllStringSubmatch(page, -1)
		sizes = append(sizes, len(found))
		for _, m := range found {
			seen[m[1]] = true
		}
		path = ""
		if m := next.FindStringSubmatch(page); m != nil {
			path = strings.ReplaceAll(m[1], "&amp;", "&")
		}
	}
	if diff := cmp.Diff([]int{50, 50, 20}, sizes); diff != "" || len(seen) != 120 {
		t.Errorf("%d incidents (-want +got):\n%s", len(seen), diff)
	}
}

// A case can be taken away as a file.
func TestFiles(t *testing.T) {
	h := served(t, webtest.Night(time.Now()), as(lifeline.RoleViewer))
	r := ask(h, http.MethodGet, "/incidents/"+webtest.Hostile+".json", "")
	raw := text(t, r)
	var c lifeline.CaseFile
	if err := json.Unmarshal([]byte(raw), &c); err != nil || c.Incident.ID != webtest.Hostile || len(c.Events) == 0 {
		t.Errorf("%v: %+v", err, c.Incident)
	}
	if strings.ContainsAny(raw, "\x1b\u202e\x00") || r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Content-Disposition") != `attachment; filename="inc_hostile.json"` {
		t.Errorf("%v", r.Header)
	}
	r = ask(h, http.MethodGet, "/incidents/"+webtest.Asking+".md", "")
	if text(t, r) != "# ContainerDown\n" || r.Header.Get("Content-Type") != "text/markdown; charset=utf-8" || r.Header.Get("Content-Disposition") != `attachment; filename="inc_asking.md"` {
		t.Errorf("%v", r.Header)
	}
}

// A replay shows the case as it stood, step by step, and nothing of later.
func TestReplay(t *testing.T) {
	s := webtest.Night(time.Now())
	c, err := s.Case(t.Context(), webtest.Repaired)
	if err != nil {
		t.Fatal(err)
	}
	var states []lifeline.State
	changes, outputs := 0, 0
	for n := range len(c.Events) + 1 {
		then := asItStood(c, n)
		if len(states) == 0 || states[len(states)-1] != then.Incident.State {
			states = append(states, then.Incident.State)
		}
		if then.Incident.Changes < changes || len(then.Events) != n {
			t.Errorf("step %d: %d changes, %d events", n, then.Incident.Changes, len(then.Events))
		}
		changes = then.Incident.Changes
		for _, cmd := range then.Commands {
			if len(cmd.Stdout) > 0 && cmd.Outcome == "" {
				t.Errorf("step %d: %s has an output and no end", n, cmd.ID)
			}
		}
		for _, a := range then.Approvals {
			if a.State == lifeline.ApprovalUsed && !slices.ContainsFunc(then.Events, func(e lifeline.Event) bool { return e.Kind == lifeline.EventApprovalUsed }) {
				t.Errorf("step %d: used before it was", n)
			}
		}
	}
	want := []lifeline.State{lifeline.StateOpen, lifeline.StateInvestigating, lifeline.StateAwaitingApproval, lifeline.StateActing, lifeline.StateVerifying, lifeline.StateResolved}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	end := asItStood(c, len(c.Events))
	for _, cmd := range end.Commands {
		outputs += len(cmd.Stdout)
	}
	if end.Incident.Changes != c.Incident.Changes || end.Spent != c.Spent || outputs == 0 || len(end.Commands) != len(c.Commands) {
		t.Errorf("the end: %+v, %+v, %d bytes", end.Incident, end.Spent, outputs)
	}
	h := served(t, s, as(lifeline.RoleApprover))
	page := text(t, ask(h, http.MethodGet, "/incidents/"+webtest.Repaired+"/replay?step=4", ""))
	for _, want := range []string{fmt.Sprintf("Step 4 of %d", len(c.Events)), `rel="prev" href="/incidents/inc_repaired/replay?step=3"`, `rel="next" href="/incidents/inc_repaired/replay?step=5"`} {
		if !strings.Contains(page, want) {
			t.Errorf("step 4 has no %s", want)
		}
	}
	if strings.Contains(page, "data-live") || strings.Contains(page, "exited") {
		t.Errorf("step 4 moves, or knows of later:\n%s", squeezed(page))
	}
	last := text(t, ask(h, http.MethodGet, "/incidents/"+webtest.Repaired+"/replay?step=9999", ""))
	if strings.Contains(last, `rel="next"`) || !strings.Contains(last, "container web runs since 20 s") {
		t.Errorf("the last step:\n%s", squeezed(last))
	}
}
