package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// problem is a refusal as RFC 9457 has it. Texts from outside in it are quoted
// and cut where the problem is made.
type problem struct {
	// Name ends the problem's type: urn:lifeline:problem:NAME.
	Name   string
	Title  string
	Status int
	// Detail says in whole sentences what is wrong, Next what to do about it.
	Detail, Next string
	// Field is the path of the value in the message: alerts[0].startsAt.
	Field string
	// Line and Column count from 1, in lines and characters; 0: no place.
	Line, Column int
}

// Error is the problem for the log.
func (p *problem) Error() string { return p.sentence() }

// sentence is everything that the problem says, for a person.
func (p *problem) sentence() string {
	s := p.Detail
	if p.Field != "" {
		s = p.Field + ": " + s
	}
	if p.Line > 0 {
		s = fmt.Sprintf("line %d, column %d: %s", p.Line, p.Column, s)
	}
	return s
}

// document is a problem on the wire.
type document struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func (p *problem) write(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(p.Status)
	// A sender that is gone needs no answer.
	_ = json.NewEncoder(w).Encode(document{
		Type: "urn:lifeline:problem:" + p.Name, Title: p.Title, Status: p.Status,
		Detail: strings.TrimSpace(p.sentence() + " " + p.Next), Field: p.Field, Line: p.Line, Column: p.Column,
	})
}

// asProblem is the problem that err is. Anything else is a defect of ours and
// is answered as one: nothing was stored.
func asProblem(err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	return &problem{Name: "internal", Title: "Internal error", Status: http.StatusInternalServerError, Detail: err.Error()}
}

// shown is a text from outside as a problem repeats it: quoted and cut.
func shown(s string) string {
	const most = 60
	if len(s) <= most {
		return strconv.Quote(s)
	}
	return strconv.Quote(s[:most]) + "…"
}

// noSuchSource does not list the mappings: nobody has shown yet who they are.
func noSuchSource(path string, all map[string]source) *problem {
	paths := slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(p string) bool { return strings.HasPrefix(p, pathGeneric+"/") })
	p := &problem{Name: "no-such-webhook", Title: "No such webhook", Status: http.StatusNotFound,
		Detail: "There is no webhook at " + shown(path) + ".",
		Next:   "Post to " + strings.Join(paths, " or ") + "."}
	if name, ok := strings.CutPrefix(path, pathGeneric+"/"); ok && ValidMappingName(name) {
		p.Next = "Add webhook.generic." + name + " to lifeline.yaml, or post to " + pathGeneric + "."
	}
	return p
}

func unauthorized(tried bool) *problem {
	detail := "The request has no Authorization header."
	if tried {
		detail = "The username, password or token is not the right one."
	}
	return &problem{Name: "unauthorized", Title: "Authentication is needed", Status: http.StatusUnauthorized, Detail: detail,
		Next: "Give the sender what webhook.password_file or webhook.token_file of lifeline.yaml holds; in Alertmanager that is http_config.basic_auth or http_config.authorization of the webhook_configs entry."}
}

func wrongMethod(method string, want []string) *problem {
	return &problem{Name: "method", Title: "Wrong method", Status: http.StatusMethodNotAllowed,
		Detail: "This webhook does not take " + shown(method) + ".", Next: "Use " + strings.Join(want, " or ") + "."}
}

func notStored() *problem {
	return &problem{Name: "not-stored", Title: "The alerts could not be stored", Status: http.StatusServiceUnavailable,
		Detail: "Nothing of this message was stored.", Next: "Send it again. The log of lifeline serve names the cause."}
}

func unsupported(name, detail, next string) *problem {
	return &problem{Name: name, Title: "Unsupported message", Status: http.StatusUnsupportedMediaType, Detail: detail, Next: next}
}

func tooLarge(most int64, detail string) *problem {
	return &problem{Name: "too-large", Title: "The message is too large", Status: http.StatusRequestEntityTooLarge,
		Detail: fmt.Sprintf("%s more than %d bytes.", detail, most),
		Next:   "Let the sender group by more labels (group_by), or send fewer alerts at once (max_alerts)."}
}

func tooMany() *problem {
	p := tooLarge(0, "")
	p.Detail = fmt.Sprintf("The message has more than %d alerts.", maxAlerts)
	return p
}

func malformed(detail, next string) *problem {
	return &problem{Name: "malformed", Title: "Malformed message", Status: http.StatusBadRequest, Detail: detail, Next: next}
}
