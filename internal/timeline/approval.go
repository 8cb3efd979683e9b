package timeline

import (
	"fmt"
	"io"
	"strings"
	"time"

	"lifeline"
	"lifeline/internal/escape"
)

// WriteApprovals prints approvals, each with the whole command that would run:
// nothing of it is cut, and nothing in it is obeyed by the terminal.
func WriteApprovals(w io.Writer, approvals []lifeline.Approval, now time.Time) error {
	var b strings.Builder
	for i, a := range approvals {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s  %s\n", a.ID, approvalState(a, now))
		fmt.Fprintf(&b, "  on %s, %s:\n    %s\n", escape.Line(a.Request.Host), escape.Line(a.Class), escape.Line(a.Canonical))
		if len(a.Marks) > 0 {
			fmt.Fprintf(&b, "  marks: %s\n", escape.Line(strings.Join(a.Marks, ", ")))
		}
		fmt.Fprintf(&b, "  asked by %s", escape.Line(a.Request.Actor))
		if a.Request.Purpose != "" {
			fmt.Fprintf(&b, " (%s)", escape.Line(a.Request.Purpose))
		}
		fmt.Fprintf(&b, "\n  for %s\n  because %s\n", escape.Line(a.Request.IncidentID), escape.Line(a.Reason))
		if a.DecidedBy != "" {
			fmt.Fprintf(&b, "  %s by %s at %s", decidedWord(a), escape.Line(a.DecidedBy), a.DecidedAt.Local().Format(time.DateTime))
			if a.Decision != "" {
				fmt.Fprintf(&b, ": %s", escape.Line(a.Decision))
			}
			b.WriteByte('\n')
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func decidedWord(a lifeline.Approval) string {
	switch a.State {
	case lifeline.ApprovalApproved, lifeline.ApprovalUsed:
		return "approved"
	case lifeline.ApprovalDenied:
		return "denied"
	}
	return "ended"
}

func approvalState(a lifeline.Approval, now time.Time) string {
	switch left := a.ExpiresAt.Sub(now); {
	case a.State != lifeline.ApprovalPending:
		return string(a.State)
	case left <= 0:
		return "pending, and its time is over"
	default:
		return fmt.Sprintf("pending, %s left", max(left.Round(time.Second), time.Second))
	}
}
