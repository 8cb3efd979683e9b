package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite"

	"lifeline/internal/lab"
)

// stormResult is what the storm gave.
type stormResult struct {
	posts       times
	sent        time.Duration // from the first post to the last 2xx
	repaired    time.Duration // from the first post until every broken container ran
	ended       time.Duration // from the first post until every incident had ended
	connections int           // over all hosts, counted by them
	most        int           // connections that one host has seen
	base, peak  int64         // bytes of Lifeline's resident memory
	stored      int           // rows of firing alerts afterwards
	incidents   int
	states      map[string]int
	starts      int // containers that were started, over all hosts
	restarted   int // hosts whose container was started more than once
}

// otherNames are alerts that no shipped runbook is for.
func otherNames() []string {
	return []string{"HostHighLoad", "HostClockSkew", "HostNetworkErrors", "HostSwapping", "HostManyProcesses",
		"HostRebooted", "HostOomKill", "HostEntropyLow", "HostTemperatureHigh", "HostRaidDegraded"}
}

// stormOf makes the alerts, in an order that is the same in each run. Of those
// about a host, two in five say again and again that its container is down; the
// rest are ten other faults that nobody has a runbook for.
func stormOf(o options, hosts []*lab.Host) []alert {
	alerts := make([]alert, o.alerts)
	names := otherNames()
	for i := range alerts {
		host, turn := hosts[i%len(hosts)].Name(), i/len(hosts)
		labels := map[string]string{"instance": host + ":9100"}
		if turn%5 < 2 {
			labels["container"] = "web"
			alerts[i] = firing("ContainerDown", labels)
		} else {
			alerts[i] = firing(names[turn%len(names)], labels)
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(alerts), func(i, k int) { alerts[i], alerts[k] = alerts[k], alerts[i] })
	return alerts
}

func measureStorm(ctx context.Context, binary, dir string, o options) (r stormResult, err error) {
	hosts := make([]*lab.Host, o.hosts)
	for i := range hosts {
		hosts[i] = lab.NewHost(fmt.Sprintf("host-%03d", i), lab.Options{Pace: 0.1, World: func(w *lab.World) {
			w.AddContainer(lab.ContainerSpec{Name: "web", Image: "web:1", StartLog: []string{"listening on :8080"}})
			w.SetFilesystem(lab.Filesystem{Device: "/dev/sda1", Type: "ext4", Mount: "/", Size: 100 << 30, Used: 40 << 30, Inodes: 1 << 20, InodesUsed: 1 << 18})
		}})
	}
	simulated, err := lab.Start(ctx, hosts...)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, simulated.Close()) }()
	for _, h := range hosts[:o.broken] {
		if err := h.Break("container-exited", "web"); err != nil {
			return r, err
		}
	}
	starts := countStarts(hosts)
	s, err := startService(ctx, binary, filepath.Join(dir, "storm"), hosts)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	r.base = s.base

	alerts := stormOf(o, hosts)
	begun := time.Now()
	sending := make(chan error, 1)
	go func() {
		var err error
		r.posts, err = send(ctx, s, o.senders, len(alerts), func(n int) []alert { return alerts[n : n+1] })
		r.sent = time.Since(begun)
		sending <- err
	}()
	if err := until(ctx, 10*time.Minute, "every broken container to run", func() (bool, error) {
		for _, h := range hosts[:o.broken] {
			if !h.World().Running("web") {
				return false, nil
			}
		}
		return true, nil
	}); err != nil {
		return r, fmt.Errorf("%w\n%s", err, s.log())
	}
	r.repaired = time.Since(begun)
	if err := <-sending; err != nil {
		return r, err
	}
	// The monitoring system sees that all is well again.
	if _, err := send(ctx, s, o.senders, len(hosts), func(n int) []alert { return resolved(alerts, hosts[n].Name()) }); err != nil {
		return r, err
	}
	if err := until(ctx, 15*time.Minute, "every incident to end", func() (bool, error) {
		if r.states, err = s.incidents(ctx); err != nil {
			return false, err
		}
		return r.states["open"]+r.states["investigating"]+r.states["acting"]+r.states["verifying"]+r.states["awaiting_approval"] == 0, nil
	}); err != nil {
		return r, fmt.Errorf("%w: %v\n%s", err, r.states, s.log())
	}
	r.ended = time.Since(begun)
	r.peak = s.most()
	for i, n := range starts() {
		r.starts += n
		if n > 1 {
			r.restarted++
		}
		seen := hosts[i].Connections()
		r.connections += seen
		r.most = max(r.most, seen)
	}
	for _, n := range r.states {
		r.incidents += n
	}
	if err := s.stop(); err != nil {
		return r, err
	}
	r.stored, err = count(ctx, filepath.Join(s.dir, "lifeline.db"))
	return r, err
}

// countStarts counts, from now on, how often each host's container comes to
// run. A world keeps 256 changes for whoever watches it: more than enough.
func countStarts(hosts []*lab.Host) func() []int {
	type watcher struct {
		changes <-chan lab.Change
		stop    func()
	}
	watchers := make([]watcher, len(hosts))
	for i, h := range hosts {
		watchers[i].changes, watchers[i].stop = h.World().Changes()
	}
	return func() []int {
		counts := make([]int, len(hosts))
		for i, w := range watchers {
			w.stop()
			for len(w.changes) > 0 {
				if c := <-w.changes; c.To == "running" {
					counts[i]++
				}
			}
		}
		return counts
	}
}

// resolved is one message that every alert about the host is over.
func resolved(alerts []alert, host string) []alert {
	seen := map[string]bool{}
	var over []alert
	for _, a := range alerts {
		if a.Labels["instance"] == host+":9100" && !seen[a.Labels["alertname"]] {
			seen[a.Labels["alertname"]] = true
			a.Status = "resolved"
			over = append(over, a)
		}
	}
	return over
}

// until asks again and again, bounded.
func until(ctx context.Context, most time.Duration, what string, is func() (bool, error)) error {
	for begun := time.Now(); ; {
		if ok, err := is(); ok || err != nil {
			return err
		}
		if time.Since(begun) > most {
			return fmt.Errorf("%s waited for %s in vain", most, what)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// count counts the firing alerts on record.
func count(ctx context.Context, database string) (n int, err error) {
	db, err := sql.Open("sqlite", "file:"+database+"?mode=ro")
	if err != nil {
		return 0, err
	}
	defer db.Close()
	err = db.QueryRowContext(ctx, `SELECT count(*) FROM alerts WHERE status = 'firing'`).Scan(&n)
	return n, err
}
