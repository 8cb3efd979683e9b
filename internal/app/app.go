// Package app builds Lifeline's parts once, in the order of the walk of an
// alert, and ends them in the opposite order. Nothing here decides anything:
// it is where the parts meet.
//
//	a, err := app.New(ctx, cfg, app.Options{Logger: log})
//	err = a.Start(ctx)
//	defer a.Stop(ctx)
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/intake"
	"lifeline/internal/respond"
	"lifeline/internal/store"
	"lifeline/internal/timeline"
	"lifeline/internal/triage"
)

// Options of an App that do not come from the configuration file.
type Options struct {
	Logger *slog.Logger
	seams  seams
}

// App is the whole service.
type App struct {
	cfg      *config.Config
	log      *slog.Logger
	hub      *timeline.Hub
	store    *store.Store
	door     *Door
	respond  *respond.Service
	server   *http.Server
	listener net.Listener
	// ends are the parts' ends in the order in which the parts were begun.
	ends []func(context.Context) error
}

// New opens the database and builds every part. Nothing listens and nothing
// runs before Start. After an error there is nothing to stop.
func New(ctx context.Context, cfg *config.Config, opts Options) (_ *App, err error) {
	redact := newRedactor(cfg)
	a := &App{cfg: cfg, log: guardedLog(opts.Logger, redact), hub: timeline.NewHub()}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Stop(context.WithoutCancel(ctx)))
		}
	}()
	metrics := newMetrics()

	a.store, err = store.Open(ctx, cfg.Store.URL, store.Options{OnEvent: a.hub.Publish, Logger: a.log})
	if err != nil {
		return nil, err
	}
	a.ends = append(a.ends, func(ctx context.Context) error {
		a.logHead(ctx)
		return a.store.Close()
	})
	a.logHead(ctx)

	a.door, err = newDoor(cfg, a.store, metrics, redact, DoorOptions{Logger: a.log, seams: opts.seams})
	if err != nil {
		return nil, err
	}
	a.ends = append(a.ends, a.door.Close)

	door := draining{a.door.Guard}
	who, err := newResponders(cfg, door, a.store, metrics)
	if err != nil {
		return nil, err
	}
	db, err := a.store.OpenDB()
	if err != nil {
		return nil, err
	}
	a.respond, err = respond.New(ctx, opts.seams.toRespond(respond.Config{
		DB: db, Store: a.store, Approvals: a.store, Door: door, Responders: who,
		MaxChanges: cfg.Respond.MaxChanges, MaxAttempts: cfg.Respond.MaxAttempts,
		StableFor: cfg.Respond.VerifyFor.D(), VerifyFor: cfg.Respond.VerifyTimeout.D(), AlertWithin: cfg.Respond.AlertTimeout.D(),
		OnEnd: metrics.ended, Logger: a.log,
	}))
	if err != nil {
		return nil, err
	}
	a.ends = append(a.ends, a.respond.Stop)

	triaged, err := triage.New(triageConfig(cfg), opts.seams.toAlerts(a.store), a.respond)
	if err != nil {
		return nil, err
	}
	secrets, err := cfg.WebhookSecrets()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	hooks, err := intake.Handler(intake.Config{
		Receiver: metrics.counting(redacting(redact, triaged)), Logger: a.log,
		Auth: intake.Auth{Username: secrets.Username, Password: secrets.Password, Token: secrets.Token},
	})
	if err != nil {
		return nil, err
	}
	mux.Handle("/webhook/", hooks)
	mux.Handle("GET /metrics", metrics.handler(a.door.pool, a.store))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", a.ready)
	a.server = &http.Server{
		Handler: mux,
		// A sender that is slower than this is cut: it sends again.
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(a.log.Handler(), slog.LevelWarn),
	}
	return a, nil
}

// Start takes up what an earlier process left and listens.
func (a *App) Start(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.cfg.Listen)
	if err != nil {
		return &lifeline.Error{Code: lifeline.CodeConfig, Message: "listen on " + a.cfg.Listen, Err: err,
			Hint: "another program may have the address: set listen in lifeline.yaml to a free one"}
	}
	a.listener = listener
	if err := a.respond.Start(ctx); err != nil {
		listener.Close()
		return err
	}
	a.door.pool.Warm(a.cfg.HostNames()...)
	served := make(chan error, 1)
	go func() { served <- a.server.Serve(listener) }()
	a.ends = append(a.ends, func(ctx context.Context) error {
		err := a.server.Shutdown(ctx)
		if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
		return err
	})
	a.log.Info("listening", "address", listener.Addr().String(), "hosts", len(a.cfg.Hosts))
	return nil
}

// logHead notes the end of the record in the log, which is often kept where
// whoever can write the database cannot reach: lifeline audit verify --head
// compares with it.
func (a *App) logHead(ctx context.Context) {
	head, broken, err := a.store.Head(ctx)
	switch {
	case err != nil:
		a.log.Error("record_not_read", "error", err)
	case broken != "":
		a.log.Error("record_broken", "head", head.String(), "found", broken)
	default:
		a.log.Info("record_head", "head", head.String())
	}
}

// Address is where the service listens, once started.
func (a *App) Address() string { return a.listener.Addr().String() }

// Stop ends the parts, the last begun first: no new alerts, then no new work
// while running commands end, then the connections, then the database. It is
// idempotent.
func (a *App) Stop(ctx context.Context) error {
	var all error
	for len(a.ends) > 0 {
		last := len(a.ends) - 1
		end := a.ends[last]
		a.ends = a.ends[:last]
		all = errors.Join(all, end(ctx))
	}
	return all
}

// ready probes what the service cannot work without: that the record can be
// written.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if err := a.store.Ping(ctx); err != nil {
		a.log.Error("not_ready", "error", err)
		http.Error(w, "the database cannot be written", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// triageConfig says how an alert's labels name a host and a thing on it.
func triageConfig(cfg *config.Config) triage.Config {
	t := cfg.Targets
	return triage.Config{
		Hosts: cfg.HostNames(), HostLabels: t.HostLabels, HostMap: cfg.TargetHosts(),
		ContainerLabels: t.ContainerLabels, UnitLabels: t.UnitLabels, MountLabels: t.MountLabels,
	}
}
