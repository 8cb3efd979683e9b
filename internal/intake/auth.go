package intake

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
)

// Auth is what a sender must know. With a password and a token, either will do.
// The zero Auth requires nothing.
type Auth struct {
	Username, Password string // HTTP basic authentication
	Token              string // HTTP bearer authentication
}

// String keeps the secrets out of whatever prints them.
func (a Auth) String() string { return "webhook secrets of " + a.Username }

// GoString is String.
func (a Auth) GoString() string { return a.String() }

// MarshalText is String, for encoders.
func (a Auth) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// authenticator compares digests, so that the time it takes tells nothing
// about a secret, its length included.
type authenticator struct {
	basic, bearer    bool
	username, secret [sha256.Size]byte
	token            [sha256.Size]byte
}

// newAuthenticator refuses half an Auth: it would let everybody in whose owner
// believes that nobody gets in.
func newAuthenticator(a Auth) (authenticator, error) {
	switch {
	case a.Username != "" && a.Password == "":
		return authenticator{}, errors.New("intake: Config.Auth has a Username and no Password")
	case a.Username == "" && a.Password != "":
		return authenticator{}, errors.New("intake: Config.Auth has a Password and no Username")
	}
	return authenticator{
		basic: a.Password != "", bearer: a.Token != "",
		username: digest(a.Username), secret: digest(a.Password), token: digest(a.Token),
	}, nil
}

func digest(s string) [sha256.Size]byte { return sha256.Sum256([]byte(s)) }

func equal(given string, want [sha256.Size]byte) bool {
	got := digest(given)
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// required reports whether a sender must know anything at all.
func (a authenticator) required() bool { return a.basic || a.bearer }

// permits reports whether the request shows what a sender must know.
func (a authenticator) permits(r *http.Request) bool {
	if !a.required() {
		return true
	}
	// More than one header could be read as two different answers.
	if len(r.Header.Values("Authorization")) != 1 {
		return false
	}
	if username, password, ok := r.BasicAuth(); ok {
		user, pass := equal(username, a.username), equal(password, a.secret)
		return a.basic && user && pass
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if strings.EqualFold(scheme, "Bearer") {
		return a.bearer && equal(strings.TrimLeft(token, " "), a.token)
	}
	return false
}

// challenges are the values of WWW-Authenticate.
func (a authenticator) challenges() []string {
	var list []string
	if a.basic {
		list = append(list, `Basic realm="lifeline", charset="UTF-8"`)
	}
	if a.bearer {
		list = append(list, `Bearer realm="lifeline"`)
	}
	return list
}
