package tool

import (
	"strings"

	"lifeline/internal/escape"
)

// checkServiceStatus looks at one container or unit.
func checkServiceStatus(host param) definition {
	return definition{
		name: "check_service_status",
		description: "Shows the state of one docker container (status, health, exit code, restarts, start time) " +
			"or one systemd unit (active state, result, restarts, since when). Changes nothing.",
		params: []param{host, containerParam(), unitParam()},
		oneOf:  []string{"container", "unit"},
		command: func(in input) string {
			if container := in.text("container"); container != "" {
				return inspectContainer(container)
			}
			return showUnit(in.text("unit"))
		},
	}
}

// restartService restarts one container or unit; one that is stopped is started.
func restartService(host param) definition {
	return definition{
		name: "restart_service",
		description: "Restarts one docker container or one systemd unit; one that is stopped is started. " +
			"This is a change: look first, and do it only if what you saw says that it will help. " +
			"It may be refused. Never call it again when its outcome is unknown: look at the state instead.",
		params: []param{host, containerParam(), unitParam()},
		oneOf:  []string{"container", "unit"},
		command: func(in input) string {
			if container := in.text("container"); container != "" {
				return "docker restart " + escape.Word(container)
			}
			return "systemctl restart " + escape.Word(in.text("unit"))
		},
	}
}

// inspectContainer reads a container's state, and nothing of its environment.
// Without the type, docker would go on to an image of the same name.
func inspectContainer(name string) string {
	return "docker inspect --type container --format '{{.Name}} {{.Config.Image}} {{.RestartCount}} {{json .State}}' " + escape.Word(name)
}

// showUnit reads what systemd knows about how a unit runs.
func showUnit(name string) string {
	return "systemctl show --property=" + strings.Join(unitProperties(), ",") + " " + escape.Word(name)
}

// unitProperties are the properties that Status reads, and Description and
// ExecMainStatus for the model.
func unitProperties() []string {
	return []string{"Id", "Description", "Type", "LoadState", "ActiveState", "SubState", "Result", "NRestarts", "MainPID",
		"ExecMainStatus", "ExecMainStartTimestamp", "ActiveEnterTimestamp"}
}
