package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

const host = "hosts: {a: {local: true}}\n"

// remote is a host that every node may work.
const remote = "hosts: {a: {address: b}}\n"

// Every complaint, with its place: "LINE:COLUMN: FIELD: TEXT", one a line.
func TestProblems(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		// The form.
		{"", "hosts: no host is configured"},
		{"# nothing\n", "hosts: no host is configured"},
		{"hosts:\n", "1:1: hosts: no host is configured"},
		{"- a\n", "1:1: want keys with values, got a list"},
		{"just text", "1:1: want keys with values, got text"},
		{"hosts: [a\n", "1:8: sequence end token ']' not found"},
		{"hosts:\n\ta: {}\n", "2:1: found character '\t' that cannot start any token"},
		{host + "---\nlisten: x\n", "3:1: a second document begins here: one file is one configuration"},
		{"# ok\n" + host + "\xff\n", "3:1: the line is not UTF-8 text"},
		{host + "runbooks: " + strings.Repeat("[", 100), "2:75: more than 64 levels of brackets"},
		{host + host, "2:1: hosts: the key is given twice, first in line 1"},
		{"hosts:\n  a: {local: true}\n  a: {local: true}\n", "3:3: hosts.a: the key is given twice, first in line 2"},
		{"hosts: {a: {local: true, local: true}}", "1:26: hosts.a.local: the key is given twice, first in line 1"},
		{"hosts: {a: !!map {local: true}}", "1:12: hosts.a: tags such as !!map are not supported"},
		{"hosts: {a: *b}", "1:12: hosts.a: no &b is in this file"},
		{"hosts: {a: &a {<<: *a}}", "1:16: hosts.a: this << leads to itself"},
		{"hosts: {a: &a {local: true}, b: {<<: *a, <<: *a}}", "1:42: hosts.b: << is given twice"},
		{"hosts: {a: &a {local: true}, b: {<<: [*a]}}", "1:38: hosts.b: want keys with values, got a list"},

		// Unknown keys.
		{host + "listn: x\n", "2:1: listn: unknown key: did you mean listen?"},
		{host + "Listen: x\n", "2:1: Listen: unknown key: did you mean listen?"},
		{host + "zzz: x\n", "2:1: zzz: unknown key"},
		{host + "identity: x\n", "2:1: identity: unknown key here: did you mean hosts.NAME.identity?"},
		{host + "max-changes: 1\n", "2:1: max-changes: unknown key"},
		{"hosts:\n  a:\n    adress: x\n    local: true\n", "3:5: hosts.a.adress: unknown key: did you mean address?"},
		{host + "respond: {max-changes: 1}\n", "2:11: respond.max-changes: unknown key: did you mean max_changes?"},
		{host + "policy: {rules: [{decison: allow}]}\n", "2:19: policy.rules[0].decison: unknown key: did you mean decision?"},

		// Values of the wrong kind.
		{"hosts: [a]", "1:8: hosts: want keys with values, got a list"},
		{"hosts: {a: nexus}", "1:12: hosts.a: want keys with values, got text"},
		{"hosts: {a: {local: yes}}", "1:20: hosts.a.local: want true or false, got text"},
		{"hosts: {a: {local: 1}}", "1:20: hosts.a.local: want true or false, got the number 1"},
		{host + "listen: 8674\n", "2:9: listen: want text, got the number 8674: put it in quotes if it is meant"},
		{host + "model: {name: true}\n", "2:15: model.name: want text, got the truth value true: put it in quotes if it is meant"},
		{host + "listen: [a]\n", "2:9: listen: want text, got a list"},
		{host + "ssh: {known_hosts: [a, ~, 5]}\n", "2:24: ssh.known_hosts[1]: want text, got nothing\n2:27: ssh.known_hosts[2]: want text, got the number 5: put it in quotes if it is meant"},
		{host + "policy: {rules: x}\n", "2:17: policy.rules: want a list, got text"},
		{host + "ssh: {run_timeout: 30}\n", "2:20: ssh.run_timeout: want a duration with its unit, got the number 30: did you mean 30s?"},
		{host + "ssh: {run_timeout: soon}\n", `2:20: ssh.run_timeout: want a duration such as 30s, 5m or 1h30m, got "soon"`},
		{host + "ssh: {max_dials: many}\n", "2:18: ssh.max_dials: want a whole number, got text"},
		{host + "ssh: {max_dials: 1.5}\n", "2:18: ssh.max_dials: want a whole number, got the number 1.5"},

		// Values that cannot work.
		{host + "ssh: {run_timeout: 0s, kill_grace: -1s}\n", "2:7: ssh.run_timeout: want a duration above zero\n2:24: ssh.kill_grace: want a duration above zero"},
		{host + "ssh: {keepalive_count: 0, max_sessions: 1001}\n", "2:7: ssh.keepalive_count: want a number from 1 to 100, got 0\n2:27: ssh.max_sessions: want a number from 1 to 1000, got 1001"},
		{host + "ssh: {max_dials: 9223372036854775807}\n", "2:18: ssh.max_dials: the number is too large"},
		{host + "ssh: {host_keys: ask}\n", `2:7: ssh.host_keys: want strict or accept-new, got "ask"`},
		{host + `ssh: {host_keys: ""}` + "\n", `2:7: ssh.host_keys: want strict or accept-new, got ""`},
		{host + "log: {level: warning}\n", `2:7: log.level: want debug, info, warn or error, got "warning": did you mean warn?`},
		{host + "log: {level: inf}\n", `2:7: log.level: want debug, info, warn or error, got "inf": did you mean info?`},
		{host + "responder: models\n", `2:1: responder: want auto, model or runbook, got "models": did you mean model?`},
		{host + "model: {provider: opnai}\n", `2:9: model.provider: want anthropic or openai, got "opnai": did you mean openai?`},
		{host + "model: {provider: openai}\n", "2:1: model.name: want the name of a model as the provider knows it"},
		{host + `model: {name: "", base_url: gateway}` + "\n", "2:9: model.name: want the name of a model, such as claude-haiku-5-5\n2:19: model.base_url: want a URL such as https://gateway.example.net"},
		{host + "model: {base_url: 'ftp://x'}\n", "2:9: model.base_url: want a URL such as https://gateway.example.net"},
		{host + "model: {base_url: 'http://gateway.example.net/v1'}\n", "2:9: model.base_url: http:// to gateway.example.net would show the key and what hosts say to everybody on the way"},
		{host + "model: {base_url: 'http://203.0.113.7/v1', second: {name: x, base_url: 'http://[2001:db8::1]:80'}}\n",
			"2:9: model.base_url: http:// to 203.0.113.7 would show the key and what hosts say to everybody on the way\n2:62: model.second.base_url: http:// to 2001:db8::1 would show the key and what hosts say to everybody on the way"},
		{host + "model: {second: {provider: openai, max_tokens: 0}}\n", "2:9: model.second.name: want the name of the second model\n2:36: model.second.max_tokens: want a number from 1 to 1000000, got 0"},
		{host + "model: {name: x, second: {name: x}}\n", "2:27: model.second.name: the second model is the first: want another one"},
		{host + "model: {budget: {incident_usd: .inf}}\n", "2:32: model.budget.incident_usd: want a number, got the number .inf"},
		{host + "model: {budget: {day_usd: -1, day_tokens: -1}}\n",
			"2:18: model.budget.day_usd: want US dollars from 0 to 1000000, got -1\n2:31: model.budget.day_tokens: want a number from 0 to 1000000000, got -1"},
		{host + "model: {prices: {m: {input: cheap}}}\n", "2:29: model.prices.m.input: want a number, got text"},
		{host + "model: {prices: {qwen3.5: {input: 1, output: -0.5}}}\n", "2:38: model.prices.qwen3.5.output: want US dollars from 0 to 1000000, got -0.5"},

		// Hosts.
		{"hosts: {a: }", "1:9: hosts.a: want address, ssh_config or local: true"},
		{"hosts: {a b: {local: true}}", "1:9: hosts.a b: a host's name has letters, digits, dots, dashes and underscores, begins with a letter or digit, and has at most 63 characters"},
		{"hosts: {-a: {local: true}}", "1:9: hosts.-a: a host's name has letters, digits, dots, dashes and underscores, begins with a letter or digit, and has at most 63 characters"},
		{"hosts: {a: {local: true, user: x, identity: y}}", "1:26: hosts.a.user: a local host is run without SSH: leave out user or local\n1:35: hosts.a.identity: a local host is run without SSH: leave out identity or local"},
		{"hosts: {a: {address: b, mode: Auto}}", `1:25: hosts.a.mode: want observe, suggest or auto, got "Auto": did you mean auto?`},
		{"hosts: {a: {address: 'b:x'}}", `1:13: hosts.a.address: the port of "b:x" is not a number from 1 to 65535`},
		{"hosts: {a: {address: 'b:0'}}", `1:13: hosts.a.address: the port of "b:0" is not a number from 1 to 65535`},
		{"hosts: {a: {address: '[::1'}}", `1:13: hosts.a.address: "[::1" is not host or host:port`},
		{"hosts: {a: {address: '1:2:x'}}", `1:13: hosts.a.address: "1:2:x" is not an IPv6 address`},
		{"hosts: {a: {address: '-oProxyCommand=x'}}", `1:13: hosts.a.address: "-oProxyCommand=x" is not a host's name or address`},
		{"hosts: {a: {address: 'b c'}}", `1:13: hosts.a.address: "b c" is not a host's name or address`},
		{"hosts: {a: {address: ':22'}}", `1:13: hosts.a.address: "" is not a host's name or address`},
		{"hosts: {a: {address: ann@b}}", "1:13: hosts.a.address: the account goes into user, not into address"},
		{"hosts: {a: {address: b, proxy_jump: a}}", "1:25: hosts.a.proxy_jump: the host is its own jump host"},
		{"hosts: {a: {local: true}, b: {address: b, proxy_jump: [a, 'x y']}}",
			"1:43: hosts.b.proxy_jump: a is local: there is nothing to jump over\n1:43: hosts.b.proxy_jump: \"x y\" is not a host: want a configured host's name or [user@]host[:port], one for each hop"},

		// Who may post.
		{host + "listen: 0.0.0.0:8674\n", "2:1: listen: 0.0.0.0:8674 can be reached from other machines, and anybody there could post alerts"},
		{host + "listen: ':8674'\n", "2:1: listen: :8674 can be reached from other machines, and anybody there could post alerts"},
		{host + "listen: nexus:8674\nwebhook: {username: x}\n", "2:1: listen: nexus:8674 can be reached from other machines, and anybody there could post alerts\n3:11: webhook.username: a username needs a password_file"},
		{host + "listen: localhost\n", `2:1: listen: want host:port, such as 127.0.0.1:8674, got "localhost"`},
		{host + "listen: localhost:http\n", `2:1: listen: the port of "localhost:http" is not a number from 0 to 65535`},
		{host + "webhook: {password_file: x}\n", "2:11: webhook.password_file: a password_file needs a username"},
		{host + "webhook: {username: 'a:b', password_file: x}\n", "2:11: webhook.username: HTTP basic authentication allows no colon in a username"},

		// The record.
		{host + "store: {url: lifeline.db}\n", "2:9: store.url: want sqlite:FILE or postgres://USER@HOST/DATABASE, such as sqlite:lifeline.db"},
		{host + "store: {url: 'sqlite:'}\n", "2:9: store.url: want sqlite:FILE, such as sqlite:lifeline.db"},
		{host + "store: {url: 'sqlite::memory:'}\n", "2:9: store.url: a record in memory would be lost: want sqlite:FILE, such as sqlite:lifeline.db"},
		{host + "store: {url: 'sqlite:x?mode=ro'}\n", "2:9: store.url: the file's name cannot have ? or #, and options are not supported: want sqlite:FILE, such as sqlite:lifeline.db"},
		{remote + "store: {url: 'postgres://db/x?sslmode=require'}\n", "2:9: store.url: Postgres needs store.key_file: the key of the record is not kept in the database that it seals"},
		{remote + "store: {key_file: k, url: 'postgres://db?sslmode=require'}\n", "2:22: store.url: the address names no database"},
		{remote + "store: {key_file: k, url: 'postgres://db/x'}\n", "2:22: store.url: the database is on another machine, and the address does not say how the connection is protected"},
		{remote + "store: {key_file: k, url: 'postgres://ann:hunter2@localhost/x'}\n", "2:22: store.url: the password does not belong into the address, where everybody reads it"},
		{remote + "store: {key_file: k, url: 'postgres://localhost/x?password=hunter2'}\n", "2:22: store.url: the password does not belong into the address, where everybody reads it"},
		{remote + "store: {key_file: k, url: 'postgres://a b/%zz'}\n", "2:22: store.url: it is not an address"},
		{host + "store: {password_file: p}\n", "2:9: store.password_file: SQLite has no password: leave it out"},
		{"hosts: {a: {local: true}}\nstore: {key_file: k, url: 'postgres:///x'}\n", "1:9: hosts.a: a local host is the machine of one node: say of which"},
		{host + "node: {name: a/b}\n", "2:8: node.name: a node's name has letters, digits, dots, dashes and underscores, begins with a letter or digit, and has at most 63 characters"},
		{host + "node: {lease: 3s}\n", "2:8: node.lease: want four heartbeats or more, which is 4s, got 3s"},
		{"hosts: {a: {address: a, node: b}}\n", "1:25: hosts.a.node: on SQLite there is one process, and nothing to pin to: leave out node"},

		// Proof.
		{host + "checks: [{tcp: 'a:1', match: {alert: /Web/, host: b, kind: unit, name: --now}}]\n",
			"2:45: checks[0].match.host: no host \"b\" is configured: did you mean a?\n2:66: checks[0].match.name: \"--now\" is not a name that a unit can have"},
		{host + "checks:\n  - {}\n  - command: 'docker logs {{container}}'\n", "3:5: checks[0]: want one of command, http, tcp and prometheus\n4:5: checks[1].command: {{container}} needs match.kind: container"},
		{host + "checks: [{http: nexus, expect: /(/}]\n", `2:24: checks[0].expect: /(/: error parsing regexp: missing closing ): ` + "`(`"},
		{host + "checks: [{http: nexus, status: 600}]\n", "2:24: checks[0].status: want an HTTP status from 100 to 599, got 600"},
		{host + "checks: [{tcp: 'a:1', timeout: 0s}]\n", "2:23: checks[0].timeout: want a duration above zero"},
		{host + "checks: [{tcp: 'a:1', match: {alert: /Web, name: web}}]\n",
			"2:31: checks[0].match.alert: \"/Web\" begins a regular expression: end it with / as well\n2:44: checks[0].match.name: a name needs the kind of thing that has it: container, unit or filesystem"},
		{host + "checks: [{prometheus: up}]\n", "2:11: checks[0].prometheus: no server is configured that could be asked"},
		{host + "prometheus: {url: 'prom:9090', token_file: t, username: x, password_file: p}\n",
			"2:14: prometheus.url: want a URL such as http://127.0.0.1:9090\n2:32: prometheus.token_file: want a password or a token, not both"},
		{host + "prometheus: {url: 'http://x:y@z'}\n", "2:14: prometheus.url: the account goes into username and password_file, not into the URL"},
		{host + "alertmanager: {url: ['http://a:9093', 'a:9093'], username: x}\n",
			"2:39: alertmanager.url[1]: want a URL such as http://127.0.0.1:9090\n2:50: alertmanager.username: a username needs a password_file"},
		{host + "alertmanager: {follow_silences: true, token_file: t}\n",
			"2:1: alertmanager.url: there is an account or a certificate, and no server that they are for\n2:16: alertmanager.follow_silences: needs alertmanager.url"},

		// Targets and rules.
		{host + "targets: {hosts: {10.0.0.1: aa}}\n", `2:19: targets.hosts.10.0.0.1: no host "aa" is configured: did you mean a?`},
		{host + "targets: {hosts: {x: }, unit_labels: ['']}\n", "2:19: targets.hosts.x: no host \"\" is configured\n2:39: targets.unit_labels[0]: a label has a name"},
		{"hosts: {atlas: {local: true}}\npolicy:\n  rules:\n  - {program: /bin/ls, decision: alow}\n  - {host: nowhere}\n", `4:6: policy.rules[0].program: want a program's name without folder and arguments, got "/bin/ls"
4:24: policy.rules[0].decision: want allow, ask or deny, got "alow": did you mean allow?
5:5: policy.rules[1].decision: want allow, ask or deny, got ""
5:5: policy.rules[1].program: want a program's name without folder and arguments, got "nothing"
5:6: policy.rules[1].host: no host "nowhere" is configured`},
	} {
		_, err := parse(tc.text)
		if err == nil {
			t.Errorf("taken:\n%s", tc.text)
			continue
		}
		asError(t, err)
		if diff := cmp.Diff(tc.want, complaints(err)); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", tc.text, diff)
		}
	}
}

