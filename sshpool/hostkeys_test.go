package sshpool

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"

	"lifeline/sshpool/sshtest"
)

func TestKnownHosts(t *testing.T) {
	server := newSigner(t)
	other := newSigner(t)
	public := func(s ssh.Signer) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))) }
	for _, c := range []struct {
		name, line string
		address    string
		want       string // "" for success
		hint       string
	}{
		{name: "plain", line: "nexus " + public(server)},
		{name: "hashed", line: xknownhosts.HashHostname("nexus") + " " + public(server)},
		{name: "list and pattern", line: "outpost,nex* " + public(server)},
		{name: "port", line: "[nexus]:2222 " + public(server), address: "nexus:2222"},
		{name: "pattern for another port", line: "* " + public(server), address: "nexus:2222"},
		{name: "several keys", line: "nexus " + public(other) + "\nnexus " + public(server)},
		{name: "no end of line", line: "nexus " + public(server)},
		{name: "no line", want: "is not known", hint: "ssh-keyscan nexus >> "},
		{name: "another port", line: "nexus " + public(server), address: "nexus:2222", want: "is not known", hint: "ssh-keyscan -p 2222 nexus >> "},
		{name: "changed", line: "nexus " + public(other), want: "has changed: known is " + fingerprint(other.PublicKey()), hint: "-R 'nexus'"},
		{name: "changed at a port", line: "[nexus]:2222 " + public(other), address: "nexus:2222", want: "the server shows " + fingerprint(server.PublicKey()), hint: "-R '[nexus]:2222'"},
		{name: "revoked", line: "nexus " + public(server) + "\n@revoked * " + public(server), want: "shows the revoked host key"},
		{name: "not readable", line: "nexus ssh-ed25519 ???", want: "known_hosts cannot be read"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, sshtest.Config{HostKey: server}, func(cfg *Config) {
				os.WriteFile(cfg.KnownHosts[0], []byte(c.line+"\n"), 0o600)
				h := cfg.Hosts["nexus"]
				if c.address != "" {
					h.Address = c.address
				}
				cfg.Hosts["nexus"] = h
			}, func(t *testing.T, l lab) {
				r, err := l.run(t, "exit 0")
				if c.want == "" {
					if err != nil {
						t.Error(err)
					}
					return
				}
				e, _ := errors.AsType[*Error](err)
				if kindOf(err) != KindHostKey || r.Outcome != NotStarted || !strings.Contains(err.Error(), c.want) || !strings.Contains(e.Hint, c.hint) {
					t.Errorf("%v\nhint: %s", err, e.Hint)
				}
				if n := l.server.Counts(); n.Authenticated != 0 {
					t.Error("the server was given a key")
				}
			})
		})
	}
}

// A server with several keys shows the one that is known, and a key of another
// type is seen as a change.
func TestTheKnownKeyIsAskedFor(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	inBubble(t, sshtest.Config{HostKey: ec}, nil, func(t *testing.T, l lab) {
		if _, err := l.run(t, "exit 0"); err != nil {
			t.Fatal(err)
		}
		l.server.SetHostKey(nil) // ed25519
		l.server.Drop()
		time.Sleep(time.Second)
		_, err := l.run(t, "exit 0")
		if kindOf(err) != KindHostKey || !strings.Contains(err.Error(), "known is ecdsa-sha2-nistp256 SHA256:") || !strings.Contains(err.Error(), "shows ssh-ed25519 SHA256:") {
			t.Error(err)
		}
	})
}

