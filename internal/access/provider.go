package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lifeline"
)

// OIDC is an identity provider; without an Issuer there is none.
type OIDC struct {
	Issuer, ClientID, ClientSecret string
	Scopes                         []string
	// RoleClaim is the claim whose values Roles maps; DefaultRole is for whoever has
	// none of them, "" refuses them.
	RoleClaim   string
	Roles       map[string]lifeline.Role
	DefaultRole lifeline.Role
}

// What is known of the provider is asked for again after this time, and after a
// failure not before retryAfter, so that many who wait do not ask at once.
const (
	discoverEvery = time.Hour
	retryAfter    = 2 * time.Second
	providerMost  = 15 * time.Second
	maxAnswer     = 1 << 20
)

// provider is the identity provider. What it says about itself is asked for when
// somebody first wants to sign in: it may be down while Lifeline starts.
type provider struct {
	OIDC
	redirect string
	proof    string
	client   *http.Client
	now      func() time.Time

	// asking, of one place, guards what follows. Whoever waits for it can give up.
	asking chan struct{}
	found  *oidc.Provider
	asked  time.Time
	err    error // of the last question
}

// newProvider is nil without an issuer.
func newProvider(cfg Config) (*provider, error) {
	o := cfg.OIDC
	if o.Issuer == "" {
		return nil, nil
	}
	if o.ClientID == "" || cfg.PublicURL == "" {
		return nil, errors.New("access: an identity provider needs Config.OIDC.ClientID and Config.PublicURL")
	}
	for value, role := range o.Roles {
		if !role.Known() {
			return nil, &BadValue{Field: "oidc.roles." + value, Err: fmt.Errorf("there is no role %q", role), Hint: "want viewer, approver or admin"}
		}
	}
	if o.DefaultRole != "" && !o.DefaultRole.Known() {
		return nil, &BadValue{Field: "oidc.default_role", Err: fmt.Errorf("there is no role %q", o.DefaultRole), Hint: "want viewer, approver or admin"}
	}
	if !slices.Contains(o.Scopes, oidc.ScopeOpenID) {
		o.Scopes = append([]string{oidc.ScopeOpenID}, o.Scopes...)
	}
	parts := []string{"oidc", o.Issuer, o.ClientID, o.RoleClaim, string(o.DefaultRole)}
	for _, value := range slices.Sorted(maps.Keys(o.Roles)) {
		parts = append(parts, value, string(o.Roles[value]))
	}
	return &provider{
		OIDC: o, redirect: strings.TrimRight(cfg.PublicURL, "/") + callbackPath, proof: digest(parts...), now: cfg.Now,
		client: &http.Client{Timeout: providerMost, Transport: bounded{http.DefaultTransport}, CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > 5 || via[0].URL.Scheme == "https" && r.URL.Scheme != "https" {
				return errors.New("it sends us on to where we do not go")
			}
			return nil
		}},
		asking: make(chan struct{}, 1),
	}, nil
}

// get is the provider with what it says about itself, asked for if that is not
// known yet or old.
func (p *provider) get(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	select {
	case p.asking <- struct{}{}:
		defer func() { <-p.asking }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	age := p.now().Sub(p.asked)
	known := p.found != nil && age < discoverEvery && age >= 0
	failed := p.err != nil && age < retryAfter && age >= 0
	if !known && !failed {
		// Not ended by whoever happens to be the first to ask.
		asking, cancel := context.WithTimeoutCause(oidc.ClientContext(context.WithoutCancel(ctx), p.client), providerMost, errors.New("it did not answer in time"))
		defer cancel()
		found, err := oidc.NewProvider(asking, p.Issuer)
		p.asked, p.err = p.now(), err
		if err == nil {
			p.found = found
		}
	}
	if p.found == nil {
		return nil, nil, fmt.Errorf("ask %s about itself: %w", p.Issuer, p.err)
	}
	// What is old goes on to count while the provider does not say anything newer.
	return p.found, &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, Endpoint: p.found.Endpoint(), RedirectURL: p.redirect, Scopes: p.Scopes}, nil
}

// bounded ends an answer that is too long with an error.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, fmt.Errorf("the answer has more than %d KiB", maxAnswer>>10)
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// claims are what the provider says about a person.
type claims map[string]any

// find looks a claim up by its whole name, then as one within another.
func (c claims) find(name string) (any, bool) {
	if v, ok := c[name]; ok {
		return v, true
	}
	var at any = map[string]any(c)
	for part := range strings.SplitSeq(name, ".") {
		m, _ := at.(map[string]any)
		v, ok := m[part]
		if !ok {
			return nil, false
		}
		at = v
	}
	return at, true
}

// values is a claim as a list of texts: it may be one text.
func (c claims) values(name string) []string {
	v, _ := c.find(name)
	switch v := v.(type) {
	case string:
		return []string{v}
	case bool, float64, json.Number:
		return []string{fmt.Sprint(v)}
	case []any:
		var all []string
		for _, e := range v {
			if s, ok := e.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	return nil
}

// role is the highest of those that a person's values have; DefaultRole if none
// has one.
func (p *provider) role(c claims) lifeline.Role {
	role := p.DefaultRole
	for _, value := range c.values(p.RoleClaim) {
		if has := p.Roles[value]; has.Known() && !role.May(has) {
			role = has
		}
	}
	return role
}

// nameOf is how a person of the provider is named: by their address, if the
// provider has made sure that it is theirs, and otherwise by the subject, which no
// other person of the provider ever has. What people choose themselves is not
// used. Neither can be the name of a user of the configuration.
func nameOf(subject string, c claims) string {
	email, _ := c["email"].(string)
	verified, _ := c["email_verified"].(bool)
	if text, ok := c["email_verified"].(string); ok { // some providers write it as a text
		verified = text == "true"
	}
	if email = strings.ToLower(strings.TrimSpace(email)); verified && strings.Contains(email, "@") && len(email) <= 254 {
		return email
	}
	if len(subject) > 255 { // OpenID Connect Core, section 2, allows no more
		subject = digest(subject)
	}
	return "oidc:" + subject
}
