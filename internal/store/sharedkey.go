package store

import (
	"context"
	"crypto/hmac"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"

	"lifeline"
)

// sharedKey reads the key that every node has a copy of. The database knows
// whose key it is without knowing the key: with another one nothing is opened,
// since every node would call what the others wrote forged. The first process of
// a new database makes the key where there is none.
func (s *Store) sharedKey(ctx context.Context) (key, error) {
	var mac string
	err := s.db.QueryRowContext(ctx, `SELECT mac FROM record_key WHERE id = 1`).Scan(&mac)
	fresh := errors.Is(err, sql.ErrNoRows)
	if err != nil && !fresh {
		return nil, err
	}
	var k key
	if fresh {
		k, err = loadKey(s.keyFile)
	} else {
		k, err = readKey(s.keyFile)
	}
	wrong := func(what string) error {
		return &lifeline.Error{Code: lifeline.CodeConfig, Message: fmt.Sprintf("the key of the record, %s, %s", s.keyFile, what),
			Hint: "copy the file from another node, or from the backup that belongs to this database, or set store.key_file"}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) && !fresh:
		return nil, wrong("is not there, and the database is in use with one")
	case err != nil:
		return nil, err
	case !fresh && !hmac.Equal([]byte(mac), []byte(k.check())):
		return nil, wrong("is not the one that this database is in use with")
	case !fresh:
		return k, nil
	}
	var kept Head
	var seal string
	err = s.db.QueryRowContext(ctx, `SELECT seq, hash, mac FROM chain_head WHERE id = 1`).Scan(&kept.Seq, &kept.Hash, &seal)
	switch {
	case err == nil && !k.sealed(kept, seal):
		return nil, wrong("did not seal the record of this database")
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return nil, err
	}
	_, err = s.db.ExecContext(ctx, `INSERT INTO record_key (id, mac) VALUES (1, $1)`, k.check())
	return k, err
}

// check identifies the key to whoever has it.
func (k key) check() string { return hex.EncodeToString(k.sign("lifeline/key-check/1")) }
