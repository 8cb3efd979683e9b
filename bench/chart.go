package main

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// The chart's measures, in pixels.
const (
	chartWidth = 860
	labelWidth = 300
	barsWidth  = 330
	barHeight  = 11
	groupGap   = 14
	chartTop   = 76
)

// chart is the founding workload as a picture: for each method its wall time at
// each round-trip time, and the connections and losses that it took. The colours
// follow the reader's light or dark setting.
func chart(r *results) string {
	cells := r.cellsOf("founding")
	ids := r.methods[cells[0]]
	longest := 0.0
	for _, c := range cells {
		for _, id := range ids {
			longest = max(longest, each(r.of(c, id), wallMS).Median)
		}
	}
	height := chartTop + len(ids)*(len(cells)*barHeight+groupGap) + 6
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif" font-size="12" role="img" aria-labelledby="title">
<title id="title">The founding workload by method: wall time, connections and lost commands</title>
<style>
text { fill: #1f2328; } .faint { fill: #59636e; } .bad { fill: #c62828; } .ours { fill: #1a7f4b; } .theirs { fill: #6e7781; }
.name { font-weight: 600; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .faint { fill: #9198a1; } .bad { fill: #ff7b72; } .ours { fill: #3fb97a; } .theirs { fill: #8b949e; }
}
</style>
<text x="8" y="22" font-size="15" font-weight="600">24 commands, 8 at once, nothing connected yet</text>
<text x="8" y="42" class="faint">wall time in ms (median); connections as sshd counted them; lost = failed for the caller</text>
`, chartWidth, height)
	x := 8
	for i, c := range cells {
		fmt.Fprintf(&b, `<rect x="%d" y="53" width="12" height="%d" class="theirs" opacity="%s"/><text x="%d" y="62" class="faint">round trip %d ms</text>`+"\n",
			x, barHeight-2, shade(i, len(cells)), x+17, c.RTT)
		x += 130
	}
	y := chartTop
	for _, id := range ids {
		m := methodOf(id)
		class, bold := "theirs", ""
		if m.ours {
			class, bold = "ours", ` class="name"`
		}
		middle := y + len(cells)*barHeight/2 + 4
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end"%s>%s</text>`+"\n", labelWidth-10, middle, bold, escapeXML(m.label))
		worst, failed, asked := 0.0, 0, 0
		for i, c := range cells {
			ms := each(r.of(c, id), wallMS).Median
			width := max(2, int(math.Round(ms/longest*barsWidth)))
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" class="%s" opacity="%s"/><text x="%d" y="%d" font-size="10" class="faint">%.0f</text>`+"\n",
				labelWidth, y+i*barHeight, width, barHeight-2, class, shade(i, len(cells)), labelWidth+width+5, y+i*barHeight+8, ms)
			worst = max(worst, each(r.of(c, id), connections).Median)
			f, n := lost(r.of(c, id))
			failed, asked = failed+f, asked+n
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d"><tspan%s>%s</tspan>, <tspan%s>%s</tspan></text>`+"\n", labelWidth+barsWidth+48, middle,
			bad(worst > 1), plural(int(worst), "connection"), bad(failed > 0), lostText(failed, asked))
		y += len(cells)*barHeight + groupGap
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// shade tells the round-trip times apart.
func shade(i, n int) string { return fmt.Sprintf("%.2f", 1-0.6*float64(n-1-i)/float64(max(n-1, 1))) }

func bad(is bool) string {
	if is {
		return ` class="bad"`
	}
	return ""
}

func lostText(failed, asked int) string {
	if failed == 0 {
		return "none lost"
	}
	return fmt.Sprintf("%.1f %% lost", 100*float64(failed)/float64(asked))
}

func escapeXML(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder takes everything
	return b.String()
}
