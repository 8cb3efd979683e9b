package redact_test

import (
	"encoding/base64"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeline/internal/redact"
)

// letters makes a text of n letters and digits: a secret that nobody uses and
// that no scanner of repositories takes for one.
func letters(seed uint64, n int) string {
	const from = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnpqrstuvwxyz23456789"
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = from[r.IntN(len(from))]
	}
	return string(b)
}

func digits16(seed uint64, n int) string {
	r := rand.New(rand.NewPCG(seed, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = "0123456789abcdef"[r.IntN(16)]
	}
	return string(b)
}

func TestText(t *testing.T) {
	const pw = "s3cr3t-Pw!"
	token := letters(7, 40)
	for _, tt := range []struct{ in, want string }{
		// Connection strings.
		{"postgres://app:s3cr3t@db:5432/shop", "postgres://app:[redacted: url-password]@db:5432/shop"},
		{"redis://:hunter2@cache:6379/0", "redis://:[redacted: url-password]@cache:6379/0"},
		{"amqp://guest:gu/est@mq/vhost", "amqp://guest:[redacted: url-password]@mq/vhost"},
		{"mongodb+srv://u:p%40ss@a.example,b.example/x?w=1", "mongodb+srv://u:[redacted: url-password]@a.example,b.example/x?w=1"},
		{"mysql://root:p@ss@db/x", "mysql://root:[redacted: url-password]@db/x"},
		{"dsn=app:hunter2@tcp(db:3306)/shop", "dsn=app:[redacted: url-password]@tcp(db:3306)/shop"},
		{"host=db user=app password=hunter2 dbname=shop", "host=db user=app password=[redacted: password] dbname=shop"},
		{"Server=db;User Id=app;Password=hun,ter2;Encrypt=true", "Server=db;User Id=app;Password=[redacted: password];Encrypt=true"},
		{"AccountName=x;AccountKey=" + token + "==;EndpointSuffix=y", "AccountName=x;AccountKey=[redacted: password];EndpointSuffix=y"},
		{"git clone https://" + token + "@git.example/x.git", "git clone https://[redacted: url-password]@git.example/x.git"},
		{"GET /cb?code=1&access_token=" + token + "&x=1", "GET /cb?code=1&access_token=[redacted: secret]&x=1"},
		{"GET https://s.example/f?sv=2024&sig=ab%2Bc&se=1", "GET https://s.example/f?sv=2024&sig=[redacted: secret]&se=1"},
		// Chats.
		{"https://discord.com/api/webhooks/123/" + token + " 204", "https://discord.com/api/webhooks/123/[redacted: webhook-url] 204"},
		{"post https://hooks.slack.com/services/T0/B0/" + token, "post https://hooks.slack.com/services/[redacted: webhook-url]"},
		// Headers.
		{"Authorization: Basic dXNlcjpwYXNz", "Authorization: [redacted: authorization]"},
		{`curl -H "Authorization: Bearer ` + token + `" https://api.example`, `curl -H "Authorization: [redacted: authorization]" https://api.example`},
		{`{"authorization":["Bearer abc"],"host":"x"}`, `{"authorization":["[redacted: authorization]"],"host":"x"}`},
		{"map[Authorization:[Bearer abc] Host:[x]]", "map[Authorization:[[redacted: authorization]] Host:[x]]"},
		{"Set-Cookie: session=abc; Path=/", "Set-Cookie: [redacted: cookie]"},
		{"X-Api-Key: " + token, "X-Api-Key: [redacted: secret]"},
		{"sent Bearer " + token + " to it", "sent Bearer [redacted: bearer-token] to it"},
		// Environments.
		{"POSTGRES_PASSWORD=made-up words here", "POSTGRES_PASSWORD=[redacted: password]"},
		{`  "POSTGRES_PASSWORD=made up",`, `  "POSTGRES_PASSWORD=[redacted: password]",`},
		{`\"DB_PASSWORD=x y\",\"A=b\"`, `\"DB_PASSWORD=[redacted: password]\",\"A=b\"`},
		{"HOME=/root DB_PASS=x TZ=UTC", "HOME=/root DB_PASS=[redacted: password] TZ=UTC"},
		{"A=b\x00API_TOKEN=abcd1234\x00C=d", "A=b\x00API_TOKEN=[redacted: secret]\x00C=d"},
		{"export STRIPE_KEY=" + token, "export STRIPE_KEY=[redacted: secret]"},
		{"PWD=/srv OLDPWD=/", "PWD=/srv OLDPWD=/"},
		// Structured text.
		{`{"user":"a","password":"x \" y","n":1}`, `{"user":"a","password":"[redacted: password]","n":1}`},
		{"\"password=x\\\ny", "\"password=[redacted: password]\ny"},
		{`{\"password\":\"x\",\"n\":1}`, `{\"password\":\"[redacted: password]\",\"n\":1}`},
		{"password: hunter2", "password: [redacted: password]"},
		{"PrivateKey = " + letters(9, 43) + "=", "PrivateKey = [redacted: password]"},
		{"<password>x y</password><a>b</a>", "<password>[redacted: password]</password><a>b</a>"},
		{"map[password:hunter2 user:x]", "map[password:[redacted: password] user:x]"},
		{":api_key => '" + token + "'", ":api_key => '[redacted: secret]'"},
		{"machine h login ann password hunter2", "machine h login ann password [redacted: password]"},
		{"ALTER ROLE app PASSWORD 'x'; SELECT 1", "ALTER ROLE app PASSWORD '[redacted: password]'; SELECT 1"},
		// Command lines.
		{"app --password hunter2 --port 80", "app --password [redacted: password] --port 80"},
		{"app --db-password=hunter2 -v", "app --db-password=[redacted: password] -v"},
		{"app\x00--token\x00" + token + "\x00-v", "app\x00--token\x00[redacted: secret]\x00-v"},
		{"mysqldump -u root -phunter2 shop", "mysqldump -u root -p[redacted: password] shop"},
		{"sshpass -p hunter2 ssh x", "sshpass -p [redacted: password] ssh x"},
		{"redis-cli -a hunter2 ping", "redis-cli -a [redacted: password] ping"},
		{"curl -sk -u admin:hunter2 https://x", "curl -sk -u admin:[redacted: password] https://x"},
		{"\"--requirepass\",\n   \"hunter2\"", "\"--requirepass\",\n   \"[redacted: password]\""},
		{"redis-server --requirepass hunter2", "redis-server --requirepass [redacted: password]"},
		// Forms of vendors.
		{"x gh" + "p_" + letters(1, 36) + " y", "x [redacted: github-token] y"},
		{"gl" + "pat-" + letters(2, 20) + ".", "[redacted: gitlab-token]."},
		{"key sk" + "-ant-api03-" + letters(3, 40), "key [redacted: anthropic-key]"},
		{"AK" + "IA" + strings.ToUpper(digits16(4, 16)), "[redacted: aws-key]"},
		{"ts" + "key-auth-" + letters(5, 12) + "-" + letters(6, 30), "[redacted: tailscale-key]"},
		{"ey" + "J" + letters(1, 30) + ".ey" + "J" + letters(2, 40) + "." + letters(3, 43), "[redacted: jwt]"},
		{"docker swarm join --token SW" + "MTKN-1-" + digits16(1, 50) + "-" + digits16(2, 25) + " 10.0.0.1:2377", "docker swarm join --token [redacted: secret] 10.0.0.1:2377"},
		{"bot 123456789:A" + letters(8, 34), "bot [redacted: telegram-token]"},
		{"root:$6$salt$" + letters(4, 60) + ":19000:0", "root:[redacted: password-hash]:19000:0"},
		// What Lifeline knows, anywhere and encoded.
		{"x" + pw + "x s3cr3t-Pw%21 " + `"s3cr3t-Pw!"`, `x[redacted: lifeline]x [redacted: lifeline] "[redacted: lifeline]"`},
	} {
		r := redact.New(pw, "short")
		got, n := r.Text(tt.in)
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", tt.in, diff)
		}
		if want := strings.Count(got, "[redacted: "); n != want {
			t.Errorf("%q: %d reported, %d in the text", tt.in, n, want)
		}
		if again, n := r.Text(got); again != got || n != 0 {
			t.Errorf("redacted twice, %q becomes %q", got, again)
		}
	}
}

