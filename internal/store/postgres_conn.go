package store

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// OpenPool gives the workflow engine connections of its own to Postgres: who
// opens the pool closes it. nil on SQLite, where the engine takes OpenDB. Once
// another node has taken over from this one it gives no connection any more, and
// while this node's lease has run out it waits for the next one.
func (s *Store) OpenPool(ctx context.Context) (*pgxpool.Pool, error) {
	d, ok := s.dialect.(postgres)
	if !ok {
		return nil, nil
	}
	config, err := pgxpool.ParseConfig(d.config.ConnString())
	if err != nil {
		return nil, failed("open the database "+d.shown, err, "")
	}
	config.ConnConfig = d.config.Copy()
	// The engine has its own transactions, and waits in them.
	config.ConnConfig.RuntimeParams["idle_in_transaction_session_timeout"] = fmt.Sprint(time.Minute.Milliseconds())
	config.MaxConns, config.MinConns = enginePoolConns, 0
	config.MaxConnIdleTime, config.MaxConnLifetime = 5*time.Minute, time.Hour
	config.AfterConnect = plainTexts
	config.PrepareConn = func(ctx context.Context, _ *pgx.Conn) (bool, error) {
		if m := s.member.Load(); m != nil {
			return true, m.await(ctx)
		}
		return true, nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, failed("open the database "+d.shown, err, d.openHint())
	}
	return pool, nil
}

// awayMost is how long a server that was there before is waited for: so long
// does it take to start anew.
const awayMost = 15 * time.Second

// patientConnector waits for a server that is away, once it was there: a restart
// of the database is no reason to give an incident to a person.
type patientConnector struct {
	driver.Connector
	patient *atomic.Bool
}

func (c patientConnector) Connect(ctx context.Context) (driver.Conn, error) {
	begun := time.Now()
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	for {
		conn, err := c.Connector.Connect(ctx)
		if err == nil || !c.patient.Load() || !brokenConnection(err) || time.Since(begun) >= awayMost {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-again.C:
		}
	}
}

func (d postgres) opened() { d.patient.Store(true) }

func (postgres) broken(err error) bool { return brokenConnection(err) }

// brokenConnection reports whether an error is of the connection, or of a server
// that starts or stops, and not of what was asked.
func brokenConnection(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if said, ok := errors.AsType[*pgconn.PgError](err); ok {
		// Classes and codes of the server's manual, appendix A: connection
		// exceptions, too many connections, shutting down, starting up, and a
		// session that was ended for doing nothing in a transaction.
		return strings.HasPrefix(said.Code, "08") || said.Code == "53300" || strings.HasPrefix(said.Code, "57P0") || said.Code == "25P03"
	}
	_, network := errors.AsType[net.Error](err)
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return network || connecting || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// plainTexts lets a connection take every text: Postgres knows no NUL in one,
// and refuses what is not UTF-8.
func plainTexts(_ context.Context, conn *pgx.Conn) error {
	conn.TypeMap().RegisterType(&pgtype.Type{Name: "text", OID: pgtype.TextOID, Codec: plainText{}})
	return nil
}

type plainText struct{ pgtype.TextCodec }

func (c plainText) PlanEncode(m *pgtype.Map, oid uint32, format int16, value any) pgtype.EncodePlan {
	if _, ok := value.(string); ok {
		return plainPlan{}
	}
	return c.TextCodec.PlanEncode(m, oid, format, value)
}

type plainPlan struct{}

func (plainPlan) Encode(value any, buf []byte) ([]byte, error) {
	return append(buf, plain(value.(string))...), nil
}

// plain is a text that every database takes: UTF-8 without NUL.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
