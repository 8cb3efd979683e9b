package tool

import (
	"fmt"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/llm"
)

// How much of a command's output a model sees, in bytes, after control
// characters were spelled out. The end is worth more than the beginning: the
// newest lines stand there.
const (
	headSeen, tailSeen       = 2 << 10, 8 << 10
	headSeenErr, tailSeenErr = 1 << 10, 4 << 10
)

// render says to the model what became of a command. What the host said stands
// in a fence of its own; what stands outside of it is ours.
func render(callID string, cmd lifeline.Command) llm.ToolResult {
	what, failed := describe(cmd)
	var b strings.Builder
	b.WriteString(what)
	if cmd.Outcome == lifeline.OutcomeRefused {
		return llm.ToolResult{CallID: callID, Content: b.String(), IsError: true}
	}
	text := outputOf(cmd)
	if text == "" {
		b.WriteString("\nIt printed nothing.")
	} else {
		if cmd.Truncated {
			b.WriteString("\nIt printed more than was kept.")
		}
		b.WriteString("\n" + llm.Fence(llm.NewMarker(), "the host "+cmd.Host, text))
	}
	return llm.ToolResult{CallID: callID, Content: b.String(), IsError: failed}
}

// describe says how the command ended. failed means that the call did not do
// what it was meant to, or that nobody knows.
func describe(cmd lifeline.Command) (text string, failed bool) {
	ran := fmt.Sprintf("on %s after %s: %s", cmd.Host, cmd.Run.Round(time.Millisecond), llm.Line(commandOf(cmd), 600))
	careful := ""
	if cmd.Class != "read" {
		careful = " It may have had its effect all the same: look at the state, and do not repeat it."
	}
	switch {
	case cmd.Waits():
		return fmt.Sprintf("Not run yet on %s: %s\nA person is asked about it now. If the answer is yes, Lifeline runs exactly this command by itself after your work, "+
			"and checks the result. Do not ask for it again and do not look for another way to the same effect. "+
			"If nothing else is left to look at, call finish with not_fixed and say what you found and why this change would help.",
			cmd.Host, llm.Line(commandOf(cmd), 600)), true
	case cmd.Outcome == lifeline.OutcomeRefused:
		return fmt.Sprintf("Refused on %s by %s: %s\nIt was not run. This is final: do not look for another way to the same effect. "+
			"Go on without it, or call finish with not_fixed and say what a person should decide.",
			cmd.Host, llm.Line(orNone(cmd.Rule), 100), llm.Line(cmd.Reason, 600)), true
	case cmd.Outcome == lifeline.OutcomeExited && cmd.ExitStatus != nil:
		return fmt.Sprintf("Exit status %d %s", *cmd.ExitStatus, ran), false
	case cmd.Outcome == lifeline.OutcomeSignaled:
		return fmt.Sprintf("Ended by signal %s %s.%s", llm.Line(cmd.Signal, 20), ran, careful), true
	case cmd.Outcome == lifeline.OutcomeTimedOut:
		text := "Its time was over " + ran + "."
		if cmd.Kill != "" {
			text += " To end it: " + llm.Line(cmd.Kill, 200) + "."
		}
		return text + careful, true
	case cmd.Outcome == lifeline.OutcomeNotStarted:
		return fmt.Sprintf("Not run: it did not start on %s. Nothing was changed by it.", cmd.Host), true
	}
	if careful == "" {
		careful = " It was a read, so you may ask again."
	}
	return fmt.Sprintf("The outcome is unknown on %s: %s. It may have run, in part or whole.%s", cmd.Host, llm.Line(commandOf(cmd), 600), careful), true
}

// outputOf is what the host said, bounded. An error of the line is in it, as it
// may repeat what the host's server said.
func outputOf(cmd lifeline.Command) string {
	stdout := llm.Clip(strings.TrimRight(llm.Visible(string(cmd.Stdout)), "\n"), headSeen, tailSeen)
	stderr := llm.Clip(strings.TrimRight(llm.Visible(string(cmd.Stderr)), "\n"), headSeenErr, tailSeenErr)
	var sections []string
	if stdout != "" {
		sections = append(sections, "[stdout]\n"+stdout)
	}
	if stderr != "" {
		sections = append(sections, "[stderr]\n"+stderr)
	}
	if cmd.Error != "" {
		sections = append(sections, "[error]\n"+llm.Line(cmd.Error, 600))
	}
	return strings.Join(sections, "\n")
}

// commandOf is the text that was sent, or that was asked for.
func commandOf(cmd lifeline.Command) string {
	if cmd.Canonical != "" {
		return cmd.Canonical
	}
	return cmd.Command
}

func orNone(s string) string {
	if s == "" {
		return "no rule"
	}
	return s
}
