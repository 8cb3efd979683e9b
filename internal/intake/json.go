package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxNesting bounds objects and lists within each other. Alertmanager's
// messages have three levels.
const maxNesting = 32

// jsonReader takes values out of a JSON text one after another and keeps only
// what is asked for, so that a message costs little more memory than its bytes.
// It is stricter than encoding/json: names are taken as they are written, and a
// name that stands twice in one object is a problem, since another reader could
// take the other value.
type jsonReader struct {
	data  []byte
	dec   *json.Decoder
	depth int
	// hint tells what a message should look like.
	hint string
	// within is the path of the field that the text stands in, if it is not the
	// body itself.
	within string
}

func (j *jsonReader) begin() {
	j.dec = json.NewDecoder(bytes.NewReader(j.data))
	j.dec.UseNumber()
}

// checkSyntax finds what is not JSON. After it, reading cannot come across a
// syntax error any more.
func (j *jsonReader) checkSyntax() error {
	err := json.Unmarshal(j.data, new(json.RawMessage))
	if err == nil {
		return nil
	}
	at := len(j.data)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok && !strings.HasPrefix(syntax.Error(), "unexpected end") {
		at = max(min(int(syntax.Offset)-1, at), 0)
	}
	return j.problemAt(at, "", "The body is not JSON: "+err.Error()+".", "Check the sender's template, if it has one.")
}

// problemAt is a problem with its place in the text.
func (j *jsonReader) problemAt(at int, field, detail, next string) *problem {
	before := j.data[:min(max(at, 0), len(j.data))]
	p := malformed(detail, next)
	if p.Field = field; j.within != "" {
		p.Field = strings.TrimSuffix(j.within+"."+field, ".")
	}
	p.Line = bytes.Count(before, []byte("\n")) + 1
	p.Column = utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return p
}

// at is where the next value or name begins.
func (j *jsonReader) at() int {
	at := int(j.dec.InputOffset())
	for at < len(j.data) && strings.IndexByte(" \t\r\n:,", j.data[at]) >= 0 {
		at++
	}
	return at
}

// next is the next token with its place.
func (j *jsonReader) next() (json.Token, int, error) {
	at := j.at()
	tok, err := j.dec.Token()
	if err != nil {
		return nil, at, j.problemAt(at, "", "The body is not JSON: "+err.Error()+".", "")
	}
	return tok, at, nil
}

// want is a problem with a value of the wrong kind.
func (j *jsonReader) want(at int, field, what string, got json.Token) *problem {
	return j.problemAt(at, field, fmt.Sprintf("Want %s, got %s.", what, kindOf(got)), j.hint)
}

func kindOf(tok json.Token) string {
	switch tok := tok.(type) {
	case nil:
		return "null"
	case string:
		return "the text " + shown(tok)
	case json.Number:
		return "the number " + shown(tok.String())
	case bool:
		return fmt.Sprintf("%t", tok)
	case json.Delim:
		if tok == '[' {
			return "a list"
		}
		return "an object"
	}
	return "something else"
}

// enter counts the levels of objects and lists.
func (j *jsonReader) enter(at int, field string) error {
	if j.depth++; j.depth > maxNesting {
		return j.problemAt(at, field, fmt.Sprintf("Objects and lists stand more than %d levels within each other.", maxNesting), j.hint)
	}
	return nil
}

// leave takes the closing bracket.
func (j *jsonReader) leave() error {
	j.depth--
	_, _, err := j.next()
	return err
}

// object reads an object and calls each for every name in it; each must take
// the value. A null is an object without names.
func (j *jsonReader) object(field string, each func(name string) error) error {
	tok, at, err := j.next()
	if err != nil || tok == nil {
		return err
	}
	if tok != json.Delim('{') {
		return j.want(at, field, "an object", tok)
	}
	return j.names(at, field, each)
}

// names reads an object from behind its bracket, which stands at at.
func (j *jsonReader) names(at int, field string, each func(name string) error) error {
	if err := j.enter(at, field); err != nil {
		return err
	}
	seen := map[string]bool{}
	for j.dec.More() {
		tok, at, err := j.next()
		if err != nil {
			return err
		}
		name, _ := tok.(string)
		if seen[name] {
			return j.problemAt(at, join(field, name), "The name stands twice in the same object.", "Check the sender's template, if it has one.")
		}
		seen[name] = true
		if err := each(name); err != nil {
			return err
		}
	}
	return j.leave()
}

