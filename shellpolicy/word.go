package shellpolicy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// maxValues bounds how many possible values of its variables one word or one
// command is judged with.
const maxValues = 64

// maxSegments bounds the quoted, unquoted and expanded parts of one word.
const maxSegments = 256

// word is one word of the line: what it may become, and how it is printed.
type word struct {
	values  value
	printed string
}

// piece is one possibility for a part of a word.
type piece struct {
	text string // what it adds if it is known
	glob bool   // text is live glob characters
	dyn  *arg   // what it adds if it is known only when it runs
}

// segment is a part of a word: its possibilities and how it is printed.
// printed is "" for literal text, which is quoted together with its neighbours.
type segment struct {
	options []piece
	printed string
}

// wordUse says what the shell does with a word besides expanding it.
type wordUse uint8

const (
	asWord  wordUse = iota // split into fields, globs expanded
	asValue                // neither: the value of a variable
)

// evalWord works out what /bin/sh makes of a word. ok is false if the word was
// refused; the reason is on record then.
func (j *judge) evalWord(w *syntax.Word, s *scope, use wordUse) (out word, ok bool) {
	var segments []segment
	for _, part := range w.Parts {
		segs, ok := j.segments(part, s, use, len(w.Parts) == 1)
		if !ok {
			return out, false
		}
		segments = append(segments, segs...)
	}
	if len(segments) > maxSegments {
		j.refuse("size", "a word has more than %d parts", maxSegments)
		return out, false
	}
	alternatives := [][]piece{nil}
	var run strings.Builder
	flush := func() {
		if run.Len() > 0 {
			out.printed += quote(run.String())
			run.Reset()
		}
	}
	for _, seg := range segments {
		if len(segments) > 1 && slices.ContainsFunc(seg.options, func(p piece) bool { return p.dyn != nil && p.dyn.many }) {
			j.refuse("word", "an unquoted expansion within a longer word can become several words: put it in double quotes")
			return out, false
		}
		if len(alternatives)*len(seg.options) > maxValues {
			j.refuse("size", "a word has more than %d possible values", maxValues)
			j.commands = max(j.commands, maxCommands+1) // enough of this line
			return out, false
		}
		if len(seg.options) == 1 {
			for i := range alternatives {
				alternatives[i] = append(alternatives[i], seg.options[0])
			}
		} else {
			var next [][]piece
			for _, a := range alternatives {
				for _, o := range seg.options {
					next = append(next, append(slices.Clone(a), o))
				}
			}
			alternatives = next
		}
		if seg.printed == "" {
			run.WriteString(seg.options[0].text)
			continue
		}
		flush()
		out.printed += seg.printed
	}
	flush()
	if out.printed == "" {
		out.printed = "''"
	}
	j.commands += len(alternatives) - 1
	for _, a := range alternatives {
		out.values = append(out.values, joinPieces(a))
	}
	if use == asValue && slices.ContainsFunc(segments, func(s segment) bool { return s.options[0].glob }) {
		j.refuse("word", "a glob or ~ in the value of a variable is not modelled: quote it or write the path out")
		return out, false
	}
	return out, true
}

// joinPieces makes one word of its pieces.
func joinPieces(pieces []piece) arg {
	if len(pieces) == 1 && pieces[0].dyn != nil {
		return *pieces[0].dyn
	}
	glob, live, safe := false, false, true
	var text, pat strings.Builder
	for _, p := range pieces {
		switch {
		case p.dyn != nil && p.dyn.shape == anyText:
			if glob {
				return arg{shape: anyText} // the known beginning is itself a pattern
			}
			return arg{shape: anyText, text: text.String() + p.dyn.text}
		case p.dyn != nil:
			glob, safe = true, safe && p.dyn.safe
			pat.WriteString(p.dyn.text)
		case p.glob:
			glob, live, safe = true, true, false
			pat.WriteString(p.text)
		default:
			text.WriteString(p.text)
			pat.WriteString(escapeGlob(p.text))
		}
	}
	if !glob {
		return lit(text.String())
	}
	return arg{shape: pattern, text: pat.String(), safe: safe, many: live && !oneMatch(pat.String())}
}

