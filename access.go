package lifeline

import (
	"fmt"
	"strings"
	"time"
)

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

// Check says what is wrong with the name and the role of a token that is to be
// made; nil if nothing is.
func (t Token) Check() error {
	letters := t.Name != "" && len(t.Name) <= 63
	for i, r := range t.Name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		letters = letters && (letter || i > 0 && strings.ContainsRune("._-", r))
	}
	switch {
	case !letters || strings.HasPrefix(t.Name, "tok_"): // as an ID begins
		return fmt.Errorf("%q is no name for a token: want letters, digits, dots, dashes and underscores, at most 63, beginning with a letter or digit, and not tok_", t.Name)
	case !t.Role.Known():
		return fmt.Errorf("there is no role %q: want viewer, approver or admin", t.Role)
	}
	return nil
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
