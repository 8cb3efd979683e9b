package api

import (
	"context"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"lifeline"
)

// writeMost bounds one write to a stream: whoever reads no more is cut off.
const writeMost = 30 * time.Second

// eventQuery chooses events of one incident.
type eventQuery struct {
	ID          string `path:"id" maxLength:"64" doc:"the identifier, or a beginning that only it has"`
	After       string `query:"after" maxLength:"20" doc:"the seq of the last event that is known: those after it follow; without it, all"`
	Limit       int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"of a page; a stream has no end"`
	LastEventID string `header:"Last-Event-ID" doc:"goes before after: browsers send it when they connect again"`
	Accept      string `header:"Accept" doc:"application/json is a page; everything else a stream"`
}

// allEventQuery chooses events of all.
type allEventQuery struct {
	After       string `query:"after" maxLength:"20" doc:"the seq of the last event that is known: those after it follow; without it, all"`
	Limit       int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"of a page; a stream has no end"`
	LastEventID string `header:"Last-Event-ID" doc:"goes before after: browsers send it when they connect again"`
	Accept      string `header:"Accept" doc:"application/json is a page; everything else a stream"`
}

// eventPage is a part of a timeline.
type eventPage struct {
	Events []lifeline.Event `json:"events"`
	// Next is the after of the page behind this one.
	Next int64 `json:"next" doc:"the after of the page behind this one"`
}

func (s *server) eventOperations(api huma.API) {
	const tag = "events"
	page := api.OpenAPI().Components.Schemas.Schema(typeOf[eventPage](), true, "EventPage")
	responses := map[string]*huma.Response{"200": {Description: "a stream, or a page with Accept: application/json", Content: map[string]*huma.MediaType{
		"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString, Description: "each event has its seq as id and an Event as data; a problem is an event named problem, after which the stream ends"}},
		"application/json":  {Schema: page},
	}}}
	const more = "The stream has every event after the last one that is known, in order, none missing and none twice. It ends after 15 minutes at the latest: connect again with Last-Event-ID."
	register(s, api, operation{method: http.MethodGet, path: "/incidents/{id}/events", id: "get-incident-events", tag: tag, role: lifeline.RoleViewer,
		summary: "The timeline of an incident, as it grows or page by page", more: more, responses: responses},
		func(ctx context.Context, _ lifeline.Person, in *eventQuery) (*huma.StreamResponse, error) {
			// Who names what is not there gets to know before the stream begins.
			if _, err := s.Service.Events(ctx, in.ID, 0, 1); err != nil {
				return nil, err
			}
			return s.events(ctx, *in)
		})
	register(s, api, operation{method: http.MethodGet, path: "/events", id: "get-events", tag: tag, role: lifeline.RoleViewer,
		summary: "The timeline of everything, as it grows or page by page", more: more, responses: responses},
		func(ctx context.Context, _ lifeline.Person, in *allEventQuery) (*huma.StreamResponse, error) {
			return s.events(ctx, eventQuery{After: in.After, Limit: in.Limit, LastEventID: in.LastEventID, Accept: in.Accept})
		})
}

// events answers with a page or a stream; of all incidents for the ID "".
func (s *server) events(ctx context.Context, q eventQuery) (*huma.StreamResponse, error) {
	after, err := q.place()
	if err != nil {
		return nil, err
	}
	if q.page() {
		events, err := s.Service.Events(ctx, q.ID, after, q.Limit)
		if err != nil {
			return nil, err
		}
		page := eventPage{Events: events, Next: after}
		if len(events) > 0 {
			page.Next = events[len(events)-1].Seq
		}
		body, err := encode(page)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			ctx.SetHeader("Content-Type", "application/json")
			_, _ = ctx.BodyWriter().Write(body) // whoever is gone needs no answer
		}}, nil
	}
	select {
	case s.streams <- struct{}{}:
	default:
		return nil, &Problem{Status: http.StatusServiceUnavailable, Code: "too_many", Detail: fmt.Sprintf("%d streams of events are open, as many as may be", streamsMost),
			Next: "close some, or ask for pages: Accept: application/json"}
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		defer func() { <-s.streams }()
		r, w := humago.Unwrap(ctx)
		s.stream(w, r, q.ID, after)
	}}, nil
}

// place is the seq of the last event that is known.
func (q eventQuery) place() (int64, error) {
	text, where := q.LastEventID, "the header Last-Event-ID"
	if text == "" {
		text, where = q.After, "after"
	}
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || seq < 0 {
		return 0, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("%s is %.40q: want the seq of an event", where, text)}
	}
	return seq, nil
}

// page reports whether a page is wanted, and no stream.
func (q eventQuery) page() bool {
	wanted := false
	for part := range strings.SplitSeq(q.Accept, ",") {
		switch kind, _, _ := mime.ParseMediaType(part); kind {
		case "text/event-stream":
			return false
		case "application/json":
			wanted = true
		}
	}
	return wanted
}

// told is an event, or why there are no more.
type told struct {
	event lifeline.Event
	err   error
}

// stream writes the events after one, and those to come, until either side ends it.
func (s *server) stream(w http.ResponseWriter, r *http.Request, incidentID string, after int64) {
	ctx, cancel := context.WithTimeout(r.Context(), s.StreamMost)
	defer cancel()
	out := http.NewResponseController(w)
	// The bounds of a request do not hold for a stream. A server without deadlines
	// has none to lift.
	_ = out.SetReadDeadline(time.Time{})
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no") // nginx would hold events back
	write := func(text string) bool {
		_ = out.SetWriteDeadline(time.Now().Add(writeMost))
		_, err := w.Write([]byte(text))
		return err == nil
	}
	w.WriteHeader(http.StatusOK)
	if !write("retry: 2000\n\n") || out.Flush() != nil {
		return
	}
	events := make(chan told, 64)
	go func() {
		defer close(events)
		for e, err := range s.Service.Follow(ctx, incidentID, after) {
			select {
			case events <- told{e, err}:
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() { // the goroutine ends with ctx
		cancel()
		for range events {
		}
	}()
	alive := time.NewTicker(s.KeepAlive)
	defer alive.Stop()
	for {
		select {
		case t, more := <-events:
			if !more {
				return
			}
			if !write(s.message(t)) || t.err != nil {
				_ = out.Flush()
				return
			}
			if len(events) > 0 {
				continue // together with the next
			}
		case <-alive.C:
			if !write(": still there\n\n") {
				return
			}
		}
		if out.Flush() != nil {
			return
		}
	}
}

// message is an event as a stream has it. JSON has no line ends in it.
func (s *server) message(t told) string {
	if t.err == nil {
		data, err := encode(t.event)
		if err == nil {
			return fmt.Sprintf("id: %d\ndata: %s\n\n", t.event.Seq, strings.TrimSpace(string(data)))
		}
		t.err = err
	}
	data, err := encode(s.problem(t.err))
	if err != nil { // our own plain type
		panic("api: a problem cannot be encoded: " + err.Error())
	}
	return fmt.Sprintf("event: problem\ndata: %s\n\n", strings.TrimSpace(string(data)))
}
