// Package intake turns what a monitoring system posts into alerts: checked,
// bounded and authenticated.
//
//	h, err := intake.Handler(intake.Config{Receiver: triage, Auth: auth, Logger: log})
//	mux.Handle("/webhook/", h)
//
// What it guarantees: a sender gets a 2xx only after its alerts are stored; a
// message that is wrong in any part gets a problem document (RFC 9457) that
// names the field, the line and what to do next, and nothing of it is stored;
// no message, however it is made, takes more than a bounded amount of memory.
//
// What it does not do: it does not decide what an alert means. One file per
// source reads that source's messages; everything else is common to all.
package intake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lifeline"
)

// Receiver stores alerts and starts what they ask for, all or nothing. After
// an error nothing is stored. *triage.Triage is one.
type Receiver interface {
	Receive(ctx context.Context, alerts []lifeline.Alert) ([]lifeline.Receipt, error)
}

// Config of a Handler.
type Config struct {
	// Receiver is required.
	Receiver Receiver
	// Auth is what a sender must know; the zero Auth lets everybody post.
	Auth Auth
	// MaxBytes bounds a message, both as it comes and unpacked; 0: 8 MiB, room
	// for some ten thousand alerts.
	MaxBytes int64
	// Generic are the mappings behind /webhook/generic/NAME, by NAME.
	Generic map[string]Mapping
	Logger  *slog.Logger
}

// defaultMaxBytes is a generous Alertmanager message: 10,000 alerts of 800 bytes.
const defaultMaxBytes = 8 << 20

// maxAlerts bounds the alerts of one message: they are stored in one
// transaction, which everybody else waits for.
const maxAlerts = 10_000

// retryAfter, in seconds, is when a sender may come again after a message that
// could not be stored. Alertmanager ignores it and backs off by itself.
const retryAfter = 10

// message is what a source made of one request.
type message struct {
	alerts []lifeline.Alert
	// note says why there is no alert in a message that is all right.
	note string
	// truncated counts the alerts that the sender says it left out.
	truncated int
	// cut counts the alerts of which something was too long.
	cut int
}

// source is one kind of sender.
type source struct {
	name    string // as in lifeline.Alert.Source and in the log
	methods []string
	// read makes alerts of a request. Its errors are *problem.
	read func(w http.ResponseWriter, r *http.Request, maxBytes int64) (message, error)
}

// sources lists the webhooks by their path. An error names the field of the
// configuration that is wrong.
func sources(mappings map[string]Mapping) (map[string]source, error) {
	post := []string{http.MethodPost}
	all := map[string]source{
		"/webhook/alertmanager": {name: "alertmanager", methods: post, read: alertmanager().read},
		"/webhook/grafana":      {name: "grafana", methods: post, read: grafana().read},
		"/webhook/uptime-kuma":  {name: sourceKuma, methods: []string{http.MethodGet, http.MethodPost}, read: readKuma},
		pathGeneric:             {name: sourceGeneric, methods: post, read: readGeneric},
	}
	for _, name := range slices.Sorted(maps.Keys(mappings)) {
		m, err := compile(name, mappings[name])
		if err != nil {
			return nil, fmt.Errorf("intake: Config.Generic: %w", err)
		}
		all[pathGeneric+"/"+name] = source{name: m.source(), methods: post, read: m.read}
	}
	return all, nil
}

type handler struct {
	cfg     Config
	auth    authenticator
	sources map[string]source
}

