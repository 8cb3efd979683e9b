package redact

import (
	"slices"
	"strings"
)

// kind says what a name makes of its value.
type kind int

const (
	plain    kind = iota
	password      // whatever it is, it is a secret
	secret        // a token or a key, unless it reads like a word
	envKey        // a NAME_KEY: a secret if it looks like one
	authorization
	cookie
	signature // a secret in the query of a URL only
)

func (k kind) rule() string {
	switch k {
	case password:
		return "password"
	case authorization:
		return "authorization"
	case cookie:
		return "cookie"
	}
	return "secret"
}

// passwordNames and secretNames are ends of names, lower case and without _, -
// and dots.
var passwordNames = [...]string{
	"password", "passwd", "passphrase", "passwort", "passcode", "userpw", "pwd",
	"secretkey", "secretaccesskey", "clientsecret", "appsecret", "privatekey", "presharedkey",
	"encryptionkey", "signingkey", "masterkey", "accountkey", "sharedaccesskey", "secretkeybase",
	"requirepass", "masterauth",
}

var secretNames = [...]string{
	"secret", "token", "apikey", "accesskey", "authkey", "credential", "credentials", "sessionid", "sessid", "connectsid",
}

// notSecretKeys are what stands before "key" in names of keys that are no
// secrets.
var notSecretKeys = [...]string{
	"public", "pub", "primary", "foreign", "partition", "sort", "cache", "group", "host", "routing", "row", "object",
	"shard", "index", "dedup", "idempotency", "message", "record", "hot", "lookup", "hash", "unique", "composite", "registry",
}

// longestName bounds how far back a name is looked for, in bytes.
const longestName = 80

// kindOf judges a name: DB_PASSWORD, spring.datasource.password, X-Api-Key. It
// is asked about every name of every line, and so allocates nothing.
func kindOf(name string) kind {
	// Most names end in another letter than these.
	if name == "" || len(name) > longestName || !mayEnd(name[len(name)-1]) {
		return plain
	}
	var buf [longestName]byte
	joined, part, before := buf[:0], 0, 0 // where the last part begins in it, and the one before
	for _, c := range []byte(name) {
		switch {
		case c == '_' || c == '-' || c == '.':
			if len(joined) > part {
				part, before = len(joined), part
			}
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		joined = append(joined, c)
	}
	switch string(joined) {
	case "authorization", "proxyauthorization", "xforwardedauthorization":
		return authorization
	case "cookie", "setcookie":
		return cookie
	case "sig", "signature", "xamzsignature", "xgoogsignature", "xamzcredential":
		return signature
	case "auth", "bearer", "pat":
		return envKey
	}
	if endsWithOne(joined, passwordNames[:]) {
		return password
	}
	if endsWithOne(joined, secretNames[:]) {
		return secret
	}
	switch string(joined[part:]) {
	case "pass", "pw", "psk":
		return password
	case "key", "pat", "auth":
		if part > 0 && !slices.Contains(notSecretKeys[:], string(joined[before:part])) {
			return envKey
		}
	}
	return plain
}

// mayEnd reports whether a name that sounds like a secret may end so.
func mayEnd(c byte) bool {
	switch c | 0x20 {
	case 'd', 't', 'n', 'y', 's', 'e', 'h', 'g', 'k', 'w', 'r', 'l':
		return true
	}
	return false
}

func endsWithOne(name []byte, list []string) bool {
	for _, end := range list {
		if len(name) >= len(end) && string(name[len(name)-len(end):]) == end {
			return true
		}
	}
	return false
}

// form is how a value stands behind its name.
type form int

const (
	attached form = iota // name=value, "name": "value", name:value
	spaced               // name: value, which is also how prose looks
)

// takes reports whether a value of this kind of name is to be taken out.
func (k kind) takes(value string, f form) bool {
	if value == "" || isPlaceholder(value) {
		return false
	}
	switch k {
	case password:
		return f == attached || !isProse(value)
	case secret:
		if f == spaced {
			return looksRandom(value)
		}
		return len(value) >= 4 && !isPath(value) && !isNumber(value)
	case envKey:
		return looksRandom(value) && !isPath(value)
	case authorization, cookie, signature:
		return true
	}
	return false
}

// isPlaceholder reports a value that stands for one, or for none.
func isPlaceholder(v string) bool {
	switch strings.ToLower(strings.Trim(v, "*()<>.")) {
	case "", "true", "false", "yes", "no", "on", "off", "null", "nil", "none", "undefined", "empty", "unset", "set", "hidden", "masked",
		"redacted", "required", "optional", "string", "value":
		return true
	}
	for _, start := range []string{"${", "$(", "$((", "{{", "%(", "<", mark} {
		if strings.HasPrefix(v, start) {
			return true
		}
	}
	if strings.HasPrefix(v, "$") && strings.IndexFunc(v[1:], func(r rune) bool { return !(r == '_' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') }) < 0 {
		return true // $NAME
	}
	return len(v) > 2 && strings.Count(v, v[:1]) == len(v) && strings.ContainsAny(v[:1], "xX*.-_") // xxxx, ****
}

// isProse reports a word that follows "password:" in a message, not in a file.
func isProse(v string) bool {
	switch strings.ToLower(strings.Trim(v, ".,:;!'\"")) {
	case "a", "access", "all", "an", "and", "are", "at", "authentication", "authorization", "bad", "can", "cannot", "changed", "check", "connection",
		"could", "credentials", "denied", "did", "do", "does", "error", "expected", "expired", "fail", "failed", "failure", "for", "found", "got",
		"has", "if", "in", "incorrect", "instead", "invalid", "is", "it", "login", "may", "mismatch", "missing", "must", "needs", "neither", "new",
		"not", "of", "ok", "only", "option", "or", "permission", "please", "policy", "reset", "should", "specified", "the", "this", "timeout", "to",
		"too", "try", "unable", "unauthorized", "unchanged", "unexpected", "unknown", "unsupported", "updated", "use", "user", "using", "via", "want",
		"was", "when", "with", "wrong", "you", "your":
		return true
	}
	return false
}

// looksRandom reports whether a value reads like a key and not like a word.
func looksRandom(v string) bool {
	if len(v) < 8 {
		return false
	}
	var digit, letter, lower, changed bool
	for _, c := range []byte(v) {
		switch {
		case c >= '0' && c <= '9':
			digit = true
		case c >= 'a' && c <= 'z':
			letter, lower = true, true
		case c >= 'A' && c <= 'Z':
			letter = true
			changed = changed || lower
		}
	}
	return digit && letter || changed || len(v) >= 20
}

// isPath reports a value that names a file with the secret in it.
func isPath(v string) bool {
	for _, start := range []string{"/run/", "/etc/", "/var/", "/home/", "/opt/", "/usr/", "/root/", "/tmp/", "/srv/", "/mnt/", "/data/", "/proc/", "./", "../", "~/", "file:"} {
		if strings.HasPrefix(v, start) {
			return true
		}
	}
	return false
}

func isNumber(v string) bool {
	return len(v) < 8 && strings.IndexFunc(v, func(r rune) bool { return r < '0' || r > '9' }) < 0
}
