package access

import (
	"context"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"lifeline"
)

// callbackPath is where the identity provider sends people back to.
const callbackPath = "/login/oidc/callback"

// The cookie of a sign-in that is under way at the provider, and how long one may
// take.
const (
	secureSignIn   = "__Host-lifeline-signin"
	loopbackSignIn = "lifeline-signin"
	signInMost     = 10 * time.Minute
)

// signIn is what the browser keeps meanwhile, signed: only the browser that began
// a sign-in can end it.
type signIn struct {
	State    string `json:"s"`
	Nonce    string `json:"n"`
	Verifier string `json:"v"` // of PKCE
	Next     string `json:"p"`
	Until    int64  `json:"u"` // seconds since 1970
}

func (a *Access) sealSignIn(v signIn) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic("access: a sign-in of our own cannot be encoded: " + err.Error())
	}
	b64 := base64.RawURLEncoding
	text := b64.EncodeToString(raw)
	return text + "." + b64.EncodeToString(a.Sessions.SignIn(text))
}

func (a *Access) openSignIn(sealed string) (v signIn, ok bool) {
	b64 := base64.RawURLEncoding.Strict()
	text, signature, _ := strings.Cut(sealed, ".")
	mac, err := b64.DecodeString(signature)
	if err != nil || !hmac.Equal(mac, a.Sessions.SignIn(text)) {
		return v, false
	}
	raw, err := b64.DecodeString(text)
	if err != nil || json.Unmarshal(raw, &v) != nil {
		return v, false
	}
	return v, v.State != "" && a.Now().Unix() < v.Until
}

