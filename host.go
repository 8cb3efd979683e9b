package lifeline

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Mode says how much Lifeline may do on a host by itself.
type Mode string

const (
	// ModeObserve reads and changes nothing. It is the default.
	ModeObserve Mode = "observe"
	// ModeSuggest reads, and asks a person before each change.
	ModeSuggest Mode = "suggest"
	// ModeAuto makes the reversible changes that the policy lists.
	ModeAuto Mode = "auto"
)

// ParseMode reads a mode's name.
func ParseMode(s string) (Mode, error) {
	switch m := Mode(s); m {
	case ModeObserve, ModeSuggest, ModeAuto:
		return m, nil
	}
	return "", fmt.Errorf("mode %q: want observe, suggest or auto", s)
}

// TargetKind is the kind of thing that an alert is about.
type TargetKind string

const (
	TargetContainer  TargetKind = "container"  // a docker container
	TargetUnit       TargetKind = "unit"       // a systemd unit
	TargetFilesystem TargetKind = "filesystem" // a mount point
	TargetHost       TargetKind = "host"       // the machine itself
)

// CheckName refuses a name that a thing of this kind cannot have. Names come
// from alerts and from models, which is to say from outside.
func (k TargetKind) CheckName(name string) error {
	ok, longest := false, 255
	switch k {
	case TargetContainer, TargetHost: // docker's own rule for names; also fits its IDs
		ok = only(name, "_.-") && !strings.ContainsRune("_.-", rune(name[0]))
	case TargetUnit: // systemd.unit(5), without a leading dash
		ok = only(name, `:-_.\@`) && name[0] != '-'
	case TargetFilesystem:
		longest = 4096
		ok = strings.HasPrefix(name, "/") && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return unicode.Is(unicode.C, r) })
	default:
		return fmt.Errorf("nothing is known about names of a %q", string(k))
	}
	if !ok || len(name) > longest {
		return fmt.Errorf("%.80q is not a name that a %s can have", name, k)
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

// Target is the fixable thing: where it is and what it is. A zero Host means
// that no configured host was found for the alert.
type Target struct {
	Host string     `json:"host,omitempty"`
	Kind TargetKind `json:"kind,omitempty"`
	// Name of the container, unit or mount point; "" for a host.
	Name string `json:"name,omitempty"`
}

// String is for people: "container scrypted on nexus".
func (t Target) String() string {
	switch {
	case t.Host == "" && t.Name == "":
		return "no known target"
	case t.Host == "":
		return fmt.Sprintf("%s %s on an unknown host", t.Kind, t.Name)
	case t.Name == "":
		return "host " + t.Host
	}
	return fmt.Sprintf("%s %s on %s", t.Kind, t.Name, t.Host)
}
