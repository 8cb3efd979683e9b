package shellpolicy

import (
	"fmt"
	"regexp"
	"strings"
)

// awkProgram accepts awk programs that can only print: no system, no getline,
// no pipe, no file to write to, no list of further files, no environment.
func awkProgram(c *call, a arg) string {
	if a.shape != exact {
		return "an awk program that is known only when it runs is not judged: write it out"
	}
	if m := awkForbidden.FindString(a.text); m != "" {
		return fmt.Sprintf("the awk program uses %q, which can run or read something else", strings.TrimSpace(m))
	}
	r := &awkReader{text: a.text}
	if why := r.read(); why != "" {
		return fmt.Sprintf("the awk program %q: %s", clip(a.text), why)
	}
	if c.stdin.flow == flowColumn || c.stdin.flow == flowNames {
		if firstColumn.MatchString(a.text) {
			c.out = stream{flow: flowNames}
		}
	}
	return ""
}

// awkForbidden is looked for everywhere, in strings and comments too: a wrong
// idea of where a string ends must not hide it.
var awkForbidden = regexp.MustCompile(`\b(?:system|getline|ENVIRON|ARGV|ARGC|ARGIND|PROCINFO|SYMTAB|FUNCTAB|function|func|extension)\b|@|\|&|/inet`)

var firstColumn = regexp.MustCompile(`\A[^{}]*\{[ \t]*print[ \t]*\$1[ \t;]*\}[ \t\n]*\z`)

// awkKnown are the functions that an awk program may call.
var awkKnown = regexp.MustCompile(`\A(?:length|substr|index|split|gsub|sub|gensub|match|tolower|toupper|sprintf|int|sqrt|exp|log|sin|cos|atan2|rand|strftime|systime|mktime|asort|asorti|strtonum|and|or|xor|lshift|rshift)\z`)

var awkKeyword = regexp.MustCompile(`\A(?:print|printf|return|delete|else|do|in|if|while|for|case|exit|next|BEGIN|END)\z`)

// awkReader splits a program into tokens, in the places where awk itself would.
// Where awks differ it refuses.
type awkReader struct {
	text string
	i    int

	operand  bool   // the last token was a value: "/" divides, ">" compares
	doubtful bool   // after ++, -- or length: awks differ about "/"
	printing bool   // between print and the end of its statement
	paren    []bool // the open brackets: is it the one of if, while or for?
	printAt  int    // how many brackets were open at print
	control  bool   // the last token was if, while or for
}

func (r *awkReader) read() string {
	for r.i < len(r.text) {
		ch := r.text[r.i]
		switch {
		case ch == ' ' || ch == '\t':
			r.i++
			continue
		case ch == '\n' || ch == ';' || ch == '{' || ch == '}':
			if len(r.paren) == 0 {
				r.printing = false
			}
			r.mark(false)
		case ch == '#':
			return "comments are not judged"
		case ch == '"':
			if !r.string() {
				return "a string is not closed"
			}
			continue
		case ch == '/':
			if r.doubtful {
				return "a / that different awks read differently"
			}
			if !r.operand {
				if why := r.regexp(); why != "" {
					return why
				}
				continue
			}
			r.mark(false)
		case ch == '\\':
			return "a backslash outside of a string"
		case isWordByte(ch):
			if why := r.word(); why != "" {
				return why
			}
			continue
		default:
			if why := r.operator(); why != "" {
				return why
			}
			continue
		}
		r.i++
	}
	return ""
}

func (r *awkReader) mark(operand bool) { r.operand, r.doubtful, r.control = operand, false, false }

func isWordByte(ch byte) bool {
	return ch == '_' || ch >= '0' && ch <= '9' || ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch == '.'
}

func (r *awkReader) string() bool {
	for r.i++; r.i < len(r.text); r.i++ {
		switch r.text[r.i] {
		case '\\':
			r.i++
		case '\n':
			return false
		case '"':
			r.i++
			r.mark(true)
			return true
		}
	}
	return false
}

// regexp reads /…/. A slash inside […] ends it for some awks and not for others.
func (r *awkReader) regexp() string {
	for r.i++; r.i < len(r.text); r.i++ {
		switch r.text[r.i] {
		case '\\':
			r.i++
		case '\n':
			return "a regular expression is not closed"
		case '[':
			end := bracketEnd(r.text, r.i)
			if end < 0 || strings.Contains(r.text[r.i:end], "/") {
				return "a / inside […] is read differently by different awks"
			}
			r.i = end - 1
		case '/':
			r.i++
			r.mark(true)
			return ""
		}
	}
	return "a regular expression is not closed"
}

func (r *awkReader) word() string {
	from := r.i
	for r.i < len(r.text) && isWordByte(r.text[r.i]) {
		r.i++
	}
	w := r.text[from:r.i]
	if awkKeyword.MatchString(w) {
		r.mark(false)
		switch w {
		case "print", "printf":
			r.printing, r.printAt = true, len(r.paren)
		case "if", "while", "for":
			r.control = true
		}
		return ""
	}
	called := strings.HasPrefix(strings.TrimLeft(r.text[r.i:], " \t"), "(")
	isName := w[0] == '_' || w[0] > '9'
	if called && isName && strings.HasPrefix(r.text[r.i:], "(") && !awkKnown.MatchString(w) {
		return fmt.Sprintf("the function %q is not known", w)
	}
	r.mark(true)
	if w == "length" {
		r.doubtful = !called
	}
	return ""
}

func (r *awkReader) operator() string {
	rest := r.text[r.i:]
	switch ch := rest[0]; ch {
	case '|':
		if !strings.HasPrefix(rest, "||") {
			return "a pipe runs a command"
		}
		r.i += 2
		r.mark(false)
		return ""
	case '>':
		if r.printing && len(r.paren) <= r.printAt {
			return "print > writes a file"
		}
	case '<':
		// Reads a file only after getline, which is refused everywhere.
	case '(':
		r.paren = append(r.paren, r.control)
	case ')':
		if len(r.paren) == 0 {
			return "a ) without a ("
		}
		last := len(r.paren) - 1
		control := r.paren[last]
		r.paren = r.paren[:last]
		r.i++
		r.mark(!control)
		return ""
	case ']':
		r.i++
		r.mark(true)
		return ""
	case '+', '-':
		if len(rest) > 1 && rest[1] == ch {
			r.i += 2
			was := r.operand
			r.mark(was)
			r.doubtful = true
			return ""
		}
	case '$', '[', ',', '=', '!', '~', '&', '*', '%', '^', '?', ':':
	default:
		return fmt.Sprintf("the character %q is not expected there", string([]rune(rest)[0]))
	}
	r.i++
	r.mark(false)
	return ""
}

var awkAssignment = regexp.MustCompile(`\A[a-z_A-Z][a-zA-Z0-9_]*=[^\n]*\z`)

// awkVariable is -v name=value.
func awkVariable(_ *call, a arg) string {
	if a.many || a.shape != exact && (a.mayBeFlag() || !strings.Contains(a.text, "=")) || a.shape == exact && !awkAssignment.MatchString(a.text) {
		return fmt.Sprintf("%q is no name=value", clip(a.show()))
	}
	if awkForbidden.MatchString(strings.SplitN(a.text, "=", 2)[0]) {
		return fmt.Sprintf("the awk variable %q cannot be set", clip(a.show()))
	}
	return ""
}
