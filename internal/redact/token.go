package redact

import "strings"

// charset says which bytes the rest of a token has.
type charset string

const (
	alnum   charset = "a-z A-Z 0-9"
	word    charset = "a-z A-Z 0-9 _"
	dashed  charset = "a-z A-Z 0-9 _ -"
	dotted  charset = "a-z A-Z 0-9 _ - ."
	base64s charset = "a-z A-Z 0-9 + / = _ -"
	hexs    charset = "a-f A-F 0-9"
	uppers  charset = "A-Z 0-9"
	// anyToken is whatever a token is written with.
	anyToken charset = "a-z A-Z 0-9 _ - . ~ + / ="
)

func (c charset) has(b byte) bool {
	switch c {
	case alnum:
		return isAlnum(b)
	case word:
		return isWord(b)
	case dashed:
		return isWord(b) || b == '-'
	case dotted:
		return isWord(b) || b == '-' || b == '.'
	case base64s:
		return isWord(b) || b == '-' || b == '+' || b == '/' || b == '='
	case anyToken:
		return isWord(b) || strings.IndexByte("-.~+/=", b) >= 0
	case hexs:
		return b >= '0' && b <= '9' || b >= 'a' && b <= 'f' || b >= 'A' && b <= 'F'
	case uppers:
		return b >= '0' && b <= '9' || b >= 'A' && b <= 'Z'
	}
	return false
}

// token is a form that a vendor gives its secrets: a prefix, and at least so
// many bytes of a charset. The forms are those that the vendors document, and
// those that secret scanners have collected.
type token struct {
	rule, prefix string
	rest         charset
	least        int
	// exact means that a longer run of the charset is something else.
	exact bool
}

// token looks for one form at i, where a word begins.
func (s *scan) token(t token, i int) {
	text := s.text
	if !strings.HasPrefix(text[i:], t.prefix) || t.prefix == "eyJ" && i < s.noJWT {
		return
	}
	end := i + len(t.prefix)
	for end < min(len(text), i+longestValue) && t.rest.has(text[end]) {
		end++
	}
	n := end - i - len(t.prefix)
	if n < t.least || t.exact && n != t.least {
		return
	}
	if t.prefix == "eyJ" && !strings.Contains(text[i:end], ".") {
		s.noJWT = end // nor is one that begins within it
		return
	}
	for text[end-1] == '.' { // the end of a sentence
		end--
	}
	s.add(t.rule, i, end)
}

