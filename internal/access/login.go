package access

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"lifeline"
)

// maxForm bounds the form of the sign-in.
const maxForm = 16 << 10

// loginPage is what login.html shows.
type loginPage struct {
	Title string
	// Text is what went wrong with the try before; "" for the first.
	Text string
	Next string
	Name string
	// Password and Provider say which ways there are; Plain that there would be one
	// if the connection was encrypted.
	Password, Provider, Plain bool
	SignedOut                 bool
	// NextQuery is for the link to the provider.
	NextQuery string
}

// Handler serves the sign-in: /login, /logout and what is below /login/.
func (a *Access) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login", a.form)
	mux.HandleFunc("POST /login", a.login)
	mux.HandleFunc("POST /logout", a.logout)
	mux.HandleFunc("GET /login/oidc", a.toProvider)
	mux.HandleFunc("GET /login/oidc/callback", a.fromProvider)
	mux.HandleFunc("GET /login/style.css", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=3600")
		http.ServeFileFS(w, r, files, "templates/style.css")
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, c := a.client(r)
		secure(w.Header())
		if err := a.cross.Check(r); err != nil {
			a.Logger.Warn("cross_origin_refused", "address", c.addr.String(), "path", r.URL.Path, "error", err)
			a.refuse(w, r, refusal{status: http.StatusForbidden, text: "This request came from another site.",
				hint: "Open /login itself and try again. Behind a proxy: set public_url, and access.trusted_proxies."})
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// page is the sign-in as it can be offered to a client.
func (a *Access) page(c client, next string) loginPage {
	encrypted := c.secure || c.local
	p := loginPage{Title: "Sign in", Next: next, Password: len(a.users) > 0 && encrypted, Provider: a.provider != nil && encrypted}
	p.Plain = !encrypted && (len(a.users) > 0 || a.provider != nil)
	if next != "/" {
		p.NextQuery = next
	}
	return p
}

// form shows the sign-in, or sends on whoever needs none.
func (a *Access) form(w http.ResponseWriter, r *http.Request) {
	r, c := a.client(r)
	next := sameSite(r.URL.Query().Get("next"))
	if id := a.identify(r, c); id.known {
		http.Redirect(w, r, next, http.StatusSeeOther)
		return
	}
	p := a.page(c, next)
	p.SignedOut = r.URL.Query().Has("out")
	a.render(w, http.StatusOK, "login.html", p)
}

// login takes a name and a password.
func (a *Access) login(w http.ResponseWriter, r *http.Request) {
	r, c := a.client(r)
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		a.refuse(w, r, refusal{status: http.StatusBadRequest, text: "The form could not be read.", hint: "Go back and try again."})
		return
	}
	name, password := r.PostForm.Get("name"), r.PostForm.Get("password")
	p := a.page(c, sameSite(r.PostForm.Get("next")))
	p.Name = name
	if !p.Password {
		// It came all the same, perhaps unencrypted: it is not even looked at.
		a.render(w, http.StatusForbidden, "login.html", p)
		return
	}
	from := network(c.addr)
	for _, l := range []struct {
		*limiter
		key string
	}{{a.tries, from}, {a.names, hashSecret(name)}} {
		if wait := l.begin(l.key); wait > 0 {
			seconds := strconv.Itoa(int(math.Ceil(wait.Seconds())))
			w.Header().Set("Retry-After", seconds)
			p.Text = "Too many sign-ins have failed. Try again in " + seconds + " s."
			a.render(w, http.StatusTooManyRequests, "login.html", p)
			return
		}
	}
	u, right, err := a.check(r.Context(), name, password)
	switch {
	case err != nil:
		a.tries.takeBack(from)
		a.names.takeBack(hashSecret(name))
		if !errors.Is(err, errBusy) {
			return // nobody waits for the answer
		}
		w.Header().Set("Retry-After", "5")
		p.Text = "Many people are signing in at the same time. Try again in 5 s."
		a.render(w, http.StatusServiceUnavailable, "login.html", p)
		return
	case !right:
		why, shown := "the password is not theirs", name
		if _, known := a.users[name]; !known {
			why, shown = "the name is not that of a user", ""
		}
		a.failures.add(r.Context(), failure{Name: shown, Address: c.addr.String(), Why: why})
		p.Text = "The name or the password is not right."
		a.render(w, http.StatusUnauthorized, "login.html", p)
		return
	}
	a.tries.takeBack(from)
	a.names.forget(hashSecret(name))
	a.begin(w, r, c, lifeline.Person{Name: name, Role: u.role, Via: viaPassword}, p.Next)
}

// begin begins a session, always with a secret of its own, in the place of the one
// that the browser had, and sends the person on.
func (a *Access) begin(w http.ResponseWriter, r *http.Request, c client, p lifeline.Person, next string) {
	proof, known := a.proof(p)
	secret := newSecret()
	now := a.Now()
	_, before := a.cookie(r, c)
	err := errors.New("the configuration does not know " + p.Name)
	if known {
		err = a.Sessions.AddSession(r.Context(), hashSecret(secret), before, lifeline.Session{Person: p, Proof: proof, Address: c.addr.String(),
			IdleUntil: now.Add(a.Idle), ExpiresAt: now.Add(a.Longest)})
	}
	if err != nil {
		a.Logger.Error("sign_in_not_kept", "user", p.Name, "error", err)
		a.refuse(w, r, refusal{status: http.StatusServiceUnavailable, text: "Lifeline cannot keep your sign-in now.",
			hint: "Try again. The log of lifeline serve names the cause."})
		return
	}
	a.Logger.Info("login", "user", p.Name, "role", string(p.Role), "via", p.Via, "address", c.addr.String())
	a.setCookie(w, c, secret, a.Longest)
	http.Redirect(w, r, next, http.StatusSeeOther)
}

// setCookie gives the browser its secret, or with a span below zero takes it away.
func (a *Access) setCookie(w http.ResponseWriter, c client, secret string, span time.Duration) {
	name := secureCookie
	if !c.secure {
		name = loopbackCookie // local: see page
	}
	age := int(span.Seconds())
	if span < 0 {
		age = -1
	}
	http.SetCookie(w, &http.Cookie{Name: name, Value: secret, Path: "/", MaxAge: age, Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode})
}

// logout ends the session here and in the browser.
func (a *Access) logout(w http.ResponseWriter, r *http.Request) {
	r, c := a.client(r)
	if value, hash := a.cookie(r, c); value != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 10*time.Second) // whoever has left wants it too
		defer cancel()
		if err := a.Sessions.EndSession(ctx, hash, "signed out"); err != nil {
			a.Logger.Error("session_not_ended", "error", err)
			a.refuse(w, r, refusal{status: http.StatusServiceUnavailable, text: "You are still signed in: Lifeline cannot end the session now.",
				hint: "Try again. The log of lifeline serve names the cause."})
			return
		}
		a.setCookie(w, c, "", -1)
	}
	http.Redirect(w, r, "/login?out=1", http.StatusSeeOther)
}
