package store

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"lifeline"
)

// What the key signs of a session, of a token, and of a sign-in that is under way
// at an identity provider.
const (
	sessionUse = "lifeline/session/1"
	tokenUse   = "lifeline/token/1"
	signInUse  = "lifeline/sign-in/1"
)

// SignIn authenticates what a browser keeps while a person signs in elsewhere,
// alike on every node.
func (s *Store) SignIn(text string) []byte { return s.key.sign(signInUse, text) }

// sessionMAC is over all that decides what a session lets in, and until when at
// the latest.
func (k key) sessionMAC(hash string, s lifeline.Session) string {
	return hex.EncodeToString(k.sign(sessionUse, hash, s.Person.Name, string(s.Person.Role), s.Person.Via, s.Proof,
		strconv.FormatInt(micros(s.CreatedAt), 10), strconv.FormatInt(micros(s.ExpiresAt), 10)))
}

// AddSession keeps a session under the hash of its secret, as one that begins
// now, and ends the one that it takes the place of, if there is one. Sessions that
// are over are removed with it.
func (s *Store) AddSession(ctx context.Context, hash, instead string, session lifeline.Session) error {
	return s.write(ctx, "keep a sign-in", func(tx *writeTx) error {
		session.Person.Name, session.Address = plain(session.Person.Name), plain(session.Address)
		session.CreatedAt, session.SeenAt = tx.now, tx.now
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE hash = $1 OR expires_at <= $2 OR idle_until <= $2`, instead, micros(tx.now)); err != nil {
			return err
		}
		p := session.Person
		_, err := tx.ExecContext(ctx, `INSERT INTO sessions (hash, name, role, via, proof, address, created_at, seen_at, idle_until, expires_at, mac)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
			hash, p.Name, p.Role, p.Via, session.Proof, session.Address, micros(tx.now), micros(tx.now),
			micros(session.IdleUntil), micros(session.ExpiresAt), tx.key.sessionMAC(hash, session))
		if err != nil {
			return err
		}
		return tx.append(ctx, lifeline.Event{Kind: lifeline.EventLogin, Actor: p.Actor(),
			Text: fmt.Sprintf("signed in by %s from %s as %s", p.Via, session.Address, p.Role),
			Data: jsonOf(map[string]any{"person": p, "address": session.Address})})
	})
}

const sessionColumns = `SELECT name, role, via, proof, address, created_at, seen_at, idle_until, expires_at, mac FROM sessions WHERE hash = $1`

// session reads a session; one that Lifeline did not write is none.
func (s *Store) session(ctx context.Context, q querier, hash string) (lifeline.Session, error) {
	var (
		v                            lifeline.Session
		created, seen, idle, expires int64
		mac                          string
	)
	err := q.QueryRowContext(ctx, sessionColumns, hash).
		Scan(&v.Person.Name, &v.Person.Role, &v.Person.Via, &v.Proof, &v.Address, &created, &seen, &idle, &expires, &mac)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return lifeline.Session{}, err
	}
	v.CreatedAt, v.SeenAt, v.IdleUntil, v.ExpiresAt = fromMicros(created), fromMicros(seen), fromMicros(idle), fromMicros(expires)
	if err != nil || !hmac.Equal([]byte(mac), []byte(s.key.sessionMAC(hash, v))) {
		return lifeline.Session{}, &lifeline.Error{Code: lifeline.CodeNotFound, Message: "there is no such session", Hint: "sign in"}
	}
	return v, nil
}

// Session finds the session of a secret by its hash. One that is over, or that
// was not written by Lifeline, is an error with lifeline.CodeNotFound.
func (s *Store) Session(ctx context.Context, hash string) (lifeline.Session, error) {
	const what = "look up a session"
	session, err := s.session(ctx, s.db, hash)
	if err != nil {
		return session, wrap(what, err)
	}
	if !session.Valid(s.opts.Now()) {
		return lifeline.Session{}, &lifeline.Error{Code: lifeline.CodeNotFound, Message: "the session is over", Hint: "sign in"}
	}
	return session, nil
}

// TouchSession notes that a session is used, and when it ends if it is not used
// any more. One that is not there is none.
func (s *Store) TouchSession(ctx context.Context, hash string, session lifeline.Session) error {
	return s.write(ctx, "note the use of a session", func(tx *writeTx) error {
		_, err := tx.ExecContext(ctx, `UPDATE sessions SET seen_at = $1, idle_until = $2 WHERE hash = $3`, micros(tx.now), micros(session.IdleUntil), hash)
		return err
	})
}

// EndSession removes a session. One that is not there has ended already. why is
// for the record: "signed out".
func (s *Store) EndSession(ctx context.Context, hash, why string) error {
	return s.write(ctx, "end a session", func(tx *writeTx) error {
		session, err := s.session(ctx, tx, hash)
		known := lifeline.CodeOf(err) != lifeline.CodeNotFound
		if err != nil && known {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM sessions WHERE hash = $1`, hash); err != nil || !known {
			return err
		}
		return tx.append(ctx, lifeline.Event{Kind: lifeline.EventLogout, Actor: session.Person.Actor(), Text: why,
			Data: jsonOf(map[string]any{"person": session.Person})})
	})
}
