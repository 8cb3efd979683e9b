package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Answers keep what was answered to requests that name themselves, for a day.
type Answers interface {
	// Claim notes that a request is under way. known: it was before. Then same says
	// whether digest, which is of its content, was the same, and status, kind and
	// body are the answer; a status of 0 means that there is none yet.
	Claim(ctx context.Context, id, digest string) (status int, kind string, body []byte, same, known bool, err error)
	// Keep notes the answer.
	Keep(ctx context.Context, id string, status int, kind string, body []byte) error
	// Drop forgets a request that came to nothing.
	Drop(ctx context.Context, id string) error
}

// keyMost bounds an Idempotency-Key, in bytes.
const keyMost = 200

// keepMost bounds the time in which an answer is kept, after whoever asked has gone.
const keepMost = 10 * time.Second

// idempotent does a request that names itself with Idempotency-Key once: the same
// again within a day is answered alike. The name is its person's own, for one method
// and path. The same name for something else is refused.
func (s *server) idempotent(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key := r.Header.Get("Idempotency-Key")
		if key == "" || r.Method != http.MethodPost && r.Method != http.MethodDelete {
			next.ServeHTTP(w, r)
			return
		}
		who, known := s.PersonOf(r.Context())
		if !known {
			s.write(w, unauthenticated())
			return
		}
		if len(key) > keyMost {
			s.write(w, &Problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: fmt.Sprintf("the Idempotency-Key is %d bytes long, and may be %d", len(key), keyMost)})
			return
		}
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, bodyMost))
		if err != nil {
			p := &Problem{Status: http.StatusBadRequest, Code: "invalid", Detail: "the body cannot be read whole"}
			if _, long := errors.AsType[*http.MaxBytesError](err); long {
				p = &Problem{Status: http.StatusRequestEntityTooLarge, Code: "invalid", Detail: fmt.Sprintf("the body is longer than %d bytes", bodyMost)}
			}
			s.write(w, p)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		s.once(w, r, next, digest(who.Actor(), r.Method, r.URL.Path, key), digest(r.Header.Get("Content-Type"), r.URL.RawQuery, string(body)))
	})
}

// digest tells lists of texts apart.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// once does the request that id names, or answers as it was answered before.
func (s *server) once(w http.ResponseWriter, r *http.Request, next http.Handler, id, content string) {
	status, kind, kept, same, known, err := s.Answers.Claim(r.Context(), id, content)
	switch {
	case err != nil:
		s.write(w, s.problem(err))
		return
	case known && !same:
		s.write(w, &Problem{Status: http.StatusUnprocessableEntity, Code: "invalid", Detail: "this Idempotency-Key was used for a request with another content",
			Next: "use a new key for a new request"})
		return
	case known && status == 0:
		s.write(w, &Problem{Status: http.StatusConflict, Code: "under_way", Detail: "the request with this Idempotency-Key is under way, or was cut off in the middle",
			Next: "look at what has come of it before you send it with a new key"})
		return
	case known:
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Idempotent-Replayed", "true")
		w.WriteHeader(status)
		_, _ = w.Write(kept) // whoever is gone needs no answer
		return
	}
	rec := &recorded{header: w.Header(), status: http.StatusOK}
	done := false
	ctx := context.WithoutCancel(r.Context()) // what was done is noted, whoever waits for it
	defer func() {
		ctx, cancel := context.WithTimeout(ctx, keepMost)
		defer cancel()
		// What was not done may come again: nobody was let in, it was not
		// understood, or Lifeline itself failed.
		var err error
		if done && (rec.status < http.StatusBadRequest || rec.status == http.StatusConflict) {
			err = s.Answers.Keep(ctx, id, rec.status, rec.header.Get("Content-Type"), rec.body.Bytes())
		} else {
			err = s.Answers.Drop(ctx, id)
		}
		if err != nil {
			s.Logger.Error("answer_not_kept", "error", err)
		}
		if done {
			w.WriteHeader(rec.status)
			_, _ = w.Write(rec.body.Bytes())
		}
	}()
	next.ServeHTTP(rec, r)
	done = true
}

// recorded is an answer before it is given.
type recorded struct {
	header http.Header
	status int
	begun  bool
	body   bytes.Buffer
}

func (r *recorded) Header() http.Header { return r.header }

func (r *recorded) WriteHeader(status int) {
	if !r.begun {
		r.status, r.begun = status, true
	}
}

func (r *recorded) Write(p []byte) (int, error) {
	r.begun = true
	return r.body.Write(p)
}
