package shellpolicy

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// scope is what is known at one place of the line: the variables that the line
// has set, and what standard input is.
type scope struct {
	vars  map[string]value
	stdin stream
	// heredocs wait to be printed after the next line break.
	heredocs *[]heredoc
}

type heredoc struct{ text, end string }

func newScope(stdin stream) *scope {
	return &scope{vars: map[string]value{}, stdin: stdin, heredocs: new([]heredoc)}
}

func (s *scope) child(stdin stream) *scope {
	return &scope{vars: maps.Clone(s.vars), stdin: stdin, heredocs: new([]heredoc)}
}

// within is a part of the same shell: what it sets is set afterwards too.
func (s *scope) within(stdin stream) *scope {
	return &scope{vars: s.vars, stdin: stdin, heredocs: s.heredocs}
}

func (s *scope) lookup(nm string) (value, bool) {
	switch nm {
	case "?", "$":
		return value{name(false)}, true
	case "HOSTNAME", "USER", "LOGNAME":
		if v, set := s.vars[nm]; set {
			return v, true
		}
		return anything(), true
	}
	v, known := s.vars[nm]
	return v, known
}

// forget makes the variables that a part may have set unknown, where the part
// may have run in part, not at all, or several times.
func (s *scope) forget(names []string) {
	for _, n := range names {
		s.vars[n] = anything()
	}
}

// unsettle does so where a loop begins: what is not set before it is not set in
// its first round either, so its use before that is refused as elsewhere.
func (s *scope) unsettle(names []string) {
	for _, n := range names {
		if _, set := s.vars[n]; set {
			s.vars[n] = anything()
		}
	}
}

// assigned lists the variables that the nodes set.
func (j *judge) assigned(nodes ...syntax.Node) []string {
	var out []string
	if !j.assigns {
		return nil
	}
	for _, node := range nodes {
		if node == nil {
			continue
		}
		syntax.Walk(node, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.Assign:
				if n.Name != nil {
					out = append(out, n.Name.Value)
				}
			case *syntax.WordIter:
				out = append(out, n.Name.Value)
			case *syntax.CallExpr:
				if len(n.Args) > 1 && n.Args[0].Lit() == "read" {
					for _, w := range n.Args[1:] {
						if settable(w.Lit()) {
							out = append(out, w.Lit())
						}
					}
				}
			}
			return true
		})
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// file judges the whole line.
func (j *judge) file(f *syntax.File) string {
	printed, _ := j.script(f, stream{flow: flowTerminal})
	return printed
}

// script judges a whole text, of the line or of sh -c.
func (j *judge) script(f *syntax.File, stdin stream) (string, stream) {
	j.survey(f)
	return j.closed(f.Stmts, newScope(stdin))
}

// closed judges statements that end where a bracket or the line ends.
func (j *judge) closed(list []*syntax.Stmt, s *scope) (string, stream) {
	printed, out := j.stmts(list, s)
	if len(*s.heredocs) > 0 {
		printed += strings.TrimSuffix(s.separator(), " ")
	}
	return printed, out
}

// separator ends a statement: "; ", or a line break with the here-documents
// that were begun on the line.
func (s *scope) separator() string {
	if len(*s.heredocs) == 0 {
		return "; "
	}
	var b strings.Builder
	b.WriteByte('\n')
	for _, h := range *s.heredocs {
		b.WriteString(h.text + h.end + "\n")
	}
	*s.heredocs = nil
	return b.String()
}

func (j *judge) stmts(list []*syntax.Stmt, s *scope) (string, stream) {
	var b strings.Builder
	var out stream
	for i, st := range list {
		printed, o := j.stmt(st, s)
		b.WriteString(printed)
		if i < len(list)-1 {
			b.WriteString(s.separator())
		}
		out = o
	}
	if len(list) != 1 {
		out = stream{}
	}
	return b.String(), out
}

