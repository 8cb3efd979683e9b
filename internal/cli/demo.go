package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"lifeline"
	"lifeline/internal/app"
	"lifeline/internal/config"
	"lifeline/internal/lab"
)

type demoFlags struct {
	responder string
	fault     string
	json      bool
	keep      bool
}

func newDemo(g *globals) *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch one alert being worked on simulated hosts: needs nothing but this binary",
		Long: `Start the service with a temporary database and two simulated hosts behind the
real SSH protocol on 127.0.0.1, break something on one of them, post a real
Alertmanager message to the service's own webhook, and show what is received,
asked, judged, run and verified. At the end the figures are printed as they
were measured, beside those of the same commands with a connection for each.

Nothing outside a temporary folder is read or written, and no process is
started. Only with a model does something leave this machine: its questions go
to the model's provider.

Exit status: 0 only if the broken thing really works again and its incident is
resolved.`,
		Example: `  lifeline demo
  lifeline demo --responder runbook --break container-crash-loop
  lifeline demo --break unit-failed --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			fault, err := f.check(cmd)
			if err != nil {
				return err
			}
			return runDemo(cmd.Context(), g, f, fault)
		},
	}
	cmd.Flags().StringVar(&f.responder, "responder", "auto", "who works the incident: auto (the model if "+config.EnvModelKey+" is set), model or runbook")
	cmd.Flags().StringVar(&f.fault, "break", demoFaults()[0].kind, "what is broken: "+strings.Join(demoFaultNames(), ", "))
	cmd.Flags().BoolVar(&f.json, "json", false, "print the figures as JSON on standard output, and everything else on standard error")
	cmd.Flags().BoolVar(&f.keep, "keep", false, "keep the temporary folder with the database, the log and a configuration to read them with")
	return cmd
}

// demoFault is one thing that the demo can break, and the alert about it.
type demoFault struct {
	kind    string // as in lab.Breakages
	target  lifeline.Target
	alert   string
	summary string
}

func demoFaults() []demoFault {
	container := lifeline.Target{Host: "nexus", Kind: lifeline.TargetContainer, Name: "scrypted"}
	unit := lifeline.Target{Host: "outpost", Kind: lifeline.TargetUnit, Name: "nginx.service"}
	return []demoFault{
		{"container-exited", container, "ContainerDown", "Container scrypted on nexus is down"},
		{"container-killed", container, "ContainerKilled", "Container scrypted on nexus disappeared"},
		{"container-unhealthy", container, "ContainerUnhealthy", "The health check of container scrypted on nexus fails"},
		{"container-crash-loop", container, "ContainerDown", "Container scrypted on nexus is down"},
		{"container-restart-loop", container, "ContainerDown", "Container scrypted on nexus keeps restarting"},
		{"unit-failed", unit, "SystemdUnitFailed", "Unit nginx.service on outpost failed"},
		{"unit-crash-loop", unit, "SystemdUnitFailed", "Unit nginx.service on outpost failed"},
	}
}

func demoFaultNames() []string {
	var names []string
	for _, f := range demoFaults() {
		names = append(names, f.kind)
	}
	return names
}

// check finds what is wrong with the call before anything is started.
func (f demoFlags) check(cmd *cobra.Command) (demoFault, error) {
	var fault demoFault
	for _, known := range demoFaults() {
		if known.kind == f.fault {
			fault = known
		}
	}
	switch {
	case fault.kind == "":
		return fault, usage(cmd, "--break %q: want one of %s", f.fault, strings.Join(demoFaultNames(), ", "))
	case f.responder != "auto" && f.responder != "model" && f.responder != "runbook":
		return fault, usage(cmd, "--responder %q: want auto, model or runbook", f.responder)
	case f.responder == "model" && strings.TrimSpace(os.Getenv(config.EnvModelKey)) == "":
		return fault, &lifeline.Error{Code: lifeline.CodeUsage, Message: "--responder model needs a key for the model, and " + config.EnvModelKey + " is not set",
			Hint: "without a model: lifeline demo --responder runbook"}
	}
	return fault, nil
}

// well asks the simulated world itself, not the record, whether the thing works.
func (f demoFault) well(host *lab.Host) bool {
	if f.target.Kind == lifeline.TargetUnit {
		return host.World().UnitActive(f.target.Name)
	}
	return host.World().Healthy(f.target.Name)
}

// demo is one run of the demo.
type demo struct {
	flags  demoFlags
	fault  demoFault
	dir    string
	hosts  []*lab.Host
	host   *lab.Host // the one that breaks
	cfg    *config.Config
	app    *app.App
	sender *alertSender
	show   *demoScreen
}

// demoStop bounds how long the service may take to end.
const demoStop = 20 * time.Second

func runDemo(ctx context.Context, g *globals, f demoFlags, fault demoFault) (err error) {
	d := &demo{flags: f, fault: fault, show: newDemoScreen(g.std, f.json)}
	defer func() { err = interrupted(ctx, err) }() // runs last, when everything has been stopped
	if d.dir, err = os.MkdirTemp("", "lifeline-demo-"); err != nil {
		return fmt.Errorf("make a temporary folder: %w", err)
	}
	if !f.keep {
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	for _, name := range []string{"nexus", "outpost"} {
		h := lab.NewHost(name, lab.Options{})
		d.hosts = append(d.hosts, h)
		if name == fault.target.Host {
			d.host = h
		}
	}
	simulated, err := lab.Start(ctx, d.hosts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, simulated.Close()) }()
	if err := d.configure(g); err != nil {
		return err
	}
	log, closeLog, err := d.logger(g)
	if err != nil {
		return err
	}
	defer closeLog()
	if d.app, err = app.New(ctx, d.cfg, app.Options{Logger: log}); err != nil {
		return err
	}
	stop := func() error {
		stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), demoStop)
		defer cancel()
		return d.app.Stop(stopCtx)
	}
	defer func() { err = errors.Join(err, stop()) }()
	if err := d.app.Start(ctx); err != nil {
		return err
	}
	end, err := d.watch(ctx)
	if err != nil {
		return err
	}
	figures, err := d.figures(ctx, end)
	if err != nil {
		return err
	}
	if err := stop(); err != nil {
		return err
	}
	if err := d.compare(ctx, &figures, end.commands); err != nil {
		return err
	}
	if err := d.show.end(figures, d.kept(end.incident)); err != nil {
		return err
	}
	if !figures.Well || figures.State != lifeline.StateResolved {
		return exitStatus(lifeline.CodeFailed.ExitStatus())
	}
	return nil
}

// interrupted says that what failed was interrupted.
func interrupted(ctx context.Context, err error) error {
	if _, ended := errors.AsType[exitStatus](err); err == nil || ended || ctx.Err() == nil {
		return err
	}
	return &lifeline.Error{Code: lifeline.CodeFailed, Message: "interrupted", Err: err}
}

// configure writes the files that the service needs and its configuration:
// nothing in it is looser than what a real one would be.
func (d *demo) configure(g *globals) error {
	in := func(name string) string { return filepath.Join(d.dir, name) }
	cfg := config.Default()
	cfg.Hosts = map[string]config.Host{}
	for _, h := range d.hosts {
		identity := in(h.Name() + ".key")
		if err := errors.Join(h.WriteKnownHosts(in("known_hosts")), h.WriteIdentity(identity)); err != nil {
			return err
		}
		cfg.Hosts[h.Name()] = config.Host{Address: h.Address(), SSHConfig: h.Name(), User: h.User(), Identity: config.List{identity}, Mode: lifeline.ModeAuto}
	}
	d.sender = newAlertSender(d.fault)
	// This ssh_config keeps the person's own, and their agent's keys, out of it.
	for name, text := range map[string]string{"webhook-token": d.sender.token + "\n", "ssh_config": "Host *\n  IdentityAgent none\n"} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			return fmt.Errorf("write the demo's files: %w", err)
		}
	}
	cfg.SSH.KnownHosts, cfg.SSH.Config = config.List{in("known_hosts")}, config.List{in("ssh_config")}
	cfg.Store.URL = "sqlite:" + in("lifeline.db")
	cfg.Listen = "127.0.0.1:0"
	cfg.Webhook.TokenFile = in("webhook-token")
	cfg.Responder = d.flags.responder
	cfg.Respond.VerifyFor = config.Duration(3 * time.Second)
	cfg.Respond.VerifyTimeout = config.Duration(10 * time.Second)
	cfg.Respond.AlertTimeout = config.Duration(30 * time.Second)
	cfg.Log.Level = "info"
	if g.logLevel != "" {
		cfg.Log.Level = g.logLevel
	}
	if g.logFormat != "" {
		cfg.Log.Format = g.logFormat
	}
	d.cfg = &cfg
	if err := cfg.Validate(); err != nil {
		return err
	}
	if !d.flags.keep {
		return nil
	}
	text, err := cfg.YAML()
	if err != nil {
		return err
	}
	return os.WriteFile(in("lifeline.yaml"), text, 0o600)
}

// logger writes the service's log to a file, so that it does not get between
// the lines of the demo; to standard error if --log-level asks for it.
func (d *demo) logger(g *globals) (log *slog.Logger, end func(), err error) {
	if g.logLevel != "" {
		log, err = g.logger(d.cfg)
		return log, func() {}, err
	}
	file, err := os.OpenFile(filepath.Join(d.dir, "lifeline.log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, nil, fmt.Errorf("open the demo's log: %w", err)
	}
	quiet := *g
	quiet.std.Err = file
	log, err = quiet.logger(d.cfg)
	if err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return log, func() { file.Close() }, nil
}

// demoEnd is how the incident ended.
type demoEnd struct {
	incident lifeline.Incident
	commands []lifeline.Command
	posted   time.Time // the alert
	verified time.Time // zero: never
}

// scrape is how often the simulated monitoring looks at the simulated host.
const scrape = 500 * time.Millisecond

// watch breaks the thing, posts the alert and shows what happens until the
// incident has ended. The monitoring's side goes on meanwhile: once it sees
// the thing work again, it posts that the alert is resolved.
func (d *demo) watch(ctx context.Context) (demoEnd, error) {
	limit := 2 * time.Minute
	if d.asksModel() {
		limit += d.cfg.Model.Budget.Time.D()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, &lifeline.Error{Code: lifeline.CodeTimeout,
		Message: fmt.Sprintf("the incident did not end within %s", limit), Hint: "look at the log: lifeline demo --log-level debug"})
	defer cancel()
	events, stop := d.app.Watch()
	defer stop()
	changes, stopChanges := d.host.World().Changes()
	defer stopChanges()

	d.show.begin(d)
	if err := d.host.Break(d.fault.kind, d.fault.target.Name); err != nil {
		return demoEnd{}, err
	}
	d.show.changes(changes)
	end := demoEnd{posted: time.Now()}
	if err := d.sender.post(ctx, d.app.Address(), lifeline.AlertFiring); err != nil {
		return end, err
	}
	look := time.NewTicker(scrape)
	defer look.Stop()
	for firing := true; ; {
		select {
		case <-ctx.Done():
			return end, context.Cause(ctx)
		case c := <-changes:
			d.show.change(c)
		case <-look.C:
			if firing && d.fault.well(d.host) {
				firing = false
				if err := d.sender.post(ctx, d.app.Address(), lifeline.AlertResolved); err != nil {
					return end, err
				}
			}
		case e := <-events:
			d.show.event(e)
			if e.Kind == lifeline.EventVerified {
				end.verified = e.At
			}
			if e.Kind != lifeline.EventStateChanged {
				continue
			}
			var err error
			if end.incident, end.commands, err = d.app.Case(ctx, e.IncidentID); err != nil || end.incident.State.Ended() {
				d.show.rest(events)
				return end, err
			}
		}
	}
}

// asksModel reports whether a model works the incident.
func (d *demo) asksModel() bool {
	return d.flags.responder == "model" || d.flags.responder == "auto" && strings.TrimSpace(os.Getenv(config.EnvModelKey)) != ""
}

// kept says where to look at what was kept; "" if nothing was.
func (d *demo) kept(inc lifeline.Incident) string {
	if !d.flags.keep {
		return ""
	}
	return fmt.Sprintf("kept: %s\n  lifeline incidents show -c %s %s", d.dir, filepath.Join(d.dir, "lifeline.yaml"), inc.ID)
}
