package cli

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lifeline"
	"lifeline/internal/escape"
)

// script is the whole output: a script for a POSIX shell whose comments are for
// the person who reads it before they run it.
func (h *hardening) script() string {
	var b strings.Builder
	note := func(text string) {
		for line := range strings.SplitSeq(text, "\n") {
			b.WriteString(strings.TrimRight("# "+escape.Line(line), " ") + "\n")
		}
	}
	b.WriteString("#!/bin/sh\n")
	note(fmt.Sprintf("For root on %s, to read first. Lifeline is in mode %s there and comes in as %s.\nThis was printed, and nothing was changed. It can be run again.", h.host, h.mode, h.user))
	b.WriteString("set -eu\n\n")
	h.account(&b, note)
	h.keys(&b, note)
	h.changes(&b, note)
	h.docker(&b, note)
	note("5. What none of this restricts. The account can\n" +
		"- read every file that everybody may read, and the journal; see all processes\n" +
		"  and their command lines;\n" +
		"- write into its home and /tmp, fill the disk, use the processor and memory;\n" +
		"- open connections to other machines.\n" +
		"In authorized_keys there is no forced command: Lifeline sends each command as a\n" +
		"script to /bin/sh, and a forced command that runs it restricts nothing.\n" +
		"So if Lifeline's filter is wrong, what is left is what this account may do.")
	return b.String()
}

// account makes the user.
func (h *hardening) account(b *strings.Builder, note func(string)) {
	note("1. An account of its own, without a password. The group systemd-journal reads the\njournal and nothing else; without it journalctl shows little.")
	fmt.Fprintf(b, `id -u %[1]s >/dev/null 2>&1 || useradd --create-home --shell /bin/sh --comment Lifeline %[1]s
usermod --password '*' %[1]s
if getent group systemd-journal >/dev/null; then usermod --append --groups systemd-journal %[1]s; fi

`, h.user)
}

// keys lets Lifeline's key in, for commands only.
func (h *hardening) keys(b *strings.Builder, note func(string)) {
	options := []string{"restrict"}
	if len(h.jumpsTo) > 0 {
		options = append(options, "port-forwarding")
		for _, to := range h.jumpsTo {
			options = append(options, fmt.Sprintf("permitopen=%q", to))
		}
	}
	if len(h.from) > 0 {
		options = append(options, fmt.Sprintf("from=%q", strings.Join(h.from, ",")))
	}
	note("2. Its key: commands only. \"restrict\" takes away the terminal, forwarding, the agent\nand ~/.ssh/rc, and whatever a later OpenSSH adds. The file is root's, in a folder of\nroot's, so that the account cannot let another key in.")
	if len(h.jumpsTo) > 0 {
		note("Other hosts are reached through this one: it may forward to them, and only there.")
	}
	if len(h.from) == 0 {
		note("Better with --from: then the key is good from Lifeline's own address only.")
	}
	key := h.publicKey
	if key == "" {
		note("The public key was not found. Put it in the place of PUBLIC-KEY; it is what this prints:\n  ssh-keygen -y -f " + escape.Word(orText(h.identity, "IDENTITY")))
		key = "PUBLIC-KEY"
	}
	fmt.Fprintf(b, `install -d -m 0755 -o root -g root /etc/ssh/authorized_keys.d
cat >/etc/ssh/authorized_keys.d/%[1]s <<'KEYS'
%[2]s %[3]s
KEYS
chmod 0644 /etc/ssh/authorized_keys.d/%[1]s
cat >/etc/ssh/sshd_config.d/10-lifeline.conf <<'SSHD'
Match User %[1]s
    AuthorizedKeysFile /etc/ssh/authorized_keys.d/%%u
    AuthenticationMethods publickey
SSHD
sshd -t
`, h.user, strings.Join(options, ","), key)
	note("This needs \"Include /etc/ssh/sshd_config.d/*.conf\" in sshd_config, as most systems have\nit. sshd takes it at its next reload: systemctl reload ssh (on some systems sshd). Keep a\nsession of your own open until you have seen that you can still log in.")
	b.WriteString("\n")
}

