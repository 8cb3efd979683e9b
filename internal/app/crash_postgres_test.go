package app

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver named "pgx"
)

// isPostgres reports whether a database's address is one of Postgres.
func isPostgres(url string) bool { return strings.HasPrefix(url, "postgres") }

// newPostgresDatabase makes a database of its own on a server, which is dropped at
// the end of the test.
func newPostgresDatabase(t *testing.T, server string) string {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not the address of a database server: %v", databaseVariable, err)
	}
	db, err := sql.Open("pgx", server)
	if err != nil {
		t.Fatal(err)
	}
	name := "lifeline_crash_" + strings.ToLower(rand.Text())
	if _, err := db.ExecContext(t.Context(), `CREATE DATABASE `+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec(`DROP DATABASE ` + name + ` WITH (FORCE)`); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	address.Path = "/" + name
	return address.String()
}

// onTheWay stands between the service and Postgres, which asks nobody before a
// commit as SQLite does: it asks t.commit before it hands one over. It gives the
// address to use instead.
func (t *trap) onTheWay(raw string) (string, error) {
	cfg, err := pgx.ParseConfig(raw)
	if err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	go func() {
		for { // until the process ends
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				client.Close()
				continue
			}
			s := &session{client: client, server: server, commit: func() { t.commit() }}
			go s.answers()
			go s.requests()
		}
	}()
	way := url.URL{Scheme: "postgres", User: url.User(cfg.User), Host: l.Addr().String(), Path: cfg.Database, RawQuery: "sslmode=disable"}
	return way.String(), nil
}

// session is a session with Postgres that is looked at.
type session struct {
	client, server net.Conn
	// inTransaction is what the server has said last.
	inTransaction atomic.Bool
	// commit is called before a commit is asked for.
	commit func()
}

func (s *session) close() {
	s.client.Close()
	s.server.Close()
}

// answers hands over what the server says.
func (s *session) answers() {
	defer s.close()
	for from := bufio.NewReader(s.server); ; {
		kind, message, err := readMessage(from, true)
		if err != nil {
			return
		}
		if kind == 'Z' { // ReadyForQuery
			s.inTransaction.Store(message[5] != 'I')
		}
		if _, err := s.client.Write(message); err != nil {
			return
		}
	}
}

// writing is a statement that changes something.
var writing = regexp.MustCompile(`(?i)\b(INSERT|UPDATE|DELETE)\b`)

// requests hands over what the service says.
func (s *session) requests() {
	defer s.close()
	writes, bound := map[string]bool{}, false // statements by name, and the one that comes next
	from := bufio.NewReader(s.client)
	for named := false; ; named = true { // the first message has no kind
		kind, message, err := readMessage(from, named)
		if err != nil {
			return
		}
		switch texts := bytes.SplitN(message[min(5, len(message)):], []byte{0}, 3); kind {
		case 'Q': // Query
			if text := string(texts[0]); strings.EqualFold(text, "commit") || !s.inTransaction.Load() && writing.MatchString(text) {
				s.commit()
			}
		case 'P': // Parse: the statement's name, its text
			writes[string(texts[0])] = writing.Match(texts[1])
		case 'B': // Bind: the portal's name, the statement's
			bound = writes[string(texts[1])]
		case 'E': // Execute: by itself it is a transaction of its own
			if bound && !s.inTransaction.Load() {
				s.commit()
			}
		}
		if _, err := s.server.Write(message); err != nil {
			return
		}
	}
}

// readMessage reads one message, whole: its kind, if it has one, its length with
// the length itself, and so many bytes.
func readMessage(from io.Reader, named bool) (kind byte, message []byte, err error) {
	head := make([]byte, 4, 5)
	if named {
		head = head[:5]
	}
	if _, err := io.ReadFull(from, head); err != nil {
		return 0, nil, err
	}
	length := head
	if named {
		kind, length = head[0], head[1:]
	}
	n := binary.BigEndian.Uint32(length)
	if n < 4 || n > 1<<30 {
		return 0, nil, fmt.Errorf("a message of %d bytes", n)
	}
	message = append(head, make([]byte, n-4)...)
	_, err = io.ReadFull(from, message[len(head):])
	return kind, message, err
}
