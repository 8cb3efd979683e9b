package config

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"lifeline"
)

// Validate finds values that cannot work, all at once. It looks at nothing
// outside the configuration.
func (c *Config) Validate() error {
	v := &validator{cfg: c}
	v.ranges(reflect.ValueOf(c).Elem(), reflect.ValueOf(Default()), "")
	v.hosts()
	v.listen()
	v.access()
	v.webhook()
	v.model()
	v.store()
	v.checks()
	v.prometheus()
	v.alertmanager()
	v.node()
	v.targets()
	v.triage()
	v.policy()
	v.protect()
	v.publicURL()
	v.notify()
	return v.found.err(c.File())
}

type validator struct {
	cfg   *Config
	found problems
}

func (v *validator) complain(field, text, hint string) {
	v.found = append(v.found, v.cfg.src.problem(field, text, hint))
}

// ranges holds every value to what its declaration in types.go says: one of an
// enumeration, a number in its range, a time span above zero. The empty text
// is good where it is the default.
func (v *validator) ranges(value, standard reflect.Value, field string) {
	t := value.Type()
	for _, k := range keysOf(t) {
		f, at := value.Field(k.index), join(field, k.name)
		def := standard.Field(k.index)
		switch {
		case k.typ == reflect.TypeFor[Duration]():
			if f.Int() <= 0 {
				v.complain(at, "want a duration above zero", "")
			}
		case k.typ.Kind() == reflect.Struct:
			v.ranges(f, def, at)
		case k.typ.Kind() == reflect.Map && k.typ.Elem() == reflect.TypeFor[Host]():
			for _, name := range v.cfg.HostNames() {
				v.ranges(reflect.ValueOf(v.cfg.Hosts[name]), reflect.ValueOf(defaultHost()), join(at, name))
			}
		case k.typ.Kind() == reflect.Slice && k.typ.Elem().Kind() == reflect.Struct:
			for i := range f.Len() {
				v.ranges(f.Index(i), unwritten(k.typ.Elem()), fmt.Sprintf("%s[%d]", at, i))
			}
		case k.typ.Kind() == reflect.Int:
			low, high := bounds(t.Field(k.index).Tag.Get("jsonschema"))
			if n := f.Int(); n < low || n > high {
				v.complain(at, fmt.Sprintf("want a number from %d to %d, got %d", low, high, n), "")
			}
		case len(k.enum) > 0:
			s := f.String()
			if slices.Contains(k.enum, s) || s == "" && def.String() == "" && k.name != "decision" {
				continue
			}
			text := fmt.Sprintf("want %s, got %q", oneOf(k.enum), s)
			if meant := nearest(s, k.enum); meant != "" {
				text += ": did you mean " + meant + "?"
			}
			v.complain(at, text, "")
		}
	}
}

// bounds reads the range out of a field's tag.
func bounds(tag string) (low, high int64) {
	low, high = 0, 1<<31-1
	for part := range strings.SplitSeq(tag, ",") {
		name, number, _ := strings.Cut(part, "=")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			continue
		}
		switch name {
		case "minimum":
			low = n
		case "maximum":
			high = n
		}
	}
	return low, high
}

// oneOf lists choices for a person: a, b or c.
func oneOf(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return strings.Join(list[:len(list)-1], ", ") + " or " + list[len(list)-1]
}

func (v *validator) hosts() {
	if len(v.cfg.Hosts) == 0 {
		v.complain("hosts", "no host is configured", "add one:\n"+indent(FirstHost))
		return
	}
	for _, name := range v.cfg.HostNames() {
		v.host(name, v.cfg.Hosts[name])
	}
}

func (v *validator) host(name string, h Host) {
	field := "hosts." + name
	if !validName(name) {
		v.complain(field, "a host's name has letters, digits, dots, dashes and underscores, begins with a letter or digit, and has at most 63 characters", "")
	}
	if h.Local {
		for _, k := range []struct {
			name string
			set  bool
		}{
			{"address", h.Address != ""}, {"user", h.User != ""}, {"identity", len(h.Identity) > 0},
			{"ssh_config", h.SSHConfig != ""}, {"proxy_jump", len(h.ProxyJump) > 0}, {"host_keys", h.HostKeys != ""},
			{"forced_command", h.ForcedCommand},
		} {
			if k.set {
				v.complain(join(field, k.name), "a local host is run without SSH: leave out "+k.name+" or local", "")
			}
		}
		return
	}
	if h.Address == "" && h.SSHConfig == "" {
		v.complain(field, "want address, ssh_config or local: true", "")
	}
	if h.Address != "" {
		if text := badAddress(h.Address); text != "" {
			v.complain(field+".address", text, "")
		}
	}
	for _, hop := range h.ProxyJump {
		switch jump, known := v.cfg.Hosts[hop]; {
		case hop == "" || strings.ContainsAny(hop, " ,"):
			v.complain(field+".proxy_jump", fmt.Sprintf("%q is not a host: want a configured host's name or [user@]host[:port], one for each hop", hop), "")
		case hop == name:
			v.complain(field+".proxy_jump", "the host is its own jump host", "")
		case known && jump.Local:
			v.complain(field+".proxy_jump", hop+" is local: there is nothing to jump over", "")
		}
	}
}

