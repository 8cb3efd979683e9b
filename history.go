package lifeline

// Past is an incident with the changes that were made for it, in the order in
// which they were let through. Their outputs are not in it.
type Past struct {
	Incident Incident  `json:"incident"`
	Changes  []Command `json:"changes"`
}

// Handover is the Data of an EventEscalated: the case as a person takes it over,
// besides the timeline and the commands, which are on record. Its texts are for
// people and may come from outside: whoever shows them escapes them.
type Handover struct {
	// Reason says in a sentence why a person is needed.
	Reason string `json:"reason"`
	// Next says what to look at, the newest report's view first.
	Next []string `json:"next"`
	// Reports are what the responders said, in order.
	Reports []Report `json:"reports"`
	// Seen are the last look at the target and the newest reads with the end of
	// what they showed.
	Seen []string `json:"seen"`
	// Tried are the changes that were let through, with how they ended.
	Tried []string `json:"tried"`
	// Refused are the commands that were not let through, with why and by which
	// rule; Unknown those of which nobody knows how they ended.
	Refused []string `json:"refused"`
	Unknown []string `json:"unknown"`
	// Verification is what the newest verification saw; "" if there was none.
	Verification string `json:"verification,omitempty"`
	// Past are the newest earlier incidents of the same key with their ends.
	Past []string `json:"past"`
}
