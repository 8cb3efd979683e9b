package jsonpath

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// maxPath bounds a path, in bytes.
const maxPath = 1000

// modifiers are the modifiers of gjson that may stand in a path. @pretty and
// @valid are not among them: they change nothing about a value that is found.
func modifiers() []string {
	return []string{"dig", "flatten", "fromstr", "group", "join", "keys", "reverse", "this", "tostr", "ugly", "values"}
}

// ParsePath reads a path. An error is a phrase that says what is wrong with it.
func ParsePath(source string) (Path, error) {
	switch {
	case strings.TrimSpace(source) == "":
		return Path{}, errors.New("the path is empty")
	case strings.TrimSpace(source) != source:
		return Path{}, fmt.Errorf("the path %q has blanks around it", source)
	case len(source) > maxPath:
		return Path{}, fmt.Errorf("the path has more than %d bytes", maxPath)
	case strings.ContainsFunc(source, unicode.IsControl):
		return Path{}, fmt.Errorf("the path %q has a control character in it", source)
	}
	p := Path{source: source}
	rest := source
	if after, ok := strings.CutPrefix(rest, "$."); ok {
		p.whole, rest = true, after
	}
	parts, err := split(rest)
	if err != nil {
		return Path{}, fmt.Errorf("the path %q: %w", source, err)
	}
	begin := 0 // of the segment
	for i, c := range parts {
		if err := c.check(i == 0 || rest[c.at-1] == '|'); err != nil {
			return Path{}, fmt.Errorf("the path %q: %w", source, err)
		}
		if c.text == "@fromstr" {
			p.segments = append(p.segments, rest[begin:max(c.at-1, begin)])
			begin = min(c.at+len(c.text)+1, len(rest))
		}
	}
	p.segments = append(p.segments, rest[begin:])
	return p, nil
}

// component is what stands between the dots and bars of a path.
type component struct {
	text string
	at   int // in the path
}

// split takes a path apart at the dots and bars that stand outside of brackets
// and quotes.
func split(path string) ([]component, error) {
	var parts []component
	var open []byte // the closing brackets to come
	begin, quoted := 0, false
	for i := 0; i < len(path); i++ {
		switch c := path[i]; {
		case c == '\\':
			if i++; i == len(path) {
				return nil, errors.New(`a \ at the end has nothing to stand before`)
			}
		case quoted:
			quoted = c != '"'
		case c == '"' && (len(open) > 0 || path[begin] == '!' || path[begin] == '@'):
			quoted = true
		case c == '(' || c == '[' || c == '{':
			open = append(open, map[byte]byte{'(': ')', '[': ']', '{': '}'}[c])
		case c == ')' || c == ']' || c == '}':
			if len(open) == 0 || open[len(open)-1] != c {
				return nil, fmt.Errorf("%c closes nothing", c)
			}
			open = open[:len(open)-1]
		case (c == '.' || c == '|') && len(open) == 0:
			parts = append(parts, component{path[begin:i], begin})
			begin = i + 1
		}
	}
	switch {
	case quoted:
		return nil, errors.New(`a " is not closed`)
	case len(open) > 0:
		return nil, fmt.Errorf("a %c is missing", open[len(open)-1])
	}
	return append(parts, component{path[begin:], begin}), nil
}

// check holds one component to what gjson can make sense of. begins: it stands
// at the beginning of the path or behind a bar.
func (c component) check(begins bool) error {
	if c.text == "" {
		return errors.New("a name is missing beside a dot or a bar: write a.b")
	}
	if strings.ContainsAny(c.text, "([{") && strings.Contains(c.text, "@") && strings.Contains(c.text, "fromstr") {
		return errors.New("@fromstr cannot stand inside of brackets")
	}
	switch c.text[0] {
	case '@':
		name, argument, _ := strings.Cut(c.text[1:], ":")
		if !slices.Contains(modifiers(), name) {
			return fmt.Errorf(`there is no modifier @%s: there are @%s; if the key is called that, write \@%s`,
				name, strings.Join(modifiers(), ", @"), name)
		}
		if name == "fromstr" && argument != "" {
			return errors.New("@fromstr takes no argument")
		}
	case '!':
		if !literal(c.text[1:]) {
			return fmt.Errorf(`%s is no value: write !"text", !1 or !true; if the key is called that, write \%s`, c.text, c.text)
		}
	case '$':
		if c.text == "$" {
			return errors.New(`$ stands at the beginning only, before a dot, for the whole message; if the key is called that, write \$`)
		}
	case '#':
		if rest := c.text[1:]; rest != "" && rest[0] != '(' {
			return fmt.Errorf(`%s: write # for all entries of a list, #(key=="value") for one; if the key begins with it, write \%s`, c.text, c.text)
		}
	case '[', '{':
		if !begins {
			return errors.New("a list of paths in brackets stands at the beginning, or behind a bar")
		}
	case ' ':
		return fmt.Errorf("the name %q begins with a blank", c.text)
	}
	return nil
}

func literal(s string) bool {
	return s == "true" || s == "false" || len(s) > 2 && s[0] == '"' && s[len(s)-1] == '"' || s != "" && strings.Trim(s, "0123456789.-") == ""
}
