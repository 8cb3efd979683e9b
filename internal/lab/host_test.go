package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

func start(t *testing.T, hosts ...*Host) *Lab {
	t.Helper()
	l, err := Start(t.Context(), hosts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// login is what a client needs to trust the host and to be let in.
func clientConfig(t *testing.T, h *Host) *ssh.ClientConfig {
	t.Helper()
	dir := t.TempDir()
	identity, known := filepath.Join(dir, "id"), filepath.Join(dir, "known_hosts")
	if err := errors.Join(h.WriteIdentity(identity), h.WriteKnownHosts(known)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(identity)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePrivateKey(text)
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := knownhosts.New(known)
	if err != nil {
		t.Fatal(err)
	}
	return &ssh.ClientConfig{User: h.User(), Auth: []ssh.AuthMethod{ssh.PublicKeys(key)}, HostKeyCallback: trusted}
}

func dial(t *testing.T, h *Host) *ssh.Client {
	t.Helper()
	client, err := ssh.Dial("tcp", h.Address(), clientConfig(t, h))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client
}

func session(t *testing.T, client *ssh.Client) *ssh.Session {
	t.Helper()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// over runs a script over SSH.
func over(t *testing.T, client *ssh.Client, script, stdin string) said {
	t.Helper()
	s := session(t, client)
	var stdout, stderr bytes.Buffer
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := s.Run(script)
	exit, isExit := errors.AsType[*ssh.ExitError](err)
	switch {
	case err == nil, errors.Is(err, io.EOF): // EOF: it ended with 0 and left some of its input unread
		return said{stdout.String(), stderr.String(), 0}
	case isExit:
		return said{stdout.String(), stderr.String(), exit.ExitStatus()}
	}
	t.Fatalf("%s: %v", script, err)
	return said{}
}

func TestOverSSH(t *testing.T) {
	nexus, outpost := NewHost("nexus", Options{Pace: 0.01}), NewHost("outpost", Options{Pace: 0.01, User: "ops"})
	start(t, nexus, outpost)
	client := dial(t, nexus)
	for _, tt := range []struct {
		script, stdin string
		want          said
	}{
		{"exec /usr/bin/env LC_ALL=C /bin/sh -c 'docker inspect -f \"{{.State.Status}}\" scrypted | grep -qx running'", "", said{}},
		{"echo out; echo err >&2; exit 7", "", said{"out\n", "err\n", 7}},
		{"cat | wc -l", "a\nb\n", said{"2\n", "", 0}},
		{"read x; echo \"<$x>\"", "a\nb\n", said{"<a>\n", "", 0}},
		{"hostname", "nobody reads this\n", said{"nexus\n", "", 0}},
		{"sh -s", "whoami\nhostname\n", said{"lifeline\nnexus\n", "", 0}},
	} {
		if diff := cmp.Diff(tt.want, over(t, client, tt.script, tt.stdin)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.script, diff)
		}
	}
	if diff := cmp.Diff(said{"ops\n", "", 0}, over(t, dial(t, outpost), "whoami", "")); diff != "" {
		t.Errorf("outpost (-want +got):\n%s", diff)
	}

	// One connection carries many commands at once.
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			s, err := client.NewSession()
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			if out, err := s.Output(fmt.Sprintf("docker ps -q | wc -l; echo %d", i)); err != nil || string(out) != fmt.Sprintf("5\n%d\n", i) {
				t.Errorf("command %d: %q, %v", i, out, err)
			}
		})
	}
	all.Wait()
	if n := nexus.Connections(); n != 1 {
		t.Errorf("%d connections counted, want 1", n)
	}
}

func TestOnlyTheRightClientGetsIn(t *testing.T) {
	h, other := NewHost("nexus", Options{}), NewHost("nexus", Options{})
	start(t, h, other)
	good := clientConfig(t, h)
	wrongUser, wrongKey, wrongHost := *good, *good, *good
	wrongUser.User = "root"
	wrongKey.Auth = clientConfig(t, other).Auth
	wrongHost.HostKeyCallback = clientConfig(t, other).HostKeyCallback
	for name, cfg := range map[string]*ssh.ClientConfig{"another user": &wrongUser, "another key": &wrongKey, "another host's key": &wrongHost} {
		if client, err := ssh.Dial("tcp", h.Address(), cfg); err == nil {
			client.Close()
			t.Errorf("%s is let in", name)
		}
	}
	if n := h.Connections(); n != 0 {
		t.Errorf("%d connections counted although nobody was let in", n)
	}
	over(t, dial(t, h), "true", "") // a client is in a moment before it is counted
	if n := h.Connections(); n != 1 {
		t.Errorf("%d connections counted, want 1", n)
	}
}

