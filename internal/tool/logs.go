package tool

import (
	"context"
	"fmt"
	"strings"

	"lifeline"
	"lifeline/internal/escape"
)

// The lines that gather_logs gives when it is not told how many, and at most.
// What the model sees is bounded in bytes besides: see render.
const (
	someLines = 100
	mostLines = 1000
)

// gatherLogs reads the newest lines of a container's log or a unit's journal.
func gatherLogs(host param) definition {
	return definition{
		name: "gather_logs",
		description: "Reads the newest log lines of one docker container or one systemd unit. " +
			"Changes nothing. Use several calls in one answer to look at several things at once.",
		params: []param{host, containerParam(), unitParam(),
			{name: "lines", kind: "integer", min: 1, max: mostLines, about: fmt.Sprintf("How many of the newest lines; %d if not given.", someLines)},
			{name: "since", kind: "string", about: "Only lines that are not older than this: 90s, 15m or 2h.", check: checkSince},
		},
		oneOf: []string{"container", "unit"},
		command: func(in input) string {
			lines, since := in.number("lines", someLines), in.text("since")
			if container := in.text("container"); container != "" {
				return containerLogs(container, lines, since)
			}
			return unitLogs(in.text("unit"), lines, since)
		},
	}
}

func containerLogs(name string, lines int, since string) string {
	if since != "" {
		since = " --since " + since
	}
	return fmt.Sprintf("docker logs --tail %d --timestamps%s %s", lines, since, escape.Word(name))
}

func unitLogs(name string, lines int, since string) string {
	if since != "" {
		since = " --since=-" + since
	}
	return fmt.Sprintf("journalctl --unit %s --lines=%d%s --no-pager", escape.Word(name), lines, since)
}

// LastWords reads the newest log lines of a container or unit, for the record of
// the incident. Of another kind of target it reads nothing. As with Status, only
// an error of the record has lifeline.CodeStore, and only such a one is given.
func LastWords(ctx context.Context, door Runner, p Probe) error {
	var command string
	switch {
	case p.Target.Kind.CheckName(p.Target.Name) != nil:
		return nil
	case p.Target.Kind == lifeline.TargetContainer:
		command = containerLogs(p.Target.Name, someLines, "")
	case p.Target.Kind == lifeline.TargetUnit:
		command = unitLogs(p.Target.Name, someLines, "")
	default:
		return nil
	}
	_, err := run(ctx, door, lifeline.CommandRequest{
		IncidentID: p.IncidentID, Host: p.Target.Host, Command: command, Actor: p.Actor,
		Purpose: "its last words, for the person who takes over",
	})
	return err
}

// checkSince takes what both docker and journalctl read as a span before now.
func checkSince(s string) error {
	number := strings.TrimRight(s, "smh")
	if len(s)-len(number) != 1 || number == "" || len(number) > 5 || number[0] == '0' ||
		strings.ContainsFunc(number, func(r rune) bool { return r < '0' || r > '9' }) {
		return fmt.Errorf("want a number and one of s, m, h, such as 15m")
	}
	return nil
}
