package shellpolicy

import (
	"embed"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// The catalogue is data: one block of text for each program and sub-command.
//
//	docker|podman container? logs, …    words; | lists spellings, ? marks an optional word
//		flags -t -n=tail --tail=tail -f!unbounded
//		args container
//
// A flag is -x, -xyz (three of them), --long, and takes a value by "=KIND"
// (needed: attached or as the next word), "?=KIND" (attached or none) or
// "~=KIND" (attached, or the next word unless that is an option). -# stands for
// digits, as in head -20. Abbreviated long options are in no list, so refused.
// !EFFECT says what a flag or form does beyond the entry: a class, a mark, or
// one of the effects below.
//
// An operand is a KIND of kinds.go or {a,b,c}, once, ? * or +. Of several
// "args" lines the first that fits counts; "args -e,-f: …" holds when one of
// these flags was given. No args line: no operand.
//
//	shared …      flags that the sub-commands take too
//	is CLASS      change, destructive or unknown; read if not said
//	marks …       sensitive, egress, unbounded
//	style …       comes first. posix: options end at the first operand; words: -name is one
//	              option; raw: there are no options
//	need …        one of these flags must be given
//	wraps         after the operands comes a command, judged by itself
//	judge NAME    a Go function of special.go decides instead
//	out FLOW      what it prints: names, name, column, number, none, text, same
//	              (as what it reads), asis (as a format says); "if -q", "unless -c" or "alone" (no operands)
//	              makes it conditional; a second line adds another case
//	harmless      no option of it, listed or not, does more than change what it
//	              shows: a glob that expands to an option may stand there
//	stdin none    it sends what it reads: it may read nothing from the line
//	hint …        what would be allowed instead
//
//go:embed catalogue/*.txt
var catalogueFiles embed.FS

// Effects of flags and forms, besides classes and marks.
const (
	bounded   = "bounded"   // takes the mark unbounded away
	plain     = "plain"     // takes the entry's mark sensitive away
	recursive = "recursive" // folders are read with all that is in them
	nameOnly  = "nameonly"  // what is in a file is not shown
	asks      = "asks"      // a change that a person decides about in every mode
	listed    = "listed"    // satisfies an entry's "need listed"
	unnamed   = "unnamed"   // a change whose targets are not named: never let through
)

type style uint8

const (
	styleGNU style = iota
	stylePOSIX
	styleWords
	styleRaw
)

type valueMode uint8

const (
	noValue valueMode = iota
	needsValue
	optionalAttached
	optionalEither
)

type flag struct {
	name    string
	mode    valueMode
	kind    operand
	effects []string
}

// operand is one place for a word: a kind by name, or a list of exact words.
type operand struct {
	kind  string
	words []string
	// many is 0 for exactly one, or one of ? * +.
	many byte
}

// form is one way in which the operands may look.
type form struct {
	when     []string // holds if one of these flags was given; empty: always
	operands []operand
	effects  []string
}

// outRule says what an entry prints, if the flags are such. The first that holds
// counts.
type outRule struct {
	flow          flow
	same          bool     // lines of what it reads
	asis          bool     // what a format says
	given, absent []string // one of these, none of these
	alone         bool     // without operands
}

type entry struct {
	name          string
	flags, shared map[string]*flag
	subs          map[string]*entry
	forms         []form
	class         Class
	marks         []string
	style         style
	need          []string
	wraps         bool
	special       string
	outs          []outRule
	silentStdin   bool
	harmless      bool
	hint          string
	defined       bool
}

// catalogue is read once. The files are part of the program: a mistake in them
// is a mistake in the program.
var catalogue = sync.OnceValue(func() map[string]*entry {
	root := &entry{subs: map[string]*entry{}}
	names, err := catalogueFiles.ReadDir("catalogue")
	if err != nil {
		panic("shellpolicy: read the catalogue: " + err.Error())
	}
	for _, f := range names {
		text, err := catalogueFiles.ReadFile(path.Join("catalogue", f.Name()))
		if err != nil {
			panic("shellpolicy: read the catalogue: " + err.Error())
		}
		if err := readCatalogue(root, string(text)); err != nil {
			panic(fmt.Sprintf("shellpolicy: catalogue/%s: %v", f.Name(), err))
		}
	}
	return root.subs
})

func readCatalogue(root *entry, text string) error {
	var current []*entry
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, " \n")
		trimmed := strings.TrimSpace(line)
		if trimmed == "" || strings.HasPrefix(trimmed, "# ") || trimmed == "#" {
			continue
		}
		if line[0] != '\t' {
			current = nil
			for spelling := range strings.SplitSeq(trimmed, ", ") {
				for _, heading := range headings(strings.Fields(spelling)) {
					e, err := root.define(heading)
					if err != nil {
						return fmt.Errorf("line %d: %w", n, err)
					}
					current = append(current, e)
				}
			}
			continue
		}
		if len(current) == 0 {
			return fmt.Errorf("line %d: no entry begins before this line", n)
		}
		for _, e := range current {
			if err := e.read(trimmed); err != nil {
				return fmt.Errorf("line %d: %s: %w", n, e.name, err)
			}
		}
	}
	return nil
}

// headings spells out the alternatives of a heading.
func headings(words []string) [][]string {
	out := [][]string{nil}
	for _, w := range words {
		w, optional := strings.CutSuffix(w, "?")
		var next [][]string
		for _, so := range out {
			for alt := range strings.SplitSeq(w, "|") {
				next = append(next, append(slices.Clone(so), alt))
			}
			if optional {
				next = append(next, slices.Clone(so))
			}
		}
		out = next
	}
	return out
}

