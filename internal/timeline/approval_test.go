package timeline_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/timeline"
)

func TestWriteApprovals(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 0, 0, 0, time.Local)
	a := lifeline.Approval{
		ID: "apr_1", Canonical: "docker restart web", Class: "change", Reason: "it changes something", State: lifeline.ApprovalPending,
		Request:   lifeline.CommandRequest{Host: "nexus", IncidentID: "inc_1", Actor: "model:m", Purpose: "tool restart_service"},
		ExpiresAt: now.Add(90 * time.Second),
	}
	done := a
	done.ID, done.State, done.DecidedBy, done.DecidedAt, done.Decision, done.Marks, done.Request.Purpose = "apr_2", lifeline.ApprovalUsed, "person:ann", now, "go", []string{"egress"}, ""
	late := a
	late.ID, late.ExpiresAt = "apr_3", now
	var b strings.Builder
	if err := timeline.WriteApprovals(&b, []lifeline.Approval{a, done, late}, now); err != nil {
		t.Fatal(err)
	}
	want := `apr_1  pending, 1m30s left
  on nexus, change:
    docker restart web
  asked by model:m (tool restart_service)
  for inc_1
  because it changes something

apr_2  used
  on nexus, change:
    docker restart web
  marks: egress
  asked by model:m
  for inc_1
  because it changes something
  approved by person:ann at 2026-05-06 07:00:00: go

apr_3  pending, and its time is over
  on nexus, change:
    docker restart web
  asked by model:m (tool restart_service)
  for inc_1
  because it changes something
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// The screen shows the whole command, and nothing but it.
func TestApprovalShowsTheWholeCommand(t *testing.T) {
	command := "docker restart web" + strings.Repeat(" ", 400) + "db\u202e\x1b[2K\r\n" + strings.Repeat("x", 5000) + "!"
	var b strings.Builder
	if err := timeline.WriteApprovals(&b, []lifeline.Approval{{Canonical: command, Reason: "a\nb", Request: lifeline.CommandRequest{Purpose: "\x1b[8m"}}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	want := "docker restart web" + strings.Repeat(" ", 400) + `db\u{202e}\x1b[2K\r\n` + strings.Repeat("x", 5000) + "!\n"
	if !strings.Contains(b.String(), want) {
		t.Errorf("not shown whole: %q", b.String())
	}
	if strings.ContainsAny(b.String(), "\x1b\r\u202e") {
		t.Errorf("shown unescaped: %q", b.String())
	}
}
