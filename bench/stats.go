package main

import (
	"fmt"
	"slices"
)

// spread is what several measurements of the same thing came to.
type spread struct {
	Median, Min, Max float64
}

// spreadOf gives the spread of at least one value; the median of an even
// number is the mean of the two in the middle.
func spreadOf(values []float64) spread {
	if len(values) == 0 {
		panic("bench: the spread of no values")
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	s := spread{Median: sorted[middle], Min: sorted[0], Max: sorted[len(sorted)-1]}
	if len(sorted)%2 == 0 {
		s.Median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return s
}

// text is the median and, if it was measured more than once, the spread.
func (s spread) text(digits int) string {
	if s.Min == s.Max {
		return fmt.Sprintf("%.*f", digits, s.Median)
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", digits, s.Median, digits, s.Min, digits, s.Max)
}

// sample is one run of one method in one cell.
type sample struct {
	answer
	// Connections that the server let in during the run: sshd's own log, or
	// the in-memory server's own count.
	Connections int
}

// cell is one row of measurements that are compared with each other.
type cell struct {
	Load string
	// Case tells the cells of a load apart; "" if it has one.
	Case string
	RTT  int // nominal round-trip time in milliseconds
}

// results of all runs, by cell and method.
type results struct {
	cells   []cell // in the order in which they were begun
	methods map[cell][]string
	samples map[cell]map[string][]sample
	// rtts are the measured round-trip times in milliseconds, by nominal one.
	rtts map[int]float64
}

func newResults() *results {
	return &results{methods: map[cell][]string{}, samples: map[cell]map[string][]sample{}, rtts: map[int]float64{}}
}

// begin fixes the order in which a cell and its methods are reported.
func (r *results) begin(c cell, methods []string) {
	r.cells = append(r.cells, c)
	r.methods[c] = methods
	r.samples[c] = map[string][]sample{}
}

func (r *results) add(c cell, method string, s sample) {
	r.samples[c][method] = append(r.samples[c][method], s)
}

// of gives the samples of a method; none if it was not measured there.
func (r *results) of(c cell, method string) []sample { return r.samples[c][method] }

// cellsOf lists the cells of a load in their order.
func (r *results) cellsOf(load string) []cell {
	var found []cell
	for _, c := range r.cells {
		if c.Load == load {
			found = append(found, c)
		}
	}
	return found
}

func each(samples []sample, value func(sample) float64) spread {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = value(s)
	}
	return spreadOf(values)
}

func wallMS(s sample) float64      { return s.WallSeconds * 1e3 }
func cpuMS(s sample) float64       { return s.CPUSeconds * 1e3 }
func connections(s sample) float64 { return float64(s.Connections) }
func rate(s sample) float64        { return float64(s.Answered) / s.WallSeconds }
func peakMB(s sample) float64      { return float64(s.PeakBytes) / 1e6 }

// perCommand is a value divided by the commands that were asked for.
func perCommand(value func(sample) float64) func(sample) float64 {
	return func(s sample) float64 { return value(s) / float64(s.Answered+s.Lost) }
}

// idleKB is what one idle connection costs the client, in kB.
func idleKB(s sample) float64 { return float64(s.IdleBytes) / 1e3 / float64(max(s.Answered, 1)) }

// lost sums over the runs: how many commands failed for the caller, and of how
// many.
func lost(samples []sample) (failed, asked int) {
	for _, s := range samples {
		failed += s.Lost
		asked += s.Lost + s.Answered
	}
	return failed, asked
}

// firstError is what the caller was told first.
func firstError(samples []sample) string {
	for _, s := range samples {
		if s.FirstError != "" {
			return s.FirstError
		}
	}
	return ""
}
