// Package redact takes secrets out of what hosts and alerts say, before a
// model, a log, a page, a notification or the database sees it.
//
//	r := redact.New(modelKey, webhookToken)
//	text, n := r.Text("postgres://app:hunter2@db/shop") // postgres://app:[redacted: url-password]@db/shop
//
// Found are: the values that New was given, in any place; tokens that a vendor
// gives a recognisable form; values of names that sound like a secret
// (DB_PASSWORD=…, "token": "…", --password …, password=… in a connection
// string); passwords in URLs; Authorization headers and cookies; private keys;
// password hashes.
//
// Guaranteed: the number of lines stays the same, no character is cut in two,
// redacting twice is redacting once, and identifiers that are no secrets stay
// (container and image IDs, digests, UUIDs, commits). The time grows with the
// text only: 128 KiB take a few milliseconds.
//
// Not guaranteed: that every secret is found. One that stands alone without a
// name and without a vendor's form looks like any other word, and one that was
// encoded, split or reversed is not recognised. Redaction is a net below the
// policy, which does not let secrets be read in the first place.
package redact

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// mark begins what stands where a secret was.
const mark = "[redacted: "

// shortestKnown bounds, in bytes, the values of New that are looked for:
// looking for a shorter one would take ordinary words out of every output.
const shortestKnown = 6

// Redactor takes secrets out. It does not change after New and is safe for
// concurrent use.
type Redactor struct {
	known  []string // longest first, so that one within another does not break it up
	tokens [256][]token
}

// New makes a Redactor that also knows the given values: Lifeline's own
// secrets. Values of less than 6 bytes are not looked for.
func New(known ...string) *Redactor {
	r := &Redactor{}
	for _, k := range known {
		k = strings.TrimSpace(k)
		if len(k) < shortestKnown {
			continue
		}
		quoted := strconv.Quote(k)
		for _, form := range []string{k, url.QueryEscape(k), url.PathEscape(k), quoted[1 : len(quoted)-1]} {
			if !slices.Contains(r.known, form) {
				r.known = append(r.known, form)
			}
		}
	}
	slices.SortFunc(r.known, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	all := tokens() // the longest prefix first: it says more
	slices.SortStableFunc(all, func(a, b token) int { return cmp.Compare(len(b.prefix), len(a.prefix)) })
	for _, t := range all {
		first := t.prefix[0]
		r.tokens[first] = append(r.tokens[first], t)
	}
	return r
}

// passes bounds how often a text is looked at: what was taken out can leave the
// beginning of a word where there was none before.
const passes = 4

// Text gives the text without its secrets, and how many there were.
func (r *Redactor) Text(s string) (string, int) {
	out := s
	for range passes {
		found := r.find(out)
		if len(found) == 0 {
			break
		}
		out = without(out, found)
	}
	if out == s {
		return s, 0
	}
	return out, max(1, strings.Count(out, mark)-strings.Count(s, mark))
}

// without puts marks in the places of secrets.
func without(s string, found []span) string {
	var b strings.Builder
	b.Grow(len(s))
	at := 0
	for _, f := range found {
		b.WriteString(s[at:f.start])
		b.WriteString(mark + f.rule + "]")
		at = f.end
	}
	b.WriteString(s[at:])
	return b.String()
}

// Field is Text for a value that has a name, such as a label of an alert: a
// name that sounds like a secret makes the whole value one.
func (r *Redactor) Field(name, value string) (string, int) {
	if k := kindOf(name); k != plain && k.takes(value, attached) && !strings.HasPrefix(value, mark) {
		lines := strings.Count(value, "\n")
		return mark + k.rule() + "]" + strings.Repeat("\n", lines), 1
	}
	return r.Text(value)
}

// Output is Text for the beginning and the end of an output of which the middle
// is missing; cut is false if nothing is. The words next to the cut may be
// halves of a secret that cannot be recognised any more, so they are taken out
// too.
func (r *Redactor) Output(head, tail []byte, cut bool) (newHead, newTail []byte, n int) {
	if !cut { // the two meet: a secret may stand on both sides
		text, n := r.Text(string(head) + string(tail))
		return []byte(text), nil, n
	}
	h, m := r.Text(string(head))
	t, n := r.Text(string(tail))
	h, broken := dropLast(h)
	if broken {
		m++
	}
	t, broken = dropFirst(t)
	if broken {
		n++
	}
	return []byte(h), []byte(t), m + n
}

// longestBroken bounds, in bytes, what is taken out beside a cut. The longest
// tokens that are in use are JWTs of a few kilobytes.
const longestBroken = 4 << 10

// dropLast takes out the last word of a text that is cut behind it.
func dropLast(s string) (string, bool) {
	i := len(s)
	for i > 0 && !ends(s[i-1]) && len(s)-i < longestBroken {
		i--
	}
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	if i == len(s) || endsRedacted(s) {
		return s, false
	}
	return s[:i] + mark + "cut]", true
}

// dropFirst takes out the first word of a text that is cut before it.
func dropFirst(s string) (string, bool) {
	i := 0
	for i < len(s) && !ends(s[i]) && i < longestBroken {
		i++
	}
	for i < len(s) && !utf8.RuneStart(s[i]) {
		i++
	}
	if i == 0 || strings.HasPrefix(s, mark) {
		return s, false
	}
	return mark + "cut]" + s[i:], true
}

// endsRedacted reports whether a text ends with a mark.
func endsRedacted(s string) bool {
	i := strings.LastIndex(s, mark)
	return i >= 0 && strings.IndexByte(s[i:], ']') == len(s)-i-1
}

// ends reports whether a word ends before the byte.
func ends(c byte) bool { return c <= ' ' || c == '"' || c == '\'' || c == '`' || c == '<' || c == '>' }

// span is one secret in a text. No span holds a line feed.
type span struct {
	start, end int
	rule       string
}

// longestValue bounds, in bytes, how far a secret reaches, and so the time that
// a text made of nothing but beginnings of secrets takes.
const longestValue = 8 << 10

// scan looks for the secrets of one text.
type scan struct {
	text  string
	found []span
	// until is where the last secret that was found ends.
	until int
	// noJWT is the end of what looked like a JWT and is none.
	noJWT int
}

func (s *scan) add(rule string, start, end int) {
	if start < end && !strings.HasPrefix(s.text[start:], mark) {
		s.found = append(s.found, span{start, end, rule})
		s.until = max(s.until, end)
	}
}

// find gives the secrets in order, none within another.
func (r *Redactor) find(text string) []span {
	s := &scan{text: text}
	for _, k := range r.known {
		s.values(k)
	}
	s.privateKeys()
	s.until = 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ':':
			s.url(i)
			s.assigned(i)
		case c == '=':
			s.assigned(i)
		case c == ',':
			s.listed(i)
		case c == '>':
			s.element(i)
		case c == ' ' || c == '\t' || c == 0:
			s.flag(i)
		case c == '-':
			s.option(i)
		case c == '$':
			s.hash(i)
		case c == '~':
			s.azure(i)
		case isAlnum(c) && (i == 0 || !isWord(text[i-1]) && text[i-1] != '+'):
			s.phrase(i)
			for _, t := range r.tokens[c] {
				s.token(t, i)
			}
			if c >= '0' && c <= '9' {
				s.telegram(i)
			}
		}
		if s.until > i { // nothing more is to be found within a secret
			i = s.until - 1
		}
	}
	return s.merged()
}

