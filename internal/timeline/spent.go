package timeline

import (
	"fmt"
	"strings"

	"lifeline"
	"lifeline/internal/escape"
)

// Spent says what models used, for a person: tokens, and money where it is
// known. "no model was asked" if nothing.
func Spent(s lifeline.Spent) string {
	if s.Answers == 0 {
		return "no model was asked"
	}
	about := ""
	if s.Estimated > 0 {
		about = "about "
	}
	text := fmt.Sprintf("%s%d tokens in %s (%d in, %d out, %d read from and %d written to the cache)",
		about, s.Tokens(), answers(s.Answers), s.Input, s.Output, s.CacheRead, s.CacheWrite)
	switch {
	case s.Unpriced == s.Answers:
		return text + ", price unknown (model.prices)"
	case s.Unpriced > 0:
		return text + fmt.Sprintf(", %s%s and %s of unknown price", about, Dollars(s.MicroUSD), answers(s.Unpriced))
	}
	return text + ", " + about + Dollars(s.MicroUSD)
}

func answers(n int64) string {
	if n == 1 {
		return "1 answer"
	}
	return fmt.Sprintf("%d answers", n)
}

// Dollars is an amount in millionths of a US dollar as a person reads it: to
// the cent from a dollar on, else to the hundredth of a cent.
func Dollars(micro int64) string {
	switch {
	case micro >= 1e6:
		return fmt.Sprintf("$%.2f", float64(micro)/1e6)
	case micro == 0:
		return "$0"
	case micro < 100:
		return "less than $0.0001"
	}
	return fmt.Sprintf("$%.4f", float64(micro)/1e6)
}

// ModelLines is a line for each model that answered in an incident, in the
// order of their first answers, with what it used.
func ModelLines(usage []lifeline.Usage) []string {
	var names []string
	sums := map[string]lifeline.Spent{}
	for _, u := range usage {
		if _, known := sums[u.Model]; !known {
			names = append(names, u.Model)
		}
		sums[u.Model] = sums[u.Model].Add(u)
	}
	lines := make([]string, len(names))
	for i, name := range names {
		lines[i] = name + ": " + Spent(sums[name])
	}
	return lines
}

// UsageText is the section of an incident's text about its models; "" if none
// was asked.
func UsageText(usage []lifeline.Usage) string {
	if len(usage) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\nModels\n")
	for _, line := range ModelLines(usage) {
		fmt.Fprintf(&b, "  %s\n", escape.Line(line))
	}
	return b.String()
}

// UsageMarkdown is UsageText as Markdown.
func UsageMarkdown(usage []lifeline.Usage) string {
	if len(usage) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("\n## Models\n\n")
	for _, line := range ModelLines(usage) {
		fmt.Fprintf(&b, "- %s\n", inline(line))
	}
	return b.String()
}