// oneMatch reports whether a glob has no holes but classes of one character, as
// in "grep [n]ginx": whatever there is, it stays one word.
func oneMatch(pat string) bool {
	rest := singleClass.ReplaceAllString(pat, "")
	return !strings.ContainsAny(rest, `*?[\~`)
}

var singleClass = regexp.MustCompile(`\[[A-Za-z0-9_]\]`)

// segments takes one part of a word apart.
func (j *judge) segments(part syntax.WordPart, s *scope, use wordUse, whole bool) ([]segment, bool) {
	switch p := part.(type) {
	case *syntax.Lit:
		return j.bareLit(p.Value, whole)
	case *syntax.SglQuoted:
		if !p.Dollar {
			return []segment{{options: []piece{{text: p.Value}}}}, true
		}
	case *syntax.DblQuoted:
		if !p.Dollar {
			return j.dblQuoted(p, s)
		}
	case *syntax.ParamExp:
		return j.param(p, s, use == asValue)
	case *syntax.CmdSubst:
		return j.cmdSubst(p, s, use == asValue)
	}
	j.refuse(nodeName(part), "%s is not modelled: write the word out", nodeName(part))
	j.search(part)
	return nil, false
}

func (j *judge) dblQuoted(p *syntax.DblQuoted, s *scope) ([]segment, bool) {
	segments := []segment{{options: []piece{{}}}}
	for _, part := range p.Parts {
		var segs []segment
		ok := true
		switch part := part.(type) {
		case *syntax.Lit:
			segs = []segment{{options: []piece{{text: unescapeQuoted(part.Value)}}}}
		case *syntax.ParamExp:
			segs, ok = j.param(part, s, true)
		case *syntax.CmdSubst:
			segs, ok = j.cmdSubst(part, s, true)
		default:
			j.refuse(nodeName(part), "%s is not modelled: write the word out", nodeName(part))
			j.search(part)
			ok = false
		}
		if !ok {
			return nil, false
		}
		segments = append(segments, segs...)
	}
	return segments, true
}

// unescapeQuoted is text inside double quotes: only some backslashes escape.
func unescapeQuoted(raw string) string {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' && i+1 < len(raw) && strings.IndexByte("$`\"\\\n", raw[i+1]) >= 0 {
			i++
			if raw[i] == '\n' {
				continue
			}
		}
		b.WriteByte(raw[i])
	}
	return b.String()
}

// bareLit is text outside of quotes: backslashes, globs, a tilde, braces.
func (j *judge) bareLit(raw string, whole bool) ([]segment, bool) {
	if braces.MatchString(raw) {
		j.refuse("word", "the braces in %q mean different things to different shells: write the words out or quote them", clip(raw))
		return nil, false
	}
	var out []segment
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			out = append(out, segment{options: []piece{{text: text.String()}}})
			text.Reset()
		}
	}
	live := func(s string) {
		flush()
		out = append(out, segment{options: []piece{{text: s, glob: true}}, printed: s})
	}
	for i := 0; i < len(raw); i++ {
		switch ch := raw[i]; {
		case ch == '\\':
			if i+1 == len(raw) {
				j.refuse("word", "a backslash at the end of a word")
				return nil, false
			}
			i++
			if raw[i] != '\n' {
				text.WriteByte(raw[i])
			}
		case ch == '$':
			j.refuse("word", "a $ that expands nothing is read differently by different shells: quote it")
			return nil, false
		case ch == '~' && i == 0 && (raw == "~" && whole):
			live("~")
		case ch == '~' && strings.HasPrefix(raw, "~/") && i == 0:
			live("~/")
			i++
		case ch == '~' && i == 0:
			j.refuse("word", "%q may be another user's folder: write the path out or quote it", clip(raw))
			return nil, false
		case ch == '*' || ch == '?':
			live(string(ch))
		case ch == '[' && raw != "[":
			class, ok := globClass(raw[i:])
			if !ok {
				j.refuse("word", "the glob %q is not modelled: write the names out or quote it", clip(raw))
				return nil, false
			}
			live(class)
			i += len(class) - 1
		default:
			text.WriteByte(ch)
		}
	}
	flush()
	if len(out) == 0 {
		out = []segment{{options: []piece{{}}}}
	}
	return out, true
}

