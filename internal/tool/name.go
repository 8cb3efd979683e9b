package tool

import "lifeline"

// container and unit are the parameters of the tools that look at a service.
func containerParam() param {
	return param{name: "container", kind: "string", about: "Name of a docker container. Give this or unit.",
		check: lifeline.TargetContainer.CheckName}
}

func unitParam() param {
	return param{name: "unit", kind: "string", about: "Name of a systemd unit, such as nginx.service. Give this or container.",
		check: lifeline.TargetUnit.CheckName}
}
