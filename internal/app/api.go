package app

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"lifeline"
	"lifeline/internal/api"
	"lifeline/internal/store"
)

// newAPI serves /api/v1 for whoever identify knows.
func (a *App) newAPI(version string) (http.Handler, error) {
	h, err := api.Handler(api.Config{Service: a.service, Answers: answers{a.store}, PersonOf: personOf, Version: version, Logger: a.log})
	if err != nil {
		return nil, err
	}
	return identify(h), nil
}

// answers keeps answers in the store: see api.Answers.
type answers struct{ store *store.Store }

func (a answers) Claim(ctx context.Context, id, digest string) (status int, kind string, body []byte, same, known bool, err error) {
	prior, same, known, err := a.store.ClaimAnswer(ctx, id, digest)
	return prior.Status, prior.Type, prior.Body, same, known, err
}

func (a answers) Keep(ctx context.Context, id string, status int, kind string, body []byte) error {
	return a.store.KeepAnswer(ctx, id, store.Answer{Status: status, Type: kind, Body: body})
}

func (a answers) Drop(ctx context.Context, id string) error { return a.store.DropAnswer(ctx, id) }

// What follows is replaced by internal/access where that is merged: personOf by
// access.PersonOf, and identify by its Identify and Require.

type personKey struct{}

func personOf(ctx context.Context) (lifeline.Person, bool) {
	who, known := ctx.Value(personKey{}).(lifeline.Person)
	return who, known
}

// identify knows whoever asks from this machine, at an address of this machine, and
// nobody else. A request that came through a proxy is not from this machine.
func identify(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		proxied := false
		for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
			proxied = proxied || r.Header.Get(name) != ""
		}
		if !proxied && loopback(r.RemoteAddr) && loopback(r.Host) {
			who := lifeline.Person{Name: "loopback", Role: lifeline.RoleAdmin, Via: "loopback"}
			r = r.WithContext(context.WithValue(r.Context(), personKey{}, who))
		}
		next.ServeHTTP(w, r)
	})
}

// loopback reports whether host or host:port is an address of this machine alone. A
// name other than localhost is none: it may lead anywhere.
func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = address
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
