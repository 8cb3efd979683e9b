package store

import (
	"context"
	"database/sql"
)

// prepareFrom is how many alerts a transaction has to take in for its
// statements to be worth preparing: below, preparing costs more than it saves.
const prepareFrom = 8

// repeats lets the transaction prepare each of its statements once. Parsing
// them is a third of the time that many alerts take.
func (tx *writeTx) repeats() { tx.prepared = map[string]*sql.Stmt{} }

// statement is the prepared statement; nil if the transaction does not repeat
// its statements, or if this one cannot be prepared: whoever runs it then gets
// to know why.
func (tx *writeTx) statement(ctx context.Context, query string) *sql.Stmt {
	if tx.prepared == nil {
		return nil
	}
	s, known := tx.prepared[query]
	if !known {
		var err error
		if s, err = tx.Tx.PrepareContext(ctx, query); err != nil {
			return nil
		}
		tx.prepared[query] = s // the transaction's end closes it
	}
	return s
}

// ExecContext is that of the transaction.
func (tx *writeTx) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if s := tx.statement(ctx, query); s != nil {
		return s.ExecContext(ctx, args...)
	}
	return tx.Tx.ExecContext(ctx, query, args...)
}

// QueryRowContext is that of the transaction.
func (tx *writeTx) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	if s := tx.statement(ctx, query); s != nil {
		return s.QueryRowContext(ctx, args...)
	}
	return tx.Tx.QueryRowContext(ctx, query, args...)
}