// tokens lists the forms.
func tokens() []token {
	list := []token{
		{rule: "jwt", prefix: "eyJ", rest: dotted, least: 30},
		{rule: "aws-key", prefix: "AKIA", rest: uppers, least: 16, exact: true},
		{rule: "aws-key", prefix: "ASIA", rest: uppers, least: 16, exact: true},
		{rule: "aws-key", prefix: "ABIA", rest: uppers, least: 16, exact: true},
		{rule: "aws-key", prefix: "ACCA", rest: uppers, least: 16, exact: true},
		{rule: "twilio-key", prefix: "SK", rest: hexs, least: 32, exact: true},
		{rule: "mailgun-key", prefix: "key-", rest: hexs, least: 32, exact: true},
		{rule: "databricks-token", prefix: "dapi", rest: hexs, least: 32},
		{rule: "google-key", prefix: "AIza", rest: dashed, least: 35},
		{rule: "k3s-token", prefix: "K10", rest: hexs, least: 64},
		{rule: "openai-key", prefix: "sk-", rest: dashed, least: 32},
		{rule: "flyio-token", prefix: "FlyV1 fm", rest: base64s, least: 30},
		{rule: "alibaba-key", prefix: "LTAI", rest: alnum, least: 17},
		{rule: "artifactory-key", prefix: "AKCp", rest: alnum, least: 60},
		{rule: "artifactory-token", prefix: "cmVmd", rest: alnum, least: 59},
		{rule: "jwt", prefix: "ZXlK", rest: base64s, least: 60},
		{rule: "bedrock-key", prefix: "ABSK", rest: base64s, least: 100},
		{rule: "bedrock-key", prefix: "bedrock-api-key-", rest: base64s, least: 20},
		{rule: "grafana-key", prefix: "eyJrIjoi", rest: base64s, least: 60},
		{rule: "huggingface-token", prefix: "hf_", rest: alnum, least: 34},
		{rule: "huggingface-token", prefix: "api_org_", rest: alnum, least: 34},
		{rule: "yandex-key", prefix: "AQVN", rest: dashed, least: 35},
		{rule: "sendgrid-token", prefix: "SG.", rest: dotted, least: 60},
		{rule: "onepassword-token", prefix: "ops_eyJ", rest: base64s, least: 60},
		{rule: "onepassword-key", prefix: "A3-", rest: dashed, least: 30},
		{rule: "terraform-token", prefix: "atlasv1.", rest: dashed, least: 60},
		{rule: "cloudflare-key", prefix: "v1.0-", rest: dashed, least: 150},
		{rule: "square-token", prefix: "EAAA", rest: dashed, least: 56},
		{rule: "facebook-token", prefix: "EAAC", rest: alnum, least: 80},
		{rule: "facebook-token", prefix: "EAAM", rest: alnum, least: 80},
		{rule: "new-relic-key", prefix: "NRAK", rest: dashed, least: 27},
		{rule: "new-relic-key", prefix: "NRII", rest: dashed, least: 32},
		{rule: "new-relic-key", prefix: "NRJS", rest: dashed, least: 19},
		{rule: "new-relic-key", prefix: "NRRA", rest: dashed, least: 40},
		{rule: "heroku-key", prefix: "HRKU-", rest: dashed, least: 36},
		{rule: "adobe-secret", prefix: "p8e-", rest: alnum, least: 32},
		{rule: "age-key", prefix: "AGE-SECRET-KEY-1", rest: uppers, least: 40},
		{rule: "docker-swarm-token", prefix: "SWMTKN-1-", rest: dashed, least: 40},
		{rule: "openshift-token", prefix: "sha256~", rest: dashed, least: 43},
		{rule: "gocardless-token", prefix: "live_", rest: dashed, least: 40},
		{rule: "intra42-secret", prefix: "s-s4t2", rest: dashed, least: 60},
		{rule: "plaid-token", prefix: "access-production-", rest: dashed, least: 36},
		{rule: "plaid-token", prefix: "access-sandbox-", rest: dashed, least: 36},
		{rule: "plaid-token", prefix: "access-development-", rest: dashed, least: 36},
		{rule: "mapbox-token", prefix: "sk.eyJ", rest: dotted, least: 40},
		{rule: "mapbox-token", prefix: "pk.eyJ", rest: dotted, least: 40},
		{rule: "dynatrace-token", prefix: "dt0", rest: dotted, least: 80},
		{rule: "scalingo-token", prefix: "tk-us-", rest: dashed, least: 48},
		{rule: "airtable-token", prefix: "pat", rest: dotted, least: 76},
		{rule: "atlassian-token", prefix: "ATATT3", rest: base64s, least: 60},
		{rule: "bitbucket-token", prefix: "ATBB", rest: base64s, least: 32},
		{rule: "bitbucket-token", prefix: "ATCTT3", rest: base64s, least: 60},
		{rule: "duffel-token", prefix: "duffel_", rest: base64s, least: 40},
		{rule: "octopus-key", prefix: "API-", rest: uppers, least: 26},
		{rule: "google-oauth", prefix: "ya29.", rest: dashed, least: 30},
	}
	for _, t := range underscored() {
		list = append(list, token{rule: t.rule, prefix: t.prefix, rest: anyToken, least: t.least})
	}
	return list
}

