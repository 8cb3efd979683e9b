package store

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"lifeline"
)

// keptToken is a token as its row and its events have it.
type keptToken struct {
	lifeline.Token
	// Hash is the SHA-256 of its secret, in hexadecimal.
	Hash string `json:"secret_sha256"`
}

// tokenMAC is over the whole record of a token.
func (k key) tokenMAC(record string) string { return hex.EncodeToString(k.sign(tokenUse, record)) }

// AddToken keeps a token under the hash of its secret and gives it its ID. A name
// that another token has which is not revoked is refused.
func (s *Store) AddToken(ctx context.Context, hash string, t lifeline.Token) (lifeline.Token, error) {
	err := s.write(ctx, "keep the token "+t.Name, func(tx *writeTx) error {
		var other string
		err := tx.QueryRowContext(ctx, `SELECT id FROM tokens WHERE name = $1 AND revoked_at = 0`, t.Name).Scan(&other)
		switch {
		case err == nil:
			return &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("there is a token %s already (%s)", t.Name, other),
				Hint: "take another name, or first: lifeline token revoke " + t.Name}
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		t.ID, t.CreatedAt, t.ExpiresAt = newID("tok", tx.now), tx.now, fromMicros(micros(t.ExpiresAt))
		t.RevokedAt, t.RevokedBy, t.UsedAt = time.Time{}, "", time.Time{}
		if !t.Valid(tx.now) {
			return &lifeline.Error{Code: lifeline.CodeUsage, Message: "the token would be over already: it ends at " + t.ExpiresAt.Format(time.RFC3339)}
		}
		record := jsonOf(keptToken{t, hash})
		_, err = tx.ExecContext(ctx, `INSERT INTO tokens (id, hash, name, expires_at, revoked_at, used_at, record, mac) VALUES ($1, $2, $3, $4, 0, 0, $5, $6)`,
			t.ID, hash, t.Name, micros(t.ExpiresAt), string(record), tx.key.tokenMAC(string(record)))
		if err != nil {
			return err
		}
		until := "until it is revoked"
		if !t.ExpiresAt.IsZero() {
			until = "until " + t.ExpiresAt.Format(time.RFC3339)
		}
		return tx.append(ctx, lifeline.Event{Kind: lifeline.EventTokenCreated, Actor: t.CreatedBy, Data: record,
			Text: fmt.Sprintf("token %s with the role %s, %s (%s)", t.Name, t.Role, until, t.ID)})
	})
	if err != nil {
		return lifeline.Token{}, err
	}
	return t, nil
}

const tokenColumns = `SELECT id, hash, name, expires_at, revoked_at, used_at, record, mac FROM tokens`

// tokenRow is a row of tokens as it stands there.
type tokenRow struct {
	id, hash, name         string
	expires, revoked, used int64
	record, mac            string
}

func scanTokenRow(row scanner) (r tokenRow, err error) {
	return r, row.Scan(&r.id, &r.hash, &r.name, &r.expires, &r.revoked, &r.used, &r.record, &r.mac)
}

// token is what the row says, if its record and its columns say the same.
func (r tokenRow) token() (t keptToken, ok bool) {
	if json.Unmarshal([]byte(r.record), &t) != nil {
		return t, false
	}
	same := t.ID == r.id && t.Hash == r.hash && t.Name == r.name && micros(t.ExpiresAt) == r.expires && micros(t.RevokedAt) == r.revoked
	t.UsedAt = fromMicros(r.used)
	return t, same
}

// genuine reports whether Lifeline wrote the row.
func (r tokenRow) genuine(k key) bool { return hmac.Equal([]byte(r.mac), []byte(k.tokenMAC(r.record))) }

