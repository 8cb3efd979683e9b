package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

// Who may sign in, and who may not be left out.
func TestAccessProblems(t *testing.T) {
	const users = "access: {users: {ann: {password_hash: $argon2id$x, role: admin}}}\n"
	const idp = "public_url: https://l.example.net\naccess: {oidc: {issuer: 'https://id.example.net', client_id: l, roles: {ops: admin}"
	for _, tc := range []struct{ text, want string }{
		{users, ""},
		{idp + "}}\n", ""},
		{"listen: 0.0.0.0:1\nwebhook: {token_file: t}\n" + users, ""},
		{"listen: 0.0.0.0:1\nwebhook: {token_file: t}\n" + idp + "}}\n", ""},
		{"listen: 0.0.0.0:1\nwebhook: {token_file: t}\naccess: {pages: false}\n", ""},
		{"listen: 0.0.0.0:1\nwebhook: {token_file: t}\n",
			"2:1: listen: 0.0.0.0:1 can be reached from other machines, and nobody is configured who may sign in to the pages there"},
		{"access: {users: {ann: {role: admin}}}\n", "2:18: access.users.ann: want a password_hash"},
		{"access: {users: {ann: {password_hash: hunter2, role: admin}}}\n",
			"2:24: access.users.ann.password_hash: this is not a hash of argon2id: a password itself does not belong here"},
		{"access: {users: {ann: {password_hash: $argon2id$x}}}\n", `2:18: access.users.ann: want viewer, approver or admin, got ""`},
		{"access: {users: {ann: {password_hash: $argon2id$x, role: aprover}}}\n",
			`2:52: access.users.ann.role: want viewer, approver or admin, got "aprover": did you mean approver?`},
		{"access: {users: {a@b: {password_hash: $argon2id$x, role: admin}}}\n",
			"2:18: access.users.a@b: a user's name has letters, digits, dots, dashes and underscores, begins with a letter or digit, and has at most 63 characters"},
		{"access: {session: {idle: 200h}}\n", "2:20: access.session.idle: want at most access.session.longest, which is 168h, got 200h"},
		{"access: {trusted_proxies: [10.0.0.1, 'fd00::/8', 0.0.0.0/0, nginx]}\n",
			"2:50: access.trusted_proxies[2]: 0.0.0.0/0 is everybody: name the proxies\n" +
				`2:61: access.trusted_proxies[3]: want an address or a network such as 10.0.0.0/24, got "nginx"`},
		{"access: {tls: {cert_file: c}}\n", "2:16: access.tls.cert_file: a cert_file needs a key_file"},
		{"access: {tls: {key_file: k}}\n", "2:16: access.tls.key_file: a key_file needs a cert_file"},
		{"access: {oidc: {client_id: l}}\n", "2:10: access.oidc: want an issuer"},
		{idp + ", default_role: root}}\n", `3:86: access.oidc.default_role: want viewer, approver or admin, got "root"`},
		{"access: {oidc: {issuer: 'http://id.example.net', roles: {ops: boss}}}\n",
			"2:10: access.oidc: want a client_id\n2:10: access.oidc: signing in needs public_url: the identity provider sends people back to it\n" +
				"2:17: access.oidc.issuer: want https: whoever is in between could sign in as anybody\n" +
				`2:58: access.oidc.roles.ops: want viewer, approver or admin, got "boss"`},
		{"public_url: https://l.example.net\naccess: {oidc: {issuer: 'https://id.example.net', client_id: l}}\n",
			"3:10: access.oidc: nobody could sign in: there are neither roles nor a default_role"},
	} {
		_, err := parse(host + tc.text)
		got := ""
		if err != nil {
			asError(t, err)
			got = complaints(err)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", tc.text, diff)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("a password is shown: %v", err)
		}
	}
}

// A hash is not a thing to show, and an address alone is a network of one.
func TestAccessValues(t *testing.T) {
	cfg := mustParse(t, host+"access: {users: {ann: {password_hash: $argon2id$secret, role: admin}}, trusted_proxies: [10.0.0.1, 'fd00::1/8']}\n")
	written, err := cfg.YAML()
	if err != nil || strings.Contains(string(written), "$argon2id") || !strings.Contains(string(written), "ann:") {
		t.Errorf("%v:\n%s", err, written)
	}
	if cfg.Access.Users["ann"].PasswordHash != "$argon2id$secret" {
		t.Error("the configuration itself was changed")
	}
	want := []string{"10.0.0.1/32", "fd00::/8"}
	var got []string
	for _, p := range cfg.Proxies() {
		got = append(got, p.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("proxies (-want +got):\n%s", diff)
	}
	for listen, loopback := range map[string]bool{"127.0.0.1:1": true, "localhost:1": true, "[::1]:1": true, "0.0.0.0:1": false, ":1": false, "nexus:1": false} {
		c := config.Default()
		c.Listen = listen
		if c.Loopback() != loopback {
			t.Errorf("%s is on loopback: %v", listen, !loopback)
		}
	}
}
