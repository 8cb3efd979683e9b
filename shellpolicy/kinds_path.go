package shellpolicy

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// sight says how much of a path a program shows.
type sight uint8

const (
	seesNames   sight = iota // names, sizes, owners
	seesContent              // what is in a file
	seesTree                 // what is in all files below a folder
)

// path checks a path that the program reads.
func (c *call) path(a arg, see sight) string {
	if see == seesContent && c.effects[recursive] {
		see = seesTree
	}
	if c.effects[nameOnly] {
		see = seesNames
	}
	if a.isLit("-") || a.isLit("") || a.isLit("/dev/null") || a.isLit("/dev/stdin") {
		return "" // standard input, or nothing
	}
	ask := pathQuestion{a, see, !c.dashes && (c.entry == nil || !c.entry.harmless)}
	if answer, known := c.j.paths[ask]; known {
		if answer.sensitive {
			c.effects[string(Sensitive)] = true
		}
		return answer.why
	}
	try := *c
	try.effects = map[string]bool{}
	answer := pathAnswer{why: try.askPath(a, see)}
	answer.sensitive = try.effects[string(Sensitive)]
	if c.j.paths == nil {
		c.j.paths = map[pathQuestion]pathAnswer{}
	}
	c.j.paths[ask] = answer
	return c.path(a, see)
}

// pathQuestion and pathAnswer: the same path is asked about once in a line.
type pathQuestion struct {
	arg      arg
	see      sight
	isOption bool // could be, and that would matter
}

type pathAnswer struct {
	why       string
	sensitive bool
}

func (c *call) askPath(a arg, see sight) string {
	if len(a.text) > maxPath || strings.Count(a.text, "/") > 100 || strings.Count(a.text, "*") > 16 {
		return "the path is longer than any"
	}
	if a.shape == anyText {
		return "a path that is known only when it runs could be any file: write the path out, in double quotes if it holds a variable"
	}
	if a.shape != exact && a.mayBeFlag() && !c.dashes && (c.entry == nil || !c.entry.harmless) {
		return fmt.Sprintf("%q could expand to an option: put ./ before it", clip(a.show()))
	}
	pat := a.text
	if a.shape == exact {
		pat = escapeGlob(a.text)
	}
	// A name that is known only when it runs may turn out to be nothing.
	if a.shape == pattern && a.safe && strings.Contains("/"+pat+"/", "/*/") {
		if strings.Count("/"+pat, "/*") > 1 {
			return fmt.Sprintf("%q has more than one part that is known only when it runs", clip(a.show()))
		}
		shorter := arg{shape: pattern, safe: true, text: path.Clean(strings.Replace("/"+pat+"/", "/*/", "/", 1))}
		if !strings.HasPrefix(pat, "/") {
			shorter.text = strings.TrimPrefix(shorter.text, "/")
		}
		if why := c.askPath(shorter, see); why != "" {
			return why
		}
	}
	relative := !strings.HasPrefix(pat, "/") && !strings.HasPrefix(pat, "~")
	if see != seesNames {
		if why := c.secretName(pat, a, relative); why != "" {
			return why
		}
	}
	for _, full := range c.candidates(pat) {
		if why := c.onePath(full, see, a, relative); why != "" {
			return why
		}
	}
	return ""
}

// candidates are the absolute patterns that a path may stand for.
func (c *call) candidates(pat string) []string {
	switch {
	case strings.HasPrefix(pat, "/"):
		return []string{pat}
	case strings.HasPrefix(pat, "~"):
		rest := strings.TrimPrefix(pat, "~")
		return []string{"/root" + rest, "/home/*" + rest}
	}
	var out []string
	for _, d := range c.dirs {
		out = append(out, strings.TrimSuffix(d, "/")+"/"+pat)
	}
	return out
}

