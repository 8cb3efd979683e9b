package runbook

import (
	"fmt"
	"strings"

	"lifeline"
	"lifeline/internal/escape"
)

// template is a command line with placeholders. Placeholders stand outside of
// quotes, where the value becomes one word; inside quotes {{…}} is left alone,
// because that is how docker's own formats look.
type template struct {
	source string
	parts  []part
}

// part is literal text, or the name of a placeholder.
type part struct{ text, placeholder string }

// placeholderKind says what a placeholder stands for; {{host}} is the name of
// the host, and fits every target.
func placeholderKind(name string) (lifeline.TargetKind, bool) {
	switch name {
	case "container":
		return lifeline.TargetContainer, true
	case "unit":
		return lifeline.TargetUnit, true
	case "mount":
		return lifeline.TargetFilesystem, true
	case "host":
		return "", true
	}
	return "", false
}

// newTemplate reads a command of a runbook for targets of the given kind.
func newTemplate(source string, kind lifeline.TargetKind) (template, error) {
	t := template{source: source}
	if strings.TrimSpace(source) == "" {
		return t, fmt.Errorf("the command is empty")
	}
	literal := 0
	var quote byte
	for i := 0; i < len(source); i++ {
		switch c := source[i]; {
		case c == '\\' && quote != '\'':
			i++
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		case strings.HasPrefix(source[i:], "{{"):
			inner, _, closed := strings.Cut(source[i+2:], "}}")
			name := strings.TrimSpace(inner)
			wants, known := placeholderKind(name)
			switch {
			case quote != 0 && known:
				return t, fmt.Errorf("{{%s}} stands inside quotes: leave them out, the value is quoted as it needs", name)
			case quote != 0:
				continue
			case !closed:
				return t, fmt.Errorf("{{ without }}")
			case !known:
				return t, fmt.Errorf("unknown placeholder {{%s}}: there are {{container}}, {{unit}}, {{mount}} and {{host}}; quote a docker format", name)
			case wants != "" && wants != kind:
				return t, fmt.Errorf("{{%s}} needs match.target: %s", name, wants)
			}
			t.parts = append(t.parts, part{text: source[literal:i]}, part{placeholder: name})
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

// render puts the target into the command.
func (t template) render(target lifeline.Target) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		if p.placeholder == "" {
			b.WriteString(p.text)
			continue
		}
		value, kind := target.Name, target.Kind
		if p.placeholder == "host" {
			value, kind = target.Host, lifeline.TargetHost
		} else if wants, _ := placeholderKind(p.placeholder); wants != kind {
			return "", fmt.Errorf("{{%s}} stands for a %s, and this is the %s", p.placeholder, wants, target)
		}
		if err := kind.CheckName(value); err != nil {
			return "", fmt.Errorf("{{%s}}: %w", p.placeholder, err)
		}
		b.WriteString(escape.Word(value))
	}
	return b.String(), nil
}

func renderAll(templates []template, target lifeline.Target) ([]string, error) {
	out := make([]string, 0, len(templates))
	for _, t := range templates {
		command, err := t.render(target)
		if err != nil {
			return nil, err
		}
		out = append(out, command)
	}
	return out, nil
}
