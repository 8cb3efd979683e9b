package cli

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/app"
	"lifeline/internal/config"
	"lifeline/internal/escape"
	"lifeline/shellpolicy"
)

type hardenFlags struct {
	units, containers, from []string
	user                    string
}

func newHarden(g *globals) *cobra.Command {
	var f hardenFlags
	cmd := &cobra.Command{
		Use:   "harden HOST",
		Short: "Print the commands that restrict Lifeline's account on a host; changes nothing",
		Long: `Print, from the host's effective policy, a script for root on that host: a
dedicated account, a polkit rule and a sudoers file with the exact changes that
the policy allows on the named units and containers, and the line for
authorized_keys. It says what these do not restrict.

Nothing is changed and no host is contacted. What is restricted is what is
named: by --unit and --container, and by the operands of your policy rules.`,
		Example: `  lifeline hosts harden nexus --unit nginx.service --container web --from 192.168.0.5
  lifeline hosts harden nexus --unit nginx.service > harden-nexus.sh`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			if _, ok := cfg.Hosts[args[0]]; !ok {
				return unknownHost(args[0], cfg.HostNames())
			}
			for _, list := range []*[]string{&f.units, &f.containers, &f.from} { // repeated, or separated by commas
				*list = strings.FieldsFunc(strings.Join(*list, ","), func(r rune) bool { return r == ',' })
			}
			h, err := newHardening(cmd, cfg, args[0], f)
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(g.std.Out, h.script())
			return err
		},
	}
	cmd.Flags().StringArrayVar(&f.units, "unit", nil, "a systemd `UNIT` that may be changed as the policy says; repeat or separate by commas")
	cmd.Flags().StringArrayVar(&f.containers, "container", nil, "a docker `CONTAINER` that may be changed as the policy says; as above")
	cmd.Flags().StringArrayVar(&f.from, "from", nil, "`ADDRESS` or network that Lifeline connects from, as the host sees it")
	cmd.Flags().StringVar(&f.user, "user", "", "name of the `ACCOUNT` (default: the host's user in the configuration, or lifeline)")
	return cmd
}

// grant is one change that the policy lets through: what Lifeline runs, and
// which operand it is for.
type grant struct {
	program, verb, name string
}

// hardening is what restricts the account on one host.
type hardening struct {
	host, user string
	mode       lifeline.Mode
	from       []string
	publicKey  string
	identity   string
	// jumpsTo are the addresses of the hosts that are reached through this one.
	jumpsTo    []string
	units      []grant
	containers []grant
	// left are the changes that were asked for and that the policy denies.
	left []string
}

// The changes that the policy may allow on a unit and on a container.
var (
	unitVerbs      = [...]string{"start", "restart", "try-restart", "reload", "reload-or-restart", "reset-failed"}
	containerVerbs = [...]string{"start", "restart"}
)

// accountName is what useradd of Debian takes, and what needs no quoting.
var accountName = regexp.MustCompile(`\A[a-z_][a-z0-9_-]{0,30}\z`)

