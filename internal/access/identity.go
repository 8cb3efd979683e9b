package access

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"lifeline"
)

// touchEvery is how exactly the last use of a session or a token is kept.
const touchEvery = time.Minute

// The names of the cookie. Browsers take __Host- only over https, from this host
// itself and for all of it; on loopback there is no https.
const (
	secureCookie   = "__Host-lifeline"
	loopbackCookie = "lifeline"
)

// identity is what Identify found out.
type identity struct {
	person lifeline.Person
	known  bool
	// err says why nobody is known although something was shown, or that it cannot
	// be told now.
	err error
}

type identityKey struct{}

// PersonOf is who asks, if Identify knows.
func PersonOf(ctx context.Context) (lifeline.Person, bool) {
	id, _ := ctx.Value(identityKey{}).(identity)
	return id.person, id.known
}

// Identify finds out who asks and puts them into the request's context. It lets
// through those it does not know: Require does not. A request that would change
// something and comes from another site in the name of whoever is signed in is
// refused; one with a token is not, since browsers do not send tokens by
// themselves.
func (a *Access) Identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, done := r.Context().Value(identityKey{}).(identity); done {
			next.ServeHTTP(w, r)
			return
		}
		r, c := a.client(r)
		id := a.identify(r, c)
		if id.known && id.person.Via != viaToken {
			if err := a.cross.Check(r); err != nil {
				a.Logger.Warn("cross_origin_refused", "address", c.addr.String(), "path", r.URL.Path, "error", err)
				a.refuse(w, r, refusal{status: http.StatusForbidden, text: "This request came from another site.",
					hint: "Open the page itself and try again. Behind a proxy: set public_url, and access.trusted_proxies."})
				return
			}
		}
		r = r.WithContext(context.WithValue(r.Context(), identityKey{}, id))
		if !id.known {
			next.ServeHTTP(w, r)
			return
		}
		r, ended := a.whileKnown(r)
		defer ended()
		next.ServeHTTP(w, r)
	})
}

// errNotAnyMore is why a request that lasts is ended.
var errNotAnyMore = errors.New("whoever asked is not let in any more")

// whileKnown is the request with a context that ends once whoever asks would not
// be let in any more: a stream of events lasts for hours. ended is called when it
// is answered.
func (a *Access) whileKnown(r *http.Request) (_ *http.Request, ended func()) {
	ctx, cancel := context.WithCancelCause(r.Context())
	r = r.WithContext(ctx)
	var watching sync.WaitGroup
	watching.Go(func() {
		again := time.NewTicker(a.LookAgain)
		defer again.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-again.C:
			}
			if !a.still(r) {
				cancel(errNotAnyMore)
				return
			}
		}
	})
	return r, func() { cancel(nil); watching.Wait() }
}

// still reports whether whoever a request was let in for would be let in now.
func (a *Access) still(r *http.Request) bool {
	was, known := PersonOf(r.Context())
	if !known {
		return false
	}
	r, c := a.client(r)
	now := a.identify(r, c)
	return now.known && now.person == was
}

// identify looks at what the request shows: a token, a cookie, or where it comes
// from. What is shown and wrong is not made up for by anything else.
func (a *Access) identify(r *http.Request, c client) identity {
	if secret, shown := bearer(r.Header); shown {
		return a.byToken(r.Context(), secret, c)
	}
	if value, hash := a.cookie(r, c); value != "" {
		if id := a.bySession(r.Context(), hash); id.known || id.err != nil {
			return id
		}
	}
	return a.byLoopback(r.Context(), c)
}

// bearer is the token of a request; shown reports whether it has one at all.
func bearer(h http.Header) (secret string, shown bool) {
	for _, v := range h.Values("Authorization") {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(v), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			continue
		}
		if shown { // two: neither is right
			return "", true
		}
		secret, shown = strings.TrimSpace(rest), true
	}
	return secret, shown
}

// errToken does not say what is wrong with a token.
var errToken = errors.New("the token is not valid, or not any more")

func (a *Access) byToken(ctx context.Context, secret string, c client) identity {
	if !strings.HasPrefix(secret, TokenPrefix) {
		return identity{err: errToken}
	}
	t, err := a.Tokens.Token(ctx, hashSecret(secret))
	switch {
	case lifeline.CodeOf(err) == lifeline.CodeNotFound:
		a.Logger.Warn("token_refused", "address", c.addr.String())
		return identity{err: errToken}
	case err != nil:
		return a.cannotTell(err)
	case !t.Role.Known():
		return identity{err: errToken}
	}
	if a.Now().Sub(t.UsedAt) >= touchEvery {
		a.touched(a.Tokens.TouchToken(ctx, t.ID))
	}
	return identity{person: lifeline.Person{Name: t.Name, Role: t.Role, Via: viaToken}, known: true}
}