func TestHostCertificates(t *testing.T) {
	ca, key := newSigner(t), newSigner(t)
	certificate := func(principal string) ssh.Signer {
		cert := &ssh.Certificate{
			Key: key.PublicKey(), CertType: ssh.HostCert, ValidPrincipals: []string{principal},
			ValidBefore: ssh.CertTimeInfinity,
		}
		if err := cert.SignCert(rand.Reader, ca); err != nil {
			t.Fatal(err)
		}
		s, err := ssh.NewCertSigner(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for principal, want := range map[string]ErrorKind{"nexus": "", "outpost": KindHostKey} {
		inBubble(t, sshtest.Config{HostKey: certificate(principal)}, func(cfg *Config) {
			line := "@cert-authority nex* " + string(ssh.MarshalAuthorizedKey(ca.PublicKey()))
			os.WriteFile(cfg.KnownHosts[0], []byte(line), 0o600)
		}, func(t *testing.T, l lab) {
			if _, err := l.run(t, "exit 0"); kindOf(err) != want {
				t.Errorf("a certificate for %s: %v", principal, err)
			}
		})
	}
}

func TestAcceptNew(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "known_hosts")
	accept := func(cfg *Config) {
		cfg.KnownHosts = []string{file}
		h := cfg.Hosts["nexus"]
		h.HostKeys = HostKeysAcceptNew
		cfg.Hosts["nexus"] = h
		h.Address = "nexus:2222"
		cfg.Hosts["again"] = h
		cfg.Hosts["once more"] = h
	}
	inBubble(t, sshtest.Config{}, accept, func(t *testing.T, l lab) {
		var callers sync.WaitGroup
		for name := range l.cfg.Hosts {
			callers.Go(func() {
				if _, err := l.Run(t.Context(), name, Command{Script: "exit 0"}); err != nil {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.SplitAfter(string(text), "\n")
		if len(lines) != 3 { // two addresses, and nothing after the last end of line
			t.Errorf("known_hosts: %q", text)
		}
		for _, want := range []string{l.server.KnownHostsLine("nexus"), l.server.KnownHostsLine("nexus:2222")} {
			if !strings.Contains(string(text), want) {
				t.Errorf("known_hosts lacks %q: %q", want, text)
			}
		}
		for path, want := range map[string]fs.FileMode{file: 0o600, filepath.Dir(file): 0o700 | fs.ModeDir} {
			if info, err := os.Stat(path); err != nil || info.Mode() != want {
				t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
			}
		}
		// A changed key is an error under accept-new, too.
		l.server.SetHostKey(nil)
		l.server.Drop()
		time.Sleep(time.Second)
		_, err = l.run(t, "exit 0")
		if kindOf(err) != KindHostKey || !strings.Contains(err.Error(), "has changed") {
			t.Error(err)
		}
		if after, _ := os.ReadFile(file); string(after) != string(text) {
			t.Errorf("known_hosts was changed: %q", after)
		}
	})
}

func TestAcceptNewThatCannotBeWritten(t *testing.T) {
	for name, file := range map[string]string{"a folder": t.TempDir(), "a device": "/dev/null"} {
		inBubble(t, sshtest.Config{}, func(cfg *Config) {
			cfg.KnownHosts = []string{file}
			if name == "a folder" {
				blocked := filepath.Join(file, "x")
				os.WriteFile(blocked, nil, 0o600)
				cfg.KnownHosts = []string{filepath.Join(blocked, "known_hosts")}
			}
			h := cfg.Hosts["nexus"]
			h.HostKeys = HostKeysAcceptNew
			cfg.Hosts["nexus"] = h
		}, func(t *testing.T, l lab) {
			if _, err := l.run(t, "exit 0"); kindOf(err) != KindHostKey {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
}

func TestAppendKnownHostEndsTheLineBefore(t *testing.T) {
	file := knownHosts(t, "# no end of line")
	key := newSigner(t).PublicKey()
	if err := appendKnownHost(file, "nexus:22", key); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if want := "# no end of line\nnexus " + string(ssh.MarshalAuthorizedKey(key)); err != nil || string(got) != want {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}

// The decision about a key is remembered for the connection: a rekey asks
// nobody, and another key in the middle is an error.
func TestARekeyAsksNobody(t *testing.T) {
	key := newSigner(t).PublicKey()
	file := knownHosts(t, "nexus "+string(ssh.MarshalAuthorizedKey(key)))
	check, err := newHostKeyCheck(&target{name: "nexus", host: "nexus", port: "22", keyName: "nexus:22", knownHosts: []string{file}}, &hostKeyFiles{})
	if err != nil {
		t.Fatal(err)
	}
	remote := tunnelAddr("192.0.2.1:22")
	if err := check.check("nexus:22", remote, key); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	check.db = nil // looking again would panic
	if err := check.check("nexus:22", remote, key); err != nil {
		t.Error(err)
	}
	if err := check.check("nexus:22", remote, newSigner(t).PublicKey()); kindOf(err) != KindHostKey {
		t.Errorf("another key: %v", err)
	}
}

// A file is parsed again when it has changed, and not when it has not; a
// connection does not keep what its host key was compared with.
func TestKnownHostsAreParsedOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "known_hosts")
	write := func(age time.Duration, lines ...string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(file, at, at); err != nil {
			t.Fatal(err)
		}
	}
	s := sshtest.New(sshtest.Config{})
	defer s.Close()
	line := strings.TrimSpace(s.KnownHostsLine("nexus"))
	nexus := &target{name: "nexus", host: "nexus", port: "22", keyName: "nexus:22", knownHosts: []string{file, file + "2"}}
	var k hostKeyFiles
	read := func() *knownhosts.HostKeyDB {
		t.Helper()
		db, err := k.read(nexus)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	write(time.Hour, line)
	first := read()
	if read() != first {
		t.Error("an unchanged file was parsed again")
	}
	write(time.Minute, line)
	second := read()
	if second == first {
		t.Error("a changed time was not noticed")
	}
	write(time.Minute, line, line)
	if read() == second {
		t.Error("a changed size was not noticed")
	}
	write(0, line) // so young that the next change might have the same time
	third := read()
	if read() == third {
		t.Error("a file that changed a moment ago was taken for settled")
	}
	write(time.Hour, line)
	fourth := read()
	if err := os.WriteFile(file+"2", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if read() == fourth {
		t.Error("a new file was not noticed")
	}

	check, err := newHostKeyCheck(nexus, &k)
	if err != nil {
		t.Fatal(err)
	}
	remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 22}
	for range 2 { // and a rekey
		if err := check.check("", remote, s.HostKey()); err != nil {
			t.Fatal(err)
		}
	}
	if check.db != nil {
		t.Error("the connection keeps known_hosts")
	}
}
