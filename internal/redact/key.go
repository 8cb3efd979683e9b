package redact

import "strings"

// privateKeys finds PEM blocks of private keys, whole or cut off at either end,
// on lines of their own or on one line with \n between.
func (s *scan) privateKeys() {
	const begin, end = "-----BEGIN ", "-----END "
	for from := 0; ; {
		i := strings.Index(s.text[from:], "PRIVATE KEY")
		if i < 0 {
			return
		}
		i += from
		from = i + len("PRIVATE KEY")
		start := s.lineStart(i)
		switch before := s.text[start:i]; {
		case strings.Contains(before, begin) && strings.LastIndex(before, begin) > strings.LastIndex(before, end):
			if dashes := strings.Index(s.text[i:s.lineEnd(i)], "-----"); dashes >= 0 {
				s.keyAfter(i + dashes + len("-----"))
				from = max(from, s.until)
			}
		case strings.Contains(before, end):
			s.keyBefore(start)
		}
	}
}

// keyAfter takes out what follows a BEGIN line, until its END or until a line
// that is not part of a key.
func (s *scan) keyAfter(i int) {
	const rule = "private-key"
	line := s.lineEnd(i)
	if rest := s.text[i:line]; strings.Trim(rest, " \t\"',\\n") != "" { // the key is on the same line
		if cut := strings.Index(rest, "-----END"); cut >= 0 {
			line = i + cut
		}
		s.add(rule, i, line)
		return
	}
	for at := line; at < len(s.text); {
		at++ // behind the line feed
		end := s.lineEnd(at)
		body := keyText(s.text[at:min(end, len(s.text))])
		if at >= len(s.text) || body < 0 {
			return
		}
		s.add(rule, at+body, end)
		at = end
		if at < len(s.text) && strings.HasPrefix(s.text[at:], "\r\n") {
			at++
		}
	}
}

// keyBefore takes out the lines above an END line.
func (s *scan) keyBefore(start int) {
	for end := start; end > 0; {
		end-- // before the line feed
		if end > 0 && s.text[end-1] == '\r' {
			end--
		}
		begin := s.lineStart(end)
		body := keyText(s.text[begin:end])
		if body < 0 {
			return
		}
		s.add("private-key", begin+body, end)
		end = begin
	}
}

// keyText is where the text of a key begins in a line of it; -1 if the line is
// none. Logs put a time and the like before it.
func keyText(line string) int {
	trimmed := strings.TrimRight(line, " \t\"',\\n")
	start := strings.LastIndexAny(trimmed, " \t\"'|") + 1
	word := trimmed[start:]
	if strings.HasPrefix(trimmed, "Proc-Type:") || strings.HasPrefix(trimmed, "DEK-Info:") {
		return 0
	}
	if trimmed == "" || strings.HasPrefix(word, "-----") || len(word) < 4 {
		if trimmed == "" && line == "" {
			return 0 // the empty line below the headers of an encrypted key
		}
		return -1
	}
	for _, c := range []byte(word) {
		if !isAlnum(c) && c != '+' && c != '/' && c != '=' {
			return -1
		}
	}
	if len(word) < 16 && !strings.HasSuffix(word, "=") && len(word)%4 != 0 {
		return -1
	}
	return start
}

// hash finds hashes of passwords as crypt(3) and htpasswd write them.
func (s *scan) hash(i int) {
	for _, id := range []string{"$1$", "$5$", "$6$", "$7$", "$y$", "$gy$", "$2a$", "$2b$", "$2y$", "$apr1$", "$argon2i$", "$argon2id$", "$scrypt$", "$pbkdf2"} {
		if !strings.HasPrefix(s.text[i:], id) {
			continue
		}
		end := i + len(id)
		for end < min(len(s.text), i+longestValue) && (isAlnum(s.text[end]) || strings.IndexByte("./$=,+-", s.text[end]) >= 0) {
			end++
		}
		if end-i-len(id) >= 20 {
			s.add("password-hash", i, end)
		}
		return
	}
}
