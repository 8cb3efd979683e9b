package sshpool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skeema/knownhosts"
	"golang.org/x/crypto/ssh"
	xknownhosts "golang.org/x/crypto/ssh/knownhosts"
)

// hostKeyOrder is what is asked for where known_hosts knows nothing: the order
// of x/crypto/ssh would choose ECDSA and RSA first.
func hostKeyOrder() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521,
		ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256,
	}
}

// hostKeyFiles is what the known_hosts files of a pool's hosts say. A file is
// parsed again when it has changed: with a thousand hosts and a line for each,
// parsing it at every dial would cost more than the dials.
type hostKeyFiles struct {
	// writing is held while a new key is written.
	writing sync.Mutex

	mu    sync.Mutex // guards what follows
	files map[string]parsed
}

// parsed is one list of files as it was read.
type parsed struct {
	db     *knownhosts.HostKeyDB
	states []fileState
}

// fileState tells whether a file is still what was read.
type fileState struct {
	info os.FileInfo // nil: there is no such file
}

func (s fileState) same(now fileState) bool {
	if s.info == nil || now.info == nil {
		return s.info == nil && now.info == nil
	}
	return os.SameFile(s.info, now.info) && s.info.Size() == now.info.Size() && s.info.ModTime().Equal(now.info.ModTime())
}

// settled is how old a change must be before its time tells it from a later
// one: file systems keep times no finer than 2 s.
const settled = 2 * time.Second

// read gives what the files that exist say now. One that cannot be read or
// understood is an error: a revoked key might stand in it.
func (k *hostKeyFiles) read(t *target) (*knownhosts.HostKeyDB, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var exist []string
	states := make([]fileState, len(t.knownHosts))
	keep := true
	for i, file := range t.knownHosts {
		info, err := os.Stat(file)
		if err != nil {
			continue
		}
		states[i].info = info
		keep = keep && time.Since(info.ModTime()) > settled
		exist = append(exist, file)
	}
	name := strings.Join(t.knownHosts, "\x00")
	if known, ok := k.files[name]; ok && slices.EqualFunc(known.states, states, fileState.same) {
		return known.db, nil
	}
	db, err := knownhosts.NewDB(exist...)
	if err != nil {
		return nil, &Error{
			Kind: KindHostKey, Host: t.name, Message: "known_hosts cannot be read", Err: err,
			Hint: "correct or remove the line that is named; ssh-keygen -l -f FILE checks a file",
		}
	}
	delete(k.files, name)
	if keep {
		if k.files == nil {
			k.files = map[string]parsed{}
		}
		k.files[name] = parsed{db: db, states: states}
	}
	return db, nil
}

// hostKeyCheck verifies the host key of one connection.
type hostKeyCheck struct {
	target *target
	known  *hostKeyFiles

	mu       sync.Mutex // guards what follows
	db       *knownhosts.HostKeyDB
	accepted []byte // the key that was accepted: a rekey shows it again
	shown    string // its fingerprint
	err      error  // why a key was refused
}

func newHostKeyCheck(t *target, known *hostKeyFiles) (*hostKeyCheck, error) {
	db, err := known.read(t)
	if err != nil {
		return nil, err
	}
	return &hostKeyCheck{target: t, known: known, db: db}, nil
}

// algorithms to ask for: those of the known keys first, for a server has
// several keys and shows the first that is asked for. The others follow, so
// that a changed key is seen as one and not as a failed negotiation.
func (h *hostKeyCheck) algorithms() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	known := h.db.HostKeyAlgorithms(h.target.keyName)
	for _, a := range hostKeyOrder() {
		if !slices.Contains(known, a) {
			known = append(known, a)
		}
	}
	return known
}

// check is the ssh.HostKeyCallback. It is called again at each rekey and must
// be quick then.
func (h *hostKeyCheck) check(_ string, remote net.Addr, key ssh.PublicKey) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.accepted != nil {
		if bytes.Equal(h.accepted, key.Marshal()) {
			return nil
		}
		h.err = &Error{Kind: KindHostKey, Host: h.target.name, Message: "the server showed another host key in the middle of the connection: " + fingerprint(key)}
		return h.err
	}
	err := h.verify(h.db, remote, key)
	if err != nil && knownhosts.IsHostUnknown(err) && h.target.policy == HostKeysAcceptNew {
		err = h.acceptNew(remote, key)
	}
	if err != nil {
		h.err = h.explain(key, err)
		return h.err
	}
	h.accepted, h.shown = key.Marshal(), ssh.FingerprintSHA256(key)
	h.db = nil // x/crypto/ssh keeps the callback for as long as the connection lives
	return nil
}

