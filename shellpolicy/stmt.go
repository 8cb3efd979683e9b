package shellpolicy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// redirects judges the redirections of one statement. silent: nothing of its
// standard output goes on to a pipe.
func (j *judge) redirects(list []*syntax.Redirect, s *scope) (printed string, stdin stream, silent bool) {
	stdin = s.stdin
	var b strings.Builder
	for _, r := range list {
		fd := ""
		if r.N != nil {
			fd = r.N.Value
		}
		if fd != "" && fd != "0" && fd != "1" && fd != "2" {
			j.refuse("redirection", "only the descriptors 0, 1 and 2 are modelled, not %q", clip(fd))
			continue
		}
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob:
			text := j.writeTo(r, s)
			b.WriteString(" " + fd + text)
			silent = silent || fd != "2"
		case syntax.RdrIn:
			text, in := j.readFrom(r, s)
			b.WriteString(" " + fd + text)
			if fd == "" || fd == "0" {
				stdin = in
			}
		case syntax.DplOut, syntax.DplIn:
			target := r.Word.Lit()
			if target != "1" && target != "2" && target != "-" && !(target == "0" && r.Op == syntax.DplIn) {
				j.refuse("redirection", "%s%s is a file in some shells: only descriptors can be duplicated", r.Op, clip(printWord(r.Word)))
				j.search(r.Word)
				continue
			}
			b.WriteString(" " + fd + r.Op.String() + target)
			if target == "2" && fd != "2" {
				silent = true
			}
		case syntax.Hdoc, syntax.DashHdoc:
			b.WriteString(" " + fd + j.hereDoc(r, s))
			stdin = stream{}
		default:
			j.refuse("redirection", "the redirection %s is not modelled", r.Op)
			j.search(r.Word)
		}
	}
	return b.String(), stdin, silent
}

func printWord(w *syntax.Word) string {
	var b strings.Builder
	for _, p := range w.Parts {
		if l, ok := p.(*syntax.Lit); ok {
			b.WriteString(l.Value)
		} else {
			b.WriteString("…")
		}
	}
	return b.String()
}

// writeTo judges an output redirection: only /dev/null loses nothing.
func (j *judge) writeTo(r *syntax.Redirect, s *scope) string {
	w, ok := j.evalWord(r.Word, s, asValue)
	if !ok {
		return ""
	}
	for _, v := range w.values {
		if v.isLit("/dev/null") {
			continue
		}
		f := finding{class: Destructive, rule: "redirection", reason: fmt.Sprintf("it overwrites the file %q; only /dev/null can be written to", clip(v.show()))}
		if r.Op == syntax.AppOut {
			f = finding{class: Unknown, rule: "redirection", reason: fmt.Sprintf("it writes to the file %q; only /dev/null can be written to", clip(v.show()))}
		}
		j.add(f)
	}
	return r.Op.String() + w.printed
}

// readFrom judges "<file" as a read of the file.
func (j *judge) readFrom(r *syntax.Redirect, s *scope) (string, stream) {
	w, ok := j.evalWord(r.Word, s, asValue)
	if !ok {
		return "", stream{}
	}
	in := stream{}
	for _, v := range w.values {
		if v.isLit("/dev/null") {
			in = stream{flow: flowNone}
			continue
		}
		c := &call{j: j, dirs: j.dirs, program: "<", effects: map[string]bool{}, class: Read, args: []arg{v}}
		if why := kinds("file")(c, v); why != "" {
			c.refuse("%s", why)
		}
		f := c.finding("redirection")
		f.program = ""
		j.add(f)
	}
	return r.Op.String() + w.printed, in
}