// globClass takes a plain class such as [0-9] off the front.
func globClass(s string) (string, bool) {
	end := strings.IndexByte(s, ']')
	if end < 2 {
		return "", false
	}
	for _, r := range s[1:end] {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.!", r)) {
			return "", false
		}
	}
	return s[:end+1], true
}

// braces finds what bash would expand. /bin/sh may be bash.
var braces = regexp.MustCompile(`\{[^}]*(,|\.\.).*\}|\{.*(,|\.\.)[^{]*\}`)

// plainWord is a word that needs no quotes in any shell.
var plainWord = regexp.MustCompile(`\A[A-Za-z0-9_./:@%+,=-]+\z`)

// quote makes one word of a POSIX shell out of any text without NUL.
func quote(s string) string {
	if plainWord.MatchString(s) || s == "[" || s == "]" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// param is $name or ${name}, of a variable that the line itself sets.
func (j *judge) param(p *syntax.ParamExp, s *scope, quoted bool) ([]segment, bool) {
	if p.Param == nil || p.Flags != nil || p.Excl || p.Length || p.Width || p.IsSet || p.NestedParam != nil || p.Index != nil ||
		len(p.Modifiers) > 0 || p.Slice != nil || p.Repl != nil || p.Names != 0 || p.Exp != nil ||
		p.Split != 0 || p.GlobSubst != 0 || p.RcExpand != 0 {
		j.refuse("ParamExp", "a parameter expansion with an operator is not modelled: write the value out")
		j.search(p)
		return nil, false
	}
	name := p.Param.Value
	values, known := s.lookup(name)
	if !known {
		j.refuse("ParamExp", "$%s is not set by this command line: write its value out", clip(name))
		return nil, false
	}
	ref := "${" + name + "}"
	// Quoting changes nothing where each value is one word as it is. The path
	// that a loop's glob gives is meant as one word; quoted, it is one.
	oneWord := func(v arg) bool {
		return v.shape == exact && v.text != "" && !strings.ContainsAny(v.text, " \t\n*?[\\") || v.shape == pattern && !v.many
	}
	if !quoted && slices.ContainsFunc(values, func(v arg) bool { return !oneWord(v) }) {
		return []segment{{options: []piece{{dyn: &arg{shape: anyText, many: true}}}, printed: ref}}, true
	}
	seg := segment{printed: `"` + ref + `"`}
	for _, v := range values {
		v.many = false
		if v.shape == exact {
			seg.options = append(seg.options, piece{text: v.text})
		} else {
			seg.options = append(seg.options, piece{dyn: &v})
		}
	}
	return []segment{seg}, true
}

// cmdSubst is $(…) of commands that only read.
func (j *judge) cmdSubst(p *syntax.CmdSubst, s *scope, quoted bool) ([]segment, bool) {
	if p.TempFile || p.ReplyVar || len(p.Stmts) == 0 {
		j.refuse("CmdSubst", "this kind of substitution is not modelled")
		j.search(p)
		return nil, false
	}
	before := len(j.findings)
	printed, out := j.closed(p.Stmts, s.child(s.stdin))
	for i, f := range j.findings[before:] {
		switch {
		case f.class == Change:
			f.class, f.reason = Unknown, "a change inside $(…) is not modelled: let it stand by itself"
		case slices.Contains(f.marks, Sensitive):
			f.class, f.marks, f.reason = Unknown, nil, "what may show secrets cannot become part of another command"
		default:
			continue
		}
		j.findings[before+i] = f
	}
	if strings.HasPrefix(printed, "(") {
		printed = " " + printed
	}
	printed = "$(" + printed + ")"
	v := out.word(!quoted)
	// What is one word anyway is quoted, so that nothing at all cannot make the
	// next word take its place.
	if !v.many {
		printed = `"` + printed + `"`
	}
	return []segment{{options: []piece{{dyn: &v}}, printed: printed}}, true
}

// nodeName is the kind of a node: "ArithmExp".
func nodeName(n syntax.Node) string {
	return strings.TrimPrefix(fmt.Sprintf("%T", n), "*syntax.")
}
