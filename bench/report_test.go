package main

import (
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var rewrite = flag.Bool("write", false, "write the reports in testdata anew")

// everything is a run in which every goal was reached: sshpool takes what it
// should, and each peer a little more.
func everything() *results {
	r := newResults()
	r.rtts = map[int]float64{0: 0.05, 20: 20.05}
	o := options{loads: loadNames(), rtts: []int{0, 20}, rounds: 3, hosts: 100}
	for _, load := range o.loads {
		for _, j := range plan(load, o) {
			r.begin(j.cell, j.methods)
			for i, id := range j.methods {
				for round := range j.rounds {
					r.add(j.cell, id, invented(j, id, i, round))
				}
			}
		}
	}
	return r
}

// invented is a sample of the i-th method of a job.
func invented(j job, id string, i, round int) sample {
	m := methodOf(id)
	commands := float64(j.spec.Count)
	trips := 2.0
	if id == "pool" || id == "pool-told" {
		trips = 1
	}
	wall := commands / float64(j.spec.Parallel) * (0.010 + float64(i)/1e4 + float64(round)/1e5 + trips*float64(j.RTT)/1e3)
	s := sample{answer{WallSeconds: wall, CPUSeconds: commands * 0.001 * float64(i+1), Answered: j.spec.Count, PeakBytes: 20e6, IdleBytes: int64(commands * 10e3 * float64(i+1))}, 1}
	switch {
	case m.way == "dictionary":
		s.Connections = 8
	case id == "ssh":
		s.Connections = j.spec.Count
	case id == "xcrypto" && j.spec.Parallel > 1 && j.place != far:
		s.Lost, s.FirstError = j.spec.Count/4, "ssh: rejected: connect failed | (\"open failed\")\n"
		s.Answered -= s.Lost
	}
	if j.place == far {
		s.Connections = j.spec.Count + 1
	}
	return s
}

func testMachine() machine {
	return machine{
		Date: "2026-01-02 03:04 UTC", CPU: "A Processor", Cores: 2, Memory: "8 GB of memory", System: "Debian, Linux 6.1", Load: 0.1, Commit: "abc1234",
		SSHD: "OpenSSH_9.2p1", Peers: []string{"OpenSSH_9.2p1", "asyncssh 2.10.1"}, Command: "go run ./bench",
	}
}

// The reports are in testdata; write them anew with
//
//	go test ./bench -run TestReports -write
func TestReports(t *testing.T) {
	o := options{rounds: 3}
	busy := testMachine()
	busy.Load = 1.7
	part := newResults() // of one load
	for _, c := range everything().cellsOf("cpu") {
		part.begin(c, everything().methods[c])
		part.samples[c] = everything().samples[c]
	}
	for name, got := range map[string]string{
		"results.md": report(testMachine(), o, everything()),
		"busy.md":    report(busy, options{rounds: 1, quick: true}, part),
		"chart.svg":  chart(everything()),
	} {
		file := filepath.Join("testdata", name)
		if *rewrite {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestChartIsXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(chart(everything())))
	for elements := 0; ; elements++ {
		_, err := d.Token()
		if errors.Is(err, io.EOF) && elements > 50 {
			return
		}
		if err != nil {
			t.Fatalf("after %d elements: %v", elements, err)
		}
	}
}

// Every goal is reached in a run in which all is well, and only the one that is
// concerned is missed when something is not.
func TestGoals(t *testing.T) {
	change := func(load, name string, rtt int, id string, f func(*sample)) func(*results) {
		return func(r *results) {
			samples := r.samples[cell{load, name, rtt}][id]
			if len(samples) == 0 {
				panic("nothing to change")
			}
			for i := range samples {
				f(&samples[i])
			}
		}
	}
	slow := func(s *sample) { s.WallSeconds *= 1.5 }
	second := func(s *sample) { s.Connections++ }
	loses := func(s *sample) { s.Lost, s.Answered = 1, s.Answered-1 }
	const byDefault, roomy = "MaxSessions 10, the default", "MaxSessions 200"
	for _, tt := range []struct {
		name   string
		change func(*results)
		missed int // which goal; -1: none
		shown  string
	}{
		{"all is well", func(*results) {}, -1, ""},
		{"founding slow", change("founding", "", 20, "pool", func(s *sample) { s.WallSeconds *= 3 }), 0, "20 ms: 1.80 × ssh for each command"},
		{"founding lost", change("founding", "", 0, "pool", loses), 0, "0 ms: 1 connection, 3 of 72 lost"},
		{"founding twice", change("founding", "", 0, "pool", second), 0, "0 ms: 2 connections, 0 of 72 lost"},
		{"a fast peer that loses", change("founding", "", 0, "xcrypto", func(s *sample) { s.WallSeconds /= 100 }), -1, ""},
		{"warm slow", change("warm", byDefault, 0, "pool", slow), 1, "0 ms: 1.42 ×"},
		{"spare slow", change("warm", roomy, 20, "pool-told", slow), 2, "20 ms: 0.90 ×"},
		{"two round trips", change("single", "", 20, "pool", func(s *sample) { s.WallSeconds += 24 * 0.020 }), 3, "20 ms: 2.00 round trips"},
		{"many lost", change("many", "", 0, "pool", loses), 4, "2 of 1000 lost"},
		{"many slow", change("many", "", 0, "pool", slow), 4, "0.71 × x/crypto/ssh, retried, 5 at once by hand"},
		{"ten dials", change("first", "50 callers", 0, "pool", func(s *sample) { s.Connections = 10 }), 5, "50 callers: 10 connections"},
		{"a host lost", change("hosts", "100 hosts", 0, "pool", loses), 6, "2 of 200 lost"},
		{"fat connections", change("hosts", "100 hosts", 0, "pool", func(s *sample) { s.IdleBytes *= 3 }), 6, "asyncssh, locked pool: 30 kB"},
		{"much processor", change("cpu", "", 0, "pool", func(s *sample) { s.CPUSeconds *= 5 }), 7, "paramiko, one transport, TCP_NODELAY takes 1.0 times as much"},
		{"bulk slow", change("bulk", "100 MiB", 20, "pool", func(s *sample) { s.WallSeconds *= 3 }), 8, "20 ms: 1.79 ×"},
		{"bulk kept", change("bulk", "100 MiB", 0, "pool", func(s *sample) { s.PeakBytes += 50e6 }), 8, "+50.0 MB"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := everything()
			tt.change(r)
			for i, g := range judgeGoals(r) {
				want := "reached"
				if i == tt.missed {
					want = "**missed**"
					if !strings.Contains(g.figures(), "**") || !strings.Contains(g.figures(), tt.shown) {
						t.Errorf("%s: %s, want %q in it", g.Text, g.figures(), tt.shown)
					}
				}
				if g.outcome() != want {
					t.Errorf("%s: %s, want %s: %s", g.Text, g.outcome(), want, g.figures())
				}
			}
		})
	}
	for _, g := range judgeGoals(newResults()) {
		if g.outcome() != "not measured" {
			t.Errorf("%s: %s without a measurement", g.Text, g.outcome())
		}
	}
}

func TestParse(t *testing.T) {
	all := loadNames()
	for _, tt := range []struct {
		args []string
		want options
		err  string
	}{
		{nil, options{out: "bench/RESULTS.md", svg: "docs/images/bench.svg", loads: all, rtts: []int{0, 20, 50}, rounds: 5, hosts: 1000}, ""},
		// What is no result does not replace one.
		{[]string{"-quick"}, options{quick: true, loads: all, rtts: []int{0, 20}, rounds: 1, hosts: 200}, ""},
		{[]string{"-quick", "-out", "x.md", "-rounds", "2"}, options{quick: true, out: "x.md", loads: all, rtts: []int{0, 20}, rounds: 2, hosts: 200}, ""},
		{[]string{"-loads", "bulk,warm,bulk", "-rtts", "50,0,50"}, options{loads: []string{"bulk", "warm"}, rtts: []int{0, 50}, rounds: 5, hosts: 1000}, ""},
		{[]string{"-loads", "flood"}, options{}, "want some of founding,warm"},
		{[]string{"-rtts", "20,fast"}, options{}, `-rtts "fast"`},
		{[]string{"-rtts", "-1"}, options{}, "from 0 to 1000"},
		{[]string{"-rounds", "0"}, options{}, "want 1 or more"},
		{[]string{"nexus"}, options{}, `unknown argument "nexus"`},
	} {
		got, err := parse(tt.args, io.Discard)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%v: %v, want %q", tt.args, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%v: %v", tt.args, err)
			continue
		}
		if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(options{})); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tt.args, diff)
		}
	}
}

// Every method of every job is known, and every job names its load.
func TestPlan(t *testing.T) {
	o := options{loads: loadNames(), rtts: []int{20, 50}, rounds: 3, hosts: 10}
	for _, load := range loadNames() {
		jobs := plan(load, o)
		if len(jobs) == 0 {
			t.Errorf("%s: nothing to do", load)
		}
		seen := map[cell]bool{}
		for _, j := range jobs {
			if j.Load != load || seen[j.cell] || j.rounds < 1 || j.spec.Count < 1 || j.spec.Parallel < 1 || j.spec.Command == "" {
				t.Errorf("%s: %+v", load, j)
			}
			seen[j.cell] = true
			for _, id := range j.methods {
				methodOf(id) // panics
			}
		}
		if load == "single" && !seen[cell{"single", "", 0}] {
			t.Error("the server's own time is not measured")
		}
	}
}
