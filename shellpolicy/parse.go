package shellpolicy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"mvdan.cc/sh/v3/syntax"
)

// Limits of one command line. They keep Judge fast; no honest command is near.
const (
	maxBytes    = 32 << 10
	maxNesting  = 64
	maxChain    = 500  // of |, && and ||
	maxCommands = 5000 // simple commands, every value of a variable counted
	maxWords    = 4000 // of one command
	maxDirs     = 12   // that a line changes to
	maxUnknowns = 100  // refusals that are put on record
	maxLooks    = 200
	maxPath     = 4096 // bytes, as PATH_MAX
)

// checkText refuses what no parser should see: text that is too long, that is
// not text, or that a person cannot see as it is.
func checkText(command string) error {
	if len(command) > maxBytes {
		return fmt.Errorf("the command is %d bytes long, at most %d are judged", len(command), maxBytes)
	}
	if strings.TrimSpace(command) == "" {
		return errors.New("the command is empty")
	}
	if !utf8.ValidString(command) {
		return errors.New("the command is not valid UTF-8")
	}
	for _, r := range command {
		if r >= ' ' && r < 0x7f || r == '\n' || r == '\t' {
			continue
		}
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) {
			return fmt.Errorf("the command contains %U, which cannot be seen or is obeyed by terminals", r)
		}
	}
	if strings.Count(command, "|")+strings.Count(command, "&&") > maxChain {
		return fmt.Errorf("the command has more than %d of |, && and ||", maxChain)
	}
	if nesting(command) > maxNesting {
		return fmt.Errorf("the command is nested more than %d deep", maxNesting)
	}
	return nil
}

// nesting estimates from above how deep a parser would have to go. It does not
// know quotes: text that looks like deep code is refused too.
func nesting(command string) int {
	depth, deepest, ticks := 0, 0, 0
	word := 0 // where the current word began
	for i := 0; i <= len(command); i++ {
		if i < len(command) && (command[i] >= 'a' && command[i] <= 'z') {
			continue
		}
		switch command[word:i] {
		case "if", "while", "until", "for", "case":
			depth++
		case "fi", "done", "esac":
			depth--
		}
		word = i + 1
		if i == len(command) {
			break
		}
		switch command[i] {
		case '(', '{':
			depth++
		case ')', '}':
			depth--
		case '`':
			ticks++
		}
		depth = max(depth, 0)
		deepest = max(deepest, depth)
	}
	if ticks > 2*maxNesting {
		return ticks
	}
	return deepest
}

// parseLine reads the line as /bin/sh does. A parser is not safe for concurrent
// use, so each call has its own.
func parseLine(command string) (*syntax.File, error) {
	p := syntax.NewParser(syntax.Variant(syntax.LangPOSIX), syntax.KeepComments(true))
	file, err := p.Parse(strings.NewReader(command), "")
	if err != nil {
		return nil, err
	}
	if len(file.Stmts) == 0 {
		return nil, errors.New("no command in it")
	}
	syntax.Walk(file, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.Comment); ok && !beginsComment(command, int(c.Hash.Offset())) {
			err = errors.New("a # within a word: quote it")
		}
		return true
	})
	return file, err
}

// beginsComment reports whether every shell takes the # at i for the beginning
// of a comment. The parser (v3.14.1) also takes it for one inside of brackets
// after a quote or an expansion, as in (echo 'a'#; rm x), where a shell reads on.
func beginsComment(command string, i int) bool {
	if i == 0 {
		return true
	}
	if i > len(command) || strings.IndexByte(" \t\n;&|(", command[i-1]) < 0 {
		return false
	}
	return i < 2 || command[i-2] != '\\'
}

// parseLoosely reads a line that is no POSIX shell, or is broken, as bash would,
// as far as it goes: not to allow it, but to see whether it destroys something.
func parseLoosely(command string) *syntax.File {
	p := syntax.NewParser(syntax.Variant(syntax.LangBash), syntax.RecoverErrors(4))
	file, _ := p.Parse(strings.NewReader(command), "")
	return file
}
