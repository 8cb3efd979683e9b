// Package access says who asks over HTTP, and lets them do what their role may:
// people with a password of the configuration or from an identity provider,
// programs with a token, and, where nobody is configured, whoever sits at the
// machine itself.
//
//	a, err := access.New(access.Config{Users: users, Sessions: s, Tokens: s, Record: s, Logger: log})
//	mux.Handle("/login", a.Handler())
//	mux.Handle("/", a.Identify(a.Require(lifeline.RoleViewer, pages)))
//	person, ok := access.PersonOf(r.Context())
//
// What it guarantees: whatever cannot be decided is refused; a secret is kept as a
// hash and is never in an error, the log or the record; a request that changes
// something does not come from another site; a name or an address that is wrong
// again and again is slowed down; a proxy is believed only where it is configured.
//
// What it does not do: it knows nothing of incidents and approvals, and the links
// in messages carry their own right.
package access

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"html/template"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// Sessions keeps who has signed in with a browser, by the hash of what the cookie
// has. A session that is not there, or over, is an error with
// lifeline.CodeNotFound.
type Sessions interface {
	AddSession(ctx context.Context, hash, instead string, s lifeline.Session) error
	Session(ctx context.Context, hash string) (lifeline.Session, error)
	TouchSession(ctx context.Context, hash string, s lifeline.Session) error
	EndSession(ctx context.Context, hash, why string) error
	// SignIn authenticates a text that a browser keeps meanwhile.
	SignIn(text string) []byte
}

// Tokens looks up tokens, by the hash of their secret. One that is not valid is an
// error with lifeline.CodeNotFound.
type Tokens interface {
	Token(ctx context.Context, hash string) (lifeline.Token, error)
	AnyToken(ctx context.Context) (bool, error)
	TouchToken(ctx context.Context, id string) error
}

// Record takes what happened.
type Record interface {
	AppendEvent(ctx context.Context, e lifeline.Event) error
}

// User signs in with a password.
type User struct {
	PasswordHash string // as Hash gives it
	Role         lifeline.Role
}

// Config of an Access. Sessions, Tokens and Record are required.
type Config struct {
	Users    map[string]User
	OIDC     OIDC
	Sessions Sessions
	Tokens   Tokens
	Record   Record
	// Idle and Longest bound a session; 0: 12 hours, 7 days.
	Idle, Longest time.Duration
	// Proxies are believed when they say who asks, and how.
	Proxies []netip.Prefix
	// PublicURL is where people reach Lifeline; "" if that is not configured.
	PublicURL string
	// Local says that only this machine can reach the address: without any user,
	// provider and token, whoever asks from here may do everything.
	Local  bool
	Logger *slog.Logger
	// LookAgain is how often a request that lasts, such as a stream of events, is
	// looked at again; 0: 5 s. So long may it go on after a sign-out, or after its
	// token was revoked.
	LookAgain time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// BadValue is the error of New for one value. Field is its path in the
// configuration, below access.
type BadValue struct {
	Field, Hint string
	Err         error
}

func (e *BadValue) Error() string { return fmt.Sprintf("access.%s: %v", e.Field, e.Err) }
func (e *BadValue) Unwrap() error { return e.Err }

// Access is safe for concurrent use.
type Access struct {
	Config
	pages    *template.Template
	users    map[string]account
	nobody   hashed // verified for a name that is not known: as much work, never right
	checking chan struct{}
	tries    *limiter // by address
	names    *limiter // by name
	failures *failures
	provider *provider // nil without OIDC
	cross    *http.CrossOriginProtection
}

// account is a user whose hash was read.
type account struct {
	hash hashed
	role lifeline.Role
}

// New checks the configuration. The identity provider is not asked: it may be
// down. A value that cannot be used is a *BadValue.
func New(cfg Config) (*Access, error) {
	if cfg.Sessions == nil || cfg.Tokens == nil || cfg.Record == nil {
		return nil, errors.New("access: Config.Sessions, Tokens and Record must be set")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.LookAgain <= 0 {
		cfg.LookAgain = 5 * time.Second
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Idle == 0 {
		cfg.Idle = 12 * time.Hour
	}
	if cfg.Longest == 0 {
		cfg.Longest = 7 * 24 * time.Hour
	}
	a := &Access{Config: cfg, users: map[string]account{}, checking: make(chan struct{}, checksAtOnce), cross: http.NewCrossOriginProtection()}
	a.tries = newLimiter(cfg.Now, freeByAddress, longestByAddress)
	a.names = newLimiter(cfg.Now, freeByName, longestByName)
	a.failures = &failures{record: cfg.Record, log: cfg.Logger, now: cfg.Now}
	for _, name := range slices.Sorted(maps.Keys(cfg.Users)) {
		u := cfg.Users[name]
		h, err := parseHash(u.PasswordHash)
		if err != nil {
			return nil, &BadValue{Field: "users." + name + ".password_hash", Err: err, Hint: "type: lifeline password"}
		}
		if !u.Role.Known() {
			return nil, &BadValue{Field: "users." + name + ".role", Err: fmt.Errorf("there is no role %q", u.Role), Hint: "want viewer, approver or admin"}
		}
		a.users[name] = account{h, u.Role}
		if a.nobody.key == nil || h.work() > a.nobody.work() {
			a.nobody = h.dummy()
		}
	}
	if a.nobody.key == nil {
		a.nobody = standard().dummy()
	}
	if cfg.PublicURL != "" {
		u, err := url.Parse(cfg.PublicURL)
		if err == nil {
			err = a.cross.AddTrustedOrigin(u.Scheme + "://" + strings.ToLower(u.Host))
		}
		if err != nil {
			return nil, fmt.Errorf("access: Config.PublicURL: %w", err)
		}
	}
	var err error
	if a.provider, err = newProvider(cfg); err != nil {
		return nil, err
	}
	a.pages, err = parsePages()
	return a, err
}

// Close puts on record what was not yet. It is idempotent.
func (a *Access) Close(ctx context.Context) { a.failures.close(ctx) }

// proof is what the configuration says about a person now: a session holds only
// while that stays the same. ok is false for whoever the configuration does not
// know any more.
func (a *Access) proof(p lifeline.Person) (proof string, ok bool) {
	switch p.Via {
	case viaPassword:
		u, known := a.Users[p.Name]
		return digest("password", p.Name, string(u.Role), u.PasswordHash), known && u.Role == p.Role
	case viaOIDC:
		if a.provider == nil {
			return "", false
		}
		return a.provider.proof, true
	}
	return "", false
}

// The ways in which a person is known: lifeline.Person.Via.
const (
	viaPassword = "password"
	viaOIDC     = "oidc"
	viaToken    = "token"
	viaLoopback = "loopback"
)

// digest is one text for many.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d:", len(p))
		io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}
