package web

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/escape"
	"lifeline/internal/timeline"
)

// entry is one line of a timeline as a page shows it. A command is one entry, at
// the place of its start, with its end in it.
type entry struct {
	Seq   int64
	At    time.Time
	Actor string
	// Tone colours it; What says in a word what it is.
	Tone, What string
	Text       string
	// Words are a model's own, whole.
	Words   string
	Command *commandView
	// Question is what a person was asked.
	Question *lifeline.Approval
	// Count is how many events it stands for, if more than one.
	Count int
}

// commandView is a command for people.
type commandView struct {
	lifeline.Command
	// Sent is the whole text that was judged and sent, or that was asked for.
	Sent string
	// Ended says how it ended, Tone colours that.
	Ended, Tone string
	// Out is the end of what it printed, Cut what is left out of it.
	Out, Cut string
	Total    time.Duration
}

// entries makes a timeline out of a case. at is the time of looking.
func entries(c lifeline.CaseFile, at time.Time) []entry {
	commands := map[string]lifeline.Command{}
	for _, cmd := range c.Commands {
		commands[cmd.ID] = cmd
	}
	live := !c.Incident.State.Ended()
	shown := map[string]bool{}
	var all []entry
	for _, e := range c.Events {
		next := entry{Seq: e.Seq, At: e.At, Actor: e.Actor, Text: e.Text, What: strings.ReplaceAll(string(e.Kind), "_", " "), Tone: eventTone(e.Kind)}
		switch e.Kind {
		case lifeline.EventCommandStarted, lifeline.EventCommandFinished, lifeline.EventCommandRefused:
			var named struct {
				ID string `json:"id"`
			}
			_ = json.Unmarshal(e.Data, &named) // what cannot be read is shown as its line
			cmd, known := commands[named.ID]
			if known && shown[named.ID] {
				continue
			}
			if known {
				shown[named.ID] = true
				next.Command = newCommandView(cmd, at, live)
				next.What, next.Tone = "command", next.Command.Tone
			}
		case lifeline.EventModelAnswered:
			var said struct {
				Text string `json:"text"`
			}
			if json.Unmarshal(e.Data, &said) == nil {
				next.Words = said.Text
			}
		case lifeline.EventApprovalRequested:
			var a lifeline.Approval
			if json.Unmarshal(e.Data, &a) == nil && a.ID != "" {
				next.Question = &a
			}
		case lifeline.EventAlertReceived:
			// A storm would fill the page: those that follow on each other are one.
			if last := len(all) - 1; last >= 0 && all[last].What == next.What && all[last].Actor == next.Actor {
				all[last].Count = max(all[last].Count, 1) + 1
				all[last].Text = next.Text
				continue
			}
		}
		all = append(all, next)
	}
	return all
}

func eventTone(k lifeline.EventKind) string {
	switch k {
	case lifeline.EventVerified, lifeline.EventResumed:
		return "good"
	case lifeline.EventVerifyFailed, lifeline.EventEscalated, lifeline.EventNotificationFailed, lifeline.EventNodeLost, lifeline.EventRecordBroken, lifeline.EventAlertReceived:
		return "bad"
	case lifeline.EventApprovalRequested, lifeline.EventPaused:
		return "asks"
	case lifeline.EventModelAsked, lifeline.EventToolCalled, lifeline.EventApprovalUsed, lifeline.EventNote:
		return "quiet"
	}
	return "busy"
}

func newCommandView(c lifeline.Command, at time.Time, live bool) *commandView {
	v := &commandView{Command: c, Sent: c.Canonical, Ended: timeline.Outcome(c), Tone: "bad", Total: c.Queue + c.Connect + c.Run}
	if v.Sent == "" {
		v.Sent = c.Command
	}
	switch {
	case c.Waits():
		v.Tone, v.Ended = "asks", "not run: a person is asked"
	case running(c) && live:
		v.Tone, v.Ended, v.Total = "busy", "running for "+took(at.Sub(c.IntentAt)), at.Sub(c.IntentAt)
	case c.Succeeded():
		v.Tone = "good"
	case c.Outcome == lifeline.OutcomeExited && c.Class == "read":
		v.Tone = "busy" // a look that finds nothing is an answer
	}
	v.Out, v.Cut = output(c)
	return v
}

// running reports whether a command was let through and has no result yet.
func running(c lifeline.Command) bool { return !c.IntentAt.IsZero() && c.Outcome == "" }

// Bounds of the outputs on a page; the file of the case has all that is kept.
const (
	shownLines = 120
	shownBytes = 16 << 10
)

// output is the end of what a command printed, harmless, and what is left out.
func output(c lifeline.Command) (out, cut string) {
	var b strings.Builder
	for _, stream := range []struct {
		name string
		data []byte
	}{{"", c.Stdout}, {"on the error output:", c.Stderr}} {
		data, left := stream.data, 0
		if len(data) > shownBytes {
			left = len(data) - shownBytes
			data = data[left:]
		}
		text := strings.TrimRight(escape.Text(string(data)), "\n")
		if text == "" {
			continue
		}
		lines := strings.Split(text, "\n")
		if over := len(lines) - shownLines; over > 0 {
			for _, l := range lines[:over] {
				left += len(l) + 1
			}
			lines = lines[over:]
		}
		if left > 0 {
			cut = fmt.Sprintf("The end is shown; about %d KiB before it are in the JSON file of the case.", (left+1023)/1024)
		}
		if stream.name != "" {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(stream.name + "\n")
		}
		b.WriteString(strings.Join(lines, "\n"))
	}
	if c.Truncated {
		cut = strings.TrimSpace(cut + " The host printed more than is kept: the middle is gone.")
	}
	if c.Redacted > 0 {
		cut = strings.TrimSpace(cut + " " + plural(c.Redacted, "secret") + " taken out.")
	}
	return b.String(), cut
}
