package sshpool

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/kevinburke/ssh_config"
)

// clientConfig is the parsed ssh_config files, in order of precedence.
type clientConfig struct{ files []*ssh_config.Config }

// readClientConfig parses the files. Those that the caller named must exist;
// of the default ones each may be missing.
func readClientConfig(files []string, home string) (*clientConfig, error) {
	named := len(files) > 0
	if !named {
		files = []string{filepath.Join(home, ".ssh", "config"), "/etc/ssh/ssh_config"}
		if home == "" {
			files = files[1:]
		}
	}
	c := &clientConfig{}
	for _, file := range files {
		if strings.HasPrefix(file, "~/") {
			file = filepath.Join(home, file[2:])
		}
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) && !named {
			continue
		}
		if err != nil {
			return nil, configError("", "SSHConfig: %v", err)
		}
		if !strings.HasPrefix(filepath.Clean(file), "/etc/ssh/") {
			text = absoluteIncludes(text, home)
		}
		parsed, err := ssh_config.DecodeBytes(text)
		if err != nil {
			return nil, &Error{
				Kind: KindConfig, Message: "SSHConfig: " + file, Err: err,
				Hint: "of Match only \"all\" and \"host\" are read; put what is needed into a file of its own and name that in SSHConfig",
			}
		}
		c.files = append(c.files, parsed)
	}
	return c, nil
}

// absoluteIncludes writes the files of Include lines with their whole path:
// the parser looks for ~ in the password database, ssh and we in $HOME.
func absoluteIncludes(text []byte, home string) []byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i, line := range lines {
		fields := strings.Fields(strings.Replace(string(line), "=", " ", 1))
		if len(fields) < 2 || !strings.EqualFold(fields[0], "include") {
			continue
		}
		for j, f := range fields[1:] {
			switch {
			case strings.HasPrefix(f, "#"):
			case strings.HasPrefix(f, "~/"):
				fields[j+1] = filepath.Join(home, f[2:])
			case !filepath.IsAbs(f):
				fields[j+1] = filepath.Join(home, ".ssh", f)
			}
		}
		lines[i] = []byte(strings.Join(fields, " ") + "\n")
	}
	return bytes.Join(lines, nil)
}

// get is the first value of a keyword for an alias; "" if there is none.
func (c *clientConfig) get(alias, key string) (string, error) {
	for _, f := range c.files {
		value, err := f.Get(alias, key)
		if err != nil || value != "" {
			return value, err
		}
	}
	return "", nil
}

// all gives every value of a keyword that may stand several times.
func (c *clientConfig) all(alias, key string) ([]string, error) {
	var values []string
	for _, f := range c.files {
		v, err := f.GetAll(alias, key)
		if err != nil {
			return nil, err
		}
		values = append(values, v...)
	}
	return values, nil
}

// fromClientConfig takes what t does not say itself from ssh_config.
func (r *resolver) fromClientConfig(t *target, alias string) error {
	if r.client == nil && r.clientErr == nil {
		r.client, r.clientErr = readClientConfig(r.cfg.SSHConfig, r.home)
	}
	if r.clientErr != nil {
		if e, ok := errors.AsType[*Error](r.clientErr); ok {
			named := *e
			named.Host = t.name
			return &named
		}
		return r.clientErr
	}
	l := lookup{c: r.client, alias: alias}
	hostName := l.get("HostName")
	if t.host == "" {
		t.host = alias
		if hostName != "" {
			t.host = strings.ReplaceAll(hostName, "%h", alias)
		}
	}
	if t.port == "" {
		t.port = l.get("Port")
	}
	if t.port == "" {
		t.port = "22"
	}
	if t.user == "" {
		t.user = l.get("User")
	}
	if t.user == "" {
		t.user = localUser()
	}
	tokens := r.tokens(t, alias)
	if len(t.identities) == 0 {
		for _, file := range l.all("IdentityFile") {
			if !strings.EqualFold(file, "none") {
				t.identities = append(t.identities, l.expand(tokens, "IdentityFile", file))
			}
		}
		t.explicit = len(t.identities) > 0
	}
	t.identitiesOnly = strings.EqualFold(l.get("IdentitiesOnly"), "yes")
	if agent := l.get("IdentityAgent"); t.agent == "" && agent != "" && agent != "SSH_AUTH_SOCK" {
		t.agent = l.expand(tokens, "IdentityAgent", os.ExpandEnv(agent))
	}
	if jump := l.get("ProxyJump"); len(t.jump) == 0 && jump != "" && !strings.EqualFold(jump, "none") {
		for hop := range strings.SplitSeq(jump, ",") {
			t.jump = append(t.jump, strings.TrimSpace(hop))
		}
	}
	if files := l.get("UserKnownHostsFile"); len(t.knownHosts) == 0 && files != "" {
		for file := range strings.FieldsSeq(files) {
			if !strings.EqualFold(file, "none") {
				t.knownHosts = append(t.knownHosts, l.expand(tokens, "UserKnownHostsFile", file))
			}
		}
		t.knownHosts = append(t.knownHosts, "/etc/ssh/ssh_known_hosts")
	}
	if strings.EqualFold(l.get("StrictHostKeyChecking"), "accept-new") {
		t.policy = HostKeysAcceptNew
	}
	if name := l.get("HostKeyAlias"); name != "" {
		t.keyName = name + ":22" // known_hosts holds the alias without a port
	}
	if l.get("ProxyCommand") != "" && len(t.jump) == 0 {
		l.errs = append(l.errs, errors.New("ProxyCommand is not supported; ProxyJump is"))
	}
	if err := errors.Join(l.errs...); err != nil {
		return &Error{Kind: KindConfig, Host: t.name, Message: fmt.Sprintf("ssh_config for %q", alias), Err: err}
	}
	return nil
}

// tokens of ssh_config(5) that file names may hold.
func (r *resolver) tokens(t *target, alias string) map[byte]string {
	return map[byte]string{
		'%': "%", 'd': r.home, 'h': t.host, 'n': alias, 'p': t.port, 'r': t.user, 'u': localUser(),
	}
}

// lookup reads values and collects what is wrong with them.
type lookup struct {
	c     *clientConfig
	alias string
	errs  []error
}

func (l *lookup) get(key string) string {
	value, err := l.c.get(l.alias, key)
	if err != nil {
		l.errs = append(l.errs, err)
	}
	return value
}

func (l *lookup) all(key string) []string {
	values, err := l.c.all(l.alias, key)
	if err != nil {
		l.errs = append(l.errs, err)
	}
	return values
}

// expand replaces %-tokens. One that is not supported is an error: a wrong
// file would be worse.
func (l *lookup) expand(tokens map[byte]string, key, value string) string {
	var b strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] != '%' {
			b.WriteByte(value[i])
			continue
		}
		i++
		if i == len(value) {
			l.errs = append(l.errs, fmt.Errorf("%s %s ends in %%", key, value))
			break
		}
		text, ok := tokens[value[i]]
		if !ok {
			l.errs = append(l.errs, fmt.Errorf("%s %s: the token %%%c is not supported", key, value, value[i]))
		}
		b.WriteString(text)
	}
	return b.String()
}
