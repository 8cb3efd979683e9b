package app

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/url"
	"os"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/notify"
	"lifeline/internal/redact"
)

// newRedactor knows Lifeline's own secrets besides the forms of others. A secret
// that this process cannot read is not its to give away: the parts that need it
// say what is wrong.
func newRedactor(cfg *config.Config) *redact.Redactor {
	var own []string
	for _, read := range []func() (string, error){cfg.ModelKey, cfg.SecondModelKey, cfg.ClientSecret} {
		if key, err := read(); err == nil {
			own = append(own, key)
		}
	}
	for _, read := range []func() (config.Secrets, error){cfg.WebhookSecrets, cfg.PrometheusSecrets, cfg.AlertmanagerSecrets} {
		s, err := read()
		if err != nil {
			continue
		}
		own = append(own, s.Password, s.Token)
		if s.Password != "" {
			own = append(own, base64.StdEncoding.EncodeToString([]byte(s.Username+":"+s.Password)))
		}
	}
	for _, name := range cfg.ChannelNames() {
		if raw, err := cfg.ChannelURL(name); err == nil {
			own = append(own, notify.Secrets(raw)...)
		}
	}
	if password, err := cfg.StorePassword(); err == nil {
		own = append(own, password, os.Getenv("PGPASSWORD"))
	}
	for _, raw := range []string{cfg.Store.URL, cfg.Model.BaseURL, cfg.Model.Second.BaseURL} {
		if u, err := url.Parse(raw); err == nil && u.User != nil {
			password, _ := u.User.Password()
			own = append(own, password)
		}
	}
	return redact.New(own...)
}

// NewLog is a log that writes to a handler and never has Lifeline's own secrets,
// or characters that a terminal obeys, in it.
func NewLog(cfg *config.Config, h slog.Handler) *slog.Logger {
	return guardedLog(slog.New(h), newRedactor(cfg))
}

// guardedLog is a log without secrets and without characters that a terminal
// obeys.
func guardedLog(log *slog.Logger, r *redact.Redactor) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(r.Handler(log.Handler()))
}

// redacting takes the secrets out of alerts before anybody stores or reads them.
func redacting(r *redact.Redactor, next receiver) receiver { return redactingReceiver{r, next} }

type redactingReceiver struct {
	r    *redact.Redactor
	next receiver
}

func (d redactingReceiver) Receive(ctx context.Context, alerts []lifeline.Alert) ([]lifeline.Receipt, error) {
	clean := make([]lifeline.Alert, len(alerts))
	for i, a := range alerts {
		clean[i] = d.alert(a)
	}
	return d.next.Receive(ctx, clean)
}

// alert is the alert without secrets. The same alert always gives the same
// result, so that its end is still the end of it.
func (d redactingReceiver) alert(a lifeline.Alert) lifeline.Alert {
	for _, text := range []*string{&a.Name, &a.Fingerprint, &a.GeneratorURL} {
		*text, _ = d.r.Text(*text)
	}
	a.Labels, a.Annotations = d.texts(a.Labels), d.texts(a.Annotations)
	return a
}

func (d redactingReceiver) texts(in map[string]string) map[string]string {
	if in == nil {
		return nil
	}
	out := make(map[string]string, len(in))
	for name, value := range in {
		out[name], _ = d.r.Field(name, value)
	}
	return out
}
