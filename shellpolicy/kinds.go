package shellpolicy

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// kindFunc checks that a word is of a kind. It gives "" or why it is not, and
// puts on record what the word adds: a mark, a protected target.
type kindFunc func(c *call, a arg) string

// kinds gives the check of a kind by its name in the catalogue; nil if there is
// none.
func kinds(kind string) kindFunc {
	if re := shapes(kind); re != nil {
		return func(c *call, a arg) string { return fitsShape(kind, re, a) }
	}
	switch kind {
	case "any": // any number of words of any text
		return func(*call, arg) string { return "" }
	case "text":
		return oneText
	case "literal":
		return literalText
	case "path":
		return func(c *call, a arg) string { return c.path(a, seesNames) }
	case "archive": // tar takes a name with a colon for another machine's
		return func(c *call, a arg) string {
			if strings.Contains(a.text, ":") {
				return fmt.Sprintf("%q could be a file on another machine", clip(a.show()))
			}
			return c.path(a, seesContent)
		}
	case "file":
		return func(c *call, a arg) string { return c.path(a, seesContent) }
	case "tree":
		return func(c *call, a arg) string { return c.path(a, seesTree) }
	case "device":
		return device
	case "null":
		return nullFile
	case "target":
		return containerTarget
	case "unittarget":
		return unitTarget
	case "host", "hostname":
		return func(c *call, a arg) string { return c.host(a, true) }
	case "sni": // a name that is sent, not looked up
		return func(c *call, a arg) string { return c.host(a, false) }
	case "hostport":
		return hostPort
	case "address": // looked up in this machine's own tables, not contacted
		return func(c *call, a arg) string { return fitsShape("address", address, a) }
	case "url":
		return webAddress
	case "header":
		return header
	case "curlformat":
		return curlFormat
	case "template", "inspecttemplate", "pstemplate":
		return func(c *call, a arg) string { return c.template(a, kind) }
	case "jq":
		return jqFilter
	case "sed":
		return sedScript
	case "awk":
		return awkProgram
	case "awkvar":
		return awkVariable
	case "props":
		return unitProperties
	case "resource":
		return kubeResource
	case "kubeoutput":
		return kubeOutput
	case "revision":
		return gitRevision
	case "pagecount":
		return pageCount
	case "seconds":
		return seconds
	case "sql":
		return sqlQuery
	case "dockerps":
		return dockerFilter
	case "psoperand":
		return psOperand
	case "digoperand":
		return digOperand
	case "awkoperand":
		return awkOperand
	}
	return nil
}

// shapes are the kinds that one expression describes. What is known only when
// it runs fits where a safe name does.
func shapes(kind string) *regexp.Regexp {
	switch kind {
	case "name", "container", "unit", "image", "user", "iface", "pid":
		return name0
	case "unitglob": // read only: a pattern of units
		return unitGlob
	case "word":
		return word0
	case "ident": // begins with a letter: no number, no option, no assignment
		return ident
	case "rpmformat":
		return rpmFormat
	case "number":
		return number
	case "count": // of lines: 50, +3, -20, all
		return count
	case "size":
		return size
	case "duration":
		return duration
	case "signal":
		return signal
	case "list": // pid,cmd,%mem
		return list
	case "sortkey":
		return sortKey
	case "dateformat":
		return dateFormat
	case "psbsd":
		return psBSD
	case "psfields":
		return psFields
	case "sysctlkey":
		return sysctlKey
	case "chars":
		return chars
	case "symbols":
		return symbols
	case "permission":
		return permission
	case "limit": // a number that bounds what else would go on
		return limit
	}
	return nil
}

