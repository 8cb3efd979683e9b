package tool

import (
	"fmt"
	"strings"
)

// longestCommand bounds a command line, in bytes. The policy would refuse long
// ones too; this says why.
const longestCommand = 4096

// executeSafeCommand runs what the other tools do not cover. Whether it may run
// is the policy's to say.
func executeSafeCommand(host param) definition {
	return definition{
		name: "execute_safe_command",
		description: "Runs one shell command line on a host, for what the other tools do not cover: df -h, free -m, " +
			"docker ps --all, ss -tlnp, grep in a log. A policy judges it first: plain reads run, some reversible changes may, " +
			"the rest is refused. There is no terminal and no input; a command that does not end by itself is refused or cut off.",
		params: []param{host,
			{name: "command", kind: "string", required: true, about: "The command line, for a POSIX shell.", check: checkCommand}},
		command: func(in input) string { return in.text("command") },
	}
}

func checkCommand(s string) error {
	switch {
	case len(s) > longestCommand:
		return fmt.Errorf("is %d bytes long, at most %d are possible", len(s), longestCommand)
	case strings.ContainsRune(s, 0):
		return fmt.Errorf("holds a NUL byte")
	}
	return nil
}