func (c *call) onePath(full string, see sight, a arg, relative bool) string {
	if strings.Contains(full, "..") || strings.Contains(full, "/.") {
		for comp := range strings.SplitSeq(full, "/") {
			if strings.HasPrefix(comp, ".") && newGlob(comp)[0].meets(component{plain: true, text: ".."}) {
				return fmt.Sprintf("%q may leave a folder through \"..\": write the path out", clip(a.show()))
			}
		}
	}
	if see == seesNames {
		return ""
	}
	full = path.Clean(full)
	g := newGlob(full)
	below := g
	if see == seesTree {
		below = append(newGlob(strings.TrimSuffix(full, "/")), component{deep: true})
	}
	for _, p := range pathRules().near(g) {
		if p.glob.meets(g) || see == seesTree && p.glob.meets(below) {
			return fmt.Sprintf("%q is or holds %s, which may hold secrets and is not read", clip(a.show()), strings.ReplaceAll(p.text, anyDepth, "…"))
		}
	}
	// A relative path may begin in the root folder, where it is checked for
	// secrets as everywhere else that it may begin.
	if !relative && !underRoot(g) {
		return fmt.Sprintf("%q is under no folder that may be read", clip(a.show()))
	}
	last := g[len(g)-1]
	if see == seesTree && !quiet(g) || last.plain && pathRules().config.has(last) {
		c.effects[string(Sensitive)] = true
	}
	return ""
}

// secretName refuses what is named like a secret wherever it is. A hole in the
// pattern might be such a name too; outside of quiet folders that is a mark.
func (c *call) secretName(pat string, a arg, relative bool) string {
	pat = path.Clean(pat)
	g := newGlob(pat)
	rules := pathRules()
	for i, comp := range g {
		switch {
		case comp.plain && i == len(g)-1 && rules.public.has(comp), !rules.secret.has(comp):
		case comp.plain:
			return fmt.Sprintf("%q is named like a secret and is not read", clip(a.show()))
		case relative || !quiet(g):
			c.effects[string(Sensitive)] = true
		}
	}
	return ""
}

// place is a path that is never read.
type place struct {
	glob glob
	text string
}

type pathTable struct {
	public, secret, config *nameSet
	// places by their first folder; "" holds those that begin with a hole.
	places       map[string][]place
	all          []place
	roots, quiet []glob
}

// pathRules are the lists below, taken apart once.
var pathRules = sync.OnceValue(func() *pathTable {
	t := &pathTable{public: newNameSet(publicNames()), secret: newNameSet(secretNames()), config: newNameSet(configNames()), places: map[string][]place{}}
	for _, r := range readableRoots() {
		t.roots = append(t.roots, newGlob(r))
	}
	for _, q := range quietFolders() {
		t.quiet = append(t.quiet, newGlob(q))
	}
	for _, p := range secretPlaces() {
		g := newGlob(p)
		t.all = append(t.all, place{g, p})
		t.places[g[1].text] = append(t.places[g[1].text], place{g, p})
	}
	return t
})

// near gives the places that a path can be at all.
func (t *pathTable) near(g glob) []place {
	if len(g) > 1 && g[0].plain && g[0].text == "" && g[1].plain && g[1].text != "" {
		return t.places[g[1].text]
	}
	return t.all
}

// publicNames look like secrets and are none.
func publicNames() []string {
	return []string{"passwd", "*.pub", "cert*.pem", "fullchain*.pem", "chain*.pem", "ca*.pem", "*.crt", "*cert.pem", "password-auth", "common-password", "*.md"}
}

// surelyUnder reports whether whatever fits the pattern is dir or below it. The
// components of dir may be globs.
func surelyUnder(full, dir glob) bool {
	for i, want := range dir {
		if i >= len(full) || !full[i].plain || !want.meets(full[i]) {
			return false
		}
	}
	return true
}

// underRoot reports whether file contents may be read there.
func underRoot(full glob) bool {
	return slices.ContainsFunc(pathRules().roots, func(r glob) bool { return surelyUnder(full, r) })
}

// quiet reports whether a folder holds no secrets by convention, so that all of
// it may be read at once.
func quiet(full glob) bool {
	return slices.ContainsFunc(pathRules().quiet, func(r glob) bool { return surelyUnder(full, r) })
}

func readableRoots() []string {
	return []string{"/var", "/etc", "/proc", "/sys", "/srv", "/opt", "/usr", "/run", "/tmp", "/home", "/root", "/mnt", "/media",
		"/data", "/boot", "/lib", "/app", "/config", "/docker", "/storage", "/volume[0-9]", "/backup", "/backups", "/pool", "/tank", "/logs"}
}

func quietFolders() []string {
	return []string{"/var/log", "/sys", "/proc", "/usr/share", "/usr/lib", "/etc/nginx", "/etc/apache2", "/etc/systemd", "/etc/cron.d", "/etc/cron.daily",
		"/etc/logrotate.d", "/etc/apt", "/lib/systemd", "/var/lib/docker/containers", "/etc/default", "/etc/sysctl.d", "/etc/modprobe.d",
		"/etc/*release", "/etc/issue*", "/etc/host*", "/var/spool/cron"}
}

