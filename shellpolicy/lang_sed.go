package shellpolicy

import (
	"fmt"
	"strings"
)

// sedScript accepts the part of sed that can only select and replace text:
// addresses, s without the flags e and w, y, p, d, q, n, =, l, the hold space
// and groups. The commands e, r, w and their like are refused, and so is what
// is not understood.
func sedScript(_ *call, a arg) string {
	if a.shape != exact {
		return "a sed script that is known only when it runs is not judged: write it out"
	}
	s := &sedReader{rest: a.text}
	for s.why == "" && s.rest != "" {
		s.command()
	}
	if s.why == "" && s.depth != 0 {
		s.why = "a group is not closed"
	}
	if s.why != "" {
		return fmt.Sprintf("the sed script %q: %s", clip(a.text), s.why)
	}
	return ""
}

type sedReader struct {
	rest  string
	depth int
	why   string
}

func (s *sedReader) fail(format string, a ...any) {
	if s.why == "" {
		s.why = fmt.Sprintf(format, a...)
	}
}

func (s *sedReader) skip(set string) { s.rest = strings.TrimLeft(s.rest, set) }

func (s *sedReader) take(set string) bool {
	if s.rest != "" && strings.IndexByte(set, s.rest[0]) >= 0 {
		s.rest = s.rest[1:]
		return true
	}
	return false
}

// command reads one command with its addresses.
func (s *sedReader) command() {
	s.skip(" \t\n;")
	if s.rest == "" {
		return
	}
	if s.take("}") {
		s.depth--
		if s.depth < 0 {
			s.fail("a } without a group")
		}
		s.end()
		return
	}
	if s.address() {
		s.skip(" \t")
		if s.take(",") {
			s.skip(" \t")
			s.take("+~")
			if !s.address() {
				s.fail("an address is missing after the comma")
			}
		}
	}
	s.skip(" \t")
	for s.take("!") {
		s.skip(" \t")
	}
	if s.rest == "" {
		s.fail("a command is missing")
		return
	}
	c := s.rest[0]
	s.rest = s.rest[1:]
	switch c {
	case '{':
		s.depth++
		return
	case 'p', 'd', 'n', 'N', 'g', 'G', 'h', 'H', 'x', 'D', 'P', '=', 'z':
	case 'q', 'Q', 'l':
		s.skip(" \t")
		s.skip("0123456789")
	case 's':
		s.replace()
	case 'y':
		s.delimited(2)
	default:
		s.fail("the command %q is not among s, y, p, d, q, n, =, l and the hold space", string(c))
		return
	}
	s.end()
}

// end is what must follow a command.
func (s *sedReader) end() {
	s.skip(" \t")
	if s.why == "" && s.rest != "" && strings.IndexByte(";\n}", s.rest[0]) < 0 {
		s.fail("%q after a command is not understood", clip(s.rest))
	}
}

// address reads 5, $, /re/, \%re% or first~step; false if there is none.
func (s *sedReader) address() bool {
	switch {
	case s.rest == "":
		return false
	case s.take("$"):
	case s.rest[0] >= '0' && s.rest[0] <= '9':
		s.skip("0123456789")
		if s.take("~") {
			s.skip("0123456789")
		}
	case s.rest[0] == '/':
		s.delimited(1)
		for s.take("IM") {
		}
	case s.rest[0] == '\\':
		s.rest = s.rest[1:]
		s.delimited(1)
		for s.take("IM") {
		}
	default:
		return false
	}
	return true
}

// delimited reads n texts, each up to the delimiter that the rest begins with.
// Sed versions differ about a delimiter inside […], so that is refused.
func (s *sedReader) delimited(n int) {
	if s.rest == "" || strings.IndexByte("\\\n", s.rest[0]) >= 0 || s.rest[0] >= 0x80 {
		s.fail("a delimiter is missing")
		return
	}
	delim := s.rest[0]
	i := 1
	for range n {
		for ; ; i++ {
			if i >= len(s.rest) {
				s.fail("a delimiter is missing")
				return
			}
			ch := s.rest[i]
			if ch == delim {
				break
			}
			switch ch {
			case '\\':
				i++
			case '[':
				end := bracketEnd(s.rest, i)
				if end < 0 || strings.IndexByte(s.rest[i:end], delim) >= 0 {
					s.fail("the delimiter inside […] is read differently by different versions")
					return
				}
				i = end - 1
			}
		}
		i++
	}
	s.rest = s.rest[min(i, len(s.rest)):]
}

// bracketEnd finds the end of the […] that begins at from: after its "]", or -1
// if it has none. A "]" that comes first, and those of [:alpha:], are characters.
func bracketEnd(s string, from int) int {
	i := from + 1
	if strings.HasPrefix(s[i:], "^") {
		i++
	}
	if strings.HasPrefix(s[i:], "]") {
		i++
	}
	for i < len(s) {
		switch {
		case s[i] == ']':
			return i + 1
		case s[i] == '\\': // a character for some, an escape for others
			i += 2
		case strings.HasPrefix(s[i:], "[:"), strings.HasPrefix(s[i:], "[."), strings.HasPrefix(s[i:], "[="):
			end := strings.Index(s[i+2:], s[i+1:i+2]+"]")
			if end < 0 {
				return -1
			}
			i += 2 + end + 2
		default:
			i++
		}
	}
	return -1
}

// replace reads what follows s. In the replacement a bracket is a character.
func (s *sedReader) replace() {
	if s.rest == "" {
		s.fail("s without a delimiter")
		return
	}
	delim := s.rest[:1]
	s.delimited(1)
	if s.why != "" {
		return
	}
	for i := 0; ; i++ {
		if i >= len(s.rest) {
			s.fail("s is not closed")
			return
		}
		if s.rest[i] == '\\' {
			i++
			continue
		}
		if s.rest[i] == delim[0] {
			s.rest = s.rest[i+1:]
			break
		}
	}
	for s.take("gpiImM0123456789") {
	}
	if s.rest != "" && strings.IndexByte("ew", s.rest[0]) >= 0 {
		s.fail("the flag %q of s runs or writes something", s.rest[:1])
	}
}
