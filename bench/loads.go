package main

import (
	"fmt"
	"slices"
)

// method is one way to run commands on a host, in its best honest
// configuration.
type method struct {
	id, label string
	driver    string // pool, xcrypto, ssh; or the name of a file in peers
	way       string // the driver's own
	limit     int    // the driver's own limit of sessions at once
	ours      bool
}

// methods lists them in the order of the report.
func methods() []method {
	return []method{
		{id: "pool", label: "Lifeline sshpool", driver: "pool", ours: true},
		{id: "pool-told", label: "Lifeline sshpool, Config.MaxSessions as the server's", driver: "pool", limit: roomySessions, ours: true},
		{id: "pool-no-spare", label: "Lifeline sshpool without spare sessions", driver: "pool", way: "no-spare", ours: true},
		{id: "ssh", label: "ssh for each command", driver: "ssh"},
		{id: "control", label: "OpenSSH ControlMaster", driver: "ssh", way: "control"},
		{id: "asyncssh-dictionary", label: "asyncssh, dictionary pool", driver: "asyncssh", way: "dictionary"},
		{id: "asyncssh", label: "asyncssh, locked pool", driver: "asyncssh", way: "locked"},
		{id: "paramiko", label: "paramiko, one transport, TCP_NODELAY", driver: "paramiko"},
		{id: "xcrypto", label: "x/crypto/ssh, one client", driver: "xcrypto"},
		{id: "xcrypto-retry", label: "x/crypto/ssh, one client, refused opens retried", driver: "xcrypto", way: "retry"},
		{id: "xcrypto-retry-5", label: "x/crypto/ssh, retried, 5 at once by hand", driver: "xcrypto", way: "retry", limit: 5},
		{id: "xcrypto-retry-8", label: "x/crypto/ssh, retried, 8 at once by hand", driver: "xcrypto", way: "retry", limit: 8},
		{id: "xcrypto-retry-10", label: "x/crypto/ssh, retried, 10 at once by hand", driver: "xcrypto", way: "retry", limit: 10},
	}
}

func methodOf(id string) method {
	for _, m := range methods() {
		if m.id == id {
			return m
		}
	}
	panic("bench: no method " + id)
}

// place is which server a job runs against.
type place int

const (
	usual place = iota // sshd with its default limits
	roomy              // sshd that allows many sessions on one connection
	far                // many hosts
)

// roomySessions is MaxSessions of the sshd that allows spare sessions for
// everybody. Its default is 10.
const roomySessions = 200

// job is one cell with the methods that are compared in it.
type job struct {
	cell
	place   place
	methods []string
	spec    spec
	rounds  int
}

// The names of the loads, in the order in which they are run and reported.
func loadNames() []string {
	return []string{"founding", "warm", "single", "many", "first", "hosts", "cpu", "bulk"}
}

// dialsToFleet is how many handshakes every method has in flight at most when
// it connects to many hosts.
const dialsToFleet = 32

// bulk outputs, in bytes: the smaller one is there to see whether memory grows.
const smallBulk, largeBulk = 10 << 20, 100 << 20

// plan lists the jobs of a load.
func plan(load string, o options) []job {
	var jobs []job
	half := (o.rounds + 1) / 2
	add := func(name string, at place, rtts []int, rounds int, s spec, ids ...string) {
		if s.Command == "" {
			s.Command = "true"
		}
		for _, rtt := range rtts {
			jobs = append(jobs, job{cell{load, name, rtt}, at, ids, s, rounds})
		}
	}
	// What is not about the network is measured once, at the shortest.
	nearest := []int{slices.Min(o.rtts)}
	switch load {
	case "founding":
		add("", usual, o.rtts, o.rounds, spec{Count: 24, Parallel: 8},
			"pool", "ssh", "control", "asyncssh-dictionary", "asyncssh", "paramiko", "xcrypto", "xcrypto-retry")
	case "warm":
		s := spec{Count: 24, Parallel: 8, Warm: true}
		add("MaxSessions 10, the default", usual, o.rtts, o.rounds, s,
			"pool", "pool-no-spare", "control", "asyncssh", "paramiko", "xcrypto", "xcrypto-retry")
		add(fmt.Sprintf("MaxSessions %d", roomySessions), roomy, o.rtts, o.rounds, s,
			"pool", "pool-told", "pool-no-spare", "xcrypto-retry")
	case "single":
		// Without a round trip what is left is the server's own time.
		rtts := o.rtts
		if !slices.Contains(rtts, 0) {
			rtts = append([]int{0}, rtts...)
		}
		add("", usual, rtts, half, spec{Count: 24, Parallel: 1, Warm: true},
			"pool", "pool-no-spare", "control", "asyncssh", "paramiko", "xcrypto")
	case "many":
		rtts := o.rtts[:min(2, len(o.rtts))]
		add("", usual, rtts, half, spec{Count: 500, Parallel: 50, Warm: true},
			"pool", "pool-no-spare", "control", "asyncssh", "paramiko", "xcrypto", "xcrypto-retry-5", "xcrypto-retry-8", "xcrypto-retry-10")
	case "first":
		for _, n := range []int{10, 50, 200} {
			add(fmt.Sprintf("%d callers", n), usual, nearest, half, spec{Count: n, Parallel: n},
				"pool", "control", "asyncssh-dictionary", "asyncssh", "paramiko", "xcrypto-retry")
		}
	case "hosts":
		add(fmt.Sprintf("%d hosts", o.hosts), far, []int{0}, half, spec{Count: o.hosts, Parallel: o.hosts, Warm: true, Hold: true, Dials: dialsToFleet},
			"pool", "pool-no-spare", "asyncssh", "paramiko", "xcrypto")
	case "cpu":
		add("", usual, nearest, half, spec{Count: 500, Parallel: 5, Warm: true},
			"pool", "pool-no-spare", "control", "asyncssh", "paramiko", "xcrypto-retry")
		add("a connection for each", usual, nearest, half, spec{Count: 50, Parallel: 5}, "ssh")
	case "bulk":
		for _, size := range []int{smallBulk, largeBulk} {
			rtts := o.rtts
			if size == smallBulk {
				rtts = nearest
			}
			add(bulkCase(size), usual, rtts, half, spec{Count: 1, Parallel: 1, Warm: true, Command: fmt.Sprintf("head -c %d /dev/zero", size), Bytes: int64(size)},
				"pool", "control", "asyncssh", "paramiko", "xcrypto")
		}
	}
	return jobs
}

func bulkCase(size int) string { return fmt.Sprintf("%d MiB", size>>20) }

// specFor is what a method is asked to do in a job; the hosts come later.
func (j job) specFor(m method) spec {
	s := j.spec
	s.Way, s.Limit = m.way, m.limit
	if m.driver == "paramiko" && j.place == far {
		// It needs a thread for each command that is under way, and is faster
		// with no more of them than can connect at once.
		s.Parallel = s.Dials
	}
	return s
}
