package shellpolicy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// specials gives the function that judges a program whose words are a language
// of their own; nil if there is none of that name.
func specials(name string) func(*call, []arg) {
	switch name {
	case "find":
		return judgeFind
	case "xargs":
		return judgeXargs
	case "shell":
		return judgeShell
	case "env":
		return judgeEnv
	case "test":
		return judgeTest
	case "dd":
		return judgeDD
	case "looksat":
		return judgeLook
	case "echo":
		return judgeEcho
	case "destroys":
		return func(c *call, _ []arg) { c.class = Destructive }
	}
	return nil
}

// specialNames are the names that specials knows.
func specialNames() []string {
	return []string{"find", "xargs", "shell", "env", "test", "dd", "looksat", "echo", "destroys"}
}

// judgeEcho takes anything; alone it prints an empty line.
func judgeEcho(c *call, args []arg) {
	if len(args) == 0 {
		c.out = stream{flow: flowNone}
	}
}

// judgeLook refuses a program that runs another one in a way that is not
// modelled, but says so if the other one destroys something.
func judgeLook(c *call, args []arg) {
	c.refuse("%s runs another command in a way that is not modelled", c.program)
	for i := range min(len(args), 16) {
		c.look(args[i:])
		if args[i].shape == exact && strings.ContainsAny(args[i].text, " ;&|") {
			c.lookScript(args[i].text)
		}
	}
	c.class = worse(c.class, Unknown)
}

// lookScript asks of a text that some shell will read whether it destroys
// something.
func (c *call) lookScript(script string) {
	if c.depth > 2 || nesting(script) > maxNesting {
		return
	}
	inner := &judge{policy: c.j.policy, dirs: c.dirs, commands: c.j.commands + 100, depth: c.depth + 1}
	if file := parseLoosely(script); file != nil {
		inner.search(file)
	}
	c.j.commands = inner.commands
	if f, found := inner.destroys(); found {
		c.class, c.refused = Destructive, fmt.Sprintf("%s runs %q, which destroys something", c.program, f.shown)
	}
}

// judgeFind takes "find PATH… EXPRESSION" apart. The tests are in the
// catalogue; only -exec with a command that reads is modelled here.
func judgeFind(c *call, args []arg) {
	e := c.entry
	var paths []arg
	i := 0
	for ; i < len(args) && (args[i].isLit("-L") || args[i].isLit("-H") || args[i].isLit("-P")); i++ {
	}
	for ; i < len(args) && !args[i].mayBeFlag() && !args[i].isLit("(") && !args[i].isLit("!"); i++ {
		if why := c.path(args[i], seesNames); why != "" || args[i].shape == anyText {
			c.refuse("find: %s", why)
		}
		paths = append(paths, args[i])
	}
	if len(paths) == 0 {
		paths = []arg{lit(".")}
	}
	found := stream{}
	for _, p := range paths {
		pat := p.text
		if p.shape == exact {
			pat = escapeGlob(pat)
		}
		found.roots = append(found.roots, strings.TrimSuffix(pat, "/")+"/"+anyDepth)
	}
	for i < len(args) {
		a := args[i]
		switch {
		case a.isLit("-delete") || a.shape == exact && slices.Contains([]string{"-fprint", "-fprint0", "-fprintf", "-fls"}, a.text):
			c.class = Destructive
			c.refuse("find %s deletes or overwrites files", a.text)
			i++
		case a.isLit("-exec") || a.isLit("-execdir") || a.isLit("-ok") || a.isLit("-okdir"):
			i = c.findExec(args, i, found)
		default:
			used, isFlag := c.flag(e, args[i:], nil)
			if !isFlag {
				c.refuse("find: %q is not in the catalogue", clip(a.show()))
			}
			i += max(used, 1)
		}
	}
	if c.given["-print0"] {
		c.out = stream{flow: flowPaths, roots: found.roots}
	}
}

// findExec judges the command between -exec and its end with a path below the
// folders that are searched in place of {}.
func (c *call) findExec(args []arg, i int, found stream) int {
	kind := args[i].text
	end := i + 1
	for end < len(args) && !args[end].isLit(";") && !(args[end].isLit("+") && args[end-1].isLit("{}")) {
		end++
	}
	if kind != "-exec" || end == len(args) {
		c.refuse("find %s is not modelled: only -exec … \\; and -exec … {} + are", kind)
		for k := i + 1; k < min(end, i+16); k++ {
			c.look(args[k:end])
		}
		return end + 1
	}
	for _, root := range found.roots {
		var argv []arg
		for _, a := range args[i+1 : end] {
			switch {
			case a.isLit("{}"):
				argv = append(argv, arg{shape: pattern, text: root, many: args[end].isLit("+")})
			case a.shape == exact && strings.Contains(a.text, "{}"):
				c.refuse("find -exec: {} within a longer word is not modelled")
			default:
				argv = append(argv, a)
			}
		}
		ran, inner := c.j.run(argv, stream{flow: flowTerminal}, c.dirs, c.depth+1)
		c.adopt(inner)
		if ran.printed != nil {
			c.refuse("a script in find -exec is not modelled: name the program itself")
		}
		if slices.ContainsFunc(inner, func(f finding) bool { return f.class == Destructive }) {
			c.class = Destructive
			c.refuse("find -exec runs %q", inner[0].shown)
		}
	}
	return end + 1
}

