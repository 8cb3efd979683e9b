package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"text/tabwriter"
	"text/template"
	"time"
)

// inspected is the part of docker inspect's answer that scripts use, in its
// field names.
type inspected struct {
	ID              string `json:"Id"`
	Created         string
	Path            string
	Args            []string
	State           inspectedState
	Image           string
	Name            string
	RestartCount    int
	Driver          string
	Platform        string
	LogPath         string
	HostConfig      inspectedHostConfig
	Mounts          []inspectedMount
	Config          inspectedConfig
	NetworkSettings inspectedNetwork
}

type inspectedState struct {
	Status                                       string
	Running, Paused, Restarting, OOMKilled, Dead bool
	Pid, ExitCode                                int
	Error, StartedAt, FinishedAt                 string
	Health                                       *inspectedHealth `json:",omitempty"`
}

type inspectedHealth struct {
	Status        string
	FailingStreak int
	Log           []inspectedProbe
}

type inspectedProbe struct {
	Start, End string
	ExitCode   int
	Output     string
}

type inspectedHostConfig struct {
	Binds         []string
	NetworkMode   string
	RestartPolicy struct {
		Name              string
		MaximumRetryCount int
	}
	Memory int64
}

type inspectedMount struct {
	Type, Source, Destination, Mode string
	RW                              bool
}

type inspectedConfig struct {
	Hostname string
	Env      []string
	Cmd      []string
	Image    string
	Labels   map[string]string
}

type inspectedNetwork struct {
	IPAddress, Gateway string
	Ports              map[string][]inspectedPort
}

type inspectedPort struct{ HostIp, HostPort string }

func (c *container) inspect() inspected {
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return "0001-01-01T00:00:00Z"
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	in := inspected{
		ID: c.id, Created: stamp(c.created), Image: "sha256:" + c.id, Name: "/" + c.Name, RestartCount: c.restarts,
		Driver: "overlay2", Platform: "linux", LogPath: "/var/lib/docker/containers/" + c.id + "/" + c.id + "-json.log",
		State: inspectedState{
			Status: c.state, Running: c.state == stateRunning || c.state == statePaused || c.state == stateRestarting,
			Paused: c.state == statePaused, Restarting: c.state == stateRestarting, OOMKilled: c.oomKilled,
			Pid: c.pid, ExitCode: c.exitCode, Error: c.stateError, StartedAt: stamp(c.startedAt), FinishedAt: stamp(c.finishedAt),
		},
		Config:          inspectedConfig{Hostname: c.id[:12], Env: c.Env, Cmd: c.Command, Image: c.Image, Labels: map[string]string{}},
		NetworkSettings: inspectedNetwork{Gateway: "172.17.0.1", Ports: map[string][]inspectedPort{}},
		Mounts:          []inspectedMount{},
	}
	if len(c.Command) > 0 {
		in.Path, in.Args = c.Command[0], append([]string{}, c.Command[1:]...)
	}
	if c.state == stateRunning {
		in.NetworkSettings.IPAddress = fmt.Sprintf("172.17.0.%d", 2+c.id[0]%200)
	}
	if c.Healthcheck {
		h := &inspectedHealth{Status: c.health, FailingStreak: c.failing, Log: []inspectedProbe{}}
		if c.probe != "" {
			code := 0
			if c.failing > 0 {
				code = 1
			}
			now := c.w.now()
			h.Log = append(h.Log, inspectedProbe{stamp(now.Add(-12 * time.Second)), stamp(now.Add(-7 * time.Second)), code, c.probe + "\n"})
		}
		in.State.Health = h
	}
	in.HostConfig.Binds, in.HostConfig.NetworkMode = c.Binds, "bridge"
	in.HostConfig.RestartPolicy.Name = c.RestartPolicy
	for _, b := range c.Binds {
		source, rest, _ := strings.Cut(b, ":")
		target, mode, _ := strings.Cut(rest, ":")
		in.Mounts = append(in.Mounts, inspectedMount{"bind", source, target, mode, mode != "ro"})
	}
	for _, port := range c.Ports {
		if outer, inner, ok := strings.Cut(port, "->"); ok {
			i := strings.LastIndexByte(outer, ':')
			in.NetworkSettings.Ports[inner] = append(in.NetworkSettings.Ports[inner], inspectedPort{outer[:max(i, 0)], outer[i+1:]})
		}
	}
	return in
}

