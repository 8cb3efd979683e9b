package app

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/lab"
)

// The server counts the connections: one for all, or one for each.
func TestReplay(t *testing.T) {
	host := lab.NewHost("nexus", lab.Options{Pace: 0.01})
	simulated, err := lab.Start(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	defer simulated.Close()
	known, key := filepath.Join(t.TempDir(), "known_hosts"), filepath.Join(t.TempDir(), "key")
	if err := host.WriteKnownHosts(known); err != nil {
		t.Fatal(err)
	}
	if err := host.WriteIdentity(key); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.SSH.KnownHosts = config.List{known}
	cfg.Store.URL = "sqlite:" + filepath.Join(t.TempDir(), "lifeline.db")
	cfg.Hosts = map[string]config.Host{"nexus": {Address: host.Address(), User: host.User(), Identity: config.List{key}, Mode: lifeline.ModeObserve}}
	commands := append(slices.Repeat([]string{"docker ps -q | wc -l"}, 11), "false") // a status is not a failure
	for _, tt := range []struct {
		each            bool
		want            Replayed
		wantConnections int
	}{
		{false, Replayed{Commands: 12}, 1},
		{true, Replayed{Commands: 12}, 12},
	} {
		before := host.Connections()
		got, err := Replay(t.Context(), &cfg, "nexus", commands, 8, tt.each)
		if err != nil {
			t.Fatal(err)
		}
		if got.Took <= 0 {
			t.Errorf("it took %s", got.Took)
		}
		got.Took = 0
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("connection for each: %v (-want +got):\n%s", tt.each, diff)
		}
		if n := host.Connections() - before; n != tt.wantConnections {
			t.Errorf("connection for each: %v: %d connections, want %d", tt.each, n, tt.wantConnections)
		}
	}

	// What the policy refuses does not run here either.
	got, err := Replay(t.Context(), &cfg, "nexus", []string{"docker start scrypted"}, 8, false)
	if err != nil || got.Failed != 1 || !strings.Contains(got.Cause, "observe") {
		t.Errorf("a change in mode observe: %+v, %v", got, err)
	}

	// A host that does not let us in is a failure of every command.
	locked := cfg.Hosts["nexus"]
	locked.User = "nobody"
	cfg.Hosts["nexus"] = locked
	got, err = Replay(t.Context(), &cfg, "nexus", commands[:2], 8, true)
	if err != nil || got.Failed != 2 || got.Cause == "" {
		t.Errorf("with the wrong account: %+v, %v", got, err)
	}
}

// A change that is made once more is for simulated hosts only.
func TestReplayRefusesRealHosts(t *testing.T) {
	cfg := config.Default()
	cfg.Hosts = map[string]config.Host{
		"real": {Address: "192.0.2.7:22"}, "named": {Address: "localhost:22"}, "alias": {SSHConfig: "nexus"}, "local": {Local: true}, "bare": {Address: "127.0.0.1"},
	}
	for _, name := range append(cfg.HostNames(), "unknown") {
		if _, err := Replay(t.Context(), &cfg, name, []string{"uptime"}, 8, false); err == nil || !strings.Contains(err.Error(), "only a host on a loopback address") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
