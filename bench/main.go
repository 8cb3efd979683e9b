// Command bench measures sshpool and its peers side by side: the same commands,
// the same account, key and sshd, in one run, one method after the other, at
// several round-trip times.
//
//	go run ./bench           # about ten minutes, as root; or: make bench
//	go run ./bench -quick    # about a minute
//
// Peers are OpenSSH's ssh with and without ControlMaster, asyncssh, paramiko and
// plain golang.org/x/crypto/ssh; scripts/install-bench-deps installs them from
// Debian. Each is driven by a small program of ours, in its best honest
// configuration, in a process of its own. That process measures the time from
// the first call to the last answer, when its imports and its warming up are
// done, and its own processor time. Connections are counted in sshd's log.
// Round trips are made by a delay proxy in this process.
//
// What was measured is printed, and written to RESULTS.md with the machine that
// it holds for and the goals that were set: reached or not, with the figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 2 && args[0] == "driver" {
		return driver(ctx, args[1], os.Stdin, os.Stdout)
	}
	o, err := parse(args, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	b, err := newBench(ctx, o)
	if err != nil {
		return err
	}
	m, err := describeMachine(ctx, b)
	if err == nil {
		err = b.measure(ctx)
	}
	if err = errors.Join(err, b.close()); err != nil {
		return err
	}
	text := report(m, o, b.results)
	if _, err := os.Stdout.WriteString(text); err != nil {
		return fmt.Errorf("print the results: %w", err)
	}
	if err := write(o.out, text+others(o.out)); err != nil {
		return err
	}
	if len(b.results.cellsOf("founding")) == 0 {
		return nil
	}
	return write(o.svg, chart(b.results))
}

// others are the chapters of other programs in the file of the results, from the
// first line that is a comment on: see bench/storm.
func others(file string) string {
	was, err := os.ReadFile(file)
	if err != nil { // there is none
		return ""
	}
	_, chapters, found := strings.Cut(string(was), "\n<!-- ")
	if !found {
		return ""
	}
	return "\n<!-- " + chapters
}

// write writes a file of the results, unless it has no name.
func write(file, text string) error {
	if file == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "bench: wrote", file)
	return nil
}

// options of one run.
type options struct {
	quick  bool
	out    string // "": nowhere
	svg    string
	loads  []string
	rtts   []int // milliseconds, ascending
	rounds int
	hosts  int // of the load hosts
}

// parse reads the command line and says what is wrong with it.
func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "one round, two round-trip times, 200 hosts: a look, not a result")
	flags.StringVar(&o.out, "out", "bench/RESULTS.md", "`file` for the results; a run that is quick or not of all loads writes it only if it is asked to")
	flags.StringVar(&o.svg, "svg", "docs/images/bench.svg", "`file` for the chart; as with -out")
	loads := flags.String("loads", strings.Join(loadNames(), ","), "what to measure")
	rtts := flags.String("rtts", "0,20,50", "round-trip times in milliseconds; with -quick: 0,20")
	flags.IntVar(&o.rounds, "rounds", 5, "how often the founding loads are measured; the others half as often; with -quick: 1")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if flags.NArg() > 0 {
		return o, fmt.Errorf("unknown argument %q\n  type: go run ./bench -help", flags.Arg(0))
	}
	o.hosts = 1000
	if o.quick {
		o.hosts = 200
		if !given["rounds"] {
			o.rounds = 1
		}
		if !given["rtts"] {
			*rtts = "0,20"
		}
	}
	if o.rounds < 1 {
		return o, fmt.Errorf("-rounds %d: want 1 or more", o.rounds)
	}
	for name := range strings.SplitSeq(*loads, ",") {
		if !slices.Contains(loadNames(), name) {
			return o, fmt.Errorf("-loads %q: want some of %s", name, strings.Join(loadNames(), ","))
		}
		if !slices.Contains(o.loads, name) {
			o.loads = append(o.loads, name)
		}
	}
	for text := range strings.SplitSeq(*rtts, ",") {
		ms, err := strconv.Atoi(text)
		if err != nil || ms < 0 || ms > 1000 {
			return o, fmt.Errorf("-rtts %q: want milliseconds from 0 to 1000, such as 0,20,50", text)
		}
		o.rtts = append(o.rtts, ms)
	}
	slices.Sort(o.rtts)
	o.rtts = slices.Compact(o.rtts)
	if o.quick || len(o.loads) < len(loadNames()) {
		if !given["out"] {
			o.out = ""
		}
		if !given["svg"] {
			o.svg = ""
		}
	}
	return o, nil
}

// progress says what is being measured.
func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}
