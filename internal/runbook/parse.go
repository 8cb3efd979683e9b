package runbook

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"lifeline"
	"lifeline/internal/check"
	"lifeline/internal/pattern"
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
	// Undo are changes that take the fix back, newest first. They run when the
	// fix has made things worse.
	Undo []located `yaml:"undo"`
	// Verify are checks that must be good after the fix, besides Lifeline's own
	// look at the target: a command that must exit 0, or keys.
	Verify []verification `yaml:"verify"`
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

// verification is one entry of verify, with its place and those of its keys.
type verification struct {
	located // the command, or the place of the keys
	spec    check.Spec
	keys    map[string]located
}

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (v *verification) UnmarshalYAML(node ast.Node) error {
	pairs, ok := node.(ast.MapNode)
	if !ok {
		err := v.located.UnmarshalYAML(node)
		v.spec.Command, v.keys = v.text, map[string]located{"command": v.located}
		return err
	}
	v.keys = map[string]located{}
	for it := pairs.MapRange(); it.Next(); {
		var value located
		pos := it.Key().GetToken().Position
		name := it.Key().GetToken().Value
		if _, twice := v.keys[name]; twice {
			return &fault{line: pos.Line, column: pos.Column, message: fmt.Sprintf("the key %s is given twice", name)}
		}
		if len(v.keys) == 0 {
			v.line, v.column = pos.Line, pos.Column
		}
		if err := value.UnmarshalYAML(it.Value()); err != nil {
			return err
		}
		v.keys[name] = value
		var err error
		switch name {
		case "command":
			v.spec.Command = value.text
		case "http":
			v.spec.HTTP = value.text
		case "status":
			v.spec.Status, err = strconv.Atoi(value.text)
		case "tcp":
			v.spec.TCP = value.text
		case "prometheus":
			v.spec.Prometheus = value.text
		case "expect":
			v.spec.Expect = value.text
		case "timeout":
			v.spec.Timeout, err = time.ParseDuration(value.text)
		default:
			return &fault{line: pos.Line, column: pos.Column,
				message: fmt.Sprintf("unknown field %q: a check has command, http, status, tcp, prometheus, expect and timeout", name)}
		}
		if err != nil {
			return value.fault("%s is %q: want %s", name, value.text, map[string]string{"status": "a number such as 200", "timeout": "a duration such as 5s"}[name])
		}
	}
	return nil
}

// compile reads the check, and gives what is wrong its place.
func (v verification) compile(target lifeline.TargetKind) (*check.Check, error) {
	if v.text == "" && len(v.keys) == 1 && v.spec == (check.Spec{}) {
		if _, command := v.keys["command"]; command {
			return nil, v.fault("the command is empty")
		}
	}
	c, err := check.Compile(v.spec, target, "match.target")
	if f, ok := errors.AsType[*check.Fault](err); ok {
		at, known := v.keys[f.Field]
		if !known {
			at = v.located
		}
		return nil, at.fault("%s", f.Text)
	}
	return c, err
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
		to   *[]check.Template
		from []located
	}{{&b.diagnose, fm.Diagnose}, {&b.healthyIf, fm.HealthyIf}, {&b.fix, fm.Fix}, {&b.undo, fm.Undo}} {
		for _, command := range p.from {
			t, err := check.NewTemplate(command.text, check.Shell, b.match.target, "match.target")
			if err != nil {
				return command.fault("%v", err)
			}
			*p.to = append(*p.to, t)
		}
	}
	for _, v := range fm.Verify {
		c, err := v.compile(b.match.target)
		if err != nil {
			return err
		}
		b.verify = append(b.verify, c)
	}
	if len(fm.Undo) > 0 && len(fm.Fix) == 0 {
		return fm.Undo[0].fault("undo takes a fix back, and there is no fix")
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
		p, err := pattern.New(name.text)
		if err != nil {
			return m, name.fault("%v", err)
		}
		m.alerts = append(m.alerts, p)
	}
	for name, value := range fm.Match.Labels {
		p, err := pattern.New(value.text)
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
