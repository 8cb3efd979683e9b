package config

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The bounds of a file. A person's configuration is far below them; they keep
// a wrong file from taking the process's memory or stack.
const (
	maxFileSize = 1 << 20
	maxNesting  = 64 // brackets and anchors within each other
)

// decoder fills a Config from a YAML tree. It knows the types of types.go and
// nothing else, so whatever it does not know is a problem and not ignored.
type decoder struct {
	src     *source
	found   problems
	anchors map[string]ast.Node
	resolve func(path string) (string, error) // makes a path absolute
}

// parseTree is the YAML parser, held to what a configuration may be. A nil
// node is an empty file.
func parseTree(data []byte) (node ast.Node, where place, err error) {
	// The parser is not ours: a defect in it is an error and not a crash.
	defer func() {
		if r := recover(); r != nil {
			node, err = nil, errors.New("this is not YAML that can be read")
		}
	}()
	if at, deep := tooDeep(data); deep {
		return nil, at, fmt.Errorf("more than %d levels of brackets", maxNesting)
	}
	file, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var e yaml.Error
		if errors.As(err, &e) {
			return nil, placeOf(e.GetToken()), errors.New(e.GetMessage())
		}
		return nil, place{}, err
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if body := bare(doc.Body); body != nil {
			bodies = append(bodies, body)
		}
	}
	switch len(bodies) {
	case 0:
		return nil, place{}, nil
	case 1:
		return bodies[0], place{}, nil
	}
	return nil, nodePlace(bodies[1]), errors.New("a second document begins here: one file is one configuration")
}

// tooDeep finds the place where flow brackets are nested beyond any use. It
// counts brackets inside quotes too, which errs on the safe side.
func tooDeep(data []byte) (place, bool) {
	depth, line, column := 0, 1, 0
	for _, b := range data {
		column++
		switch b {
		case '\n':
			line, column = line+1, 0
		case '[', '{':
			if depth++; depth > maxNesting {
				return place{line, column}, true
			}
		case ']', '}':
			depth = max(depth-1, 0)
		}
	}
	return place{}, false
}

// bare is a node without the comments around it; nil if nothing is left.
func bare(n ast.Node) ast.Node {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.CommentGroupNode:
		return nil
	case *ast.DirectiveNode:
		return nil
	default:
		return n
	}
}

func placeOf(tk *token.Token) place {
	if tk == nil || tk.Position == nil {
		return place{}
	}
	return place{tk.Position.Line, tk.Position.Column}
}

func nodePlace(n ast.Node) place {
	// A mapping's own token is the colon of its first entry.
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		return placeOf(m.Values[0].Key.GetToken())
	}
	return placeOf(n.GetToken())
}

func (d *decoder) complain(n ast.Node, field, text, hint string) {
	d.found = append(d.found, d.src.problemAt(nodePlace(n), field, text, hint))
}

// collectAnchors finds every &name before the values are read.
func (d *decoder) collectAnchors(n ast.Node) {
	ast.Walk(anchorVisitor(func(a *ast.AnchorNode) {
		if a.Name != nil && a.Value != nil {
			d.anchors[a.Name.GetToken().Value] = a.Value
		}
	}), n)
}

type anchorVisitor func(*ast.AnchorNode)

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		v(a)
	}
	return v
}

// follow sees through anchors and aliases. It gives nil after a complaint, and
// for a value that is not there.
func (d *decoder) follow(n ast.Node, field string) ast.Node {
	for range maxNesting {
		switch v := n.(type) {
		case nil:
			return nil
		case *ast.AnchorNode:
			n = v.Value
		case *ast.AliasNode:
			name := v.Value.GetToken().Value
			to, ok := d.anchors[name]
			if !ok {
				d.complain(n, field, fmt.Sprintf("no &%s is in this file", name), "")
				return nil
			}
			n = to
		case *ast.TagNode:
			d.complain(n, field, "tags such as "+v.Start.Value+" are not supported", "")
			return nil
		case *ast.NullNode, *ast.CommentGroupNode:
			return nil
		default:
			return n
		}
	}
	d.complain(n, field, "this alias leads to itself", "")
	return nil
}

