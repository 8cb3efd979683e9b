package storetest

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
)

// signedIn is a session that ends idle an hour, and in any case a day, after the
// suite's beginning.
func signedIn(name string) lifeline.Session {
	return lifeline.Session{Person: lifeline.Person{Name: name, Role: lifeline.RoleApprover, Via: "password"}, Proof: "p", Address: "10.0.0.1",
		IdleUntil: at(3600), ExpiresAt: at(86400)}
}

func sessions(t *testing.T, open Open) {
	s := newSuite(t, open)
	ctx := t.Context()
	if err := s.AddSession(ctx, "h1", "", signedIn("ann")); err != nil {
		t.Fatal(err)
	}
	got, err := s.Session(ctx, "h1")
	if err != nil {
		t.Fatal(err)
	}
	want := signedIn("ann")
	want.CreatedAt, want.SeenAt = got.CreatedAt, got.CreatedAt
	if diff := cmp.Diff(want, got); diff != "" || got.CreatedAt.Before(at(0)) {
		t.Errorf("the session (-want +got):\n%s", diff)
	}
	_, err = s.Session(ctx, "h2")
	wantCode(t, err, lifeline.CodeNotFound)

	// Its use moves its idle end, and nothing else.
	got.IdleUntil = at(7200)
	if err := s.TouchSession(ctx, "h1", got); err != nil {
		t.Fatal(err)
	}
	touched, err := s.Session(ctx, "h1")
	if err != nil || !touched.IdleUntil.Equal(at(7200)) || !touched.SeenAt.After(got.SeenAt) || !touched.CreatedAt.Equal(got.CreatedAt) {
		t.Errorf("after its use: %+v, %v", touched, err)
	}

	// Another sign-in takes its place.
	if err := s.AddSession(ctx, "h3", "h1", signedIn("ann")); err != nil {
		t.Fatal(err)
	}
	_, err = s.Session(ctx, "h1")
	wantCode(t, err, lifeline.CodeNotFound)

	// Signing out is on record once.
	for range 2 {
		if err := s.EndSession(ctx, "h3", "signed out"); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.Session(ctx, "h3")
	wantCode(t, err, lifeline.CodeNotFound)
	if diff := cmp.Diff([]lifeline.EventKind{lifeline.EventLogin, lifeline.EventLogin, lifeline.EventLogout}, s.kinds("")); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	s.handedOn("")

	// Both ends are ends, and what is over is removed by the next sign-in.
	for hash, end := range map[string]func(*lifeline.Session){
		"idle": func(v *lifeline.Session) { v.IdleUntil = at(100) },
		"old":  func(v *lifeline.Session) { v.ExpiresAt = at(100) },
	} {
		v := signedIn("bob")
		end(&v)
		if err := s.AddSession(ctx, hash, "", v); err != nil {
			t.Fatal(err)
		}
	}
	s.mu.Lock()
	s.now = began().Add(100 * time.Second)
	s.mu.Unlock()
	for _, hash := range []string{"idle", "old"} {
		_, err := s.Session(ctx, hash)
		wantCode(t, err, lifeline.CodeNotFound)
	}
	if err := s.AddSession(ctx, "h4", "", signedIn("ann")); err != nil {
		t.Fatal(err)
	}
	var rows int
	if err := s.DB().QueryRowContext(ctx, `SELECT COUNT(*) FROM sessions`).Scan(&rows); err != nil || rows != 1 {
		t.Errorf("%d rows are left, %v", rows, err)
	}
}

// Whoever can write the database, and has not got the key, cannot let anybody in.
func forgedSessions(t *testing.T, open Open) {
	s := newSuite(t, open)
	ctx := t.Context()
	for what, forge := range map[string]string{
		"the role":  `UPDATE sessions SET role = 'admin'`,
		"the name":  `UPDATE sessions SET name = 'bob'`,
		"the proof": `UPDATE sessions SET proof = 'q'`,
		"the end":   `UPDATE sessions SET expires_at = expires_at + 1`,
		"the hash":  `UPDATE sessions SET hash = 'h1' WHERE hash = 'h2'`,
	} {
		if _, err := s.DB().ExecContext(ctx, `DELETE FROM sessions`); err != nil {
			t.Fatal(err)
		}
		kept := "h1"
		if what == "the hash" {
			kept = "h2"
		}
		if err := s.AddSession(ctx, kept, "", signedIn("ann")); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Session(ctx, kept); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DB().ExecContext(ctx, forge); err != nil {
			t.Fatal(err)
		}
		if got, err := s.Session(ctx, "h1"); lifeline.CodeOf(err) != lifeline.CodeNotFound {
			t.Errorf("%s was changed: %+v, %v", what, got, err)
		}
	}
	if err := s.EndSession(ctx, "h1", "signed out"); err != nil { // removes it all the same
		t.Error(err)
	}
	first, again := string(s.SignIn("a")), string(s.SignIn("a"))
	if first != again || first == string(s.SignIn("b")) {
		t.Error("what is signed for a sign-in is not its own")
	}
}

func tokens(t *testing.T, open Open) {
	s := newSuite(t, open)
	ctx := t.Context()
	if any, err := s.AnyToken(ctx); any || err != nil {
		t.Errorf("a token of nobody: %v, %v", any, err)
	}
	ci, err := s.AddToken(ctx, "h1", lifeline.Token{Name: "ci", Role: lifeline.RoleViewer, CreatedBy: "person:ann", ExpiresAt: at(5000), RevokedBy: "x", UsedAt: at(1)})
	if err != nil {
		t.Fatal(err)
	}
	want := lifeline.Token{ID: ci.ID, Name: "ci", Role: lifeline.RoleViewer, CreatedAt: ci.CreatedAt, CreatedBy: "person:ann", ExpiresAt: at(5000)}
	if diff := cmp.Diff(want, ci); diff != "" || !strings.HasPrefix(ci.ID, "tok_") {
		t.Errorf("added (-want +got):\n%s", diff)
	}
	got, err := s.Token(ctx, "h1")
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("looked up: %v (-want +got):\n%s", err, diff)
	}
	_, err = s.AddToken(ctx, "h2", lifeline.Token{Name: "ci", Role: lifeline.RoleAdmin, CreatedBy: "person:ann"})
	wantCode(t, err, lifeline.CodeUsage)
	_, err = s.AddToken(ctx, "h2", lifeline.Token{Name: "late", Role: lifeline.RoleAdmin, ExpiresAt: at(-1)})
	wantCode(t, err, lifeline.CodeUsage)
	_, err = s.Token(ctx, "h2")
	wantCode(t, err, lifeline.CodeNotFound)
	if err := s.TouchToken(ctx, ci.ID); err != nil {
		t.Fatal(err)
	}
	ever, err := s.AddToken(ctx, "h3", lifeline.Token{Name: "ever", Role: lifeline.RoleAdmin, CreatedBy: "person:ann"})
	if err != nil {
		t.Fatal(err)
	}
	if any, err := s.AnyToken(ctx); !any || err != nil {
		t.Errorf("no token: %v, %v", any, err)
	}
	// Over.
	s.mu.Lock()
	s.now = began().Add(5000 * time.Second)
	s.mu.Unlock()
	_, err = s.Token(ctx, "h1")
	wantCode(t, err, lifeline.CodeNotFound)
	// Revoked, by name or ID, once.
	revoked, err := s.RevokeToken(ctx, "ever", "person:bob")
	if err != nil || revoked.RevokedAt.IsZero() || revoked.RevokedBy != "person:bob" || revoked.ID != ever.ID {
		t.Errorf("revoked: %+v, %v", revoked, err)
	}
	for _, name := range []string{"ever", ever.ID, "none", ""} {
		_, err = s.RevokeToken(ctx, name, "person:bob")
		wantCode(t, err, lifeline.CodeNotFound)
	}
	_, err = s.Token(ctx, "h3")
	wantCode(t, err, lifeline.CodeNotFound)
	if any, err := s.AnyToken(ctx); any || err != nil {
		t.Errorf("a token that is over or revoked counts: %v, %v", any, err)
	}
	if _, err := s.RevokeToken(ctx, ci.ID, "person:bob"); err != nil {
		t.Error(err)
	}
	// The name is free again.
	if _, err := s.AddToken(ctx, "h4", lifeline.Token{Name: "ever", Role: lifeline.RoleViewer, CreatedBy: "person:ann"}); err != nil {
		t.Error(err)
	}
	all, err := s.Tokens(ctx)
	if err != nil || len(all) != 3 || all[0].Name != "ci" || all[0].UsedAt.IsZero() || all[1].RevokedBy != "person:bob" {
		t.Errorf("all: %+v, %v", all, err)
	}
	for _, change := range []string{`DELETE FROM tokens`, `UPDATE tokens SET revoked_at = 0`, `UPDATE tokens SET hash = 'x' WHERE name = 'ci'`} {
		if _, err := s.DB().ExecContext(ctx, change); err == nil {
			t.Errorf("%s was taken", change)
		}
	}
	// All of it is on record, with the hash and never with a secret.
	var kinds []lifeline.EventKind
	for _, e := range s.events {
		kinds = append(kinds, e.Kind)
		var d struct {
			Hash string `json:"secret_sha256"`
		}
		if json.Unmarshal(e.Data, &d) != nil || !strings.HasPrefix(d.Hash, "h") {
			t.Errorf("the event %s has the data %s", e.Kind, e.Data)
		}
	}
	created, gone := lifeline.EventTokenCreated, lifeline.EventTokenRevoked
	if diff := cmp.Diff([]lifeline.EventKind{created, created, gone, gone, created}, kinds); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	s.sound()
}