func (a *Access) signInCookie(w http.ResponseWriter, c client, value string, age int) {
	name := secureSignIn
	if !c.secure {
		name = loopbackSignIn
	}
	// Lax: the provider sends the browser back from its own site.
	http.SetCookie(w, &http.Cookie{Name: name, Value: value, Path: "/", MaxAge: age, Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// toProvider sends a person to the identity provider.
func (a *Access) toProvider(w http.ResponseWriter, r *http.Request) {
	r, c := a.client(r)
	next := sameSite(r.URL.Query().Get("next"))
	if p := a.page(c, next); !p.Provider {
		status := http.StatusNotFound
		if p.Plain {
			status = http.StatusForbidden
		}
		a.render(w, status, "login.html", p)
		return
	}
	_, config, err := a.provider.get(r.Context())
	if err != nil {
		a.providerDown(w, r, err)
		return
	}
	v := signIn{State: newSecret(), Nonce: newSecret(), Verifier: oauth2.GenerateVerifier(), Next: next, Until: a.Now().Add(signInMost).Unix()}
	a.signInCookie(w, c, a.sealSignIn(v), int(signInMost.Seconds()))
	http.Redirect(w, r, config.AuthCodeURL(v.State, oidc.Nonce(v.Nonce), oauth2.S256ChallengeOption(v.Verifier)), http.StatusSeeOther)
}

func (a *Access) providerDown(w http.ResponseWriter, r *http.Request, err error) {
	a.Logger.Error("oidc_unreachable", "issuer", a.provider.Issuer, "error", err)
	w.Header().Set("Retry-After", "5")
	a.refuse(w, r, refusal{status: http.StatusServiceUnavailable, text: "The identity provider does not answer as it should.",
		hint: "Try again. The log of lifeline serve names the cause."})
}

// fromProvider takes up a person whom the identity provider sends back.
func (a *Access) fromProvider(w http.ResponseWriter, r *http.Request) {
	r, c := a.client(r)
	if p := a.page(c, "/"); !p.Provider {
		a.render(w, http.StatusNotFound, "login.html", p)
		return
	}
	name := secureSignIn
	if !c.secure {
		name = loopbackSignIn
	}
	began, ok := signIn{}, false
	if cookie, err := r.Cookie(name); err == nil {
		began, ok = a.openSignIn(cookie.Value)
	}
	a.signInCookie(w, c, "", -1) // it was for one try
	query := r.URL.Query()
	if !ok || !hmac.Equal([]byte(query.Get("state")), []byte(began.State)) {
		a.refuse(w, r, refusal{status: http.StatusBadRequest, text: "This sign-in was not begun in this browser, or too long ago.", hint: "Begin again: open /login."})
		return
	}
	person, err := a.provider.finish(r.Context(), query.Get("iss"), query.Get("error"), query.Get("code"), began)
	var no notLetIn
	switch {
	case errors.As(err, &no):
		a.failures.add(r.Context(), failure{Name: person.Name, Address: c.addr.String(), Why: no.why})
		a.refuse(w, r, refusal{status: http.StatusForbidden, text: no.text, hint: no.hint})
		return
	case err != nil:
		a.providerDown(w, r, err)
		return
	}
	a.begin(w, r, c, person, began.Next)
}

// notLetIn is for a person who cannot sign in; text and hint are for them, why for
// the record.
type notLetIn struct{ why, text, hint string }

func (e notLetIn) Error() string { return e.why }

// finish asks the provider who it is that it has sent back with a code. A
// notLetIn says why they are not let in.
func (p *provider) finish(ctx context.Context, iss, said, code string, began signIn) (lifeline.Person, error) {
	const again = "Begin again: open /login."
	switch {
	case iss != "" && iss != p.Issuer: // RFC 9207
		return lifeline.Person{}, notLetIn{"another identity provider answered", "Another identity provider answered than was asked.", again}
	case said == "access_denied":
		return lifeline.Person{}, notLetIn{"the identity provider denied it", "The identity provider did not let you in.", again}
	case said != "":
		return lifeline.Person{}, fmt.Errorf("it says %.100q", said)
	}
	found, config, err := p.get(ctx)
	if err != nil {
		return lifeline.Person{}, err
	}
	ctx, cancel := context.WithTimeoutCause(oidc.ClientContext(ctx, p.client), providerMost, errors.New("it did not answer in time"))
	defer cancel()
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(began.Verifier))
	if err != nil {
		return lifeline.Person{}, exchangeError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := found.Verifier(&oidc.Config{ClientID: p.ClientID, Now: p.now}).Verify(ctx, raw)
	if err != nil {
		return lifeline.Person{}, fmt.Errorf("its identity token: %w", err)
	}
	if id.Nonce == "" || !hmac.Equal([]byte(id.Nonce), []byte(began.Nonce)) {
		return lifeline.Person{}, notLetIn{"the identity token is for another sign-in", "The identity provider answered another sign-in.", again}
	}
	var claims claims
	if err := id.Claims(&claims); err != nil {
		return lifeline.Person{}, fmt.Errorf("its identity token: %w", err)
	}
	if err := p.more(ctx, found, token, id.Subject, claims); err != nil {
		return lifeline.Person{}, err
	}
	person := lifeline.Person{Name: nameOf(id.Subject, claims), Role: p.role(claims), Via: viaOIDC}
	if !person.Role.Known() {
		return person, notLetIn{"none of their values of the claim " + p.RoleClaim + " has a role",
			"The identity provider knows you, and none of your groups has a role here.", "Whoever keeps the configuration gives roles: access.oidc.roles."}
	}
	return person, nil
}

// more asks for the user info where the identity token does not say enough: many
// providers have the groups only there.
func (p *provider) more(ctx context.Context, found *oidc.Provider, token *oauth2.Token, subject string, claims claims) error {
	if _, has := claims.find(p.RoleClaim); has || len(p.Roles) == 0 || found.UserInfoEndpoint() == "" {
		return nil
	}
	info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return fmt.Errorf("its user info: %w", err)
	}
	if info.Subject != subject {
		return errors.New("its user info is about somebody else")
	}
	var more map[string]any
	if err := info.Claims(&more); err != nil {
		return fmt.Errorf("its user info: %w", err)
	}
	for name, value := range more {
		if _, has := claims[name]; !has {
			claims[name] = value
		}
	}
	return nil
}

// exchangeError keeps the provider's answer out of the error but for its code: it
// may have the code of the sign-in in it.
func exchangeError(err error) error {
	if e, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("exchange the code: %s, %.100q", e.Response.Status, e.ErrorCode)
	}
	return fmt.Errorf("exchange the code: %w", err)
}
