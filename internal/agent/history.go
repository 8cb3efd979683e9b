package agent

import (
	"fmt"
	"strings"

	"lifeline"
	"lifeline/internal/llm"
)

// How often the same call is run while nothing changes, and after how many
// repetitions that were not run the model is going in circles.
const (
	maxSame    = 3
	maxRefused = 3
)

// history knows which calls were made, to tell work from going in circles.
type history struct {
	// same counts equal calls since the last change.
	same map[string]int
	// unsure holds the changes whose outcome is unknown.
	unsure map[string]bool
	// here holds the calls of the present answer.
	here    map[string]bool
	refused int
}

// begin starts a new answer.
func (h *history) begin() {
	if h.same == nil {
		h.same, h.unsure = map[string]int{}, map[string]bool{}
	}
	h.here = map[string]bool{}
}

// refuse says to the model why a call is not run again; "" if it is to run.
func (h *history) refuse(key string) string {
	why := ""
	switch {
	case h.here[key]:
		return "Not run: the same call stands in this answer already. Its result is there." // clumsy, and no circle
	case h.unsure[key]:
		why = "Not run: the outcome of the same call before is unknown, so it is not repeated. Look at the state; if it is not well, finish with not_fixed."
	case h.same[key] >= maxSame:
		why = fmt.Sprintf("Not run: you have asked exactly this %d times, and nothing was changed in between. Use what you have, try something else, or finish.", h.same[key])
	default:
		h.here[key] = true
		return ""
	}
	h.refused++
	return why
}

// add takes note of a call that was run.
func (h *history) add(key string, d called) {
	if d.Unsure {
		h.unsure[key] = true
	}
	if d.Changed {
		clear(h.same) // what was seen before may be different now
	}
	h.same[key]++
}

// circling reports that the model does not go on.
func (h *history) circling() bool { return h.refused >= maxRefused }

// factsKept is how many of the newest facts a report holds.
const factsKept = 12

// factsSoFar is what the tools found out, for the person who takes over.
func (w *work) factsSoFar() string {
	facts := w.facts
	if len(facts) == 0 {
		return "Nothing had been looked at."
	}
	left := ""
	if n := len(facts) - factsKept; n > 0 {
		facts, left = facts[n:], fmt.Sprintf(" (the newest %d of %d)", factsKept, len(facts))
	}
	return "What was seen and done until then" + left + ": " + strings.Join(facts, " ")
}

// fact is one sentence about a command: the command, its end, and the last line
// that it printed. "" for none.
func fact(cmd lifeline.Command) string {
	if cmd.Command == "" {
		return ""
	}
	end := strings.ReplaceAll(string(cmd.Outcome), "_", " ")
	said := lastLine(cmd.Stdout)
	switch {
	case cmd.Outcome == lifeline.OutcomeExited && cmd.ExitStatus != nil:
		end = fmt.Sprintf("exit status %d", *cmd.ExitStatus)
	case cmd.Outcome == lifeline.OutcomeRefused:
		end = "refused, " + llm.Line(cmd.Reason, 160)
	case cmd.Outcome == "":
		end = "outcome unknown"
	case cmd.Error != "":
		end += ", " + llm.Line(cmd.Error, 160)
	}
	if s := lastLine(cmd.Stderr); s != "" && (said == "" || !cmd.Succeeded()) {
		said = s
	}
	if said != "" {
		said = " (" + said + ")"
	}
	return fmt.Sprintf("`%s` on %s: %s%s.", llm.Line(cmd.Command, 160), cmd.Host, strings.TrimRight(end, "."), said)
}

func lastLine(out []byte) string {
	s := strings.TrimSpace(string(out[max(0, len(out)-2048):]))
	return strings.TrimRight(llm.Line(s[strings.LastIndexByte(s, '\n')+1:], 160), ".")
}
