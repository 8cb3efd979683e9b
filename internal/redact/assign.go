package redact

import "strings"

func isName(c byte) bool { return isWord(c) || c == '-' || c == '.' }

// name gives the name that ends before i, and where it begins.
func (s *scan) name(i int) (start int, name string) {
	start = i
	for start > 0 && isName(s.text[start-1]) && i-start <= longestName {
		start--
	}
	return start, s.text[start:i]
}

// assigned looks at the = or : at i: is what stands before it the name of a
// secret, and what stands behind it its value?
func (s *scan) assigned(i int) {
	text := s.text
	end, value := i, i+1
	if text[i] == '=' {
		switch {
		case i > 0 && strings.IndexByte("=!<>+", text[i-1]) >= 0, value < len(text) && text[value] == '=':
			return // a comparison, or the end of base64
		case value < len(text) && text[value] == '>':
			value++ // :password => "x"
		}
	}
	for end > 0 && text[i] == '=' && (text[end-1] == ':' || text[end-1] == '?') { // := and ?=
		end--
	}
	for end > 0 && text[end-1] == ' ' && i-end < 8 {
		end--
	}
	quoted := end > 0 && (text[end-1] == '"' || text[end-1] == '\'')
	if quoted {
		end--
		if end > 0 && text[end-1] == '\\' { // JSON within JSON
			end--
		}
	}
	start, name := s.name(end)
	k := kindOf(name)
	if k == plain || k == signature && (start == 0 || text[start-1] != '?' && text[start-1] != '&') {
		return
	}
	spaces := value
	for value < len(text) && (text[value] == ' ' || text[value] == '\t') {
		value++
	}
	f := attached
	if text[i] == ':' && value > spaces && !quoted || text[i] == ':' && strings.EqualFold(name, "pass") {
		f = spaced
	}
	if value < len(text) && k == password && notPassword(name, text[value]) {
		return
	}
	if k == authorization || k == cookie {
		s.header(k, start, value, quoted)
		return
	}
	s.value(k, f, start, value, text[i] == '=' && !quoted && spaces == value)
}

// notPassword knows the names that mean something else by what their value
// begins with: the folder of a process, the number of tests that passed.
func notPassword(name string, begin byte) bool {
	switch strings.ToLower(name) {
	case "pwd", "oldpwd":
		return begin == '/'
	case "pass":
		return begin >= '0' && begin <= '9'
	}
	return false
}

// value takes the value at i out. first is where its name begins, and env says
// that the two may be NAME=value as in an environment.
func (s *scan) value(k kind, f form, first, i int, env bool) {
	text := s.text
	for i < len(text) && text[i] == '[' && !strings.HasPrefix(text[i:], mark) { // map[password:[x]]
		i++
	}
	if i >= len(text) || text[i] == '{' && !strings.HasPrefix(text[i:], "{{") { // its fields have names of their own
		return
	}
	end := 0
	switch q := quoteAt(text, i); {
	case q != "":
		i += len(q)
		end, f = s.quoteEnd(i, q), attached
	case env && first > 0 && (text[first-1] == '"' || text[first-1] == '\''): // "NAME=value"
		end = s.quoteEnd(i, enclosing(text, first-1))
	case env && s.opensLine(first):
		end = s.lineEnd(i)
	default:
		end = s.wordEnd(i)
	}
	if k.takes(text[i:end], f) {
		s.add(k.rule(), i, end)
	}
}

// quoteAt gives the quote that begins at i, with the backslash that a quote
// within a quote has; "" for none.
func quoteAt(text string, i int) string {
	n := 0
	for i+n < len(text) && text[i+n] == '\\' && n < 4 {
		n++
	}
	if i+n < len(text) && strings.IndexByte("\"'`", text[i+n]) >= 0 {
		return text[i : i+n+1]
	}
	return ""
}

// enclosing is the quote that ends at i, with its backslashes.
func enclosing(text string, i int) string {
	start := i
	for start > 0 && text[start-1] == '\\' && i-start < 4 {
		start--
	}
	return text[start : i+1]
}

