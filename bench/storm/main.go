// Command storm measures Lifeline under a storm of alerts: the real binary, as
// its owner would run it, with simulated hosts that are reached over SSH and can
// be broken.
//
//	go run ./bench/storm           # a few minutes; or: make storm
//	go run ./bench/storm -quick    # less than a minute: a look, not a result
//
// Two things are measured. Intake: how many alerts are taken in a second, with
// one and with many in a body, beside what the disk of the same folder can do in
// the same minute. Then the storm: alerts about many hosts, some of them really
// broken, from many senders at once; the time until each has its 2xx, until
// every broken host is repaired and until every incident has ended, with the
// connections that the hosts have seen and the memory of Lifeline's process.
//
// What was measured replaces the chapter "A storm of alerts" of RESULTS.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "storm: %v\n", err)
		stop()
		os.Exit(1)
	}
}

// options of one run.
type options struct {
	hosts, broken, alerts int
	senders               int // posts under way at the same time during the storm
	posts                 int // of each load on the intake
	out                   string
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("storm", flag.ContinueOnError)
	quick := flags.Bool("quick", false, "20 hosts and 1,000 alerts: a look, not a result")
	flags.IntVar(&o.hosts, "hosts", 200, "simulated hosts")
	flags.IntVar(&o.broken, "broken", 50, "how many of them are really broken")
	flags.IntVar(&o.alerts, "alerts", 10_000, "alerts of the storm")
	flags.IntVar(&o.senders, "senders", 32, "posts under way at the same time")
	flags.IntVar(&o.posts, "posts", 2_000, "posts of each load on the intake")
	flags.StringVar(&o.out, "out", "bench/RESULTS.md", "`file` whose chapter is replaced; empty: nowhere")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if *quick {
		o.hosts, o.broken, o.alerts, o.posts, o.out = 20, 5, 1_000, 200, ""
	}
	if o.broken > o.hosts || o.alerts < o.hosts || o.senders < 1 || o.posts < 1 {
		return o, errors.New("want no more broken hosts than hosts, an alert for each host, and at least one sender and post")
	}
	return o, nil
}

func run(ctx context.Context, args []string) error {
	o, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lifeline-storm-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	binary, err := build(ctx, dir)
	if err != nil {
		return err
	}
	var r results
	r.options = o
	if r.intake, err = measureIntake(ctx, binary, dir, o); err != nil {
		return fmt.Errorf("intake: %w", err)
	}
	if r.storm, err = measureStorm(ctx, binary, dir, o); err != nil {
		return fmt.Errorf("storm: %w", err)
	}
	text := r.text(ctx)
	fmt.Print(text)
	if o.out == "" {
		return nil
	}
	return replaceChapter(o.out, text)
}
