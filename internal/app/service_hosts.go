package app

import (
	"context"
	"slices"
	"sync"
	"time"

	"lifeline"
	"lifeline/sshpool"
)

// recentMost is how many commands HostView.Recent has.
const recentMost = 20

// Hosts are the configured hosts as they are now, by name, without what only one
// host's own page has: Recent and Series.
func (s *Service) Hosts(ctx context.Context) ([]lifeline.HostView, error) {
	open, err := s.store.OpenByHost(ctx)
	if err != nil {
		return nil, err
	}
	stats := s.pool.Stats()
	views := []lifeline.HostView{}
	for _, name := range s.cfg.HostNames() {
		v, err := s.host(ctx, name, stats[name], open[name])
		if err != nil {
			return nil, err
		}
		views = append(views, v)
	}
	return views, nil
}

// Host is one configured host as it is now.
func (s *Service) Host(ctx context.Context, name string) (v lifeline.HostView, err error) {
	if _, known := s.cfg.Hosts[name]; !known {
		return v, noHost(s.cfg, name)
	}
	open, err := s.store.OpenByHost(ctx)
	if err != nil {
		return v, err
	}
	if v, err = s.host(ctx, name, s.pool.Stats()[name], open[name]); err != nil {
		return v, err
	}
	v.Series = s.series.series(name, time.Now())
	v.Recent, err = s.store.RecentCommands(ctx, name, recentMost)
	return v, err
}

func (s *Service) host(ctx context.Context, name string, st sshpool.HostStats, open int) (lifeline.HostView, error) {
	h := s.cfg.Hosts[name]
	v := lifeline.HostView{
		Name: name, Mode: h.Mode, Address: h.Address, User: h.User, Local: h.Local, Node: h.Node,
		Connected: st.OpenConnections > 0, ConnectedSince: utc(st.ConnectedSince), Fingerprint: st.HostKey, RoundTrip: st.RoundTrip,
		Sessions: st.SessionsInUse, SessionMost: st.SessionLimit,
		Opened: int(st.Established), Reused: int(st.Reused), Timeouts: int(st.Timeouts), Unknown: int(st.Unknown),
		ChangesMost: s.cfg.Respond.MaxChangesPerHostHour, Incidents: open,
	}
	if v.Address == "" && !h.Local {
		v.Address = "as ssh_config says for " + h.SSHConfig
	}
	if st.Failures > 0 && !v.Connected {
		v.Trouble, v.TriedAgain = troubleWords(st), utc(st.NextDial)
	}
	changes, err := s.store.Changes(ctx, name)
	v.ChangesHour = changes.HostHour
	return v, err
}

func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}

// troubleWords says in a sentence why a host cannot be reached.
func troubleWords(st sshpool.HostStats) string {
	what := map[sshpool.ErrorKind]string{
		sshpool.KindAuthentication: "the host does not let Lifeline in",
		sshpool.KindHostKey:        "the host's key is not the one that is known",
		sshpool.KindConfig:         "the configuration of the host cannot be used",
		sshpool.KindUnreachable:    "the host cannot be reached",
		sshpool.KindConnectTimeout: "the host does not answer in time",
	}[st.FailureKind]
	if what == "" {
		what = "no connection comes about"
	}
	return what + ": " + st.LastFailure
}

// recorder keeps what happened on each host within the last hours, in steps. It is
// fed by the pool and the door, and lost with the process.
type recorder struct {
	mu    sync.Mutex // guards hosts
	hosts map[string]*hostSeries
}

// hostSeries are the samples of one host that are complete, and the one that is not.
type hostSeries struct {
	done []lifeline.HostSample // oldest first, at most SeriesMost
	now  lifeline.HostSample
	runs []time.Duration // of now, at most runsMost
}

// runsMost bounds the runs of which a median is taken.
const runsMost = 4096

func newRecorder() *recorder { return &recorder{hosts: map[string]*hostSeries{}} }

// at gives the host's sample of a time.
func (r *recorder) at(host string, now time.Time) *hostSeries {
	h := r.hosts[host]
	if h == nil {
		h = &hostSeries{}
		r.hosts[host] = h
	}
	step := now.Truncate(lifeline.SeriesStep)
	if step.After(h.now.At) {
		h.close()
		h.now = lifeline.HostSample{At: step}
	}
	return h
}

// close completes the sample. One in which nothing happened is not kept.
func (h *hostSeries) close() {
	if h.now.Commands+h.now.Opened+h.now.Reused > 0 {
		h.done = append(h.done, h.sample())
		h.done = h.done[max(0, len(h.done)-lifeline.SeriesMost):]
	}
	h.runs = h.runs[:0]
}

func (h *hostSeries) sample() lifeline.HostSample {
	s := h.now
	if len(h.runs) > 0 {
		sorted := slices.Sorted(slices.Values(h.runs))
		s.RunMedian = sorted[len(sorted)/2]
	}
	return s
}

func (r *recorder) event(e sshpool.Event) {
	if e.Kind != sshpool.ConnectionEstablished && e.Kind != sshpool.ConnectionReused {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.at(e.Host, e.At)
	if e.Kind == sshpool.ConnectionEstablished {
		h.now.Opened++
	} else {
		h.now.Reused++
	}
}

func (r *recorder) result(c lifeline.Command, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.at(c.Host, now)
	h.now.Commands++
	h.now.RunMost = max(h.now.RunMost, c.Run)
	if len(h.runs) < runsMost {
		h.runs = append(h.runs, c.Run)
	}
}

// series are the last SeriesMost steps up to now, oldest first; those in which
// nothing happened among them.
func (r *recorder) series(host string, now time.Time) []lifeline.HostSample {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := map[time.Time]lifeline.HostSample{}
	if h := r.hosts[host]; h != nil {
		for _, s := range h.done {
			known[s.At.UTC()] = s
		}
		known[h.now.At.UTC()] = h.sample()
	}
	last := now.UTC().Truncate(lifeline.SeriesStep)
	all := make([]lifeline.HostSample, lifeline.SeriesMost)
	for i := range all {
		at := last.Add(-time.Duration(lifeline.SeriesMost-1-i) * lifeline.SeriesStep)
		all[i] = known[at]
		all[i].At = at
	}
	return all
}