// underscored are forms whose prefix alone is not an ordinary word. What follows
// may be anything that a token is written with.
func underscored() []token {
	return []token{
		{rule: "github-token", prefix: "ghp_", least: 20}, {rule: "github-token", prefix: "gho_", least: 20}, {rule: "github-token", prefix: "ghu_", least: 20},
		{rule: "github-token", prefix: "ghs_", least: 20}, {rule: "github-token", prefix: "ghr_", least: 20}, {rule: "github-token", prefix: "github_pat_", least: 40},
		{rule: "gitlab-token", prefix: "glpat-", least: 16}, {rule: "gitlab-token", prefix: "gldt-", least: 16}, {rule: "gitlab-token", prefix: "glft-", least: 16},
		{rule: "gitlab-token", prefix: "glsoat-", least: 16}, {rule: "gitlab-token", prefix: "glrt-", least: 16}, {rule: "gitlab-token", prefix: "glcbt-", least: 16},
		{rule: "gitlab-token", prefix: "glptt-", least: 16}, {rule: "gitlab-token", prefix: "glagent-", least: 16}, {rule: "gitlab-token", prefix: "gloas-", least: 16},
		{rule: "gitlab-token", prefix: "glimt-", least: 16}, {rule: "gitlab-token", prefix: "glffct-", least: 16}, {rule: "gitlab-token", prefix: "GR1348941", least: 20},
		{rule: "slack-token", prefix: "xoxb-", least: 16}, {rule: "slack-token", prefix: "xoxp-", least: 16}, {rule: "slack-token", prefix: "xoxa-", least: 8},
		{rule: "slack-token", prefix: "xoxr-", least: 8}, {rule: "slack-token", prefix: "xoxs-", least: 8}, {rule: "slack-token", prefix: "xoxo-", least: 8},
		{rule: "slack-token", prefix: "xoxe-", least: 16}, {rule: "slack-token", prefix: "xapp-", least: 16},
		{rule: "lifeline-token", prefix: "llt_", least: 40},
		{rule: "anthropic-key", prefix: "sk-ant-", least: 8},
		{rule: "openai-key", prefix: "sk-proj-", least: 20}, {rule: "openai-key", prefix: "sk-svcacct-", least: 20}, {rule: "openai-key", prefix: "sk-admin-", least: 20},
		{rule: "openrouter-key", prefix: "sk-or-", least: 20}, {rule: "groq-key", prefix: "gsk_", least: 30}, {rule: "xai-key", prefix: "xai-", least: 40},
		{rule: "perplexity-key", prefix: "pplx-", least: 30}, {rule: "replicate-token", prefix: "r8_", least: 30},
		{rule: "google-secret", prefix: "GOCSPX-", least: 20},
		{rule: "stripe-key", prefix: "sk_live_", least: 10}, {rule: "stripe-key", prefix: "sk_test_", least: 10}, {rule: "stripe-key", prefix: "sk_prod_", least: 10},
		{rule: "stripe-key", prefix: "rk_live_", least: 10}, {rule: "stripe-key", prefix: "rk_test_", least: 10}, {rule: "stripe-key", prefix: "rk_prod_", least: 10},
		{rule: "webhook-secret", prefix: "whsec_", least: 20},
		{rule: "npm-token", prefix: "npm_", least: 30}, {rule: "pypi-token", prefix: "pypi-AgE", least: 40}, {rule: "rubygems-token", prefix: "rubygems_", least: 40},
		{rule: "docker-token", prefix: "dckr_pat_", least: 20}, {rule: "docker-token", prefix: "dckr_oat_", least: 20},
		{rule: "digitalocean-token", prefix: "dop_v1_", least: 40}, {rule: "digitalocean-token", prefix: "doo_v1_", least: 40}, {rule: "digitalocean-token", prefix: "dor_v1_", least: 40},
		{rule: "grafana-token", prefix: "glsa_", least: 32}, {rule: "grafana-token", prefix: "glc_", least: 32},
		{rule: "vault-token", prefix: "hvs.", least: 20}, {rule: "vault-token", prefix: "hvb.", least: 20}, {rule: "vault-token", prefix: "hvr.", least: 20},
		{rule: "shopify-token", prefix: "shpat_", least: 30}, {rule: "shopify-token", prefix: "shpca_", least: 30}, {rule: "shopify-token", prefix: "shppa_", least: 30},
		{rule: "shopify-token", prefix: "shpss_", least: 30}, {rule: "square-token", prefix: "sq0atp-", least: 20}, {rule: "square-token", prefix: "sq0csp-", least: 20},
		{rule: "figma-token", prefix: "figd_", least: 30}, {rule: "linear-key", prefix: "lin_api_", least: 30}, {rule: "notion-token", prefix: "ntn_", least: 40},
		{rule: "notion-token", prefix: "secret_", least: 43}, {rule: "postman-key", prefix: "PMAK-", least: 40},
		{rule: "planetscale-token", prefix: "pscale_tkn_", least: 30}, {rule: "planetscale-password", prefix: "pscale_pw_", least: 30}, {rule: "planetscale-token", prefix: "pscale_oauth_", least: 30},
		{rule: "readme-key", prefix: "rdme_", least: 60}, {rule: "sourcegraph-token", prefix: "sgp_", least: 40}, {rule: "sourcegraph-token", prefix: "slk_", least: 40}, {rule: "pulumi-token", prefix: "pul-", least: 40},
		{rule: "prefect-key", prefix: "pnu_", least: 36}, {rule: "tailscale-key", prefix: "tskey-", least: 12}, {rule: "brevo-key", prefix: "xkeysib-", least: 60},
		{rule: "doppler-token", prefix: "dp.pt.", least: 40}, {rule: "doppler-token", prefix: "dp.st.", least: 30}, {rule: "sentry-token", prefix: "sntrys_", least: 40}, {rule: "sentry-token", prefix: "sntryu_", least: 40},
		{rule: "sonar-token", prefix: "squ_", least: 40}, {rule: "sonar-token", prefix: "sqp_", least: 40}, {rule: "sonar-token", prefix: "sqa_", least: 40},
		{rule: "typeform-token", prefix: "tfp_", least: 40}, {rule: "supabase-token", prefix: "sbp_", least: 40}, {rule: "flyio-token", prefix: "fo1_", least: 40},
		{rule: "flyio-token", prefix: "fm1r_", least: 60}, {rule: "flyio-token", prefix: "fm1a_", least: 60}, {rule: "flyio-token", prefix: "fm2_", least: 60},
		{rule: "buildkite-token", prefix: "bkua_", least: 40}, {rule: "circleci-token", prefix: "CCIPAT_", least: 30}, {rule: "adafruit-key", prefix: "aio_", least: 28},
		{rule: "aiven-token", prefix: "AVNS_", least: 15}, {rule: "kuma-key", prefix: "uk1_", least: 20}, {rule: "portainer-token", prefix: "ptr_", least: 40},
		{rule: "ntfy-token", prefix: "tk_", least: 29}, {rule: "clojars-token", prefix: "CLOJARS_", least: 60}, {rule: "cratesio-token", prefix: "cio", least: 32},
		{rule: "easypost-key", prefix: "EZAK", least: 54}, {rule: "easypost-key", prefix: "EZTK", least: 54}, {rule: "flutterwave-key", prefix: "FLWSECK", least: 12}, {rule: "flutterwave-key", prefix: "FLWPUBK", least: 12},
		{rule: "frameio-token", prefix: "fio-u-", least: 60}, {rule: "infracost-key", prefix: "ico-", least: 32}, {rule: "lob-key", prefix: "live_pub_", least: 31}, {rule: "lob-key", prefix: "test_pub_", least: 31},
		{rule: "netlify-token", prefix: "nfp_", least: 36}, {rule: "settlemint-token", prefix: "sm_aat_", least: 16}, {rule: "settlemint-token", prefix: "sm_pat_", least: 16}, {rule: "settlemint-token", prefix: "sm_sat_", least: 16},
		{rule: "shippo-token", prefix: "shippo_live_", least: 40}, {rule: "shippo-token", prefix: "shippo_test_", least: 40}, {rule: "harness-token", prefix: "pat.", least: 40}, {rule: "heroku-key", prefix: "HRKU-AA", least: 50},
		{rule: "maxmind-key", prefix: "mmk_", least: 20}, {rule: "cohere-key", prefix: "co_api_", least: 30}, {rule: "mailchimp-key", prefix: "md-", least: 22}, {rule: "render-token", prefix: "rnd_", least: 28},
	}
}

