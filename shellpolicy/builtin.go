package shellpolicy

import (
	"slices"
	"strings"
)

// builtin judges a command that the shell itself carries out.
type builtin func(j *judge, argv []arg, s *scope) stream

// builtins gives the judge of a shell builtin; nil if the word is none that may
// be used. export, eval, trap, alias and the like are in no list, so refused.
func builtins(name string) builtin {
	switch name {
	case "cd":
		return judgeCd
	case "read":
		return judgeRead
	case ":", "true", "false", "break", "continue", "exit":
		return judgeNothing
	case "set":
		return judgeSet
	case "command", "type":
		return judgeCommand
	case "pwd":
		return judgePwd
	}
	return nil
}

func (j *judge) builtinFinding(argv []arg, why string) {
	c := &call{j: j, program: argv[0].text, args: argv[1:], effects: map[string]bool{}, class: Read}
	if why != "" {
		c.refuse("%s", why)
	}
	f := c.finding(argv[0].text)
	for _, a := range argv[1:] {
		f.words = append(f.words, a.text)
	}
	j.add(f)
}

func judgeCd(j *judge, argv []arg, _ *scope) stream {
	why := ""
	if len(argv) == 3 && argv[1].isLit("--") {
		argv = slices.Delete(slices.Clone(argv), 1, 2)
	}
	c := &call{j: j, dirs: j.dirs, effects: map[string]bool{}}
	switch {
	case len(argv) != 2 || argv[1].shape != exact || !strings.HasPrefix(argv[1].text, "/"):
		why = "only \"cd /an/absolute/path\" is modelled"
	default:
		why = c.path(argv[1], seesContent)
	}
	j.builtinFinding(argv, why)
	return stream{flow: flowNone}
}

// judgeRead takes the names that read sets; what they hold is what comes in.
func judgeRead(j *judge, argv []arg, s *scope) stream {
	names := argv[1:]
	why := ""
	if len(names) > 0 && names[0].isLit("-r") {
		names = names[1:]
	}
	if len(names) == 0 {
		why = "read needs the name of a variable"
	}
	for _, n := range names {
		if n.shape != exact || !settable(n.text) {
			why = "read takes plain lower-case names and -r only"
			break
		}
		v := anything()
		if len(names) == 1 {
			v = value{s.stdin.word(false)}
		} else if s.stdin.flow == flowColumn && n == names[0] {
			v = value{name(false)}
		}
		s.vars[n.text] = v
	}
	j.builtinFinding(argv, why)
	return stream{flow: flowNone}
}

func judgeNothing(j *judge, argv []arg, _ *scope) stream {
	why := ""
	for _, a := range argv[1:] {
		if (argv[0].text == "exit" || argv[0].text == "break" || argv[0].text == "continue") && len(argv) == 2 && (number.MatchString(a.text) || a.shape == pattern && a.safe) {
			continue
		}
		why = "no operands are modelled for it"
	}
	j.builtinFinding(argv, why)
	return stream{flow: flowNone}
}

func judgeSet(j *judge, argv []arg, _ *scope) stream {
	why := ""
	for _, a := range argv[1:] {
		if !slices.ContainsFunc([]string{"-e", "-u", "-eu", "-ue", "-f"}, a.isLit) {
			why = "only set -e, -u and -f are modelled"
		}
	}
	if len(argv) < 2 {
		why = "set alone prints every variable"
	}
	j.builtinFinding(argv, why)
	return stream{flow: flowNone}
}

// judgeCommand is "command -v NAME" and "type NAME": where is a program?
func judgeCommand(j *judge, argv []arg, s *scope) stream {
	names := argv[1:]
	if argv[0].text == "command" {
		if len(names) == 0 || !names[0].isLit("-v") && !names[0].isLit("-V") {
			if len(names) == 0 || names[0].mayBeFlag() {
				j.builtinFinding(argv, "only command -v NAME is modelled")
				return stream{}
			}
			c, found := j.run(names, s.stdin, j.dirs, 1)
			if c.printed != nil {
				j.builtinFinding(argv, "a script behind command is not modelled: leave out command")
			}
			j.add(found...)
			return c.out
		}
		names = names[1:]
	}
	why := ""
	for _, n := range names {
		if why == "" {
			why = fitsShape("name", word0, n)
		}
	}
	j.builtinFinding(argv, why)
	return stream{}
}

func judgePwd(j *judge, argv []arg, _ *scope) stream {
	why := ""
	for _, a := range argv[1:] {
		if !a.isLit("-P") && !a.isLit("-L") {
			why = "pwd takes -P and -L only"
		}
	}
	j.builtinFinding(argv, why)
	return stream{}
}

// judgeTest judges test and [. Only forms that every shell reads in one way are
// let through: with two words of which one is not known, the first could be -v,
// which runs code in bash.
func judgeTest(c *call, args []arg) {
	if c.program == "[" {
		if len(args) == 0 || !args[len(args)-1].isLit("]") {
			c.refuse("[ without ]")
			return
		}
		args = args[:len(args)-1]
	}
	if slices.ContainsFunc(args, func(a arg) bool { return a.many }) {
		c.refuse("an unquoted expansion in a test can become several words: put it in double quotes")
		return
	}
	// -a and -o join tests; with words that are not known they are ambiguous.
	joined := slices.ContainsFunc(args, func(a arg) bool { return a.isLit("-a") || a.isLit("-o") })
	if joined && slices.ContainsFunc(args, func(a arg) bool { return a.shape == anyText }) {
		c.refuse("-a and -o in a test with words that are known only when it runs: write two tests with && or ||")
		return
	}
	for {
		i := slices.IndexFunc(args, func(a arg) bool { return joined && (a.isLit("-a") || a.isLit("-o")) })
		if i < 0 {
			c.testOne(args)
			return
		}
		c.testOne(args[:i])
		args = args[i+1:]
	}
}

func (c *call) testOne(args []arg) {
	if len(args) > 1 && args[0].isLit("!") {
		args = args[1:]
	}
	unary := []string{"-e", "-f", "-d", "-r", "-w", "-x", "-s", "-L", "-h", "-b", "-c", "-p", "-S", "-n", "-z", "-t", "-g", "-u", "-k"}
	binary := []string{"=", "!=", "==", "-eq", "-ne", "-gt", "-ge", "-lt", "-le", "-nt", "-ot", "-ef"}
	isOne := func(a arg, of []string) bool { return a.shape == exact && slices.Contains(of, a.text) }
	switch {
	case len(args) == 1 && !args[0].isLit("("):
	case len(args) == 2 && isOne(args[0], unary):
	case len(args) == 3 && isOne(args[1], binary):
		if args[0].isLit("(") || args[0].isLit("!") {
			c.refuse("a test that different shells read differently")
		}
		if strings.HasPrefix(args[1].text, "-") && len(args[1].text) == 3 {
			for _, side := range []arg{args[0], args[2]} {
				if side.shape == exact && strings.ContainsAny(args[1].text, "qtel") && strings.Contains(side.text, "[") {
					c.refuse("%q is no number", clip(side.text))
				}
			}
		}
	default:
		c.refuse("this form of test is not modelled: use tests such as [ -f FILE ] or [ \"$x\" = y ]")
	}
}
