package triage_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/store"
	"lifeline/internal/triage"
)

// taken gives the incident that one alert opens under these routes.
func taken(t *testing.T, routes []triage.Route, a lifeline.Alert) (lifeline.Incident, lifeline.Receipt) {
	t.Helper()
	_, s, e := setUp(t)
	tr, err := triage.New(triage.Config{Hosts: []string{"atlas", "borealis"}, HostMap: map[string]string{"10.0.0.7": "atlas"}, Routes: routes}, s, e)
	if err != nil {
		t.Fatal(err)
	}
	receipts, err := tr.Receive(t.Context(), []lifeline.Alert{a})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.Incidents(t.Context(), store.Filter{})
	if err != nil || rows(t, s, "alerts") != 1 {
		t.Fatalf("%v; %d alerts are stored", err, rows(t, s, "alerts"))
	}
	if len(list) == 0 {
		return lifeline.Incident{}, receipts[0]
	}
	return list[0], receipts[0]
}

func TestRoutes(t *testing.T) {
	labels := func(list ...string) map[string]string {
		m := map[string]string{}
		for _, l := range list {
			k, v, _ := strings.Cut(l, "=")
			m[k] = v
		}
		return m
	}
	for _, tc := range []struct {
		name   string
		routes []triage.Route
		alert  lifeline.Alert
		key    string // of the incident; "" for none
		target string
	}{
		{"none", nil, alert("Down", "host=atlas", "container=web"), "Down|atlas|container|web", "container web on atlas"},
		{"none that matches", []triage.Route{{Match: triage.Match{Alert: "Up"}, Ignore: true}}, alert("Down", "host=atlas"), "Down|atlas|host|", "host atlas"},
		{"labels of the key", []triage.Route{{Match: triage.Match{Alert: "Down"}, KeyLabels: []string{"job", "none", "path"}}},
			alert("Down", "host=atlas", "job=a|b", "path=/x"), `Down|atlas|host||job=a\|b|none=|path=/x`, "host atlas"},
		{"labels of the key, unknown host", []triage.Route{{Match: triage.Match{Alert: "Down"}, KeyLabels: []string{"job"}}},
			alert("Down", "host=nowhere", "job=a"), "Down||host||host=nowhere|job=a|job=a", "no known target"},
		{"the first decides", []triage.Route{{Match: triage.Match{Alert: "/D.*/"}, KeyLabels: []string{"a"}}, {Match: triage.Match{Alert: "Down"}, Ignore: true}},
			alert("Down", "host=atlas"), "Down|atlas|host||a=", "host atlas"},
		{"a fixed host", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Host: "borealis"}}},
			alert("Down", "host=atlas", "container=web"), "Down|borealis|container|web", "container web on borealis"},
		{"a host by its label", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Host: "label:vm"}}},
			alert("Down", "host=atlas", "vm=borealis"), "Down|borealis|host|", "host borealis"},
		{"a host by its label, mapped, with a port", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Host: "label:vm"}}},
			alert("Down", "vm=10.0.0.7:22"), "Down|atlas|host|", "host atlas"},
		// The machine that measures is not the machine that is measured.
		{"a label that names no known host", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Host: "label:vm"}}},
			alert("Down", "vm=nowhere", "instance=atlas:9100"), "Down||host||instance=atlas", "no known target"},
		{"a label that is not there", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Host: "label:vm"}}},
			alert("Down", "instance=atlas:9100"), "Down||host||instance=atlas", "no known target"},
		{"a fixed thing", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Unit: "web.service"}}},
			alert("Down", "host=atlas", "container=x"), "Down|atlas|unit|web.service", "unit web.service on atlas"},
		{"a container by its label", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Container: "label:svc"}}},
			alert("Down", "host=atlas", "svc=/web"), "Down|atlas|container|web", "container web on atlas"},
		{"a mount by its label", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Mount: "label:path"}}},
			alert("Down", "host=atlas", "path=/srv"), "Down|atlas|filesystem|/srv", "filesystem /srv on atlas"},
		{"a thing whose label is not there", []triage.Route{{Match: triage.Match{Alert: "Down"}, Target: triage.RouteTarget{Container: "label:svc"}}},
			alert("Down", "host=atlas"), "Down||container||host=atlas", "no known target"},
		{"by source", []triage.Route{{Match: triage.Match{Source: "grafana"}, Ignore: true}, {Match: triage.Match{Source: "/alert.*/"}, KeyLabels: []string{"a"}}},
			alert("Down", "host=atlas"), "Down|atlas|host||a=", "host atlas"},
		{"by labels, all of them", []triage.Route{{Match: triage.Match{Labels: labels("a=1", "b=/x+/")}, Ignore: true}},
			alert("Down", "host=atlas", "a=1", "b=xy"), "Down|atlas|host|", "host atlas"},
		{"by a label that is not there", []triage.Route{{Match: triage.Match{Labels: labels("a=/.*/")}, Ignore: true}},
			alert("Down", "host=atlas"), "Down|atlas|host|", "host atlas"},
		{"by a part of the name", []triage.Route{{Match: triage.Match{Alert: "/own/"}, Ignore: true}}, alert("Down", "host=atlas"), "Down|atlas|host|", "host atlas"},
		{"ignored", []triage.Route{{Match: triage.Match{Alert: "X"}, Ignore: true}, {Match: triage.Match{Labels: labels("a=1", "b=/x+/")}, Ignore: true}},
			alert("Down", "host=atlas", "a=1", "b=xx"), "", ""},
	} {
		inc, receipt := taken(t, tc.routes, tc.alert)
		if tc.key == "" {
			if receipt.Result != lifeline.ReceiptIgnored || receipt.Reason != "triage.routes[1] says that it is ignored" || inc.ID != "" {
				t.Errorf("%s: %+v, %+v", tc.name, receipt, inc)
			}
			continue
		}
		if diff := cmp.Diff([]string{tc.key, tc.target, "opened"}, []string{inc.Key, inc.Target.String(), string(receipt.Result)}); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestRoutesAreChecked(t *testing.T) {
	_, s, e := setUp(t)
	for says, cfg := range map[string]triage.Config{
		"end it with /":                         {Routes: []triage.Route{{Match: triage.Match{Alert: "/x"}}}},
		"match.source: /(/":                     {Routes: []triage.Route{{Match: triage.Match{Source: "/(/"}}}},
		"unexpected )":                          {Routes: []triage.Route{{Match: triage.Match{Alert: "/a)(b/"}}}},
		"match.labels.a":                        {Routes: []triage.Route{{Match: triage.Match{Labels: map[string]string{"a": "/["}}}}},
		`triage.routes[0].target.host: no host`: {Hosts: []string{"atlas"}, Routes: []triage.Route{{Target: triage.RouteTarget{Host: "atlass"}}}},
		"need a window":                         {Damping: lifeline.Damping{StormAfter: 1}},
	} {
		_, err := triage.New(cfg, s, e)
		got, _ := errors.AsType[*lifeline.Error](err)
		if got == nil || got.Code != lifeline.CodeConfig || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want …%s…", err, says)
		}
	}
}