// refusal is why a key was refused; nil if none was.
func (h *hostKeyCheck) refusal() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.err
}

// verified reports whether a key was accepted: authentication follows.
func (h *hostKeyCheck) verified() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.accepted != nil
}

// fingerprint of the key that was accepted; "" before.
func (h *hostKeyCheck) fingerprint() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.shown
}

func (h *hostKeyCheck) verify(db *knownhosts.HostKeyDB, remote net.Addr, key ssh.PublicKey) error {
	if _, _, err := net.SplitHostPort(remote.String()); err != nil {
		remote = tunnelAddr(h.target.address()) // a transport of the caller's own, with addresses of its own
	}
	return db.HostKeyCallback()(h.target.keyName, remote, key)
}

// acceptNew writes an unknown key to known_hosts. What another dial wrote
// meanwhile counts: known_hosts is read again under the lock.
func (h *hostKeyCheck) acceptNew(remote net.Addr, key ssh.PublicKey) error {
	h.known.writing.Lock()
	defer h.known.writing.Unlock()
	db, err := h.known.read(h.target)
	if err != nil {
		return err
	}
	if err := h.verify(db, remote, key); !knownhosts.IsHostUnknown(err) {
		return err
	}
	if err := appendKnownHost(h.target.knownHosts[0], h.target.keyName, key); err != nil {
		return &Error{Kind: KindHostKey, Host: h.target.name, Message: "the new host key " + fingerprint(key) + " cannot be written to known_hosts, so it is not accepted", Err: err}
	}
	return nil
}

// appendKnownHost adds one line with one write, which does not mix with that
// of another process, and makes sure that it is on the disk.
func appendKnownHost(file, keyName string, key ssh.PublicKey) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	line := knownhosts.Line([]string{keyName}, key) + "\n"
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file: nothing would be remembered", file)
	}
	if err == nil && info.Size() > 0 {
		last := make([]byte, 1)
		if _, err = f.ReadAt(last, info.Size()-1); err == nil && last[0] != '\n' {
			line = "\n" + line
		}
	}
	if err == nil {
		_, err = io.WriteString(f, line)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func fingerprint(key ssh.PublicKey) string {
	return key.Type() + " " + ssh.FingerprintSHA256(key)
}

// explain says what is wrong with a key and what to type.
func (h *hostKeyCheck) explain(key ssh.PublicKey, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	t := h.target
	name := knownhosts.Normalize(t.keyName)
	e := &Error{Kind: KindHostKey, Host: t.name}
	if revoked, ok := errors.AsType[*xknownhosts.RevokedError](err); ok {
		e.Message = fmt.Sprintf("the server at %s shows the revoked host key %s (%s:%d)", t.address(), fingerprint(key), revoked.Revoked.Filename, revoked.Revoked.Line)
		e.Hint = "do not connect; find out who has that key"
		return e
	}
	wrong, ok := errors.AsType[*xknownhosts.KeyError](err)
	switch {
	case ok && len(wrong.Want) == 0:
		e.Message = fmt.Sprintf("the host key of %s is not known: it is %s", t.address(), fingerprint(key))
		scan := "ssh-keyscan " + t.host
		if t.port != "22" {
			scan = "ssh-keyscan -p " + t.port + " " + t.host
		}
		e.Hint = fmt.Sprintf("compare the fingerprint with the host's own (ssh-keygen -l -f /etc/ssh/ssh_host_ed25519_key.pub), then: %s >> %s; or set host_keys: accept-new", scan, t.knownHosts[0])
	case ok:
		known := wrong.Want[0]
		for _, w := range wrong.Want {
			if w.Key.Type() == key.Type() {
				known = w
			}
		}
		e.Message = fmt.Sprintf("the host key of %s has changed: known is %s (%s:%d), the server shows %s; somebody may be between",
			t.address(), fingerprint(known.Key), known.Filename, known.Line, fingerprint(key))
		e.Hint = fmt.Sprintf("if the host really has a new key: ssh-keygen -f %s -R '%s'", known.Filename, name)
	default:
		e.Message = fmt.Sprintf("the host key of %s is not accepted: %s", t.address(), fingerprint(key))
		e.Err = err
	}
	return e
}
