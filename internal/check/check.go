// Package check reads the owner's checks of whether a thing works, as runbooks
// and the configuration have them, and the templates that these and the
// commands of runbooks are written in.
//
//	c, err := check.Compile(check.Spec{HTTP: "http://{{address}}:8080/health"}, "", "match.kind")
//	ready, err := c.For(target, "192.168.0.11")   // a lifeline.Check that can be made
//
// Guaranteed: what compiles has no unknown placeholder, and is right in form
// for every target of its kind; a value that is put into a text was checked for
// its kind and cannot leave the place that it was put into.
//
// It makes no check itself: internal/probe does, and internal/respond sends
// commands through the door.
package check

import (
	"cmp"
	"fmt"
	"regexp"
	"time"

	"lifeline"
	"lifeline/internal/pattern"
)

// Spec is a check as its owner wrote it: lifeline.Check with placeholders.
// Expect is a text that must occur, or a regular expression between slashes.
type Spec struct {
	Command    string
	HTTP       string
	Status     int
	TCP        string
	Prometheus string
	Expect     string
	Timeout    time.Duration
}

// Fault says what is wrong in a Spec. Field is its name in files; "" for the
// check as a whole.
type Fault struct{ Field, Text string }

func (f *Fault) Error() string {
	if f.Field == "" {
		return f.Text
	}
	return f.Field + ": " + f.Text
}

// Check is a Spec that can be used. It does not change after Compile.
type Check struct {
	template Template
	// rest is the check without its text, into is where the text goes.
	rest lifeline.Check
	into func(*lifeline.Check) *string
}

// Compile reads a check for targets of a kind, "" for any. kindKey is the name
// of the key that says the kind. The error is a *Fault.
func Compile(s Spec, kind lifeline.TargetKind, kindKey string) (*Check, error) {
	c := &Check{rest: lifeline.Check{Status: s.Status, Timeout: s.Timeout}}
	var err error
	if c.rest.Expect, err = expression(s.Expect); err != nil {
		return nil, &Fault{"expect", err.Error()}
	}
	as := lifeline.Check{Command: s.Command, HTTP: s.HTTP, TCP: s.TCP, Prometheus: s.Prometheus}
	field, source, dialect := "", "", Shell
	for _, f := range []struct {
		name    string
		dialect Dialect
		into    func(*lifeline.Check) *string
	}{
		{"command", Shell, func(c *lifeline.Check) *string { return &c.Command }},
		{"http", URL, func(c *lifeline.Check) *string { return &c.HTTP }},
		{"tcp", HostPort, func(c *lifeline.Check) *string { return &c.TCP }},
		{"prometheus", PromQL, func(c *lifeline.Check) *string { return &c.Prometheus }},
	} {
		if text := *f.into(&as); text != "" {
			if field != "" {
				return nil, &Fault{"", fmt.Sprintf("it has %s and %s: one check is one of command, http, tcp and prometheus", field, f.name)}
			}
			field, source, dialect, c.into = f.name, text, f.dialect, f.into
		}
	}
	if field == "" {
		return nil, &Fault{"", "want one of command, http, tcp and prometheus"}
	}
	if c.template, err = NewTemplate(source, dialect, kind, kindKey); err != nil {
		return nil, &Fault{field, err.Error()}
	}
	// With a name of each kind in it, the form can be held against the rules.
	name := map[lifeline.TargetKind]string{lifeline.TargetContainer: "name", lifeline.TargetUnit: "name.service", lifeline.TargetFilesystem: "/name"}[kind]
	sample, err := c.render(lifeline.Target{Host: "host", Kind: cmp.Or(kind, lifeline.TargetHost), Name: name}, "192.0.2.1")
	if err != nil {
		return nil, &Fault{field, err.Error()}
	}
	if at, text := sample.Fault(); text != "" {
		return nil, &Fault{at, text}
	}
	return c, nil
}

// expression turns an expected text into a regular expression.
func expression(expect string) (string, error) {
	inner, isExpression, err := pattern.Parse(expect)
	if !isExpression {
		return regexp.QuoteMeta(expect), nil
	}
	return inner, err
}

func (c *Check) render(target lifeline.Target, address string) (lifeline.Check, error) {
	out := c.rest
	text, err := c.template.Render(target, address)
	*c.into(&out) = text
	return out, err
}

// For gives the check of one target. address is the one under which its host is
// reached; "" stands for the host's name.
func (c *Check) For(target lifeline.Target, address string) (lifeline.Check, error) {
	out, err := c.render(target, address)
	if err != nil {
		return out, err
	}
	if field, text := out.Fault(); text != "" {
		return out, &Fault{field, text}
	}
	return out, nil
}
