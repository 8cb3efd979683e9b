package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/goccy/go-yaml"

	"lifeline/internal/escape"
)

// EnvModelKey is the environment variable that holds the model's key.
const EnvModelKey = "ANTHROPIC_API_KEY"

// hidden stands where a secret was.
const hidden = "REDACTED"

// ModelKey is the key for the model: from model.api_key_file if that is set,
// otherwise from $ANTHROPIC_API_KEY. "" means that there is none.
func (c *Config) ModelKey() (string, error) {
	if c.Model.APIKeyFile != "" {
		return c.secretFile("model.api_key_file", c.Model.APIKeyFile)
	}
	return strings.TrimSpace(os.Getenv(EnvModelKey)), nil
}

// StorePassword is the password for Postgres that store.password_file holds; ""
// if there is none.
func (c *Config) StorePassword() (string, error) {
	if c.Store.PasswordFile == "" {
		return "", nil
	}
	return c.secretFile("store.password_file", c.Store.PasswordFile)
}

// Secrets are what a sender of alerts must know. With both set, either will do.
type Secrets struct {
	Username, Password string // HTTP basic; Password "": not possible
	Token              string // HTTP bearer; "": not possible
}

// String keeps the secrets out of whatever prints them.
func (s Secrets) String() string { return "webhook secrets of " + s.Username }

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
	s := Secrets{Username: c.Webhook.Username}
	var errs [2]error
	if c.Webhook.PasswordFile != "" {
		s.Password, errs[0] = c.secretFile("webhook.password_file", c.Webhook.PasswordFile)
	}
	if c.Webhook.TokenFile != "" {
		s.Token, errs[1] = c.secretFile("webhook.token_file", c.Webhook.TokenFile)
	}
	for _, err := range errs {
		if err != nil {
			return Secrets{}, err
		}
	}
	return s, nil
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
	return regexp.MustCompile(`(?i)((?:password|passwd|passphrase|secret|token|api_?key|credentials?)["']?\s*:\s*)\S.*`)
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

// hideSecrets hides what may be a secret in a line that is shown to a person:
// the value of a key that sounds like one, and passwords before a host.
func hideSecrets(line string) string {
	line = secretValue().ReplaceAllString(line, "${1}…")
	line = urlPassword().ReplaceAllString(line, "${1}…@")
	return accountPassword().ReplaceAllString(line, "${1}…@")
}
