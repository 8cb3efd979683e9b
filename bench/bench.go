package main

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// python is Debian's own, where scripts/install-bench-deps puts the peers.
const python = "/usr/bin/python3"

//go:embed peers/*.py
var peerFiles embed.FS

// bench is the world that is measured in: the servers and the roads to them.
type bench struct {
	options options
	dir     string
	keys    keys
	usual   *sshd
	roomy   *sshd // nil if no load needs it
	fleet   *fleet
	// roads are addresses by place and round-trip time.
	roads   map[place]map[int]string
	proxies []*delayProxy
	results *results
}

// newBench starts what the loads need. Nothing is left after an error.
func newBench(ctx context.Context, o options) (_ *bench, err error) {
	if os.Getuid() != 0 {
		return nil, errors.New("sshd is started with an account of its own, which needs root\n  type: sudo make bench")
	}
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil { // where Debian puts daemons
		return nil, err
	}
	var missing []string
	for _, tool := range []string{"sshd", "ssh", "unshare", "mount", python} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("not found on this machine: %s\n  type: sudo scripts/install-bench-deps", strings.Join(missing, ", "))
	}
	if out, err := exec.CommandContext(ctx, python, "-W", "ignore", "-c", "import asyncssh, paramiko").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s cannot import the peers: %s\n  type: sudo scripts/install-bench-deps", python, bytes.TrimSpace(out))
	}
	// Its path is short: a control socket's has to fit into 108 bytes.
	dir, err := os.MkdirTemp("", "lifeline-bench-")
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, dir: dir, roads: map[place]map[int]string{}, results: newResults()}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if err := os.Chmod(dir, 0o755); err != nil { // the account reads its authorized_keys
		return nil, err
	}
	if b.keys, err = newKeys(dir); err != nil {
		return nil, err
	}
	if err := b.unpack(); err != nil {
		return nil, err
	}
	if b.usual, err = startSSHD(ctx, filepath.Join(dir, "usual"), b.keys); err != nil {
		return nil, err
	}
	if err := b.pave(usual, b.usual.address); err != nil {
		return nil, err
	}
	if slices.Contains(o.loads, "warm") {
		if b.roomy, err = startSSHD(ctx, filepath.Join(dir, "roomy"), b.keys, fmt.Sprint("MaxSessions ", roomySessions)); err != nil {
			return nil, err
		}
		if err := b.pave(roomy, b.roomy.address); err != nil {
			return nil, err
		}
	}
	var addresses []string
	for _, roads := range b.roads {
		for _, address := range roads {
			addresses = append(addresses, address)
		}
	}
	if err := b.keys.know(b.knownHosts(usual), addresses); err != nil {
		return nil, err
	}
	if slices.Contains(o.loads, "hosts") {
		if b.fleet, err = startFleet(o.hosts+1, b.keys); err != nil { // one to warm up with
			return nil, err
		}
		if err := b.keys.know(b.knownHosts(far), b.fleet.addresses); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// unpack writes the Python drivers to where Python can read them.
func (b *bench) unpack() error {
	files, err := fs.Sub(peerFiles, "peers")
	if err != nil {
		return err
	}
	return os.CopyFS(filepath.Join(b.dir, "peers"), files)
}

// peer is the path of a Python driver.
func (b *bench) peer(name string) string {
	return filepath.Join(b.dir, "peers", name+"_driver.py")
}

func (b *bench) knownHosts(at place) string {
	if at == far {
		return filepath.Join(b.dir, "known_hosts_fleet")
	}
	return filepath.Join(b.dir, "known_hosts")
}

// pave makes the roads to a server: one for each round-trip time. Without one
// there is no proxy, which would cost time of its own.
func (b *bench) pave(at place, address string) error {
	b.roads[at] = map[int]string{0: address}
	for _, rtt := range b.options.rtts {
		if rtt == 0 {
			continue
		}
		p, err := startProxy(address, time.Duration(rtt)*time.Millisecond)
		if err != nil {
			return err
		}
		b.proxies = append(b.proxies, p)
		b.roads[at][rtt] = p.address()
	}
	return nil
}

func (b *bench) close() error {
	for _, p := range b.proxies {
		p.close()
	}
	var all []error
	for _, s := range []*sshd{b.usual, b.roomy} {
		if s != nil {
			all = append(all, s.stop())
		}
	}
	if b.fleet != nil {
		all = append(all, b.fleet.close())
	}
	return errors.Join(append(all, os.RemoveAll(b.dir))...)
}

// measure runs the loads.
func (b *bench) measure(ctx context.Context) error {
	for _, rtt := range append([]int{0}, b.options.rtts...) {
		if _, known := b.results.rtts[rtt]; known {
			continue
		}
		ms, err := measureRTT(time.Duration(rtt) * time.Millisecond)
		if err != nil {
			return fmt.Errorf("measure the round trip: %w", err)
		}
		b.results.rtts[rtt] = ms
	}
	for _, load := range b.options.loads {
		for _, j := range plan(load, b.options) {
			if err := b.work(ctx, j); err != nil {
				return err
			}
		}
	}
	return nil
}

// work measures one job: in each round every method once, and each round begins
// with another one, so that what changes on the machine meanwhile hits them all.
func (b *bench) work(ctx context.Context, j job) error {
	b.results.begin(j.cell, j.methods)
	for round := range j.rounds {
		for i := range j.methods {
			m := methodOf(j.methods[(round+i)%len(j.methods)])
			s, err := b.sample(ctx, j, m)
			if err != nil {
				return fmt.Errorf("%s, %d ms, %s: %w", j.Load, j.RTT, m.label, err)
			}
			b.results.add(j.cell, m.id, s)
			progress("%-9s %-14.14s %3d ms  %-40.40s %9.1f ms %4d connections %4d lost", j.Load, j.Case, j.RTT, m.label, wallMS(s), s.Connections, s.Lost)
		}
	}
	return nil
}

// sample is one run of a method.
func (b *bench) sample(ctx context.Context, j job, m method) (sample, error) {
	s := j.specFor(m)
	s.User, s.Identity, s.KnownHosts, s.Folder = account, b.keys.identity, b.knownHosts(j.place), b.dir
	accepted := func() (int, error) { return b.fleet.accepted(), nil }
	if j.place == far {
		s.Hosts = b.fleet.addresses
	} else {
		server := b.usual
		if j.place == roomy {
			server = b.roomy
		}
		s.Hosts = []string{b.roads[j.place][j.RTT]}
		accepted = func() (int, error) { return server.accepted(ctx) }
	}
	before, err := accepted()
	if err != nil {
		return sample{}, err
	}
	a, err := b.drive(ctx, m, s)
	if err != nil {
		return sample{}, err
	}
	after, err := accepted()
	return sample{answer: a, Connections: after - before}, err
}

// hung is how long a driver may take. One that takes longer has lost all its
// commands: its caller would still wait.
const hung = 3 * time.Minute

// drive runs a method's driver in a process of its own.
func (b *bench) drive(ctx context.Context, m method, s spec) (answer, error) {
	self, err := os.Executable()
	if err != nil {
		return answer{}, err
	}
	argv := []string{self, "driver", m.driver}
	if m.driver == "asyncssh" || m.driver == "paramiko" {
		argv = []string{python, b.peer(m.driver)}
	}
	in, err := json.Marshal(s)
	if err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, hung)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	// A group of its own, so that all of it can be ended.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	begun := time.Now()
	err = cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return answer{WallSeconds: time.Since(begun).Seconds(), Lost: s.Count, FirstError: fmt.Sprintf("no end within %v", hung)}, nil
	}
	if err != nil {
		return answer{}, fmt.Errorf("the driver failed: %w\n%s", err, bytes.TrimSpace(stderr.Bytes()))
	}
	var a answer
	if err := json.Unmarshal(stdout.Bytes(), &a); err != nil {
		return a, fmt.Errorf("the driver's answer: %w\n%s", err, stdout.Bytes())
	}
	if a.Answered+a.Lost != s.Count || a.WallSeconds <= 0 {
		return a, fmt.Errorf("the driver's answer makes no sense: %s", bytes.TrimSpace(stdout.Bytes()))
	}
	return a, nil
}
