package triage_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/triage"
)

// alert is an alert with the labels "name=value".
func alert(name string, labels ...string) lifeline.Alert {
	a := lifeline.Alert{Source: "alertmanager", Status: lifeline.AlertFiring, Name: name, Labels: map[string]string{"alertname": name}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		a.Labels[k] = v
	}
	a.Fingerprint = lifeline.LabelFingerprint(a.Labels)
	return a
}

func TestResolve(t *testing.T) {
	standard := triage.Config{
		Hosts:   []string{"atlas", "borealis", "10.0.0.9"},
		HostMap: map[string]string{"10.0.0.7": "atlas", "node-b": "borealis", "exporter:9100": "borealis"},
	}
	own := triage.Config{Hosts: standard.Hosts, HostLabels: []string{"box"}, ContainerLabels: []string{"app"}, UnitLabels: []string{"svc"}, MountLabels: []string{"disk"}}
	host := func(name string) lifeline.Target { return lifeline.Target{Host: name, Kind: lifeline.TargetHost} }
	on := func(host string, kind lifeline.TargetKind, name string) lifeline.Target {
		return lifeline.Target{Host: host, Kind: kind, Name: name}
	}
	for _, tc := range []struct {
		name  string
		cfg   triage.Config
		alert lifeline.Alert
		want  lifeline.Target
	}{
		{"host", standard, alert("Down", "host=atlas"), host("atlas")},
		{"each host label", standard, alert("Down", "server=atlas"), host("atlas")},
		{"in their order", standard, alert("Down", "nodename=atlas", "hostname=borealis"), host("borealis")},
		{"instance", standard, alert("Down", "instance=atlas"), host("atlas")},
		{"instance with port", standard, alert("Down", "instance=atlas:9100"), host("atlas")},
		{"host label before instance", standard, alert("Down", "host=atlas", "instance=borealis:9100"), host("atlas")},
		{"an empty label is none", standard, alert("Down", "host=", "instance=borealis:9100"), host("borealis")},
		{"a name that is an address", standard, alert("Down", "instance=10.0.0.9:9100"), host("10.0.0.9")},
		{"mapped", standard, alert("Down", "instance=10.0.0.7:9100"), host("atlas")},
		{"mapped name", standard, alert("Down", "node=node-b"), host("borealis")},
		{"mapped with its port", standard, alert("Down", "instance=exporter:9100"), host("borealis")},
		{"another port of it", standard, alert("Down", "instance=exporter:9200"), host("")},

		// The machine that measures is not the machine that is measured.
		{"unknown host measured from a known one", standard, alert("Down", "host=unknown", "instance=atlas:9100"), host("")},
		{"localhost is whoever says it", standard, alert("Down", "instance=localhost:9100"), host("")},
		{"part of a name", standard, alert("Down", "host=atlas2"), host("")},
		{"name with a domain", standard, alert("Down", "host=atlas.example.net"), host("")},
		{"other case", standard, alert("Down", "host=Atlas"), host("")},
		{"address of a probe", standard, alert("Down", "instance=http://atlas:80/"), host("")},
		{"no label at all", standard, alert("Down"), host("")},
		{"only in the text", standard, lifeline.Alert{Name: "Down", Annotations: map[string]string{"summary": "atlas is down"}}, host("")},

		{"container", standard, alert("Down", "host=atlas", "container=jukebox"), on("atlas", lifeline.TargetContainer, "jukebox")},
		{"container with docker's slash", standard, alert("Down", "host=atlas", "container_name=/jukebox"), on("atlas", lifeline.TargetContainer, "jukebox")},
		{"container on an unknown host", standard, alert("Down", "container=jukebox"), on("", lifeline.TargetContainer, "jukebox")},
		{"unit", standard, alert("Down", "host=atlas", "unit=nginx.service"), on("atlas", lifeline.TargetUnit, "nginx.service")},
		{"systemd_unit", standard, alert("Down", "host=atlas", "systemd_unit=nginx"), on("atlas", lifeline.TargetUnit, "nginx")},
		{"mount point", standard, alert("DiskFull", "host=atlas", "mountpoint=/srv", "device=sda1"), on("atlas", lifeline.TargetFilesystem, "/srv")},
		{"container before unit before mount", standard, alert("X", "host=atlas", "mountpoint=/", "unit=u", "container=c"), on("atlas", lifeline.TargetContainer, "c")},
		{"unit before mount", standard, alert("X", "host=atlas", "mountpoint=/", "unit=u"), on("atlas", lifeline.TargetUnit, "u")},

		{"name of a container", standard, alert("ContainerDown", "host=atlas", "name=/jukebox"), on("atlas", lifeline.TargetContainer, "jukebox")},
		{"name of a docker thing", standard, alert("docker_down", "host=atlas", "name=jukebox"), on("atlas", lifeline.TargetContainer, "jukebox")},
		{"name of a service", standard, alert("ContainerDown", "host=atlas", "name=docker.service"), on("atlas", lifeline.TargetUnit, "docker.service")},
		{"name of a timer", standard, alert("Late", "host=atlas", "name=backup.timer"), on("atlas", lifeline.TargetUnit, "backup.timer")},
		{"name of a unit", standard, alert("SystemdUnitFailed", "host=atlas", "name=backup"), on("atlas", lifeline.TargetUnit, "backup")},
		{"name of something", standard, alert("Slow", "host=atlas", "name=jukebox"), host("atlas")},

		{"own labels", own, alert("X", "box=atlas", "app=jukebox"), on("atlas", lifeline.TargetContainer, "jukebox")},
		{"own labels: unit", own, alert("X", "box=atlas", "svc=nginx"), on("atlas", lifeline.TargetUnit, "nginx")},
		{"own labels: mount", own, alert("X", "box=atlas", "disk=/srv"), on("atlas", lifeline.TargetFilesystem, "/srv")},
		{"own labels replace the built-in ones", own, alert("X", "host=atlas", "container=jukebox"), host("")},
		{"own labels leave instance", own, alert("X", "instance=atlas:1"), host("atlas")},
		{"no host is configured", triage.Config{}, alert("X", "host=atlas"), host("")},
	} {
		if diff := cmp.Diff(tc.want, tc.cfg.Resolve(tc.alert)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

// Resolve leaves the lists of its configuration as they are.
func TestResolveDoesNotChangeItsConfig(t *testing.T) {
	labels := append(make([]string, 0, 8), "box")
	cfg := triage.Config{Hosts: []string{"atlas"}, HostLabels: labels}
	cfg.Resolve(alert("X", "instance=atlas"))
	if got := labels[:2]; got[1] != "" {
		t.Errorf("the caller's list was written to: %q", got)
	}
}

func TestKey(t *testing.T) {
	cfg := triage.Config{Hosts: []string{"atlas", "borealis"}}
	key := func(a lifeline.Alert) string { return triage.Key(a, cfg.Resolve(a)) }
	base := alert("ContainerDown", "host=atlas", "container=jukebox", "severity=warning", "instance=10.0.0.1:8080")
	for _, tc := range []struct {
		name string
		a, b lifeline.Alert
		same bool
	}{
		{"severity", base, alert("ContainerDown", "host=atlas", "container=jukebox", "severity=critical"), true},
		{"port", base, alert("ContainerDown", "host=atlas", "container=jukebox", "instance=10.0.0.1:9999"), true},
		{"another label for the host", base, alert("ContainerDown", "node=atlas", "container=jukebox"), true},
		{"docker's slash", base, alert("ContainerDown", "host=atlas", "container=/jukebox"), true},
		{"container", base, alert("ContainerDown", "host=atlas", "container=radio"), false},
		{"host", base, alert("ContainerDown", "host=borealis", "container=jukebox"), false},
		{"alert", base, alert("ContainerUnhealthy", "host=atlas", "container=jukebox"), false},
		{"kind", alert("X", "host=atlas", "container=a"), alert("X", "host=atlas", "unit=a"), false},
		{"known and unknown host", alert("X", "host=atlas"), alert("X", "host=other"), false},
		{"two unknown hosts", alert("X", "host=one"), alert("X", "host=two"), false},
		{"unknown host, ports", alert("X", "instance=one:1"), alert("X", "instance=one:2"), true},
		{"unknown host, jobs", alert("X", "instance=localhost:9100", "job=a"), alert("X", "instance=localhost:9100", "job=b"), false},
		{"unknown host, other label", alert("X", "host=a"), alert("X", "node=a"), false},
		{"unknown host, severity", alert("X", "host=a", "severity=1"), alert("X", "host=a", "severity=2"), true},
		{"monitors of a host", alert("MonitorDown", "host=atlas", "monitor_id=1"), alert("MonitorDown", "host=atlas", "monitor_id=2"), false},
		{"a monitor of a host, renamed", alert("MonitorDown", "host=atlas", "monitor_id=1", "monitor=a"), alert("MonitorDown", "host=atlas", "monitor_id=1", "monitor=b"), true},
		{"monitors of a container", alert("MonitorDown", "host=atlas", "container=web", "monitor_id=1"), alert("MonitorDown", "host=atlas", "container=web", "monitor_id=2"), true},
		{"a monitor and none", alert("MonitorDown", "host=atlas", "monitor_id=1"), alert("MonitorDown", "host=atlas"), false},
		{"monitors of an unknown host", alert("MonitorDown", "host=a", "monitor_id=1"), alert("MonitorDown", "host=a", "monitor_id=2"), true},
		{"a separator in a monitor", alert("X", "host=atlas", "monitor_id=1|a"), alert("X", "host=atlas", `monitor_id=1\|a`), false},
		{"a separator in a name", alert("X", "host=atlas", "container=a|b"), alert("X", "host=atlas", `container=a\|b`), false},
		{"a separator in place of a label", alert("X", "container=c", "host=h"), alert("X", "container=c|host=h"), false},
		{"a separator moves nothing", lifeline.Alert{Name: "X|atlas"}, alert("X", "host=atlas"), false},
	} {
		if got := key(tc.a) == key(tc.b); got != tc.same {
			t.Errorf("%s: %q and %q: same %v, want %v", tc.name, key(tc.a), key(tc.b), got, tc.same)
		}
	}
	for want, a := range map[string]lifeline.Alert{
		"ContainerDown|atlas|container|jukebox": base,
		"MonitorDown|atlas|host||monitor=7":     alert("MonitorDown", "host=atlas", "monitor_id=7", "monitor=shop"),
		"MonitorDown||host||host=a|job=shop":    alert("MonitorDown", "host=a", "monitor_id=7", "job=shop"),
	} {
		if got := key(a); got != want {
			t.Errorf("key %q, want %q: incidents that are open would be opened again", got, want)
		}
	}
}