// configNames are files that are read often and hold a password now and then.
func configNames() []string {
	return []string{"*compose*.y*ml", "config.json", "config.y*ml", "settings.py", "settings.json", "application.properties", "application*.y*ml",
		"php.ini", "values*.y*ml", "my.cnf", "redis.conf"}
}

// secretPlaces are never read, by any spelling that can be seen.
func secretPlaces() []string {
	deep := func(p string) string { return p + "/" + anyDepth }
	places := []string{
		"/etc/shadow*", "/etc/gshadow*", "/etc/master.passwd", "/etc/security/opasswd", "/etc/ssh/ssh_host_*_key", "/etc/krb5.keytab", "/etc/docker/key.json",
		"/etc/rancher/k3s/k3s.yaml", "/etc/msmtprc", "/etc/ddclient.conf", "/etc/exim4/passwd.client", "/etc/postfix/sasl_passwd*",
		"/etc/kubernetes/*.conf", "/var/lib/docker/containers/*/config.v2.json", "/var/lib/systemd/random-seed",
		"/proc/kcore", "/proc/kmem", "/proc/kmsg", "/proc/kpage*", "/var/backups/*shadow*", "/proc/sysrq-trigger",
		"/etc/sudoers",
	}
	for _, p := range []string{
		"/etc/ssl/private", "/etc/pki/tls/private", "/etc/letsencrypt/accounts", "/etc/letsencrypt/keys", "/etc/wireguard", "/etc/ppp", "/etc/openvpn", "/etc/ipsec.d",
		"/etc/NetworkManager/system-connections", "/etc/wpa_supplicant", "/etc/kubernetes/pki", "/etc/lifeline", "/var/lib/lifeline", "/etc/credstore*", "/etc/sudoers.d",
		"/run/secrets", "/var/run/secrets", "/run/credentials", "/var/lib/kubelet", "/var/lib/vault", "/var/lib/private", "/var/lib/docker/swarm", "/var/lib/docker/secrets",
		"/proc/*/root", "/proc/*/cwd", "/proc/*/fd", "/proc/*/map_files", "/proc/*/task", "/dev", "/var/lib/tailscale", "/var/lib/samba/private", "/run/user",
		"/sys/kernel/debug", "/sys/kernel/tracing", "/var/lib/mysql", "/var/lib/postgresql", "/var/lib/redis", "/var/lib/sss", "/var/lib/AccountsService",
	} {
		places = append(places, p, deep(p))
	}
	for _, p := range []string{"environ", "mem", "auxv", "syscall", "stack", "pagemap"} {
		places = append(places, "/proc/*/"+p)
	}
	for _, home := range []string{"/root", "/home/*", "/var/lib/*"} {
		for _, p := range []string{".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", ".config/gcloud", ".config/gh", ".config/rclone", ".local/share/keyrings", ".mozilla", ".password-store"} {
			places = append(places, home+"/"+p, deep(home+"/"+p))
		}
	}
	return places
}

// secretNames are refused wherever they are.
func secretNames() []string {
	return []string{
		".env", ".env.*", "*.env", ".envrc", "environ", "shadow", "gshadow", "shadow-", "*shadow.bak", ".ssh", ".gnupg", ".aws", ".azure", ".kube", ".vault-token",
		"id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*_rsa", "*_ed25519", "*.pem", "*.key", "*_key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx", "*.gpg", "*.asc",
		"*.ppk", "*.ovpn", "*.keytab", ".netrc", "_netrc", ".pgpass", ".my.cnf", ".mylogin.cnf", ".npmrc", ".pypirc", ".git-credentials", ".htpasswd", "htpasswd", ".dockercfg",
		".*_history", "*history", "*credential*", "*secret*", "*password*", "*passwd*", "*token*", "*.tfstate", "*.tfstate.*", "*.tfvars", "kubeconfig*", "*.kubeconfig",
		"authorized_keys*", "config.v2.json", "lifeline.yaml", "lifeline.y*ml", "lifeline*.db*", "rclone.conf", ".s3cfg", ".boto", "wp-config.php*", "database.yml", "master.key",
		"*private*key*", "*apikey*", "*api_key*", "*.rdb", "dump.sql", "*.sql", "*.sql.gz", "*.dump",
	}
}
