package check

import (
	"cmp"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"lifeline"
	"lifeline/internal/escape"
)

// Dialect is the language that a template is written in: it decides how a value
// is quoted.
type Dialect int

const (
	// Shell is a command line. Placeholders stand outside of quotes, where the
	// value becomes one word; inside quotes {{…}} is left alone, because that is
	// how docker's own formats look.
	Shell Dialect = iota
	// URL is an address over HTTP; names are percent-encoded in it.
	URL
	// HostPort is host:port.
	HostPort
	// PromQL is a Prometheus query. Outside of quotes a value becomes a string,
	// inside of quotes a part of one; in a matcher by expression it is matched
	// literally.
	PromQL
)

// Template is a text with placeholders for what it is about. It does not change
// after NewTemplate.
type Template struct {
	dialect Dialect
	parts   []part
}

// part is literal text, or the name of a placeholder.
type part struct {
	text, placeholder string
	// quoted: it stands inside a string; pattern: what it is part of is matched
	// as a regular expression.
	quoted, pattern bool
}

// placeholderKind says what a placeholder stands for; {{host}} is the name of
// the host and {{address}} its address, and they fit every target.
func placeholderKind(name string) (lifeline.TargetKind, bool) {
	switch name {
	case "container":
		return lifeline.TargetContainer, true
	case "unit":
		return lifeline.TargetUnit, true
	case "mount":
		return lifeline.TargetFilesystem, true
	case "host", "address":
		return "", true
	}
	return "", false
}

// NewTemplate reads a text for targets of the given kind, "" for any. kindKey
// is the name of the key that says the kind, for the error.
func NewTemplate(source string, d Dialect, kind lifeline.TargetKind, kindKey string) (Template, error) {
	t := Template{dialect: d}
	if strings.TrimSpace(source) == "" {
		return t, fmt.Errorf("the %s is empty", map[Dialect]string{Shell: "command", URL: "URL", HostPort: "address", PromQL: "query"}[d])
	}
	literal := 0
	var quote byte
	for i := 0; i < len(source); i++ {
		switch c := source[i]; {
		case c == '\\' && d.escapes(quote):
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && strings.IndexByte(d.quotes(), c) >= 0:
			quote = c
		case strings.HasPrefix(source[i:], "{{"):
			inner, _, closed := strings.Cut(source[i+2:], "}}")
			name := strings.TrimSpace(inner)
			wants, known := placeholderKind(name)
			switch {
			case d == Shell && quote != 0 && known:
				return t, fmt.Errorf("{{%s}} stands inside quotes: leave them out, the value is quoted as it needs", name)
			case d == Shell && quote != 0:
				continue
			case !closed:
				return t, fmt.Errorf("{{ without }}")
			case !known:
				return t, d.unknown(name)
			case quote == '`':
				return t, fmt.Errorf("{{%s}} stands inside backticks, where nothing can be quoted: take \" instead", name)
			case wants != "" && wants != kind:
				return t, fmt.Errorf("{{%s}} needs %s: %s", name, kindKey, wants)
			}
			t.parts = append(t.parts, part{text: source[literal:i]},
				part{placeholder: name, quoted: quote != 0, pattern: d == PromQL && inPattern(source[:i], quote)})
			i += len("{{") + len(inner) + len("}}") - 1
			literal = i + 1
		}
	}
	if quote != 0 {
		return t, fmt.Errorf("a quote %c is not closed", quote)
	}
	t.parts = append(t.parts, part{text: source[literal:]})
	return t, nil
}

func (d Dialect) quotes() string {
	switch d {
	case Shell:
		return `'"`
	case PromQL:
		return "'\"`"
	}
	return ""
}

// escapes reports whether a backslash takes the meaning of the next character.
func (d Dialect) escapes(quote byte) bool {
	switch d {
	case Shell:
		return quote != '\''
	case PromQL:
		return quote == '\'' || quote == '"'
	}
	return false
}

func (d Dialect) unknown(name string) error {
	text := fmt.Sprintf("unknown placeholder {{%s}}: there are {{container}}, {{unit}}, {{mount}}, {{host}} and {{address}}", name)
	if d == Shell {
		text += "; quote a docker format"
	}
	return fmt.Errorf("%s", text)
}

// inPattern reports whether what follows is, or is part of, the string of a
// matcher =~ or !~.
func inPattern(before string, quote byte) bool {
	if quote != 0 { // the string began at the last quote that is not escaped
		for i := len(before) - 1; i >= 0; i-- {
			if before[i] == quote && (len(before[:i])-len(strings.TrimRight(before[:i], `\`)))%2 == 0 {
				before = before[:i]
				break
			}
		}
	}
	before = strings.TrimRight(before, " \t\n")
	return strings.HasSuffix(before, "=~") || strings.HasSuffix(before, "!~")
}

// Render puts the target into the text. address is the one under which its host
// is reached; "" stands for the host's name.
func (t Template) Render(target lifeline.Target, address string) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.placeholder == "" {
			b.WriteString(p.text)
			continue
		}
		value, err := p.value(target, cmp.Or(address, target.Host))
		if err != nil {
			return "", fmt.Errorf("{{%s}}: %w", p.placeholder, err)
		}
		b.WriteString(t.quote(p, value))
	}
	return b.String(), nil
}

// value is what a placeholder stands for, checked for its kind: it comes from an
// alert, which is to say from outside.
func (p part) value(target lifeline.Target, address string) (string, error) {
	if p.placeholder == "host" {
		return target.Host, lifeline.TargetHost.CheckName(target.Host)
	}
	if p.placeholder == "address" {
		if _, err := netip.ParseAddr(address); err == nil {
			return address, nil
		}
		return address, lifeline.TargetHost.CheckName(address)
	}
	if wants, _ := placeholderKind(p.placeholder); wants != target.Kind {
		return "", fmt.Errorf("it stands for a %s, and this is the %s", wants, target)
	}
	return target.Name, target.Kind.CheckName(target.Name)
}

func (t Template) quote(p part, value string) string {
	switch t.dialect {
	case Shell:
		return escape.Word(value)
	case PromQL:
		if p.pattern {
			value = regexp.QuoteMeta(value)
		}
		value = strings.NewReplacer(`\`, `\\`, `"`, `\"`, `'`, `\'`, "\n", `\n`).Replace(value)
		if !p.quoted {
			value = `"` + strings.ReplaceAll(value, `\'`, `'`) + `"`
		}
		return value
	}
	if p.placeholder == "address" || p.placeholder == "host" {
		if strings.Contains(value, ":") { // an IPv6 address; its zone is encoded in a URL
			if t.dialect == URL {
				value = strings.ReplaceAll(value, "%", "%25")
			}
			return "[" + value + "]"
		}
		return value
	}
	if t.dialect == URL {
		return strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	}
	return value
}
