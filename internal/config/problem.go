package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"lifeline"
)

// Problem is one thing that is wrong in a configuration.
type Problem struct {
	// File, Line and Column say where, counted from 1. Line is 0 where the
	// value does not stand in a file.
	File         string
	Line, Column int
	// Field is the path of the key: hosts.nexus.mode. "" for the file's form.
	Field string
	// Text says what is wrong, without a final full stop.
	Text string
	// Source is the line itself, its secrets hidden; "" if Line is 0.
	Source string
	// Hint is what to write instead; "" if Text says it.
	Hint string
}

// Error is the problem with its place and its line.
func (p *Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	b.WriteString(": ")
	if p.Field != "" {
		b.WriteString(p.Field + ": ")
	}
	b.WriteString(p.Text)
	if p.Source != "" {
		number := fmt.Sprintf("%5d", p.Line)
		line, caret := window(p.Source, p.Column)
		fmt.Fprintf(&b, "\n%s | %s\n%s | %s^", number, line, strings.Repeat(" ", len(number)), caret)
	}
	return b.String()
}

// lineWidth is how much of a long line is shown.
const lineWidth = 120

// window cuts a long line around a column and gives the blanks before the
// caret. Control characters are shown as a question mark, never obeyed.
func window(line string, column int) (shown, caret string) {
	runes := []rune(line)
	at := min(max(column-1, 0), len(runes))
	from := 0
	if len(runes) > lineWidth && at > lineWidth/2 {
		from = min(at-lineWidth/2, len(runes)-lineWidth)
	}
	to := min(len(runes), from+lineWidth)
	for i, r := range runes[from:to] {
		if !unicode.IsPrint(r) && r != '\t' {
			runes[from+i] = '?'
		}
	}
	blanks := strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, string(runes[from:min(at, to)]))
	return string(runes[from:to]), blanks
}

// problems are all that is wrong, in the order of the file.
type problems []*Problem

func (ps problems) Error() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.Error()
	}
	if len(texts) == 1 {
		return texts[0]
	}
	return "\n" + strings.Join(texts, "\n")
}

func (ps problems) Unwrap() []error {
	errs := make([]error, len(ps))
	for i, p := range ps {
		errs[i] = p
	}
	return errs
}

// err is nil without problems, and otherwise an error for a person.
func (ps problems) err(file string) error {
	if len(ps) == 0 {
		return nil
	}
	slices.SortStableFunc(ps, func(a, b *Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Field, b.Field))
	})
	var hints []string
	for _, p := range ps {
		if p.Hint != "" && !slices.Contains(hints, p.Hint) {
			hints = append(hints, p.Hint)
		}
	}
	if len(hints) == 0 {
		hints = []string{"docs/configuration.md lists every key"}
	}
	message := "the configuration is wrong"
	if len(ps) > 1 {
		message = fmt.Sprintf("%s has %d problems", file, len(ps))
	}
	return &lifeline.Error{Code: lifeline.CodeConfig, Message: message, Err: ps, Hint: strings.Join(hints, "\n")}
}

// place is where a key stands.
type place struct{ line, column int }

// source is the text that a configuration was read from.
type source struct {
	name   string
	lines  []string
	places map[string]place // by the path of the field
}

func newSource(name string, data []byte) *source {
	return &source{name: name, lines: strings.Split(strings.ReplaceAll(string(data), "\r\n", "\n"), "\n"), places: map[string]place{}}
}

// problem puts a complaint at its place. A field that is not in the file is
// put where the nearest field around it stands.
func (s *source) problem(field, text, hint string) *Problem {
	text = urlPassword().ReplaceAllString(text, "${1}…@")
	if s == nil {
		return &Problem{File: "lifeline.yaml", Field: field, Text: text, Hint: hint}
	}
	for at := field; at != ""; at = parent(at) {
		if where, ok := s.places[at]; ok {
			return s.problemAt(where, field, text, hint)
		}
	}
	return &Problem{File: s.name, Field: field, Text: text, Hint: hint}
}

func (s *source) problemAt(where place, field, text, hint string) *Problem {
	p := &Problem{File: s.name, Line: where.line, Column: where.column, Field: field, Text: text, Hint: hint}
	if where.line >= 1 && where.line <= len(s.lines) {
		p.Source = hideSecrets(s.lines[where.line-1])
	}
	return p
}

// parent is the path of the field around a field: that of hosts.a.mode is
// hosts.a, that of policy.rules[1] is policy.rules.
func parent(field string) string {
	return field[:max(strings.LastIndexAny(field, ".["), 0)]
}
