package storetest

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"lifeline"
)

// maintain adds a window that begins now.
func (s *suite) maintain(scope lifeline.MaintenanceScope, length time.Duration) lifeline.Maintenance {
	s.t.Helper()
	m, err := s.AddMaintenance(s.t.Context(), lifeline.Maintenance{Scope: scope, From: s.now, Until: s.now.Add(length), By: "person:ann", Reason: "a new disk"})
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func (s *suite) windows(all bool) []lifeline.Maintenance {
	s.t.Helper()
	list, err := s.Maintenances(s.t.Context(), all)
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}

// in gives the window that the container jukebox on atlas is in; "" if none.
func (s *suite) in() string {
	s.t.Helper()
	inc := lifeline.Incident{AlertName: "ContainerDown", Target: lifeline.Target{Host: "atlas", Kind: lifeline.TargetContainer, Name: "jukebox"}}
	m, in, err := s.MaintenanceFor(s.t.Context(), inc)
	if err != nil || in == (m.ID == "") {
		s.t.Fatalf("%+v, %v, %v", m, in, err)
	}
	return m.ID
}

// maintenance: windows are added, found, listed and ended.
func maintenance(t *testing.T, open Open) {
	s := newSuite(t, open)
	if s.in() != "" || len(s.windows(true)) > 0 || s.windows(false) == nil {
		t.Error("something is in maintenance")
	}
	host := lifeline.MaintenanceScope{Host: "atlas"}
	short := s.maintain(host, time.Hour)
	long := s.maintain(host, 2*time.Hour)
	other := s.maintain(lifeline.MaintenanceScope{Host: "borealis"}, 3*time.Hour)
	if !strings.HasPrefix(short.ID, "mnt_") || short.Source != lifeline.MaintenanceByPerson || s.in() != long.ID {
		t.Errorf("%+v; it is in %s, want %s", short, s.in(), long.ID)
	}
	if diff := cmp.Diff([]lifeline.Maintenance{short, long, other}, s.windows(false)); diff != "" {
		t.Errorf("in force (-want +got):\n%s", diff)
	}
	ended, err := s.EndMaintenance(t.Context(), long.ID[:len(long.ID)-1], "person:bob")
	if err != nil || ended.ID != long.ID || ended.EndedBy != "person:bob" || ended.EndedAt.IsZero() || s.in() != short.ID {
		t.Errorf("ended: %+v, %v; it is in %s", ended, err, s.in())
	}
	_, err = s.EndMaintenance(t.Context(), long.ID, "person:ann")
	wantRefused(t, err, lifeline.RuleMaintenance, "was ended already by person:bob")
	for _, id := range []string{"", "mnt_none", "%", "mnt_"} {
		_, err = s.EndMaintenance(t.Context(), id, "person:ann")
		wantCode(t, err, lifeline.CodeNotFound)
	}
	if diff := cmp.Diff([]lifeline.Maintenance{short, ended, other}, s.windows(true)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	s.later(time.Hour)
	if s.in() != "" || len(s.windows(false)) != 1 {
		t.Errorf("after an hour it is in %s, in force are %+v", s.in(), s.windows(false))
	}
	_, err = s.EndMaintenance(t.Context(), short.ID, "person:ann")
	wantRefused(t, err, lifeline.RuleMaintenance, "is over since")
	s.later(-2 * time.Hour)
	if s.in() != "" {
		t.Error("it is in a window before its beginning")
	}
	want := []lifeline.EventKind{lifeline.EventMaintenanceAdded, lifeline.EventMaintenanceAdded, lifeline.EventMaintenanceAdded, lifeline.EventMaintenanceEnded}
	if diff := cmp.Diff(want, s.kinds("")); diff != "" {
		t.Errorf("on record (-want +got):\n%s", diff)
	}
	s.handedOn("")
	s.sound()
}

// maintenanceRefused: what is no window is not put on record.
func maintenanceRefused(t *testing.T, open Open) {
	s := newSuite(t, open)
	host, hour := lifeline.MaintenanceScope{Host: "atlas"}, s.now.Add(time.Hour)
	for says, m := range map[string]lifeline.Maintenance{
		"a window has a scope":        {Until: hour},
		"no other scope":              {Until: hour, Scope: lifeline.MaintenanceScope{Host: "atlas", All: true}},
		"needs the kind":              {Until: hour, Scope: lifeline.MaintenanceScope{Name: "web"}},
		"can have":                    {Until: hour, Scope: lifeline.MaintenanceScope{Kind: lifeline.TargetUnit, Name: "a b"}},
		"nothing is known about":      {Until: hour, Scope: lifeline.MaintenanceScope{Kind: "printer"}},
		"a beginning and an end":      {Scope: host},
		"has to end after that":       {Scope: host, From: hour, Until: hour},
		"may be 720h0m0s at most":     {Scope: host, From: hour, Until: hour.Add(lifeline.MaxMaintenance + time.Second)},
		"the window would be over al": {Scope: host, From: hour.Add(-5 * time.Hour), Until: hour.Add(-4 * time.Hour)},
	} {
		_, err := s.AddMaintenance(t.Context(), m)
		wantCode(t, err, lifeline.CodeUsage)
		if err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want …%s…", err, says)
		}
	}
	if len(s.windows(true)) > 0 || len(s.events) > 0 {
		t.Errorf("on record: %+v", s.windows(true))
	}
}

// maintenanceHolds: no change of an incident is let through, nor asked a person
// about; reads are, and so is what a person does at the terminal.
func maintenanceHolds(t *testing.T, open Open) {
	for what, tc := range map[string]struct {
		scope lifeline.MaintenanceScope
		host  string // of the change
		holds bool
	}{
		"the host":                 {lifeline.MaintenanceScope{Host: "atlas"}, "atlas", true},
		"the container":            {lifeline.MaintenanceScope{Host: "atlas", Kind: lifeline.TargetContainer, Name: "jukebox"}, "atlas", true},
		"containers":               {lifeline.MaintenanceScope{Kind: lifeline.TargetContainer}, "atlas", true},
		"the alert":                {lifeline.MaintenanceScope{Alert: "ContainerDown"}, "atlas", true},
		"everything":               {lifeline.MaintenanceScope{All: true}, "atlas", true},
		"another container":        {lifeline.MaintenanceScope{Host: "atlas", Kind: lifeline.TargetContainer, Name: "radio"}, "atlas", false},
		"another alert":            {lifeline.MaintenanceScope{Host: "atlas", Alert: "DiskFull"}, "atlas", false},
		"another host":             {lifeline.MaintenanceScope{Host: "borealis"}, "atlas", false},
		"the host of the change":   {lifeline.MaintenanceScope{Host: "borealis"}, "borealis", true},
		"a thing where the change": {lifeline.MaintenanceScope{Host: "borealis", Kind: lifeline.TargetContainer, Name: "radio"}, "borealis", false},
	} {
		t.Run(what, func(t *testing.T) {
			s := newSuite(t, open)
			m := s.maintain(tc.scope, time.Hour)
			id := s.wants(firing("k", "f"), lifeline.ReceiptOpened, "") // nothing is lost
			s.move(id, lifeline.StateInvestigating)
			change := command("c", id)
			change.Host = tc.host
			_, err := s.RecordIntent(t.Context(), change, lifeline.Limits{})
			if !tc.holds {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantRefused(t, err, lifeline.RuleMaintenance, "is in maintenance until "+m.Until.Format(time.RFC3339)+", by person:ann: a new disk")
			if _, err := s.RequestApproval(t.Context(), asks("a", id), time.Hour, lifeline.Limits{}); tc.host == "atlas" {
				wantRefused(t, err, lifeline.RuleMaintenance, m.ID)
			}
			s.intend(read("r", id), 1)
			s.intend(command("person", ""), 1)
			s.later(time.Hour)
			s.intend(change, 1)
			s.sound()
		})
	}
}

// maintenanceOfSource: the windows of a source are what it says, each time.
func maintenanceOfSource(t *testing.T, open Open) {
	s := newSuite(t, open)
	mine := s.maintain(lifeline.MaintenanceScope{Host: "atlas"}, time.Hour)
	begin := s.now
	silence := func(id, host string, length time.Duration) lifeline.Maintenance {
		return lifeline.Maintenance{ExternalID: id, Scope: lifeline.MaintenanceScope{Host: host}, From: begin, Until: begin.Add(length), By: "person:eve", Reason: "silence"}
	}
	sync := func(events int, windows ...lifeline.Maintenance) {
		t.Helper()
		before := len(s.events)
		if err := s.SyncMaintenance(t.Context(), "alertmanager", windows); err != nil {
			t.Fatal(err)
		}
		if got := len(s.events) - before; got != events {
			t.Errorf("%d events, want %d", got, events)
		}
	}
	is := func(want ...lifeline.Maintenance) {
		t.Helper()
		for i := range want {
			want[i].Source, want[i].From, want[i].Until = "alertmanager", micro(want[i].From), micro(want[i].Until)
		}
		want = append([]lifeline.Maintenance{mine}, want...)
		if diff := cmp.Diff(want, s.windows(false), cmpopts.IgnoreFields(lifeline.Maintenance{}, "ID"), byExternalID()); diff != "" {
			t.Errorf("in force (-want +got):\n%s", diff)
		}
	}
	a, b := silence("a", "borealis", time.Hour), silence("b", "cygnus", 2*time.Hour)
	year := silence("y", "draco", 365*24*time.Hour) // a silence may be longer than what a person may add
	sync(3, a, b, year)
	is(a, b, year)
	sync(0, year, b, a)
	a.Until = begin.Add(90 * time.Minute)
	sync(2, a, b)
	is(a, b)

	// What a person has ended stays ended until it is changed at its source.
	for _, m := range s.windows(false) {
		if m.ExternalID == "b" {
			if _, err := s.EndMaintenance(t.Context(), m.ID, "person:ann"); err != nil {
				t.Fatal(err)
			}
		}
	}
	sync(0, a, b)
	is(a)
	b.Reason = "once more"
	sync(1, a, b)
	is(a, b)
	sync(2)
	is()
	sync(1, a) // it is there again
	is(a)
	sync(0, a, silence("old", "cygnus", time.Second)) // over before anybody heard of it
	is(a)

	bad := silence("c", "", time.Hour)
	for says, windows := range map[string][]lifeline.Maintenance{
		"a window has a scope":    {b, bad},
		"has no identifier":       {b, silence("", "atlas", time.Hour)},
		"b is given twice":        {b, b},
		"it has to end after tha": {b, silence("c", "atlas", 0)},
	} {
		err := s.SyncMaintenance(t.Context(), "alertmanager", windows)
		wantCode(t, err, lifeline.CodeUsage)
		if err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want …%s…", err, says)
		}
		is(a) // nothing of it
	}
	for _, source := range []string{"", "person"} {
		wantCode(t, s.SyncMaintenance(t.Context(), source, nil), lifeline.CodeStore)
	}
	s.sound()
}

// byExternalID compares windows that begin at the same time, whose order is
// that of their random IDs.
func byExternalID() cmp.Option {
	return cmpopts.SortSlices(func(a, b lifeline.Maintenance) bool { return a.ExternalID < b.ExternalID })
}

// micro is a time as it comes back.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
