package app

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/lab"
	"lifeline/internal/store"
	"lifeline/shellpolicy"
	"lifeline/sshpool"
)

// simulated starts a host and gives a configuration that reaches it.
func simulated(t *testing.T, name string) (*lab.Host, *config.Config) {
	t.Helper()
	host := lab.NewHost(name, lab.Options{Pace: 0.01})
	l, err := lab.Start(t.Context(), host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	known, key := filepath.Join(t.TempDir(), "known_hosts"), filepath.Join(t.TempDir(), "key")
	if err := errors.Join(host.WriteKnownHosts(known), host.WriteIdentity(key)); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.SSH.KnownHosts = config.List{known}
	cfg.Store.URL = "sqlite:" + filepath.Join(t.TempDir(), "lifeline.db")
	cfg.Hosts = map[string]config.Host{name: {Address: host.Address(), User: host.User(), Identity: config.List{key}, Mode: lifeline.ModeObserve}}
	return host, &cfg
}

// The server counts the connections: what the report says is what it saw.
func TestBench(t *testing.T) {
	host, cfg := simulated(t, "nexus")
	got, err := Bench(t.Context(), cfg, "nexus", "person:ann")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range []*BenchWay{got.OneConnection, got.OpenLine, got.ConnectionPerCommand} {
		if w == nil {
			t.Fatalf("not every way was tried: %+v", got)
		}
		if w.Seconds <= 0 {
			t.Errorf("it took %v s", w.Seconds)
		}
		w.Seconds = 0
	}
	want := BenchReport{Host: "nexus", Command: "uptime", Commands: 24, Parallel: 8,
		OneConnection: &BenchWay{Connections: 1}, OpenLine: &BenchWay{}, ConnectionPerCommand: &BenchWay{Connections: 24}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := host.Connections(); n != 25 {
		t.Errorf("the host saw %d connections, want 25", n)
	}
}

// What cannot be compared is refused before anything is opened.
func TestBenchRefuses(t *testing.T) {
	host, cfg := simulated(t, "nexus")
	cfg.Hosts["here"] = config.Host{Local: true}
	cfg.Policy.Rules = []config.Rule{{Program: "uptime", Decision: "ask", Reason: "ask ann"}}
	for name, want := range map[string]lifeline.Code{"nexus": lifeline.CodeRefused, "here": lifeline.CodeUsage, "unknown": lifeline.CodeUsage} {
		got, err := Bench(t.Context(), cfg, name, "person:ann")
		if lifeline.CodeOf(err) != want || got.OneConnection != nil {
			t.Errorf("%s: %v, %+v; want %s and nothing tried", name, err, got, want)
		}
	}
	if n := host.Connections(); n != 0 {
		t.Errorf("the host saw %d connections", n)
	}
}

// A caller that gives up gets no figures of a part.
func TestBenchInterrupted(t *testing.T) {
	_, cfg := simulated(t, "nexus")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got, err := Bench(ctx, cfg, "nexus", "person:ann"); !errors.Is(err, context.Canceled) || got.OneConnection != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// failing is a pool whose third command and all after it fail.
type failing struct{ runs atomic.Int64 }

func (p *failing) Run(_ context.Context, host string, _ sshpool.Command) (*sshpool.Result, error) {
	if p.runs.Add(1) < 3 {
		return &sshpool.Result{Host: host, Outcome: sshpool.Exited}, nil
	}
	return &sshpool.Result{Host: host, Outcome: sshpool.NotStarted}, &sshpool.Error{Kind: sshpool.KindUnreachable, Host: host, Message: "turned away", Hint: "wait"}
}

// Nothing is begun after a failure: a host that turns us away is left alone.
func TestBenchStopsAtAFailure(t *testing.T) {
	_, cfg := simulated(t, "nexus")
	record, err := store.Open(t.Context(), cfg.Store.URL, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	pool := &failing{}
	w, err := newWay(cfg, "nexus", record, pool)
	if err != nil {
		t.Fatal(err)
	}
	requests := slices.Repeat([]lifeline.CommandRequest{{Host: "nexus", Command: BenchCommand, Actor: "person:ann"}}, BenchCommands)
	got, err := w.measure(t.Context(), requests, true)
	if err != nil {
		t.Fatal(err)
	}
	// Those that were under way when the first one failed may fail as well.
	if begun := int(pool.runs.Load()); got.Failures < 1 || got.Failures > BenchParallel || got.NotRun != BenchCommands-begun || begun != got.Failures+2 {
		t.Errorf("%d begun: %+v", begun, got)
	}
	if got.Code != lifeline.CodeUnreachable || !strings.Contains(got.Error, "turned away") || got.Hint != "wait" {
		t.Errorf("%+v", got)
	}
	if f := (BenchReport{OneConnection: &BenchWay{}, OpenLine: got}).Failure(); f != got {
		t.Errorf("the failure is %+v", f)
	}
}

// The command changes nothing, so that running it needs nobody's consent.
func TestBenchCommandIsARead(t *testing.T) {
	v := shellpolicy.Judge(BenchCommand, shellpolicy.Policy{Mode: shellpolicy.Observe})
	if v.Class != shellpolicy.Read || v.Decision != shellpolicy.Allow || len(v.Marks) > 0 {
		t.Errorf("%s is judged %s, %s, %v", BenchCommand, v.Class, v.Decision, v.Marks)
	}
}
