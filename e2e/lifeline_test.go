//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lifeline"
)

// product is the lifeline binary with a configuration, as its user has it.
type product struct {
	dir    string
	config string
	env    []string
	// token is what a sender of alerts has to know.
	token string

	// Set by serve.
	*process
	// url is where the service listens.
	url string
}

// install writes a configuration. hosts is the body of its section hosts and
// more is what follows the keys that every story has. The environment holds
// nothing that the story does not say, so that a key or a configuration of
// whoever runs the stories does not count.
func install(t *testing.T, dir, knownHosts, hosts, more string, env ...string) *product {
	t.Helper()
	dir = filepath.Join(dir, "lifeline")
	return installAt(t, dir, knownHosts, hosts, fmt.Sprintf("store:   {url: \"sqlite:%s\"}\n", filepath.Join(dir, "lifeline.db"))+more, env...)
}

// installAt is install with a folder, and a section store in more.
func installAt(t *testing.T, dir, knownHosts, hosts, more string, env ...string) *product {
	t.Helper()
	p := &product{dir: dir, token: "token-of-the-webhook", env: append(env, "HOME="+dir, "PATH="+os.Getenv("PATH"))}
	tokenFile := writeFile(t, filepath.Join(dir, "webhook-token"), p.token+"\n")
	p.config = writeFile(t, filepath.Join(dir, "lifeline.yaml"), fmt.Sprintf(`
hosts:
%s
ssh:     {known_hosts: %q}
listen:  127.0.0.1:0
webhook: {token_file: %q}
%s`, hosts, knownHosts, tokenFile, more))
	return p
}

// nexus is the line of the host that most stories have.
func nexus(server *sshd) string {
	return fmt.Sprintf("  nexus: {address: %q, user: %s, identity: %q, mode: auto}", server.address, account, server.identity)
}

// serve starts the service.
func (p *product) serve(t *testing.T) {
	t.Helper()
	p.process = start(t, p.dir, "lifeline", p.env, binary(t, "lifeline"), "serve", "-c", p.config)
	listening := regexp.MustCompile(`msg=listening address=(\S+)`)
	p.ready(t, func() error {
		found := listening.FindStringSubmatch(p.log(t))
		if found == nil {
			return errors.New("it does not listen yet")
		}
		p.url = "http://" + found[1]
		return nil
	})
}

// logged counts an event in the service's log.
func (p *product) logged(t *testing.T, event string) int {
	t.Helper()
	return len(regexp.MustCompile(`(?m) msg=`+regexp.QuoteMeta(event)+`( |$)`).FindAllString(p.log(t), -1))
}

// ran is the end of one call of the command line.
type ran struct {
	stdout, stderr string
	status         int
}

// command calls the command line.
func (p *product) command(t *testing.T, args ...string) ran {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary(t, "lifeline"), append([]string{"-c", p.config}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = p.dir, p.env, &stdout, &stderr
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("lifeline %s: %v", strings.Join(args, " "), err)
	}
	return ran{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// read calls the command line for a JSON document.
func (p *product) read(t *testing.T, into any, args ...string) {
	t.Helper()
	got := p.command(t, args...)
	if got.status != 0 {
		t.Fatalf("lifeline %s: exit status %d\n%s%s", strings.Join(args, " "), got.status, got.stdout, got.stderr)
	}
	if err := json.Unmarshal([]byte(got.stdout), into); err != nil {
		t.Fatalf("lifeline %s: %v\n%s", strings.Join(args, " "), err, got.stdout)
	}
}

// caseFile is what "incidents show --json" prints.
type caseFile struct {
	Incident lifeline.Incident  `json:"incident"`
	Alerts   []lifeline.Alert   `json:"alerts"`
	Events   []lifeline.Event   `json:"events"`
	Commands []lifeline.Command `json:"commands"`
}

// ended waits until the only incident on record has come to its end, and gives
// everything on record about it.
func (p *product) ended(t *testing.T) caseFile {
	t.Helper()
	var list struct{ Incidents []lifeline.Incident }
	eventually(t, "the incident is at its end", func() error {
		p.read(t, &list, "incidents", "--json")
		switch {
		case len(list.Incidents) == 0:
			return errors.New("there is no incident yet")
		case len(list.Incidents) > 1:
			t.Fatalf("one fault became %d incidents: %+v", len(list.Incidents), list.Incidents)
		case !list.Incidents[0].State.Ended():
			return fmt.Errorf("it is %s: %s", list.Incidents[0].State, list.Incidents[0].Reason)
		}
		return nil
	})
	var c caseFile
	p.read(t, &c, "incidents", "show", list.Incidents[0].ID, "--json")
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the case:\n%s", p.timeline(t, c))
		}
	})
	return c
}

// timeline is a case for a reader of a failed test.
func (p *product) timeline(t *testing.T, c caseFile) string {
	t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s\n", c.Incident.ID, c.Incident.State, c.Incident.Reason)
	for _, e := range c.Events {
		fmt.Fprintf(&b, "%s %s %s: %.400s\n", e.At.Format("15:04:05.000"), e.Kind, e.Actor, e.Text)
	}
	for _, cmd := range c.Commands {
		fmt.Fprintf(&b, "%s %q: %s %s %s\n%.300s%.300s\n", cmd.Actor, cmd.Command, cmd.Decision, cmd.Outcome, cmd.Error, cmd.Stdout, cmd.Stderr)
	}
	return b.String()
}

// find is the first event of a kind.
func (c caseFile) find(t *testing.T, kind lifeline.EventKind) lifeline.Event {
	t.Helper()
	for _, e := range c.Events {
		if e.Kind == kind {
			return e
		}
	}
	t.Fatalf("the timeline of %s has no event %s", c.Incident.ID, kind)
	return lifeline.Event{}
}

// changes lists the commands that were let through and were more than reads.
func (c caseFile) changes() []string {
	var list []string
	for _, cmd := range c.Commands {
		if cmd.Changed() {
			list = append(list, cmd.Command)
		}
	}
	return list
}
