package runbook

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"lifeline"
)

// frontMatter is the head of a runbook, between two lines of three dashes.
type frontMatter struct {
	// Name of the runbook: lower-case words with dashes. Required.
	Name located `yaml:"name"`
	// Title is one line for a person. Required.
	Title located `yaml:"title"`
	// Match says which alerts it is for. Required.
	Match struct {
		// Alerts are names of alerts, or regular expressions between slashes
		// that match the whole name.
		Alerts []located `yaml:"alerts"`
		// Labels that the alert must have, with such a value or /expression/.
		Labels map[string]located `yaml:"labels"`
		// Target is the kind of thing: container, unit, filesystem or host.
		Target located `yaml:"target"`
	} `yaml:"match"`
	// Diagnose are reads that run at the same time, before anything else.
	Diagnose []located `yaml:"diagnose"`
	// HealthyIf are reads that run with diagnose. If there are any and all
	// exit 0, nothing is wrong any more, and the fix is left out.
	HealthyIf []located `yaml:"healthy_if"`
	// Fix are changes, run one after another until one does not exit 0.
	Fix []located `yaml:"fix"`
	// Verify are reads that must exit 0 after the fix, besides Lifeline's own
	// look at the target.
	Verify []located `yaml:"verify"`
	// Next says what a person should look at if it did not help.
	Next located `yaml:"next"`
}

// located is a text with its place in the file.
type located struct {
	text         string
	line, column int
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (l *located) UnmarshalYAML(node ast.Node) error {
	pos := node.GetToken().Position
	l.line, l.column = pos.Line, pos.Column
	switch n := node.(type) {
	case *ast.LiteralNode: // "|" and ">"
		l.text = strings.TrimSpace(n.Value.Value)
	case ast.ScalarNode:
		if _, isNull := node.(*ast.NullNode); isNull {
			return nil
		}
		l.text = n.GetToken().Value
	default:
		return &fault{line: pos.Line, column: pos.Column, message: "want one line of text; put it in quotes if it holds {, [ or :"}
	}
	return nil
}

// fault is something wrong in a runbook, with its place.
type fault struct {
	file         string
	line, column int
	message      string
}

func (f *fault) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", f.file, f.line, f.column, f.message)
}

// parse reads one runbook.
func parse(file string, text []byte) (*Runbook, error) {
	head, body, ok := cutFrontMatter(text)
	if !ok {
		return nil, &fault{file, 1, 1, "a runbook begins with front matter between two lines of ---"}
	}
	var fm frontMatter
	if err := yaml.UnmarshalWithOptions(head, &fm, yaml.Strict()); err != nil {
		return nil, yamlFault(file, err)
	}
	book := &Runbook{File: file, Name: fm.Name.text, Title: fm.Title.text, next: fm.Next.text, body: strings.TrimSpace(string(body))}
	err := book.fill(fm)
	if f, ok := errors.AsType[*fault](err); ok {
		f.file, f.line, f.column = file, max(f.line, 1), max(f.column, 1)
	}
	return book, err
}

// cutFrontMatter splits a file. The head keeps its lines where they are in the
// file: its first line is a comment in place of the dashes.
func cutFrontMatter(text []byte) (head, body []byte, ok bool) {
	text = bytes.ReplaceAll(bytes.TrimPrefix(text, []byte("\ufeff")), []byte("\r\n"), []byte("\n"))
	rest, ok := bytes.CutPrefix(text, []byte("---\n"))
	if !ok {
		return nil, nil, false
	}
	rest = append(rest, '\n')
	end := bytes.Index(append([]byte("\n"), rest...), []byte("\n---\n"))
	if end < 0 {
		return nil, nil, false
	}
	return slices.Concat([]byte("#\n"), rest[:end]), rest[end+len("---\n"):], true
}

// yamlFault gives an error of the YAML library its place in the file.
func yamlFault(file string, err error) error {
	if f, ok := errors.AsType[*fault](err); ok {
		f.file = file
		return f
	}
	if e, ok := errors.AsType[yaml.Error](err); ok && e.GetToken() != nil {
		pos := e.GetToken().Position
		return &fault{file, pos.Line, pos.Column, e.GetMessage()}
	}
	return fmt.Errorf("%s: %w", file, err)
}

// fill checks the front matter and compiles its commands.
func (b *Runbook) fill(fm frontMatter) error {
	switch {
	case !regexp.MustCompile(`\A[a-z0-9]+(-[a-z0-9]+)*\z`).MatchString(fm.Name.text):
		return fm.Name.fault("name is %q: want lower-case words with dashes, for example container-down", fm.Name.text)
	case fm.Title.text == "":
		return fm.Title.fault("title is missing")
	case len(fm.Match.Alerts) == 0 && len(fm.Match.Labels) == 0 && fm.Match.Target.text == "":
		return fm.Name.fault("match is missing: say for which alerts the runbook is, by alerts, labels or target")
	case len(fm.Diagnose) == 0:
		return fm.Name.fault("diagnose is missing: at least one command that looks at the target")
	}
	var err error
	if b.match, err = newMatch(fm); err != nil {
		return err
	}
	for _, p := range []struct {
		to   *[]template
		from []located
	}{{&b.diagnose, fm.Diagnose}, {&b.healthyIf, fm.HealthyIf}, {&b.fix, fm.Fix}, {&b.verify, fm.Verify}} {
		for _, command := range p.from {
			t, err := newTemplate(command.text, b.match.target)
			if err != nil {
				return command.fault("%v", err)
			}
			*p.to = append(*p.to, t)
		}
	}
	return nil
}

func newMatch(fm frontMatter) (match, error) {
	m := match{target: lifeline.TargetKind(fm.Match.Target.text)}
	switch m.target {
	case "", lifeline.TargetContainer, lifeline.TargetUnit, lifeline.TargetFilesystem, lifeline.TargetHost:
	default:
		return m, fm.Match.Target.fault("target is %q: want container, unit, filesystem or host", m.target)
	}
	for _, name := range fm.Match.Alerts {
		p, err := newPattern(name.text)
		if err != nil {
			return m, name.fault("%v", err)
		}
		m.alerts = append(m.alerts, p)
	}
	for name, value := range fm.Match.Labels {
		p, err := newPattern(value.text)
		if err != nil {
			return m, value.fault("%v", err)
		}
		m.labels = append(m.labels, labelPattern{name, p})
	}
	return m, nil
}

func (l located) fault(format string, args ...any) error {
	return &fault{line: l.line, column: l.column, message: fmt.Sprintf(format, args...)}
}