// cookie is the session's cookie with the hash of what it has; "" without one. On
// a connection that others can read there is none: whoever reads along has it too.
func (a *Access) cookie(r *http.Request, c client) (value, hash string) {
	name := secureCookie
	switch {
	case c.secure:
	case c.local:
		name = loopbackCookie
	default:
		return "", ""
	}
	cookie, err := r.Cookie(name)
	if err != nil || cookie.Value == "" {
		return "", ""
	}
	return cookie.Value, hashSecret(cookie.Value)
}

func (a *Access) bySession(ctx context.Context, hash string) identity {
	s, err := a.Sessions.Session(ctx, hash)
	switch {
	case lifeline.CodeOf(err) == lifeline.CodeNotFound:
		return identity{}
	case err != nil:
		return a.cannotTell(err)
	}
	now := a.Now()
	why := ""
	switch proof, known := a.proof(s.Person); {
	case !known:
		why = "the configuration does not know them any more"
	case proof != s.Proof || !s.Person.Role.Known():
		why = "the configuration says something else about them now"
	case now.Sub(s.CreatedAt) >= a.Longest || now.Sub(s.SeenAt) >= a.Idle+touchEvery:
		why = "the session is over"
	}
	if why != "" {
		if err := a.Sessions.EndSession(ctx, hash, why); err != nil {
			a.Logger.Error("session_not_ended", "user", s.Person.Name, "error", err)
		}
		return identity{}
	}
	if now.Sub(s.SeenAt) >= touchEvery {
		s.IdleUntil = now.Add(a.Idle)
		a.touched(a.Sessions.TouchSession(ctx, hash, s))
	}
	return identity{person: s.Person, known: true}
}

// byLoopback lets in whoever sits at the machine, while nobody else is configured
// who could be let in.
func (a *Access) byLoopback(ctx context.Context, c client) identity {
	if !a.Local || !c.local || len(a.users) > 0 || a.provider != nil {
		return identity{}
	}
	some, err := a.Tokens.AnyToken(ctx)
	if err != nil {
		return a.cannotTell(err)
	}
	if some {
		return identity{}
	}
	return identity{person: lifeline.Person{Name: "local", Role: lifeline.RoleAdmin, Via: viaLoopback}, known: true}
}

// cannotTell is for a record that cannot be read: nobody is let in.
func (a *Access) cannotTell(err error) identity {
	a.Logger.Error("access_not_decided", "error", err)
	return identity{err: err}
}

func (a *Access) touched(err error) {
	if err != nil && !errors.Is(err, context.Canceled) { // the use is what counts, not the note of it
		a.Logger.Warn("use_not_noted", "error", err)
	}
}

// Require lets through whoever Identify knows and whose role includes this one. A
// browser of somebody who is not signed in is sent to the sign-in and comes back
// afterwards; a program is told with a problem document (RFC 9457).
func (a *Access) Require(role lifeline.Role, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, _ := r.Context().Value(identityKey{}).(identity)
		switch {
		case id.known && id.person.Role.May(role):
			next.ServeHTTP(w, r)
		case id.known:
			a.refuse(w, r, refusal{status: http.StatusForbidden,
				text: "This needs the role " + string(role) + ", and " + id.person.Name + " has the role " + string(id.person.Role) + ".",
				hint: "Whoever keeps the configuration gives roles: access.users, access.oidc.roles, lifeline token create."})
		case id.err != nil && !errors.Is(id.err, errToken):
			w.Header().Set("Retry-After", "5")
			a.refuse(w, r, refusal{status: http.StatusServiceUnavailable, text: "Lifeline cannot tell now who you are.",
				hint: "Try again. The log of lifeline serve names the cause."})
		case program(r):
			challenge := `Bearer realm="lifeline"`
			text := "This needs a token, or a person who is signed in."
			if id.err != nil {
				challenge += `, error="invalid_token"`
				text = "The token is not valid, or not any more."
			}
			w.Header().Set("WWW-Authenticate", challenge)
			a.refuse(w, r, refusal{status: http.StatusUnauthorized, text: text,
				hint: "lifeline token create NAME --role " + string(role) + ", and send it as: Authorization: Bearer " + TokenPrefix + "…"})
		default:
			to := "/login"
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				to = loginFor(r.URL.RequestURI())
			}
			w.Header().Set("Cache-Control", "no-store")
			http.Redirect(w, r, to, http.StatusSeeOther)
		}
	})
}