// values finds one of Lifeline's own secrets.
func (s *scan) values(known string) {
	for from := 0; ; {
		i := strings.Index(s.text[from:], known)
		if i < 0 {
			return
		}
		from += i
		s.add("lifeline", from, from+len(known))
		from += len(known)
	}
}

// merged joins what overlaps. What begins first gives the name.
func (s *scan) merged() []span {
	slices.SortStableFunc(s.found, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end))
	})
	var out []span
	for _, f := range s.found {
		if n := len(out); n > 0 && f.start < out[n-1].end {
			out[n-1].end = max(out[n-1].end, f.end)
			continue
		}
		out = append(out, f)
	}
	return out
}

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func isWord(c byte) bool { return isAlnum(c) || c == '_' }

// longestBefore bounds, in bytes, how much of a line before a place is looked at.
const longestBefore = 400

// lineEnd is where the line of i ends, or a value that begins there has to. NUL
// ends a line too: it stands between the variables of a process.
func (s *scan) lineEnd(i int) int {
	most := min(len(s.text), i+longestValue)
	for i < most && s.text[i] != '\n' && s.text[i] != '\r' && s.text[i] != 0 {
		i++
	}
	return i
}

// lineStart is where the line of i begins, or what is looked at of it.
func (s *scan) lineStart(i int) int {
	least := max(0, i-longestBefore)
	for i > least && s.text[i-1] != '\n' && s.text[i-1] != '\r' && s.text[i-1] != 0 {
		i--
	}
	return i
}