// Token finds the token of a secret by its hash. One that is revoked, over, or
// that Lifeline did not write is an error with lifeline.CodeNotFound that does not
// say which.
func (s *Store) Token(ctx context.Context, hash string) (lifeline.Token, error) {
	rows, err := list(ctx, s.db, "look up a token", tokenColumns+` WHERE hash = $1`, scanTokenRow, hash)
	if err != nil {
		return lifeline.Token{}, err
	}
	if len(rows) == 1 && rows[0].genuine(s.key) {
		if t, ok := rows[0].token(); ok && t.Valid(s.opts.Now()) {
			return t.Token, nil
		}
	}
	return lifeline.Token{}, &lifeline.Error{Code: lifeline.CodeNotFound, Message: "the token is not valid, or not any more", Hint: "lifeline token list"}
}

// Tokens lists the tokens in the order in which they were made, those that are
// revoked or over too.
func (s *Store) Tokens(ctx context.Context) ([]lifeline.Token, error) {
	rows, err := list(ctx, s.db, "list the tokens", tokenColumns+` ORDER BY id`, scanTokenRow)
	if err != nil {
		return nil, err
	}
	tokens := make([]lifeline.Token, 0, len(rows))
	for _, r := range rows {
		t, ok := r.token()
		if !ok || !r.genuine(s.key) {
			return nil, &lifeline.Error{Code: lifeline.CodeTampered, Message: fmt.Sprintf("the token %s is not what was written: it opens nothing", r.id), Hint: "lifeline audit verify"}
		}
		tokens = append(tokens, t.Token)
	}
	return tokens, nil
}

// AnyToken reports whether a token is in force.
func (s *Store) AnyToken(ctx context.Context) (any bool, err error) {
	var n int
	err = s.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM tokens WHERE revoked_at = 0 AND (expires_at = 0 OR expires_at > $1)`, micros(s.opts.Now())).Scan(&n)
	return n > 0, wrap("count the tokens", err)
}

// TouchToken notes that a token is used.
func (s *Store) TouchToken(ctx context.Context, id string) error {
	return s.write(ctx, "note the use of a token", func(tx *writeTx) error {
		_, err := tx.ExecContext(ctx, `UPDATE tokens SET used_at = $1 WHERE id = $2`, micros(tx.now), id)
		return err
	})
}

// RevokeToken ends a token for ever, by its name or its ID. One that is not
// there, or revoked already, is an error with lifeline.CodeNotFound.
func (s *Store) RevokeToken(ctx context.Context, nameOrID, by string) (t lifeline.Token, err error) {
	err = s.write(ctx, "revoke the token "+nameOrID, func(tx *writeTx) error {
		rows, err := list(ctx, tx, "look up the token "+nameOrID, tokenColumns+` WHERE revoked_at = 0 AND (name = $1 OR id = $1)`, scanTokenRow, nameOrID)
		if err != nil {
			return err
		}
		if len(rows) != 1 { // an ID has a form that no name may have
			return &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no token %q that could be revoked", nameOrID), Hint: "lifeline token list"}
		}
		// One that Lifeline did not write is revoked too: nobody wants it to be there.
		kept, _ := rows[0].token()
		kept.ID, kept.Hash, kept.Name, kept.ExpiresAt = rows[0].id, rows[0].hash, rows[0].name, fromMicros(rows[0].expires)
		kept.UsedAt, kept.RevokedAt, kept.RevokedBy = time.Time{}, tx.now, by
		record := jsonOf(kept)
		_, err = tx.ExecContext(ctx, `UPDATE tokens SET revoked_at = $1, record = $2, mac = $3 WHERE id = $4`,
			micros(tx.now), string(record), tx.key.tokenMAC(string(record)), kept.ID)
		if err != nil {
			return err
		}
		t = kept.Token
		t.UsedAt = fromMicros(rows[0].used)
		return tx.append(ctx, lifeline.Event{Kind: lifeline.EventTokenRevoked, Actor: by, Text: fmt.Sprintf("token %s is revoked (%s)", t.Name, t.ID), Data: record})
	})
	return t, err
}