// A row that Lifeline did not write opens nothing, is named by a verification,
// and can be revoked.
func forgedTokens(t *testing.T, open Open) {
	for what, forge := range map[string]string{
		"another role": `UPDATE tokens SET record = replace(record, 'viewer', 'admin')`,
		"another end":  `UPDATE tokens SET record = replace(record, 'expires_at', 'ended_at')`,
		"a row":        `INSERT INTO tokens (id, hash, name, expires_at, revoked_at, used_at, record, mac) SELECT 'tok_x', 'h2', 'x', expires_at, revoked_at, used_at, replace(replace(replace(record, id, 'tok_x'), '"ci"', '"x"'), '"h1"', '"h2"'), mac FROM tokens`,
	} {
		s := newSuite(t, open)
		ctx := t.Context()
		if _, err := s.AddToken(ctx, "h1", lifeline.Token{Name: "ci", Role: lifeline.RoleViewer, CreatedBy: "person:ann", ExpiresAt: at(50000)}); err != nil {
			t.Fatal(err)
		}
		s.sound()
		if _, err := s.DB().ExecContext(ctx, forge); err != nil {
			t.Fatal(err)
		}
		hash, name := "h1", "ci"
		if what == "a row" {
			hash, name = "h2", "x"
		}
		if got, err := s.Token(ctx, hash); lifeline.CodeOf(err) != lifeline.CodeNotFound {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
		_, err := s.Tokens(ctx)
		wantCode(t, err, lifeline.CodeTampered)
		if audit, err := s.VerifyAudit(ctx, store.AuditCheck{}); err != nil || audit.Bad == nil {
			t.Errorf("%s: the record is said to be what was written", what)
		}
		if _, err := s.RevokeToken(ctx, name, "person:ann"); err != nil {
			t.Errorf("%s: revoke: %v", what, err)
		}
	}
}