// validName reports whether a host's name can stand in a command line, a URL
// and a metric's label as it is.
func validName(name string) bool {
	for i, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._-", r)) {
			return false
		}
	}
	return name != "" && len(name) <= 63
}

// badAddress says what is wrong with host or host:port; "" if nothing is.
func badAddress(address string) string {
	if strings.Contains(address, "@") { // first: what stands before it may be a password
		return "the account goes into user, not into address"
	}
	host := address
	if h, port, err := net.SplitHostPort(address); err == nil {
		n, err := strconv.Atoi(port)
		if err != nil || n < 1 || n > 65535 {
			return fmt.Sprintf("the port of %q is not a number from 1 to 65535", address)
		}
		host = h
	} else if strings.Count(address, ":") == 1 || strings.ContainsAny(address, "[]") {
		return fmt.Sprintf("%q is not host or host:port", address)
	}
	if strings.Contains(host, ":") {
		if _, err := netip.ParseAddr(host); err != nil {
			return fmt.Sprintf("%q is not an IPv6 address", host)
		}
		return ""
	}
	if host == "" || host[0] == '-' || strings.ContainsFunc(host, func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune("/\\'\"`$;&|<>()", r) }) {
		return fmt.Sprintf("%q is not a host's name or address", host)
	}
	return ""
}

// listen refuses an address that others can reach while anybody may post.
func (v *validator) listen() {
	host, port, err := net.SplitHostPort(v.cfg.Listen)
	if err != nil {
		v.complain("listen", fmt.Sprintf("want host:port, such as 127.0.0.1:8674, got %q", v.cfg.Listen), "")
		return
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		v.complain("listen", fmt.Sprintf("the port of %q is not a number from 0 to 65535", v.cfg.Listen), "")
	}
	if loopback(host) {
		return
	}
	if v.cfg.Webhook.PasswordFile != "" || v.cfg.Webhook.TokenFile != "" {
		v.reachable(port)
		return
	}
	v.complain("listen", v.cfg.Listen+" can be reached from other machines, and anybody there could post alerts",
		`add to `+v.cfg.File()+`:
  webhook:
    username: alertmanager
    password_file: webhook-password
and beside it: (umask 077; openssl rand -hex 24 > webhook-password)
or listen on this machine only: listen: 127.0.0.1:`+port)
}

func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func (v *validator) webhook() {
	w := v.cfg.Webhook
	switch {
	case w.Username != "" && w.PasswordFile == "":
		v.complain("webhook.username", "a username needs a password_file", "")
	case w.Username == "" && w.PasswordFile != "":
		v.complain("webhook.password_file", "a password_file needs a username", "")
	case strings.Contains(w.Username, ":"):
		v.complain("webhook.username", "HTTP basic authentication allows no colon in a username", "")
	}
	v.mappings()
}

func (v *validator) store() {
	if v.cfg.Store.Postgres() {
		v.postgres()
		return
	}
	if v.cfg.Store.PasswordFile != "" {
		v.complain("store.password_file", "SQLite has no password: leave it out", "")
	}
	file, ok := strings.CutPrefix(v.cfg.Store.URL, "sqlite:")
	text := badFile(strings.TrimPrefix(file, "//"))
	if !ok {
		text = "want sqlite:FILE or postgres://USER@HOST/DATABASE"
	}
	if text != "" {
		v.complain("store.url", text+", such as "+Default().Store.URL, "")
	}
}

// Postgres reports whether the database is Postgres and not SQLite.
func (s Store) Postgres() bool {
	return strings.HasPrefix(s.URL, "postgres:") || strings.HasPrefix(s.URL, "postgresql:")
}

const postgresForm = "postgres://lifeline@db.example.net/lifeline?sslmode=verify-full"

