package tool

import (
	"fmt"
	"strings"
	"unicode"

	"lifeline"
	"lifeline/internal/llm"
)

// checkName refuses a name that its kind of thing cannot have. Names come from
// models and from alerts, which is to say from outside.
func checkName(kind lifeline.TargetKind, name string) error {
	ok, longest := false, 255
	switch kind {
	case lifeline.TargetContainer, lifeline.TargetHost: // docker's own rule for names; also fits its IDs
		ok = only(name, "_.-") && !strings.ContainsRune("_.-", rune(name[0]))
	case lifeline.TargetUnit: // systemd.unit(5), without a leading dash
		ok = only(name, `:-_.\@`) && name[0] != '-'
	case lifeline.TargetFilesystem:
		longest = 4096
		ok = strings.HasPrefix(name, "/") && !strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.C, r) || r == unicode.ReplacementChar })
	default:
		return fmt.Errorf("nothing is known about names of a %q", kind)
	}
	if !ok || len(name) > longest {
		return fmt.Errorf("%q is not a name that a %s can have", llm.Line(name, 60), kind)
	}
	return nil
}

// only reports whether a name is not empty and has only ASCII letters, digits
// and the given others.
func only(name, others string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(others, r))
	})
}

// quote makes one word of a POSIX shell out of any text without NUL.
func quote(s string) string {
	if only(s, "_./:@-") {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// container and unit are the parameters of the tools that look at a service.
func containerParam() param {
	return param{name: "container", kind: "string", about: "Name of a docker container. Give this or unit.",
		check: func(s string) error { return checkName(lifeline.TargetContainer, s) }}
}

func unitParam() param {
	return param{name: "unit", kind: "string", about: "Name of a systemd unit, such as nginx.service. Give this or container.",
		check: func(s string) error { return checkName(lifeline.TargetUnit, s) }}
}