func TestFilesForClients(t *testing.T) {
	h := NewHost("nexus", Options{})
	file := filepath.Join(t.TempDir(), "known_hosts")
	if err := h.WriteKnownHosts(file); err == nil {
		t.Error("a host without an address is written to known_hosts")
	}
	start(t, h)
	identity := filepath.Join(t.TempDir(), "id")
	for range 2 {
		if err := errors.Join(h.WriteKnownHosts(file), h.WriteIdentity(identity)); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if want := h.KnownHosts() + "\n" + h.KnownHosts() + "\n"; err != nil || string(text) != want {
		t.Errorf("known_hosts holds %q (%v), want %q", text, err, want)
	}
	for _, f := range []string{file, identity} {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", filepath.Base(f), info.Mode(), err)
		}
	}
}

// TERM is acknowledged and ends the command, even one whose output is stuck.
func TestSignalOverSSH(t *testing.T) {
	h := NewHost("nexus", Options{})
	start(t, h)
	client := dial(t, h)
	for _, script := range []string{"echo ready; sleep 1000", "while :; do echo ready; done"} {
		s := session(t, client)
		out, err := s.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Start(script); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
			t.Fatal(err)
		}
		if ok, err := s.SendRequest("signal", true, ssh.Marshal(struct{ Name string }{"TERM"})); !ok || err != nil {
			t.Errorf("%s: the signal is not acknowledged: %v", script, err)
		}
		exit, ok := errors.AsType[*ssh.ExitError](s.Wait())
		if !ok || exit.Signal() != "TERM" {
			t.Errorf("%s: ended with %v", script, exit)
		}
	}
}

// The founding story: the client is gone, the container is restarted all the same.
func TestRestartGoesOnWhenTheConnectionIsGone(t *testing.T) {
	h := NewHost("nexus", Options{Pace: 0.2})
	start(t, h)
	mustBreak(t, h, "container-exited", "scrypted")
	client := dial(t, h)
	s := session(t, client)
	out, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	changes, stop := h.World().Changes()
	defer stop()
	if err := s.Start("echo begun; docker start scrypted"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("begun\n"))); err != nil {
		t.Fatal(err)
	}
	client.Close()
	if c := <-changes; c.To != "running" || !h.World().Running("scrypted") {
		t.Errorf("it became %+v", c)
	}
}

func TestSessionLimit(t *testing.T) {
	h := NewHost("nexus", Options{MaxSessions: 2})
	start(t, h)
	client := dial(t, h)
	for range 2 {
		if err := session(t, client).Start("sleep 1000"); err != nil {
			t.Fatal(err)
		}
	}
	_, err := client.NewSession()
	if refused, ok := errors.AsType[*ssh.OpenChannelError](err); !ok || refused.Reason != ssh.ConnectionFailed {
		t.Errorf("the third session: %v", err)
	}
}

func TestClose(t *testing.T) {
	h := NewHost("nexus", Options{})
	l, err := Start(t.Context(), h)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(1, len(l.Hosts())); diff != "" {
		t.Errorf("hosts (-want +got):\n%s", diff)
	}
	mustBreak(t, h, "slow", "docker restart=1h")
	client := dial(t, h)
	for _, script := range []string{"sleep 1000", "docker restart scrypted", "docker logs -f scrypted", "cat"} {
		s := session(t, client)
		if _, err := s.StdinPipe(); err != nil { // stays open
			t.Fatal(err)
		}
		if err := s.Start(script); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Start(t.Context(), h); err == nil || !strings.Contains(err.Error(), "started before") {
		t.Errorf("a second start: %v", err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := ssh.Dial("tcp", h.Address(), &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()}); err == nil {
		t.Error("a closed host still listens")
	}
}