func newHardening(cmd *cobra.Command, cfg *config.Config, host string, f hardenFlags) (*hardening, error) {
	h := &hardening{host: host, mode: cfg.Hosts[host].Mode, from: f.from, user: cmp.Or(f.user, cfg.Hosts[host].User, "lifeline")}
	switch {
	case cfg.Hosts[host].Local:
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("host %s is local: its commands run as the account that Lifeline itself runs as", host),
			Hint: "run Lifeline as an account of its own, and reach this machine over SSH as another one: address: 127.0.0.1"}
	case h.user == "root":
		return nil, &lifeline.Error{Code: lifeline.CodeUsage, Message: fmt.Sprintf("Lifeline comes to %s as root, which nothing restricts", host),
			Hint: fmt.Sprintf("lifeline hosts harden %s --user lifeline, and afterwards user: lifeline in %s", host, cfg.File())}
	case !accountName.MatchString(h.user):
		return nil, usage(cmd, "account %q: want small letters, digits, - and _, 31 at most", h.user)
	}
	for _, from := range h.from {
		if _, err := netip.ParseAddr(from); err != nil {
			if _, err := netip.ParsePrefix(from); err != nil {
				return nil, usage(cmd, "--from %q: want an IP address or a network such as 192.168.0.0/24", from)
			}
		}
	}
	units, containers := slices.Clone(f.units), slices.Clone(f.containers)
	for _, r := range cfg.Policy.Rules {
		if (r.Host == "" || r.Host == host) && r.Decision != string(shellpolicy.Deny) {
			u, c := named(r)
			units, containers = append(units, u...), append(containers, c...)
		}
	}
	policy := app.Policy(cfg, host)
	for _, list := range []struct {
		kind    lifeline.TargetKind
		program string
		names   []string
		verbs   []string
		grants  *[]grant
	}{
		{lifeline.TargetUnit, "systemctl", units, unitVerbs[:], &h.units},
		{lifeline.TargetContainer, "docker", containers, containerVerbs[:], &h.containers},
	} {
		for _, name := range slices.Compact(slices.Sorted(slices.Values(list.names))) {
			if err := list.kind.CheckName(name); err != nil {
				return nil, usage(cmd, "%v", err)
			}
			for _, verb := range list.verbs {
				h.judge(policy, grant{list.program, verb, name}, list.grants)
			}
		}
	}
	for _, name := range cfg.HostNames() {
		if other := cfg.Hosts[name]; slices.Contains(other.ProxyJump, host) && other.Address != "" {
			h.jumpsTo = append(h.jumpsTo, withPort(other.Address))
		}
	}
	h.readKey(cfg.Hosts[host].Identity)
	return h, nil
}

// named gives the units and containers that a rule names.
func named(r config.Rule) (units, containers []string) {
	args := slices.DeleteFunc(slices.Clone([]string(r.Args)), func(a string) bool { return strings.HasPrefix(a, "-") })
	if r.Program == "docker" && len(args) > 0 && args[0] == "container" {
		args = args[1:]
	}
	switch {
	case len(args) < 2:
	case r.Program == "systemctl" && slices.Contains(unitVerbs[:], args[0]):
		units = args[1:]
	case r.Program == "docker" && slices.Contains(containerVerbs[:], args[0]):
		containers = args[1:]
	}
	return units, containers
}

// judge keeps a change if the policy lets it through, with or without a person.
func (h *hardening) judge(policy shellpolicy.Policy, g grant, to *[]grant) {
	v := shellpolicy.Judge("sudo -n "+g.command(), policy)
	if v.Decision == shellpolicy.Allow || v.Decision == shellpolicy.Ask {
		*to = append(*to, g)
		return
	}
	h.left = append(h.left, fmt.Sprintf("%s: %s", g.command(), v.Reason))
}

// command is the change as Lifeline's tools, runbooks and models write it.
func (g grant) command() string { return g.program + " " + g.verb + " " + escape.Word(g.name) }

// readKey finds the public half of the key that Lifeline comes with.
func (h *hardening) readKey(identities []string) {
	for _, file := range identities {
		h.identity = cmp.Or(h.identity, file)
		data, err := os.ReadFile(file + ".pub")
		line, _, _ := bytes.Cut(data, []byte("\n"))
		if err == nil && publicKeyLine.Match(line) {
			h.publicKey = string(line)
			return
		}
	}
}

// publicKeyLine is a line of a .pub file: nothing in it ends a quoted word.
var publicKeyLine = regexp.MustCompile(`\A[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,3}(?: [A-Za-z0-9@._ -]*)?\z`)

// withPort is an address with the port that it has if it names none.
func withPort(address string) string {
	if _, err := netip.ParseAddrPort(address); err == nil {
		return address
	}
	if ip, err := netip.ParseAddr(address); err == nil {
		return netip.AddrPortFrom(ip, 22).String()
	}
	if strings.Contains(address, ":") {
		return address
	}
	return address + ":22"
}
