// Package jsonpath finds values in a JSON text by the paths of gjson
// (https://github.com/tidwall/gjson/blob/master/SYNTAX.md), which gjson itself
// takes however they are written: here a path that cannot mean anything is an
// error that says what to write.
//
//	expr, err := jsonpath.Parse("{{host.name}}: {{output}}")
//	doc := jsonpath.NewDoc(data)
//	text, found := expr.Text(doc)
//
// An expression is a path, or a text with paths between {{ and }}. What it
// guarantees: no text that is read costs more than a bounded stack, also where
// @fromstr reads JSON that stands inside a text. What it does not do: it takes
// for granted that the outer text is JSON of bounded nesting.
package jsonpath

import (
	"strings"

	"github.com/tidwall/gjson"
)

// MaxNesting bounds objects and lists within each other in what @fromstr reads.
const MaxNesting = 64

// Doc is a JSON text to look at. It is not safe for concurrent use.
type Doc struct {
	text string
	// whole is the message that the text is a part of; nil if it is no part.
	whole *Doc
	// kept are values of the whole that were looked up already: it is asked the
	// same for each of its parts.
	kept map[string]gjson.Result
}

// NewDoc is a whole message, valid JSON.
func NewDoc(data []byte) *Doc {
	return &Doc{text: string(data), kept: map[string]gjson.Result{}}
}

// Parts are the entries of the list that a path leads to, each as a part of the
// message. What is there and no list is one part. False: there is nothing.
func (d *Doc) Parts(p Path) ([]*Doc, bool) {
	r := p.get(d)
	if !present(r) {
		return nil, false
	}
	if !r.IsArray() {
		return []*Doc{{text: r.Raw, whole: d}}, true
	}
	parts := []*Doc{}
	r.ForEach(func(_, entry gjson.Result) bool {
		parts = append(parts, &Doc{text: entry.Raw, whole: d})
		return true
	})
	return parts, true
}

// Names lists the names in the object that the text is; nil if it is none.
func (d *Doc) Names() []string {
	r := gjson.Parse(d.text)
	if !r.IsObject() {
		return nil
	}
	var names []string
	r.ForEach(func(name, _ gjson.Result) bool {
		names = append(names, name.String())
		return true
	})
	return names
}

// Path is a path of gjson that was checked. The zero Path finds nothing.
type Path struct {
	source string
	// whole: the path began with "$." and starts at the whole message.
	whole bool
	// segments stand between the @fromstr of the path.
	segments []string
}

// String is the path as it was written.
func (p Path) String() string { return p.source }

// Set reports whether there is a path.
func (p Path) Set() bool { return p.source != "" }

// Text is the value as text: texts as they are, numbers and truth values as
// they stand, a list of those joined with ", ", anything else as JSON. A null
// counts as nothing.
func (p Path) Text(d *Doc) (string, bool) {
	r := p.get(d)
	if !present(r) {
		return "", false
	}
	return textOf(r), true
}

func present(r gjson.Result) bool { return r.Exists() && r.Type != gjson.Null }

func textOf(r gjson.Result) string {
	switch {
	case r.Type == gjson.String:
		return r.Str
	case !r.IsArray():
		return r.Raw
	}
	var texts []string
	plain := true
	r.ForEach(func(_, entry gjson.Result) bool {
		plain = entry.Type != gjson.JSON
		texts = append(texts, entry.String())
		return plain
	})
	if !plain {
		return r.Raw
	}
	return strings.Join(texts, ", ")
}

func (p Path) get(d *Doc) gjson.Result {
	if len(p.segments) == 0 {
		return gjson.Result{}
	}
	if !p.whole || d.whole == nil {
		return p.walk(d.text)
	}
	r, known := d.whole.kept[p.source]
	if !known {
		r = p.walk(d.whole.text)
		d.whole.kept[p.source] = r
	}
	return r
}

func (p Path) walk(text string) gjson.Result {
	var r gjson.Result
	for i, segment := range p.segments {
		if i > 0 { // here stood @fromstr; what is JSON already stays as it is
			text = r.Raw
			if r.Type == gjson.String {
				text = r.Str
			}
			if tooDeep(text) || !gjson.Valid(text) {
				return gjson.Result{}
			}
		}
		r = gjson.Parse(text)
		if segment != "" {
			r = gjson.Get(text, segment)
		}
		if !r.Exists() {
			return r
		}
	}
	return r
}

// tooDeep counts brackets, those inside of texts too, which errs on the safe
// side: gjson follows them with its stack.
func tooDeep(text string) bool {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '[', '{':
			if depth++; depth > MaxNesting {
				return true
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return false
}
