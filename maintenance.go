package lifeline

import (
	"fmt"
	"strings"
	"time"
)

// Maintenance is a time in which people work on something themselves: alerts
// about it are stored and open their incidents as always, and Lifeline changes
// nothing there.
type Maintenance struct {
	ID    string           `json:"id"`
	Scope MaintenanceScope `json:"scope"`
	// From and Until bound it: it begins at From and is over at Until.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// By says who asked for it: "person:NAME".
	By     string `json:"by"`
	Reason string `json:"reason,omitempty"`
	// Source says where it is kept: MaintenanceByPerson or
	// MaintenanceByAlertmanager. ExternalID is its identifier there; "" for one
	// that a person added here.
	Source     string `json:"source"`
	ExternalID string `json:"external_id,omitempty"`
	// EndedAt and EndedBy say that it was ended before its time, and by whom.
	EndedAt time.Time `json:"ended_at,omitzero"`
	EndedBy string    `json:"ended_by,omitempty"`
}

// Sources of maintenance windows.
const (
	MaintenanceByPerson       = "person"
	MaintenanceByAlertmanager = "alertmanager"
)

// MaxMaintenance is how long a window that a person adds may be: one that is
// forgotten ends all the same.
const MaxMaintenance = 30 * 24 * time.Hour

// MaintenanceScope says what a window is over. What is set must hold, all of
// it; a window over everything is one only if All says so.
type MaintenanceScope struct {
	// Host is a configured host; "": any.
	Host string `json:"host,omitempty"`
	// Kind and Name are the thing on it; Kind alone is every thing of the kind.
	// Without both it is the host with all that is on it.
	Kind TargetKind `json:"kind,omitempty"`
	Name string     `json:"name,omitempty"`
	// Alert is the name of an alert; "": any.
	Alert string `json:"alert,omitempty"`
	All   bool   `json:"all,omitempty"`
}

// Check refuses a scope that is over nothing in particular, or that says two
// things at once.
func (s MaintenanceScope) Check() error {
	rest := s
	rest.All = false
	switch {
	case s.All && rest != MaintenanceScope{}:
		return fmt.Errorf("a window over everything has no other scope")
	case s == MaintenanceScope{}:
		return fmt.Errorf("a window has a scope: a host, a thing on it, or an alert; one over everything says so")
	case s.Name != "" && s.Kind == "":
		return fmt.Errorf("the name %q needs the kind of thing that has it", s.Name)
	case s.Kind == TargetHost && s.Name != "":
		return fmt.Errorf("the host is named as the host of the scope")
	case s.Name != "":
		return s.Kind.CheckName(s.Name)
	}
	switch s.Kind {
	case "", TargetContainer, TargetUnit, TargetFilesystem, TargetHost:
		return nil
	}
	return fmt.Errorf("nothing is known about a %q", string(s.Kind))
}

// Has reports whether an incident is inside the scope.
func (s MaintenanceScope) Has(inc Incident) bool {
	if s.All {
		return true
	}
	return s != MaintenanceScope{} &&
		(s.Host == "" || s.Host == inc.Target.Host) &&
		(s.Kind == "" || s.Kind == inc.Target.Kind) &&
		(s.Name == "" || s.Name == inc.Target.Name) &&
		(s.Alert == "" || s.Alert == inc.AlertName)
}

// String is for people: "container web on nexus", "the alert DiskFull on any
// host".
func (s MaintenanceScope) String() string {
	if s.All {
		return "everything"
	}
	var parts []string
	switch {
	case s.Name != "":
		parts = append(parts, string(s.Kind)+" "+s.Name)
	case s.Kind == TargetHost:
		parts = append(parts, "the machine itself")
	case s.Kind != "":
		parts = append(parts, "every "+string(s.Kind))
	}
	if s.Alert != "" {
		parts = append(parts, "the alert "+s.Alert)
	}
	text := strings.Join(parts, ", ")
	switch {
	case s.Host == "":
		return text + " on any host"
	case text == "":
		return "host " + s.Host
	}
	return text + " on " + s.Host
}

// Check refuses a window that cannot be one.
func (m Maintenance) Check() error {
	if err := m.Scope.Check(); err != nil {
		return err
	}
	switch {
	case m.From.IsZero() || m.Until.IsZero():
		return fmt.Errorf("a window has a beginning and an end")
	case !m.Until.After(m.From):
		return fmt.Errorf("the window ends at %s, and begins at %s: it has to end after that", m.Until.Format(time.RFC3339), m.From.Format(time.RFC3339))
	case m.Source == MaintenanceByPerson && m.Until.Sub(m.From) > MaxMaintenance:
		return fmt.Errorf("the window is %s long, and may be %s at most: one that is forgotten has to end", m.Until.Sub(m.From).Round(time.Minute), MaxMaintenance)
	}
	return nil
}

// InForce reports whether the window is open at a time.
func (m Maintenance) InForce(at time.Time) bool {
	return !at.Before(m.From) && at.Before(m.Until) && (m.EndedAt.IsZero() || at.Before(m.EndedAt))
}

// Covers reports whether the window is open at a time and is over what the
// incident is about.
func (m Maintenance) Covers(inc Incident, at time.Time) bool {
	return m.InForce(at) && m.Scope.Has(inc)
}
