package lab

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// runDocker is the docker client.
func runDocker(p *process) int {
	args := p.args
	if len(args) > 0 && slices.Contains([]string{"container", "image"}, args[0]) && len(args) > 1 {
		alias := map[string]string{"ls": "ps", "list": "ps"}
		if args[0] == "image" {
			alias = map[string]string{"ls": "images", "list": "images", "inspect": "image-inspect", "prune": "image-prune"}
		}
		args = args[1:]
		if to, ok := alias[args[0]]; ok {
			args = append([]string{to}, args[1:]...)
		}
	}
	if len(args) == 0 {
		return p.failf(1, "Usage:  docker [OPTIONS] COMMAND")
	}
	sub := args[0]
	p.args = args
	commands := map[string]program{
		"ps": dockerPs, "inspect": dockerInspect, "logs": dockerLogs, "stats": dockerStats, "top": dockerTop, "port": dockerPort,
		"start": dockerChange, "stop": dockerChange, "restart": dockerChange, "pause": dockerChange, "unpause": dockerChange, "kill": dockerChange,
		"system": dockerSystem, "version": dockerVersion, "info": dockerInfo, "images": dockerImages, "compose": dockerCompose,
		"image-prune": dockerImagePrune,
	}
	if sub == "--version" || sub == "-v" {
		p.printf("Docker version 26.1.5, build a72d7cd\n")
		return 0
	}
	run, ok := commands[sub]
	if !ok {
		return p.failf(1, "docker: '%s' is not a docker command.\nSee 'docker --help'", sub)
	}
	p.world.lock()
	down := p.world.dockerDown
	p.world.unlock()
	if down {
		return p.failf(1, "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
	}
	return run(p)
}

// dockerUsage is what docker says about a wrong option.
func (p *process) dockerUsage(err error) int {
	return p.failf(125, "%v\nSee 'docker %s --help'.", err, p.args[0])
}

func noContainer(name string) string {
	return "Error response from daemon: No such container: " + name
}

// dockerChange is start, stop, restart, pause, unpause and kill.
func dockerChange(p *process) int {
	verb := p.args[0]
	opts, err := getopt(p.args[1:], "t time timeout=", "s signal=", "a attach", "i interactive")
	if err != nil {
		return p.dockerUsage(err)
	}
	if len(opts.operands) == 0 {
		return p.failf(1, "\"docker %s\" requires at least 1 argument.\nSee 'docker %s --help'.", verb, verb)
	}
	status := 0
	for _, name := range opts.operands {
		p.world.lock()
		c := p.world.containerLocked(name)
		p.world.unlock()
		if c == nil {
			status = p.failf(1, "%s", noContainer(name))
			continue
		}
		var failed error
		start := phase{600 * time.Millisecond, func() { failed = c.start() }}
		stop := phase{700 * time.Millisecond, c.stop}
		phases := []phase{start}
		switch verb {
		case "stop":
			phases = []phase{stop}
		case "restart":
			phases = []phase{stop, start}
		case "kill":
			phases = []phase{{50 * time.Millisecond, func() {
				if c.state != stateRunning {
					failed = fmt.Errorf("Cannot kill container: %s: Container %s is not running", name, c.id) //lint:ignore ST1005 docker's words
					return
				}
				c.stoppedByMe = true
				c.exit(p.world.now(), 137)
			}}}
		case "pause", "unpause":
			from, to := stateRunning, statePaused
			if verb == "unpause" {
				from, to = to, from
			}
			phases = []phase{{50 * time.Millisecond, func() {
				if c.state != from {
					failed = fmt.Errorf("Container %s is not %s", name, from) //lint:ignore ST1005 docker's words
					return
				}
				c.become(func() { c.state = to })
			}}}
		}
		if !p.daemon(phases...) {
			return 143
		}
		if failed != nil {
			status = p.failf(1, "Error response from daemon: %v\nError: failed to %s containers: %s", failed, verb, name)
			continue
		}
		p.printf("%s\n", name)
	}
	return status
}

func dockerLogs(p *process) int {
	opts, err := getopt(p.args[1:], "n tail=", "t timestamps", "since=", "until=", "f follow", "details")
	if err != nil {
		return p.dockerUsage(err)
	}
	if len(opts.operands) != 1 {
		return p.failf(1, "\"docker logs\" requires exactly 1 argument.\nSee 'docker logs --help'.")
	}
	now := p.world.now()
	var since, until time.Time
	for key, to := range map[string]*time.Time{"since": &since, "until": &until} {
		if opts.has(key) {
			if *to, err = parseWhen(opts.value(key, ""), now); err != nil {
				return p.failf(1, "invalid value for \"%s\": %v", key, err)
			}
		}
	}
	tail := -1
	if v := opts.value("n", "all"); v != "all" {
		if tail, err = strconv.Atoi(v); err != nil {
			return p.failf(1, "Error response from daemon: invalid tail value: %q", v)
		}
	}
	for shown := -1; ; {
		p.world.lock()
		c := p.world.containerLocked(opts.operands[0])
		var log []LogLine
		if c != nil {
			log = slices.Clone(c.log)
		}
		p.world.unlock()
		if c == nil {
			return p.failf(1, "%s", noContainer(opts.operands[0]))
		}
		from := shown
		if shown < 0 {
			log = slices.DeleteFunc(log, func(l LogLine) bool {
				return !since.IsZero() && l.At.Before(since) || !until.IsZero() && l.At.After(until)
			})
			from = 0
			if tail >= 0 {
				from = max(len(log)-tail, 0)
			}
		}
		for _, l := range log[min(from, len(log)):] {
			out := p.stdout
			if l.Stderr {
				out = p.stderr
			}
			stamp := ""
			if opts.has("t") {
				stamp = l.At.UTC().Format("2006-01-02T15:04:05.000000000Z") + " "
			}
			if _, err := fmt.Fprintf(out, "%s%s\n", stamp, l.Text); err != nil {
				return 141
			}
		}
		if !opts.has("f") {
			return 0
		}
		shown = len(log)
		if !p.sleep(100 * time.Millisecond) {
			return 143
		}
	}
}

// dockerFilter reports whether a container passes the filters of docker ps.
func dockerFilter(c *container, filters []string) (bool, error) {
	byKey := map[string][]string{}
	for _, f := range filters {
		key, value, ok := strings.Cut(f, "=")
		if !ok {
			return false, fmt.Errorf("invalid argument %q for \"-f, --filter\" flag: invalid filter format (should be name=[filter])", f)
		}
		byKey[key] = append(byKey[key], value)
	}
	for key, values := range byKey { // values of one key are alternatives
		hit := false
		for _, v := range values {
			switch key {
			case "name":
				re, err := regexp.Compile(v)
				hit = hit || err == nil && (re.MatchString(c.Name) || re.MatchString("/"+c.Name))
			case "id":
				hit = hit || strings.HasPrefix(c.id, v)
			case "status":
				hit = hit || c.state == v
			case "health":
				hit = hit || c.health == v || v == "none" && c.health == ""
			case "ancestor":
				hit = hit || c.Image == v || strings.HasPrefix(c.Image, v+":")
			case "exited":
				hit = hit || c.state == stateExited && strconv.Itoa(c.exitCode) == v
			default:
				//lint:ignore ST1005 docker's words
				return false, fmt.Errorf("Error response from daemon: invalid filter '%s'", key)
			}
		}
		if !hit {
			return false, nil
		}
	}
	return true, nil
}

func dockerPs(p *process) int {
	opts, err := getopt(p.args[1:], "a all", "q quiet", "f filter=", "format=", "no-trunc", "n last=", "l latest", "s size")
	if err != nil {
		return p.dockerUsage(err)
	}
	if len(opts.operands) > 0 {
		return p.failf(1, "\"docker ps\" accepts no arguments.\nSee 'docker ps --help'.")
	}
	all := opts.has("a") || slices.ContainsFunc(opts.given["f"], func(f string) bool {
		return strings.HasPrefix(f, "status=") || strings.HasPrefix(f, "exited=")
	})
	var rows []psRow
	p.world.lock()
	now := p.world.now()
	for _, c := range p.world.containers {
		ok, err := dockerFilter(c, opts.given["f"])
		if err != nil {
			p.world.unlock()
			return p.failf(1, "%v", err)
		}
		if ok && (all || c.state == stateRunning || c.state == statePaused || c.state == stateRestarting) {
			rows = append(rows, c.psRow(now, opts.has("no-trunc")))
		}
	}
	p.world.unlock()
	format := opts.value("format", "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.RunningFor}}\t{{.Status}}\t{{.Ports}}\t{{.Names}}")
	if opts.has("q") {
		format = "{{.ID}}"
	}
	return formatRows(p, format, psHeader(), rows)
}

// psRow is what the format of docker ps sees.
type psRow struct {
	ID, Image, Command, CreatedAt, RunningFor, Status, State, Ports, Names, Mounts, Networks, Size, LocalVolumes, Labels string
}

func psHeader() psRow {
	return psRow{ID: "CONTAINER ID", Image: "IMAGE", Command: "COMMAND", CreatedAt: "CREATED AT", RunningFor: "CREATED", Status: "STATUS",
		State: "STATE", Ports: "PORTS", Names: "NAMES", Mounts: "MOUNTS", Networks: "NETWORKS", Size: "SIZE", LocalVolumes: "LOCAL VOLUMES", Labels: "LABELS"}
}

func (c *container) psRow(now time.Time, long bool) psRow {
	r := psRow{
		ID: c.id[:12], Image: c.Image, Command: strconv.Quote(strings.Join(c.Command, " ")), Names: c.Name, State: c.state,
		CreatedAt: c.created.UTC().Format("2006-01-02 15:04:05 +0000 UTC"), RunningFor: ago(now.Sub(c.created)) + " ago",
		Mounts: strings.Join(c.Binds, ","), Networks: "bridge", Size: "12.3MB (virtual 412MB)", LocalVolumes: "0",
	}
	if long {
		r.ID = c.id
	}
	up := "Up " + ago(now.Sub(c.startedAt))
	switch c.state {
	case stateRunning:
		r.Status, r.Ports = up, strings.Join(c.Ports, ", ")
		switch c.health {
		case "":
		case healthStarting:
			r.Status += " (health: starting)"
		default:
			r.Status += " (" + c.health + ")"
		}
	case statePaused:
		r.Status = up + " (Paused)"
	case stateExited:
		r.Status = fmt.Sprintf("Exited (%d) %s ago", c.exitCode, ago(now.Sub(c.finishedAt)))
	case stateRestarting:
		r.Status = fmt.Sprintf("Restarting (%d) %s ago", c.exitCode, ago(now.Sub(c.finishedAt)))
	default:
		r.Status = "Created"
	}
	return r
}

// ago is a duration in docker's words.
func ago(d time.Duration) string {
	switch h := d.Hours(); {
	case d < time.Second:
		return "Less than a second"
	case d < 2*time.Second:
		return "1 second"
	case d < time.Minute:
		return fmt.Sprintf("%d seconds", int(d.Seconds()))
	case d < 2*time.Minute:
		return "About a minute"
	case d < time.Hour:
		return fmt.Sprintf("%d minutes", int(d.Minutes()))
	case h < 2:
		return "About an hour"
	case h < 48:
		return fmt.Sprintf("%d hours", int(h))
	case h < 24*14:
		return fmt.Sprintf("%d days", int(h/24))
	case h < 24*60:
		return fmt.Sprintf("%d weeks", int(h/24/7))
	default:
		return fmt.Sprintf("%d months", int(h/24/30))
	}
}
