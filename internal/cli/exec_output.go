package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/app"
	"lifeline/internal/escape"
)

// execResult is one command's end; err is set if the record failed.
type execResult struct {
	cmd lifeline.Command
	err error
}

// execLine is the JSON object of one command. Its fields are a contract.
type execLine struct {
	Host           string           `json:"host"`
	Command        string           `json:"command"`
	Outcome        lifeline.Outcome `json:"outcome"`
	ExitStatus     *int             `json:"exit_status"`
	Stdout         string           `json:"stdout"`
	Stderr         string           `json:"stderr"`
	Truncated      bool             `json:"truncated"`
	Redacted       int              `json:"redacted,omitempty"` // secrets taken out of the outputs
	Reused         bool             `json:"reused"`
	QueueSeconds   float64          `json:"queue_seconds"`
	ConnectSeconds float64          `json:"connect_seconds"`
	RunSeconds     float64          `json:"run_seconds"`
	// Error says why the outcome is not an exit, and what became of the
	// remote process; Hint what to type next.
	Error string `json:"error,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// execSummary is the last JSON object. Its fields are a contract.
type execSummary struct {
	Commands          int     `json:"commands"`
	ConnectionsOpened int     `json:"connections_opened"`
	ConnectionsReused int     `json:"connections_reused"`
	Timeouts          int     `json:"timeouts"`
	Unknown           int     `json:"unknown"`
	DurationSeconds   float64 `json:"duration_seconds"`
}

func summarize(results []execResult, stats app.DoorStats, took time.Duration) execSummary {
	s := execSummary{Commands: len(results), ConnectionsOpened: stats.Opened, ConnectionsReused: stats.Reused, DurationSeconds: took.Seconds()}
	for _, r := range results {
		switch r.cmd.Outcome {
		case lifeline.OutcomeTimedOut:
			s.Timeouts++
		case lifeline.OutcomeUnknown:
			s.Unknown++
		case lifeline.OutcomeNotStarted:
			if r.cmd.Cause == lifeline.CodeTimeout {
				s.Timeouts++
			}
		}
	}
	return s
}

// explain is the error column: what happened besides the outcome.
func (r execResult) explain() string {
	parts := []string{}
	if r.err != nil {
		parts = append(parts, r.err.Error())
	}
	if r.cmd.Outcome == lifeline.OutcomeRefused {
		parts = append(parts, r.cmd.Reason)
	} else if r.cmd.Error != "" {
		parts = append(parts, r.cmd.Error)
	}
	if r.cmd.Kill != "" {
		parts = append(parts, r.cmd.Kill)
	}
	return strings.Join(parts, "; ")
}

// execPrinter prints results for a person or as JSON lines.
type execPrinter struct {
	std            IO
	json, headings bool
}

func newExecPrinter(std IO, asJSON, headings bool) execPrinter {
	return execPrinter{std: std, json: asJSON, headings: headings}
}

func (p execPrinter) result(r execResult) {
	c := r.cmd
	if p.json {
		p.line(execLine{
			Host: c.Host, Command: c.Command, Outcome: c.Outcome, ExitStatus: c.ExitStatus,
			Stdout: validText(c.Stdout), Stderr: validText(c.Stderr), Truncated: c.Truncated, Redacted: c.Redacted, Reused: c.Reused,
			QueueSeconds: c.Queue.Seconds(), ConnectSeconds: c.Connect.Seconds(), RunSeconds: c.Run.Seconds(),
			Error: r.explain(), Hint: c.Hint,
		})
		return
	}
	if p.headings {
		fmt.Fprintf(p.std.Out, "== %s: %s (%s, %.3f s)\n", c.Host, escape.Line(c.Command), outcome(c), c.Run.Seconds())
	}
	write(p.std.Out, c.Stdout)
	write(p.std.Err, c.Stderr)
	if c.Redacted > 0 {
		fmt.Fprintf(p.std.Err, "lifeline: %s: %d taken out of the output, as they look like secrets\n", c.Host, c.Redacted)
	}
	if why := r.explain(); why != "" || c.Outcome != lifeline.OutcomeExited {
		fmt.Fprintf(p.std.Err, "lifeline: %s: %s: %s\n", c.Host, outcome(c), escape.Line(why))
		if c.Hint != "" {
			fmt.Fprintf(p.std.Err, "  %s\n", strings.ReplaceAll(escape.Text(c.Hint), "\n", "\n  "))
		}
	}
}

func (p execPrinter) summary(s execSummary) {
	if p.json {
		p.line(struct {
			Summary execSummary `json:"summary"`
		}{s})
	} else if p.headings {
		fmt.Fprintf(p.std.Err, "%d commands in %.2f s: %d connections opened, %d reused, %d timeouts, %d unknown\n",
			s.Commands, s.DurationSeconds, s.ConnectionsOpened, s.ConnectionsReused, s.Timeouts, s.Unknown)
	}
}

// writeJSON writes one JSON object on a line of its own. Whoever shows it to a
// person shows no character that a terminal obeys.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escape.JSON(b.Bytes()))
	return err
}

// line prints one JSON object on a line of its own.
func (p execPrinter) line(v any) {
	_ = writeJSON(p.std.Out, v) // a closed pipe is the reader's choice
}

// write prints a host's output: as it is to a file or a pipe, but with control
// characters shown instead of obeyed on a terminal.
func write(w io.Writer, b []byte) {
	if len(b) == 0 {
		return
	}
	if terminal(w) {
		b = []byte(escape.Text(string(b)))
	}
	_, _ = w.Write(b)
	if terminal(w) && !bytes.HasSuffix(b, []byte("\n")) {
		_, _ = io.WriteString(w, "\n")
	}
}

// validText is a host's bytes as a JSON string can hold them.
func validText(b []byte) string { return strings.ToValidUTF8(string(b), "\uFFFD") }

// outcome is the end of a command in a few words.
func outcome(c lifeline.Command) string {
	switch c.Outcome {
	case lifeline.OutcomeExited:
		if c.ExitStatus != nil {
			return fmt.Sprintf("exited %d", *c.ExitStatus)
		}
	case lifeline.OutcomeSignaled:
		return "ended by signal " + escape.Line(c.Signal)
	}
	return strings.ReplaceAll(string(c.Outcome), "_", " ")
}

// code is the cause of one result, "" for a success.
func (r execResult) code() lifeline.Code {
	switch {
	case r.err != nil:
		return lifeline.CodeOf(r.err)
	case r.cmd.Succeeded():
		return ""
	case r.cmd.Outcome == lifeline.OutcomeExited || r.cmd.Outcome == lifeline.OutcomeSignaled:
		return lifeline.CodeFailed
	case r.cmd.Outcome == lifeline.OutcomeRefused:
		return lifeline.CodeRefused
	case r.cmd.Cause != "":
		return r.cmd.Cause
	case r.cmd.Outcome == lifeline.OutcomeTimedOut:
		return lifeline.CodeTimeout
	}
	return lifeline.CodeUnknown
}

// gravest gives the exit status for all results together: nil if all is well.
func gravest(results []execResult) error {
	order := []lifeline.Code{"", lifeline.CodeFailed, lifeline.CodeRefused, lifeline.CodeUnreachable, lifeline.CodeAuth,
		lifeline.CodeHostKey, lifeline.CodeStore, lifeline.CodeInternal, lifeline.CodeTimeout, lifeline.CodeUnknown}
	worst := lifeline.Code("")
	for _, r := range results {
		if code := r.code(); slices.Index(order, code) > slices.Index(order, worst) {
			worst = code
		}
	}
	if worst == "" {
		return nil
	}
	return exitStatus(worst.ExitStatus())
}
