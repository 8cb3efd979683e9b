// Package runbook reads and works runbooks: written procedures, in Markdown
// with YAML front matter, that say how a fault is looked at, repaired and
// checked. Where no model is set up a runbook works the incident by its front
// matter alone; where one is, its body is the model's guidance.
//
//	set, err := runbook.Load(os.DirFS("runbooks"))
//	book, ok := set.Match(alert, target)
//	report, err := book.Work(ctx, steps, door, timeline, attempt)
//
// Guaranteed: a runbook that loads has no unknown key and no unknown
// placeholder; a value that is put into a command was checked for its kind and
// is one word to the shell; every command goes through the door that Work was
// given; each command is one durable step with an ID that is the same after a
// crash, so that the door can tell a repetition.
//
// A runbook has no conditions but one: healthy_if, which skips the fix. What
// needs more judgement needs a model or a person.
package runbook

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"lifeline"
	"lifeline/internal/check"
)

// Runbook is one procedure. Load makes it; it does not change afterwards.
type Runbook struct {
	// Name identifies it; an owner's runbook replaces a shipped one of the same name.
	Name string
	// Title is one line for a person.
	Title string
	// File that it was read from.
	File string

	match match
	// The commands of each part, in the order of the file.
	diagnose, healthyIf, fix, undo []check.Template
	verify                         []*check.Check
	next                           string
	body                           string
	// owner is set by Merge: the owner's runbooks are preferred.
	owner bool
	// address is set by WithAddresses.
	address func(host string) string
}

// Guidance is the text below the front matter: what a model is told.
func (b *Runbook) Guidance() string { return b.body }

// Commands gives every command of the runbook as it would be asked for on the
// target, by part: "diagnose", "healthy_if", "fix", "undo" and "verify". Tests
// and `lifeline policy` judge them with it.
func (b *Runbook) Commands(t lifeline.Target) (map[string][]string, error) {
	out := map[string][]string{}
	for part, templates := range map[string][]check.Template{
		"diagnose": b.diagnose, "healthy_if": b.healthyIf, "fix": b.fix, "undo": b.undo,
	} {
		commands := make([]string, len(templates))
		for i, template := range templates {
			var err error
			if commands[i], err = template.Render(t, b.addressOf(t.Host)); err != nil {
				return nil, err
			}
		}
		out[part] = commands
	}
	checks, err := b.checks(t)
	if err != nil {
		return nil, err
	}
	out["verify"] = []string{}
	for _, c := range checks {
		if c.Command != "" {
			out["verify"] = append(out["verify"], c.Command)
		}
	}
	return out, nil
}

// Checks are the runbook's own checks of the target, which must be good after
// an attempt, whoever made it.
func (b *Runbook) Checks(t lifeline.Target) ([]lifeline.Check, error) {
	checks, err := b.checks(t)
	if err != nil {
		return nil, fmt.Errorf("the runbook %s cannot be used on the %s: %w", b.Name, t, err)
	}
	return checks, nil
}

func (b *Runbook) checks(t lifeline.Target) (checks []lifeline.Check, err error) {
	for _, v := range b.verify {
		c, err := v.For(t, b.addressOf(t.Host))
		if err != nil {
			return nil, err
		}
		checks = append(checks, c)
	}
	return checks, nil
}

// addressOf is what {{address}} stands for; "" for the host's name.
func (b *Runbook) addressOf(host string) string {
	if b.address == nil {
		return ""
	}
	return b.address(host)
}

// Set is a collection of runbooks with different names.
type Set struct {
	// books in the order in which Match tries them.
	books []*Runbook
}

// Load reads every *.md file at the top of fsys, except README.md. The first
// fault is the error: it names the file, the line and the column.
func Load(fsys fs.FS) (*Set, error) {
	files, err := fs.Glob(fsys, "*.md")
	if err != nil {
		return nil, fmt.Errorf("list runbooks: %w", err)
	}
	byName := map[string]*Runbook{}
	for _, file := range files {
		if strings.EqualFold(path.Base(file), "README.md") {
			continue
		}
		text, err := fs.ReadFile(fsys, file)
		if err != nil {
			return nil, fmt.Errorf("read runbook %s: %w", file, err)
		}
		book, err := parse(file, text)
		if err != nil {
			return nil, err
		}
		if other, twice := byName[book.Name]; twice {
			return nil, fmt.Errorf("%s: the name %q is taken by %s: rename one of them", file, book.Name, other.File)
		}
		byName[book.Name] = book
	}
	return newSet(byName), nil
}

// Merge gives both sets as one. A runbook of the owner replaces the shipped one
// of the same name, and is tried before the shipped ones otherwise. A nil set
// is an empty one.
func Merge(shipped, owner *Set) *Set {
	byName := map[string]*Runbook{}
	for _, b := range shipped.All() {
		byName[b.Name] = b
	}
	for _, b := range owner.All() {
		own := *b
		own.owner = true
		byName[own.Name] = &own
	}
	return newSet(byName)
}

// WithAddresses is the set whose runbooks know the address under which each host
// is reached: what {{address}} stands for. "" stands for the host's name.
func (s *Set) WithAddresses(address func(host string) string) *Set {
	out := &Set{}
	for _, b := range s.All() {
		own := *b
		own.address = address
		out.books = append(out.books, &own)
	}
	return out
}

func newSet(byName map[string]*Runbook) *Set {
	return &Set{books: slices.SortedFunc(maps.Values(byName), before)}
}

// All gives the runbooks in the order in which Match tries them.
func (s *Set) All() []*Runbook {
	if s == nil {
		return nil
	}
	return slices.Clone(s.books)
}

// Get finds a runbook by its name.
func (s *Set) Get(name string) (*Runbook, bool) {
	for _, b := range s.All() {
		if b.Name == name {
			return b, true
		}
	}
	return nil, false
}

// Match finds the runbook for an alert about a target. Of several that match,
// it takes the most specific one: the owner's before the shipped; then the one
// with more label matchers; then one that names the alert exactly before one
// with a regular expression before one for any alert; then one that names the
// kind of target before one for any; then the first by name.
func (s *Set) Match(a lifeline.Alert, t lifeline.Target) (*Runbook, bool) {
	var best *Runbook
	bestHow := 0
	for _, b := range s.All() { // in the order of everything but how the name matched
		how := b.match.matches(a, t)
		if how == noMatch {
			continue
		}
		switch {
		case best == nil:
		case best.owner != b.owner || len(best.match.labels) != len(b.match.labels):
			return best, true
		case how <= bestHow:
			continue
		}
		best, bestHow = b, how
	}
	return best, best != nil
}