// value reads one value. A missing one leaves the default.
func (d *decoder) value(n ast.Node, into reflect.Value, field string, is string) {
	n = d.follow(n, field)
	if n == nil {
		return
	}
	switch target := into.Addr().Interface().(type) {
	case *Duration:
		d.duration(n, target, field)
		return
	case *List:
		d.list(n, target, field, is)
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.structure(n, into, field)
	case reflect.Map:
		d.mapping(n, into, field)
	case reflect.Slice:
		d.slice(n, into, field)
	case reflect.String:
		if s, ok := d.text(n, field); ok {
			into.SetString(d.path(n, s, field, is))
		}
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			d.complain(n, field, "want true or false, got "+describe(n), "")
			return
		}
		into.SetBool(b.Value)
	case reflect.Int:
		d.integer(n, into, field)
	case reflect.Float64:
		d.number(n, into, field)
	default:
		panic("config: a field of kind " + into.Kind().String() + " has no reader")
	}
}

func (d *decoder) integer(n ast.Node, into reflect.Value, field string) {
	if i, ok := n.(*ast.IntegerNode); ok {
		switch v := i.Value.(type) {
		case int64:
			into.SetInt(v)
			return
		case uint64:
			if v <= 1<<62 {
				into.SetInt(int64(v))
				return
			}
		}
		d.complain(n, field, "the number is too large", "")
		return
	}
	d.complain(n, field, "want a whole number, got "+describe(n), "")
}

// number reads a number that may have a fraction.
func (d *decoder) number(n ast.Node, into reflect.Value, field string) {
	switch v := n.(type) {
	case *ast.FloatNode:
		into.SetFloat(v.Value)
	case *ast.IntegerNode:
		switch i := v.Value.(type) {
		case int64:
			into.SetFloat(float64(i))
		case uint64:
			into.SetFloat(float64(i))
		}
	default:
		d.complain(n, field, "want a number, got "+describe(n), "")
	}
}

func (d *decoder) duration(n ast.Node, into *Duration, field string) {
	if i, ok := n.(*ast.IntegerNode); ok {
		number := i.GetToken().Value
		d.complain(n, field, fmt.Sprintf("want a duration with its unit, got the number %s: did you mean %ss?", number, number), "")
		return
	}
	s, ok := d.text(n, field)
	if !ok {
		return
	}
	span, err := time.ParseDuration(s)
	if err != nil {
		d.complain(n, field, fmt.Sprintf("want a duration such as 30s, 5m or 1h30m, got %q", s), "")
		return
	}
	*into = Duration(span)
}

// text reads a text. A bare number or truth value is refused instead of being
// guessed at: 010 and 1_0 do not come back as they were written.
func (d *decoder) text(n ast.Node, field string) (string, bool) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, true
	case *ast.LiteralNode:
		return strings.TrimSuffix(v.Value.Value, "\n"), true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		d.complain(n, field, fmt.Sprintf("want text, got %s: put it in quotes if it is meant", describe(n)), "")
	default:
		d.complain(n, field, "want text, got "+describe(n), "")
	}
	return "", false
}

func (d *decoder) path(n ast.Node, s, field, is string) string {
	if is != "path" || s == "" {
		return s
	}
	full, err := d.resolve(s)
	if err != nil {
		d.complain(n, field, err.Error(), "")
		return s
	}
	return full
}

func (d *decoder) list(n ast.Node, into *List, field, is string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		if s, ok := d.text(n, field); ok {
			*into = List{d.path(n, s, field, is)}
		}
		return
	}
	list := make(List, 0, len(seq.Values))
	for i, entry := range seq.Values {
		name := fmt.Sprintf("%s[%d]", field, i)
		d.src.places[name] = nodePlace(entry)
		v := d.follow(entry, name)
		if v == nil {
			d.complain(entry, name, "want text, got nothing", "")
			continue
		}
		if s, ok := d.text(v, name); ok {
			list = append(list, d.path(v, s, name, is))
		}
	}
	*into = list
}