// judgeXargs judges the command that xargs runs with what it reads at its end,
// or in place of the text that -I names.
func judgeXargs(c *call, args []arg) {
	e := c.entry
	replace, single := "", false
	i := 0
	for i < len(args) && args[i].mayBeFlag() {
		a := args[i]
		if a.isLit("-I") && i+1 < len(args) && args[i+1].shape == exact {
			replace = args[i+1].text
		} else if a.shape == exact && strings.HasPrefix(a.text, "-I") && len(a.text) > 2 {
			replace = a.text[2:]
		}
		used, _ := c.flag(e, args[i:], nil)
		if used == 0 {
			judgeLook(c, args[i:])
			return
		}
		single = single || a.isLit("-n1") || (a.isLit("-n") || a.isLit("--max-args")) && args[i+1].isLit("1") || a.isLit("--max-args=1")
		i += used
	}
	command := args[i:]
	if len(command) == 0 {
		command = []arg{lit("echo")}
	}
	var fills []arg
	switch {
	case c.stdin.flow == flowPaths && (c.given["-0"] || c.given["--null"]):
		for _, r := range c.stdin.roots {
			fills = append(fills, arg{shape: pattern, text: r, many: replace == "" && !single})
		}
	case c.stdin.flow == flowNames || c.stdin.flow == flowNumber:
		fills = []arg{name(replace == "" && !single)}
	default:
		fills = []arg{{shape: anyText, many: replace == "" && !single}}
	}
	for _, fill := range fills {
		var argv []arg
		for _, a := range command {
			switch {
			case replace == "" || a.shape != exact || !strings.Contains(a.text, replace):
				argv = append(argv, a)
			case a.text == replace:
				argv = append(argv, fill)
			default:
				argv = append(argv, substitute(a.text, replace, fill))
			}
		}
		if replace == "" {
			argv = append(argv, fill)
		}
		ran, inner := c.j.run(argv, stream{flow: flowNone}, c.dirs, c.depth+1)
		c.adopt(inner)
		if ran.printed != nil {
			c.refuse("a script behind xargs is not modelled: name the program itself")
		}
	}
}

// substitute puts what is known only when it runs into a known text.
func substitute(text, hole string, fill arg) arg {
	before, after, _ := strings.Cut(text, hole)
	if fill.shape == anyText || strings.Contains(after, hole) || strings.Contains(fill.text, anyDepth) {
		return arg{shape: anyText, text: before}
	}
	return arg{shape: pattern, text: escapeGlob(before) + fill.text + escapeGlob(after), safe: fill.safe}
}

// judgeShell judges "sh -c SCRIPT" by its script. The script is printed anew.
func judgeShell(c *call, args []arg) {
	if len(args) != 2 || !args[0].isLit("-c") || args[1].shape != exact {
		c.refuse("%s is modelled only with -c and one script: write the commands out", c.program)
		for _, a := range args[:min(len(args), 16)] {
			if a.shape == exact {
				c.lookScript(a.text)
			}
		}
		c.class = worse(c.class, Unknown)
		return
	}
	script := args[1].text
	if c.depth > 2 || checkText(script) != nil {
		c.refuse("the script of %s is empty, too deep or not readable", c.program)
		return
	}
	file, err := parseLine(script)
	if err != nil {
		c.refuse("the script of %s is not POSIX shell: %v", c.program, err)
		c.lookScript(script)
		return
	}
	inner := &judge{policy: c.j.policy, commands: c.j.commands + 1, looks: c.j.looks, dirs: slices.Clone(c.dirs), depth: c.depth + 1, seen: c.j.seen}
	printed, out := inner.script(file, c.stdin)
	c.j.commands, c.j.looks = inner.commands, inner.looks
	c.out = out
	c.adopt(inner.findings)
	c.printed = []string{quote(c.program), "-c", quote(printed)}
	if f, found := inner.destroys(); found {
		c.class = Destructive
		c.refuse("its script runs %q", f.shown)
	}
}

var envAssignment = regexp.MustCompile(`\A([A-Za-z_][A-Za-z0-9_]*)=(.*)\z`)

// judgeEnv judges "env NAME=VALUE… COMMAND"; alone it prints every variable.
func judgeEnv(c *call, args []arg) {
	for len(args) > 0 && args[0].shape == exact {
		m := envAssignment.FindStringSubmatch(args[0].text)
		if m == nil {
			break
		}
		if !prefixName.MatchString(m[1]) || !prefixValue.MatchString(m[2]) || strings.Contains(m[2], "..") {
			c.refuse("%s=… can make a program run something else; only LC_ALL, LANG, TZ and their like may be set", clip(m[1]))
		}
		args = args[1:]
	}
	switch {
	case len(args) == 0:
		c.effects[string(Sensitive)] = true
	case args[0].mayBeFlag():
		judgeLook(c, args)
	default:
		c.wrapped(args)
	}
}

// judgeDD reads its operands: of=FILE overwrites.
func judgeDD(c *call, args []arg) {
	c.refuse("dd copies raw data and is not modelled")
	c.class = Unknown
	for _, a := range args {
		if strings.HasPrefix(a.text, "of=") && !a.isLit("of=/dev/null") {
			c.class = Destructive
		}
	}
}
