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
		hole := strings.IndexAny(a.text, "*?[") == 0
		if at := singleClass.FindStringIndex(a.text); at != nil && at[0] == 0 {
			hole = false
		}
		return strings.HasPrefix(a.text, "-") || hole
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