// complaints are the first lines of an error's problems, without the file.
func complaints(err error) string {
	var list []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		_, rest, ok := strings.Cut(line, "/etc/lifeline/lifeline.yaml:")
		if ok && !strings.HasSuffix(line, "problems: ") {
			list = append(list, strings.TrimPrefix(rest, " "))
		}
	}
	return strings.Join(list, "\n")
}

// The whole of what a person sees.
func TestProblemIsShown(t *testing.T) {
	_, err := parse("hosts:\n  nexus:\n\t# no\n    adress: 10.0.0.1\r\nlisten: 0.0.0.0:80 # \x1b[31m\n")
	_ = asError(t, err)
	want := "the configuration is wrong: /etc/lifeline/lifeline.yaml:3:1: found character '\t' that cannot start any token\n    3 | \t# no\n      | ^"
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("one problem (-want +got):\n%s", diff)
	}

	_, err = parse("hosts:\n  nexus: {address: x, mode: of}\nlisten: 0.0.0.0:80 # ä\u202e!\n")
	e := asError(t, err)
	want = `/etc/lifeline/lifeline.yaml has 2 problems: 
/etc/lifeline/lifeline.yaml:2:23: hosts.nexus.mode: want observe, suggest or auto, got "of"
    2 |   nexus: {address: x, mode: of}
      |                       ^
/etc/lifeline/lifeline.yaml:3:1: listen: 0.0.0.0:80 can be reached from other machines, and anybody there could post alerts
    3 | listen: 0.0.0.0:80 # ä?!
      | ^`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("two problems (-want +got):\n%s", diff)
	}
	for _, part := range []string{"password_file: webhook-password", "openssl rand", "listen: 127.0.0.1:80"} {
		if !strings.Contains(e.Hint, part) {
			t.Errorf("the hint does not have %q:\n%s", part, e.Hint)
		}
	}
}

