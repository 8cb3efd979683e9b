package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/escape"
	"lifeline/internal/notify"
	"lifeline/internal/store"
)

// newSender reads the channels' URLs and checks them. names are the channels that
// are wanted.
func newSender(cfg *config.Config, names []string) (*notify.Sender, error) {
	urls := map[string]string{}
	for _, name := range names {
		raw, err := cfg.ChannelURL(name)
		if err != nil {
			return nil, err
		}
		if err := notify.CheckURL(raw); err != nil {
			return nil, cfg.BadChannel(name, "the channel's URL cannot be used: "+err.Error(), "docs/notifications.md has examples")
		}
		urls[name] = raw
	}
	return notify.NewSender(urls)
}

// newNotifier tells people what the record says. Its parts end with the app.
func (a *App) newNotifier(metrics *metrics) error {
	sender, err := newSender(a.cfg, a.cfg.ChannelNames())
	if err != nil {
		return err
	}
	a.ends = append(a.ends, func(ctx context.Context) error {
		soon, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		if err := sender.Close(soon); err != nil { // it is told again after the next start
			a.log.Warn("notification_left_under_way", "error", err)
		}
		return nil
	})
	channels := map[string]notify.Channel{}
	for name, ch := range a.cfg.Notify.Channels {
		if channels[name], err = channelOf(ch); err != nil {
			return fmt.Errorf("notify.channels.%s: %w", name, err)
		}
	}
	var routes []notify.Route
	for _, r := range a.cfg.Notify.Routes {
		route := notify.Route{Severity: r.Severity, Host: r.Host, Alert: r.Alert, Channels: r.Channels}
		for _, e := range r.Events {
			route.Events = append(route.Events, lifeline.NotificationKind(e))
		}
		routes = append(routes, route)
	}
	n := a.cfg.Notify
	notifier, err := notify.New(notify.Config{
		Store: a.store, Send: sender.Send, Question: a.question, Channels: channels, Routes: routes,
		DigestAfter: n.Digest.After, DigestEvery: n.Digest.Every.D(), OnResult: metrics.notified, Logger: a.log,
	})
	if err != nil {
		return err
	}
	a.notify = notifier
	a.ends = append(a.ends, notifier.Stop)
	return nil
}

// channelOf is a channel in the notifier's terms. Validate has seen its values.
func channelOf(c config.NotifyChannel) (ch notify.Channel, err error) {
	if ch.Rate.Number, ch.Rate.Per, err = config.ParseRate(c.Rate); err != nil {
		return ch, err
	}
	q := c.QuietHours
	if q.From == "" {
		return ch, nil
	}
	from, err1 := config.ParseClock(q.From)
	to, err2 := config.ParseClock(q.To)
	zone, err3 := q.Location()
	ch.Quiet = notify.Quiet{From: from, To: to, Location: zone, Except: q.Except}
	return ch, errors.Join(err1, err2, err3)
}

// question is how an approval stands for a message about it.
func (a *App) question(ctx context.Context, id string) (notify.Question, error) {
	apr, err := a.store.Approval(ctx, id)
	if err != nil {
		return notify.Question{}, err
	}
	over := !time.Now().Before(apr.ExpiresAt)
	q := notify.Question{
		Open: apr.State == lifeline.ApprovalPending && !over,
		// An approval ends this way too when its incident does: then nobody has to
		// be told any more.
		Expired: over && (apr.State == lifeline.ApprovalPending || apr.State == lifeline.ApprovalExpired),
	}
	if q.Open && a.cfg.PublicURL != "" {
		q.Link = strings.TrimRight(a.cfg.PublicURL, "/") + "/approve/" + a.store.SignApproval(apr)
	}
	return q, nil
}