// stmt judges one statement; what it prints is known only of some.
func (j *judge) stmt(st *syntax.Stmt, s *scope) (string, stream) {
	switch {
	case st.Background || st.Coprocess || st.Disown:
		j.refuse("background", "a command that goes on in the background (&) would not be watched: let it run in the foreground")
	}
	// The here-documents of this statement come after those inside of it.
	later := &scope{vars: s.vars, stdin: s.stdin, heredocs: new([]heredoc)}
	redirects, stdin, silent := j.redirects(st.Redirs, later)
	printed, out := "", stream{}
	switch cmd := st.Cmd.(type) {
	case nil:
		j.refuse("redirection", "a redirection without a command is not modelled")
	case *syntax.CallExpr:
		printed, out = j.callExpr(cmd, s.within(stdin))
	case *syntax.BinaryCmd:
		if cmd.Op == syntax.Pipe || cmd.Op == syntax.PipeAll {
			printed, out = j.pipeline(st, s.within(stdin))
		} else {
			printed, out = j.andOr(st, s.within(stdin))
		}
	case *syntax.Subshell:
		inner := s.child(stdin)
		printed, out = j.closed(cmd.Stmts, inner)
		if strings.HasPrefix(printed, "(") {
			printed = " " + printed
		}
		printed = "(" + printed + ")"
	case *syntax.Block:
		in := s.within(stdin)
		printed, out = j.stmts(cmd.Stmts, in)
		printed = "{ " + printed + s.separator() + "}"
	case *syntax.IfClause:
		printed = j.ifClause(cmd, s.within(stdin))
	case *syntax.WhileClause:
		printed = j.while(cmd, s.within(stdin))
	case *syntax.ForClause:
		printed = j.forClause(cmd, s.within(stdin))
	default:
		rule := nodeName(cmd)
		j.refuse(rule, "%s is not modelled: write the commands out one after the other", rule)
		j.search(cmd)
	}
	if silent {
		out = stream{flow: flowNone}
	}
	*s.heredocs = append(*s.heredocs, *later.heredocs...)
	if st.Negated {
		printed = "! " + printed
	}
	return printed + redirects, out
}

// chain flattens a && b || c, or a | b | c, which the parser nests to the left.
func chain(st *syntax.Stmt, pipe bool) (parts []*syntax.Stmt, ops []syntax.BinCmdOperator) {
	for {
		bin, ok := st.Cmd.(*syntax.BinaryCmd)
		isPipe := ok && (bin.Op == syntax.Pipe || bin.Op == syntax.PipeAll)
		if !ok || isPipe != pipe || len(parts) > 0 && (st.Negated || len(st.Redirs) > 0 || st.Background) {
			parts = append(parts, st)
			break
		}
		parts = append(parts, bin.Y)
		ops = append(ops, bin.Op)
		st = bin.X
	}
	slices.Reverse(parts)
	slices.Reverse(ops)
	return parts, ops
}

func (j *judge) pipeline(st *syntax.Stmt, s *scope) (string, stream) {
	parts, ops := chain(st, true)
	var b strings.Builder
	out := s.stdin
	for i, part := range parts {
		in := s.child(out)
		in.heredocs = s.heredocs
		var printed string
		printed, out = j.stmt(part, in)
		if part.Negated {
			j.refuse("negation", "! inside a pipeline is not modelled")
		}
		b.WriteString(printed)
		if i < len(ops) {
			b.WriteString(" | ")
			if ops[i] != syntax.Pipe {
				j.refuse("pipe", "|& is not modelled: write 2>&1 |")
			}
		}
	}
	for _, part := range parts {
		s.forget(j.assigned(part))
	}
	return b.String(), out
}

func (j *judge) andOr(st *syntax.Stmt, s *scope) (string, stream) {
	parts, ops := chain(st, false)
	var b strings.Builder
	var out stream
	before := maps.Clone(s.vars)
	for i, part := range parts {
		printed, o := j.stmt(part, s)
		b.WriteString(printed)
		if i < len(ops) {
			b.WriteString(" " + ops[i].String() + " ")
		}
		if i == 0 {
			out, before = o, maps.Clone(s.vars)
		} else if out.flow != o.flow {
			out = stream{}
		}
	}
	// Only the first part has run for certain.
	for n, v := range s.vars {
		if old, was := before[n]; !was || !slices.Equal(old, v) {
			s.vars[n] = anything()
		}
	}
	if !slices.Contains([]flow{flowNames, flowNumber, flowNone}, out.flow) {
		out = stream{}
	}
	return b.String(), out
}

func (j *judge) ifClause(c *syntax.IfClause, s *scope) string {
	var b strings.Builder
	all := j.assigned(c)
	for cl := c; cl != nil; cl = cl.Else {
		word := "elif "
		if cl == c {
			word = "if "
		}
		if len(cl.Cond) == 0 {
			b.WriteString("else ")
		} else {
			cond, _ := j.stmts(cl.Cond, s)
			b.WriteString(word + cond + s.separator() + "then ")
		}
		branch := s.child(s.stdin)
		branch.heredocs = s.heredocs
		then, _ := j.stmts(cl.Then, branch)
		b.WriteString(then + s.separator())
	}
	s.forget(all)
	return b.String() + "fi"
}

