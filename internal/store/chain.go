package store

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"lifeline"
)

// Head is the end of the record: its last event and the hash over all of them.
// The zero Head is that of an empty record.
type Head struct {
	Seq  int64  `json:"seq"`
	Hash string `json:"hash"`
}

// String is SEQ:HASH, as a person keeps it elsewhere.
func (h Head) String() string { return strconv.FormatInt(h.Seq, 10) + ":" + h.Hash }

// ParseHead reads SEQ:HASH.
func ParseHead(text string) (Head, error) {
	seq, hash, _ := strings.Cut(strings.TrimSpace(text), ":")
	n, err := strconv.ParseInt(seq, 10, 64)
	if raw, hexErr := hex.DecodeString(hash); err != nil || n < 1 || hexErr != nil || len(raw) != sha256.Size {
		return Head{}, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("%.100q is not the head of a record", text),
			Hint: "want SEQ:HASH, as lifeline audit verify prints it"}
	}
	return Head{Seq: n, Hash: strings.ToLower(hash)}, nil
}

// writePart writes a text so that no two lists of texts give the same bytes.
func writePart(w io.Writer, text string) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(text)))
	w.Write(length[:])
	io.WriteString(w, text)
}

// chained is the hash of an event that follows on the hash before it. It is
// SHA-256 over these texts, each after its length as 8 bytes, big-endian: a
// name for this form, the hash before ("" for the first event), seq, the time
// in microseconds since 1970, incident, kind, actor, text, and the data without
// spaces ("" for none). docs/record.md says the same to whoever checks an export.
func chained(before string, e lifeline.Event) string {
	h := sha256.New()
	for _, part := range []string{
		"lifeline/event/1", before, strconv.FormatInt(e.Seq, 10), strconv.FormatInt(micros(e.At), 10),
		e.IncidentID, string(e.Kind), e.Actor, e.Text, string(compact(e.Data)),
	} {
		writePart(h, part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// compact is data without spaces between its parts: what is the same as JSON
// has the same hash, and an export can be checked. What is not JSON stays.
func compact(data json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if len(data) == 0 || json.Compact(&b, data) != nil {
		return data
	}
	return b.Bytes()
}

// seal is the proof that Lifeline itself wrote the head.
func (k key) seal(h Head) string {
	return hex.EncodeToString(k.sign("lifeline/head/1", strconv.FormatInt(h.Seq, 10), h.Hash))
}

func (k key) sealed(h Head, mac string) bool { return hmac.Equal([]byte(k.seal(h)), []byte(mac)) }

// begin gives the head that the transaction appends to. Where the record is not
// what Lifeline wrote, it goes on all the same, since a host that needs help
// has no use for a service that stands still; but what was found becomes an
// event, so that the new seal does not hide it.
func (tx *writeTx) begin(ctx context.Context) error {
	if tx.begun {
		return nil
	}
	head, broken, err := readHead(ctx, tx, tx.key)
	if err != nil {
		return err
	}
	tx.head, tx.begun = head, true
	if broken == "" {
		return nil
	}
	return tx.append(ctx, lifeline.Event{Kind: lifeline.EventRecordBroken, Actor: "store",
		Text: "the record is not what was written: " + broken, Data: jsonOf(map[string]any{"head": head, "found": broken})})
}

// readHead reads the end of the chain; broken says what is wrong with it.
func readHead(ctx context.Context, q querier, k key) (head Head, broken string, err error) {
	var kept, last Head
	var mac string
	err = q.QueryRowContext(ctx, `SELECT seq, hash, mac FROM chain_head WHERE id = 1`).Scan(&kept.Seq, &kept.Hash, &mac)
	missing := errors.Is(err, sql.ErrNoRows)
	if err != nil && !missing {
		return head, "", err
	}
	err = q.QueryRowContext(ctx, `SELECT seq, hash FROM events ORDER BY seq DESC LIMIT 1`).Scan(&last.Seq, &last.Hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return head, "", err
	}
	head = Head{Seq: max(last.Seq, kept.Seq), Hash: last.Hash}
	switch {
	case missing && last.Seq == 0:
	case missing:
		broken = fmt.Sprintf("the seal of its end, event %d, is missing", last.Seq)
	case !k.sealed(kept, mac):
		broken = fmt.Sprintf("the seal of its end, event %d, does not hold: the row was changed, or the key is another one", kept.Seq)
	case last.Seq < kept.Seq:
		broken = fmt.Sprintf("event %d is its last, and event %d was: the events after %d are missing", last.Seq, kept.Seq, last.Seq)
	case last.Seq > kept.Seq:
		broken = fmt.Sprintf("event %d was its last, and event %d is: the events after %d were not written by Lifeline", kept.Seq, last.Seq, kept.Seq)
	case last.Hash != kept.Hash:
		broken = fmt.Sprintf("event %d has another hash than it had", last.Seq)
	}
	return head, broken, nil
}

// Head is the end of the record now; broken says what is wrong with it, "" if
// nothing is. It looks at the end only: VerifyAudit reads all of it.
func (s *Store) Head(ctx context.Context) (head Head, broken string, err error) {
	tx, err := s.snapshot(ctx)
	if err != nil {
		return head, "", failed("read the end of the record", err, "")
	}
	defer tx.Rollback()
	head, broken, err = readHead(ctx, tx, s.key)
	return head, broken, wrap("read the end of the record", err)
}

// end seals the head that the transaction has come to.
func (tx *writeTx) end(ctx context.Context) error {
	if len(tx.events) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO chain_head (id, seq, hash, mac) VALUES (1, $1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, hash = excluded.hash, mac = excluded.mac`,
		tx.head.Seq, tx.head.Hash, tx.key.seal(tx.head))
	return err
}

// backfill chains the events that an earlier version has written, as they stand
// at this moment: it is the migration after 00002_guard.sql.
func backfill(k key, now func() time.Time) func(context.Context, *sql.Tx) error {
	return func(ctx context.Context, tx *sql.Tx) error {
		var head Head
		for {
			events, err := unchained(ctx, tx)
			if err != nil {
				return err
			}
			if len(events) == 0 {
				break
			}
			for _, e := range events {
				head = Head{Seq: e.Seq, Hash: chained(head.Hash, e)}
				if _, err := tx.ExecContext(ctx, `UPDATE events SET hash = $1 WHERE seq = $2`, head.Hash, e.Seq); err != nil {
					return err
				}
			}
		}
		if head.Seq == 0 {
			return nil
		}
		var alerts sql.NullInt64
		if err := tx.QueryRowContext(ctx, `SELECT max(seq) FROM alerts`).Scan(&alerts); err != nil {
			return err
		}
		// The last thing that is not checked against the chain says so in it.
		w := &writeTx{Tx: tx, now: fromMicros(micros(now())), key: k, head: head, begun: true}
		if err := w.append(ctx, lifeline.Event{Kind: lifeline.EventRecordSealed, Actor: "store",
			Text: fmt.Sprintf("the chain of the record begins: %d events were there before", head.Seq),
			Data: jsonOf(sealedData{Events: head.Seq, Alerts: alerts.Int64})}); err != nil {
			return err
		}
		return w.end(ctx)
	}
}

// sealedData is the Data of an EventRecordSealed: the numbers of the last event
// and the last alert from before the chain.
type sealedData struct {
	Events int64 `json:"events"`
	Alerts int64 `json:"alerts"`
}

// unchained reads some of the events without a hash, the first ones.
func unchained(ctx context.Context, tx *sql.Tx) ([]lifeline.Event, error) {
	rows, err := tx.QueryContext(ctx, `SELECT `+eventColumns+` FROM events WHERE hash = '' ORDER BY seq LIMIT 1000`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var events []lifeline.Event
	for rows.Next() {
		e, err := scanEvent(rows)
		if err != nil {
			return nil, err
		}
		events = append(events, e)
	}
	return events, rows.Err()
}
