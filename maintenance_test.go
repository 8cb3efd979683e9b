package lifeline

import (
	"testing"
	"time"
)

func TestMaintenanceScope(t *testing.T) {
	web := Incident{AlertName: "Down", Target: Target{Host: "atlas", Kind: TargetContainer, Name: "web"}}
	machine := Incident{AlertName: "Down", Target: Target{Host: "atlas", Kind: TargetHost}}
	lost := Incident{AlertName: "Down"}
	for _, tc := range []struct {
		scope              MaintenanceScope
		web, machine, lost bool
		text               string
	}{
		{MaintenanceScope{All: true}, true, true, true, "everything"},
		{MaintenanceScope{Host: "atlas"}, true, true, false, "host atlas"},
		{MaintenanceScope{Host: "borealis"}, false, false, false, "host borealis"},
		{MaintenanceScope{Host: "atlas", Kind: TargetContainer, Name: "web"}, true, false, false, "container web on atlas"},
		{MaintenanceScope{Host: "atlas", Kind: TargetContainer, Name: "db"}, false, false, false, "container db on atlas"},
		{MaintenanceScope{Host: "atlas", Kind: TargetUnit, Name: "web"}, false, false, false, "unit web on atlas"},
		{MaintenanceScope{Kind: TargetContainer, Name: "web"}, true, false, false, "container web on any host"},
		{MaintenanceScope{Kind: TargetContainer}, true, false, false, "every container on any host"},
		{MaintenanceScope{Host: "atlas", Kind: TargetHost}, false, true, false, "the machine itself on atlas"},
		{MaintenanceScope{Alert: "Down"}, true, true, true, "the alert Down on any host"},
		{MaintenanceScope{Alert: "Up"}, false, false, false, "the alert Up on any host"},
		{MaintenanceScope{Host: "atlas", Kind: TargetContainer, Name: "web", Alert: "Down"}, true, false, false, "container web, the alert Down on atlas"},
	} {
		if err := tc.scope.Check(); err != nil {
			t.Errorf("%s: %v", tc.text, err)
		}
		if tc.scope.Has(web) != tc.web || tc.scope.Has(machine) != tc.machine || tc.scope.Has(lost) != tc.lost || tc.scope.String() != tc.text {
			t.Errorf("%s: %q has the container %v, the machine %v, no target %v", tc.text, tc.scope, tc.scope.Has(web), tc.scope.Has(machine), tc.scope.Has(lost))
		}
	}
	if (MaintenanceScope{}).Has(web) || (MaintenanceScope{}).Check() == nil {
		t.Error("a scope of nothing is one of everything")
	}
}

func TestMaintenanceCovers(t *testing.T) {
	from := time.Date(2026, 5, 6, 7, 0, 0, 0, time.UTC)
	m := Maintenance{Scope: MaintenanceScope{All: true}, From: from, Until: from.Add(time.Hour)}
	ended := m
	ended.EndedAt = from.Add(time.Minute)
	for after, want := range map[time.Duration][2]bool{
		-1: {false, false}, 0: {true, true}, time.Minute - 1: {true, true}, time.Minute: {true, false}, time.Hour - 1: {true, false}, time.Hour: {false, false},
	} {
		if got := [2]bool{m.Covers(Incident{}, from.Add(after)), ended.Covers(Incident{}, from.Add(after))}; got != want {
			t.Errorf("%s after its beginning: %v, want %v", after, got, want)
		}
	}
	if (Maintenance{From: from, Until: from.Add(time.Hour)}).Covers(Incident{}, from) {
		t.Error("a window without a scope covers something")
	}
}
