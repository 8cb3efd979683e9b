package sshpool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// inHome makes a $HOME with files in its .ssh.
func inHome(t *testing.T, files map[string]string) string {
	t.Helper()
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("USER", "me")
	t.Setenv("SSH_AUTH_SOCK", "/run/agent")
	for name, text := range files {
		path := filepath.Join(home, ".ssh", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

const exampleConfig = `
Include conf.d/*

Host outpost
	HostName 192.0.2.7
	Port 2222
	User deploy
	IdentityFile ~/.ssh/%r_%h
	IdentityFile %d/second
	IdentitiesOnly yes
	IdentityAgent ~/agent.sock
	ProxyJump ann@gate:2200,inner
	UserKnownHostsFile ~/.ssh/outpost_hosts ~/.ssh/more_hosts
	StrictHostKeyChecking accept-new
	HostKeyAlias the-outpost

Host insecure
	StrictHostKeyChecking no
	UserKnownHostsFile none

Host token
	IdentityFile ~/%C

Host command
	ProxyCommand nc %h %p

Host *.lan
	HostName %h.example.org

Match host quiet
	User whisper

Host *
	User everyone
`

func TestResolve(t *testing.T) {
	home := inHome(t, map[string]string{"config": exampleConfig, "conf.d/one": "Host included\n\tUser included\n"})
	defaults := func(t target) *target {
		if t.identities == nil {
			t.identities = []string{home + "/.ssh/id_ed25519", home + "/.ssh/id_ecdsa", home + "/.ssh/id_rsa"}
		}
		if t.knownHosts == nil {
			t.knownHosts = []string{home + "/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"}
		}
		if t.agent == "" && !t.agentExplicit {
			t.agent = "/run/agent"
		}
		if t.port == "" {
			t.port = "22"
		}
		if t.keyName == "" {
			t.keyName = t.address()
		}
		return &t
	}
	for _, c := range []struct {
		name string
		host Host
		want *target
		err  string
	}{
		{name: "address", host: Host{Address: "nexus"}, want: defaults(target{host: "nexus", user: "me"})},
		{name: "port", host: Host{Address: "nexus:2022", User: "ann"}, want: defaults(target{host: "nexus", port: "2022", user: "ann"})},
		{name: "IPv6", host: Host{Address: "2001:db8::1"}, want: defaults(target{host: "2001:db8::1", user: "me"})},
		{name: "IPv6 and port", host: Host{Address: "[2001:db8::1]:2022"}, want: defaults(target{host: "2001:db8::1", port: "2022", user: "me"})},
		{name: "no agent", host: Host{Address: "nexus", AgentSocket: "none"}, want: func() *target {
			w := defaults(target{host: "nexus", user: "me"})
			w.agent = ""
			return w
		}()},
		{name: "own identities", host: Host{Address: "nexus", IdentityFiles: []string{"~/key", "/etc/key"}, AgentSocket: "~/a"}, want: defaults(target{
			host: "nexus", user: "me", identities: []string{home + "/key", "/etc/key"}, explicit: true, agent: home + "/a", agentExplicit: true,
		})},
		{name: "alias", host: Host{Alias: "outpost"}, want: defaults(target{
			host: "192.0.2.7", port: "2222", user: "deploy", keyName: "the-outpost:22",
			identities: []string{home + "/.ssh/deploy_192.0.2.7", home + "/second"}, explicit: true, identitiesOnly: true,
			agent: home + "/agent.sock", agentExplicit: true, jump: []string{"ann@gate:2200", "inner"},
			knownHosts: []string{home + "/.ssh/outpost_hosts", home + "/.ssh/more_hosts", "/etc/ssh/ssh_known_hosts"}, policy: HostKeysAcceptNew,
		})},
		{name: "alias, but", host: Host{Alias: "outpost", Address: "nexus:22", User: "ann", IdentityFiles: []string{"/k"}, AgentSocket: "none", ProxyJump: []string{"hop"}}, want: func() *target {
			w := defaults(target{
				host: "nexus", port: "22", user: "ann", keyName: "the-outpost:22", identities: []string{"/k"}, explicit: true, identitiesOnly: true,
				jump: []string{"hop"}, policy: HostKeysAcceptNew,
				knownHosts: []string{home + "/.ssh/outpost_hosts", home + "/.ssh/more_hosts", "/etc/ssh/ssh_known_hosts"},
			})
			w.agent = ""
			return w
		}()},
		{name: "an alias without a block", host: Host{Alias: "stranger"}, want: defaults(target{host: "stranger", user: "everyone"})},
		{name: "%h", host: Host{Alias: "db.lan"}, want: defaults(target{host: "db.lan.example.org", user: "everyone"})},
		{name: "Match host", host: Host{Alias: "quiet"}, want: defaults(target{host: "quiet", user: "whisper"})},
		{name: "Include", host: Host{Alias: "included"}, want: defaults(target{host: "included", user: "included"})},
		{name: "no is not followed", host: Host{Alias: "insecure"}, want: defaults(target{
			host: "insecure", user: "everyone", knownHosts: []string{"/etc/ssh/ssh_known_hosts"}, policy: HostKeysStrict,
		})},
		{name: "unknown token", host: Host{Alias: "token"}, err: "the token %C is not supported"},
		{name: "ProxyCommand", host: Host{Alias: "command"}, err: "ProxyCommand is not supported"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, err := Config{SSHConfig: []string{"~/.ssh/config"}}.withDefaults()
			if err != nil {
				t.Fatal(err)
			}
			got, err := newResolver(cfg).target("", c.host)
			if c.err != "" {
				if kindOf(err) != KindConfig || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(target{}), cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestClientConfigThatCannotBeRead(t *testing.T) {
	for name, text := range map[string]string{
		"Match exec": "Match exec \"true\"\n\tUser x\n",
		"Match user": "Match user x\n\tUser x\n",
	} {
		inHome(t, map[string]string{"config": text})
		_, err := New(Config{Hosts: map[string]Host{"outpost": {Alias: "outpost"}}})
		if kindOf(err) != KindConfig || !strings.HasPrefix(err.Error(), "outpost: ") || !strings.Contains(err.Error(), ".ssh/config") {
			t.Errorf("%s: %v", name, err)
		}
		// It is not read where nothing needs it.
		if _, err := New(Config{Hosts: map[string]Host{"nexus": {Address: "nexus"}}}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHomeIsNotSet(t *testing.T) {
	t.Setenv("HOME", "")
	_, err := New(Config{Hosts: map[string]Host{"nexus": {Address: "nexus", User: "ann"}}})
	if kindOf(err) != KindConfig || !strings.Contains(err.Error(), "$HOME is not set") {
		t.Error(err)
	}
}
