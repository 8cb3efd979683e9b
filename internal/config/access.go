package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"lifeline"
)

// UserNames lists the configured users in order.
func (c *Config) UserNames() []string { return slices.Sorted(maps.Keys(c.Access.Users)) }

// ClientSecret reads the secret with which Lifeline signs in at the identity
// provider; "" for a public client, and without a provider.
func (c *Config) ClientSecret() (string, error) {
	if c.Access.OIDC.Issuer == "" || c.Access.OIDC.ClientSecretFile == "" {
		return "", nil
	}
	return c.secretFile("access.oidc.client_secret_file", c.Access.OIDC.ClientSecretFile)
}

// BadAccess is the error for a value below access that turned out wrong when it
// was used, such as "users.ann.password_hash". text must not have a secret in it.
func (c *Config) BadAccess(field, text, hint string) error {
	return problems{c.src.problem("access."+field, text, hint)}.err(c.File())
}

// Loopback reports whether nobody on another machine can reach the address that
// Lifeline listens on.
func (c *Config) Loopback() bool {
	host, _, err := net.SplitHostPort(c.Listen)
	return err == nil && loopback(host)
}

// Proxies are the networks of the reverse proxies that are trusted. Validate has
// seen them.
func (c *Config) Proxies() []netip.Prefix {
	var all []netip.Prefix
	for _, text := range c.Access.TrustedProxies {
		if p, err := parseNetwork(text); err == nil {
			all = append(all, p)
		}
	}
	return all
}

// parseNetwork reads an address or a network.
func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return p, fmt.Errorf("want an address or a network such as 10.0.0.0/24, got %q", text)
	case p.Bits() == 0:
		return p, fmt.Errorf("%s is everybody: name the proxies", text)
	case p.Addr().Is4In6():
		return p, fmt.Errorf("write %s as an IPv4 network", text)
	}
	return p.Masked(), nil
}

// reachable refuses pages on an address that others can reach while nobody is
// configured who may sign in there.
func (v *validator) reachable(port string) {
	a := v.cfg.Access
	if !a.Pages || len(a.Users) > 0 || a.OIDC.Issuer != "" {
		return
	}
	v.complain("listen", v.cfg.Listen+" can be reached from other machines, and nobody is configured who may sign in to the pages there",
		`type lifeline password, and add to `+v.cfg.File()+`:
  access:
    users:
      ann: {role: admin, password_hash: "$argon2id$…"}
or serve no pages: access: {pages: false}
or listen on this machine only: listen: 127.0.0.1:`+port)
}

func roleNames() []string {
	return []string{string(lifeline.RoleViewer), string(lifeline.RoleApprover), string(lifeline.RoleAdmin)}
}

// role complains about what is not a role.
func (v *validator) role(field, role string) {
	if lifeline.Role(role).Known() {
		return
	}
	text := fmt.Sprintf("want %s, got %q", oneOf(roleNames()), role)
	if meant := nearest(role, roleNames()); meant != "" {
		text += ": did you mean " + meant + "?"
	}
	v.complain(field, text, "")
}

func (v *validator) access() {
	a := v.cfg.Access
	for _, name := range v.cfg.UserNames() {
		field, u := "access.users."+name, a.Users[name]
		if !validName(name) {
			v.complain(field, "a user's name has letters, digits, dots, dashes and underscores, begins with a letter or digit, and has at most 63 characters", "")
		}
		switch {
		case u.PasswordHash == "":
			v.complain(field, "want a password_hash", "type: lifeline password")
		case !strings.HasPrefix(u.PasswordHash, "$argon2id$"):
			v.complain(field+".password_hash", "this is not a hash of argon2id: a password itself does not belong here", "type: lifeline password")
		}
		at := field + ".role"
		if u.Role == "" {
			at = field
		}
		v.role(at, string(u.Role))
	}
	v.oidc()
	if s := a.Session; s.Idle > 0 && s.Longest > 0 && s.Idle > s.Longest {
		v.complain("access.session.idle", fmt.Sprintf("want at most access.session.longest, which is %s, got %s", s.Longest, s.Idle), "")
	}
	for i, text := range a.TrustedProxies {
		if _, err := parseNetwork(text); err != nil {
			v.complain(fmt.Sprintf("access.trusted_proxies[%d]", i), err.Error(), "")
		}
	}
	switch {
	case a.TLS.CertFile != "" && a.TLS.KeyFile == "":
		v.complain("access.tls.cert_file", "a cert_file needs a key_file", "")
	case a.TLS.CertFile == "" && a.TLS.KeyFile != "":
		v.complain("access.tls.key_file", "a key_file needs a cert_file", "")
	}
}

func (v *validator) oidc() {
	const field = "access.oidc"
	o := v.cfg.Access.OIDC
	if o.Issuer == "" {
		if o.ClientID != "" || o.ClientSecretFile != "" || len(o.Roles) > 0 || o.DefaultRole != "" {
			v.complain(field, "want an issuer", "the address of the identity provider: issuer: https://id.example.net")
		}
		return
	}
	u, err := url.Parse(o.Issuer)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		v.complain(field+".issuer", "want a URL such as https://id.example.net, without an account, ? or #", "")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		v.complain(field+".issuer", "want https: whoever is in between could sign in as anybody", "")
	}
	if o.ClientID == "" {
		v.complain(field, "want a client_id", "Lifeline's name at the identity provider")
	}
	if o.RoleClaim == "" && len(o.Roles) > 0 {
		v.complain(field+".role_claim", "roles need a role_claim", "")
	}
	for _, value := range slices.Sorted(maps.Keys(o.Roles)) {
		v.role(field+".roles."+value, o.Roles[value])
	}
	if len(o.Roles) == 0 && o.DefaultRole == "" {
		v.complain(field, "nobody could sign in: there are neither roles nor a default_role", "add: roles: {admins: admin}")
	}
	if v.cfg.PublicURL == "" {
		v.complain(field, "signing in needs public_url: the identity provider sends people back to it", "add: public_url: https://lifeline.example.net")
	}
}
