package lifeline

import "fmt"

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
