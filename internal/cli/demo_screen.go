package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"lifeline"
	"lifeline/internal/app"
	"lifeline/internal/escape"
	"lifeline/internal/lab"
)

// demoScreen shows the demo to a person.
type demoScreen struct {
	out     io.Writer // what happens
	figures io.Writer // the end, as JSON; nil: as text on out
	colour  bool
	width   int // lines of the timeline are cut here; 0: they are not
	start   time.Time
}

func newDemoScreen(std IO, asJSON bool) *demoScreen {
	s := &demoScreen{out: std.Out}
	if asJSON {
		s.out, s.figures = std.Err, std.Out
	}
	// See https://no-color.org: set to anything but the empty text.
	if f, ok := s.out.(*os.File); ok && terminal(f) {
		s.width, _, _ = term.GetSize(int(f.Fd())) // 0 if the terminal does not say
	}
	s.colour = terminal(s.out) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return s
}

// The colours of a line, as SGR codes.
const (
	plain  = ""
	bold   = "1"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// line prints a line that is escaped already.
func (s *demoScreen) line(colour, text string) {
	if s.colour && colour != plain {
		text = "\x1b[" + colour + "m" + text + "\x1b[0m"
	}
	fmt.Fprintln(s.out, text)
}

// begin says what there is before anything breaks.
func (s *demoScreen) begin(d *demo) {
	s.line(bold, "Two simulated hosts behind real SSH, the service, and one fault")
	for _, h := range d.hosts {
		s.line(plain, fmt.Sprintf("  %-9s %s, account %s, host key known", h.Name(), h.Address(), h.User()))
	}
	s.line(plain, fmt.Sprintf("  %-9s http://%s/webhook/alertmanager, with a bearer token", "webhook", d.app.Address()))
	who := "the shipped runbooks, no model"
	if d.asksModel() {
		who = "the model " + d.cfg.Model.Name + ", with the shipped runbooks as guidance"
	}
	s.line(plain, fmt.Sprintf("  %-9s %s", "responder", who))
	s.line(plain, "")
	s.line(bold, fmt.Sprintf("Breaking the %s: %s", d.fault.target, d.fault.kind))
	s.start = time.Now()
}

// step prints one line of the timeline.
func (s *demoScreen) step(colour string, e lifeline.Event) {
	text := app.EventLine(e, s.start)
	if runes := []rune(text); s.width > 0 && len(runes) > s.width {
		text = string(runes[:s.width-1]) + "…"
	}
	s.line(colour, text)
}

// changes shows the changes that have happened by now.
func (s *demoScreen) changes(all <-chan lab.Change) {
	for {
		select {
		case c := <-all:
			s.change(c)
		default:
			return
		}
	}
}

// change shows what became of the simulated thing itself.
func (s *demoScreen) change(c lab.Change) {
	from := c.From
	if from == "" {
		from = "nothing"
	}
	colour := yellow
	if strings.HasPrefix(c.To, "running") || c.To == "active" {
		colour = cyan
	}
	s.step(colour, lifeline.Event{At: c.At, Actor: c.Target.Host, Text: fmt.Sprintf("[%s %s: %s → %s]", c.Target.Kind, c.Target.Name, from, c.To)})
}

// event shows one entry of the timeline. What runs is shown with its verdict.
func (s *demoScreen) event(e lifeline.Event) {
	colour := plain
	switch e.Kind {
	case lifeline.EventAlertReceived:
		e.Text = "received: " + e.Text
		colour = yellow
	case lifeline.EventIncidentOpened, lifeline.EventStateChanged:
		colour = bold
	case lifeline.EventCommandStarted:
		var c lifeline.Command
		if json.Unmarshal(e.Data, &c) == nil {
			e.Text = fmt.Sprintf("judged %s, %s: runs on %s", c.Class, c.Decision, e.Text)
		}
	case lifeline.EventCommandFinished, lifeline.EventNote:
		colour = faint
	case lifeline.EventModelAsked, lifeline.EventModelAnswered, lifeline.EventToolCalled:
		colour = cyan
	case lifeline.EventVerified:
		e.Text = "verified: " + e.Text
		colour = green
	case lifeline.EventCommandRefused, lifeline.EventVerifyFailed, lifeline.EventEscalated:
		colour = red
		if e.Kind == lifeline.EventEscalated {
			e.Text = "escalated to a person: " + e.Text
		}
	}
	s.step(colour, e)
}

// rest shows the events that have arrived by now.
func (s *demoScreen) rest(events <-chan lifeline.Event) {
	for {
		select {
		case e := <-events:
			s.event(e)
		default:
			return
		}
	}
}

// demoFigures is what the demo measured. The JSON is for scripts.
type demoFigures struct {
	Incident string         `json:"incident"`
	State    lifeline.State `json:"state"`
	Reason   string         `json:"reason"`
	Fault    string         `json:"fault"`
	Target   string         `json:"target"`
	// Well is asked of the simulated world, not of the record.
	Well     bool `json:"well"`
	Commands int  `json:"commands"`
	Changes  int  `json:"changes"`
	// ConnectionsOpened is the server's count, on the host that broke.
	ConnectionsOpened int `json:"connections_opened"`
	ConnectionsReused int `json:"connections_reused"`
	Timeouts          int `json:"timeouts"`
	// SecondsToRepair is from the alert's post to the verified repair; absent
	// if there was none.
	SecondsToRepair *float64       `json:"seconds_to_repair,omitempty"`
	Comparison      demoComparison `json:"comparison"`
}

// demoComparison is the incident's own commands, run again in two ways.
type demoComparison struct {
	Commands             int        `json:"commands"`
	Parallel             int        `json:"parallel"`
	OneConnection        demoReplay `json:"one_connection"`
	ConnectionPerCommand demoReplay `json:"connection_per_command"`
}

type demoReplay struct {
	Connections int     `json:"connections"` // the server's count
	Failures    int     `json:"failures"`
	Seconds     float64 `json:"seconds"`
	Error       string  `json:"error,omitempty"` // of the first failure
}

// demoParallel is how many commands the founding story's model ran at once.
const demoParallel = 8

func (d *demo) figures(ctx context.Context, end demoEnd) (demoFigures, error) {
	pool := d.app.HostStats(d.host.Name())
	f := demoFigures{
		Incident: end.incident.ID, State: end.incident.State, Reason: end.incident.Reason,
		Fault: d.fault.kind, Target: end.incident.Target.String(), Well: d.fault.well(d.host), Changes: end.incident.Changes,
		ConnectionsOpened: d.host.Connections(), ConnectionsReused: pool.Reused, Timeouts: pool.Timeouts,
	}
	for _, c := range end.commands {
		if !c.IntentAt.IsZero() {
			f.Commands++
		}
	}
	if !end.verified.IsZero() {
		f.SecondsToRepair = new(end.verified.Sub(end.posted).Seconds())
	}
	return f, ctx.Err()
}

// compare runs the very commands of the incident again on the same host: over
// one connection, and with a connection for each. Both are measured here and
// now; the server counts the connections.
func (d *demo) compare(ctx context.Context, f *demoFigures, commands []lifeline.Command) error {
	var texts []string
	for _, c := range commands {
		if !c.IntentAt.IsZero() {
			texts = append(texts, c.Canonical)
		}
	}
	f.Comparison = demoComparison{Commands: len(texts), Parallel: demoParallel}
	for _, way := range []struct {
		each bool
		out  *demoReplay
	}{{false, &f.Comparison.OneConnection}, {true, &f.Comparison.ConnectionPerCommand}} {
		before := d.host.Connections()
		r, err := app.Replay(ctx, d.cfg, d.host.Name(), texts, demoParallel, way.each)
		if err != nil {
			return fmt.Errorf("compare: %w", err)
		}
		*way.out = demoReplay{Connections: d.host.Connections() - before, Failures: r.Failed, Seconds: r.Took.Seconds(), Error: r.Cause}
	}
	return ctx.Err()
}

// end prints the figures.
func (s *demoScreen) end(f demoFigures, kept string) error {
	if s.figures != nil {
		text, err := json.MarshalIndent(f, "", "  ")
		if err != nil {
			return fmt.Errorf("print the figures: %w", err)
		}
		if _, err := fmt.Fprintf(s.figures, "%s\n", escape.JSON(text)); err != nil {
			return fmt.Errorf("print the figures: %w", err)
		}
	}
	colour, well := green, "yes"
	if !f.Well || f.State != lifeline.StateResolved {
		colour = red
	}
	if !f.Well {
		well = "no"
	}
	repaired := "not repaired"
	if f.SecondsToRepair != nil {
		repaired = fmt.Sprintf("%.1f s from the alert to the verified repair", *f.SecondsToRepair)
	}
	s.line(plain, "")
	s.line(colour, fmt.Sprintf("The incident is %s: %s", f.State, escape.Line(f.Reason)))
	for _, row := range [][2]string{
		{"works again", well + ", says the simulated host itself: " + escape.Line(f.Target)},
		{"repair", repaired},
		{"commands", fmt.Sprintf("%d, of which %d changed something", f.Commands, f.Changes)},
		{"connections", fmt.Sprintf("%d opened, counted by the SSH server; reused %d times", f.ConnectionsOpened, f.ConnectionsReused)},
		{"timeouts", fmt.Sprint(f.Timeouts)},
	} {
		s.line(plain, fmt.Sprintf("  %-12s %s", row[0], row[1]))
	}
	c := f.Comparison
	s.line(plain, "")
	s.line(bold, fmt.Sprintf("The same %d commands on the same host, %d at once, measured now", c.Commands, c.Parallel))
	s.line(plain, fmt.Sprintf("  %-24s %12s %10s %10s", "", "connections", "failures", "seconds"))
	for _, row := range []struct {
		name string
		r    demoReplay
	}{{"one shared connection", c.OneConnection}, {"a connection per command", c.ConnectionPerCommand}} {
		s.line(plain, fmt.Sprintf("  %-24s %12d %10d %10.2f", row.name, row.r.Connections, row.r.Failures, row.r.Seconds))
		if row.r.Error != "" {
			s.line(red, "    first failure: "+escape.Line(row.r.Error))
		}
	}
	s.line(plain, "  (a simulated SSH server without a network between: a real sshd starts a process for")
	s.line(plain, "   each connection, adds the network's round trips, and refuses when too many come at once)")
	if kept != "" {
		s.line(plain, kept)
	}
	return nil
}