// hereDoc prints a literal here-document anew, with its end quoted.
func (j *judge) hereDoc(r *syntax.Redirect, s *scope) string {
	quoted := r.Word.Lit() == "" || strings.Contains(r.Word.Lit(), `\`)
	var text strings.Builder
	if r.Hdoc != nil {
		for _, part := range r.Hdoc.Parts {
			l, ok := part.(*syntax.Lit)
			if !ok {
				j.refuse("heredoc", "a here-document with expansions is not modelled: quote its end word")
				j.search(r.Hdoc)
				return ""
			}
			if quoted {
				text.WriteString(l.Value)
			} else if unescaped := unescapeHeredoc(l.Value); strings.Contains(strings.ReplaceAll(l.Value, `\\`, ""), "\\\n") {
				j.refuse("heredoc", "a backslash at the end of a line of a here-document is not modelled: quote its end word")
			} else {
				text.WriteString(unescaped)
			}
		}
	}
	body := text.String()
	if r.Op == syntax.DashHdoc {
		lines := strings.SplitAfter(body, "\n")
		for i := range lines {
			lines[i] = strings.TrimLeft(lines[i], "\t")
		}
		body = strings.Join(lines, "")
	}
	if body != "" && !strings.HasSuffix(body, "\n") {
		body += "\n"
	}
	end := "EOF"
	for slices.Contains(strings.Split(body, "\n"), end) {
		end += "_"
	}
	*s.heredocs = append(*s.heredocs, heredoc{text: body, end: end})
	return "<<'" + end + "'"
}

// unescapeHeredoc is the text of a here-document whose end is not quoted.
func unescapeHeredoc(raw string) string {
	var b strings.Builder
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' && i+1 < len(raw) && strings.IndexByte("$`\\", raw[i+1]) >= 0 {
			i++
		}
		b.WriteByte(raw[i])
	}
	return b.String()
}

// prefixName lists the variables that may be set for one command: they change
// the language and the time zone of its output and nothing else.
var prefixName = regexp.MustCompile(`\A(?:LC_[A-Z]+|LANG|LANGUAGE|TZ|COLUMNS|NO_COLOR|SYSTEMD_COLORS|DEBIAN_FRONTEND)\z`)

var prefixValue = regexp.MustCompile(`\A[A-Za-z0-9_.@:+-]*(?:/[A-Za-z_]+)?\z`)

// callExpr judges assignments and one command.
func (j *judge) callExpr(e *syntax.CallExpr, s *scope) (string, stream) {
	if len(e.Args) > maxWords || j.commands > maxCommands {
		j.refuse("size", "a command of more than %d words, or a line of more than %d commands", maxWords, maxCommands)
		j.commands = max(j.commands, maxCommands+1)
		return "", stream{}
	}
	var out []string
	for _, a := range e.Assigns {
		before := ""
		if len(e.Args) > 0 {
			before = e.Args[0].Lit() + " "
		}
		out = append(out, j.assign(a, s, before))
	}
	if len(e.Args) == 0 {
		if len(j.findings) == 0 {
			j.add(finding{class: Read, rule: "assignment"})
		}
		return strings.Join(out, " "), stream{flow: flowNone}
	}
	var words []word
	broken := false
	for _, w := range e.Args {
		one, ok := j.evalWord(w, s, asWord)
		if !ok {
			// Judged on, to see what the command is; the refusal is on record.
			one.values, broken = value{{shape: anyText, many: true}}, true
		}
		words = append(words, one)
	}
	printed, flow := j.command(words, s, broken)
	return strings.Join(append(out, printed...), " "), flow
}