// list reads a list and calls each for every entry of it; each must take the
// entry. A null is an empty list.
func (j *jsonReader) list(field string, each func(i int) error) error {
	tok, at, err := j.next()
	if err != nil || tok == nil {
		return err
	}
	if tok != json.Delim('[') {
		return j.want(at, field, "a list", tok)
	}
	return j.entries(at, field, each)
}

// entries reads a list from behind its bracket, which stands at at.
func (j *jsonReader) entries(at int, field string, each func(i int) error) error {
	if err := j.enter(at, field); err != nil {
		return err
	}
	for i := 0; j.dec.More(); i++ {
		if err := each(i); err != nil {
			return err
		}
	}
	return j.leave()
}

// skip takes a value that nobody asked for. It is held to the same rules.
func (j *jsonReader) skip(field string) error {
	tok, at, err := j.next()
	if err != nil {
		return err
	}
	switch tok {
	case json.Delim('{'):
		return j.names(at, field, func(name string) error { return j.skip(join(field, name)) })
	case json.Delim('['):
		return j.entries(at, field, func(int) error { return j.skip(field) })
	}
	return nil
}

// text reads a text; a null is "". U+0000, which not every database can keep,
// becomes U+FFFD.
func (j *jsonReader) text(field string) (string, error) {
	tok, at, err := j.next()
	if err != nil || tok == nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", j.want(at, field, "text", tok)
	}
	return withoutNUL(s), nil
}

func withoutNUL(s string) string { return strings.ReplaceAll(s, "\x00", "\ufffd") }

// texts reads an object whose values are texts.
func (j *jsonReader) texts(field string) (map[string]string, error) {
	all := map[string]string{}
	err := j.object(field, func(name string) error {
		s, err := j.text(join(field, name))
		all[withoutNUL(name)] = s
		return err
	})
	return all, err
}

// time reads an RFC 3339 time as UTC. A null, an empty text and the year 1,
// with which Go writes that there is none, are the zero time.
func (j *jsonReader) time(field string) (time.Time, error) {
	at := j.at()
	s, err := j.text(field)
	if err != nil || s == "" {
		return time.Time{}, err
	}
	t, err := time.Parse(time.RFC3339, s)
	// A zone can carry a time out of the years that can be written down again.
	if t = t.UTC(); err != nil || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, j.problemAt(at, field, "Want a time such as 2026-01-31T15:04:05Z, got "+shown(s)+".", j.hint)
	}
	return t, nil
}

// count reads a number of things. What is none counts as 0: it is only told.
func (j *jsonReader) count(field string) (int, error) {
	at := j.at()
	if at < len(j.data) && (j.data[at] == '{' || j.data[at] == '[') {
		return 0, j.skip(field)
	}
	tok, _, err := j.next()
	number, _ := tok.(json.Number)
	n, _ := number.Int64()
	return int(max(n, 0)), err
}

// scalar reads a text, number or truth value as text. Anything else, a null
// among it, is "".
func (j *jsonReader) scalar(field string) (string, error) {
	if at := j.at(); at < len(j.data) && (j.data[at] == '{' || j.data[at] == '[') {
		return "", j.skip(field)
	}
	tok, _, err := j.next()
	switch v := tok.(type) {
	case string:
		return withoutNUL(v), err
	case json.Number:
		return v.String(), err
	case bool:
		return strconv.FormatBool(v), err
	}
	return "", err
}

// scalars reads an object whose values are taken as scalar takes them; those
// that are "" are left out.
func (j *jsonReader) scalars(field string) (map[string]string, error) {
	all := map[string]string{}
	err := j.object(field, func(name string) error {
		s, err := j.scalar(join(field, name))
		if s != "" {
			all[withoutNUL(name)] = s
		}
		return err
	})
	return all, err
}

// join is the path of a name in an object: alerts[0].labels.host. A name that
// could be misread is quoted.
func join(field, name string) string {
	if len(name) > 60 || strings.ContainsFunc(name, func(r rune) bool { return r == '.' || r == ' ' || !unicode.IsPrint(r) }) {
		name = shown(name)
	}
	if field == "" {
		return name
	}
	return field + "." + name
}