// postgres checks an address of Postgres, as far as that can be done without
// asking it.
func (v *validator) postgres() {
	s := v.cfg.Store
	if s.KeyFile == "" {
		v.complain("store.url", "Postgres needs store.key_file: the key of the record is not kept in the database that it seals",
			"add to "+v.cfg.File()+":\n  store:\n    key_file: /var/lib/lifeline/record.key\nthe same file on every node: docs/nodes.md")
	}
	u, err := url.Parse(s.URL)
	if err != nil || u.Opaque != "" {
		v.complain("store.url", "it is not an address", "such as "+postgresForm)
		return
	}
	query := u.Query()
	if _, inline := u.User.Password(); inline || query.Has("password") {
		v.complain("store.url", "the password does not belong into the address, where everybody reads it",
			"put it into a file: store: {password_file: postgres-password}\nand beside it: (umask 077; cat > postgres-password)")
	}
	if u.Path == "" || u.Path == "/" {
		v.complain("store.url", "the address names no database", "such as "+postgresForm)
	}
	host := cmp.Or(u.Hostname(), query.Get("host"))
	here := host == "" || strings.HasPrefix(host, "/") || loopback(host)
	if !here && !query.Has("sslmode") {
		v.complain("store.url", "the database is on another machine, and the address does not say how the connection is protected",
			"add ?sslmode=verify-full, with sslrootcert=FILE if its certificate is your own")
	}
}

// node checks who this process is, and that a lease is long enough for a
// heartbeat that is late.
func (v *validator) node() {
	n := v.cfg.Node
	if n.Name != "" && !validName(n.Name) {
		v.complain("node.name", "a node's name has letters, digits, dots, dashes and underscores, begins with a letter or digit, and has at most 63 characters", "")
	}
	if n.Heartbeat > 0 && n.Lease > 0 && n.Lease < 4*n.Heartbeat {
		v.complain("node.lease", fmt.Sprintf("want four heartbeats or more, which is %s, got %s", 4*n.Heartbeat, n.Lease), "")
	}
	for _, name := range v.cfg.HostNames() {
		switch pinned := v.cfg.Hosts[name].Node; {
		case pinned == "" && v.cfg.Hosts[name].Local && v.cfg.Store.Postgres():
			v.complain("hosts."+name, "a local host is the machine of one node: say of which", "add node: NAME, which is that machine's hostname or its node.name")
		case pinned == "":
		case !validName(pinned):
			v.complain("hosts."+name+".node", fmt.Sprintf("%q is no name of a node", pinned), "")
		case !v.cfg.Store.Postgres():
			v.complain("hosts."+name+".node", "on SQLite there is one process, and nothing to pin to: leave out node", "")
		}
	}
}

// badFile says what is wrong with a database's file; "" if nothing is.
func badFile(file string) string {
	switch {
	case file == "":
		return "want sqlite:FILE"
	case strings.HasPrefix(file, ":memory:"):
		return "a record in memory would be lost: want sqlite:FILE"
	case strings.ContainsAny(file, "?#"):
		return "the file's name cannot have ? or #, and options are not supported: want sqlite:FILE"
	}
	return ""
}

// configured complains about a name that is not a configured host.
func (v *validator) configured(field, name string) {
	if _, ok := v.cfg.Hosts[name]; ok || len(v.cfg.Hosts) == 0 {
		return
	}
	names := v.cfg.HostNames()
	if meant := nearest(name, names); meant != "" {
		v.complain(field, fmt.Sprintf("no host %q is configured: did you mean %s?", name, meant), "")
		return
	}
	v.complain(field, fmt.Sprintf("no host %q is configured", name), "configured hosts: "+strings.Join(names, ", "))
}

func (v *validator) targets() {
	t := v.cfg.Targets
	for label, host := range t.Hosts {
		v.configured("targets.hosts."+label, host)
	}
	for _, list := range []struct {
		name   string
		labels List
	}{{"host_labels", t.HostLabels}, {"container_labels", t.ContainerLabels}, {"unit_labels", t.UnitLabels}, {"mount_labels", t.MountLabels}} {
		for i, label := range list.labels {
			if label == "" {
				v.complain(fmt.Sprintf("targets.%s[%d]", list.name, i), "a label has a name", "")
			}
		}
	}
}

func (v *validator) policy() {
	for i, r := range v.cfg.Policy.Rules {
		field := fmt.Sprintf("policy.rules[%d]", i)
		if r.Program == "" || strings.ContainsAny(r.Program, "/ \t") {
			v.complain(field+".program", fmt.Sprintf("want a program's name without folder and arguments, got %q", cmp.Or(r.Program, "nothing")), "")
		}
		if r.Host != "" {
			v.configured(field+".host", r.Host)
		}
	}
}

func (v *validator) protect() {
	for _, list := range []struct {
		name  string
		kind  lifeline.TargetKind
		names List
	}{{"units", lifeline.TargetUnit, v.cfg.Protect.Units}, {"containers", lifeline.TargetContainer, v.cfg.Protect.Containers}} {
		for i, name := range list.names {
			if err := list.kind.CheckName(name); err != nil {
				v.complain(fmt.Sprintf("protect.%s[%d]", list.name, i), err.Error(), "")
			}
		}
	}
}
