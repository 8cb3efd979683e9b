package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// spec is what a driver is asked to do. It comes as one JSON object on the
// driver's standard input; every driver, in whatever language, reads the same.
type spec struct {
	// Way tells apart what one driver can do in several ways.
	Way string `json:"way"`
	// Hosts are addresses, each 127.x.y.z:port. Commands go to the first, or, if
	// there are several, one to each but the first, which is for warming up.
	Hosts      []string `json:"hosts"`
	User       string   `json:"user"`
	Identity   string   `json:"identity"`    // file of the private key
	KnownHosts string   `json:"known_hosts"` // file
	Folder     string   `json:"folder"`      // for sockets
	Command    string   `json:"command"`
	Count      int      `json:"count"`    // commands in all
	Parallel   int      `json:"parallel"` // at once
	// Warm opens the connection and runs one command before the clock starts.
	Warm bool `json:"warm"`
	// Bytes is how much output each command must give.
	Bytes int64 `json:"bytes"`
	// Limit is the driver's own limit of sessions at once; 0: none, and for
	// sshpool its default.
	Limit int `json:"limit"`
	// Dials in flight at most; 0: no limit, and for sshpool its default.
	Dials int `json:"dials"`
	// Hold measures what the idle connections cost, at the end.
	Hold bool `json:"hold"`
}

// host is where command i goes.
func (s spec) host(i int) int {
	if len(s.Hosts) == 1 {
		return 0
	}
	return 1 + i
}

// answer is what a driver measured: one JSON object on its standard output.
type answer struct {
	WallSeconds float64 `json:"wall_seconds"` // from the first call to the last answer
	CPUSeconds  float64 `json:"cpu_seconds"`  // of the driver and its children, user and system
	Answered    int     `json:"answered"`     // commands that exited with 0 and gave all their output
	Lost        int     `json:"lost"`         // commands that failed for the caller
	FirstError  string  `json:"first_error"`  // of the first lost one
	PeakBytes   int64   `json:"peak_bytes"`   // the most resident memory, since the driver's start
	IdleBytes   int64   `json:"idle_bytes"`   // resident memory of all idle connections together; see Hold
}

// caller is one way to run commands: what a program would do.
type caller interface {
	// warm opens what can be opened before the first command to the first host.
	warm(ctx context.Context) error
	// run runs the command and gives the number of bytes that it wrote.
	run(ctx context.Context, host int) (int64, error)
	// cpu is the processor time of processes that are neither this one nor
	// its waited-for children, in seconds.
	cpu() float64
	close() error
}

// settle is how long a warm driver waits before its clock starts, and one that
// holds connections before it looks at the memory.
const settle = 300 * time.Millisecond

// driver is the body of the Go drivers: "bench driver KIND" with a spec on
// standard input.
func driver(ctx context.Context, kind string, in io.Reader, out io.Writer) error {
	var s spec
	if err := json.NewDecoder(in).Decode(&s); err != nil {
		return fmt.Errorf("read the driver's spec: %w", err)
	}
	var c caller
	var err error
	switch kind {
	case "pool":
		c, err = newPoolCaller(s)
	case "xcrypto":
		c, err = newXCryptoCaller(s)
	case "ssh":
		c, err = newSSHCaller(s)
	default:
		err = fmt.Errorf("driver %q: want pool, xcrypto or ssh", kind)
	}
	if err != nil {
		return err
	}
	a, err := drive(ctx, s, c)
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(a)
}

// drive warms up, starts the clock, runs the commands and measures.
func drive(ctx context.Context, s spec, c caller) (answer, error) {
	if s.Warm {
		if err := c.warm(ctx); err != nil {
			return answer{}, fmt.Errorf("warm up: %w", err)
		}
		if _, err := c.run(ctx, 0); err != nil {
			return answer{}, fmt.Errorf("warm up: %w", err)
		}
		time.Sleep(settle)
	}
	var before int64
	if s.Hold {
		before = idle()
	}
	var (
		a       answer
		mu      sync.Mutex // guards a
		next    atomic.Int64
		workers sync.WaitGroup
		now     = make(chan struct{})
	)
	for range min(s.Parallel, s.Count) {
		workers.Go(func() {
			<-now
			for i := int(next.Add(1)) - 1; i < s.Count; i = int(next.Add(1)) - 1 {
				n, err := c.run(ctx, s.host(i))
				if err == nil && n != s.Bytes {
					err = fmt.Errorf("%d bytes of output, want %d", n, s.Bytes)
				}
				mu.Lock()
				if err == nil {
					a.Answered++
				} else if a.Lost++; a.FirstError == "" {
					a.FirstError = err.Error()
				}
				mu.Unlock()
			}
		})
	}
	cpu := -c.cpu() // first here and last below: asking may cost something itself
	cpu -= cpuSeconds()
	begun := time.Now()
	close(now)
	workers.Wait()
	a.WallSeconds = time.Since(begun).Seconds()
	cpu += cpuSeconds()
	a.CPUSeconds = cpu + c.cpu()
	peak, err := statusBytes("VmHWM")
	if err != nil {
		return a, err
	}
	a.PeakBytes = peak
	if s.Hold {
		time.Sleep(settle)
		a.IdleBytes = idle() - before
	}
	return a, nil
}

// cpuSeconds is the processor time of this process and its children so far.
func cpuSeconds() float64 {
	total := 0.0
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			panic("bench: getrusage: " + err.Error()) // it cannot fail with these arguments
		}
		total += float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	return total
}

// idle is the resident memory once what is not used has been given back.
func idle() int64 {
	for range 4 { // each halves the stacks that a handshake made grow
		runtime.GC()
	}
	debug.FreeOSMemory()
	n, err := statusBytes("VmRSS")
	if err != nil {
		panic("bench: " + err.Error()) // it was read before
	}
	return n
}

// statusBytes reads a size from /proc/self/status.
func statusBytes(key string) (int64, error) {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, fmt.Errorf("read this process's memory: %w", err)
	}
	for line := range bytes.Lines(data) {
		if rest, ok := strings.CutPrefix(string(line), key+":"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				return 0, fmt.Errorf("read this process's memory: %w", err)
			}
			return kb * 1024, nil
		}
	}
	return 0, fmt.Errorf("read this process's memory: /proc/self/status has no %s", key)
}