func (d *decoder) slice(n ast.Node, into reflect.Value, field string) {
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		d.complain(n, field, "want a list, got "+describe(n), "")
		return
	}
	list := reflect.MakeSlice(into.Type(), len(seq.Values), len(seq.Values))
	for i, entry := range seq.Values {
		name := fmt.Sprintf("%s[%d]", field, i)
		d.src.places[name] = nodePlace(entry)
		list.Index(i).Set(unwritten(into.Type().Elem()))
		d.value(entry, list.Index(i), name, "")
	}
	into.Set(list)
}

func (d *decoder) mapping(n ast.Node, into reflect.Value, field string) {
	entries, ok := d.entries(n, field, 0)
	if !ok {
		return
	}
	m := reflect.MakeMap(into.Type())
	for _, e := range entries {
		elem := reflect.New(into.Type().Elem()).Elem()
		elem.Set(unwritten(elem.Type()))
		name := join(field, e.name)
		d.src.places[name] = placeOf(e.key)
		d.value(e.value, elem, name, "")
		m.SetMapIndex(reflect.ValueOf(e.name), elem)
	}
	into.Set(m)
}

func (d *decoder) structure(n ast.Node, into reflect.Value, field string) {
	entries, ok := d.entries(n, field, 0)
	if !ok {
		return
	}
	fields := keysOf(into.Type())
	for _, e := range entries {
		name := join(field, e.name)
		i := indexOf(fields, e.name)
		if i < 0 {
			text, hint := unknownKey(fields, field, e.name)
			d.found = append(d.found, d.src.problemAt(placeOf(e.key), name, text, hint))
			continue
		}
		d.src.places[name] = placeOf(e.key)
		d.value(e.value, into.Field(fields[i].index), name, fields[i].is)
	}
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

// entry is one key of a mapping with its value.
type entry struct {
	name  string
	key   *token.Token
	value ast.Node
}

// entries reads a mapping. What << brings comes after the mapping's own keys
// and gives way to them; a key given twice is a problem.
func (d *decoder) entries(n ast.Node, field string, depth int) ([]entry, bool) {
	m, ok := n.(ast.MapNode)
	if !ok {
		d.complain(n, field, "want keys with values, got "+describe(n), "")
		return nil, false
	}
	var own, merged []entry
	seen := map[string]place{}
	merges := 0
	for it := m.MapRange(); it.Next(); {
		tk := it.Key().GetToken()
		if it.Key().IsMergeKey() {
			// One each: with two, mappings that bring in each other in turn would
			// double at every level.
			if merges++; merges > 1 {
				d.complain(it.Key(), field, "<< is given twice", "")
				return nil, false
			}
			from := d.follow(it.Value(), field)
			if depth >= maxNesting {
				d.complain(it.Key(), field, "this << leads to itself", "")
				return nil, false
			}
			if from != nil {
				more, ok := d.entries(from, field, depth+1)
				if !ok {
					return nil, false
				}
				merged = append(merged, more...)
			}
			continue
		}
		name := keyName(it.Key())
		if first, twice := seen[name]; twice {
			d.found = append(d.found, d.src.problemAt(placeOf(tk), join(field, name), fmt.Sprintf("the key is given twice, first in line %d", first.line), ""))
			continue
		}
		seen[name] = placeOf(tk)
		own = append(own, entry{name: name, key: tk, value: it.Value()})
	}
	for _, e := range merged {
		if _, given := seen[e.name]; !given {
			seen[e.name] = placeOf(e.key)
			own = append(own, e)
		}
	}
	return own, true
}

// keyName is a key as it was written, without its quotes.
func keyName(k ast.MapKeyNode) string {
	if s, ok := k.(*ast.StringNode); ok {
		return s.Value
	}
	return k.GetToken().Value
}

// describe names a value that was not wanted. Texts are not repeated: the line
// is shown with the problem, and a text may be a secret.
func describe(n ast.Node) string {
	switch v := n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "the number " + n.GetToken().Value
	case *ast.BoolNode:
		return "the truth value " + v.GetToken().Value
	case *ast.SequenceNode:
		return "a list"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "keys with values"
	}
	return "something else"
}
