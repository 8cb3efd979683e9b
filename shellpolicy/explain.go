package shellpolicy

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Part is what one command of a line, or one construct in it, adds to the
// verdict.
type Part struct {
	// Text is the command, shortened where it is long; "" for a construct that
	// is no command.
	Text     string   `json:"text"`
	Class    Class    `json:"class"`
	Marks    []Mark   `json:"marks"`
	Decision Decision `json:"decision"`
	// Rule and Reason are as in Verdict.
	Rule   string `json:"rule"`
	Reason string `json:"reason"`
}

// Explain is Judge, with the parts that the verdict was made of in the order in
// which they stand in the line. There are none if the line could not be read.
func Explain(command string, p Policy) (Verdict, []Part) {
	v, j := judgeLine(command, p)
	parts := []Part{}
	for _, f := range j.findings {
		r := p.decide(f)
		parts = append(parts, Part{
			Text: f.shown, Class: f.class, Marks: append([]Mark{}, f.marks...),
			Decision: r.decision, Rule: r.rule, Reason: r.reason,
		})
	}
	return v, parts
}

// Entry is a program, or a sub-command of one, that the catalogue models.
type Entry struct {
	// Name is the program and its sub-commands: "docker restart".
	Name string `json:"name"`
	// Class of its plainest form; flags and operands can make it worse.
	Class Class  `json:"class"`
	Marks []Mark `json:"marks"`
}

// Catalogue lists what is modelled, by name.
func Catalogue() []Entry {
	var all []Entry
	var list func(words []string, e *entry)
	list = func(words []string, e *entry) {
		if e.defined {
			one := Entry{Name: strings.Join(words, " "), Class: cmp.Or(e.class, Read), Marks: []Mark{}}
			for _, m := range e.marks {
				one.Marks = append(one.Marks, Mark(m))
			}
			all = append(all, one)
		}
		for _, word := range slices.Sorted(maps.Keys(e.subs)) {
			list(append(slices.Clone(words), word), e.subs[word])
		}
	}
	list(nil, &entry{subs: catalogue()})
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return all
}
