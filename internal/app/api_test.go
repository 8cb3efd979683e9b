package app

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mvdan.cc/sh/v3/shell"

	"lifeline"
	"lifeline/internal/access"
	"lifeline/internal/config"
	"lifeline/internal/respond"
)

// noUpkeep is a record whose incidents the janitor does not look at: those of a test
// have no workflow.
type noUpkeep struct{ respond.Store }

func (noUpkeep) OpenIncidents(context.Context) ([]string, error) { return nil, nil }

// started is a running service whose hosts cannot be reached.
func started(t *testing.T) *App {
	t.Helper()
	cfg, err := config.Parse(filepath.Join(t.TempDir(), "lifeline.yaml"), []byte(`
hosts: {nexus: {address: "127.0.0.1:1", user: ann, mode: suggest}, here: {local: true}}
responder: runbook
listen: 127.0.0.1:0
policy: {rules: [{program: docker, args: [restart, db], decision: deny, reason: it has a watchdog}]}
`))
	if err == nil {
		err = cfg.Validate()
	}
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), cfg, Options{Logger: slog.New(slog.DiscardHandler), Version: "v1",
		seams: seams{respond: func(c respond.Config) respond.Config { c.Store = noUpkeep{c.Store}; return c }}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
		defer cancel()
		if err := a.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// opened puts an incident on record, without a workflow.
func (a *App) opened(t *testing.T, key string, states ...lifeline.State) string {
	t.Helper()
	nothing := func(context.Context, *sql.Tx, lifeline.Incident) error { return nil }
	receipts, err := a.store.ReceiveAlerts(t.Context(), []lifeline.TriagedAlert{{Key: key, Target: lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"},
		Alert: lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertFiring, Name: "Strange", Fingerprint: key}}}, nothing, nothing)
	if err != nil {
		t.Fatal(err)
	}
	for _, state := range states {
		if _, err := a.store.MoveIncident(t.Context(), receipts[0].IncidentID, state, "test", "because"); err != nil {
			t.Fatal(err)
		}
	}
	return receipts[0].IncidentID
}

// asks has an incident ask a person.
func (a *App) asks(t *testing.T, incident string) lifeline.Approval {
	t.Helper()
	cmd := lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "c " + incident, IncidentID: incident, Host: "nexus", Command: "docker restart web", Actor: "model:m"},
		Canonical: "docker restart web", Class: "change", Decision: "ask"}
	cmd.Digest = digest(a.cfg, lifeline.Approval{Request: cmd.CommandRequest, Canonical: cmd.Canonical})
	cmd, err := a.store.RequestApproval(t.Context(), cmd, time.Hour, lifeline.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	apr, err := a.store.Approval(t.Context(), cmd.ApprovalID)
	if err != nil {
		t.Fatal(err)
	}
	return apr
}

// asCurl does what curl would do with a line.
func asCurl(t *testing.T, line string, env func(string) string) *http.Response {
	t.Helper()
	words, err := shell.Fields(line, env)
	if err != nil || words[0] != "curl" {
		t.Fatalf("%s: %v", line, err)
	}
	method, body, url := "", "", ""
	header := http.Header{}
	for i := 1; i < len(words); i++ {
		value := func() string { i++; return words[i] }
		switch words[i] {
		case "-sS", "-N":
		case "-X":
			method = value()
		case "-H":
			name, text, _ := strings.Cut(value(), ": ")
			header.Set(name, text)
		case "--json":
			body = value()
			header.Set("Content-Type", "application/json")
			header.Set("Accept", "application/json")
		default:
			url = words[i]
		}
	}
	if method == "" {
		method = map[bool]string{true: http.MethodPost, false: http.MethodGet}[body != ""]
	}
	if header.Get("Accept") == "" {
		header.Set("Accept", "*/*")
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header = header
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// token makes a token for an admin.
func tokenOf(t *testing.T, a *App) string {
	t.Helper()
	secret, hash := access.NewToken()
	if _, err := a.store.AddToken(t.Context(), hash, lifeline.Token{Name: "ci", Role: lifeline.RoleAdmin, CreatedBy: "person:test"}); err != nil {
		t.Fatal(err)
	}
	return secret
}

// What docs/api.md shows works, in its order.
func TestAPIExamples(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "api.md"))
	if err != nil {
		t.Fatal(err)
	}
	a := started(t)
	incident := a.opened(t, "old", lifeline.StateEscalated)
	worked := a.opened(t, "worked", lifeline.StateInvestigating)
	asking := a.opened(t, "asking", lifeline.StateInvestigating)
	apr := a.asks(t, asking)
	env := map[string]string{"LIFELINE": "http://" + a.Address(), "TOKEN": tokenOf(t, a), "INCIDENT": incident, "WORKED": worked, "APPROVAL": apr.ID,
		"TOMORROW": time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)}
	page, err := a.Service().Incidents(t.Context(), lifeline.IncidentQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	env["NEXT"] = page.Next
	lines := 0
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		for line := range strings.Lines(block[1]) {
			lines++
			resp := asCurl(t, line, func(name string) string {
				value, known := env[name]
				if !known && strings.Contains(line, "$"+name) {
					t.Errorf("%sneeds %s", line, name)
				}
				return value
			})
			var body []byte
			if resp.Header.Get("Content-Type") == "text/event-stream" {
				events := bufio.NewReader(resp.Body)
				for !strings.HasPrefix(string(body), "data: {") && err == nil {
					body, err = events.ReadBytes('\n')
				}
			} else {
				body, err = io.ReadAll(resp.Body)
			}
			resp.Body.Close()
			if err != nil || resp.StatusCode/100 != 2 || len(body) == 0 {
				t.Fatalf("%s%s, %v: %s", line, resp.Status, err, body)
			}
			var m lifeline.Maintenance
			if json.Unmarshal(body, &m) == nil && strings.HasPrefix(m.ID, "mnt_") {
				env["WINDOW"] = m.ID
			}
		}
	}
	if lines < 25 {
		t.Errorf("%d examples were found", lines)
	}
	// They did what they say.
	for id, want := range map[string]string{worked: "closed by token:ci: the disk is replaced", incident: "retried as "} {
		c, err := a.Service().Case(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if last := c.Events[len(c.Events)-1]; c.Incident.State != lifeline.StateEscalated || !strings.HasPrefix(last.Text, want) {
			t.Errorf("%s is %s, and last %q", id, c.Incident.State, last.Text)
		}
	}
}

// A stream ends when the service stops, at once, and not with an error of a connection
// that was cut.
func TestStreamsEndWithTheService(t *testing.T) {
	a := started(t)
	a.opened(t, "k")
	resp := asCurl(t, `curl -N http://`+a.Address()+`/api/v1/events`, func(string) string { return "" })
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "id: ") {
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := a.Stop(ctx); err != nil {
		t.Error(err)
	}
	for lines.Scan() {
	}
	if err := lines.Err(); err != nil {
		t.Errorf("the stream was cut: %v", err)
	}
}
