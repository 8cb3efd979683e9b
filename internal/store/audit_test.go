package store_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pressly/goose/v3"

	"lifeline"
	"lifeline/internal/store"
)

// aRecord is a database with everything in it that the record is about: 13
// events, from an alert to a command that was approved and run.
func aRecord(t *testing.T) (*store.Store, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "lifeline.db")
	s := openAt(t, path, store.Options{})
	ctx := t.Context()
	check := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	firing := alert("k")
	firing[0].Labels = map[string]string{"a": "<b> & \u2028"}
	receipts, err := s.ReceiveAlerts(ctx, firing, nothing, nothing)
	check(receipts, err)
	id := receipts[0].IncidentID
	check(s.MoveIncident(ctx, id, lifeline.StateInvestigating, "test", "attempt 1"))
	cmd := lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "read", IncidentID: id, Host: "atlas", Actor: "model:m"}, Class: "read", Canonical: "uptime"}
	check(s.RecordIntent(ctx, cmd, lifeline.Limits{}))
	cmd.Outcome, cmd.ExitStatus, cmd.Stdout = lifeline.OutcomeExited, new(0), []byte("up 3 days\n")
	check(nil, s.RecordResult(ctx, cmd))
	cmd = lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "ask", IncidentID: id, Host: "atlas", Actor: "model:m"}, Class: "change", Canonical: "docker start web", Digest: "d"}
	cmd, err = s.RequestApproval(ctx, cmd, time.Hour, lifeline.Limits{})
	check(cmd, err)
	check(s.DecideApproval(ctx, cmd.ApprovalID, store.Decision{Approve: true, By: "person:ann", Digest: "d"}))
	cmd.ID, cmd.Outcome, cmd.FinishedAt = "run", "", time.Time{}
	check(s.RecordIntent(ctx, cmd, lifeline.Limits{})) // four events: used, moved, started
	check(s.Pause(ctx, "person:ann", "lunch", false))
	check(s.AddMaintenance(ctx, lifeline.Maintenance{Scope: lifeline.MaintenanceScope{Host: "atlas"}, Until: time.Now().Add(time.Hour), By: "person:ann"}))
	return s, path
}

const events = 13

