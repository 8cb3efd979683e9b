package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// intakeLoad is one way of posting alerts.
type intakeLoad struct {
	name            string
	each            int // alerts in a body
	senders         int
	newIncidentEach bool // every alert is a new fault; otherwise all are repeats of one
}

func intakeLoads() []intakeLoad {
	return []intakeLoad{
		{"one alert in a body, one sender, repeats", 1, 1, false},
		{"one alert in a body, 32 senders, repeats", 1, 32, false},
		{"one alert in a body, 32 senders, each a new incident", 1, 32, true},
		{"100 alerts in a body, one sender, repeats", 100, 1, false},
		{"1,000 alerts in a body, one sender, repeats", 1000, 1, false},
	}
}

// intakeResult is what one load gave.
type intakeResult struct {
	load   intakeLoad
	alerts int
	took   time.Duration
	times  times
}

// perSecond is how many alerts were taken in a second.
func (r intakeResult) perSecond() float64 { return float64(r.alerts) / r.took.Seconds() }

// times are the times to the 2xx, sorted.
type times []time.Duration

// at is the time within which this share of the posts were answered.
func (t times) at(share float64) time.Duration {
	if len(t) == 0 {
		return 0
	}
	return t[min(len(t)-1, int(share*float64(len(t))))]
}

type intakeResults struct {
	loads []intakeResult
	// syncs is how often in a second the disk of the same folder puts 4 KiB in
	// place for good, one after the other: what one commit costs at least.
	syncs float64
}

// measureIntake posts to a service of its own, whose alerts name no host that it
// knows: what is measured is taking them, not working on them.
func measureIntake(ctx context.Context, binary, dir string, o options) (out intakeResults, err error) {
	if out.syncs, err = syncRate(dir); err != nil {
		return out, err
	}
	out.loads, err = measureLoads(ctx, binary, dir, o, intakeLoads())
	return out, err
}

func measureLoads(ctx context.Context, binary, dir string, o options, loads []intakeLoad) (out []intakeResult, err error) {
	for i, load := range loads {
		s, err := startService(ctx, binary, filepath.Join(dir, fmt.Sprint("intake", i)), nil)
		if err != nil {
			return out, err
		}
		posts := o.posts
		if load.each > 1 {
			posts = max(1, o.posts*5/load.each)
		}
		begun := time.Now()
		all, err := send(ctx, s, load.senders, posts, func(n int) []alert {
			alerts := make([]alert, load.each)
			for k := range alerts {
				instance := "unknown:9100"
				if load.newIncidentEach {
					instance = fmt.Sprintf("unknown-%d:9100", n)
				}
				alerts[k] = firing("InstanceDown", map[string]string{"instance": instance, "cpu": fmt.Sprint(k)})
			}
			return alerts
		})
		took := time.Since(begun)
		if err = errors.Join(err, s.stop()); err != nil {
			return out, fmt.Errorf("%s: %w", load.name, err)
		}
		out = append(out, intakeResult{load: load, alerts: posts * load.each, took: took, times: all})
	}
	return out, nil
}

// syncRate writes 4 KiB and syncs, for a second.
func syncRate(dir string) (float64, error) {
	f, err := os.Create(filepath.Join(dir, "sync"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	block := make([]byte, 4<<10)
	begun, n := time.Now(), 0
	for time.Since(begun) < time.Second {
		if _, err := f.Write(block); err != nil {
			return 0, err
		}
		if err := f.Sync(); err != nil {
			return 0, err
		}
		n++
	}
	return float64(n) / time.Since(begun).Seconds(), nil
}

// send posts bodies, so many at once, and gives the times to the 2xx.
func send(ctx context.Context, s *service, senders, posts int, body func(n int) []alert) (times, error) {
	var (
		mu    sync.Mutex // guards what follows
		all   times
		fails []error
		wg    sync.WaitGroup
		next  = make(chan int)
	)
	for range senders {
		wg.Go(func() {
			for n := range next {
				took, err := s.post(ctx, body(n)...)
				mu.Lock()
				if err != nil {
					fails = append(fails, fmt.Errorf("post %d: %w", n, err))
				} else {
					all = append(all, took)
				}
				mu.Unlock()
			}
		})
	}
	for n := range posts {
		next <- n
	}
	close(next)
	wg.Wait()
	slices.Sort(all)
	if len(fails) > 0 {
		return all, fmt.Errorf("%d of %d posts failed; the first: %w", len(fails), posts, fails[0])
	}
	return all, nil
}

// firing is an alert as Alertmanager sends it.
func firing(name string, labels map[string]string) alert {
	all := map[string]string{"alertname": name, "severity": "critical", "job": "node"}
	for k, v := range labels {
		all[k] = v
	}
	return alert{Status: "firing", Labels: all, StartsAt: time.Now().UTC(), Annotations: map[string]string{"summary": name + " on " + labels["instance"]}}
}

// freeAddress is a loopback address with a port that is free now.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}
