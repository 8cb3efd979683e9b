package lifeline

import "time"

// Damping keeps many alerts from being as many incidents. The zero Damping
// damps nothing.
type Damping struct {
	// StormAfter incidents of one host that were opened within StormWindow and
	// are not well again are a storm: what comes beyond them on that host joins
	// one incident, the host's storm case. 0: there are no storms.
	StormAfter  int
	StormWindow time.Duration
	// FlapAfter incidents of one key that were opened within FlapWindow are
	// flapping: the next is held for a person, and takes the ups and downs of its
	// key until there was none for FlapWindow. 0: nothing flaps.
	FlapAfter  int
	FlapWindow time.Duration
}

// StormAlert is the AlertName of a host's storm case.
const StormAlert = "AlertStorm"

// StormKey is the key of a host's storm case. No alert has it: see triage.Key.
func StormKey(host string) string { return "storm|" + host }
