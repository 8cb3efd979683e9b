package app

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/respond"
	"lifeline/sshpool"
)

func pinnedConfig() *config.Config {
	cfg := config.Default()
	cfg.Store.URL, cfg.Node.Name = "postgres:///x", "anna"
	cfg.Hosts = map[string]config.Host{
		"all": {Address: "192.0.2.1"}, "ours": {Address: "192.0.2.2", Node: "anna"}, "theirs": {Address: "192.0.2.3", Node: "bert"},
		"here": {Local: true, Node: "anna"}, "there": {Local: true, Node: "bert"},
	}
	return &cfg
}

func TestPins(t *testing.T) {
	cfg := pinnedConfig()
	want := map[string]respond.Pin{"ours": {Node: "anna"}, "theirs": {Node: "bert"}, "here": {Node: "anna", Only: true}, "there": {Node: "bert", Only: true}}
	if diff := cmp.Diff(want, pins(cfg)); diff != "" {
		t.Errorf("pins (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"all", "here", "ours"}, warmed(cfg, "anna")); diff != "" {
		t.Errorf("warmed (-want +got):\n%s", diff)
	}
}

func TestAbsent(t *testing.T) {
	pinned := []string{"anna", "bert", "carl"}
	alive := func(names ...string) (nodes []lifeline.Node) {
		nodes = append(nodes, lifeline.Node{Name: "aaron"}) // it is gone, and first by name
		for _, n := range names {
			nodes = append(nodes, lifeline.Node{Name: n, Alive: true})
		}
		return nodes
	}
	for _, c := range []struct {
		me    string
		nodes []lifeline.Node
		want  []string
	}{
		{"anna", alive("anna", "bert", "carl"), nil},
		{"anna", alive("anna", "bert"), []string{"carl"}},
		{"bert", alive("anna", "bert"), nil}, // anna does
		{"bert", alive("bert"), []string{"anna", "carl"}},
		{"dora", alive(), pinned},
		{"dora", alive("carl", "dora"), nil},
	} {
		if diff := cmp.Diff(c.want, absent(pinned, c.nodes, c.me)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.me, diff)
		}
	}
}

// What is local for one node is another machine for another one.
func TestLocalHostOfAnotherNode(t *testing.T) {
	cfg := pinnedConfig()
	pool, err := sshpool.New(sshpool.Config{Hosts: map[string]sshpool.Host{"here": {Local: true}, "there": {Local: true}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pool.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	own := ownHosts{pool, cfg}
	if r, err := own.Run(t.Context(), "here", sshpool.Command{Script: "true", Shell: "/bin/sh"}); err != nil || r.Outcome != sshpool.Exited {
		t.Errorf("this machine: %+v, %v", r, err)
	}
	r, err := own.Run(t.Context(), "there", sshpool.Command{Script: "true", Shell: "/bin/sh"})
	e, _ := errors.AsType[*sshpool.Error](err)
	if e == nil || e.Kind != sshpool.KindConfig || r.Outcome != sshpool.NotStarted || !strings.Contains(err.Error(), "bert") {
		t.Errorf("another node's machine: %+v, %v", r, err)
	}
}

// One service works the incidents of a file: a second one does not start.
func TestSecondServiceOnOneFile(t *testing.T) {
	cfg := config.Default()
	cfg.Store.URL = "sqlite:" + filepath.Join(t.TempDir(), "lifeline.db")
	cfg.Listen, cfg.Responder = "127.0.0.1:0", "runbook"
	cfg.Hosts = map[string]config.Host{"here": {Local: true, Mode: lifeline.ModeObserve}}
	first, err := New(t.Context(), &cfg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(t.Context(), &cfg, Options{})
	if lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), "another lifeline serve") {
		t.Errorf("the second: %v", err)
	}
	answer := httptest.NewRecorder()
	first.ready(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/readyz", nil))
	if answer.Code != http.StatusOK {
		t.Errorf("the first is not ready: %d %s", answer.Code, answer.Body)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	again, err := New(t.Context(), &cfg, Options{})
	if err != nil {
		t.Fatalf("after the first has stopped: %v", err)
	}
	if err := again.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestNodeName(t *testing.T) {
	cfg := pinnedConfig()
	if name, err := cfg.NodeName(); err != nil || name != "anna" {
		t.Errorf("configured: %q, %v", name, err)
	}
	if diff := cmp.Diff([]string{"anna", "bert"}, cfg.PinnedNodes()); diff != "" {
		t.Errorf("pinned nodes (-want +got):\n%s", diff)
	}
	if d := config.Default().Node; d.Lease.D() < 4*d.Heartbeat.D() || d.Lease.D() > 15*time.Second {
		t.Errorf("the defaults: %+v", d)
	}
}