func orText(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// changes lets the account make the changes that the policy lets through.
func (h *hardening) changes(b *strings.Builder, note func(string)) {
	if h.mode == lifeline.ModeObserve {
		note("3. Changes: none. In mode observe the policy denies every change, so the account gets\nno right to make one.")
	} else if len(h.units)+len(h.containers) == 0 {
		note("3. Changes: none. Name what may be changed, and this prints the exact rights for it:\n  lifeline hosts harden " + h.host + " --unit nginx.service --container web")
	}
	if h.mode == lifeline.ModeSuggest && len(h.units)+len(h.containers) > 0 {
		note("In mode suggest a person decides about each change before Lifeline makes it. The\naccount can make those below all the same: the rights are the account's.")
	}
	for _, l := range h.left {
		note("left out, as the policy denies it: " + l)
	}
	if len(h.units) > 0 {
		h.polkit(b, note)
	}
	if len(h.units)+len(h.containers) > 0 {
		h.sudoers(b, note)
	}
	b.WriteString("\n")
}

// polkit is for systemctl as Lifeline's tools and shipped runbooks call it,
// without sudo.
func (h *hardening) polkit(b *strings.Builder, note func(string)) {
	verbs := map[string][]string{}
	for _, g := range h.units {
		unit := fullName(g.name)
		if !slices.Contains(verbs[unit], g.verb) {
			verbs[unit] = append(verbs[unit], g.verb)
		}
	}
	table, err := json.MarshalIndent(verbs, "    ", "    ")
	if err != nil { // a map of lists of texts always encodes
		panic("cli: " + err.Error())
	}
	note("3a. Changes of units. Lifeline's tools and runbooks call \"systemctl restart UNIT\" without\nsudo; polkit decides about that. Without polkitd on the host they fail, and only the\ncommands with \"sudo -n\" below work. These units with these verbs, and no others:")
	fmt.Fprintf(b, `install -d -m 0755 /etc/polkit-1/rules.d
cat >/etc/polkit-1/rules.d/10-lifeline.rules <<'POLKIT'
polkit.addRule(function(action, subject) {
    var allowed = %s;
    if (action.id != "org.freedesktop.systemd1.manage-units" || subject.user != %q)
        return polkit.Result.NOT_HANDLED;
    var unit = action.lookup("unit"), verb = action.lookup("verb");
    if (allowed.hasOwnProperty(unit) && allowed[unit].indexOf(verb) >= 0)
        return polkit.Result.YES;
    return polkit.Result.NO;
});
POLKIT
`, table, h.user)
}

// fullName is a unit's name with its type, as systemd tells it to polkit.
func fullName(unit string) string {
	for _, suffix := range []string{".service", ".socket", ".timer", ".path"} {
		if strings.HasSuffix(unit, suffix) {
			return unit
		}
	}
	return unit + ".service"
}

// sudoers is for commands that are written with sudo -n.
func (h *hardening) sudoers(b *strings.Builder, note func(string)) {
	note("3b. Changes that a model, a runbook of yours or a person writes with \"sudo -n\": these\ncommands with exactly these arguments. Where \"command -v docker\" or \"command -v\nsystemctl\" says another path, change it here.")
	b.WriteString("command -v visudo >/dev/null || { echo 'sudo is not installed: install it and run this again' >&2; exit 1; }\nnew=$(mktemp)\ncat >\"$new\" <<'SUDOERS'\n")
	for _, g := range slices.Concat(h.units, h.containers) {
		for _, name := range spellings(g) {
			fmt.Fprintf(b, "%s ALL=(root) NOPASSWD: /usr/bin/%s %s %s\n", h.user, g.program, g.verb, sudoersWord(name))
		}
	}
	b.WriteString("SUDOERS\nvisudo -c -f \"$new\"\ninstall -m 0440 -o root -g root \"$new\" /etc/sudoers.d/lifeline\nrm -f \"$new\"\n")
}

// spellings are the names of one thing: sudo compares letters.
func spellings(g grant) []string {
	short, isService := strings.CutSuffix(g.name, ".service")
	switch {
	case g.program != "systemctl":
		return []string{g.name}
	case isService:
		return []string{g.name, short}
	}
	if full := fullName(g.name); full != g.name {
		return []string{full, g.name}
	}
	return []string{g.name}
}

// sudoersWord is an argument as sudoers(5) writes it. The names that get here
// have no wildcard in them, but sudo takes every argument for a pattern: a
// backslash is escaped once for the file and once for the pattern.
func sudoersWord(s string) string {
	return strings.NewReplacer(`\`, `\\\\`, ",", `\,`, ":", `\:`, "=", `\=`).Replace(s)
}

// docker says what there is to say about docker.
func (h *hardening) docker(b *strings.Builder, note func(string)) {
	note("4. Docker. Lifeline's tools and runbooks call docker without sudo, to look as well as to\n" +
		"change. For that the account has to be in the group docker, and THE GROUP DOCKER IS\n" +
		"ROOT: whoever may talk to docker's socket can start a container that has the whole\n" +
		"disk of this host in it. With it, all of the above restricts nothing any more, and\n" +
		"Lifeline's filter is all that stands between a model and this host.\n" +
		"A proxy before the socket that lets through GET, and start and restart of the named\n" +
		"containers, would hold; it is not set up here.\n" +
		"If you accept that:\n  usermod --append --groups docker " + h.user +
		"\nWithout it, containers are out of Lifeline's sight, but for commands with \"sudo -n\".")
	b.WriteString("\n")
}
