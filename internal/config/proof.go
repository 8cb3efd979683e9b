package config

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"lifeline"
	"lifeline/internal/check"
	"lifeline/internal/pattern"
)

// Compile reads the check as it is used. The error is a *check.Fault.
func (c Check) Compile() (*check.Check, error) {
	return check.Compile(check.Spec{
		Command: c.Command, HTTP: c.HTTP, Status: c.Status, TCP: c.TCP, Prometheus: c.Prometheus,
		Expect: c.Expect, Timeout: c.Timeout.D(),
	}, lifeline.TargetKind(c.Match.Kind), "match.kind")
}

// Matches reports whether the check is made for an alert about a target.
func (m CheckMatch) Matches(alert string, t lifeline.Target) bool {
	name, err := pattern.New(m.Alert)
	return err == nil && (m.Alert == "" || name.Matches(alert)) &&
		(m.Host == "" || m.Host == t.Host) &&
		(m.Kind == "" || lifeline.TargetKind(m.Kind) == t.Kind) &&
		(m.Name == "" || m.Name == t.Name)
}

func (v *validator) checks() {
	for i, c := range v.cfg.Checks {
		field := fmt.Sprintf("checks[%d]", i)
		if _, err := pattern.New(c.Match.Alert); err != nil {
			v.complain(field+".match.alert", err.Error(), "")
		}
		if c.Match.Host != "" {
			v.configured(field+".match.host", c.Match.Host)
		}
		kind := lifeline.TargetKind(c.Match.Kind)
		switch {
		case c.Match.Name == "":
		case kind == "" || kind == lifeline.TargetHost:
			v.complain(field+".match.name", "a name needs the kind of thing that has it: container, unit or filesystem", "")
		default:
			if err := kind.CheckName(c.Match.Name); err != nil {
				v.complain(field+".match.name", err.Error(), "")
			}
		}
		_, err := c.Compile()
		if fault, ok := errors.AsType[*check.Fault](err); ok {
			at := field
			if fault.Field != "" {
				at += "." + fault.Field
			}
			v.complain(at, fault.Text, "")
		}
		if c.Prometheus != "" && v.cfg.Prometheus.URL == "" {
			v.complain(field+".prometheus", "no server is configured that could be asked", "add to "+v.cfg.File()+":\n  prometheus: {url: http://127.0.0.1:9090}")
		}
	}
}

func (v *validator) prometheus() {
	p := v.cfg.Prometheus
	if p.URL != "" {
		v.server("prometheus.url", p.URL)
	}
	v.account("prometheus", p.URL != "", p.Username, p.PasswordFile, p.TokenFile, p.CAFile)
}

func (v *validator) alertmanager() {
	a := v.cfg.Alertmanager
	for i, raw := range a.URL {
		field := "alertmanager.url"
		if len(a.URL) > 1 {
			field = fmt.Sprintf("alertmanager.url[%d]", i)
		}
		v.server(field, raw)
	}
	v.account("alertmanager", len(a.URL) > 0, a.Username, a.PasswordFile, a.TokenFile, a.CAFile)
	for _, k := range []struct {
		name string
		set  bool
	}{{"follow_silences", a.FollowSilences}, {"silence_during_repair", a.SilenceDuringRepair}} {
		if k.set && len(a.URL) == 0 {
			v.complain("alertmanager."+k.name, "needs alertmanager.url", "")
		}
	}
}

// server complains about what is not the address of an HTTP server.
func (v *validator) server(field, raw string) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		v.complain(field, "want a URL such as http://127.0.0.1:9090", "")
	case u.User != nil:
		v.complain(field, "the account goes into username and password_file, not into the URL", "")
	case u.RawQuery != "" || u.Fragment != "":
		v.complain(field, "want the server's address without ? and #", "")
	}
}

// account complains about an account for a server that cannot be used.
func (v *validator) account(section string, server bool, username, passwordFile, tokenFile, caFile string) {
	switch {
	case !server && (username != "" || passwordFile != "" || tokenFile != "" || caFile != ""):
		v.complain(section+".url", "there is an account or a certificate, and no server that they are for", "")
	case username != "" && passwordFile == "":
		v.complain(section+".username", "a username needs a password_file", "")
	case username == "" && passwordFile != "":
		v.complain(section+".password_file", "a password_file needs a username", "")
	case strings.Contains(username, ":"):
		v.complain(section+".username", "HTTP basic authentication allows no colon in a username", "")
	case passwordFile != "" && tokenFile != "":
		v.complain(section+".token_file", "want a password or a token, not both", "")
	}
}