func TestPrivateKeys(t *testing.T) {
	body := base64.StdEncoding.EncodeToString([]byte(letters(1, 400)))
	var lines []string
	for part := range slices.Chunk([]byte(body), 64) {
		lines = append(lines, string(part))
	}
	begin, end := "-----BEGIN OPENSSH PRIVATE"+" KEY-----", "-----END OPENSSH PRIVATE"+" KEY-----"
	redacted := slices.Repeat([]string{"[redacted: private-key]"}, len(lines))
	stamped := func(in []string) string { return "2026-11-24T10:00:00Z " + strings.Join(in, "\n2026-11-24T10:00:00Z ") }
	join := func(parts ...[]string) string { return strings.Join(slices.Concat(parts...), "\n") }
	one := func(s string) []string { return []string{s} }
	r := redact.New()
	for name, tt := range map[string]struct{ in, want string }{
		"whole":             {join(one("a key:"), one(begin), lines, one(end), one("done here")), join(one("a key:"), one(begin), redacted, one(end), one("done here"))},
		"its end cut off":   {join(one(begin), lines), join(one(begin), redacted)},
		"its begin missing": {join(one("[... 9 bytes omitted ...]"), lines, one(end)), join(one("[... 9 bytes omitted ...]"), redacted, one(end))},
		"windows":           {strings.ReplaceAll(join(one(begin), lines, one(end)), "\n", "\r\n"), strings.ReplaceAll(join(one(begin), redacted, one(end)), "\n", "\r\n")},
		"with times":        {stamped(slices.Concat(one(begin), lines, one(end))), stamped(slices.Concat(one(begin), redacted, one(end)))},
		"on one line":       {begin + `\n` + strings.Join(lines, `\n`) + `\n` + end + `\n`, begin + "[redacted: private-key]" + end + `\n`},
	} {
		if diff := cmp.Diff(tt.want, first(r.Text(tt.in))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	public := "-----BEGIN CERTIFICATE-----\n" + strings.Join(lines, "\n") + "\n-----END CERTIFICATE-----\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + letters(3, 42) + " ann@laptop"
	if got, n := r.Text(public); n != 0 {
		t.Errorf("what is public was redacted:\n%s", got)
	}
}

func first[A, B any](a A, _ B) A { return a }

// Ordinary output stays as it is, to the letter.
func TestOrdinaryOutputStays(t *testing.T) {
	text, err := os.ReadFile("testdata/ordinary.txt")
	if err != nil {
		t.Fatal(err)
	}
	if got, n := redact.New("an-own-secret").Text(string(text)); n != 0 {
		t.Errorf("%d taken for secrets (-want +got):\n%s", n, cmp.Diff(string(text), got))
	}
}

func TestField(t *testing.T) {
	r := redact.New()
	for _, tt := range []struct{ name, value, want string }{
		{"api_token", "abcd efgh", "[redacted: secret]"},
		{"password", "x", "[redacted: password]"},
		{"password", "two\nlines", "[redacted: password]\n"},
		{"description", "redis://:hunter2@r", "redis://:[redacted: url-password]@r"},
		{"summary", "the token of web expired", "the token of web expired"},
		{"instance", "nexus:9100", "nexus:9100"},
		{"password", "[redacted: password]", "[redacted: password]"},
	} {
		if got, _ := r.Field(tt.name, tt.value); got != tt.want {
			t.Errorf("%s=%q: %q, want %q", tt.name, tt.value, got, tt.want)
		}
	}
}

// A secret that the cut goes through is on neither side of it.
func TestOutputAroundACut(t *testing.T) {
	r := redact.New()
	secret := letters(1, 60)
	text := "first line\nDB_NAME=x token " + secret + " and more\nlast line\n"
	at := strings.Index(text, secret)
	for cut := range len(secret) + 1 {
		head, tail, n := r.Output([]byte(text[:at+cut]), []byte(text[at+cut:]), true)
		all := string(head) + "\n[...]\n" + string(tail)
		if strings.Contains(all, secret[:max(cut, 3)]) || strings.Contains(all, secret[min(cut, len(secret)-3):]) || n == 0 {
			t.Fatalf("cut after %d bytes: %q", cut, all)
		}
		if !strings.HasPrefix(all, "first line\nDB_NAME=x token ") || !strings.HasSuffix(all, " and more\nlast line\n") {
			t.Fatalf("cut after %d bytes: more than the word is gone: %q", cut, all)
		}
	}
	// Whole lines on both sides stay.
	head, tail, n := r.Output([]byte("one\ntwo\n"), []byte("\nthree\nfour"), true)
	if string(head) != "one\ntwo\n" || string(tail) != "\nthree\nfour" || n != 0 {
		t.Errorf("%q %q %d", head, tail, n)
	}
	// Without a cut, the two sides are one text.
	head, tail, n = r.Output([]byte("gh"+"p_"+letters(1, 10)), []byte(letters(2, 26)+" x"), false)
	if string(head)+string(tail) != "[redacted: github-token] x" || n != 1 {
		t.Errorf("%q %q %d", head, tail, n)
	}
	// A long line without an end to its words keeps all but what is next to the cut.
	long := strings.Repeat("é", 10_000)
	head, tail, _ = r.Output([]byte(long), []byte(long), true)
	if !utf8.Valid(head) || !utf8.Valid(tail) || len(head) < 10_000 || len(tail) < 10_000 {
		t.Errorf("%d and %d bytes are left, valid %v and %v", len(head), len(tail), utf8.Valid(head), utf8.Valid(tail))
	}
}

// Whatever the text, its lines stay, its characters stay whole, and nothing is
// found in what was redacted.
func TestAnyText(t *testing.T) {
	r := redact.New("Lifeline's own")
	pieces := []string{
		"password", "DB_PASSWORD", "token", "api_key", "Authorization", "Cookie", "=", ":", ": ", " ", "\n", "\"", "'", "\\", "é", "\xff", "\x00", "://", "@",
		"ann", "gh" + "p_" + letters(1, 36), "ey" + "J", ".", "-----BEGIN RSA PRIVATE" + " KEY-----", "-----END RSA PRIVATE" + " KEY-----", "QUJDREVGR0hJSktMTU5P",
		"--password", "-p", "mysql", "curl", "-u", "[", "]", "{", "}", ",", ";", "&", "?", "<", ">", "$6$", "Lifeline's own", "1Q~", "123456:A", "Bearer", "x", "\r\n",
	}
	rapid.Check(t, func(t *rapid.T) {
		in := strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 40).Draw(t, "pieces"), "")
		got, n := r.Text(in)
		if strings.Count(got, "\n") != strings.Count(in, "\n") {
			t.Fatalf("%q: lines changed: %q", in, got)
		}
		if utf8.ValidString(in) && !utf8.ValidString(got) {
			t.Fatalf("%q: a character was cut in two: %q", in, got)
		}
		if strings.Contains(got, "Lifeline's own") {
			t.Fatalf("%q: an own secret is left: %q", in, got)
		}
		if again, _ := r.Text(got); again != got {
			t.Fatalf("%q: redacted once %q, twice %q", in, got, again)
		}
		if strings.Count(got, "[redacted: ") != n {
			t.Fatalf("%q: %d reported: %q", in, n, got)
		}
	})
}

// 128 KiB, the most that is kept of one output, take a few milliseconds; the
// worst text that was found takes some hundred.
func BenchmarkText(b *testing.B) {
	r := redact.New("an-own-secret", "another-one")
	line := "2026-11-24T12:00:00.123456Z web-1 INFO request id=6f1c2b1e-4b7c-4d1e-9f2a-7b1f0d9a1234 GET /api/v1/items?limit=50&token_type=bearer status=200 took=12ms\n"
	for name, text := range map[string]string{
		"log":   strings.Repeat(line, 128<<10/len(line)),
		"urls":  strings.Repeat("://a:b@", 128<<10/7),
		"found": strings.Repeat("API_KEY="+letters(1, 32)+"\n", 128<<10/41),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				r.Text(text)
			}
		})
	}
}