func (j *judge) while(c *syntax.WhileClause, s *scope) string {
	all := j.assigned(c)
	s.unsettle(all)
	body := s.child(s.stdin)
	body.heredocs = s.heredocs
	cond, _ := j.stmts(c.Cond, body)
	if !readsLines(c) {
		j.add(finding{class: Read, marks: []Mark{Unbounded}, rule: "while", shown: "while " + clip(cond),
			reason: "only a loop over the lines of \"while read\" is known to end; ask again instead"})
	}
	b := "while "
	if c.Until {
		b = "until "
	}
	b += cond + s.separator() + "do "
	do, _ := j.stmts(c.Do, body)
	s.forget(all)
	return b + do + s.separator() + "done"
}

// readsLines reports whether a loop ends with its input.
func readsLines(c *syntax.WhileClause) bool {
	if c.Until || len(c.Cond) != 1 || len(c.Cond[0].Redirs) > 0 || c.Cond[0].Negated {
		return false
	}
	call, ok := c.Cond[0].Cmd.(*syntax.CallExpr)
	return ok && len(call.Args) > 0 && call.Args[0].Lit() == "read"
}

func (j *judge) forClause(c *syntax.ForClause, s *scope) string {
	iter, ok := c.Loop.(*syntax.WordIter)
	if !ok || c.Select || c.Braces || !iter.InPos.IsValid() {
		j.refuse("ForClause", "only \"for NAME in WORDS; do …; done\" is modelled")
		j.search(c)
		return ""
	}
	if !settable(iter.Name.Value) {
		j.refuse("assignment", "a loop variable named %s could change how programs run: choose a plain lower-case name", clip(iter.Name.Value))
	}
	var values value
	var b strings.Builder
	b.WriteString("for " + iter.Name.Value + " in")
	for _, w := range iter.Items {
		item, ok := j.evalWord(w, s, asWord)
		if !ok {
			item.values = anything()
		}
		b.WriteString(" " + item.printed)
		for _, v := range item.values {
			v.many = false
			if !slices.Contains(values, v) {
				values = append(values, v)
			}
		}
	}
	if len(values) > maxValues {
		values = anything()
	}
	all := j.assigned(c)
	s.unsettle(all)
	body := s.child(s.stdin)
	body.heredocs = s.heredocs
	if body.vars[iter.Name.Value] = values; len(values) == 0 {
		body.vars[iter.Name.Value] = anything()
	}
	do, _ := j.stmts(c.Do, body)
	s.forget(all)
	b.WriteString("; do " + do + s.separator() + "done")
	return b.String()
}

// startDirs are the folders in which a command may begin: the account's home.
func startDirs() []string { return []string{"/root", "/home/*", "/"} }

// survey finds out, before anything is judged, whether the text sets variables
// and to which folders it changes, whatever is before or after it. Other
// spellings of cd are refused where they stand.
func (j *judge) survey(f *syntax.File) {
	dirs := map[string]bool{}
	for _, d := range j.dirs {
		dirs[d] = true
	}
	j.assigns = false
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Assign, *syntax.WordIter:
			j.assigns = true
		case *syntax.CallExpr:
			if len(n.Args) < 2 {
				return true
			}
			switch n.Args[0].Lit() {
			case "read":
				j.assigns = true
			case "cd":
				lone := &judge{}
				w, ok := lone.evalWord(n.Args[len(n.Args)-1], newScope(stream{}), asWord)
				if ok && len(w.values) == 1 && w.values[0].shape == exact && len(dirs) <= maxDirs {
					dirs[w.values[0].text] = true
				}
			}
		}
		return true
	})
	j.dirs = slices.Sorted(maps.Keys(dirs))
	if len(j.dirs) > maxDirs {
		j.refuse("size", "the line changes to more than %d folders", maxDirs)
	}
}

// variableName is what a line may set: lower-case names, which no program
// reads, and a few upper-case ones that people use. PATH, IFS, LD_PRELOAD and
// their like are in no list, so refused.
var variableName = regexp.MustCompile(`\A(?:[a-z][a-z0-9_]*|_[a-z0-9_]+|[A-Z]|CONTAINERS?|CID|NAMES?|UNITS?|SVC|SERVICES?|APP|HOST|PORT|IDS?|PIDS?|LOGS?|LOGFILE|FILES?|DIRS?|STATUS|STATE|LINE|COUNT|NUM|OUT|OUTPUT|RESULT|SINCE|IMAGE|DISK|DEV|MOUNT|NODE|POD|NS|IP|URL|CODE|USAGE|THRESHOLD|MSG)\z`)

func settable(name string) bool {
	return variableName.MatchString(name) && !strings.HasSuffix(name, "_proxy")
}