// A long line is cut around its problem, and the caret stays below it.
func TestLongLine(t *testing.T) {
	text := "hosts: {a: {local: true, x" + strings.Repeat("y", 200) + ": 1, moed: auto, z" + strings.Repeat("z", 200) + ": 1}}"
	_, err := parse(text)
	asError(t, err)
	found := false
	lines := strings.Split(err.Error(), "\n")
	for i, line := range lines {
		if !strings.Contains(line, "moed: unknown key: did you mean mode?") {
			continue
		}
		found = true
		shown, caret := lines[i+1], lines[i+2]
		if len(shown) > 140 || !strings.HasPrefix(shown[len(caret)-1:], "moed") {
			t.Errorf("not below the key:\n%s\n%s", shown, caret)
		}
	}
	if !found {
		t.Errorf("no such problem in:\n%v", err)
	}
}

// Unknown keys are listed where none is near.
func TestHintListsTheKeys(t *testing.T) {
	_, err := parse(host + "log: {zzz: 1}\n")
	if e := asError(t, err); e.Hint != "log has: format, level" {
		t.Errorf("hint %q", e.Hint)
	}
	_, err = parse("hosts: {atlas: {local: true}}\npolicy: {rules: [{program: ls, decision: deny, host: zzzzzz}]}\n")
	if e := asError(t, err); e.Hint != "configured hosts: atlas" {
		t.Errorf("hint %q", e.Hint)
	}
}

