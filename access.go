package lifeline

import "time"

// Token is a key with which a program uses the API. Its secret is shown once,
// when it is made; what is kept is a hash of it.
type Token struct {
	ID string `json:"id"`
	// Name says what it is for; no two tokens that are not revoked share one.
	Name string `json:"name"`
	Role Role   `json:"role"`

	CreatedAt time.Time `json:"created_at"`
	CreatedBy string    `json:"created_by"`
	// ExpiresAt is zero for a token that lasts until it is revoked.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	RevokedAt time.Time `json:"revoked_at,omitzero"`
	RevokedBy string    `json:"revoked_by,omitempty"`
	// UsedAt is when it was used last, to the minute; zero: never.
	UsedAt time.Time `json:"used_at,omitzero"`
}

// Valid reports whether the token opens anything at a time.
func (t Token) Valid(now time.Time) bool {
	return t.RevokedAt.IsZero() && (t.ExpiresAt.IsZero() || now.Before(t.ExpiresAt))
}

// Session is a person who has signed in with a browser.
type Session struct {
	Person Person
	// Proof is what the configuration said about the person when they signed in:
	// when it says something else, the session is over.
	Proof string
	// Address that they signed in from.
	Address   string
	CreatedAt time.Time
	// SeenAt is when it was used last, to the minute.
	SeenAt time.Time
	// IdleUntil is its end unless it is used, ExpiresAt its end in any case.
	IdleUntil time.Time
	ExpiresAt time.Time
}

// Valid reports whether the session has not ended by itself at a time.
func (s Session) Valid(now time.Time) bool {
	return now.Before(s.IdleUntil) && now.Before(s.ExpiresAt)
}
