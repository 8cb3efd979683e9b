package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"lifeline"
)

// idp is an identity provider with real signatures. It lets in whoever asks, as
// what its fields say.
type idp struct {
	t   *testing.T
	url string
	key *ecdsa.PrivateKey
	now func() time.Time

	down   bool
	claims map[string]any // of the identity token, besides those that it needs
	info   map[string]any // the user info; nil: there is none
	// change is done to the claims of a token before it is signed.
	change func(map[string]any)
	// signer, if set, signs in the place of key.
	signer *ecdsa.PrivateKey

	asked url.Values // of the last authorization
	codes map[string]url.Values
	found int // how often it was asked about itself
}

func newIDP(t *testing.T, now func() time.Time) *idp {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &idp{t: t, key: key, now: now, codes: map[string]url.Values{}, claims: map[string]any{"groups": []any{"ops", "all"}}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.about)
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		point, err := key.PublicKey.Bytes() // 4, and then both coordinates
		if err != nil {
			t.Error(err)
		}
		b64 := base64.RawURLEncoding
		p.json(w, map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "1",
			"x": b64.EncodeToString(point[1:33]), "y": b64.EncodeToString(point[33:])}}})
	})
	mux.HandleFunc("POST /token", p.token)
	mux.HandleFunc("GET /info", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-access-token" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		p.json(w, p.info)
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.down {
			http.Error(w, "down", http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

func (p *idp) json(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *idp) about(w http.ResponseWriter, _ *http.Request) {
	p.found++
	about := map[string]any{"issuer": p.url, "authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token", "jwks_uri": p.url + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256"}, "response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"}}
	if p.info != nil {
		about["userinfo_endpoint"] = p.url + "/info"
	}
	p.json(w, about)
}

// authorize is the person at the provider: it gives the address that they are sent
// back to.
func (p *idp) authorize(location string) string {
	p.t.Helper()
	u, err := url.Parse(location)
	if err != nil || !strings.HasPrefix(location, p.url+"/authorize?") {
		p.t.Fatalf("sent to %s, %v", location, err)
	}
	p.asked = u.Query()
	code := rand.Text()
	p.codes[code] = p.asked
	return "/login/oidc/callback?code=" + code + "&state=" + url.QueryEscape(p.asked.Get("state"))
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	asked, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	id, secret, basic := r.BasicAuth()
	switch {
	case !known, !basic || id != "lifeline" || secret != "client-secret",
		asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]),
		asked.Get("redirect_uri") != r.PostFormValue("redirect_uri"):
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		w.Write([]byte(`{"error":"invalid_grant","error_description":"hunter2"}`))
		return
	}
	claims := map[string]any{"iss": p.url, "aud": "lifeline", "sub": "248289", "nonce": asked.Get("nonce"),
		"iat": p.now().Unix(), "exp": p.now().Add(5 * time.Minute).Unix()}
	for name, v := range p.claims {
		claims[name] = v
	}
	if p.change != nil {
		p.change(claims)
	}
	p.json(w, map[string]any{"access_token": "the-access-token", "token_type": "Bearer", "expires_in": 300, "id_token": p.sign(claims)})
}

// sign is a JWS with ES256.
func (p *idp) sign(claims map[string]any) string {
	body, err := json.Marshal(claims)
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString([]byte(`{"alg":"ES256","kid":"1"}`)) + "." + b64.EncodeToString(body)
	sum := sha256.Sum256([]byte(text))
	key := p.key
	if p.signer != nil {
		key = p.signer
	}
	r, v, signErr := ecdsa.Sign(rand.Reader, key, sum[:])
	if err := errors.Join(err, signErr); err != nil {
		p.t.Error(err)
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	v.FillBytes(signature[32:])
	return text + "." + b64.EncodeToString(signature)
}

// withIDP is a world whose people come from a provider.
func withIDP(t *testing.T, change func(*OIDC)) (*world, *idp) {
	var p *idp
	w := newWorld(t, func(c *Config) {
		p = newIDP(t, c.Now)
		c.OIDC = OIDC{Issuer: p.url, ClientID: "lifeline", ClientSecret: "client-secret", Scopes: []string{"email"}, RoleClaim: "groups",
			Roles: map[string]lifeline.Role{"all": lifeline.RoleViewer, "ops": lifeline.RoleApprover, "boss": lifeline.RoleAdmin}}
		if change != nil {
			change(&c.OIDC)
		}
	})
	return w, p
}

// signInAt goes to the provider and comes back, and gives the answer to that.
func (w *world) signInAt(p *idp, next string) (*http.Response, string) {
	w.t.Helper()
	r, body := w.ask("GET", "/login/oidc?next="+url.QueryEscape(next), "")
	if r.StatusCode != 303 {
		return r, body
	}
	return w.ask("GET", p.authorize(r.Header.Get("Location")), "", "Sec-Fetch-Site", "cross-site")
}

func TestSignInAtTheProvider(t *testing.T) {
	w, p := withIDP(t, nil)
	if _, page := w.ask("GET", "/login?next=/hosts", ""); !strings.Contains(page, `href="/login/oidc?next=%2fhosts"`) {
		t.Errorf("the page has no link to the provider:\n%s", page)
	}
	if p.found != 0 {
		t.Error("the provider was asked before anybody wanted to sign in")
	}
	r, _ := w.signInAt(p, "/hosts?x=1")
	if r.StatusCode != 303 || r.Header.Get("Location") != "/hosts?x=1" {
		t.Fatalf("%s %s\n%s", r.Status, r.Header, w.log)
	}
	if who := w.who(); who != "oidc:248289 approver oidc person:oidc:248289" {
		t.Errorf("signed in as %s", who)
	}
	for name, want := range map[string]string{"client_id": "lifeline", "redirect_uri": "https://lifeline.example.net/login/oidc/callback", "response_type": "code",
		"scope": "openid email", "code_challenge_method": "S256"} {
		if got := p.asked.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, left := w.jar["lifeline-signin"]; left {
		t.Error("the cookie of the sign-in is left")
	}
	// The second time it is known where to ask.
	first := p.asked
	if r, _ := w.signInAt(p, "https://evil.net/"); r.StatusCode != 303 { // who is signed in may do it again
		t.Errorf("again: %s", r.Status)
	} else if r.Header.Get("Location") != "/" {
		t.Errorf("again, to %s", r.Header.Get("Location"))
	}
	if p.found != 1 {
		t.Errorf("the provider was asked %d times about itself", p.found)
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if first.Get(name) == p.asked.Get(name) || len(first.Get(name)) < 40 {
			t.Errorf("%s is the same twice, or short: %q", name, first.Get(name))
		}
	}
	// By https through the proxy it is a cookie that only https gets.
	if r, _ := w.ask("GET", "/login/oidc", "", byProxy("1.2.3.4")...); r.StatusCode != 303 || w.seen[0].Name != "__Host-lifeline-signin" || !w.seen[0].Secure || !w.seen[0].HttpOnly || w.seen[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("by https: %s %v", r.Status, w.seen)
	}
	if r, _ := w.ask("GET", "/login/oidc", "", "from", "1.2.3.4:5"); r.StatusCode != 403 {
		t.Errorf("unencrypted: %s", r.Status)
	}
	if text := w.log.String(); strings.Contains(text, "the-access-token") || strings.Contains(text, "client-secret") {
		t.Errorf("the log:\n%s", text)
	}
}

// Who somebody is, and what they may do, by what the provider says.
func TestClaims(t *testing.T) {
	for what, tt := range map[string]struct {
		claims, info map[string]any
		change       func(*OIDC)
		want         string
	}{
		"an address of theirs":       {map[string]any{"email": " Ann@Example.NET ", "email_verified": true, "groups": "boss"}, nil, nil, "ann@example.net admin"},
		"an address that is claimed": {map[string]any{"email": "ann@example.net", "groups": []any{"all"}}, nil, nil, "oidc:248289 viewer"},
		"one that is not verified":   {map[string]any{"email": "ann@example.net", "email_verified": false, "groups": []any{"all"}}, nil, nil, "oidc:248289 viewer"},
		"verified as a text":         {map[string]any{"email": "ann@example.net", "email_verified": "true", "groups": []any{"all"}}, nil, nil, "ann@example.net viewer"},
		"a name of a user":           {map[string]any{"sub": "ann", "email": "ann", "email_verified": true, "groups": []any{"all"}}, nil, nil, "oidc:ann viewer"},
		"the highest role":           {map[string]any{"groups": []any{"all", "boss", "ops", "x", 7}}, nil, nil, "oidc:248289 admin"},
		"no role":                    {map[string]any{"groups": []any{"strangers"}}, nil, nil, "nobody"},
		"no groups":                  {nil, nil, nil, "nobody"},
		"a default":                  {nil, nil, func(o *OIDC) { o.DefaultRole = lifeline.RoleViewer }, "oidc:248289 viewer"},
		"a default and more":         {map[string]any{"groups": []any{"ops"}}, nil, func(o *OIDC) { o.DefaultRole = lifeline.RoleViewer }, "oidc:248289 approver"},
		"a claim within another":     {map[string]any{"realm_access": map[string]any{"roles": []any{"ops"}}}, nil, func(o *OIDC) { o.RoleClaim = "realm_access.roles" }, "oidc:248289 approver"},
		"a claim with dots":          {map[string]any{"https://x.net/roles": []any{"ops"}}, nil, func(o *OIDC) { o.RoleClaim = "https://x.net/roles" }, "oidc:248289 approver"},
		"groups in the user info":    {nil, map[string]any{"sub": "248289", "groups": []any{"ops"}, "email": "a@b.c", "email_verified": true}, nil, "a@b.c approver"},
		"the token goes first":       {map[string]any{"groups": []any{"all"}}, map[string]any{"sub": "248289", "groups": []any{"boss"}}, nil, "oidc:248289 viewer"},
	} {
		w, p := withIDP(t, tt.change)
		p.claims, p.info = tt.claims, tt.info
		r, page := w.signInAt(p, "/")
		who := w.who()
		if name, role, _ := strings.Cut(who, " "); who != "nobody" {
			role, _, _ = strings.Cut(role, " ")
			who = name + " " + role
		}
		if who != tt.want {
			t.Errorf("%s: %s, want %s (%s)", what, who, tt.want, r.Status)
		}
		if tt.want == "nobody" && (r.StatusCode != 403 || !strings.Contains(page, "none of your groups has a role here")) {
			t.Errorf("%s: %s\n%s", what, r.Status, page)
		}
	}
}

// Whatever is not right lets nobody in.
func TestProviderIsNotBelieved(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, v any) func(*world, *idp, *string) {
		return func(_ *world, p *idp, _ *string) { p.change = func(c map[string]any) { c[name] = v } }
	}
	for what, tt := range map[string]struct {
		status int
		// spoil is done between the way to the provider and the way back.
		spoil func(w *world, p *idp, back *string)
	}{
		"another nonce":    {403, set("nonce", "x")},
		"no nonce":         {403, set("nonce", "")},
		"another audience": {503, set("aud", "somebody-else")},
		"another issuer":   {503, set("iss", "https://evil.net")},
		"an old token":     {503, set("exp", 1)},
		"another key":      {503, func(_ *world, p *idp, _ *string) { p.signer = other }},
		"another code":     {503, func(_ *world, _ *idp, back *string) { *back = strings.Replace(*back, "code=", "code=x", 1) }},
		"another verifier": {503, func(_ *world, p *idp, _ *string) { p.rechallenge() }},
		"another state":    {400, func(_ *world, _ *idp, back *string) { *back += "x" }},
		"no state":         {400, func(_ *world, _ *idp, back *string) { *back, _, _ = strings.Cut(*back, "&state=") }},
		"another browser":  {400, func(w *world, _ *idp, _ *string) { clear(w.jar) }},
		"a cookie of its own": {400, func(w *world, _ *idp, _ *string) {
			w.jar["lifeline-signin"].Value = "x" + w.jar["lifeline-signin"].Value
		}},
		"too late":         {400, func(w *world, _ *idp, _ *string) { w.later(signInMost) }},
		"another provider": {403, func(_ *world, _ *idp, back *string) { *back += "&iss=https%3A%2F%2Fevil.net" }},
		"the person said no": {403, func(_ *world, _ *idp, back *string) {
			*back = strings.Replace(*back, "code=", "error=access_denied&x=", 1)
		}},
		"the provider said no": {503, func(_ *world, _ *idp, back *string) {
			*back = strings.Replace(*back, "code=", "error=server_error&x=", 1)
		}},
		"the provider is gone": {503, func(_ *world, p *idp, _ *string) { p.down = true }},
		"somebody else's info": {503, func(_ *world, p *idp, _ *string) { p.claims = nil; p.info["sub"] = "666" }},
	} {
		w, p := withIDP(t, nil)
		p.info = map[string]any{"sub": "248289", "groups": []any{"boss"}}
		r, _ := w.ask("GET", "/login/oidc", "")
		back := p.authorize(r.Header.Get("Location"))
		tt.spoil(w, p, &back)
		r, page := w.ask("GET", back, "")
		if who := w.who(); r.StatusCode != tt.status || who != "nobody" {
			t.Errorf("%s: %s, want %d: signed in as %s\n%s", what, r.Status, tt.status, who, w.log)
		}
		if strings.Contains(page+w.log.String(), "hunter2") || strings.Contains(w.log.String(), "client-secret") {
			t.Errorf("%s: the log:\n%s", what, w.log)
		}
	}
	// A code works once, in one browser.
	w, p := withIDP(t, nil)
	r, _ := w.ask("GET", "/login/oidc", "")
	back := p.authorize(r.Header.Get("Location"))
	if r, _ := w.ask("GET", back, ""); r.StatusCode != 303 {
		t.Fatal(r.Status)
	}
	if r, _ := w.ask("GET", back, ""); r.StatusCode != 400 {
		t.Errorf("the same again: %s", r.Status)
	}
}

// rechallenge makes the provider expect another verifier.
func (p *idp) rechallenge() {
	for _, asked := range p.codes {
		asked.Set("code_challenge", "x")
	}
}

// A provider that is down keeps nobody but its own people out, and is asked again.
func TestProviderIsDown(t *testing.T) {
	w, p := withIDP(t, nil)
	p.down = true
	for range 3 {
		if r, page := w.ask("GET", "/login/oidc", ""); r.StatusCode != 503 || !strings.Contains(page, "identity provider does not answer") {
			t.Errorf("down: %s\n%s", r.Status, page)
		}
	}
	if !strings.Contains(w.log.String(), "oidc_unreachable") {
		t.Errorf("the log:\n%s", w.log)
	}
	if status := w.signIn("ann", sesame); status != 303 {
		t.Errorf("with a password: %d", status)
	}
	clear(w.jar)
	p.down = false
	if r, _ := w.ask("GET", "/login/oidc", ""); r.StatusCode != 503 {
		t.Errorf("it is asked again at once: %s", r.Status)
	}
	w.later(retryAfter)
	if r, _ := w.signInAt(p, "/"); r.StatusCode != 303 || w.who() == "nobody" {
		t.Errorf("up again: %s", r.Status)
	}
	// What was known goes on to count while it says nothing new.
	w.later(discoverEvery)
	found := p.found
	if r, _ := w.ask("GET", "/login/oidc", ""); r.StatusCode != 303 || p.found != found+1 {
		t.Errorf("an hour later: %s, asked %d times", r.Status, p.found-found)
	}
	w.later(discoverEvery)
	p.down = true
	if r, _ := w.ask("GET", "/login/oidc", ""); r.StatusCode != 303 {
		t.Errorf("down, and known: %s", r.Status)
	}
}

// Another mapping of groups ends the sessions that rest on the old one, and so does
// the end of the provider.
func TestProviderSessionsEnd(t *testing.T) {
	for what, change := range map[string]func(*Config){
		"another mapping": func(c *Config) { c.OIDC.Roles = map[string]lifeline.Role{"ops": lifeline.RoleViewer} },
		"no provider":     func(c *Config) { c.OIDC = OIDC{} },
	} {
		w, p := withIDP(t, nil)
		if r, _ := w.signInAt(p, "/"); r.StatusCode != 303 {
			t.Fatal(r.Status)
		}
		before := w.Config
		w.configure(func(c *Config) { c.OIDC = before.OIDC })
		if w.who() == "nobody" {
			t.Errorf("%s: a mere start has ended the session", what)
		}
		w.configure(func(c *Config) { c.OIDC = before.OIDC; change(c) })
		if who := w.who(); who != "nobody" {
			t.Errorf("%s: %s", what, who)
		}
	}
	w := newWorld(t, nil)
	if r, _ := w.ask("GET", "/login/oidc", ""); r.StatusCode != 404 {
		t.Errorf("there is no provider: %s", r.Status)
	}
	if r, _ := w.ask("GET", "/login/oidc/callback", ""); r.StatusCode != 404 {
		t.Errorf("there is no provider: %s", r.Status)
	}
}
