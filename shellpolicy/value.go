package shellpolicy

import "strings"

// shape says how much is known about one word of a command before it runs.
type shape uint8

const (
	exact   shape = iota // text is the word
	pattern              // text is a glob pattern that the word, or the paths it expands to, fit
	anyText              // the word begins with text; the rest is not known
)

// arg is one word of a command as its program will see it.
type arg struct {
	shape shape
	text  string
	// many: stands for zero or more words, not for one.
	many bool
	// safe: what is not known are names made of letters, digits and "_.:@-" that
	// begin with a letter or digit, or nothing. They cannot become a flag by
	// themselves or leave a folder.
	safe bool
}

func lit(s string) arg { return arg{text: s} }

// name is an unknown word of the safe kind.
func name(many bool) arg { return arg{shape: pattern, text: "*", safe: true, many: many} }

// isLit reports whether a is exactly s.
func (a arg) isLit(s string) bool { return a.shape == exact && a.text == s }

// mayBeFlag reports whether the program could take the word for an option.
func (a arg) mayBeFlag() bool {
	switch a.shape {
	case exact:
		return len(a.text) > 1 && a.text[0] == '-'
	case pattern:
		if a.safe { // the names may be empty
			return strings.HasPrefix(strings.TrimLeft(a.text, "*"), "-")
		}
		return strings.HasPrefix(a.text, "-") || strings.IndexAny(a.text, "*?[") == 0
	}
	return a.text == "" || a.text[0] == '-'
}

// show is the word for a person.
func (a arg) show() string {
	s := strings.ReplaceAll(a.text, anyDepth, "…")
	switch {
	case a.shape == anyText:
		s += "…"
	case a.shape == pattern && a.safe && s == "*":
		s = "a name that is known only when it runs"
	}
	if len(s) > 80 {
		s = s[:77] + "…"
	}
	return strings.ToValidUTF8(s, "")
}

// value is what a variable may hold, one entry for each possibility.
type value []arg

// anything is the value of a variable about which nothing is known.
func anything() value { return value{{shape: anyText}} }

// flow is what is known about the text that a command prints, and that the
// next command of a pipe reads.
type flow uint8

const (
	flowText     flow = iota // anything
	flowNone                 // nothing, or an empty line
	flowNames                // one safe name a line
	flowColumn               // lines whose first column is a safe name
	flowName                 // one safe name, or nothing
	flowNumber               // one number
	flowPaths                // paths below known folders, each ended by NUL
	flowTerminal             // not a pipe: what the session has, which is nothing
)

// stream is a flow with the folders below which its paths are.
type stream struct {
	flow  flow
	roots []string // patterns, for flowPaths
}

// word gives what one word read from the stream may be.
func (s stream) word(many bool) arg {
	switch s.flow {
	case flowNames:
		return name(many)
	case flowName, flowNumber:
		return name(false)
	}
	return arg{shape: anyText, many: many}
}

// anyDepth stands for any number of components of a path. No command can hold
// it: NUL is refused.
const anyDepth = "\x00"

// globsMeet reports whether some path could fit both patterns, whatever the
// case of its letters. In both, * and ? and […] are holes and a backslash makes
// the next character literal.
func globsMeet(a, b string) bool {
	return meet(strings.Split(a, "/"), strings.Split(b, "/"))
}

func meet(a, b []string) bool {
	switch {
	case len(a) == 0 && len(b) == 0:
		return true
	case len(a) > 0 && a[0] == anyDepth:
		if meet(a[1:], b) {
			return true
		}
		return len(b) > 0 && meet(a, b[1:])
	case len(b) > 0 && b[0] == anyDepth:
		return meet(b, a)
	case len(a) == 0 || len(b) == 0:
		return false
	}
	return componentsMeet(units(a[0]), units(b[0])) && meet(a[1:], b[1:])
}

// unit of a pattern: a character, ? for one unknown, * for any number.
type unit struct {
	r    rune
	hole bool
}

func units(s string) []unit {
	var out []unit
	runes := []rune(strings.ToLower(s))
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; r {
		case '\\':
			if i+1 < len(runes) {
				i++
				out = append(out, unit{r: runes[i]})
			}
		case '*', '?':
			out = append(out, unit{r: r, hole: true})
		case '[': // a class is one unknown character; an unclosed one is literal
			end := i + 1
			for end < len(runes) && (runes[end] != ']' || end == i+1) {
				end++
			}
			if end < len(runes) {
				out = append(out, unit{r: '?', hole: true})
				i = end
			} else {
				out = append(out, unit{r: r})
			}
		default:
			out = append(out, unit{r: r})
		}
	}
	return out
}

// componentsMeet is the usual table over both patterns; components are short.
func componentsMeet(a, b []unit) bool {
	star := func(u unit) bool { return u.hole && u.r == '*' }
	row := make([]bool, len(b)+1)
	row[0] = true
	for j, u := range b {
		row[j+1] = row[j] && star(u)
	}
	for _, ua := range a {
		next := make([]bool, len(b)+1)
		next[0] = row[0] && star(ua)
		for j, ub := range b {
			switch {
			case star(ua) || star(ub):
				next[j+1] = row[j+1] || next[j]
			case ua.hole || ub.hole || ua.r == ub.r:
				next[j+1] = row[j]
			}
		}
		row = next
	}
	return row[len(b)]
}

// escapeGlob makes a pattern that fits only s.
func escapeGlob(s string) string {
	if !strings.ContainsAny(s, `*?[\`) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`*?[\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