func dockerInspect(p *process) int {
	opts, err := getopt(p.args[1:], "f format=", "s size", "type=")
	if err != nil {
		return p.dockerUsage(err)
	}
	if len(opts.operands) == 0 {
		return p.failf(1, "\"docker inspect\" requires at least 1 argument.\nSee 'docker inspect --help'.")
	}
	found, status := []inspected{}, 0
	for _, name := range opts.operands {
		p.world.lock()
		if c := p.world.containerLocked(name); c != nil {
			found = append(found, c.inspect())
		} else {
			status = 1
			kind := opts.value("type", "object")
			defer p.failf(1, "Error: No such %s: %s", kind, name)
		}
		p.world.unlock()
	}
	format := opts.value("f", "json")
	if format == "json" || format == "" {
		out, err := json.MarshalIndent(found, "", "    ")
		if err != nil {
			return p.failf(1, "%v", err)
		}
		p.printf("%s\n", out)
		return status
	}
	tmpl, err := template.New("").Funcs(dockerFuncs()).Parse(format)
	if err != nil {
		return p.failf(64, "template parsing error: %v", err)
	}
	for _, in := range found {
		text, err := executeInspect(tmpl, in)
		if err != nil {
			return p.failf(1, "template parsing error: %v", err)
		}
		p.printf("%s\n", text)
	}
	return status
}

// executeInspect tries the field names of Go first, then those of the JSON, as
// docker does: its error is the one of the latter.
func executeInspect(tmpl *template.Template, in inspected) (string, error) {
	var b bytes.Buffer
	if err := tmpl.Execute(&b, in); err == nil {
		return b.String(), nil
	}
	text, err := json.Marshal(in)
	if err != nil {
		return "", err
	}
	var raw map[string]any
	if err := json.Unmarshal(text, &raw); err != nil {
		return "", err
	}
	b.Reset()
	err = tmpl.Option("missingkey=error").Execute(&b, raw)
	return b.String(), err
}

// dockerFuncs are what docker's formats can call.
func dockerFuncs() template.FuncMap {
	return template.FuncMap{
		"json": func(v any) (string, error) {
			out, err := json.Marshal(v)
			return string(out), err
		},
		"join":  strings.Join,
		"upper": strings.ToUpper,
		"lower": strings.ToLower,
		"split": strings.Split,
		"title": func(s string) string { return strings.ToUpper(s[:min(1, len(s))]) + s[min(1, len(s)):] },
		"truncate": func(s string, n int) string {
			return s[:min(n, len(s))]
		},
		"table": func(v any) any { return v },
	}
}

// formatRows prints rows by a format of docker's: "json", "table …" or a plain
// template.
func formatRows[T any](p *process, format string, header T, rows []T) int {
	if format == "json" {
		format = "{{json .}}"
	}
	text, isTable := strings.CutPrefix(format, "table ")
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	tmpl, err := template.New("").Funcs(dockerFuncs()).Parse(text)
	if err != nil {
		return p.failf(64, "template parsing error: %v", err)
	}
	var b bytes.Buffer
	if isTable {
		rows = append([]T{header}, rows...)
	}
	for _, r := range rows {
		if err := tmpl.Execute(&b, r); err != nil {
			return p.failf(1, "template: %v", strings.ReplaceAll(err.Error(), reflect.TypeOf(r).String(), "formatter"))
		}
		b.WriteByte('\n')
	}
	if !isTable {
		p.printf("%s", b.String())
		return 0
	}
	var aligned bytes.Buffer
	tw := tabwriter.NewWriter(&aligned, 10, 1, 3, ' ', 0)
	tw.Write(b.Bytes())
	tw.Flush()
	for line := range strings.Lines(aligned.String()) {
		p.printf("%s\n", strings.TrimRight(line, " \n"))
	}
	return 0
}
