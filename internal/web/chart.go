package web

import (
	"fmt"
	"time"

	"lifeline"
)

// Measures of a chart, in its own units.
const (
	chartWidth  = 720
	chartHeight = 130
	chartLeft   = 56 // for the scale
	chartTop    = 12
	chartBottom = 22 // for the times
)

// chart is a row of bars over time, drawn on the server. A bar may have a second
// part on top of it.
type chart struct {
	ID, Title, Summary string
	Width, Height      int
	Left, Base         int
	Bars               []chartBar
	// Scale are the values at the lines across, Times those below.
	Scale []scaleLine
	Times []tick
	// Lower and Upper name the two parts of a bar; "": there is one.
	Lower, Upper string
	Empty        bool
}

type chartBar struct {
	X, Width     float64
	LowY, LowH   float64
	HighY, HighH float64
	Title        string
}

type scaleLine struct {
	Y    float64
	Text string
}

// sampleRow is a sample as text.
type sampleRow struct {
	At                     time.Time
	Commands               int
	Opened, Reused         int
	Reuse, Median, Slowest string
}

// value is what one bar shows: the whole, its lower part, and both in words.
type value struct {
	low, high float64
	words     string
}

// hostCharts are the last hours of a host; nil without samples.
func hostCharts(series []lifeline.HostSample) []chart {
	if len(series) == 0 {
		return nil
	}
	var commands, opened, reused int
	var slowest time.Duration
	for _, s := range series {
		commands, opened, reused, slowest = commands+s.Commands, opened+s.Opened, reused+s.Reused, max(slowest, s.RunMost)
	}
	span := "within " + took(time.Duration(len(series))*lifeline.SeriesStep)
	seconds := func(v float64) string { return took(time.Duration(v * float64(time.Second))) }
	count := func(v float64) string { return fmt.Sprintf("%.0f", v) }
	return []chart{
		newChart("commands", "Commands", fmt.Sprintf("%s %s, in steps of %s.", plural(commands, "command"), span, took(lifeline.SeriesStep)), "", "", series, count,
			func(s lifeline.HostSample) value {
				return value{low: float64(s.Commands), words: plural(s.Commands, "command")}
			}),
		newChart("latency", "How long commands ran", fmt.Sprintf("Median and slowest of each step. The slowest took %s.", took(slowest)), "median", "slowest", series, seconds,
			func(s lifeline.HostSample) value {
				return value{low: s.RunMedian.Seconds(), high: max(s.RunMost-s.RunMedian, 0).Seconds(), words: "median " + took(s.RunMedian) + ", slowest " + took(s.RunMost)}
			}),
		newChart("reuse", "Connections", fmt.Sprintf("%s opened, reused %s: %s of the commands found one open.", plural(opened, "connection"), times(reused), percent(reused, opened+reused)),
			"reused", "opened", series, count,
			func(s lifeline.HostSample) value {
				return value{low: float64(s.Reused), high: float64(s.Opened), words: fmt.Sprintf("%d reused, %d opened", s.Reused, s.Opened)}
			}),
	}
}

func newChart(id, title, summary, lower, upper string, series []lifeline.HostSample, scale func(float64) string, of func(lifeline.HostSample) value) chart {
	c := chart{ID: id, Title: title, Summary: summary, Lower: lower, Upper: upper, Width: chartWidth, Height: chartHeight, Left: chartLeft, Base: chartHeight - chartBottom}
	most := 0.0
	for _, s := range series {
		v := of(s)
		most = max(most, v.low+v.high)
	}
	c.Empty = most == 0
	most = roundUp(most)
	room := float64(c.Base - chartTop)
	stride := float64(chartWidth-chartLeft) / float64(max(len(series), 1))
	for i, s := range series {
		v := of(s)
		x := chartLeft + float64(i)*stride
		if i%max(len(series)/6, 1) == 0 && x < chartWidth-36 {
			c.Times = append(c.Times, tick{X: x, Text: s.At.UTC().Format("15:04")})
		}
		if v.low+v.high == 0 {
			continue
		}
		b := chartBar{X: x + 0.5, Width: max(stride-1.5, 1), LowH: room * v.low / most, HighH: room * v.high / most, Title: s.At.UTC().Format("15:04") + " UTC: " + v.words}
		b.LowY = float64(c.Base) - b.LowH
		b.HighY = b.LowY - b.HighH
		c.Bars = append(c.Bars, b)
	}
	if !c.Empty {
		for _, part := range []float64{1, 0.5} {
			c.Scale = append(c.Scale, scaleLine{Y: float64(c.Base) - room*part, Text: scale(most * part)})
		}
	}
	return c
}

// roundUp is the next 1, 2 or 5 of its power of ten, twice a whole number from
// 2 on, so that the line in the middle reads well.
func roundUp(v float64) float64 {
	if v <= 0 {
		return 1
	}
	power := 1.0
	for power < v {
		power *= 10
	}
	for power/10 >= v {
		power /= 10
	}
	for _, part := range []float64{0.2, 0.4, 0.6, 0.8} {
		if power*part >= v {
			return power * part
		}
	}
	return power
}

// sampleRows are the steps in which something happened, newest first.
func sampleRows(series []lifeline.HostSample) []sampleRow {
	var rows []sampleRow
	for i := len(series) - 1; i >= 0; i-- {
		s := series[i]
		if s.Commands+s.Opened+s.Reused == 0 {
			continue
		}
		rows = append(rows, sampleRow{At: s.At, Commands: s.Commands, Opened: s.Opened, Reused: s.Reused, Reuse: percent(s.Reused, s.Opened+s.Reused),
			Median: took(s.RunMedian), Slowest: took(s.RunMost)})
	}
	return rows
}
