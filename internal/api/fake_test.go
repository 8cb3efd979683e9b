package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/api"
)

// desk is a service that keeps what it was told and answers with what it knows.
type desk struct {
	mu     sync.Mutex // guards what follows
	told   []string
	events []lifeline.Event
	grown  chan struct{} // closed and replaced with each event
	fails  error
}

func newDesk() *desk { return &desk{grown: make(chan struct{})} }

// tell notes a call and gives the error that is set.
func (d *desk) tell(format string, args ...any) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.told = append(d.told, fmt.Sprintf(format, args...))
	return d.fails
}

func (d *desk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fails = err
}

// calls gives what was told since the last call.
func (d *desk) calls() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	told := strings.Join(d.told, "\n")
	d.told = nil
	return told
}

func (d *desk) grow(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range n {
		seq := int64(len(d.events) + 1)
		d.events = append(d.events, lifeline.Event{Seq: seq, IncidentID: "inc_1", Kind: lifeline.EventNote, Actor: "test", Text: "line\n\u202e<b>", Data: json.RawMessage("{\n}")})
	}
	close(d.grown)
	d.grown = make(chan struct{})
}

func (d *desk) Incidents(_ context.Context, q lifeline.IncidentQuery) (lifeline.IncidentPage, error) {
	text, _ := json.Marshal(q)
	return lifeline.IncidentPage{Incidents: []lifeline.Incident{{ID: "inc_1", Summary: "\x1b[2J\u202e"}}, Next: "1.inc_1"}, d.tell("incidents %s", text)
}

func (d *desk) Case(_ context.Context, id string) (lifeline.CaseFile, error) {
	return lifeline.CaseFile{Incident: lifeline.Incident{ID: id}}, d.tell("case %s", id)
}

func (d *desk) CaseMarkdown(_ context.Context, id string) (string, error) {
	return "# " + id + "\n", d.tell("markdown %s", id)
}

func (d *desk) ExplainIncident(_ context.Context, id string) (string, error) {
	return "because", d.tell("explain %s", id)
}

func (d *desk) Events(_ context.Context, incidentID string, after int64, limit int) ([]lifeline.Event, error) {
	d.mu.Lock()
	page := d.events[min(after, int64(len(d.events))):]
	page = page[:min(limit, len(page))]
	d.mu.Unlock()
	return page, d.tell("events %q %d %d", incidentID, after, limit)
}

func (d *desk) Follow(ctx context.Context, incidentID string, after int64) iter.Seq2[lifeline.Event, error] {
	return func(yield func(lifeline.Event, error) bool) {
		if err := d.tell("follow %q %d", incidentID, after); err != nil {
			yield(lifeline.Event{}, err)
			return
		}
		for ctx.Err() == nil {
			d.mu.Lock()
			events, grown := d.events[after:], d.grown
			d.mu.Unlock()
			for _, e := range events {
				if !yield(e, nil) {
					return
				}
				after = e.Seq
			}
			select {
			case <-grown:
			case <-ctx.Done():
			}
		}
	}
}

func (d *desk) Retry(_ context.Context, who lifeline.Person, id string) (lifeline.Incident, error) {
	return lifeline.Incident{ID: "inc_2"}, d.tell("%s retries %s", who.Actor(), id)
}

func (d *desk) HandOver(_ context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error) {
	return lifeline.Incident{ID: id}, d.tell("%s takes over %s: %s", who.Actor(), id, reason)
}

func (d *desk) Close(_ context.Context, who lifeline.Person, id, reason string) (lifeline.Incident, error) {
	return lifeline.Incident{ID: id}, d.tell("%s closes %s: %s", who.Actor(), id, reason)
}

func (d *desk) Approvals(_ context.Context, all bool) ([]lifeline.Approval, error) {
	return []lifeline.Approval{{ID: "apr_1"}}, d.tell("approvals %v", all)
}

func (d *desk) Approval(_ context.Context, id string) (lifeline.Approval, error) {
	return lifeline.Approval{ID: id}, d.tell("approval %s", id)
}

func (d *desk) Decide(_ context.Context, who lifeline.Person, id string, approve bool, reason string) (lifeline.Approval, error) {
	return lifeline.Approval{ID: id, State: lifeline.ApprovalApproved, DecidedBy: who.Actor()}, d.tell("%s decides %s: %v %s", who.Actor(), id, approve, reason)
}