// Aliases that multiply, or lead to each other, end in bounded time.
func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("hosts:\n  a0: &a0 {local: true}\n")
	for i := 1; i < 60; i++ {
		fmt.Fprintf(&b, "  a%d: &a%d {<<: *a%d, <<: *a%d}\n", i, i, i-1, i-1)
	}
	if _, err := parse(b.String()); err == nil || !strings.Contains(err.Error(), "<< is given twice") {
		t.Errorf("doubling: %.200v", err)
	}
	for _, text := range []string{
		"hosts: &h {a: *h}", "hosts: {a: &x *y, b: &y *x}", "hosts: &h *h", "a: &a [*a]\nhosts: {a: {address: a, identity: *a}}",
		"policy: &p {rules: [*p]}\n" + host, "hosts: {a: &a {<<: *b}, b: &b {<<: *a}}",
	} {
		if _, err := parse(text); err == nil {
			t.Errorf("taken: %s", text)
		}
	}
}

// FuzzParse holds Parse and Validate to ending, in an error or in a
// configuration that can be written down and read again.
func FuzzParse(f *testing.F) {
	f.Add(config.Example)
	f.Add("hosts: {a: &a {<<: *a}, b: *c}\n---\nx: !!y |\n z")
	f.Add("hosts: {a: {address: '::1', proxy_jump: [b, 'c@d']}}\npolicy: {rules: [{program: x, args: y, decision: deny}]}")
	f.Add("hosts: {a: {local: true}}\nstore: {url: 'sqlite:a b'}\nlisten: '[::1]:0'")
	f.Fuzz(func(t *testing.T, text string) {
		t.Setenv("HOME", "/home/ann")
		cfg, err := parse(text)
		if err != nil {
			asError(t, err)
			return
		}
		again, err := cfg.YAML()
		if err != nil {
			t.Fatalf("not written: %v", err)
		}
		back, err := parse(string(again))
		if err != nil {
			t.Fatalf("%v\nin what was written:\n%s", err, again)
		}
		want := cfg.Redacted()
		if diff := cmp.Diff(&want, back, fields(), emptyIsNil()); diff != "" {
			t.Errorf("(-written +read):\n%s", diff)
		}
	})
}
