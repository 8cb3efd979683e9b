package lab

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"lifeline"
)

// World is what exists on one host. Its methods are safe for concurrent use.
type World struct {
	host string
	now  func() time.Time

	mu          sync.Mutex // guards everything below
	booted      time.Time
	containers  []*container
	units       []*unit
	filesystems []*Filesystem
	memory      Memory
	load        [3]float64
	kernel      []LogLine
	files       map[string][]byte // written by scripts, under /tmp only
	dockerDown  bool
	nextPID     int
	watchers    map[chan Change]struct{}
	timer       *time.Timer
	closed      bool
}

// LogLine is one line of a log.
type LogLine struct {
	At     time.Time
	Text   string
	Stderr bool
}

// Filesystem is one mounted filesystem. Sizes are in bytes.
type Filesystem struct {
	Device, Type, Mount string
	Size, Used          int64
	Inodes, InodesUsed  int64
	// Folders are sizes that du finds, by absolute path; parents sum up their
	// children.
	Folders map[string]int64
}

// Memory of the host, in bytes.
type Memory struct {
	Total, Used, Cache, SwapTotal, SwapUsed int64
}

// Change says that a container or a unit went from one state to another. The
// states of a container are docker's, with ":unhealthy" and the like added
// where it has a health check; those of a unit are systemd's active states.
type Change struct {
	At       time.Time
	Target   lifeline.Target
	From, To string
}

// newWorld makes an empty world.
func newWorld(host string, now func() time.Time) *World {
	const gib = 1 << 30
	return &World{
		host: host, now: now, booted: now().Add(-41*24*time.Hour - 7*time.Hour - 12*time.Minute), nextPID: 21408,
		memory:   Memory{Total: 16 * gib, Used: 5*gib + gib/3, Cache: 7 * gib, SwapTotal: 2 * gib, SwapUsed: gib / 16},
		load:     [3]float64{0.42, 0.51, 0.48},
		files:    map[string][]byte{},
		watchers: map[chan Change]struct{}{},
	}
}

// Changes gives what changes from now on, until stop is called. Up to 256
// changes wait for a slow reader; later ones are dropped, so a reader that needs
// the state asks for the state.
func (w *World) Changes() (changes <-chan Change, stop func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan Change, 256)
	w.watchers[c] = struct{}{}
	return c, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.watchers, c)
	}
}

// lock takes the world's lock and lets everything happen that is due.
func (w *World) lock() {
	w.mu.Lock()
	w.settleLocked()
}

func (w *World) unlock() {
	w.scheduleLocked()
	w.mu.Unlock()
}

// changedLocked tells the watchers.
func (w *World) changedLocked(kind lifeline.TargetKind, name, from, to string) {
	if from == to {
		return
	}
	c := Change{At: w.now(), Target: lifeline.Target{Host: w.host, Kind: kind, Name: name}, From: from, To: to}
	for watcher := range w.watchers {
		select {
		case watcher <- c:
		default: // full: see Changes
		}
	}
}

// settleLocked lets everything happen that is due by now: crashes, restarts by
// docker and systemd, health checks.
func (w *World) settleLocked() {
	// A loop of restarts that nobody looked at for long is cut short.
	for range 1000 {
		due, do := w.nextDueLocked()
		if do == nil || due.After(w.now()) {
			return
		}
		do(due)
	}
}

// nextDueLocked finds what happens next by itself.
func (w *World) nextDueLocked() (due time.Time, do func(at time.Time)) {
	consider := func(at time.Time, f func(at time.Time)) {
		if !at.IsZero() && (do == nil || at.Before(due)) {
			due, do = at, f
		}
	}
	for _, c := range w.containers {
		consider(c.next, func(at time.Time) { c.next = time.Time{}; c.then(at) })
	}
	for _, u := range w.units {
		consider(u.next, func(at time.Time) { u.next = time.Time{}; u.then(at) })
	}
	return due, do
}

// scheduleLocked makes sure that what is due next happens, so that watchers
// hear of it, even if nobody looks.
func (w *World) scheduleLocked() {
	if w.timer != nil {
		w.timer.Stop()
	}
	due, do := w.nextDueLocked()
	if do == nil || w.closed {
		return
	}
	w.timer = time.AfterFunc(max(due.Sub(w.now()), time.Millisecond), func() {
		w.lock()
		w.unlock()
	})
}

// close stops what happens by itself.
func (w *World) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	if w.timer != nil {
		w.timer.Stop()
	}
}

// pidLocked gives a new process ID.
func (w *World) pidLocked() int {
	w.nextPID += 37
	return w.nextPID
}

// SetFilesystem adds a filesystem, or replaces the one at the same mount.
func (w *World) SetFilesystem(f Filesystem) {
	w.lock()
	defer w.unlock()
	w.filesystems = slices.DeleteFunc(w.filesystems, func(old *Filesystem) bool { return old.Mount == f.Mount })
	w.filesystems = append(w.filesystems, &f)
	slices.SortFunc(w.filesystems, func(a, b *Filesystem) int { return cmp.Compare(a.Mount, b.Mount) })
}

// FilesystemUsed is the used share of the filesystem mounted there, from 0 to 1.
func (w *World) FilesystemUsed(mount string) (share float64, ok bool) {
	w.lock()
	defer w.unlock()
	for _, f := range w.filesystems {
		if f.Mount == mount && f.Size > 0 {
			return float64(f.Used) / float64(f.Size), true
		}
	}
	return 0, false
}
