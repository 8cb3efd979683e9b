package redact

import (
	"context"
	"fmt"
	"log/slog"

	"lifeline/internal/escape"
)

// Handler gives a handler of a log that passes on messages and values without
// their secrets, and with control characters, bidi overrides and the like
// spelled out, in whatever format next writes.
func (r *Redactor) Handler(next slog.Handler) slog.Handler { return handler{r, next} }

type handler struct {
	r    *Redactor
	next slog.Handler
}

func (h handler) Enabled(ctx context.Context, l slog.Level) bool { return h.next.Enabled(ctx, l) }

func (h handler) Handle(ctx context.Context, rec slog.Record) error {
	clean := slog.NewRecord(rec.Time, rec.Level, h.r.shown(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.r.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.r.attr(a)
	}
	return handler{h.r, h.next.WithAttrs(clean)}
}

func (h handler) WithGroup(name string) slog.Handler { return handler{h.r, h.next.WithGroup(name)} }

// shown is a text as a log shows it.
func (r *Redactor) shown(s string) string {
	s, _ = r.Text(s)
	return escape.Text(s)
}

func (r *Redactor) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		s, _ := r.Field(a.Key, v.String())
		return slog.String(a.Key, escape.Text(s))
	case slog.KindGroup:
		group := v.Group()
		clean := make([]slog.Attr, len(group))
		for i, g := range group {
			clean[i] = r.attr(g)
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindAny:
		var text string
		switch x := v.Any().(type) {
		case error:
			text = x.Error()
		case []byte:
			text = string(x)
		default:
			text = fmt.Sprint(x)
			if clean := r.shown(text); clean == text { // may keep its own form, such as a list in JSON
				return slog.Any(a.Key, x)
			}
		}
		s, _ := r.Field(a.Key, text)
		return slog.String(a.Key, escape.Text(s))
	}
	return slog.Attr{Key: a.Key, Value: v}
}
