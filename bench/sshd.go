package main

import (
	"context"
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
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
)

// account is who every method comes in as. It exists for the benchmark's sshd
// only, and has no rights.
const (
	account   = "bench"
	accountID = 64322
)

// patience bounds the wait for a program that takes a second on an idle
// machine. It bounds a hang, it measures nothing.
const patience = 60 * time.Second

// keys are the files that the servers and every method use.
type keys struct {
	hostKey, identity string // files of private keys
	hostPublic        ssh.PublicKey
	userPublic        ssh.PublicKey
	authorized        string // authorized_keys
}

func newKeys(dir string) (keys, error) {
	k := keys{
		hostKey: filepath.Join(dir, "host_key"), identity: filepath.Join(dir, "id_ed25519"),
		authorized: filepath.Join(dir, "authorized_keys"),
	}
	var err error
	if k.hostPublic, err = writeKey(k.hostKey); err != nil {
		return k, err
	}
	if k.userPublic, err = writeKey(k.identity); err != nil {
		return k, err
	}
	return k, os.WriteFile(k.authorized, ssh.MarshalAuthorizedKey(k.userPublic), 0o644) // the account reads it
}

// know writes a known_hosts file with one line for each address.
func (k keys) know(file string, addresses []string) error {
	var b strings.Builder
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			return fmt.Errorf("write known_hosts: %w", err)
		}
		fmt.Fprintf(&b, "[%s]:%s %s", host, port, ssh.MarshalAuthorizedKey(k.hostPublic))
	}
	return os.WriteFile(file, []byte(b.String()), 0o600)
}

func writeKey(file string) (ssh.PublicKey, error) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	block, err := ssh.MarshalPrivateKey(private, "bench")
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewPublicKey(public)
}

// sshd is OpenSSH's server on loopback.
type sshd struct {
	address string
	cmd     *exec.Cmd
	logFile string
	ended   chan struct{} // closed once it is gone
}

// startSSHD starts an sshd in a folder of its own. settings are lines of its
// configuration; whatever bears on performance and limits is otherwise left at
// its default.
func startSSHD(ctx context.Context, dir string, k keys, settings ...string) (*sshd, error) {
	if err := os.MkdirAll(filepath.Join(dir, "home"), 0o755); err != nil {
		return nil, err
	}
	// sshd's folder for privilege separation: a service manager makes it elsewhere.
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		return nil, err
	}
	program, err := exec.LookPath("sshd") // it wants to be called by its absolute path
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "sshd_config")
	text := strings.Join(append(settings,
		"ListenAddress 127.0.0.1",
		"Port "+port,
		"HostKey "+k.hostKey,
		"AuthorizedKeysFile "+k.authorized,
		"PidFile none",
		"PasswordAuthentication no",
		"KbdInteractiveAuthentication no",
		"StrictModes no", // the keys are below /tmp, which everybody may write to
		"UseDNS no",
	), "\n") + "\n"
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	users, err := writeUsers(dir)
	if err != nil {
		return nil, err
	}
	s := &sshd{address: address, logFile: filepath.Join(dir, "sshd.log"), ended: make(chan struct{})}
	out, err := os.OpenFile(s.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	// Only this sshd and what it starts see the list of users with the account
	// in it: the machine's own stays as it is.
	s.cmd = exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", `mount --bind "$1" /etc/passwd && shift && exec "$@"`, "sh",
		users, program, "-D", "-e", "-f", config)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start sshd: %w", err)
	}
	go func() {
		defer close(s.ended)
		_ = s.cmd.Wait() // its log says how it ended
	}()
	err = eventually(ctx, "sshd listens", func() error {
		select {
		case <-s.ended:
			return fatal{fmt.Errorf("sshd ended at its start:\n%s", s.log())}
		default:
		}
		if !strings.Contains(s.log(), "Server listening on") {
			return errors.New("it does not listen yet")
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	return s, nil
}

// writeUsers writes the machine's list of users with the account added. A
// password of * is none, but does not lock the account as ! does.
func writeUsers(dir string) (string, error) {
	users, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "passwd")
	text := strings.TrimRight(string(users), "\n") + fmt.Sprintf("\n%s:*:%d:%d::%s:/bin/sh\n", account, accountID, accountID, filepath.Join(dir, "home"))
	return file, os.WriteFile(file, []byte(text), 0o644)
}

// log is what sshd wrote so far; "" if it cannot be read.
func (s *sshd) log() string {
	data, err := os.ReadFile(s.logFile)
	if err != nil {
		return ""
	}
	return string(data)
}

// accepted counts the connections that authenticated, in sshd's own log. It
// waits for sshd to be idle: the log of a connection is complete when the
// process that serves it is gone.
func (s *sshd) accepted(ctx context.Context) (int, error) {
	err := eventually(ctx, "every connection to sshd is closed", func() error {
		n, err := children(s.cmd.Process.Pid)
		if err == nil && n > 0 {
			err = fmt.Errorf("%d processes still serve one", n)
		}
		return err
	})
	return strings.Count(s.log(), "Accepted publickey for "), err
}

// banner is the version that a server says first.
func banner(address string) (string, error) {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	buf := make([]byte, 255)
	n, err := conn.Read(buf)
	if err != nil {
		return "", fmt.Errorf("read sshd's version: %w", err)
	}
	return strings.TrimPrefix(strings.TrimSpace(string(buf[:n])), "SSH-2.0-"), nil
}

// stop asks sshd to end and waits for it.
func (s *sshd) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended already
	select {
	case <-s.ended:
		return nil
	case <-time.After(patience):
		_ = s.cmd.Process.Kill()
		<-s.ended
		return fmt.Errorf("sshd did not end within %v of SIGTERM and was killed", patience)
	}
}

// children counts the processes whose parent is pid.
func children(pid int) (n int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it ended while we looked
		}
		// After the name, which is in parentheses and may hold anything, come
		// the state and the parent: proc(5).
		text := string(stat)
		if fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:]); len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			n++
		}
	}
	return n, nil
}

// fatal ends the wait of eventually at once.
type fatal struct{ error }

// eventually looks again and again until check has no complaint: the programs
// have no way to tell that they are ready.
func eventually(ctx context.Context, what string, check func() error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		if f, ok := errors.AsType[fatal](err); ok {
			return f.error
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited in vain until %s: %w", what, err)
		case <-look.C:
		}
	}
}

// freeAddress is a loopback address that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}