// telegram finds the token of a bot, 123456789:AA…; i is the first digit.
func (s *scan) telegram(i int) {
	text, end := s.text, i
	for end < min(len(text), i+17) && text[end] >= '0' && text[end] <= '9' {
		end++
	}
	if end-i < 5 || end-i > 16 || !strings.HasPrefix(text[end:], ":A") {
		return
	}
	stop := end + 1
	for stop < min(len(text), end+40) && dashed.has(text[stop]) {
		stop++
	}
	if stop-end-1 == 35 {
		s.add("telegram-token", i, stop)
	}
}

// azure finds a client secret of Entra ID: three characters, a digit, Q~ and
// some thirty more; i is the tilde.
func (s *scan) azure(i int) {
	text := s.text
	inside := func(c byte) bool { return dotted.has(c) || c == '~' }
	if i < 5 || i > 5 && inside(text[i-6]) || text[i-1] != 'Q' || text[i-2] < '0' || text[i-2] > '9' {
		return
	}
	end := i + 1
	for end < min(len(text), i+40) && inside(text[end]) {
		end++
	}
	if n := end - i - 1; n >= 31 && n <= 34 && inside(text[i-3]) && inside(text[i-4]) && inside(text[i-5]) {
		s.add("azure-secret", i-5, end)
	}
}