// TestNotify sends a test message to one channel, or to all for "", past routes,
// rates and quiet hours, and says what happened. It needs no lifeline serve.
func TestNotify(ctx context.Context, cfg *config.Config, w io.Writer, channel string) error {
	names := cfg.ChannelNames()
	switch _, known := cfg.Notify.Channels[channel]; {
	case len(names) == 0:
		return &lifeline.Error{Code: lifeline.CodeConfig, Message: "no channel is configured",
			Hint: "add one to " + cfg.File() + ":\n  notify:\n    channels:\n      phone: {url_file: phone.url}\ndocs/notifications.md has examples"}
	case channel != "" && !known:
		return &lifeline.Error{Code: lifeline.CodeNotFound, Message: fmt.Sprintf("there is no channel %q", channel), Hint: "configured channels: " + strings.Join(names, ", ")}
	case channel != "":
		names = []string{channel}
	}
	sender, err := newSender(cfg, names)
	if err != nil {
		return err
	}
	redact := newRedactor(cfg)
	failed := 0
	for _, name := range names {
		sending, cancel := context.WithTimeoutCause(ctx, 45*time.Second, errors.New("no answer within 45s"))
		err := sender.Send(sending, name, notify.Message{
			Title: "Test of Lifeline's channel " + name, Body: "This is what a message looks like. Nothing has happened.", Foot: "lifeline notify list",
		})
		cancel()
		if err == nil {
			fmt.Fprintf(w, "%s: sent\n", name)
			continue
		}
		failed++
		text, _ := redact.Text(err.Error())
		again := "it would be tried again"
		if _, never := errors.AsType[notify.Permanent](err); never {
			again = "it would not be tried again"
		}
		fmt.Fprintf(w, "%s: NOT sent (%s): %s\n", name, again, escape.Line(text))
	}
	if failed > 0 {
		return &lifeline.Error{Code: lifeline.CodeFailed, Message: fmt.Sprintf("%d of %d channels did not take the message", failed, len(names)),
			Hint: "docs/notifications.md has the URLs of the services"}
	}
	return nil
}

// WriteNotifications prints the outbox: what waits and what was given up, or all
// that is kept.
func (r *Records) WriteNotifications(ctx context.Context, w io.Writer, all, asJSON bool) error {
	ns, err := r.store.Notifications(ctx, all)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(w, map[string]any{"notifications": ns})
	}
	if len(ns) == 0 {
		_, err := fmt.Fprintln(w, "Nothing waits to be sent, and nothing was given up.")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tCREATED\tCHANNEL\tKIND\tSTATE\tTITLE")
	for _, n := range ns {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", n.ID, n.CreatedAt.Local().Format(time.DateTime), escape.Line(n.Channel), n.Kind, escape.Line(fate(n)), escape.Line(n.Title))
	}
	return t.Flush()
}

// fate says where a message stands.
func fate(n lifeline.Notification) string {
	failed := ""
	if n.Attempts > 0 {
		failed = fmt.Sprintf(" after %d failed: %s", n.Attempts, n.LastError)
	}
	switch {
	case !n.GivenUpAt.IsZero():
		return "GIVEN UP" + failed
	case !n.SentAt.IsZero():
		return n.Fate
	}
	return "waits" + failed
}

// RetryNotifications lets a message that waits or was given up be tried at once,
// or all of them for "", and gives their number. lifeline serve sends them.
func (r *Records) RetryNotifications(ctx context.Context, id string) (int64, error) {
	return r.store.RetryNotifications(ctx, id)
}

// decide takes a person's answer to an approval. A yes holds only for what cfg
// says now: after a change of the policy, the host or its account it is refused.
func decide(ctx context.Context, record *store.Store, cfg *config.Config, a lifeline.Approval, approve bool, by, reason string) (lifeline.Approval, error) {
	return record.DecideApproval(ctx, a.ID, store.Decision{Approve: approve, By: by, Reason: reason, Digest: digest(cfg, a)})
}

// desk is where the page of a link decides: see web.Desk.
type desk struct{ *App }

// ByToken implements web.Desk.
func (d desk) ByToken(ctx context.Context, token string) (lifeline.Approval, lifeline.Incident, error) {
	a, err := d.store.ApprovalByToken(ctx, token)
	if err != nil {
		return a, lifeline.Incident{}, err
	}
	inc, err := d.store.Incident(ctx, a.Request.IncidentID)
	return a, inc, err
}

// Decide implements web.Desk. The token is looked at again: it decides.
func (d desk) Decide(ctx context.Context, token string, approve bool, by, reason string) (lifeline.Approval, error) {
	a, err := d.store.ApprovalByToken(ctx, token)
	if err != nil {
		return a, err
	}
	return decide(ctx, d.store, d.cfg, a, approve, by, reason)
}