// Handler serves the webhooks under /webhook/. An error names the field of the
// configuration that is wrong.
func Handler(cfg Config) (http.Handler, error) {
	if cfg.Receiver == nil {
		return nil, errors.New("intake: Config.Receiver is not set")
	}
	if cfg.MaxBytes < 0 {
		return nil, errors.New("intake: Config.MaxBytes is negative")
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = defaultMaxBytes
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	auth, err := newAuthenticator(cfg.Auth)
	if err != nil {
		return nil, err
	}
	all, err := sources(cfg.Generic)
	if err != nil {
		return nil, err
	}
	return &handler{cfg: cfg, auth: auth, sources: all}, nil
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	src, msg, err := h.take(w, r)
	if err != nil {
		h.refuse(w, r, src, asProblem(err))
		return
	}
	receipts := []lifeline.Receipt{}
	if len(msg.alerts) > 0 {
		receipts, err = h.cfg.Receiver.Receive(r.Context(), msg.alerts)
	}
	if err != nil {
		// The cause is for the log: it names our database, not the sender's fault.
		h.cfg.Logger.Error("alerts_not_stored", "source", src.name, "alerts", len(msg.alerts), "remote", r.RemoteAddr, "error", err)
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
		notStored().write(w)
		return
	}
	h.report(src, r, msg, receipts)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	// Nobody is there to be told if this does not arrive: the sender comes
	// again, and its alerts are repeats then.
	_ = json.NewEncoder(w).Encode(map[string]any{"receipts": receipts})
}

// take makes alerts of a request. The order matters: nobody learns anything,
// and no body is read, before the sender has shown who it is.
func (h *handler) take(w http.ResponseWriter, r *http.Request) (source, message, error) {
	src, known := h.sources[r.URL.Path]
	if !known {
		return src, message{}, noSuchSource(r.URL.Path, h.sources)
	}
	if err := h.fromBrowser(r, src); err != nil {
		return src, message{}, err
	}
	if !h.auth.permits(r) {
		for _, challenge := range h.auth.challenges() {
			w.Header().Add("WWW-Authenticate", challenge)
		}
		return src, message{}, unauthorized(r.Header.Get("Authorization") != "")
	}
	if !slices.Contains(src.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(src.methods, ", "))
		return src, message{}, wrongMethod(r.Method, src.methods)
	}
	msg, err := src.read(w, r, h.cfg.MaxBytes)
	if err != nil {
		return src, msg, err
	}
	for i := range msg.alerts {
		cut, err := bound(&msg.alerts[i])
		if err != nil {
			return src, message{}, err
		}
		if cut {
			msg.cut++
		}
	}
	return src, msg, nil
}

// fromBrowser refuses what a web page sends. Senders are programs; a page that
// somebody on this machine looks at could otherwise post alerts to a loopback
// address, where no authentication may be set, through its visitor's browser.
// Browsers mark every post, also after a name was rebound to 127.0.0.1. They do
// not mark every GET: those are known by what every browser calls itself and,
// where nothing else is asked of a sender, by a name that was rebound.
func (h *handler) fromBrowser(r *http.Request, src source) error {
	page := &problem{Name: "browser", Title: "Web pages may not post alerts", Status: http.StatusForbidden,
		Detail: "The request carries an Origin or Sec-Fetch-Site header, so a web page sent it.",
		Next:   "Let the monitoring system post itself, or try it with curl."}
	switch {
	case r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "":
		return page
	case r.Method != http.MethodGet || !slices.Contains(src.methods, http.MethodGet):
		return nil
	case strings.HasPrefix(r.UserAgent(), "Mozilla/"):
		page.Detail = "A browser sent the request."
		return page
	case !h.auth.required() && !loopback(r.Host):
		page.Detail = "The request is for the host " + shown(r.Host) + ", and no authentication is set."
		page.Next = "Let the sender call 127.0.0.1, or set webhook.token_file in lifeline.yaml."
		return page
	}
	return nil
}

// loopback reports whether host, or host:port, can only mean this machine.
func loopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return strings.EqualFold(host, "localhost") || err == nil && addr.Unmap().IsLoopback()
}

// refuse answers with a problem and puts it into the log once: most senders do
// not show to anybody what they were answered.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, src source, p *problem) {
	h.cfg.Logger.Warn("webhook_refused", "source", src.name, "status", p.Status, "remote", r.RemoteAddr, "problem", p.sentence())
	p.write(w)
}

// report puts what became of a message into the log.
func (h *handler) report(src source, r *http.Request, msg message, receipts []lifeline.Receipt) {
	counts := map[lifeline.ReceiptResult]int{}
	for _, receipt := range receipts {
		counts[receipt.Result]++
	}
	attrs := []any{"source", src.name, "remote", r.RemoteAddr, "alerts", len(msg.alerts)}
	for _, result := range []lifeline.ReceiptResult{lifeline.ReceiptOpened, lifeline.ReceiptMerged, lifeline.ReceiptRepeat,
		lifeline.ReceiptResolved, lifeline.ReceiptTest, lifeline.ReceiptIgnored} {
		if n := counts[result]; n > 0 {
			attrs = append(attrs, string(result), n)
		}
	}
	if msg.cut > 0 {
		attrs = append(attrs, "cut", msg.cut)
	}
	if msg.note != "" {
		attrs = append(attrs, "note", msg.note)
	}
	h.cfg.Logger.Info("alerts_received", attrs...)
	if msg.truncated > 0 {
		h.cfg.Logger.Warn("alerts_truncated", "source", src.name, "missing", msg.truncated,
			"next", "set max_alerts to 0 in the sender's webhook_configs")
	}
}
