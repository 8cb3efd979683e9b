package shellpolicy

import (
	"strings"
	"testing"
)

func TestRules(t *testing.T) {
	rule := func(decision Decision, words ...string) Rule {
		return Rule{Program: words[0], Args: words[1:], Decision: decision, Reason: "because"}
	}
	for _, c := range []struct {
		name    string
		mode    Mode
		rules   []Rule
		command string
		want    Decision
		owner   bool // decided by the owner's rule
	}{
		{"deny a read", Auto, []Rule{rule(Deny, "docker", "logs")}, "docker logs web", Deny, true},
		{"deny a program", Auto, []Rule{rule(Deny, "docker")}, "ls && docker ps", Deny, true},
		{"ask about a read", Observe, []Rule{rule(Ask, "df")}, "df -h", Ask, true},
		{"another program", Auto, []Rule{rule(Deny, "docker", "logs")}, "docker ps", Allow, false},
		{"deny one target", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, "docker restart db", Deny, true},
		{"not the other", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, "docker restart web", Allow, false},
		{"a flag between does not dodge", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, "docker restart -t 5 db", Deny, true},
		{"a second target does not dodge", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, "docker restart web db", Deny, true},
		{"sudo does not dodge", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, "sudo -n docker restart db", Deny, true},
		{"timeout does not dodge", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, "timeout 9 docker restart db", Deny, true},
		{"sh does not dodge", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, "sh -c 'docker restart db'", Deny, true},
		{"quotes do not dodge", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, `"dock"er 'restart' d\b`, Deny, true},
		{"a path does not dodge", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, "/usr/bin/docker restart db", Deny, true},
		{"a variable does not dodge", Auto, []Rule{rule(Deny, "docker", "restart", "db")}, `x=db; docker restart "$x"`, Deny, true},
		{"a loop does not dodge", Auto, []Rule{rule(Deny, "docker", "logs", "db")}, `for c in web db; do docker logs "$c"; done`, Deny, true},
		{"what is not known may be meant", Auto, []Rule{rule(Deny, "docker", "logs", "db")}, `for c in $(docker ps -q); do docker logs "$c"; done`, Deny, true},
		{"a flag is meant", Auto, []Rule{rule(Deny, "docker", "ps", "-a")}, "docker ps -a", Deny, true},
		{"a flag is not there", Auto, []Rule{rule(Deny, "docker", "ps", "-a")}, "docker ps", Allow, false},
		{"the first rule decides", Auto, []Rule{rule(Ask, "docker", "ps"), rule(Deny, "docker")}, "docker ps", Ask, true},
		{"allow a change", Suggest, []Rule{rule(Allow, "docker", "restart", "web")}, "docker restart web", Allow, true},
		{"in observe too", Observe, []Rule{rule(Allow, "docker", "restart", "web")}, "docker restart web", Allow, true},
		{"allow is not stretched by a target", Suggest, []Rule{rule(Allow, "docker", "restart", "web")}, "docker restart web db", Ask, false},
		{"nor by a flag before it", Suggest, []Rule{rule(Allow, "docker", "restart", "web")}, "docker restart -t 1 web", Ask, false},
		{"allow any target", Suggest, []Rule{rule(Allow, "docker", "restart")}, "docker restart web db", Allow, true},
		{"allow egress", Observe, []Rule{rule(Allow, "ping")}, "ping -c 1 10.0.0.1", Allow, true},
		{"allow what goes on for ever", Auto, []Rule{rule(Allow, "docker", "stats")}, "docker stats", Allow, true},
		{"allow does not reach other parts", Suggest, []Rule{rule(Allow, "docker", "restart", "web")}, "docker restart web; docker restart db", Ask, false},
		{"no rule allows what destroys", Auto, []Rule{rule(Allow, "rm"), rule(Allow, "docker", "rm")}, "docker rm web", Deny, false},
		{"no rule allows what destroys, by sudo", Auto, []Rule{rule(Allow, "sudo"), rule(Allow, "rm")}, "sudo rm x", Deny, false},
		{"no rule allows what is unknown", Auto, []Rule{rule(Allow, "frobnicate")}, "frobnicate", Deny, false},
		{"no rule allows an unknown flag", Auto, []Rule{rule(Allow, "docker")}, "docker ps --frob", Deny, false},
		{"no rule allows what is protected", Auto, []Rule{rule(Allow, "systemctl", "restart", "sshd")}, "systemctl restart sshd", Deny, false},
		{"no rule allows a secret", Auto, []Rule{rule(Allow, "cat", "/etc/shadow")}, "cat /etc/shadow", Deny, false},
		{"a decision that does not exist denies", Auto, []Rule{rule("yes", "docker", "ps")}, "docker ps", Deny, true},
		{"a decision that is not set denies", Auto, []Rule{rule("", "docker", "ps")}, "docker ps", Deny, true},
	} {
		v := Judge(c.command, Policy{Mode: c.mode, Rules: c.rules})
		if v.Decision != c.want || strings.HasPrefix(v.Rule, "owner: ") != c.owner {
			t.Errorf("%s: %q: %s [%s] %s, want %s, by the owner %v", c.name, c.command, v.Decision, v.Rule, v.Reason, c.want, c.owner)
		}
		if c.owner && strings.HasPrefix(v.Rule, "owner: ") && len(c.rules) > 0 && c.rules[0].Decision != "yes" && c.rules[0].Decision != "" && !strings.Contains(v.Reason, "because") {
			t.Errorf("%s: reason %q does not give the owner's", c.name, v.Reason)
		}
		if (v.Canonical != "") != (v.Decision != Deny) {
			t.Errorf("%s: decision %s, canonical %q", c.name, v.Decision, v.Canonical)
		}
	}
}

func TestProtected(t *testing.T) {
	const id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	p := Policy{Mode: Auto, Protected: Protected{Units: []string{"postgresql.service", "app@", "backup"}, Containers: []string{"vault", "/proxy", "beefcafe" + id}}}
	for command, want := range map[string]Decision{
		"docker restart vault":                   Deny,
		"docker restart Vault":                   Deny,
		"docker restart proxy":                   Deny,
		"docker restart web vault":               Deny,
		"docker start vault":                     Deny,
		"podman restart vault":                   Deny,
		"docker compose restart vault":           Deny,
		"docker restart beef":                    Deny,
		"docker restart web":                     Allow,
		"docker restart cafe":                    Allow,
		"docker logs vault":                      Allow,
		"systemctl restart postgresql":           Deny,
		"systemctl restart postgresql.service":   Deny,
		"systemctl restart PostgreSQL":           Deny,
		"systemctl reset-failed postgresql":      Deny,
		"service postgresql restart":             Deny,
		"systemctl restart app@1":                Deny,
		"systemctl restart backup.timer":         Deny,
		"systemctl restart app":                  Allow,
		"systemctl restart nginx":                Allow,
		"systemctl status postgresql":            Allow,
		"systemctl restart nginx postgresql":     Deny,
		"sh -c 'systemctl restart postgresql'":   Deny,
		"x=vault; docker restart \"$x\"":         Deny,
		"docker restart \"$(docker ps -lq)\"":    Deny,
		"docker ps -q | xargs docker restart":    Deny,
		"docker ps -q | xargs -n1 docker logs":   Allow,
		"systemctl restart 'post*'":              Deny,
		"systemctl restart system-postgre.slice": Deny,
	} {
		if v := Judge(command, p); v.Decision != want {
			t.Errorf("%q: %s [%s] %s, want %s", command, v.Decision, v.Rule, v.Reason, want)
		}
	}
}
