package redact_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"lifeline/internal/redact"
)

// A log has neither Lifeline's secrets nor anybody's escapes in it, wherever in
// a record they stand and in either format.
func TestHandler(t *testing.T) {
	const own = "own-secret-of-lifeline"
	hostile := "\x1b[2J\u202eevil\U000e0041\u009b"
	for name, next := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var out bytes.Buffer
		log := slog.New(redact.New(own).Handler(next(&out)))
		log.With("given", own+hostile).WithGroup("group").Error("message "+own+hostile,
			"text", "password=hunter2 "+own, "error", errors.New("dial redis://:hunter2@cache "+hostile), "bytes", []byte(own),
			"nested", slog.GroupValue(slog.String("token", "hunter2 hunter2")), "list", []string{"a", own, hostile}, "count", 3, "fine", []string{"a", "b"})
		log.Debug("not logged")
		for _, bad := range []string{own, "hunter2", "\x1b", "\u202e", "\U000e0041", "\u009b", "not logged"} {
			if strings.Contains(out.String(), bad) {
				t.Errorf("%s: %q is in the log: %s", name, bad, &out)
			}
		}
		for _, good := range []string{"[redacted: lifeline]", "[redacted: url-password]", `\u{202e}evil`, "count", "3"} {
			if !strings.Contains(strings.ReplaceAll(out.String(), `\\`, `\`), good) {
				t.Errorf("%s: %q is not in the log: %s", name, good, &out)
			}
		}
	}
}
