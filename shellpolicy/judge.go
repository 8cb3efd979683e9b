package shellpolicy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// judge holds what is found out about one command line.
type judge struct {
	policy   Policy
	findings []finding
	dirs     []string // every folder that the line may have changed to
	unknowns int
	depth    int // of the scripts around this one
	commands int
	assigns  bool // something in the line sets a variable
	paths    map[pathQuestion]pathAnswer
	again    bool // the text is one that was printed here
	// seen, if set, is told every command with its words.
	seen  func([]arg)
	looks int // commands looked for inside of what is refused anyway
}

// Judge says what a command line would do and whether it may run under p. It is
// pure and total: it does no I/O, it never panics, and it answers in under
// 50 ms: a line of more than 32 KB is refused for its length.
func Judge(command string, p Policy) Verdict {
	v, _ := judgeLine(command, p)
	return v
}

// judgeLine gives the verdict and what it was made of.
func judgeLine(command string, p Policy) (v Verdict, j *judge) {
	j = &judge{policy: p}
	v = Verdict{Command: command, Class: Unknown, Decision: Deny, Marks: []Mark{}, Rule: "internal",
		Reason: "the judgement did not come to an end, so the command is refused"}
	// A defect here must refuse one command, not end the program that asks.
	defer func() {
		if r := recover(); r != nil {
			v.Class, v.Decision, v.Marks, v.Canonical = Unknown, Deny, []Mark{}, ""
			v.Rule, v.Reason = "internal", "a defect in the judge: the command is refused"
			j.findings = nil
		}
	}()
	if err := checkText(command); err != nil {
		v.Rule, v.Reason = "text", err.Error()
		return v, j
	}
	j.line(command, &v)
	return v, j
}

// line judges a text that is fit to be parsed.
func (j *judge) line(command string, v *Verdict) {
	file, err := parseLine(command)
	if err != nil {
		v.Rule, v.Reason = "parse", "not a command line that /bin/sh reads: "+err.Error()
		if loose := parseLoosely(command); loose != nil {
			j.search(loose)
		}
		if f, found := j.destroys(); found {
			v.Class, v.Rule, v.Reason = Destructive, f.rule, describe(f)
		}
		return
	}
	j.dirs = startDirs()
	printed := j.file(file)
	j.conclude(v, printed)
	if v.Canonical != "" && !j.again {
		j.confirm(v)
	}
}

// confirm judges the text that would be sent as if it had been asked for: it
// must come to the same. So a mistake in the printing refuses, too.
func (j *judge) confirm(v *Verdict) {
	err := checkText(v.Canonical)
	if err == nil {
		once := Verdict{Class: Unknown, Decision: Deny}
		second := &judge{policy: j.policy, again: true}
		second.line(v.Canonical, &once)
		if once.Canonical == v.Canonical && once.Class == v.Class && once.Decision == v.Decision && slices.Equal(once.Marks, v.Marks) {
			return
		}
		err = errors.New("it does not come to the same when it is judged again")
	}
	v.Class, v.Decision, v.Marks, v.Canonical = Unknown, Deny, []Mark{}, ""
	v.Rule, v.Reason = "printing", "the command cannot be printed anew: "+err.Error()
}

func (j *judge) destroys() (finding, bool) {
	i := slices.IndexFunc(j.findings, func(f finding) bool { return f.class == Destructive })
	if i < 0 {
		return finding{}, false
	}
	return j.findings[i], true
}

func (j *judge) add(found ...finding) {
	for _, f := range found {
		if f.class == Unknown {
			if j.unknowns++; j.unknowns > maxUnknowns {
				continue // the line is refused already
			}
		}
		j.findings = append(j.findings, f)
	}
}

// refuse puts a part of the tree on record that is not modelled.
func (j *judge) refuse(rule, format string, a ...any) {
	if j.unknowns > maxUnknowns {
		return
	}
	j.add(finding{class: Unknown, rule: rule, reason: fmt.Sprintf(format, a...)})
}

// conclude turns the findings into one verdict: the worst class, every mark,
// the strictest decision, and the words of the finding that decided.
func (j *judge) conclude(v *Verdict, printed string) {
	if len(j.findings) == 0 {
		v.Rule, v.Reason = "nothing", "no command in it that the catalogue knows"
		return
	}
	v.Class, v.Decision = Read, Allow
	var decided *finding
	var how ruling
	for i := range j.findings {
		f := &j.findings[i]
		r := j.policy.decide(*f)
		for _, m := range f.marks {
			if !slices.Contains(v.Marks, m) {
				v.Marks = append(v.Marks, m)
			}
		}
		if decided == nil || strictness(r.decision) > strictness(v.Decision) ||
			r.decision == v.Decision && rank(f.class) > rank(decided.class) {
			decided, how = f, r
		}
		v.Class = worse(v.Class, f.class)
		if strictness(r.decision) > strictness(v.Decision) {
			v.Decision = r.decision
		}
	}
	if v.Class != Read {
		v.Marks = []Mark{}
	}
	slices.SortFunc(v.Marks, func(a, b Mark) int { return strings.Compare(string(a), string(b)) })
	v.Rule, v.Reason = how.rule, how.reason
	if v.Decision == Allow || v.Decision == Ask {
		v.Canonical = printed
	}
}

// ruling is the decision about one finding and who made it.
type ruling struct {
	decision Decision
	rule     string
	reason   string
}

func strictness(d Decision) int { return slices.Index([]Decision{Allow, Ask, Deny}, d) }

// describe says in words what a finding is.
func describe(f finding) string {
	switch {
	case f.class == Destructive && f.shown != "":
		why := ""
		if f.reason != "" {
			why = ": " + f.reason
		}
		return fmt.Sprintf("%q loses data or service%s", f.shown, why)
	case f.shown != "" && f.reason != "":
		return fmt.Sprintf("%q: %s", f.shown, f.reason)
	case f.shown != "":
		return fmt.Sprintf("%q", f.shown)
	}
	return f.reason
}

