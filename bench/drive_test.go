package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// scripted is a caller whose every third command fails.
type scripted struct {
	mu    sync.Mutex // guards what follows
	warms int
	runs  []int // hosts
}

func (c *scripted) warm(context.Context) error { c.warms++; return nil }
func (c *scripted) cpu() float64               { return 0 }
func (c *scripted) close() error               { return nil }

func (c *scripted) run(_ context.Context, host int) (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.runs = append(c.runs, host)
	if len(c.runs)%3 == 0 {
		return 0, errors.New("the third")
	}
	return 7, nil
}

func TestDriveCounts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		spec  spec
		want  answer
		runs  int
		warms int
	}{
		{"cold", spec{Hosts: []string{"a"}, Count: 9, Parallel: 4, Bytes: 7}, answer{Answered: 6, Lost: 3, FirstError: "the third"}, 9, 0},
		{"warm", spec{Hosts: []string{"a"}, Count: 2, Parallel: 8, Bytes: 7, Warm: true}, answer{Answered: 1, Lost: 1, FirstError: "the third"}, 3, 1},
		{"output missing", spec{Hosts: []string{"a"}, Count: 2, Parallel: 1, Bytes: 8}, answer{Lost: 2, FirstError: "7 bytes of output, want 8"}, 2, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &scripted{}
			got, err := drive(t.Context(), tt.spec, c)
			if err != nil {
				t.Fatal(err)
			}
			if got.WallSeconds <= 0 || got.PeakBytes <= 0 {
				t.Errorf("wall time %v, peak %v", got.WallSeconds, got.PeakBytes)
			}
			got.WallSeconds, got.CPUSeconds, got.PeakBytes = 0, 0, 0
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if len(c.runs) != tt.runs || c.warms != tt.warms {
				t.Errorf("%d runs and %d warm, want %d and %d", len(c.runs), c.warms, tt.runs, tt.warms)
			}
		})
	}
	failing := &scripted{runs: make([]int, 2)}
	if _, err := drive(t.Context(), spec{Hosts: []string{"a"}, Count: 1, Parallel: 1, Warm: true}, failing); err == nil {
		t.Error("a warming command that fails is no error")
	}
}

// The Go drivers against many hosts in memory: every one is reached once, and
// the server counts the connections.
func TestDriversReachTheFleet(t *testing.T) {
	const n = 12
	dir := t.TempDir()
	k, err := newKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := startFleet(n+1, k)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}()
	known := filepath.Join(dir, "known_hosts")
	if err := k.know(known, f.addresses); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"pool", "pool-no-spare", "xcrypto", "xcrypto-retry"} {
		t.Run(id, func(t *testing.T) {
			before := f.accepted()
			j := job{place: far, spec: spec{Count: n, Parallel: n, Warm: true, Hold: true, Dials: 4, Command: "true"}}
			s := j.specFor(methodOf(id))
			s.Hosts, s.User, s.Identity, s.KnownHosts = f.addresses, account, k.identity, known
			in, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if err := driver(t.Context(), methodOf(id).driver, bytes.NewReader(in), &out); err != nil {
				t.Fatal(err)
			}
			var a answer
			if err := json.Unmarshal(out.Bytes(), &a); err != nil {
				t.Fatal(err)
			}
			if a.Answered != n || a.Lost != 0 {
				t.Errorf("%d answered, %d lost: %s", a.Answered, a.Lost, a.FirstError)
			}
			if opened := f.accepted() - before; opened != n+1 {
				t.Errorf("%d connections, want %d", opened, n+1)
			}
		})
	}
}

// A driver checks the host key.
func TestDriversRefuseAnUnknownHost(t *testing.T) {
	dir := t.TempDir()
	k, err := newKeys(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := startFleet(2, k)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	known := filepath.Join(dir, "known_hosts")
	if err := k.know(known, f.addresses[1:]); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"pool", "xcrypto"} {
		in, err := json.Marshal(spec{Hosts: f.addresses[:1], User: account, Identity: k.identity, KnownHosts: known, Command: "true", Count: 1, Parallel: 1})
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := driver(t.Context(), kind, bytes.NewReader(in), &out); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(out.String(), `"answered":0,"lost":1`) || f.accepted() != 0 {
			t.Errorf("%s: %s%d connections", kind, &out, f.accepted())
		}
	}
	if err := driver(t.Context(), "telnet", strings.NewReader("{}"), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "telnet") {
		t.Errorf("an unknown driver: %v", err)
	}
}
