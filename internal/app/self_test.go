package app

import (
	"net"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
	"lifeline/shellpolicy"
)

const ownID = "3c9909afec25354d551dae21590bb26e38d53f2173b8d3dc3eee4c047e7ab1c1"

func files(in map[string]string) fstest.MapFS {
	fs := fstest.MapFS{}
	for name, text := range in {
		fs[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

func TestWhoAmI(t *testing.T) {
	for name, tt := range map[string]struct {
		files             map[string]string
		hostname          string
		units, containers []string
		contained         bool
	}{
		"nothing to read":   {hostname: "nexus"},
		"a systemd service": {files: map[string]string{"proc/self/cgroup": "0::/system.slice/guardian.service\n"}, hostname: "nexus", units: []string{"guardian.service"}},
		"an instance, cgroup v1": {files: map[string]string{"proc/self/cgroup": "12:pids:/system.slice/system-guard.slice/guard@1.service\n1:name=systemd:/system.slice/system-guard.slice/guard@1.service\n"},
			hostname: "nexus", units: []string{"guard@1.service"}},
		"a user's service": {files: map[string]string{"proc/self/cgroup": "0::/user.slice/user-1000.slice/user@1000.service/app.slice/guardian.service\n"},
			hostname: "nexus", units: []string{"user@1000.service", "guardian.service"}},
		"a login": {files: map[string]string{"proc/self/cgroup": "0::/user.slice/user-0.slice/session-4.scope\n"}, hostname: "nexus"},
		"docker, systemd's cgroups": {files: map[string]string{"proc/self/cgroup": "0::/system.slice/docker-" + ownID + ".scope\n"}, hostname: ownID[:12],
			containers: []string{ownID[:12], ownID}, contained: true},
		"docker, its own cgroup namespace": {files: map[string]string{
			"proc/self/cgroup":    "0::/\n",
			"proc/self/mountinfo": "712 705 8:1 /var/lib/docker/containers/" + ownID + "/hostname /etc/hostname rw,relatime - ext4 /dev/sda1 rw\n713 705 8:1 /var/lib/docker/containers/" + strings.Repeat("a", 64) + "/x /data rw - ext4 /dev/sda1 rw\n",
			".dockerenv":          ""}, hostname: "guardian", containers: []string{ownID, "guardian"}, contained: true},
		"podman": {files: map[string]string{"proc/self/cgroup": "0::/\n", "run/.containerenv": "engine=\"podman-5.4\"\nname=\"watchman\"\nid=\"" + ownID + "\"\n"}, hostname: "h",
			containers: []string{ownID, "h", "watchman"}, contained: true},
		"kubernetes": {files: map[string]string{"proc/self/cgroup": "0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-" + ownID + ".scope\n"}, hostname: "pod-1",
			containers: []string{ownID, "pod-1"}, contained: true},
	} {
		s := whoAmI(files(tt.files), tt.hostname, nil)
		if diff := cmp.Diff(tt.units, s.units); diff != "" {
			t.Errorf("%s: units (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(tt.containers, s.containers); diff != "" {
			t.Errorf("%s: containers (-want +got):\n%s", name, diff)
		}
		if contained := slices.Contains(s.runtime, "docker.service"); contained != tt.contained {
			t.Errorf("%s: in a container: %v, want %v", name, contained, tt.contained)
		}
	}
	if s := thisProcess(); len(s.names) == 0 || len(s.addresses) == 0 {
		t.Errorf("of the real machine nothing is known: %+v", s)
	}
}

func TestWhereAHostIs(t *testing.T) {
	addresses := []net.Addr{&net.IPNet{IP: net.ParseIP("192.0.2.7"), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.ParseIP("2001:db8::7"), Mask: net.CIDRMask(64, 128)}}
	outside := whoAmI(files(nil), "Nexus.example", addresses)
	inside := whoAmI(files(map[string]string{".dockerenv": ""}), ownID[:12], addresses)
	for _, tt := range []struct {
		host            config.Host
		outside, inside place
	}{
		{config.Host{Local: true}, here, here},
		{config.Host{Address: "127.0.0.1:22"}, here, here},
		{config.Host{Address: "127.8.9.1"}, here, here},
		{config.Host{Address: "::1"}, here, here},
		{config.Host{Address: "[::ffff:127.0.0.1]:22"}, here, here},
		{config.Host{Address: "localhost"}, here, here},
		{config.Host{Address: "192.0.2.7:2222"}, here, here},
		{config.Host{Address: "2001:DB8:0::7"}, here, here},
		{config.Host{Address: "192.0.2.8"}, elsewhere, perhaps},
		{config.Host{Address: "nexus:22"}, here, perhaps},
		{config.Host{Address: "NEXUS.lan."}, here, perhaps},
		{config.Host{Address: "outpost.example"}, perhaps, perhaps},
		{config.Host{SSHConfig: "alias"}, perhaps, perhaps},
	} {
		if got := outside.where(tt.host); got != tt.outside {
			t.Errorf("%+v: %d, want %d", tt.host, got, tt.outside)
		}
		if got := inside.where(tt.host); got != tt.inside {
			t.Errorf("from within a container, %+v: %d, want %d", tt.host, got, tt.inside)
		}
	}
}

// Lifeline, its container, its unit, what they stand on, and the SSH server
// cannot be changed through it, however it is spelled and whatever an owner's
// rule widens.
func TestLifelineCannotBeTouched(t *testing.T) {
	cfg := config.Default()
	cfg.Hosts = map[string]config.Host{
		"self": {Local: true, Mode: "auto"}, "same": {Address: "192.0.2.7", Mode: "auto"}, "named": {Address: "other.example", Mode: "auto"}, "far": {Address: "198.51.100.1", Mode: "auto"},
	}
	cfg.Protect = config.Protect{Units: config.List{"postgresql.service", "worker@"}, Containers: config.List{"ledger"}}
	cfg.Policy.Rules = []config.Rule{
		{Program: "docker", Decision: "allow"}, {Program: "systemctl", Decision: "allow"}, {Program: "podman", Decision: "allow"}, {Program: "service", Decision: "allow"},
	}
	addresses := []net.Addr{&net.IPNet{IP: net.ParseIP("192.0.2.7"), Mask: net.CIDRMask(24, 32)}}
	s := whoAmI(files(map[string]string{
		"proc/self/cgroup": "0::/system.slice/guardian.service/docker-" + ownID + ".scope\n",
	}), "watchman", addresses)
	everywhere := []string{
		"systemctl restart ssh", "systemctl restart sshd", "systemctl restart sshd.service", "systemctl reload ssh.service", "systemctl restart ssh.socket",
		"systemctl restart ssh@1-192.0.2.7:22-192.0.2.9:40022.service", "systemctl restart SSHD", "systemctl try-restart sshd", "systemctl restart nginx sshd", "systemctl --no-block restart sshd",
		"service ssh restart", "rc-service sshd restart", "sudo -n systemctl restart sshd", "systemctl restart 'ss''hd'", `systemctl restart s\shd`, `systemctl restart "ssh".service`,
		"sh -c 'systemctl restart sshd'", "timeout 5 systemctl restart sshd", "nice systemctl restart sshd", "env LC_ALL=C systemctl restart sshd", "u=sshd; systemctl restart $u",
		"for u in nginx sshd; do systemctl restart $u; done", "systemctl restart ssh*", "systemctl restart '*'", "systemctl list-units --plain -q | xargs systemctl restart", "uptime; systemctl restart sshd",
		"true && systemctl restart sshd", "systemctl restart $(echo sshd)", "systemctl restart {nginx,sshd}", "systemctl restart multi-user.target", "systemctl restart system.slice",
		"systemctl restart lifeline", "systemctl restart lifeline.service", "systemctl restart lifeline@a", "systemctl restart lifeline-worker", "docker restart lifeline", "docker restart Lifeline-2",
		"docker compose restart lifeline", "systemctl restart postgresql", "systemctl restart postgresql.service", "systemctl restart worker@7", "systemctl reload worker@7.service",
		"docker restart ledger", "docker restart /ledger", "docker restart LEDGER", "docker container restart ledger", "docker restart web ledger", "docker restart -t 5 ledger", "podman restart ledger",
		"docker start ledger", "docker compose restart ledger", "docker-compose restart ledger", "docker ps -q | xargs docker restart", "docker restart $(docker ps -q)", "docker restart led*",
		"sudo -n docker restart ledger", "sh -c 'docker restart ledger'", "docker restart l\\edger", "for c in web ledger; do docker restart $c; done", "docker stop ledger", "docker rm -f ledger", "docker kill ledger",
		"docker restart 3c9909afec25", "docker restart 9", // an ID may be anybody's
	}
	own := []string{
		"docker restart " + ownID, "docker restart " + ownID[:12], "docker restart " + ownID[:3], "docker restart watchman", "docker restart WATCHMAN", "docker start watchman", "docker compose restart watchman",
		"systemctl restart guardian", "systemctl restart guardian.service", "systemctl --user restart guardian", "service guardian restart", "sudo -n systemctl restart guardian",
	}
	runtime := []string{"systemctl restart docker", "systemctl restart docker.socket", "systemctl restart containerd", "service docker restart"}
	judge := func(host, command string) shellpolicy.Verdict {
		return shellpolicy.Judge(command, policyOf(&cfg, host, s))
	}
	for host, never := range map[string][]string{
		"self": slices.Concat(everywhere, own, runtime), "same": slices.Concat(everywhere, own, runtime), "named": slices.Concat(everywhere, own), "far": slices.Concat(everywhere, own),
	} {
		for _, command := range never {
			if v := judge(host, command); v.Decision != shellpolicy.Deny || v.Canonical != "" {
				t.Errorf("on %s, %q is decided %s: %s", host, command, v.Decision, v.Reason)
			}
		}
		for _, command := range []string{"docker restart web", "systemctl restart nginx", "systemctl restart guard.service", "docker restart ledgers", "systemctl status sshd", "docker logs ledger"} {
			if v := judge(host, command); v.Decision != shellpolicy.Allow {
				t.Errorf("on %s, %q is decided %s: %s", host, command, v.Decision, v.Reason)
			}
		}
	}
	if v := judge("far", "systemctl restart docker"); v.Decision != shellpolicy.Allow {
		t.Errorf("docker on another machine: %s: %s", v.Decision, v.Reason)
	}
}
