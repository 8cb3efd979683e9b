package config

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"lifeline/internal/escape"
)

// hidden stands where a secret was.
const hidden = "REDACTED"

// StorePassword is the password for Postgres that store.password_file holds; ""
// if there is none.
func (c *Config) StorePassword() (string, error) {
	if c.Store.PasswordFile == "" {
		return "", nil
	}
	return c.secretFile("store.password_file", c.Store.PasswordFile)
}

// Secrets are what one side of an HTTP connection must know. With both set,
// either will do.
type Secrets struct {
	Username, Password string // HTTP basic; Password "": not possible
	Token              string // HTTP bearer; "": not possible
}

// String keeps the secrets out of whatever prints them.
func (s Secrets) String() string { return "secrets of " + s.Username }

// GoString is String.
func (s Secrets) GoString() string { return s.String() }

// MarshalText is String, for encoders.
func (s Secrets) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Required reports whether a sender must know anything at all.
func (s Secrets) Required() bool { return s.Password != "" || s.Token != "" }

// WebhookSecrets reads the files that webhook names. The zero Secrets mean
// that posts are taken without authentication, which Validate allows on a
// loopback address only.
func (c *Config) WebhookSecrets() (Secrets, error) {
	return c.secrets("webhook", c.Webhook.Username, c.Webhook.PasswordFile, c.Webhook.TokenFile)
}

// PrometheusSecrets reads the files that prometheus names.
func (c *Config) PrometheusSecrets() (Secrets, error) {
	return c.secrets("prometheus", c.Prometheus.Username, c.Prometheus.PasswordFile, c.Prometheus.TokenFile)
}

// AlertmanagerSecrets reads the files that alertmanager names.
func (c *Config) AlertmanagerSecrets() (Secrets, error) {
	return c.secrets("alertmanager", c.Alertmanager.Username, c.Alertmanager.PasswordFile, c.Alertmanager.TokenFile)
}

// secrets reads the files of one section.
func (c *Config) secrets(section, username, passwordFile, tokenFile string) (Secrets, error) {
	s := Secrets{Username: username}
	var errs [2]error
	if passwordFile != "" {
		s.Password, errs[0] = c.secretFile(section+".password_file", passwordFile)
	}
	if tokenFile != "" {
		s.Token, errs[1] = c.secretFile(section+".token_file", tokenFile)
	}
	for _, err := range errs {
		if err != nil {
			return Secrets{}, err
		}
	}
	return s, nil
}

// Roots are the certificates that the server of a section, "prometheus" or
// "alertmanager", must be signed by; nil for the system's.
func (c *Config) Roots(section string) (*x509.CertPool, error) {
	file := map[string]string{"prometheus": c.Prometheus.CAFile, "alertmanager": c.Alertmanager.CAFile}[section]
	if file == "" {
		return nil, nil
	}
	fail := func(text string) error {
		return problems{c.src.problem(section+".ca_file", text, "name a file with certificates in PEM")}.err(c.File())
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		if cause, ok := errors.AsType[*os.PathError](err); ok {
			err = cause.Err
		}
		return nil, fail(fmt.Sprintf("read %s: %v", file, err))
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fail(file + " has no certificate")
	}
	return roots, nil
}

// secretFile reads the first line of a file that nobody else may read. What it
// holds is never part of an error.
func (c *Config) secretFile(field, path string) (string, error) {
	fail := func(text, hint string) (string, error) {
		return "", problems{c.src.problem(field, text, hint)}.err(c.File())
	}
	f, err := os.Open(path)
	if err != nil {
		if cause, ok := errors.AsType[*os.PathError](err); ok {
			err = cause.Err
		}
		return fail(fmt.Sprintf("read %s: %v", path, err), "write the secret into it: (umask 077; cat > "+escape.Word(path)+")")
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return fail(fmt.Sprintf("read %s: %v", path, err), "")
	case !info.Mode().IsRegular():
		return fail(path+" is not a file", "")
	case info.Mode().Perm()&0o077 != 0:
		return fail(fmt.Sprintf("%s can be read by others than its owner (mode %04o)", path, info.Mode().Perm()), "chmod 600 "+escape.Word(path))
	}
	data, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return fail(fmt.Sprintf("read %s: %v", path, err), "")
	}
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	secret := strings.TrimSpace(string(line))
	switch {
	case secret == "":
		return fail(path+" has no secret on its first line", "")
	case len(bytes.TrimSpace(rest)) > 0:
		return fail(path+" has more than one line: one secret is one line", "")
	}
	return secret, nil
}

// Redacted is the configuration without its secrets: what may be shown,
// logged or stored.
func (c *Config) Redacted() Config {
	r := *c
	r.Store.URL = redactURL(c.Store.URL)
	r.Model.BaseURL = redactURL(c.Model.BaseURL)
	r.Model.Second.BaseURL = redactURL(c.Model.Second.BaseURL)
	r.Prometheus.URL = redactURL(c.Prometheus.URL)
	r.Alertmanager.URL = slices.Clone(c.Alertmanager.URL)
	for i, raw := range r.Alertmanager.URL {
		r.Alertmanager.URL[i] = redactURL(raw)
	}
	r.Access.Users = maps.Clone(c.Access.Users)
	for name, u := range r.Access.Users {
		u.PasswordHash = hidden // whoever has it can guess at it without being slowed down
		r.Access.Users[name] = u
	}
	r.src = nil
	return r
}

// YAML is the effective configuration without its secrets, every key with its
// value, as a file that Parse reads.
func (c *Config) YAML() ([]byte, error) {
	r := c.Redacted()
	return yaml.MarshalWithOptions(r, yaml.IndentSequence(true))
}

// redactURL hides the password of a URL, of one that does not parse too.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return urlPassword().ReplaceAllString(raw, "${1}"+hidden+"@")
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), hidden)
		return u.String()
	}
	return raw
}

// secretValue finds keys that sound like a secret, with the rest of their line:
// where a value ends is for the YAML parser to say, and it may have complained.
// Keys that end in _file name a file and are shown.
func secretValue() *regexp.Regexp {
	return regexp.MustCompile(`(?i)((?:password|password_hash|passwd|passphrase|secret|token|api_?key|credentials?)["']?\s*:\s*)\S.*`)
}

// urlPassword finds the password of a URL's user, up to the last @: it may have
// one in it.
func urlPassword() *regexp.Regexp {
	return regexp.MustCompile(`(://[^\s:/@]*:)\S*@`)
}

// accountPassword finds user:password@ outside of a URL.
func accountPassword() *regexp.Regexp {
	return regexp.MustCompile(`([^\s:/@'"]+:)[^\s/'"]\S*@`)
}

// channelURL finds the URL of a channel that somebody wrote where only the name of
// its file or variable belongs: any part of it may be a secret.
func channelURL() *regexp.Regexp {
	return regexp.MustCompile(`(?i)((?:^|[\s{,"'])url(?:_env|_file)?["']?\s*:\s*["']?)([a-z][a-z0-9+.-]*)://[^\s"'},]+`)
}

// hideSecrets hides what may be a secret in a line that is shown to a person:
// the value of a key that sounds like one, and passwords before a host.
func hideSecrets(line string) string {
	line = secretValue().ReplaceAllString(line, "${1}…")
	if m := channelURL().FindStringSubmatch(line); m != nil && !strings.HasPrefix(strings.ToLower(m[2]), "postgres") {
		line = channelURL().ReplaceAllString(line, "${1}${2}://…")
	}
	line = urlPassword().ReplaceAllString(line, "${1}…@")
	return accountPassword().ReplaceAllString(line, "${1}…@")
}