// quoteEnd is where the quoted text that begins at i ends: before the quote, or
// at the end of its line.
func (s *scan) quoteEnd(i int, quote string) int {
	text := s.text[:min(len(s.text), i+longestValue)]
	for i < len(text) {
		switch c := text[i]; {
		case c == '\n' || c == '\r' || c == 0:
			return i
		case c == quote[0] && strings.HasPrefix(text[i:], quote):
			return i
		case c == '\\' && quote[0] != '\\' && i+1 < len(text) && text[i+1] >= ' ': // what it escapes is part of the text
			i++
		}
		i++
	}
	return i
}

// opensLine reports whether a NAME in capitals is the first word of its line, as
// in the output of env: then the value is the rest of the line.
func (s *scan) opensLine(first int) bool {
	for i := first; s.text[i] != '='; i++ {
		if c := s.text[i]; c >= 'a' && c <= 'z' {
			return false
		}
	}
	line := s.lineStart(first)
	if first-line >= longestBefore {
		return false
	}
	switch strings.TrimLeft(s.text[line:first], " \t") {
	case "", "export ", "- ", "declare -x ", "set ", "ENV ", "ARG ":
		return true
	}
	return false
}

// wordEnd is where a value without quotes ends. A comma, a semicolon or an
// ampersand ends it if another name follows.
func (s *scan) wordEnd(i int) int {
	text, end := s.text[:min(len(s.text), i+longestValue)], i
scan:
	for end < len(text) && !ends(text[end]) {
		switch text[end] {
		case ',', ';', '&', '|':
			if s.nameFollows(end + 1) {
				break scan
			}
		case '\\': // \n and \" in a text within a text
			if end+1 < len(text) && strings.IndexByte("ntr\"'", text[end+1]) >= 0 {
				break scan
			}
		}
		end++
	}
	for end > i && strings.IndexByte(",;.)]}", text[end-1]) >= 0 {
		end--
	}
	return end
}

// plainEnd is where the word that begins at i ends, most bytes behind it at the
// latest.
func (s *scan) plainEnd(i, most int) int {
	most = min(len(s.text), i+most)
	for i < most && !ends(s.text[i]) {
		i++
	}
	return i
}

// nameFollows reports whether NAME= or NAME: stands at i, or nothing any more.
func (s *scan) nameFollows(i int) bool {
	for i < len(s.text) && s.text[i] == ' ' {
		i++
	}
	if i >= len(s.text) || ends(s.text[i]) {
		return true
	}
	end := i
	for end < len(s.text) && (isName(s.text[end]) || s.text[end] == ' ') && end-i < longestName {
		end++
	}
	return end > i && end < len(s.text) && (s.text[end] == '=' || s.text[end] == ':')
}

// header takes the value of a header out: the rest of the line, or of the text
// in quotes that the header or its value stands in.
func (s *scan) header(k kind, first, i int, quoted bool) {
	text := s.text
	for i < len(text) && text[i] == '[' && !strings.HasPrefix(text[i:], mark) {
		i++
	}
	end := 0
	switch q := quoteAt(text, i); {
	case q != "":
		i += len(q)
		end = s.quoteEnd(i, q)
	case !quoted && first > 0 && strings.IndexByte("\"'`", text[first-1]) >= 0: // curl -H "Authorization: …"
		end = s.quoteEnd(i, enclosing(text, first-1))
	default:
		end = s.lineEnd(i)
		if cut := strings.IndexAny(text[i:end], "]}\"'"); cut >= 0 { // map[Authorization:[Bearer x] Host:[y]]
			end = i + cut
		}
	}
	for end > i && text[end-1] == ' ' {
		end--
	}
	if k.takes(text[i:end], attached) {
		s.add(k.rule(), i, end)
	}
}

// element finds <password>x</password>; i is the first >.
func (s *scan) element(i int) {
	start, name := s.name(i)
	if start == 0 || s.text[start-1] != '<' {
		return
	}
	k := kindOf(name)
	if k != password && k != secret {
		return
	}
	end := i + 1
	for end < min(len(s.text), i+longestValue) && s.text[end] != '<' && s.text[end] != '\n' {
		end++
	}
	if k.takes(s.text[i+1:end], attached) {
		s.add(k.rule(), i+1, end)
	}
}