// decide says what is to be done with one command of a line.
func (p Policy) decide(f finding) ruling {
	r := p.byClass(f)
	if f.class == Unknown || f.class == Destructive || f.shielded {
		return r
	}
	for _, rule := range p.Rules {
		widens := strictness(rule.Decision) < strictness(r.decision)
		if strictness(rule.Decision) < 0 { // a decision that does not exist
			if rule.matches(f, false) {
				return ruling{Deny, "owner: " + rule.String(), fmt.Sprintf("the owner's rule has the decision %q, which does not exist", rule.Decision)}
			}
			continue
		}
		if !rule.matches(f, widens) {
			continue
		}
		if widens && !p.Mode.known() {
			return r
		}
		reason := fmt.Sprintf("%q: the owner's rule for %q says %s", f.shown, rule.String(), rule.Decision)
		if rule.Reason != "" {
			reason += ": " + rule.Reason
		}
		return ruling{rule.Decision, "owner: " + rule.String(), reason}
	}
	return r
}

func (m Mode) known() bool { return m == Observe || m == Suggest || m == Auto }

// byClass decides without the owner's rules.
func (p Policy) byClass(f finding) ruling {
	what := describe(f)
	switch {
	case f.class == Destructive || f.class == Unknown || f.shielded:
		return ruling{Deny, f.rule, what}
	case !p.Mode.known():
		return ruling{Deny, "mode", fmt.Sprintf("the host's mode is %q, which is none of observe, suggest and auto: nothing runs", string(p.Mode))}
	case f.class == Change && p.Mode == Observe:
		return ruling{Deny, "mode", fmt.Sprintf("%q changes something and the host is in mode observe: it may be read only", f.shown)}
	case f.class == Change && p.Mode == Suggest:
		return ruling{Ask, f.rule, fmt.Sprintf("%q changes something: a person decides in mode suggest", f.shown)}
	case f.class == Change && f.asks:
		return ruling{Ask, f.rule, fmt.Sprintf("%q changes something that is not on the list for mode auto: a person decides", f.shown)}
	case f.class == Change:
		return ruling{Allow, f.rule, fmt.Sprintf("%q is a listed reversible change", f.shown)}
	case slices.Contains(f.marks, Unbounded):
		instead := f.reason
		if instead == "" {
			instead = "leave out what makes it go on, or put \"timeout 10\" before it"
		}
		return ruling{Deny, f.rule, fmt.Sprintf("%q does not end by itself; %s", f.shown, instead)}
	case len(f.marks) > 0:
		why := "may show secrets"
		if f.marks[0] == Egress {
			why = "contacts another host"
		}
		if f.reason != "" {
			why += "; " + f.reason
		}
		if p.Mode == Observe {
			return ruling{Deny, f.rule, fmt.Sprintf("%q %s: in mode observe it does not run", f.shown, why)}
		}
		return ruling{Ask, f.rule, fmt.Sprintf("%q %s: a person decides", f.shown, why)}
	case f.shown == "":
		return ruling{Allow, f.rule, "only reads"}
	}
	return ruling{Allow, f.rule, fmt.Sprintf("%q only reads", f.shown)}
}

// String is the rule in terms of the catalogue: "docker restart web".
func (r Rule) String() string { return strings.Join(append([]string{r.Program}, r.Args...), " ") }

// matches reports whether the rule is about the command. A rule that narrows
// must not be dodged by a flag or a second operand; one that widens must not be
// stretched by them.
func (r Rule) matches(f finding, widens bool) bool {
	if f.program == "" || r.Program != f.program {
		return false
	}
	if widens {
		if len(r.Args) == 0 {
			return true
		}
		if len(f.args) < len(r.Args) {
			return false
		}
		for i, want := range r.Args {
			if !f.args[i].isLit(want) {
				return false
			}
		}
		named := slices.IndexFunc(r.Args, func(s string) bool { return !strings.HasPrefix(s, "-") && !slices.Contains(strings.Fields(f.rule), s) })
		if named < 0 {
			return true
		}
		for _, w := range f.words {
			if !slices.Contains(r.Args, w) {
				return false
			}
		}
		return true
	}
	rest := f.words
	for _, want := range r.Args {
		if strings.HasPrefix(want, "-") {
			if !slices.ContainsFunc(f.args, func(a arg) bool { return a.shape != exact || a.text == want || strings.HasPrefix(a.text, want+"=") }) {
				return false
			}
			continue
		}
		// An operand that is known only when it runs may be the one that is meant.
		i := slices.IndexFunc(rest, func(w string) bool { return w == want || strings.Contains(w, "*") })
		if i < 0 {
			return false
		}
		rest = append(slices.Clone(rest[:i]), rest[i+1:]...)
	}
	return true
}

// run judges a command that another one runs, at any depth.
func (j *judge) run(words []arg, stdin stream, dirs []string, depth int) (*call, []finding) {
	if len(words) == 0 || words[0].shape != exact || words[0].many {
		return &call{}, []finding{{class: Unknown, rule: "program", reason: "which program runs is known only when it runs: name it"}}
	}
	j.commands++
	if j.seen != nil {
		j.seen(words)
	}
	c := &call{j: j, program: programName(words[0].text), args: words[1:], stdin: stdin, dirs: dirs, depth: depth}
	if depth > 4 || j.commands > maxCommands {
		c.effects, c.class = map[string]bool{}, Unknown
		c.refuse("programs that run programs are nested more than 4 deep, or start too many commands")
		return c, []finding{c.finding("nesting")}
	}
	return c, c.judge()
}
