package runbook_test

import (
	"fmt"
	"testing"

	"lifeline"
	"lifeline/internal/runbook"
	"lifeline/runbooks"
)

func book(name, match string) string {
	return fmt.Sprintf("---\nname: %s\ntitle: T\nmatch: %s\ndiagnose: [uptime]\n---\n", name, match)
}

func TestMatchTakesTheMostSpecific(t *testing.T) {
	shipped := load(t,
		book("any-container", "{target: container}"),
		book("by-regexp", "{alerts: [/Web.*/], target: container}"),
		book("by-name", "{alerts: [WebDown, /Odd.*/]}"),
		book("by-name-and-target", "{alerts: [WebDown], target: container}"),
		book("labelled", "{alerts: [/.*Down/], labels: {env: prod}}"),
		book("twice-labelled", "{labels: {env: prod, team: /a|b/}}"),
	)
	owner := load(t, book("owners", "{alerts: [/Own.*/]}"), book("by-regexp", "{alerts: [WebOdd], target: unit}"))
	merged := runbook.Merge(shipped, owner)

	container := lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "web"}
	unit := lifeline.Target{Host: "nexus", Kind: lifeline.TargetUnit, Name: "web.service"}
	for _, tc := range []struct {
		set    *runbook.Set
		alert  string
		labels map[string]string
		target lifeline.Target
		want   string
	}{
		{shipped, "Other", nil, container, "any-container"},
		{shipped, "WebSlow", nil, container, "by-regexp"},
		{shipped, "WebDown", nil, container, "by-name-and-target"},
		{shipped, "WebDown", nil, unit, "by-name"},
		{shipped, "WebDown", map[string]string{"env": "prod"}, container, "labelled"},
		{shipped, "WebDown", map[string]string{"env": "prod", "team": "b"}, container, "twice-labelled"},
		{shipped, "WebDown", map[string]string{"env": "prod", "team": "ab"}, container, "labelled"},
		{shipped, "WebDown", map[string]string{"env": "test"}, unit, "by-name"},
		{shipped, "Other", nil, unit, ""},
		{shipped, "MyWebSlow", nil, unit, ""},
		{merged, "WebSlow", nil, container, "any-container"}, // the owner's replaced it
		{merged, "WebOdd", nil, unit, "by-regexp"},
		{merged, "OwnWebDown", nil, container, "owners"},
		{merged, "WebDown", nil, container, "by-name-and-target"},
	} {
		got := ""
		if b, ok := tc.set.Match(lifeline.Alert{Name: tc.alert, Labels: tc.labels}, tc.target); ok {
			got = b.Name
		}
		if got != tc.want {
			t.Errorf("%s %v about the %s: %q, want %q", tc.alert, tc.labels, tc.target, got, tc.want)
		}
	}
}

func TestMergeTakesNil(t *testing.T) {
	set := load(t, valid)
	for _, merged := range []*runbook.Set{runbook.Merge(set, nil), runbook.Merge(nil, set)} {
		if len(merged.All()) != 1 {
			t.Errorf("%d runbooks, want 1", len(merged.All()))
		}
	}
}

// The shipped runbooks cover the names that the common rule sets use.
func TestShippedRunbooksMatchCommonAlerts(t *testing.T) {
	shipped, err := runbook.Load(runbooks.FS())
	if err != nil {
		t.Fatal(err)
	}
	for want, tc := range map[string]struct {
		kind   lifeline.TargetKind
		alerts []string
	}{
		"container-down": {lifeline.TargetContainer, []string{"ContainerDown", "ContainerNotRunning", "ContainerKilled",
			"ContainerAbsent", "ContainerExited", "DockerContainerDown", "container_down", "Container_Not_Running"}},
		"container-unhealthy": {lifeline.TargetContainer, []string{"ContainerUnhealthy", "DockerContainerUnhealthy", "ContainerHealthCheckFailing"}},
		"unit-failed": {lifeline.TargetUnit, []string{"SystemdServiceCrashed", "SystemdUnitFailed", "HostSystemdServiceCrashed",
			"NodeSystemdServiceFailed", "SystemdServiceFailed"}},
		"disk-filling": {lifeline.TargetFilesystem, []string{"HostOutOfDiskSpace", "HostDiskWillFillIn24Hours", "HostOutOfInodes",
			"NodeFilesystemSpaceFillingUp", "NodeFilesystemAlmostOutOfSpace", "NodeFilesystemFilesFillingUp", "DiskSpaceLow", "HighDiskUsage"}},
	} {
		for _, name := range tc.alerts {
			b, ok := shipped.Match(lifeline.Alert{Name: name}, lifeline.Target{Host: "h", Kind: tc.kind, Name: "x"})
			if !ok || b.Name != want {
				t.Errorf("%s is matched by %v, want %s", name, b, want)
			}
		}
	}
	for _, name := range []string{"ContainerHighMemory", "SystemdTimerLate", ""} {
		if b, ok := shipped.Match(lifeline.Alert{Name: name}, lifeline.Target{Host: "h", Kind: lifeline.TargetContainer, Name: "x"}); ok {
			t.Errorf("%q is matched by %s, want none", name, b.Name)
		}
	}
}

// A runbook that ships reads before it changes, says what is left to a person,
// and never deletes.
func TestShippedRunbooksAreComplete(t *testing.T) {
	shipped, err := runbook.Load(runbooks.FS())
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]lifeline.Target{
		"container-down":      {Host: "nexus", Kind: lifeline.TargetContainer, Name: "scrypted"},
		"container-unhealthy": {Host: "nexus", Kind: lifeline.TargetContainer, Name: "scrypted"},
		"unit-failed":         {Host: "nexus", Kind: lifeline.TargetUnit, Name: "nginx.service"},
		"disk-filling":        {Host: "nexus", Kind: lifeline.TargetFilesystem, Name: "/"},
	}
	fixes := map[string]string{
		"container-down": "docker start scrypted", "container-unhealthy": "docker restart scrypted",
		"unit-failed": "systemctl restart nginx.service", "disk-filling": "",
	}
	if len(shipped.All()) != len(targets) {
		t.Errorf("%d runbooks ship, the test knows %d", len(shipped.All()), len(targets))
	}
	for _, b := range shipped.All() {
		commands, err := b.Commands(targets[b.Name])
		if err != nil {
			t.Errorf("%s: %v", b.Name, err)
			continue
		}
		fix := ""
		if len(commands["fix"]) > 0 {
			fix = commands["fix"][0]
		}
		if len(commands["fix"]) > 1 || fix != fixes[b.Name] {
			t.Errorf("%s: fix is %q, want %q", b.Name, commands["fix"], fixes[b.Name])
		}
		if fix != "" && (len(commands["healthy_if"]) == 0 || len(commands["verify"]) == 0) {
			t.Errorf("%s changes something without healthy_if and verify", b.Name)
		}
		if len(b.Guidance()) < 200 {
			t.Errorf("%s: the guidance is %d bytes: too little for a model", b.Name, len(b.Guidance()))
		}
	}
}
