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
	"sync"
	"time"

	"lifeline"
	"lifeline/internal/access"
	"lifeline/internal/api"
	"lifeline/internal/config"
	"lifeline/internal/intake"
	"lifeline/internal/notify"
	"lifeline/internal/respond"
	"lifeline/internal/store"
	"lifeline/internal/timeline"
	"lifeline/internal/triage"
)

// Options of an App that do not come from the configuration file.
type Options struct {
	Logger *slog.Logger
	// Version of the binary, for the other nodes on the same database.
	Version string
	seams   seams
}

// App is the whole service.
type App struct {
	cfg     *config.Config
	log     *slog.Logger
	hub     *timeline.Hub
	store   *store.Store
	node    *node
	door    *Door
	respond *respond.Service
	notify  *notify.Notifier
	// follow reads Alertmanager's silences; nil if nothing wants them.
	follow *follower
	// access says who asks over HTTP; certificate is nil where that is http.
	access      *access.Access
	certificate *access.Certificate
	tail        *tail
	service     *Service
	server      *http.Server
	listener    net.Listener
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

	opened, err := storeOptions(cfg, a.log)
	if err != nil {
		return nil, err
	}
	a.tail = newTail(a.log)
	opened.OnEvent = func(e lifeline.Event) {
		a.hub.Publish(e)
		a.tail.look()
	}
	if cfg.Store.Postgres() {
		if opened.Node, err = cfg.NodeName(); err != nil {
			return nil, err
		}
	}
	if a.store, err = store.Open(ctx, cfg.Store.URL, opened); err != nil {
		return nil, err
	}
	a.ends = append(a.ends, func(ctx context.Context) error {
		a.logHead(ctx)
		return a.store.Close()
	})
	a.logHead(ctx)
	a.tail.source = a.store

	a.node, err = joinNode(ctx, cfg, a.store, Options{Logger: a.log, Version: opts.Version})
	if err != nil {
		return nil, err
	}
	a.ends = append(a.ends, a.node.leave)
	if err := a.newNotifier(metrics); err != nil {
		return nil, err
	}
	a.door, err = newDoor(cfg, a.store, metrics, redact, DoorOptions{Logger: a.log, inForce: a.node.inForce(), seams: opts.seams})
	if err != nil {
		return nil, err
	}
	a.ends = append(a.ends, a.door.Close)

	door := draining{a.door.Guard}
	who, err := newResponders(cfg, door, a.store, metrics)
	if err != nil {
		return nil, err
	}
	prober, err := newProber(cfg)
	if err != nil {
		return nil, err
	}
	monitor, err := newAlertmanager(cfg)
	if err != nil {
		return nil, err
	}
	engine := respond.Config{
		Store: a.store, Approvals: a.store, Door: door, Responders: who, Prober: prober,
		MaxChanges: cfg.Respond.MaxChanges, AttemptWindow: cfg.Respond.AttemptWindow.D(),
		MaxPerHost: cfg.Respond.MaxPerHost, MaxAttempts: cfg.Respond.MaxAttempts,
		StableFor: cfg.Respond.VerifyFor.D(), VerifyFor: cfg.Respond.VerifyTimeout.D(), AlertWithin: cfg.Respond.AlertTimeout.D(),
		OnEnd: metrics.ended, Logger: a.log,
	}
	if monitor != nil {
		a.ends = append(a.ends, func(context.Context) error { monitor.Close(); return nil })
		engine.Alerts = monitor
		if cfg.Alertmanager.SilenceDuringRepair {
			engine.Silences = silencer{monitor, cfg}
		}
		a.follow = newFollower(cfg, monitor, a.store, redact, a.log)
	}
	if err := a.node.engine(ctx, &engine); err != nil {
		return nil, err
	}
	a.respond, err = respond.New(ctx, opts.seams.toRespond(engine))
	if err != nil {
		return nil, err
	}
	a.ends = append(a.ends, a.respond.Stop)
	a.service = newService(a, metrics)
	a.ends = append(a.ends, a.service.audit.end)

	triaged, err := triage.New(triageConfig(cfg), opts.seams.toAlerts(a.store), a.respond)
	if err != nil {
		return nil, err
	}
	secrets, err := cfg.WebhookSecrets()
	if err != nil {
		return nil, err
	}
	if err := a.newAccess(); err != nil {
		return nil, err
	}
	open, signedIn := http.NewServeMux(), http.NewServeMux()
	hooks, err := intake.Handler(intake.Config{
		Receiver: metrics.counting(redacting(redact, triaged)), Logger: a.log,
		Auth:    intake.Auth{Username: secrets.Username, Password: secrets.Password, Token: secrets.Token},
		Generic: mappings(cfg),
	})
	if err != nil {
		return nil, err
	}
	open.Handle("/webhook/", hooks)
	pages, err := a.mountPages(open, signedIn)
	if err != nil {
		return nil, err
	}
	calls, err := a.newAPI(opts.Version)
	if err != nil {
		return nil, err
	}
	signedIn.Handle(api.Prefix+"/", calls)
	open.Handle("GET /metrics", a.readMetrics(metrics.handler(a.door.pool, a.store, cfg.ChannelNames())))
	open.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	open.HandleFunc("GET /readyz", a.ready)
	a.server = newServer(a.routes(open, signedIn), a.log)
	// Whoever follows would keep it from ending.
	a.server.RegisterOnShutdown(a.tail.end)
	a.server.RegisterOnShutdown(pages.Close)
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
	if err := a.notify.Start(ctx); err != nil { // before the work: no first event is missed
		listener.Close()
		return err
	}
	if err := a.respond.Start(ctx); err != nil {
		listener.Close()
		return err
	}
	a.startTail(ctx)
	if a.follow != nil {
		following, stop := context.WithCancel(context.WithoutCancel(ctx))
		var running sync.WaitGroup
		running.Go(func() { a.follow.run(following) })
		a.ends = append(a.ends, func(context.Context) error {
			stop()
			running.Wait()
			return nil
		})
	}
	a.node.watch(ctx, a.respond)
	a.door.pool.Warm(warmed(a.cfg, a.node.member.Name())...)
	served := make(chan error, 1)
	go func() { served <- a.serve(listener) }()
	a.ends = append(a.ends, func(ctx context.Context) error {
		err := a.server.Shutdown(ctx)
		if serveErr := <-served; !errors.Is(serveErr, http.ErrServerClosed) {
			err = errors.Join(err, serveErr)
		}
		return err
	})
	a.log.Info("listening", "address", listener.Addr().String(), "hosts", len(a.cfg.Hosts), "tls", a.certificate != nil)
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

// Fenced is closed once another node has taken over from this one: the process
// has to end, by End.
func (a *App) Fenced() <-chan struct{} { return a.node.member.Lost() }

// endMost is how long a node that another one has taken over from may take to end
// what it has under way.
const endMost = 3 * time.Second

// End ends a node that another one has taken over from, at once: commands under
// way are ended, nothing is drained and nothing is written, since what becomes of
// its work is the other's to say. It gives the error that says so.
func (a *App) End(ctx context.Context) error {
	err := a.node.member.Err()
	a.log.Error("node_fenced", "node", a.node.member.Name(), "error", text(err))
	ended := make(chan struct{})
	go func() { // not waited for longer than endMost: the process ends, and this with it
		defer close(ended)
		now, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		_ = a.server.Close() // whoever waits for an answer asks another node
		_ = a.respond.Stop(now)
		_ = a.door.pool.Shutdown(now)
	}()
	select {
	case <-ended:
	case <-time.After(endMost):
	}
	return err
}

// ready probes what the service cannot work without: that the record can be
// written, and that this node may.
func (a *App) ready(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
	defer cancel()
	if err := a.node.member.InForce(); err != nil {
		a.log.Error("not_ready", "error", err)
		http.Error(w, "another node has taken over from this one, or may do so", http.StatusServiceUnavailable)
		return
	}
	if err := a.store.Ping(ctx); err != nil {
		a.log.Error("not_ready", "error", err)
		http.Error(w, "the database cannot be written", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// newServer cuts a sender that is too slow: it sends again.
func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      60 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// mappings are the configured shapes of other senders.
func mappings(cfg *config.Config) map[string]intake.Mapping {
	all := make(map[string]intake.Mapping, len(cfg.Webhook.Generic))
	for name, m := range cfg.Webhook.Generic {
		all[name] = intake.Mapping{
			Alerts: m.Alerts, Name: m.Name, Status: m.Status, Firing: m.Firing, Resolved: m.Resolved, Ignored: m.Ignored,
			Severity: m.Severity, Summary: m.Summary, Description: m.Description, URL: m.URL, Fingerprint: m.Fingerprint, Test: m.Test,
			Labels: m.Labels, Annotations: m.Annotations, Constants: m.Constants, Once: m.Once,
		}
	}
	return all
}
