package shellpolicy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// call is one program with one list of words, as it would start.
type call struct {
	j       *judge
	program string
	args    []arg // without the program
	stdin   stream
	dirs    []string // where relative paths may begin
	depth   int      // programs that run programs

	// What matching found out.
	entry    *entry
	dashes   bool     // a "--" ended the options
	words    []string // the sub-commands and operands, without flags
	given    map[string]bool
	effects  map[string]bool
	class    Class
	out      stream
	refused  string // why it is not in the catalogue; "" if it is
	shielded string // why no change may touch its target
	inner    []finding
	// printed are the words to print instead of the ones that were asked for;
	// nil: as they were.
	printed []string
}

// finding is the judgement of one command or of one refused part of the tree.
type finding struct {
	class  Class
	marks  []Mark
	rule   string
	reason string
	// shielded: no rule and no person may allow it.
	shielded bool
	asks     bool
	// For owner's rules; program is "" for a part that is no command.
	program string
	words   []string
	args    []arg
	shown   string
}

func (c *call) refuse(format string, a ...any) {
	if c.refused == "" {
		c.refused = fmt.Sprintf(format, a...)
	}
}

// judge matches the call against the catalogue.
func (c *call) judge() []finding {
	root := catalogue()[c.program]
	c.given, c.effects, c.class = map[string]bool{}, map[string]bool{}, Read
	if root == nil {
		c.refuse("%q is not in the catalogue", clip(c.program))
		c.class = Unknown
		rule := c.program
		if strings.TrimSpace(rule) == "" {
			rule = "program"
		}
		return []finding{c.finding(rule)}
	}
	c.match(root, c.args, nil)
	return append(c.inner, c.finding(c.entry.name))
}

func (c *call) finding(rule string) finding {
	f := finding{class: c.class, rule: rule, program: c.program, words: c.words, args: c.args, shown: c.show(), asks: c.effects[asks]}
	switch {
	case c.refused != "":
		if f.class != Destructive {
			f.class = Unknown
		}
		f.reason = c.refused
		if c.entry != nil && c.entry.hint != "" && f.class == Unknown {
			f.reason += "; " + c.entry.hint
		}
	case c.shielded != "":
		f.shielded, f.reason = true, c.shielded
	}
	if f.class == Read && c.refused == "" {
		for _, m := range []Mark{Sensitive, Egress, Unbounded} {
			if c.effects[string(m)] {
				f.marks = append(f.marks, m)
			}
		}
	}
	// The hint of an entry is about what it refuses: going on for ever, secrets.
	if c.entry != nil && f.reason == "" && (len(f.marks) > 0 && f.marks[0] != Egress || c.entry.class == Destructive) {
		f.reason = c.entry.hint
	}
	return f
}

func (c *call) show() string {
	shown := c.program
	for _, a := range c.args {
		if shown += " " + a.show(); len(shown) > 120 {
			break
		}
	}
	return clip(shown)
}

func clip(s string) string {
	if len(s) > 120 {
		s = strings.ToValidUTF8(s[:117], "") + "…"
	}
	return s
}

// match walks the words along the entry and its sub-commands.
func (c *call) match(e *entry, args []arg, shared []map[string]*flag) {
	c.entry = e
	c.class = worse(c.class, e.class)
	if len(e.shared) > 0 {
		shared = append(slices.Clone(shared), e.shared)
	}
	if e.special != "" {
		specials(e.special)(c, args)
		return
	}
	var operands []arg
	optionsEnd := e.style == styleRaw
	for len(args) > 0 {
		a := args[0]
		if !optionsEnd {
			if a.isLit("--") && e.style != styleWords {
				optionsEnd, c.dashes, args = true, true, args[1:]
				continue
			}
			used, isFlag := c.flag(e, args, shared)
			if isFlag {
				if used == 0 {
					if e.wraps {
						c.wrapped(args)
					}
					return
				}
				args = args[used:]
				continue
			}
		}
		if len(e.subs) > 0 && len(operands) == 0 {
			if sub := c.sub(e, a); sub != nil {
				c.words = append(c.words, a.text)
				c.match(sub, args[1:], shared)
				return
			}
			if len(e.forms) == 0 {
				c.unknownSub(e, a)
				c.class = worse(c.class, e.class)
				return
			}
		}
		if e.wraps && len(operands) == fixed(e) {
			break
		}
		operands = append(operands, a)
		args = args[1:]
		if e.style == stylePOSIX {
			optionsEnd = true
		}
	}
	for _, o := range operands {
		c.words = append(c.words, o.text)
	}
	c.operands(e, operands)
	c.settle(e, operands)
	if e.wraps {
		c.wrapped(args)
	}
}

