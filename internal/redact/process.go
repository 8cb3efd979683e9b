package redact

import "strings"

// flag finds "--password x" in the command line of a process; i is the space
// behind the flag.
func (s *scan) flag(i int) {
	if i == 0 || !isWord(s.text[i-1]) {
		return
	}
	start, name := s.name(i)
	bare := strings.TrimLeft(name, "-")
	if len(bare) == len(name) || start > 0 && !ends(s.text[start-1]) {
		return
	}
	k := kindOf(bare)
	if k != password && k != secret {
		return
	}
	value := i
	for value < len(s.text) && (s.text[value] == ' ' || s.text[value] == '\t' || s.text[value] == 0) {
		value++
	}
	if value < len(s.text) && s.text[value] != '-' {
		s.argument(k, value)
	}
}

// argument takes out one argument of a command.
func (s *scan) argument(k kind, i int) {
	end := 0
	if q := quoteAt(s.text, i); q != "" {
		i += len(q)
		end = s.quoteEnd(i, q)
	} else {
		end = s.plainEnd(i, longestValue)
	}
	v := s.text[i:end]
	if isProse(v) || strings.ToUpper(v) == v && kindOf(v) != plain { // "use --password to …", "--password PASSWORD"
		return
	}
	if k.takes(v, attached) {
		s.add(k.rule(), i, end)
	}
}

// option is a short flag with which a program is given a password.
type option struct {
	program, flag string
	// account says that the argument is NAME:PASSWORD or NAME%PASSWORD, with
	// this byte between.
	account byte
}

// options are looked for on lines that name their program.
func options() []option {
	return []option{
		{program: "mysql", flag: "p"}, {program: "mariadb", flag: "p"}, {program: "sshpass", flag: "p"}, {program: "mongo", flag: "p"},
		{program: "docker login", flag: "p"}, {program: "podman login", flag: "p"}, {program: "redis-cli", flag: "a"}, {program: "ldap", flag: "w"},
		{program: "mosquitto_", flag: "P"}, {program: "sqlcmd", flag: "P"}, {program: "curl", flag: "u", account: ':'}, {program: "smbclient", flag: "U", account: '%'},
		{program: "snmp", flag: "A"}, {program: "snmp", flag: "X"}, {program: "snmp", flag: "c"}, {program: "ipmitool", flag: "P"},
	}
}

// option finds "mysql -psecret" and its like; i is the dash.
func (s *scan) option(i int) {
	text := s.text
	if i+2 >= len(text) || i > 0 && !ends(text[i-1]) || strings.IndexByte("pauwPUAXc", text[i+1]) < 0 {
		return
	}
	start := s.lineStart(i)
	for _, o := range options() {
		if o.flag[0] != text[i+1] || !strings.Contains(text[start:i], o.program) {
			continue
		}
		value := i + 2
		for value < len(text) && (text[value] == ' ' || text[value] == 0) {
			value++
		}
		if value > i+2 && o.program == "mysql" || value >= len(text) || text[value] == '-' || text[value] == '\n' {
			continue // mysql -p asks for it
		}
		if o.account == 0 {
			s.argument(password, value)
			continue
		}
		end := s.plainEnd(value, longestValue)
		if cut := strings.IndexByte(text[value:end], o.account); cut >= 0 {
			s.argument(password, value+cut+1)
		}
	}
}

// phrase finds what is a secret by the words before it; i is where a word
// begins.
func (s *scan) phrase(i int) {
	var words []string
	switch s.text[i] {
	case 'B', 'b':
		words = []string{"bearer "}
	case 'I', 'i':
		words = []string{"identified by "}
	case 'R', 'r':
		words = []string{"requirepass "}
	case 'M', 'm':
		words = []string{"masterauth "}
	case 'P', 'p':
		words = []string{"password '", "password encrypted '", "password "}
	}
	for _, w := range words {
		if i+len(w) >= len(s.text) || !strings.EqualFold(s.text[i:i+len(w)], w) {
			continue
		}
		value := i + len(w)
		switch w[len(w)-2:] {
		case " '":
			s.argument(password, value-1)
		case "r ":
			s.bearer(value)
		case "d ":
			before := s.text[s.lineStart(i):i] // .netrc
			if strings.Contains(before, "login ") && strings.Contains(before, "machine ") {
				s.argument(password, value)
			}
		default:
			s.argument(password, value)
		}
		return
	}
}

// bearer takes out what stands behind the word Bearer, if it is a token and not
// the next word.
func (s *scan) bearer(i int) {
	end := i
	for end < min(len(s.text), i+longestValue) && anyToken.has(s.text[end]) {
		end++
	}
	if v := s.text[i:end]; looksRandom(v) && !strings.Contains(strings.TrimRight(v, "="), "=") {
		s.add("bearer-token", i, end)
	}
}

// listed finds the arguments of a list, "--requirepass", "x", as docker inspect
// prints them; i is the comma.
func (s *scan) listed(i int) {
	text := s.text
	if i == 0 || strings.IndexByte("\"'", text[i-1]) < 0 {
		return
	}
	quote := text[i-1 : i]
	start, name := s.name(i - 1)
	if start == 0 || text[start-1:start] != quote || !strings.HasPrefix(name, "-") {
		return
	}
	k := kindOf(strings.TrimLeft(name, "-"))
	value := i + 1
	for value < len(text) && value-i < 100 && strings.IndexByte(" \t\r\n", text[value]) >= 0 {
		value++
	}
	if k != password && k != secret || !strings.HasPrefix(text[value:], quote) {
		return
	}
	if end := s.quoteEnd(value+1, quote); k.takes(text[value+1:end], attached) {
		s.add(k.rule(), value+1, end)
	}
}
