package app

import (
	"context"
	"net/http"

	"lifeline/internal/access"
	"lifeline/internal/api"
	"lifeline/internal/store"
)

// newAPI serves /api/v1 for whoever access knows.
func (a *App) newAPI(version string) (http.Handler, error) {
	return api.Handler(api.Config{Service: a.service, Answers: answers{a.store}, PersonOf: access.PersonOf, Version: version, Logger: a.log})
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
