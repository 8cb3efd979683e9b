//go:build e2e

package e2e

import (
	"crypto/ed25519"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// account is who Lifeline comes in as: a user without any right but docker's.
// It exists for the story's sshd only. That it is not root matters: up to
// OpenSSH 9.8 a session of root cannot be sent signals.
const (
	account   = "lifeline"
	accountID = 64321
)

// sshd is OpenSSH's server on loopback, with keys of its own.
type sshd struct {
	*process
	// address is host:port, with this port.
	address, port string
	// identity is the file of the private key that account and root are let in
	// with.
	identity string
	// knownHosts is a known_hosts file that knows the server.
	knownHosts string
}

// startSSHD starts an sshd. Each of settings is a line of its configuration and
// wins over the ones here.
func startSSHD(t *testing.T, dir string, settings ...string) *sshd {
	t.Helper()
	dir = filepath.Join(dir, "sshd")
	hostKey, hostPublic := writeKey(t, filepath.Join(dir, "host_key"))
	identity, userPublic := writeKey(t, filepath.Join(dir, "id_ed25519"))
	authorized := filepath.Join(dir, "authorized_keys")
	if err := os.WriteFile(authorized, ssh.MarshalAuthorizedKey(userPublic), 0o644); err != nil { // the account reads it
		t.Fatal(err)
	}
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	// sshd takes the first value that it reads for each keyword.
	config := writeFile(t, filepath.Join(dir, "sshd_config"), strings.Join(append(settings,
		"ListenAddress 127.0.0.1",
		"Port "+port,
		"HostKey "+hostKey,
		"AuthorizedKeysFile "+authorized,
		"PidFile none",
		"PermitRootLogin prohibit-password",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"UsePAM no",
		"StrictModes no", // the keys are below /tmp, which everybody may write to
		"UseDNS no",
		"LogLevel VERBOSE",
	), "\n")+"\n")
	s := &sshd{address: address, port: port, identity: identity}
	s.knownHosts = writeFile(t, filepath.Join(dir, "known_hosts"),
		fmt.Sprintf("[127.0.0.1]:%s %s", port, ssh.MarshalAuthorizedKey(hostPublic)))
	program, err := exec.LookPath("sshd") // it wants to be called by its absolute path
	if err != nil {
		t.Fatal(err)
	}
	// Only this sshd and what it starts see the list of users with the account
	// in it, and what the account may do with sudo: the machine's own stay as
	// they are.
	s.process = start(t, dir, "sshd", os.Environ(),
		"unshare", "--mount", "--propagation", "private", "sh", "-c", `mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/sudoers && shift 2 && exec "$@"`, "sh",
		writeUsers(t, dir), writeSudoers(t, dir), program, "-D", "-e", "-f", config)
	s.ready(t, func() error {
		if !strings.Contains(s.log(t), "Server listening on") {
			return errors.New("it does not listen yet")
		}
		return nil
	})
	return s
}

// writeUsers writes the machine's list of users with the account added. A
// password of * is none, but does not lock the account as ! does.
func writeUsers(t *testing.T, dir string) string {
	t.Helper()
	home := filepath.Join(dir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "passwd")
	users := strings.TrimRight(readFile(t, "/etc/passwd"), "\n") +
		fmt.Sprintf("\n%s:*:%d:%d::%s:/bin/sh\n", account, accountID, accountID, home)
	if err := os.WriteFile(file, []byte(users), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// writeSudoers lets the account do as root what it likes, without a password.
func writeSudoers(t *testing.T, dir string) string {
	t.Helper()
	file := writeFile(t, filepath.Join(dir, "sudoers"),
		"Defaults env_reset, secure_path=/usr/sbin:/usr/bin:/sbin:/bin\n"+account+" ALL=(root) NOPASSWD: ALL\n")
	if err := os.Chmod(file, 0o440); err != nil {
		t.Fatal(err)
	}
	return file
}

// accepted counts the connections that authenticated, in sshd's own log. It
// waits for sshd to be idle: the log of a connection is complete when the
// process that serves it is gone.
func (s *sshd) accepted(t *testing.T) int {
	t.Helper()
	eventually(t, "every connection to sshd is closed", func() error {
		if n := len(childrenOf(t, s.cmd.Process.Pid)); n > 0 {
			return fmt.Errorf("%d processes still serve one", n)
		}
		return nil
	})
	return s.acceptedSoFar(t)
}

// acceptedSoFar counts without waiting.
func (s *sshd) acceptedSoFar(t *testing.T) int {
	t.Helper()
	return strings.Count(s.log(t), "Accepted publickey for ")
}

// writeKey makes a key pair and writes its private half to a file.
func writeKey(t *testing.T, file string) (string, ssh.PublicKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "lifeline e2e")
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, file, string(pem.EncodeToMemory(block))), key
}

// childrenOf lists the processes whose parent is pid.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	var children []int
	for p, stat := range processes(t) {
		// After the name, which is in parentheses and may hold anything, come
		// the state and the parent: proc(5).
		if fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			children = append(children, p)
		}
	}
	return children
}

// processes gives /proc/PID/stat of every process of the machine.
func processes(t *testing.T) map[int]string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[int]string, len(files))
	for _, file := range files {
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it ended while we looked
		}
		all[pid] = string(stat)
	}
	return all
}