func (d *desk) Status(context.Context) (lifeline.Status, error) {
	return lifeline.Status{}, d.tell("status")
}

func (d *desk) Pause(_ context.Context, who lifeline.Person, reason string, now bool) (lifeline.Pause, error) {
	return lifeline.Pause{On: true, By: who.Actor()}, d.tell("%s pauses: %s %v", who.Actor(), reason, now)
}

func (d *desk) Resume(_ context.Context, who lifeline.Person, reason string) (lifeline.Pause, error) {
	return lifeline.Pause{}, d.tell("%s resumes: %s", who.Actor(), reason)
}

func (d *desk) Hosts(context.Context) ([]lifeline.HostView, error) {
	return []lifeline.HostView{{Name: "nexus", RoundTrip: 20 * time.Millisecond}}, d.tell("hosts")
}

func (d *desk) Host(_ context.Context, name string) (lifeline.HostView, error) {
	return lifeline.HostView{Name: name}, d.tell("host %s", name)
}

func (d *desk) Policy(_ context.Context, host string) (lifeline.PolicyView, error) {
	return lifeline.PolicyView{Host: host}, d.tell("policy %s", host)
}

func (d *desk) Explain(_ context.Context, host string, mode lifeline.Mode, command string) (lifeline.Explanation, error) {
	return lifeline.Explanation{Command: command}, d.tell("explain %q %q %q", host, mode, command)
}

func (d *desk) Statistics(_ context.Context, from, until time.Time) (lifeline.Statistics, error) {
	return lifeline.Statistics{From: from, Until: until}, d.tell("statistics %v %v", from.IsZero(), until.IsZero())
}

func (d *desk) Audit(context.Context) (lifeline.AuditView, error) {
	return lifeline.AuditView{OK: true}, d.tell("audit")
}

func (d *desk) Maintenances(_ context.Context, all bool) ([]lifeline.Maintenance, error) {
	return []lifeline.Maintenance{{ID: "mnt_1"}}, d.tell("maintenance %v", all)
}

func (d *desk) AddMaintenance(_ context.Context, who lifeline.Person, m lifeline.Maintenance) (lifeline.Maintenance, error) {
	err := d.tell("%s adds over %s, from now %v: %s", who.Actor(), m.Scope, m.From.IsZero(), m.Reason)
	m.ID = "mnt_2"
	return m, err
}

func (d *desk) EndMaintenance(_ context.Context, who lifeline.Person, id string) (lifeline.Maintenance, error) {
	return lifeline.Maintenance{ID: id}, d.tell("%s ends %s", who.Actor(), id)
}

// kept are answers in memory.
type kept struct {
	mu  sync.Mutex // guards all
	all map[string]*keptAnswer
}

type keptAnswer struct {
	digest, kind string
	status       int
	body         []byte
}

func (k *kept) Claim(_ context.Context, id, digest string) (status int, kind string, body []byte, same, known bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if a := k.all[id]; a != nil {
		return a.status, a.kind, a.body, a.digest == digest, true, nil
	}
	k.all[id] = &keptAnswer{digest: digest}
	return 0, "", nil, false, false, nil
}

func (k *kept) Keep(_ context.Context, id string, status int, kind string, body []byte) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.all[id]
	a.status, a.kind, a.body = status, kind, bytes.Clone(body)
	return nil
}

func (k *kept) Drop(_ context.Context, id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.all, id)
	return nil
}

type whoKey struct{}

// serve serves the API over a desk. The header X-Role says who asks: "" is nobody.
func serve(t *testing.T, d *desk, change ...func(*api.Config)) *httptest.Server {
	t.Helper()
	cfg := api.Config{Service: d, Answers: &kept{all: map[string]*keptAnswer{}}, Version: "v1",
		PersonOf: func(ctx context.Context) (lifeline.Person, bool) {
			who, known := ctx.Value(whoKey{}).(lifeline.Person)
			return who, known
		}}
	for _, c := range change {
		c(&cfg)
	}
	h, err := api.Handler(cfg)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if role := r.Header.Get("X-Role"); role != "" {
			name := r.Header.Get("X-Name")
			if name == "" {
				name = "ann"
			}
			r = r.WithContext(context.WithValue(r.Context(), whoKey{}, lifeline.Person{Name: name, Role: lifeline.Role(role), Via: "password"}))
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return server
}

// ask makes one request. headers are names and values in turn.
func ask(t *testing.T, server *httptest.Server, method, path, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, server.URL+api.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := server.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}
