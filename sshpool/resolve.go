package sshpool

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/crypto/ssh"
)

// target is one host with everything known that a dial needs.
type target struct {
	name    string // of Config.Hosts, or of a jump host
	local   bool
	forced  bool // the account runs one forced command, whatever is asked
	host    string
	port    string
	user    string
	keyName string // what known_hosts knows it as, "host:port"
	// identities are files; if explicit each must exist.
	identities     []string
	explicit       bool
	identitiesOnly bool
	agent          string // socket; "" if there is none
	agentExplicit  bool
	passphrase     func(file string) ([]byte, error)
	signers        []ssh.Signer
	knownHosts     []string
	policy         HostKeyPolicy
	jump           []string // hops as they were written, first hop first
}

func (t *target) address() string { return net.JoinHostPort(t.host, t.port) }

// login is "user@host", with -p where it is needed: for hints.
func (t *target) login() string {
	if t.port == "22" {
		return t.user + "@" + t.host
	}
	return "-p " + t.port + " " + t.user + "@" + t.host
}

// resolver turns the configuration of hosts into targets.
type resolver struct {
	cfg  Config
	home string
	// client is ssh_config, read when the first host needs it.
	client    *clientConfig
	clientErr error
}

func newResolver(cfg Config) *resolver {
	return &resolver{cfg: cfg, home: os.Getenv("HOME")}
}

// target resolves one host of the configuration.
func (r *resolver) target(name string, h Host) (*target, error) {
	if h.Local {
		if h.Address != "" || h.Alias != "" || len(h.ProxyJump) > 0 {
			return nil, configError(name, "a local host has no Address, Alias or ProxyJump")
		}
		return &target{name: name, local: true}, nil
	}
	if h.Address == "" && h.Alias == "" {
		return nil, configError(name, "neither Address nor Alias is set, and Local is not")
	}
	t := &target{
		name: name, forced: h.ForcedCommand, user: h.User, policy: h.HostKeys, passphrase: h.Passphrase,
		signers: slices.Clone(h.Signers), jump: slices.Clone(h.ProxyJump),
	}
	var err error
	if h.Address != "" {
		if t.host, t.port, err = splitAddress(h.Address); err != nil {
			return nil, configError(name, "Address %q: %v", h.Address, err)
		}
	}
	t.identities, t.explicit = slices.Clone(h.IdentityFiles), len(h.IdentityFiles) > 0
	t.agent = h.AgentSocket
	t.knownHosts = slices.Clone(r.cfg.KnownHosts)
	if h.Alias != "" {
		if err := r.fromClientConfig(t, h.Alias); err != nil {
			return nil, err
		}
	}
	return t, r.complete(t)
}

// complete fills in what neither the host nor ssh_config says.
func (r *resolver) complete(t *target) error {
	if t.port == "" {
		t.port = "22"
	}
	if n, err := strconv.ParseUint(t.port, 10, 16); err != nil || n == 0 {
		return configError(t.name, "%q is not a port", t.port)
	}
	if t.user == "" {
		if t.user = localUser(); t.user == "" {
			return configError(t.name, "no User is set, and neither is $USER")
		}
	}
	if t.keyName == "" {
		t.keyName = t.address()
	}
	if !t.explicit && len(t.identities) == 0 && r.home != "" {
		t.identities = []string{"~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa"}
	}
	switch {
	case t.agent == "none":
		t.agent = ""
	case t.agent != "":
		t.agentExplicit = true
	default:
		t.agent = os.Getenv("SSH_AUTH_SOCK")
	}
	if len(t.knownHosts) == 0 {
		t.knownHosts = []string{"~/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"}
	}
	for _, list := range [][]string{t.identities, t.knownHosts} {
		for i, file := range list {
			path, err := r.path(t, file)
			if err != nil {
				return err
			}
			list[i] = path
		}
	}
	agent, err := r.path(t, t.agent)
	t.agent = agent
	return err
}

// path finds ~ through $HOME.
func (r *resolver) path(t *target, file string) (string, error) {
	if file != "~" && !strings.HasPrefix(file, "~/") {
		return file, nil
	}
	if r.home == "" {
		return "", &Error{Kind: KindConfig, Host: t.name, Message: fmt.Sprintf("%s cannot be found: $HOME is not set", file), Hint: "export HOME, or write the whole path"}
	}
	return filepath.Join(r.home, strings.TrimPrefix(file, "~")), nil
}

// hop resolves a jump host that is not one of Config.Hosts. As with ssh, it is
// an alias of ssh_config if there is one of that name.
func (r *resolver) hop(spec string) (*target, error) {
	name := strings.TrimPrefix(spec, "ssh://")
	account, address, found := strings.Cut(name, "@")
	if !found {
		account, address = "", name
	}
	host, port, err := splitAddress(address)
	if err != nil {
		return nil, configError("", "ProxyJump %q: %v; want the name of a host, or [user@]host[:port]", spec, err)
	}
	t := &target{name: spec, user: account, port: port, knownHosts: slices.Clone(r.cfg.KnownHosts)}
	if err := r.fromClientConfig(t, host); err != nil {
		return nil, err
	}
	return t, r.complete(t)
}

// splitAddress reads "host" or "host:port"; port is "" if it is not given.
func splitAddress(address string) (host, port string, err error) {
	if net.ParseIP(address) != nil || !strings.Contains(address, ":") {
		host = address
	} else if host, port, err = net.SplitHostPort(address); err != nil {
		return "", "", errors.New(`want "host" or "host:port"`)
	} else if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", "", fmt.Errorf("%q is not a port", port)
	}
	if host == "" || strings.ContainsAny(host, " \t\r\n/,@") || strings.HasPrefix(host, "-") {
		return "", "", fmt.Errorf("%q is not the name or address of a host", host)
	}
	return host, port, nil
}

func localUser() string {
	if name := os.Getenv("USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return ""
}

// exists reports whether a file is there; any doubt is for the reader to find.
func exists(file string) bool {
	_, err := os.Stat(file)
	return !errors.Is(err, fs.ErrNotExist)
}

// portNumber of a target that was resolved; its port was checked then.
func (t *target) portNumber() uint32 {
	n, _ := strconv.ParseUint(t.port, 10, 16)
	return uint32(n)
}
