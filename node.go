package lifeline

import "time"

// Node is a process that works incidents on the database, as it is on record.
type Node struct {
	Name string `json:"name"`
	// Epoch counts the node's starts, and each time that another took over.
	Epoch     int64     `json:"epoch"`
	Version   string    `json:"version"`
	StartedAt time.Time `json:"started_at"`
	// LeaseUntil is how long it may work without being heard of, on the
	// database's clock; zero if it has left by itself.
	LeaseUntil time.Time `json:"lease_until,omitzero"`
	// FencedBy is the node that took over from it; "" for nobody.
	FencedBy string `json:"fenced_by,omitempty"`
	// Recovered means that its unfinished work was given to the others.
	Recovered bool `json:"recovered"`
	// Alive means that nobody took over from it and its lease holds.
	Alive bool `json:"alive"`

	// HasSession: a session with the database holds the lock that is named after
	// it. Only the nodes themselves look at it.
	HasSession bool `json:"-"`
}