var (
	name0      = regexp.MustCompile(`\A[A-Za-z0-9_.@:/+%][A-Za-z0-9_.@:/+%\\-]*\z`)
	unitGlob   = regexp.MustCompile(`\A[A-Za-z0-9_.@:*?\[][A-Za-z0-9_.@:*?\[\]\\-]*\z`)
	ident      = regexp.MustCompile(`\A[A-Za-z_][A-Za-z0-9_.-]*\z`)
	rpmFormat  = regexp.MustCompile(`\A(?:[A-Za-z0-9 _.,|=-]|\\[nt]|%-?[0-9]*\{[A-Z0-9_]+(?::[a-z]+)?\}|\[|\])*\z`)
	limit      = regexp.MustCompile(`\A[0-9]{1,4}\z`)
	word0      = regexp.MustCompile(`\A[A-Za-z0-9_.@:/+%,=][A-Za-z0-9_.@:/+%,=\\-]*\z`)
	number     = regexp.MustCompile(`\A[0-9]{1,9}(?:\.[0-9]{1,6})?\z`)
	count      = regexp.MustCompile(`\A[+-]?[0-9]{1,9}[kKMGb]?\z|\Aall\z`)
	size       = regexp.MustCompile(`\A[+-]?[0-9]*[A-Za-z]{0,3}\z`)
	duration   = regexp.MustCompile(`\A(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|ms|s|m|h|d|w)?)+\z`)
	signal     = regexp.MustCompile(`\A(?:[0-9]{1,2}|[A-Z0-9+-]{2,12})\z`)
	list       = regexp.MustCompile(`\A[A-Za-z0-9_%+.:/*=-][A-Za-z0-9_%+,.:/*= -]*\z`)
	sortKey    = regexp.MustCompile(`\A[0-9]+(?:\.[0-9]+)?[A-Za-z]*(?:,[0-9]+(?:\.[0-9]+)?[A-Za-z]*)?\z`)
	dateFormat = regexp.MustCompile(`\A\+[^\n]*\z`)
	// The letter e would show the environment of the processes.
	psBSD     = regexp.MustCompile(`\A[axuwfjlvsTLXShcn]{1,8}[o]?\z`)
	psFields  = regexp.MustCompile(`\A(?:(?:[a-df-z%][a-z0-9_%]*|euid|euser|egid|egroup|etime|etimes|eip|esp|eu[a-z]*|ex[a-z]*|etimes)(?::[0-9]+)?(?:=[A-Za-z0-9 _-]*)?(?:[, ]|\z))+\z`)
	sysctlKey = regexp.MustCompile(`\A[a-z0-9_*-]+(?:[./][A-Za-z0-9_*-]+)*\z`)
	chars     = regexp.MustCompile(`\A[^\n]{0,200}\z|\A\n\z`)
	// Filter languages that can only select: ss, jq-free selectors, field lists.
	symbols    = regexp.MustCompile(`\A[A-Za-z0-9_.,:*=<>!()/\[\]{}@%'"|& -]+\z`)
	permission = regexp.MustCompile(`\A[-/]?(?:[0-7]{1,4}|[ugoa+=rwxst,-]{1,20})\z`)
	address    = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9.:/_%-]*\z`)
)

// psOperand is what may follow ps's first words: process numbers, fields after
// axo, or more letters. The letter e would show environments.
func psOperand(_ *call, a arg) string {
	switch {
	case a.shape == exact && (psBSD.MatchString(a.text) || number.MatchString(strings.ReplaceAll(a.text, ",", "")) || strings.Contains(a.text, ",") && psFields.MatchString(a.text)):
		return ""
	}
	return fmt.Sprintf("%q is no list of ps fields or process numbers", clip(a.show()))
}

var recordType = regexp.MustCompile(`\A(?i:a|aaaa|mx|ns|txt|soa|srv|cname|ptr|caa|any|in|ds|dnskey)\z`)

// digOperand is a name, a record type or @server.
func digOperand(c *call, a arg) string {
	if a.shape == exact && recordType.MatchString(a.text) {
		return ""
	}
	if server, ok := strings.CutPrefix(a.text, "@"); ok && a.shape == exact {
		return c.host(lit(server), true)
	}
	return c.host(a, true)
}

// awkOperand is a file or name=value.
func awkOperand(c *call, a arg) string {
	if a.shape == exact && awkAssignment.MatchString(a.text) {
		return awkVariable(c, a)
	}
	return c.path(a, seesContent)
}

func fitsShape(kind string, re *regexp.Regexp, a arg) string {
	switch {
	case a.shape == exact && re.MatchString(a.text):
		return ""
	case a.shape == pattern && a.safe && (re == word0 || re == name0 || re == unitGlob || re == address || re == number || re == count || re == list) && re.MatchString(strings.ReplaceAll(a.text, "*", "1")):
		return "" // a safe name may be no number; then the program says so
	case a.shape == exact:
		return fmt.Sprintf("%q is no %s", clip(a.show()), kindName(kind))
	case a.shape == pattern && !a.safe:
		return fmt.Sprintf("%q is a glob where a %s belongs: quote it or write it out", clip(a.show()), kindName(kind))
	}
	return fmt.Sprintf("the %s is known only when it runs: write it out", kindName(kind))
}

func kindName(kind string) string {
	switch kind {
	case "psbsd", "psfields":
		return "list of ps fields that shows no environment"
	case "sysctlkey":
		return "name of a kernel setting (a value would be written)"
	case "dateformat":
		return "date format beginning with +"
	case "list":
		return "list of fields"
	case "container", "unit", "image":
		return "name of a " + kind
	case "unitglob":
		return "name of a unit"
	}
	return kind
}

// oneText is one word of any text that cannot be an option.
func oneText(_ *call, a arg) string {
	if a.many {
		return fmt.Sprintf("%q may be several words: quote it", clip(a.show()))
	}
	if a.shape != exact && a.mayBeFlag() {
		return "a text that is known only when it runs could be taken for an option: put a word of your own before it"
	}
	return ""
}

func literalText(_ *call, a arg) string {
	if a.shape != exact {
		return fmt.Sprintf("%q is known only when it runs: write it out", clip(a.show()))
	}
	return ""
}

func device(_ *call, a arg) string {
	if a.shape == anyText || !deviceName.MatchString(a.text) {
		return fmt.Sprintf("%q is no device such as /dev/sda", clip(a.show()))
	}
	return ""
}

var deviceName = regexp.MustCompile(`\A/dev/[A-Za-z0-9_?*\[\]-]+(?:/[A-Za-z0-9_.:?*\[\]-]+)*\z`)

func nullFile(_ *call, a arg) string {
	if !a.isLit("/dev/null") && !a.isLit("-") {
		return fmt.Sprintf("%q would be written to; only /dev/null and - may stand there", clip(a.show()))
	}
	return ""
}

func seconds(c *call, a arg) string {
	if a.isLit("infinity") || a.isLit("inf") {
		c.effects[string(Unbounded)] = true
		return ""
	}
	if why := fitsShape("duration", duration, a); why != "" {
		return why
	}
	if a.shape == exact && !shortSleep.MatchString(a.text) {
		c.effects[string(Unbounded)] = true
	}
	return ""
}

// shortSleep is under five minutes.
var shortSleep = regexp.MustCompile(`\A(?:[0-9]{1,2}|[12][0-9]{2})(?:\.[0-9]+)?s?\z|\A[0-4]m\z`)

// pageCount is the second number of "vmstat 1 3".
func pageCount(_ *call, a arg) string {
	if a.shape != exact || !number.MatchString(a.text) || len(a.text) > 3 {
		return fmt.Sprintf("%q is no count below 1000", clip(a.show()))
	}
	return ""
}

var containerName = regexp.MustCompile(`\A[a-zA-Z0-9][a-zA-Z0-9_.-]*\z`)

// hexName is what docker may take for the beginning of an ID.
var hexName = regexp.MustCompile(`\A[0-9a-f]+\z`)

// containerTarget is a container that a change is for: named, so that it can be
// seen to be none of the protected ones.
func containerTarget(c *call, a arg) string {
	if a.shape != exact {
		c.shield("which container it is for is known only when it runs: a change needs the name written out")
		return ""
	}
	if !containerName.MatchString(a.text) {
		return fmt.Sprintf("%q is no name of a container", clip(a.text))
	}
	if hexName.MatchString(a.text) && (len(a.text) == 1 || len(a.text) >= 12 || strings.ContainsAny(a.text, "0123456789")) {
		c.shield("%q may be the ID of any container: a change needs the name", a.text)
	}
	for _, p := range slices.Concat([]string{"lifeline"}, c.j.policy.Protected.Containers) {
		p = strings.TrimPrefix(p, "/")
		if strings.EqualFold(p, a.text) || hexName.MatchString(p) && len(p) >= 12 && strings.HasPrefix(p, strings.ToLower(a.text)) ||
			p == "lifeline" && strings.HasPrefix(strings.ToLower(a.text), "lifeline") {
			c.shield("the container %q is protected: no change may touch it", a.text)
		}
	}
	return ""
}

func (c *call) shield(format string, a ...any) {
	if c.shielded == "" {
		c.shielded = fmt.Sprintf(format, a...)
	}
}

// unitName is what a change may be for: no glob, and no unit that stands for
// others (a target, a slice, a mount).
var unitName = regexp.MustCompile(`\A[a-zA-Z0-9_][a-zA-Z0-9:_.\\-]*(?:@[a-zA-Z0-9:_.\\-]*)?\z`)

// protectedUnits are the line to the host and what it stands on. A name before
// an @ or a dash at its end stands for all that begin so.
func protectedUnits() []string {
	return []string{
		"ssh", "sshd", "ssh@", "sshd@", "dropbear", "dropbear@", "lifeline", "lifeline-", "lifeline@", "tailscaled", "wg-quick@", "openvpn", "openvpn@",
		"openvpn-client@", "zerotier-one", "cloudflared", "networking", "network", "NetworkManager", "wicked", "dhcpcd",
		"wpa_supplicant", "systemd-", "dbus", "dbus-", "polkit", "nftables", "iptables", "ip6tables", "netfilter-persistent",
		"firewalld", "ufw", "fail2ban", "user@", "user-runtime-dir@", "getty@", "emergency", "rescue", "netplan-", "ifup@", "init", "halt", "reboot",
		"poweroff", "kexec", "auditd", "sssd", "nslcd",
	}
}

func unitTarget(c *call, a arg) string {
	if a.shape != exact {
		c.shield("which unit it is for is known only when it runs: a change needs the name written out")
		return ""
	}
	if !unitName.MatchString(a.text) {
		return fmt.Sprintf("%q is no name of one unit", clip(a.text))
	}
	base := a.text
	for _, suffix := range []string{".service", ".socket", ".timer", ".path"} {
		if cut, ok := strings.CutSuffix(base, suffix); ok {
			base = cut
			break
		}
	}
	for _, suffix := range []string{".target", ".slice", ".scope", ".mount", ".automount", ".swap", ".device"} {
		if strings.HasSuffix(base, suffix) {
			return fmt.Sprintf("%q stands for more than one service: only services, sockets, timers and paths are changed", a.text)
		}
	}
	lower := strings.ToLower(base)
	for _, p := range slices.Concat(protectedUnits(), c.j.policy.Protected.Units) {
		p = strings.ToLower(p)
		for _, suffix := range []string{".service", ".socket", ".timer", ".path"} {
			p = strings.TrimSuffix(p, suffix)
		}
		open := strings.HasSuffix(p, "@") || strings.HasSuffix(p, "-")
		if lower == p || open && strings.HasPrefix(lower, p) {
			c.shield("the unit %q is protected: no change may touch it", a.text)
		}
	}
	return ""
}

// unitProperties is a list for systemctl show -p. Environment holds secrets.
func unitProperties(c *call, a arg) string {
	if why := fitsShape("list", list, a); why != "" {
		return why
	}
	for p := range strings.SplitSeq(a.text, ",") {
		if p = strings.ToLower(strings.TrimSpace(p)); p == "environment" || p == "passenvironment" || strings.HasPrefix(p, "exec") && !strings.HasPrefix(p, "execmain") || strings.ContainsAny(p, "*=") || a.shape != exact {
			c.effects[string(Sensitive)] = true
		}
	}
	return ""
}

// gitRevision is a branch, commit, range or path; "commit:path" would show any
// file of the history.
func gitRevision(c *call, a arg) string {
	if a.shape != exact || strings.Contains(a.text, ":") {
		return fmt.Sprintf("%q is no plain revision", clip(a.show()))
	}
	return c.path(a, seesContent)
}

// dockerFilter is docker's --filter.
func dockerFilter(_ *call, a arg) string {
	if a.shape == exact && !dockerFilterText.MatchString(a.text) || a.many || a.shape == anyText && a.mayBeFlag() {
		return fmt.Sprintf("%q is no filter such as name=web", clip(a.show()))
	}
	return ""
}

var dockerFilterText = regexp.MustCompile(`\A[a-z.-]+!?=[^\n]*\z`)

// kubeResource is a list of resource types, or type/name. Secrets hold secrets.
func kubeResource(c *call, a arg) string {
	if why := fitsShape("word", word0, a); why != "" {
		return why
	}
	lower := strings.ToLower(a.text)
	if strings.Contains(lower, "secret") || a.shape != exact {
		return fmt.Sprintf("%q may be secrets, which are not read", clip(a.show()))
	}
	if strings.Contains(lower, "configmap") || lower == "cm" || strings.HasPrefix(lower, "cm/") || strings.Contains(lower, "token") {
		c.effects[string(Sensitive)] = true
	}
	return ""
}

func kubeOutput(c *call, a arg) string {
	switch {
	case a.shape != exact || strings.Contains(a.text, "file="):
		return fmt.Sprintf("%q is no output format that can be judged", clip(a.show()))
	case a.text == "wide" || a.text == "name":
		return ""
	case (strings.HasPrefix(a.text, "jsonpath=") || strings.HasPrefix(a.text, "custom-columns=")) && !kubeSecretive.MatchString(a.text):
		return ""
	}
	c.effects[string(Sensitive)] = true
	return ""
}

var kubeSecretive = regexp.MustCompile(`(?i)env|\.(?:string)?data|annotation|@|\*\}|spec\}|template\}|containers\[[^]]*\]\}|\.\.|args|command`)

// loopback reports whether a host is this machine itself.
func loopback(h string) bool {
	if ip, err := netip.ParseAddr(h); err == nil {
		return ip.Unmap().IsLoopback() || ip.IsUnspecified()
	}
	h = strings.ToLower(strings.TrimSuffix(h, "."))
	return h == "localhost" || h == "ip6-localhost"
}