func (root *entry) define(words []string) (*entry, error) {
	e := root
	for i, w := range words {
		next := e.subs[w]
		if next == nil {
			next = &entry{name: strings.Join(words[:i+1], " "), class: Read,
				flags: map[string]*flag{}, shared: map[string]*flag{}, subs: map[string]*entry{}}
			e.subs[w] = next
		}
		e = next
	}
	if e.defined {
		return nil, fmt.Errorf("%s is defined twice", e.name)
	}
	e.defined = true
	return e, nil
}

// read takes one line of an entry's body.
func (e *entry) read(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	fields := strings.Fields(rest)
	switch word {
	case "flags", "shared":
		into := e.flags
		if word == "shared" {
			into = e.shared
		}
		for _, spec := range fields {
			if err := e.addFlag(into, spec); err != nil {
				return err
			}
		}
	case "args":
		return e.addForm(fields)
	case "is":
		e.class = Class(rest)
		if !slices.Contains([]Class{Read, Change, Destructive, Unknown}, e.class) {
			return fmt.Errorf("no class %q", rest)
		}
	case "marks":
		e.marks = append(e.marks, fields...)
		return checkEffects(fields)
	case "style":
		styles := map[string]style{"gnu": styleGNU, "posix": stylePOSIX, "words": styleWords, "raw": styleRaw}
		s, known := styles[rest]
		if !known {
			return fmt.Errorf("no style %q", rest)
		}
		e.style = s
	case "need":
		e.need = fields
	case "wraps":
		e.wraps = true
	case "judge":
		e.special = rest
		if !slices.Contains(specialNames(), rest) {
			return fmt.Errorf("no judge %q", rest)
		}
	case "out":
		return e.addOut(fields)
	case "stdin":
		e.silentStdin = rest == "none"
	case "harmless":
		e.harmless = true
	case "hint":
		e.hint = rest
	default:
		return fmt.Errorf("no keyword %q", word)
	}
	return nil
}

func checkEffects(effects []string) error {
	known := []string{string(Change), string(Destructive), string(Unknown), string(Sensitive), string(Egress),
		string(Unbounded), bounded, plain, recursive, nameOnly, asks, listed, unnamed}
	for _, e := range effects {
		if !slices.Contains(known, e) {
			return fmt.Errorf("no effect %q", e)
		}
	}
	return nil
}

func (e *entry) addFlag(into map[string]*flag, spec string) error {
	spec, effectText, has := strings.Cut(spec, "!")
	if spec == "" && has { // find's "!"
		into["!"] = &flag{name: "!"}
		return nil
	}
	f := flag{}
	if has {
		f.effects = strings.Split(effectText, "!")
		if err := checkEffects(f.effects); err != nil {
			return err
		}
	}
	name, kind, hasValue := strings.Cut(spec, "=")
	if hasValue {
		f.mode = needsValue
		if cut, ok := strings.CutSuffix(name, "?"); ok {
			name, f.mode = cut, optionalAttached
		} else if cut, ok := strings.CutSuffix(name, "~"); ok {
			name, f.mode = cut, optionalEither
		}
		op, err := newOperand(kind)
		if err != nil {
			return err
		}
		f.kind = op
	}
	names := []string{name}
	if e.style != styleWords && len(name) > 2 && name[0] == '-' && name[1] != '-' {
		if hasValue {
			return fmt.Errorf("flag %s: only one letter can take a value", name)
		}
		names = nil
		for _, r := range name[1:] {
			names = append(names, "-"+string(r))
		}
	}
	for _, n := range names {
		one := f
		one.name = n
		into[n] = &one
	}
	return nil
}

func newOperand(spec string) (operand, error) {
	op := operand{kind: spec}
	if last := spec[len(spec)-1]; last == '?' || last == '*' || last == '+' {
		op.many, op.kind = last, spec[:len(spec)-1]
	}
	if inner, ok := strings.CutPrefix(op.kind, "{"); ok {
		op.words = strings.Split(strings.TrimSuffix(inner, "}"), ",")
		return op, nil
	}
	if kinds(op.kind) == nil {
		return op, fmt.Errorf("no kind %q", op.kind)
	}
	return op, nil
}

func (e *entry) addForm(fields []string) error {
	var f form
	for i, field := range fields {
		if i == 0 && strings.HasSuffix(field, ":") {
			f.when = strings.Split(strings.TrimSuffix(field, ":"), ",")
			continue
		}
		if effect, ok := strings.CutPrefix(field, "!"); ok {
			f.effects = append(f.effects, effect)
			continue
		}
		op, err := newOperand(field)
		if err != nil {
			return err
		}
		f.operands = append(f.operands, op)
	}
	e.forms = append(e.forms, f)
	return checkEffects(f.effects)
}

func (e *entry) addOut(fields []string) error {
	flows := map[string]flow{"names": flowNames, "name": flowName, "column": flowColumn, "number": flowNumber, "none": flowNone, "same": flowText, "asis": flowText, "text": flowText}
	f, known := flows[fields[0]]
	if !known {
		return fmt.Errorf("no flow %q", fields[0])
	}
	rule := outRule{flow: f, same: fields[0] == "same", asis: fields[0] == "asis"}
	switch {
	case len(fields) == 2 && fields[1] == "alone":
		rule.alone = true
	case len(fields) > 2 && fields[1] == "if":
		rule.given = fields[2:]
	case len(fields) > 2 && fields[1] == "unless":
		rule.absent = fields[2:]
	case len(fields) > 1:
		return fmt.Errorf("out: want alone, or if or unless and flags")
	}
	e.outs = append(e.outs, rule)
	return nil
}
