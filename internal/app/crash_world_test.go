package app

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/lab"
	"lifeline/internal/store"
	"lifeline/sshpool/sshtest"
)

// longEnough bounds a hang; it measures nothing.
const longEnough = 90 * time.Second

// site is what lives on when the service dies: the host nexus with the container
// web, the monitoring that watches it, the person who approves, and the database.
type site struct {
	t      *testing.T
	dir    string
	config string
	url    string // of the database
	key    string // the file of the record's key, where it is not beside the database
	host   *lab.Host
	client *http.Client
	record *store.Store
	// service is the process that runs now, or the last one.
	service *process

	// The monitoring's view: what the service has confirmed.
	told, toldResolved bool
	// onPending, if set, does something else with a question than approve it.
	onPending func(lifeline.Approval)

	mu sync.Mutex // guards what follows
	// journal counts what the host really started, by the ID of its request.
	journal map[string]int
	// begun and done, if set, are called when the host has begun a change, and
	// when it has made it and not yet said so.
	begun, done func()
	starts      int
}

// mode of the host: who decides about a change.
const (
	auto    = "auto"
	suggest = "suggest"
)

// newSite builds it; the container is down and nobody was told. more is added to
// the configuration.
func newSite(t *testing.T, mode, more string) *site {
	t.Helper()
	s := &site{t: t, dir: t.TempDir(), journal: map[string]int{}, client: &http.Client{Timeout: longEnough, Transport: &http.Transport{DisableKeepAlives: true}}}
	s.host = lab.NewHost("nexus", lab.Options{Pace: 0.01, World: oneContainer, Around: s.around})
	simulated, err := lab.Start(t.Context(), s.host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := simulated.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.host.Break("container-exited", "web"); err != nil {
		t.Fatal(err)
	}
	in := func(name string) string { return filepath.Join(s.dir, name) }
	s.config, s.url = in("lifeline.yaml"), newDatabase(t, in("lifeline.db"))
	database := fmt.Sprintf("store: {url: %q}", s.url)
	if isPostgres(s.url) {
		s.key = in("record.key")
		database = fmt.Sprintf("store: {url: %q, key_file: %q}\nnode: {name: anna}", s.url, s.key)
	}
	for _, err := range []error{
		s.host.WriteKnownHosts(in("known_hosts")), s.host.WriteIdentity(in("key")),
		os.WriteFile(in("ssh_config"), []byte("Host *\n  IdentityAgent none\n"), 0o600),
		os.WriteFile(s.config, fmt.Appendf(nil, `
hosts:
  nexus: {address: %q, ssh_config: nexus, user: %s, identity: key, mode: %s}
ssh: {known_hosts: known_hosts, config: ssh_config}
responder: runbook
listen: 127.0.0.1:0
%s
respond: {verify_for: 50ms, verify_timeout: 20s, alert_timeout: 60s, approval_timeout: 5m}
%s`, s.host.Address(), s.host.User(), mode, database, more), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func oneContainer(w *lab.World) {
	w.AddContainer(lab.ContainerSpec{Name: "web", Image: "web:1", Command: []string{"web"}, RestartPolicy: "no", StartLog: []string{"listening"}})
}

// databaseVariable names, in the environment, a database server that is to be
// used instead of a file: each round gets a new database of it.
const databaseVariable = "LIFELINE_CRASH_DATABASE"

// newDatabase gives the address of a database of its own, empty, with all its
// tables.
func newDatabase(t *testing.T, file string) string {
	t.Helper()
	if server := os.Getenv(databaseVariable); server != "" {
		return newPostgresDatabase(t, server)
	}
	made, err := emptyDatabase()
	if err != nil {
		t.Fatal(err)
	}
	for end, data := range made {
		if err := os.WriteFile(file+end, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return "sqlite:" + file
}

// emptyDatabase is the files of a database that was opened once, by the end of
// their names: to make its tables takes longer than a round.
var emptyDatabase = sync.OnceValues(func() (map[string][]byte, error) {
	dir, err := os.MkdirTemp("", "lifeline-empty-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cfg := config.Default()
	cfg.Store.URL, cfg.Listen, cfg.Responder = "sqlite:"+filepath.Join(dir, "lifeline.db"), "127.0.0.1:0", "runbook"
	a, err := New(context.Background(), &cfg, Options{})
	if err != nil {
		return nil, err
	}
	if err := errors.Join(a.Start(context.Background()), a.Stop(context.Background())); err != nil {
		return nil, err
	}
	files := map[string][]byte{}
	for _, end := range []string{"", ".key"} {
		if files[end], err = os.ReadFile(filepath.Join(dir, "lifeline.db"+end)); err != nil {
			return nil, err
		}
	}
	return files, nil
})

// request finds the request's ID in what was sent to the host.
var request = regexp.MustCompile(journalVariable + `='?([A-Za-z0-9_.]+)`)

// around is the host's journal: it counts each change before the host begins it.
func (s *site) around(run sshtest.Handler) sshtest.Handler {
	return func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		id := request.FindStringSubmatch(c.Text)
		if id == nil {
			return run(ctx, c)
		}
		s.mu.Lock()
		s.journal[id[1]]++
		s.starts++
		begun, done := s.begun, s.done
		s.mu.Unlock()
		if begun != nil {
			begun()
		}
		// The first half of an output, before there is anything to say.
		fmt.Fprint(c.Stdout, "starting ")
		exit := run(ctx, c)
		if done != nil {
			done()
		}
		return exit
	}
}

// killWhen kills the service once, at a moment that only the host sees: &s.begun
// or &s.done.
func (s *site) killWhen(moment *func()) {
	var once sync.Once
	s.mu.Lock()
	defer s.mu.Unlock()
	*moment = func() { once.Do(func() { s.service.kill() }) }
}

// ran is how often the host has begun a change.
func (s *site) ran() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.starts
}

// open opens the record beside the service, as the command line does.
func (s *site) open() *store.Store {
	s.t.Helper()
	if s.record == nil {
		record, err := store.Open(s.t.Context(), s.url, store.Options{KeyFile: s.key})
		if err != nil {
			s.t.Fatal(err)
		}
		s.t.Cleanup(func() { record.Close() })
		s.record = record
	}
	return s.record
}

// process is a service that runs in a process of its own.
type process struct {
	cmd     *exec.Cmd
	orders  io.WriteCloser
	said    chan string
	log     string
	address string
	ended   chan struct{} // closed when it is gone and cmd.ProcessState is set
}

// start starts the service and waits until it listens, or has ended before.
func (s *site) start(p plan) *process {
	s.t.Helper()
	p.Config = s.config
	raw, err := json.Marshal(p)
	if err != nil {
		s.t.Fatal(err)
	}
	binary, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	log, err := os.CreateTemp(s.dir, "serve-*.log")
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	c := &process{cmd: exec.Command(binary), said: make(chan string, 16), log: log.Name(), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), childVariable+"="+string(raw), "HOME="+s.dir, "SSH_AUTH_SOCK=")
	c.cmd.Stderr = log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if c.orders, err = c.cmd.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			c.said <- lines.Text()
		}
		close(c.said)
		_ = c.cmd.Wait() // ProcessState says how it ended
		close(c.ended)
	}()
	s.t.Cleanup(func() {
		c.kill()
		if s.t.Failed() {
			text, _ := os.ReadFile(c.log)
			s.t.Logf("a service with the plan %s, %s:\n%s", raw, c.cmd.ProcessState, text)
		}
	})
	s.service = c
	if line, ok := <-c.said; ok {
		c.address = strings.TrimPrefix(line, "listening ")
	} else {
		<-c.ended
	}
	return c
}

// kill is SIGKILL from outside. It waits for the end.
func (c *process) kill() {
	_ = c.cmd.Process.Kill() // it may be gone already
	<-c.ended
}

func (c *process) gone() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// killed reports whether SIGKILL has ended it.
func (c *process) killed() bool {
	status, ok := c.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// stop ends the service as a service manager does.
func (s *site) stop() {
	s.t.Helper()
	s.service.orders.Close()
	select {
	case <-s.service.ended:
	case <-time.After(longEnough):
		s.t.Fatalf("the service did not stop within %s", longEnough)
	}
	if !s.service.cmd.ProcessState.Success() {
		s.t.Errorf("the service ended with %s", s.service.cmd.ProcessState)
	}
}

// message is what Alertmanager posts about containers.
func message(status lifeline.AlertStatus, fingerprints ...string) []byte {
	var alerts []any
	for _, f := range fingerprints {
		labels := map[string]string{"alertname": "ContainerDown", "host": "nexus", "container": "web"}
		if f != "web" {
			labels = map[string]string{"alertname": "Alert" + f} // an incident of its own that nobody can work on
		}
		alerts = append(alerts, map[string]any{"status": status, "labels": labels, "startsAt": "2026-05-06T07:08:09Z", "fingerprint": f})
	}
	body, err := json.Marshal(map[string]any{"version": "4", "status": status, "alerts": alerts})
	if err != nil {
		panic(err)
	}
	return body
}

// post sends a message and gives the status; 0 if nobody answered.
func (s *site) post(body []byte) (status int, header http.Header) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, "http://"+s.service.address+"/webhook/alertmanager", bytes.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, nil // no whole answer is none
	}
	return resp.StatusCode, resp.Header
}

// alertmanager sends what the service has not confirmed yet, as Alertmanager
// does: the alert, and its end when the container runs.
func (s *site) alertmanager() {
	if !s.told {
		status, _ := s.post(message(lifeline.AlertFiring, "web"))
		s.told = status/100 == 2
		return
	}
	if !s.toldResolved && s.host.World().Running("web") {
		status, _ := s.post(message(lifeline.AlertResolved, "web"))
		s.toldResolved = status/100 == 2
	}
}

// person approves what is asked for.
func (s *site) person() {
	s.t.Helper()
	waiting, err := s.open().AwaitedApprovals(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	for _, a := range waiting {
		if a.State != lifeline.ApprovalPending {
			continue
		}
		if s.onPending != nil {
			s.onPending(a)
			continue
		}
		s.approve(a)
	}
}

func (s *site) approve(a lifeline.Approval) {
	s.t.Helper()
	_, err := s.open().DecideApproval(s.t.Context(), a.ID, store.Decision{Approve: true, By: "person:ann", Digest: a.Digest})
	if err != nil && lifeline.CodeOf(err) != lifeline.CodeRefused { // the alert may have resolved
		s.t.Fatal(err)
	}
}

// untilEnded is life until the incident is at its end and no workflow is left:
// the monitoring repeats itself, the person approves, and the service manager
// starts the service whenever it is gone. next gives the plan of each start.
func (s *site) untilEnded(next func() plan) (lifeline.Incident, int) {
	s.t.Helper()
	restarts := 0
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for deadline := time.Now().Add(longEnough); ; <-look.C {
		if s.service == nil || s.service.gone() {
			if s.service != nil {
				if !s.service.killed() {
					s.t.Fatalf("the service ended by itself: %s", s.service.cmd.ProcessState)
				}
				restarts++
			}
			s.start(next())
			continue
		}
		s.alertmanager()
		s.person()
		all, err := s.open().Incidents(s.t.Context(), store.Filter{})
		if err != nil {
			s.t.Fatal(err)
		}
		if len(all) > 0 && all[0].State.Ended() && s.told && s.running() == 0 && !s.service.gone() {
			return all[0], restarts
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("after %s: told %t, %d workflows, incidents %+v", longEnough, s.told, s.running(), all)
		}
	}
}

// running counts the workflows that are not at their end.
func (s *site) running() (n int) {
	s.t.Helper()
	table := "workflow_status"
	if isPostgres(s.url) {
		table = "dbos.workflow_status"
	}
	err := s.open().DB().QueryRowContext(s.t.Context(), `SELECT count(*) FROM `+table+` WHERE status IN ('PENDING', 'ENQUEUED')`).Scan(&n)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// ended checks how an incident ended whose host needed one change: the change was
// begun once, and after a look at the thing the incident is resolved; or it was
// lost between its intent and the host, nobody can know that, and a person is
// told.
func (s *site) ended(inc lifeline.Incident) {
	s.t.Helper()
	running, begun := s.host.World().Running("web"), s.ran()
	resolved := inc.State == lifeline.StateResolved && running && begun == 1
	told := inc.State == lifeline.StateEscalated && strings.HasPrefix(inc.Reason, "nobody knows how ") && !running && begun == 0
	if !resolved && !told {
		s.t.Errorf("the incident is %s (%s), web runs: %v, and the host has begun %d changes", inc.State, inc.Reason, running, begun)
	}
}

// honest holds the record against the host's journal.
func (s *site) honest(inc lifeline.Incident) {
	s.t.Helper()
	ctx, record := s.t.Context(), s.open()
	if !inc.State.Ended() || inc.Reason == "" {
		s.t.Errorf("the incident is %s: %q", inc.State, inc.Reason)
	}
	all, err := record.Incidents(ctx, store.Filter{})
	if err != nil || len(all) != 1 {
		s.t.Errorf("%d incidents for one fault, %v", len(all), err)
	}
	commands, err := record.Commands(ctx, inc.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	changes, approvals := map[string]lifeline.Command{}, map[string]string{}
	for _, c := range commands {
		if c.IntentAt.IsZero() || c.Class == "read" {
			continue
		}
		changes[c.ID] = c
		if c.Outcome == "" || c.FinishedAt.IsZero() {
			s.t.Errorf("%s was let through and has no end on record", c.ID)
		}
		if started := s.journal[c.ID]; started == 0 && c.Outcome != lifeline.OutcomeUnknown && c.Outcome != lifeline.OutcomeNotStarted {
			s.t.Errorf("%s is %s on record, and the host never saw it", c.ID, c.Outcome)
		} else if started == 1 && c.Outcome == lifeline.OutcomeNotStarted {
			s.t.Errorf("%s did not start, says the record, and the host has started it", c.ID)
		}
		if c.ApprovalID != "" {
			if other := approvals[c.ApprovalID]; other != "" {
				s.t.Errorf("%s and %s were let through by one approval", c.ID, other)
			}
			approvals[c.ApprovalID] = c.ID
		}
	}
	for id, n := range s.journal {
		if n > 1 {
			s.t.Errorf("the host has started %s %d times", id, n)
		}
		if _, known := changes[id]; !known {
			s.t.Errorf("the host has started %s, whose intent is not on record", id)
		}
	}
	if len(changes) > 2 {
		s.t.Errorf("%d changes, and 2 are allowed", len(changes))
	}
	alerts, err := record.Alerts(ctx, inc.ID)
	if err != nil || len(alerts) == 0 || alerts[0].Fingerprint != "web" {
		s.t.Errorf("alerts on record: %+v, %v", alerts, err)
	}
	audit, err := record.VerifyAudit(ctx, store.AuditCheck{})
	if err != nil || audit.Bad != nil {
		s.t.Errorf("the record: %+v, %v", audit.Bad, err)
	}
	if s.t.Failed() {
		for _, c := range commands {
			s.t.Logf("%s %q: %s, intent %t, %s; the host has started it %d times", c.ID, c.Canonical, c.Outcome, !c.IntentAt.IsZero(), c.Error, s.journal[c.ID])
		}
		events, err := record.Events(ctx, inc.ID, 0)
		for _, e := range events {
			s.t.Logf("%s %s: %.300s", e.At.Format("15:04:05.000"), e.Kind, e.Text)
		}
		if err != nil {
			s.t.Error(err)
		}
	}
}