// assign judges NAME=value. Before a command it changes that command's
// environment (before is its name and a space); by itself it sets a variable of
// the line (before is "").
func (j *judge) assign(a *syntax.Assign, s *scope, before string) string {
	if a.Name == nil || a.Append || a.Naked || a.Index != nil || a.Array != nil {
		j.refuse("assignment", "this form of assignment is not modelled: write NAME=value")
		j.search(a)
		return ""
	}
	name := a.Name.Value
	val := word{values: value{lit("")}}
	if a.Value != nil {
		var ok bool
		if val, ok = j.evalWord(a.Value, s, asValue); !ok {
			return ""
		}
	}
	if before == "" {
		if !settable(name) {
			j.refuse("assignment", "%s=… could change how programs run: choose a plain lower-case name", clip(name))
			return ""
		}
		s.vars[name] = val.values
		return name + "=" + val.printed
	}
	v := val.values[0]
	if name == "IFS" && before == "read " && len(val.values) == 1 && v.shape == exact {
		if v.text != "" {
			s.stdin = stream{} // another way to split: a part of a name is no name
		}
		return name + "=" + val.printed
	}
	if !prefixName.MatchString(name) || len(val.values) > 1 || v.shape != exact || !prefixValue.MatchString(v.text) || strings.Contains(v.text, "..") {
		j.refuse("assignment", "%s=… before a command can make it run something else; only LC_ALL, LANG, TZ and their like may stand there", clip(name))
		return ""
	}
	return name + "=" + val.printed
}

// command judges one command once for each combination of the values that its
// words may have, and gives its words as they are to be printed.
func (j *judge) command(words []word, s *scope, broken bool) ([]string, stream) {
	combos := [][]arg{nil}
	for _, w := range words {
		if len(combos)*len(w.values) > maxValues {
			j.refuse("size", "a command can become more than %d different ones: write fewer values in its loops", maxValues)
			j.commands = max(j.commands, maxCommands+1) // enough of this line
			return nil, stream{}
		}
		if len(w.values) == 1 {
			for i := range combos {
				combos[i] = append(combos[i], w.values[0])
			}
			continue
		}
		var next [][]arg
		for _, c := range combos {
			for _, v := range w.values {
				next = append(next, append(slices.Clone(c), v))
			}
		}
		combos = next
	}
	var printed []string
	for _, w := range words {
		printed = append(printed, w.printed)
	}
	var out stream
	for i, argv := range combos {
		if b := builtins(programOf(argv)); b != nil && !broken {
			o := b(j, argv, s)
			out = joinFlow(out, o, i == 0)
			continue
		}
		c, found := j.start(argv, s)
		if broken { // the refusal of a word is on record; only what it destroys counts
			found = slices.DeleteFunc(found, func(f finding) bool { return f.class != Destructive })
		}
		j.add(found...)
		out = joinFlow(out, c.out, i == 0)
		if c.printed != nil && len(combos) == 1 {
			printed = c.printed
		} else if c.printed != nil {
			j.refuse(c.program, "a script that holds variables of the line is not modelled: write it out")
		}
	}
	return printed, out
}

func programOf(argv []arg) string {
	if argv[0].shape != exact || argv[0].many {
		return ""
	}
	return argv[0].text
}

func joinFlow(a, b stream, first bool) stream {
	if first || a.flow == b.flow && slices.Equal(a.roots, b.roots) {
		return b
	}
	return stream{}
}

// start judges a command that the line itself starts.
func (j *judge) start(argv []arg, s *scope) (*call, []finding) {
	return j.run(argv, s.stdin, j.dirs, j.depth)
}

// search walks a part that is not modelled, to see whether it destroys
// something. What it finds can only refuse.
func (j *judge) search(node syntax.Node) {
	syntax.Walk(node, func(n syntax.Node) bool {
		e, ok := n.(*syntax.CallExpr)
		if !ok {
			return true
		}
		quiet := &judge{policy: j.policy, dirs: j.dirs, commands: j.commands}
		var argv []arg
		for _, w := range e.Args {
			lone := &judge{}
			if one, ok := lone.evalWord(w, newScope(stream{}), asWord); ok && len(one.values) == 1 {
				argv = append(argv, one.values[0])
			} else {
				argv = append(argv, arg{shape: anyText, many: true})
			}
		}
		if len(argv) > 0 && programOf(argv) != "" {
			_, found := quiet.start(argv, newScope(stream{}))
			for _, f := range found {
				if f.class == Destructive {
					j.add(f)
				}
			}
		}
		j.commands = quiet.commands
		return true
	})
}
