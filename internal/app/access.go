package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"text/tabwriter"
	"time"

	"lifeline"
	"lifeline/internal/access"
	"lifeline/internal/config"
	"lifeline/internal/escape"
)

// newAccess says who may do what over HTTP. Its parts end with the app.
func (a *App) newAccess() error {
	secret, err := a.cfg.ClientSecret()
	if err != nil {
		return err
	}
	c := a.cfg.Access
	conf := access.Config{
		Users: map[string]access.User{}, Sessions: a.store, Tokens: a.store, Record: a.store,
		Idle: c.Session.Idle.D(), Longest: c.Session.Longest.D(), Proxies: a.cfg.Proxies(), PublicURL: a.cfg.PublicURL,
		Local: a.cfg.Loopback(), Logger: a.log,
		OIDC: access.OIDC{Issuer: c.OIDC.Issuer, ClientID: c.OIDC.ClientID, ClientSecret: secret, Scopes: c.OIDC.Scopes,
			RoleClaim: c.OIDC.RoleClaim, Roles: map[string]lifeline.Role{}, DefaultRole: lifeline.Role(c.OIDC.DefaultRole)},
	}
	for name, u := range c.Users {
		conf.Users[name] = access.User{PasswordHash: u.PasswordHash, Role: u.Role}
	}
	for value, role := range c.OIDC.Roles {
		conf.OIDC.Roles[value] = lifeline.Role(role)
	}
	if a.access, err = access.New(conf); err != nil {
		return inFile(a.cfg, err)
	}
	a.ends = append(a.ends, func(ctx context.Context) error { a.access.Close(ctx); return nil })
	if c.TLS.CertFile != "" {
		if a.certificate, err = access.NewCertificate(c.TLS.CertFile, c.TLS.KeyFile, a.log); err != nil {
			return inFile(a.cfg, err)
		}
	}
	return nil
}

// inFile says where in the configuration a value stands that cannot be used.
func inFile(cfg *config.Config, err error) error {
	if bad, ok := errors.AsType[*access.BadValue](err); ok {
		return cfg.BadAccess(bad.Field, bad.Err.Error(), bad.Hint)
	}
	return err
}

// routes puts together what everybody may ask for and what needs somebody who is
// signed in, with the role viewer at least: what is not registered as open is not.
func (a *App) routes(open, signedIn *http.ServeMux) http.Handler {
	if a.cfg.Access.Pages {
		door := a.access.Handler()
		open.Handle("/login", door)
		open.Handle("/login/", door)
		open.Handle("/logout", door)
		open.Handle("/", a.access.Identify(a.access.Require(lifeline.RoleViewer, signedIn)))
	}
	return a.access.Behind(open)
}

// readMetrics lets everybody read them who can reach a loopback address, and
// beyond that whoever is known.
func (a *App) readMetrics(metrics http.Handler) http.Handler {
	if a.cfg.Loopback() || a.cfg.Access.MetricsOpen {
		return metrics
	}
	return a.access.Identify(a.access.Require(lifeline.RoleViewer, metrics))
}

// serve answers until the server is shut down.
func (a *App) serve(listener net.Listener) error {
	if a.certificate == nil {
		return a.server.Serve(listener)
	}
	a.server.TLSConfig = a.certificate.TLS()
	return a.server.ServeTLS(listener, "", "")
}

// HashPassword gives the hash of a password for access.users.
func HashPassword(password string) (string, error) {
	hash, err := access.Hash(password)
	if err != nil {
		return "", &lifeline.Error{Code: lifeline.CodeUsage, Message: err.Error(), Hint: "a sentence is easier to remember than a word with signs in it"}
	}
	return hash, nil
}

// CreateToken makes a token and gives its secret, which is kept nowhere.
func (r *Records) CreateToken(ctx context.Context, t lifeline.Token) (lifeline.Token, string, error) {
	if err := t.Check(); err != nil {
		return t, "", &lifeline.Error{Code: lifeline.CodeUsage, Message: err.Error(), Hint: "lifeline token create --help"}
	}
	secret, hash := access.NewToken()
	t, err := r.store.AddToken(ctx, hash, t)
	if err != nil {
		return t, "", err
	}
	return t, secret, nil
}

// RevokeToken ends a token for ever, by its name or its ID.
func (r *Records) RevokeToken(ctx context.Context, nameOrID, by string) (lifeline.Token, error) {
	return r.store.RevokeToken(ctx, nameOrID, by)
}

// WriteToken prints a token that was just made, with its secret.
func WriteToken(w io.Writer, t lifeline.Token, secret string, asJSON bool) error {
	if asJSON {
		return writeJSON(w, struct {
			lifeline.Token
			Secret string `json:"secret"`
		}{t, secret})
	}
	_, err := fmt.Fprintln(w, secret)
	return err
}

// WriteTokens prints the tokens that are in force, or all that ever were.
func (r *Records) WriteTokens(ctx context.Context, w io.Writer, all, asJSON bool) error {
	tokens, err := r.store.Tokens(ctx)
	if err != nil {
		return err
	}
	shown, now := []lifeline.Token{}, time.Now()
	for _, t := range tokens {
		if all || t.Valid(now) {
			shown = append(shown, t)
		}
	}
	if asJSON {
		return writeJSON(w, map[string]any{"tokens": shown})
	}
	if len(shown) == 0 {
		_, err := fmt.Fprintln(w, "There is no token. Make one: lifeline token create NAME --role viewer")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tNAME\tROLE\tCREATED\tBY\tEXPIRES\tLAST USED")
	for _, token := range shown {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", token.ID, escape.Line(token.Name), token.Role, localTime(token.CreatedAt), escape.Line(token.CreatedBy),
			tokenEnd(token, now), orNever(token.UsedAt))
	}
	return t.Flush()
}

// tokenEnd says until when a token is valid.
func tokenEnd(t lifeline.Token, now time.Time) string {
	switch {
	case !t.RevokedAt.IsZero():
		return "revoked " + localTime(t.RevokedAt) + " by " + escape.Line(t.RevokedBy)
	case !t.Valid(now):
		return "over since " + localTime(t.ExpiresAt)
	}
	return orNever(t.ExpiresAt)
}

func orNever(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return localTime(t)
}
