package lifeline

import "time"

// Usage is what one answer of a model used, as it is on record. The four kinds
// of tokens are disjoint.
type Usage struct {
	IncidentID string `json:"incident_id"`
	// Attempt of the incident, from 1.
	Attempt int       `json:"attempt"`
	Model   string    `json:"model"`
	At      time.Time `json:"at"`
	// Input and Output count what neither came from nor went into the provider's
	// cache; CacheRead and CacheWrite what did.
	Input      int64 `json:"input"`
	Output     int64 `json:"output"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
	// MicroUSD is the price in millionths of a US dollar; nil if nobody knows the
	// model's price, which is not the same as 0.
	MicroUSD *int64 `json:"micro_usd"`
	// Estimated says that the provider did not say what it used, and that the
	// tokens are an estimate from the sizes of question and answer.
	Estimated bool `json:"estimated,omitempty"`
}

// Tokens is the sum of the four kinds.
func (u Usage) Tokens() int64 { return u.Input + u.Output + u.CacheRead + u.CacheWrite }

// Spent is what several answers used together.
type Spent struct {
	Answers    int64 `json:"answers"`
	Input      int64 `json:"input"`
	Output     int64 `json:"output"`
	CacheRead  int64 `json:"cache_read"`
	CacheWrite int64 `json:"cache_write"`
	// MicroUSD is the sum of the known prices, in millionths of a US dollar.
	MicroUSD int64 `json:"micro_usd"`
	// Unpriced counts the answers whose price nobody knows: with some, MicroUSD
	// is less than what was spent.
	Unpriced int64 `json:"unpriced"`
	// Estimated counts the answers whose tokens are an estimate.
	Estimated int64 `json:"estimated"`
}

// Tokens is the sum of the four kinds.
func (s Spent) Tokens() int64 { return s.Input + s.Output + s.CacheRead + s.CacheWrite }

// Add counts one answer more.
func (s Spent) Add(u Usage) Spent {
	s.Answers++
	s.Input += u.Input
	s.Output += u.Output
	s.CacheRead += u.CacheRead
	s.CacheWrite += u.CacheWrite
	if u.MicroUSD == nil {
		s.Unpriced++
	} else {
		s.MicroUSD += *u.MicroUSD
	}
	if u.Estimated {
		s.Estimated++
	}
	return s
}