func fixed(e *entry) int {
	if len(e.forms) == 0 {
		return 0
	}
	return len(e.forms[0].operands)
}

func (c *call) sub(e *entry, a arg) *entry {
	if a.shape != exact {
		return nil
	}
	return e.subs[a.text]
}

func (c *call) unknownSub(e *entry, a arg) {
	known := slices.Sorted(maps.Keys(e.subs))
	known = slices.DeleteFunc(known, func(s string) bool { return e.subs[s].class == Destructive || e.subs[s].class == Unknown })
	more := ""
	if len(known) > 12 {
		known, more = known[:12], ", …"
	}
	c.refuse("%q is no sub-command of %s that the catalogue lists; listed are %s%s", clip(a.show()), e.name, strings.Join(known, ", "), more)
}

// flag takes an option and its value off the front. used is 0 if it refused.
func (c *call) flag(e *entry, args []arg, shared []map[string]*flag) (used int, isFlag bool) {
	a := args[0]
	find := func(name string) *flag {
		if f := e.flags[name]; f != nil {
			return f
		}
		for _, m := range shared {
			if f := m[name]; f != nil {
				return f
			}
		}
		return nil
	}
	if a.shape == exact && (e.style == styleWords || len(a.text) == 2) {
		if f := find(a.text); f != nil {
			return c.value(e, f, args, nil), true
		}
		if long, attached, ok := strings.Cut(a.text, "="); ok && e.style == styleWords && a.text[0] == '+' {
			if f := find(long); f != nil {
				v := lit(attached)
				return c.value(e, f, args, &v), true
			}
		}
	}
	if !a.mayBeFlag() {
		return 0, false
	}
	text := a.text
	long, attached, hasValue := strings.Cut(text, "=")
	if a.shape == pattern && e.harmless && a.text[0] != '-' {
		return 0, false
	}
	if a.shape != exact && (!hasValue || !strings.HasPrefix(text, "--") || strings.ContainsAny(long, `*?[\`)) {
		c.refuse("%q could be taken for an option of %s: what it is, is known only when it runs", clip(a.show()), e.name)
		return 0, true
	}
	if strings.HasPrefix(text, "--") || e.style == styleWords {
		f := find(long)
		if f == nil {
			c.unknownFlag(e, long)
			return 0, true
		}
		if hasValue {
			v := a
			v.text = attached
			return c.value(e, f, args, &v), true
		}
		return c.value(e, f, args, nil), true
	}
	if f := find("-#"); f != nil && strings.Trim(text[1:], "0123456789") == "" {
		c.take(f)
		return 1, true
	}
	for i, r := range text[1:] {
		f := find("-" + string(r))
		if f == nil {
			c.unknownFlag(e, "-"+string(r))
			return 0, true
		}
		rest := text[1+i+len(string(r)):]
		switch {
		case f.mode == noValue:
			c.take(f)
		case rest != "":
			v := lit(rest)
			return c.value(e, f, args, &v), true
		default:
			return c.value(e, f, args, nil), true
		}
	}
	return 1, true
}

func (c *call) take(f *flag) {
	c.given[f.name] = true
	for _, e := range f.effects {
		switch Class(e) {
		case Change, Destructive, Unknown:
			c.class = worse(c.class, Class(e))
			if Class(e) == Unknown {
				c.refuse("option %s of %s can run or write something", f.name, c.entry.name)
			}
		default:
			c.effects[e] = true
		}
	}
}

// value takes a flag with its value; used is how many words that were.
func (c *call) value(e *entry, f *flag, args []arg, attached *arg) (used int) {
	c.take(f)
	var v arg
	switch {
	case f.mode == noValue:
		if attached != nil {
			c.refuse("option %s of %s takes no value", f.name, e.name)
			return 0
		}
		return 1
	case attached != nil:
		v, used = *attached, 1
	case f.mode == optionalAttached:
		return 1
	case f.mode == optionalEither && (len(args) < 2 || args[1].mayBeFlag()):
		return 1
	case len(args) < 2:
		c.refuse("option %s of %s needs a value", f.name, e.name)
		return 0
	default:
		v, used = args[1], 2
	}
	if v.many {
		c.refuse("the value of %s could be several words: quote it", f.name)
		return 0
	}
	if why := c.fits(f.kind, v); why != "" {
		c.refuse("%s %s: %s", e.name, f.name, why)
		return 0
	}
	return used
}

func (c *call) unknownFlag(e *entry, name string) {
	c.refuse("option %s of %s is not in the catalogue", clip(name), e.name)
}

// fits checks one word against the kind it should be of.
func (c *call) fits(op operand, a arg) string {
	if op.words != nil {
		if a.shape == exact && slices.Contains(op.words, a.text) {
			return ""
		}
		return fmt.Sprintf("%q is none of %s", clip(a.show()), strings.Join(op.words, ", "))
	}
	return kinds(op.kind)(c, a)
}

// operands finds the form that the operands fit.
func (c *call) operands(e *entry, operands []arg) {
	var why string
	for _, f := range e.forms {
		if len(f.when) > 0 && !slices.ContainsFunc(f.when, func(name string) bool { return c.given[name] }) {
			continue
		}
		try := *c
		try.effects = maps.Clone(c.effects)
		if why = try.form(f, operands); why == "" {
			c.effects, c.shielded, c.out = try.effects, try.shielded, try.out
			c.take(&flag{name: "args", effects: f.effects})
			return
		}
		if len(f.when) > 0 {
			break
		}
	}
	switch {
	case len(operands) > 0 && len(e.subs) > 0:
		c.unknownSub(e, operands[0])
	case len(operands) == 0 && why == "" && len(e.subs) > 0:
		c.refuse("%s needs a sub-command", e.name)
	case len(operands) == 0 && why == "":
	case why != "":
		c.refuse("%s: %s", e.name, why)
	default:
		c.refuse("%s: the operand %q is not in the catalogue", e.name, clip(operands[0].show()))
	}
}

func (c *call) form(f form, operands []arg) string {
	for _, op := range f.operands {
		if len(operands) > 0 && (operands[0].many && op.many != '*' && op.many != '+') {
			return fmt.Sprintf("%q could be several words", clip(operands[0].show()))
		}
		switch op.many {
		case 0:
			if len(operands) == 0 {
				return "an operand is missing"
			}
			if why := c.fits(op, operands[0]); why != "" {
				return why
			}
			operands = operands[1:]
		case '?':
			if len(operands) > 0 && c.fits(op, operands[0]) == "" {
				operands = operands[1:]
			}
		default:
			if op.many == '+' && len(operands) == 0 {
				return "an operand is missing"
			}
			for _, o := range operands {
				if why := c.fits(op, o); why != "" {
					return why
				}
			}
			operands = nil
		}
	}
	if len(operands) > 0 {
		return fmt.Sprintf("the operand %q is not in the catalogue", clip(operands[0].show()))
	}
	return ""
}

// settle applies what holds for the entry as a whole.
func (c *call) settle(e *entry, operands []arg) {
	if len(e.need) > 0 && !slices.ContainsFunc(e.need, func(n string) bool { return c.given[n] || c.effects[n] }) {
		c.refuse("%s is a plain read only with %s", e.name, strings.Join(e.need, " or "))
	}
	for _, m := range e.marks {
		if m == string(Sensitive) && c.effects[plain] {
			continue
		}
		c.effects[m] = true
	}
	if c.effects[bounded] {
		delete(c.effects, string(Unbounded))
	}
	if c.effects[unnamed] {
		c.shield("what it is for is not named: a change needs the names written out")
	}
	if e.class == Unknown && c.refused == "" {
		c.refuse("%s is not something that the catalogue lets through", e.name)
	}
	if e.silentStdin && c.stdin.flow != flowNone && c.stdin.flow != flowTerminal {
		c.refuse("%s would send what it reads: give it </dev/null", e.name)
	}
	any := func(names []string) bool {
		return slices.ContainsFunc(names, func(n string) bool { return c.given[n] })
	}
	for _, o := range e.outs {
		switch {
		case len(o.given) > 0 && !any(o.given), any(o.absent), o.alone && len(operands) > 0:
			continue
		case o.asis:
		case o.same && len(operands) == 0:
			c.out = c.stdin
		case !o.same:
			c.out = stream{flow: o.flow}
		}
		return
	}
}

// wrapped judges the command that the call runs.
func (c *call) wrapped(args []arg) {
	switch {
	case c.refused != "": // not modelled, but a command may still be seen in it
		for i := range min(len(args), 16) {
			c.look(args[i:])
		}
	case len(args) == 0:
		c.refuse("%s: no command follows", c.entry.name)
	default:
		inner, found := c.j.run(args, c.stdin, c.dirs, c.depth+1)
		c.out = inner.out
		c.adopt(found)
		if inner.printed != nil {
			c.reprint(args, inner.printed)
		}
	}
}

// reprint prints the call with the command at its end printed anew.
func (c *call) reprint(command []arg, printed []string) {
	c.printed = []string{quote(c.program)}
	for _, a := range c.args[:len(c.args)-len(command)] {
		if a.shape != exact {
			c.refuse("%s: a script beside words that are known only when it runs is not modelled", c.program)
			return
		}
		c.printed = append(c.printed, quote(a.text))
	}
	c.printed = append(c.printed, printed...)
}

// adopt takes over what an inner command is.
func (c *call) adopt(found []finding) {
	for _, f := range found {
		if c.effects[bounded] {
			f.marks = slices.DeleteFunc(slices.Clone(f.marks), func(m Mark) bool { return m == Unbounded })
		}
		c.inner = append(c.inner, f)
	}
}

// look only asks whether a command that begins here would destroy something.
func (c *call) look(args []arg) {
	if c.depth > 3 || len(args) == 0 || args[0].shape != exact || c.class == Destructive || c.j.looks > maxLooks {
		return
	}
	c.j.looks++
	if catalogue()[programName(args[0].text)] == nil {
		return
	}
	_, found := c.j.run(args, c.stdin, c.dirs, c.depth+1)
	for _, f := range found {
		if f.class == Destructive {
			c.class = Destructive
			c.refused = fmt.Sprintf("%s runs %q, which destroys something", c.program, f.shown)
			c.inner = nil
		}
	}
}

// rank orders classes: destructive wins over unknown, since it is proven.
func rank(c Class) int { return slices.Index([]Class{Read, Change, Unknown, Destructive}, c) }

func worse(a, b Class) Class {
	if rank(b) > rank(a) {
		return b
	}
	return a
}

// programName is the name under which the catalogue knows a program. Folders
// that only root can write to stand for the name; another path is another
// program.
func programName(word string) string {
	for _, dir := range []string{"/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/"} {
		if base, ok := strings.CutPrefix(word, dir); ok && !strings.Contains(base, "/") {
			return base
		}
	}
	return word
}
