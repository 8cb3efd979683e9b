package sshpool

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"lifeline/sshpool/sshtest"
)

// keyFile writes a new private key and gives its public half. With a phrase it
// is encrypted.
func keyFile(t *testing.T, file, phrase string) (ssh.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var block *pem.Block
	if phrase == "" {
		block, err = ssh.MarshalPrivateKey(private, "test")
	} else {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(private, "test", []byte(phrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey(), private
}

// serveAgent runs an ssh-agent with these keys on a socket.
func serveAgent(t *testing.T, keys ...ed25519.PrivateKey) string {
	t.Helper()
	ring := agent.NewKeyring()
	for _, k := range keys {
		if err := ring.Add(agent.AddedKey{PrivateKey: k}); err != nil {
			t.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "agent") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				agent.ServeAgent(ring, conn)
				conn.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestGather(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	keyFile(t, path("plain"), "")
	_, locked := keyFile(t, path("locked"), "sesame")
	_, certified := keyFile(t, path("certified"), "")
	_, onlyAgent := keyFile(t, path("unused"), "")
	ca := newSigner(t)
	certSigner, err := ssh.NewSignerFromKey(certified)
	if err != nil {
		t.Fatal(err)
	}
	cert := &ssh.Certificate{Key: certSigner.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	write := func(name string, text []byte) {
		if err := os.WriteFile(path(name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("certified-cert.pub", ssh.MarshalAuthorizedKey(cert))
	write("garbage", []byte("garbage"))
	agentSigner, err := ssh.NewSignerFromKey(onlyAgent)
	if err != nil {
		t.Fatal(err)
	}
	write("agent.pub", ssh.MarshalAuthorizedKey(agentSigner.PublicKey()))
	write("stranger.pub", ssh.MarshalAuthorizedKey(ca.PublicKey()))
	one := serveAgent(t, onlyAgent)
	withLocked := serveAgent(t, onlyAgent, locked)
	full := func() string {
		var keys []ed25519.PrivateKey
		for range 9 {
			_, k := keyFile(t, path("scratch"), "")
			keys = append(keys, k)
		}
		return serveAgent(t, keys...)
	}()
	open := func(string) ([]byte, error) { return []byte("sesame"), nil }

	for _, c := range []struct {
		name   string
		target target
		want   []string // where the offered keys are from
		left   int
		err    string
		hint   string
	}{
		{name: "one", target: target{identities: []string{path("plain")}, explicit: true}, want: []string{"plain"}},
		{name: "signers first", target: target{identities: []string{path("plain")}, explicit: true, signers: []ssh.Signer{ca}}, want: []string{"configured signer", "plain"}},
		{name: "certificate", target: target{identities: []string{path("certified")}, explicit: true}, want: []string{"certified-cert.pub", "certified"}},
		{name: "named before the agent", target: target{identities: []string{path("plain")}, explicit: true, agent: one}, want: []string{"plain", "agent"}},
		{name: "agent before default", target: target{identities: []string{path("plain")}, agent: one}, want: []string{"agent", "plain"}},
		{name: "IdentitiesOnly", target: target{identities: []string{path("plain")}, explicit: true, identitiesOnly: true, agent: one}, want: []string{"plain"}},
		{name: "public half", target: target{identities: []string{path("agent.pub")}, explicit: true, identitiesOnly: true, agent: one}, want: []string{"agent.pub"}},
		{name: "a full agent", target: target{identities: []string{path("plain")}, explicit: true, agent: full}, want: []string{"plain", "agent", "agent", "agent", "agent", "agent"}, left: 4},
		{name: "encrypted", target: target{identities: []string{path("locked")}, explicit: true, passphrase: open}, want: []string{"locked"}},
		{name: "encrypted, in the agent", target: target{identities: []string{path("locked")}, explicit: true, agent: withLocked}, want: []string{"locked", "agent"}},
		{name: "defaults that are not there", target: target{identities: []string{path("a"), path("plain"), path("locked")}}, want: []string{"plain"}},
		{name: "an agent that is gone", target: target{identities: []string{path("plain")}, agent: path("gone")}, want: []string{"plain"}},

		{name: "missing", target: target{identities: []string{path("a")}, explicit: true}, err: "no such file", hint: "ssh-keygen"},
		{name: "encrypted, no phrase", target: target{identities: []string{path("locked")}, explicit: true}, err: "is encrypted", hint: "ssh-add " + path("locked")},
		{name: "encrypted, wrong phrase", target: target{identities: []string{path("locked")}, explicit: true, passphrase: func(string) ([]byte, error) { return []byte("x"), nil }}, err: "cannot be opened"},
		{name: "encrypted, no answer", target: target{identities: []string{path("locked")}, explicit: true, passphrase: func(string) ([]byte, error) { return nil, errors.New("nobody there") }}, err: "nobody there"},
		{name: "garbage", target: target{identities: []string{path("garbage")}, explicit: true}, err: "garbage"},
		{name: "public half of nothing", target: target{identities: []string{path("stranger.pub")}, explicit: true, agent: one}, err: "is a public key"},
		{name: "a named agent that is gone", target: target{agent: path("gone"), agentExplicit: true}, err: "ssh-agent at " + path("gone")},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.target.name = "nexus"
			keys, err := gather(t.Context(), &c.target)
			if c.err != "" {
				e, _ := errors.AsType[*Error](err)
				if kindOf(err) != KindConfig || !strings.Contains(err.Error(), c.err) || !strings.Contains(e.Hint, c.hint) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer keys.close()
			var got []string
			for _, from := range keys.from {
				got = append(got, filepath.Base(from))
			}
			if diff := cmp.Diff(c.want, got); diff != "" || keys.left != c.left {
				t.Errorf("%d left, %s", keys.left, diff)
			}
		})
	}
}

// A real login with an identity file, and with a key that only the agent holds.
func TestLogin(t *testing.T) {
	dir := t.TempDir()
	var want ssh.PublicKey
	s := sshtest.New(sshtest.Config{
		Handler: shell,
		Authorize: func(user string, key ssh.PublicKey) bool {
			return user == "ann" && bytes.Equal(key.Marshal(), want.Marshal())
		},
	})
	defer s.Close()
	public, private := keyFile(t, filepath.Join(dir, "key"), "")
	keyFile(t, filepath.Join(dir, "wrong"), "")
	want = public
	known := knownHosts(t, s.KnownHostsLine("nexus"))
	for name, h := range map[string]Host{
		"second file": {Address: "nexus", User: "ann", AgentSocket: "none", IdentityFiles: []string{filepath.Join(dir, "wrong"), filepath.Join(dir, "key")}},
		"agent":       {Address: "nexus", User: "ann", AgentSocket: serveAgent(t, private)},
	} {
		t.Setenv("HOME", t.TempDir())
		p, err := New(Config{Hosts: map[string]Host{"nexus": h}, KnownHosts: []string{known}, Dial: s.Dial})
		if err != nil {
			t.Fatal(err)
		}
		if r, err := p.Run(t.Context(), "nexus", Command{Script: "exit 0"}); err != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if err := p.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