func audit(t *testing.T, s *store.Store, check store.AuditCheck) store.Audit {
	t.Helper()
	a, err := s.VerifyAudit(t.Context(), check)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// unlock takes away what keeps the rows: who can write the file can do this too.
func unlock(t *testing.T, s *store.Store) {
	t.Helper()
	rows, err := s.DB().QueryContext(t.Context(), `SELECT name FROM sqlite_master WHERE type = 'trigger'`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	for _, name := range names {
		tamper(t, s, "DROP TRIGGER "+name)
	}
}

func tamper(t *testing.T, s *store.Store, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		res, err := s.DB().ExecContext(t.Context(), statement)
		if err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
		if n, err := res.RowsAffected(); !strings.HasPrefix(statement, "DROP") && (n == 0 || err != nil) {
			t.Fatalf("%s changed %d rows: %v", statement, n, err)
		}
	}
}

// The database itself refuses what nobody but an attacker would do.
func TestApprovalsAndPausesAreKept(t *testing.T) {
	s, _ := aRecord(t)
	for statement, says := range map[string]string{
		`UPDATE approvals SET state = 'approved'`:                         "decided once and used once", // it is used
		`UPDATE approvals SET record = '{}'`:                              "decided once and used once",
		`DELETE FROM approvals`:                                           "are kept",
		`UPDATE pauses SET record = '{}'`:                                 "append-only",
		`DELETE FROM pauses`:                                              "append-only",
		`DELETE FROM maintenances`:                                        "are kept",
		`UPDATE maintenances SET source = 'x'`:                            "kept as it was",
		`UPDATE events SET hash = 'x'`:                                    "append-only",
		`INSERT INTO events VALUES (99, '', 1, 'note', '', '', NULL, '')`: "are chained",
	} {
		if _, err := s.DB().ExecContext(t.Context(), statement); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

func TestTampering(t *testing.T) {
	cut := `DELETE FROM events WHERE seq > 9`
	for _, tt := range []struct {
		name       string
		statements []string
		row, what  string // row is a prefix
	}{
		{"nothing", nil, "", ""},
		{"an edited text", []string{`UPDATE events SET text = 'nothing happened' WHERE seq = 5`}, "event 5", "not what was written"},
		{"an edited actor", []string{`UPDATE events SET actor = 'person:bob' WHERE seq = 8`}, "event 8", "not what was written"},
		{"an edited time", []string{`UPDATE events SET at = at + 1 WHERE seq = 4`}, "event 4", "not what was written"},
		{"edited data", []string{`UPDATE events SET data = replace(data, 'uptime', 'reboot') WHERE seq = 4`}, "event 4", "not what was written"},
		{"an edited hash", []string{`UPDATE events SET hash = 'a' WHERE seq = 4`}, "event 4", "not what was written"},
		{"moved to another incident", []string{`UPDATE events SET incident_id = '' WHERE seq = 4`}, "event 4", "not what was written"},
		{"deleted in the middle", []string{`DELETE FROM events WHERE seq = 6`}, "event 6", "missing"},
		{"deleted at the beginning", []string{`DELETE FROM events WHERE seq = 1`}, "event 1", "missing"},
		{"deleted and renumbered", []string{`DELETE FROM events WHERE seq = 6`, `UPDATE events SET seq = -seq WHERE seq > 6`, `UPDATE events SET seq = -seq - 1 WHERE seq < 0`}, "event 6", "not what was written"},
		{"swapped", []string{`UPDATE events SET seq = -5 WHERE seq = 5`, `UPDATE events SET seq = 5 WHERE seq = 6`, `UPDATE events SET seq = 6 WHERE seq = -5`}, "event 5", "not what was written"},
		{"inserted at the end", []string{`INSERT INTO events SELECT 14, incident_id, at, kind, actor, text, data, hash FROM events WHERE seq = 13`}, "event 14", "not what was written"},
		{"cut at the end", []string{cut}, "event 9", "the events after 9 are missing"},
		{"cut, and the head set back", []string{cut, `UPDATE chain_head SET seq = 9, hash = (SELECT hash FROM events WHERE seq = 9)`}, "event 9", "seal"},
		{"cut, and the head thrown away", []string{cut, `DELETE FROM chain_head`}, "event 9", "seal of its end, event 9, is missing"},
		{"all events thrown away", []string{`DELETE FROM events`}, "event 0", "missing"},
		{"another output", []string{`UPDATE commands SET stdout = 'all is well' WHERE id = 'read'`}, "command read", "not what its newest event says"},
		{"another result", []string{`UPDATE commands SET record = replace(record, '"exit_status":0', '"exit_status":1') WHERE id = 'read'`}, "command read", "not what its newest event says"},
		{"a change that counts as a read", []string{`UPDATE commands SET class = 'read' WHERE id = 'run'`}, "command run", "columns"},
		{"an intent that was later", []string{`UPDATE commands SET intent_at = intent_at + 1 WHERE id = 'run'`}, "command run", "columns"},
		{"a command that was not", []string{`INSERT INTO commands SELECT 'new', incident_id, host, class, outcome, asked_at, intent_at, finished_at, record, stdout, stderr FROM commands WHERE id = 'read'`}, "command new", "no event knows it"},
		{"a command that is gone", []string{`DELETE FROM commands WHERE id = 'read'`}, "command read", "missing"},
		{"another alert", []string{`UPDATE alerts SET alert = replace(alert, '"X"', '"Y"')`}, "alert alr_", "not what its newest event says"},
		{"an alert of nothing", []string{`UPDATE alerts SET incident_id = NULL`}, "alert alr_", "not what its newest event says"},
		{"an alert that has ended", []string{`UPDATE alerts SET status = 'resolved'`}, "alert alr_", "columns"},
		{"another state", []string{`UPDATE incidents SET state = 'resolved'`}, "incident inc_", "it is resolved, and the events have it acting"},
		{"another target", []string{`UPDATE incidents SET target_host = 'borealis'`}, "incident inc_", "not what its newest event says"},
		{"a used approval is new again", []string{`UPDATE approvals SET state = 'approved'`}, "approval apr_", "columns"},
		{"another's yes", []string{`UPDATE approvals SET record = replace(record, 'person:ann', 'person:bob')`}, "approval apr_", "not what its newest event says"},
		{"an approval lives longer", []string{`UPDATE approvals SET expires_at = expires_at + 1`}, "approval apr_", "columns"},
		{"the kill switch is off", []string{`UPDATE pauses SET record = '{"on":false}'`}, "pause 1", "not what its newest event says"},
		{"it was not flapping", []string{`UPDATE incidents SET flapping = 1`}, "incident inc_", "not what its newest event says"},
		{"a maintenance lasts longer", []string{`UPDATE maintenances SET until_at = until_at + 1`}, "maintenance mnt_", "columns"},
		{"a maintenance of another", []string{`UPDATE maintenances SET record = replace(record, 'person:ann', 'person:bob')`}, "maintenance mnt_", "not what its newest event says"},
		{"a maintenance that was not", []string{`INSERT INTO maintenances SELECT 'new', source, external_id, from_at, until_at, ended_at, record FROM maintenances`}, "maintenance new", "no event knows it"},
		{"a maintenance that is gone", []string{`DELETE FROM maintenances`}, "maintenance mnt_", "missing"},
		{"the kill switch was never on", []string{`DELETE FROM pauses`}, "pause", "missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := aRecord(t)
			unlock(t, s)
			tamper(t, s, tt.statements...)
			a := audit(t, s, store.AuditCheck{})
			if tt.row == "" {
				if a.Bad != nil || a.Events != events || a.Head.Seq != events {
					t.Fatalf("%+v: %+v", a, a.Bad)
				}
				return
			}
			if a.Bad == nil || !strings.HasPrefix(a.Bad.Row, tt.row) || !strings.Contains(a.Bad.What, tt.what) {
				t.Fatalf("found %+v, want %s: …%s…", a.Bad, tt.row, tt.what)
			}
			// Lifeline goes on, and what it writes from now on hides nothing.
			if err := s.AppendEvent(t.Context(), lifeline.Event{Kind: lifeline.EventNote, Actor: "test"}); err != nil {
				t.Fatal(err)
			}
			if again := audit(t, s, store.AuditCheck{}); again.Bad == nil {
				t.Error("after the next event the record looks sound")
			}
		})
	}
}

// A head that was kept elsewhere finds what the database alone cannot know: an
// older copy of everything, key included.
func TestNotedHead(t *testing.T) {
	s, _ := aRecord(t)
	noted := audit(t, s, store.AuditCheck{}).Head
	if got, err := store.ParseHead(noted.String()); err != nil || got != noted {
		t.Errorf("%s is read as %+v, %v", noted, got, err)
	}
	for _, text := range []string{"", "12", "12:", ":" + noted.Hash, "0:" + noted.Hash, "12:abc", noted.String() + "0"} {
		if _, err := store.ParseHead(text); lifeline.CodeOf(err) != lifeline.CodeUsage {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := s.AppendEvent(t.Context(), lifeline.Event{Kind: lifeline.EventNote}); err != nil {
		t.Fatal(err)
	}
	if a := audit(t, s, store.AuditCheck{Expect: noted}); a.Bad != nil {
		t.Errorf("the record has grown: %+v", a.Bad)
	}
	other, _ := aRecord(t) // as long, and not the same
	if a := audit(t, other, store.AuditCheck{Expect: noted}); a.Bad == nil || a.Bad.Row != "event 13" || !strings.Contains(a.Bad.What, "written anew") {
		t.Errorf("another record: %+v", a.Bad)
	}
	if a := audit(t, other, store.AuditCheck{Expect: store.Head{Seq: 99, Hash: noted.Hash}}); a.Bad == nil || a.Bad.Row != "event 99" {
		t.Errorf("an older copy: %+v", a.Bad)
	}

	// Damage that is known: verify what came after it.
	unlock(t, s)
	tamper(t, s, `UPDATE events SET text = 'x' WHERE seq = 3`)
	if a := audit(t, s, store.AuditCheck{After: 3}); a.Bad != nil || a.Events != events+1-3 {
		t.Errorf("after the damage: %+v", a)
	}
	if a := audit(t, s, store.AuditCheck{After: 77}); a.Bad == nil {
		t.Error("it begins after an event that is not there")
	}
}

// Without its key the seal of the record does not hold, and that is on record.
func TestKeyIsLost(t *testing.T) {
	s, path := aRecord(t)
	s.Close()
	if err := os.Remove(path + ".key"); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, path, store.Options{})
	if a := audit(t, s, store.AuditCheck{}); a.Bad == nil || !strings.Contains(a.Bad.What, "the key is another one") {
		t.Errorf("%+v", a.Bad)
	}
	if err := s.AppendEvent(t.Context(), lifeline.Event{Kind: lifeline.EventNote}); err != nil {
		t.Fatal(err)
	}
	if a := audit(t, s, store.AuditCheck{}); a.Bad == nil || a.Bad.Row != "event 14" {
		t.Errorf("afterwards: %+v", a.Bad)
	}
	if a := audit(t, s, store.AuditCheck{After: 14}); a.Bad != nil {
		t.Errorf("after it: %+v", a.Bad)
	}
}

func TestBadKeys(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		mode os.FileMode
		want string
	}{
		"readable by others": {strings.Repeat("ab", 32), 0o644, "chmod 600"},
		"empty":              {"", 0o600, "is not a key"},
		"short":              {"abcd", 0o600, "is not a key"},
	} {
		path := filepath.Join(t.TempDir(), "lifeline.db")
		if err := os.WriteFile(path+".key", []byte(tt.text), tt.mode); err != nil {
			t.Fatal(err)
		}
		_, err := store.Open(t.Context(), "sqlite:"+path, store.Options{})
		if lifeline.CodeOf(err) != lifeline.CodeStore || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// An export can be checked by whoever has nothing but the export and its
// description.
func TestExport(t *testing.T) {
	s, _ := aRecord(t)
	if err := s.AppendEvent(t.Context(), lifeline.Event{Kind: lifeline.EventNote, Text: "α <&>\u2028", Data: json.RawMessage(`{ "a" : "\u003c<" }`)}); err != nil {
		t.Fatal(err)
	}
	var lines []string
	if err := s.ExportAudit(t.Context(), func(line json.RawMessage) error {
		lines = append(lines, string(line))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(lines) != events+2 {
		t.Fatalf("%d lines", len(lines))
	}
	data := regexp.MustCompile(`"data":(.*),"hash":"[0-9a-f]{64}"}$`) // the last two fields
	before := ""
	for i, line := range lines[:events+1] {
		var e struct {
			Seq        int64
			IncidentID string `json:"incident_id"`
			At         time.Time
			Kind       string
			Actor      string
			Text       string
			Hash       string
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || strings.Contains(line, "\n") {
			t.Fatalf("line %d: %v: %s", i+1, err, line)
		}
		raw := ""
		if m := data.FindStringSubmatch(line); m != nil {
			raw = m[1]
		}
		if got := described(before, fmt.Sprint(e.Seq), fmt.Sprint(e.At.UnixMicro()), e.IncidentID, e.Kind, e.Actor, e.Text, raw); got != e.Hash {
			t.Errorf("line %d: the hash over it is %s: %s", i+1, got, line)
		}
		before = e.Hash
	}
	var end struct{ Head store.Head }
	if err := json.Unmarshal([]byte(lines[events+1]), &end); err != nil || end.Head.Hash != before || end.Head.Seq != events+1 {
		t.Errorf("the last line: %s", lines[events+1])
	}
	stop := fmt.Errorf("the pipe is closed")
	if err := s.ExportAudit(t.Context(), func(json.RawMessage) error { return stop }); err != stop {
		t.Errorf("%v", err)
	}
}

// A database of the first version gets its chain at once or not at all, and
// keeps its history.
func TestBackfill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lifeline.db")
	first(t, path)
	s := openAt(t, path, store.Options{})
	a := audit(t, s, store.AuditCheck{})
	if a.Bad != nil || a.Events != 1501 {
		t.Fatalf("%+v: %+v", a, a.Bad)
	}
	got, err := s.Events(t.Context(), "", 0)
	if err != nil || len(got) != 2 || got[0].Text != "old" || got[1].Kind != lifeline.EventRecordSealed {
		t.Errorf("%+v, %v", got, err)
	}
	// What the first version has written still is what it was, to the letter.
	if _, err := s.DB().ExecContext(t.Context(), `UPDATE events SET hash = 'x' WHERE seq = 1`); err == nil {
		t.Error("a hash was written twice")
	}
	if diff := cmp.Diff(nil, s.AppendEvent(t.Context(), lifeline.Event{Kind: lifeline.EventNote})); diff != "" {
		t.Error(diff)
	}
	unlock(t, s)
	tamper(t, s, `UPDATE events SET text = 'x' WHERE seq = 700`)
	if a := audit(t, s, store.AuditCheck{}); a.Bad == nil || a.Bad.Row != "event 700" {
		t.Errorf("%+v", a.Bad)
	}
}

// What fires when a database is migrated fires afterwards, and ends when the
// last of it does.
func TestFiringIsMigrated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lifeline.db")
	first(t, path)
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO alerts (id, incident_id, fingerprint, status, received_at, alert) VALUES ('alr_2', 'inc_1', 'g', 'firing', 6, '{"name":"g"}')`,
		`INSERT INTO alerts (id, incident_id, fingerprint, status, received_at, alert) VALUES ('alr_3', 'inc_1', 'h', 'firing', 7, '{"name":"h"}')`,
		`INSERT INTO alerts (id, incident_id, fingerprint, status, received_at, alert) VALUES ('alr_4', 'inc_1', 'h', 'resolved', 8, '{"name":"h"}')`,
		`INSERT INTO alerts (id, incident_id, fingerprint, status, received_at, alert) VALUES ('alr_5', NULL, 't', 'firing', 9, '{"name":"t"}')`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	db.Close()
	s := openAt(t, path, store.Options{})
	var told []string
	resolved := func(_ context.Context, _ *sql.Tx, inc lifeline.Incident) error {
		told = append(told, inc.ID)
		return nil
	}
	for i, fingerprint := range []string{"g", "f"} {
		firing, err := s.FiringAlerts(t.Context(), "inc_1", 0)
		if err != nil || len(firing) != 2-i || len(told) != 0 {
			t.Errorf("firing: %+v, %v; told about %v", firing, err, told)
		}
		a := alert("k")
		a[0].Fingerprint, a[0].Status = fingerprint, lifeline.AlertResolved
		receipts, err := s.ReceiveAlerts(t.Context(), a, nothing, resolved)
		if err != nil || receipts[0].Result != lifeline.ReceiptResolved || receipts[0].IncidentID != "inc_1" {
			t.Fatalf("%+v, %v", receipts, err)
		}
	}
	if diff := cmp.Diff([]string{"inc_1"}, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// first makes a database as the first version left it.
func first(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	provider, err := goose.NewProvider(goose.DialectSQLite3, db, os.DirFS("migrations/sqlite"), goose.WithTableName("lifeline_migrations"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := provider.UpTo(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, statement := range []string{
		`INSERT INTO incidents VALUES ('inc_1', 'k', 'X', 'none', 's', 'atlas', 'container', 'web', 'open', '', 1, 5, 5)`,
		`INSERT INTO alerts (id, incident_id, fingerprint, status, received_at, alert) VALUES ('alr_1', 'inc_1', 'f', 'firing', 5, '{}')`,
		`INSERT INTO events (incident_id, at, kind, actor, text, data) VALUES ('inc_1', 5, 'alert_received', 'x', 't', '{}')`,
		`INSERT INTO events (incident_id, at, kind, actor, text, data) VALUES ('inc_1', 5, 'incident_opened', 'triage', 't',
			'{"id":"inc_1","key":"k","alert_name":"X","severity":"none","summary":"s","target":{"host":"atlas","kind":"container","name":"web"},"state":"open","alerts":1,"alert_firing":true,"changes":0,"opened_at":"1970-01-01T00:00:00.000005Z","updated_at":"1970-01-01T00:00:00.000005Z"}')`,
		`INSERT INTO events (incident_id, at, kind, actor, text) VALUES ('', 6, 'note', 'x', 'old')`,
		`INSERT INTO commands VALUES ('c', 'inc_1', 'atlas', 'read', 'exited', 6, 6, 7,
			'{"id":"c","incident_id":"inc_1","host":"atlas","class":"read","outcome":"exited","intent_at":"1970-01-01T00:00:00.000006Z"}', 'out', NULL)`,
		`INSERT INTO events (incident_id, at, kind, actor, text, data) VALUES ('inc_1', 6, 'command_finished', 'x', 't',
			'{"id":"c","incident_id":"inc_1","host":"atlas","class":"read","outcome":"exited","intent_at":"1970-01-01T00:00:00.000006Z"}')`,
		`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1496)
			INSERT INTO events (incident_id, at, kind, actor, text) SELECT 'inc_1', i, 'note', 'x', 't' || i FROM n`,
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// described is the hash as docs/record.md describes it.
func described(parts ...string) string {
	h := sha256.New()
	for _, p := range append([]string{"lifeline/event/1"}, parts...) {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}
