package app

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"lifeline"
	"lifeline/internal/store"
	"lifeline/shellpolicy"
	"lifeline/sshpool"
)

// metrics are the counters that Lifeline keeps about itself. The names are a
// contract: dashboards and rules use them.
type metrics struct {
	registry    *prometheus.Registry
	established *prometheus.CounterVec
	reused      *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	timeouts    *prometheus.CounterVec
	unknown     *prometheus.CounterVec
	alerts      *prometheus.CounterVec
	decisions   *prometheus.CounterVec
	tokens      *prometheus.CounterVec
	cost        *prometheus.CounterVec
	incidents   *prometheus.HistogramVec
	messages    *prometheus.CounterVec
	// series is what pages show of the last hours.
	series *recorder
}

func newMetrics() *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "lifeline", Name: name, Help: help}, labels)
	}
	m := &metrics{
		series:      newRecorder(),
		registry:    prometheus.NewRegistry(),
		established: counter("ssh_connections_established_total", "SSH connections opened.", "host"),
		reused:      counter("ssh_connections_reused_total", "Commands that found an open connection.", "host"),
		timeouts:    counter("ssh_command_timeouts_total", "Commands that ran into one of their three clocks.", "host"),
		unknown:     counter("ssh_commands_unknown_total", "Commands whose outcome is unknown.", "host"),
		alerts:      counter("alerts_received_total", "Alerts received, by what became of them.", "source", "result"),
		decisions:   counter("policy_decisions_total", "Commands judged by the policy.", "class", "decision"),
		messages:    counter("notifications_total", "Messages to people, by what became of them: sent, merged, dropped, failed (and tried again), given_up.", "channel", "result"),
		tokens:      counter("model_tokens_total", "Tokens used, by kind: input, output, cache_read, cache_write.", "model", "kind"),
		cost:        counter("model_cost_usd_total", "US dollars that models cost, for those whose price is known.", "model"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "lifeline", Name: "ssh_command_seconds",
			Help:    "Time of a command, by phase: queue, connect, run.",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"host", "phase"}),
		incidents: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "lifeline", Name: "incident_seconds",
			Help:    "Time from an incident's first alert to its end, by outcome.",
			Buckets: []float64{5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 14400},
		}, []string{"outcome"}),
	}
	m.registry.MustRegister(m.established, m.reused, m.seconds, m.timeouts, m.unknown, m.alerts, m.decisions, m.tokens, m.cost, m.incidents, m.messages)
	return m
}

// handler serves the metrics, the present state of pool and record among them.
func (m *metrics) handler(pool *sshpool.Pool, record *store.Store, channels []string) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(gauges{pool, record}, outboxGauge{record, channels})
	return promhttp.HandlerFor(prometheus.Gatherers{m.registry, registry}, promhttp.HandlerOpts{})
}

// gauges reads the present state at each scrape.
type gauges struct {
	pool   *sshpool.Pool
	record *store.Store
}

func (gauges) Describe(chan<- *prometheus.Desc) {} // unchecked: the hosts are not known in advance

func (g gauges) Collect(out chan<- prometheus.Metric) {
	open := prometheus.NewDesc("lifeline_ssh_connections_open", "SSH connections open now.", []string{"host"}, nil)
	sessions := prometheus.NewDesc("lifeline_ssh_sessions_in_use", "SSH sessions in use now.", []string{"host"}, nil)
	for name, h := range g.pool.Stats() {
		out <- prometheus.MustNewConstMetric(open, prometheus.GaugeValue, float64(h.OpenConnections), name)
		out <- prometheus.MustNewConstMetric(sessions, prometheus.GaugeValue, float64(h.SessionsInUse), name)
	}
	incidents := prometheus.NewDesc("lifeline_incidents", "Incidents on record, by state.", []string{"state"}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	states, err := g.record.CountIncidents(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(incidents, err)
		return
	}
	for state, n := range states {
		out <- prometheus.MustNewConstMetric(incidents, prometheus.GaugeValue, float64(n), string(state))
	}
}

// outboxGauge counts the messages that wait, at each scrape.
type outboxGauge struct {
	record   *store.Store
	channels []string
}

func (outboxGauge) Describe(chan<- *prometheus.Desc) {} // unchecked, as gauges is

func (g outboxGauge) Collect(out chan<- prometheus.Metric) {
	waiting := prometheus.NewDesc("lifeline_notifications_waiting", "Messages to people that wait to be sent.", []string{"channel"}, nil)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	counts, err := g.record.CountNotifications(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(waiting, err)
		return
	}
	for _, name := range g.channels {
		out <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(counts[name].Waiting), name)
	}
}

// notified counts what became of a message.
func (m *metrics) notified(channel, result string) {
	m.messages.WithLabelValues(channel, result).Inc()
}

// poolEvents writes the pool's events to the log and counts them. The names of
// the log events are a contract: the founding story's monitoring greps them.
func (m *metrics) poolEvents(log *slog.Logger) func(sshpool.Event) {
	return func(e sshpool.Event) {
		m.series.event(e)
		switch e.Kind {
		case sshpool.ConnectionEstablished:
			m.established.WithLabelValues(e.Host).Inc()
			log.Info("ssh_connection_established", "host", e.Host, "seconds", e.Duration.Seconds())
		case sshpool.ConnectionReused:
			m.reused.WithLabelValues(e.Host).Inc()
			log.Info("reusing_ssh_connection", "host", e.Host)
		case sshpool.ConnectionClosed:
			log.Info("ssh_connection_closed", "host", e.Host, "age_seconds", e.Duration.Seconds(), "cause", text(e.Err))
		case sshpool.DialFailed:
			log.Warn("ssh_connection_failed", "host", e.Host, "error", text(e.Err))
		case sshpool.CommandTimeout:
			m.timeouts.WithLabelValues(e.Host).Inc()
			log.Error("command_timeout", "host", e.Host, "command", e.Command, "error", text(e.Err))
		case sshpool.CommandUnknown:
			m.unknown.WithLabelValues(e.Host).Inc()
			log.Error("command_unknown", "host", e.Host, "command", e.Command, "error", text(e.Err))
		case sshpool.CommandKilled:
			log.Warn("command_killed", "host", e.Host, "command", e.Command)
		case sshpool.SessionRefused:
			log.Debug("ssh_session_refused", "host", e.Host, "error", text(e.Err))
		case sshpool.SpareLost:
			log.Debug("ssh_spare_session_lost", "host", e.Host, "error", text(e.Err))
		}
	}
}

// text is an error's message, "" for none.
func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func (m *metrics) verdict(v shellpolicy.Verdict) {
	m.decisions.WithLabelValues(string(v.Class), string(v.Decision)).Inc()
}

// result counts the phases of a command that was let through.
func (m *metrics) result(c lifeline.Command) {
	m.series.result(c, time.Now())
	m.seconds.WithLabelValues(c.Host, "queue").Observe(c.Queue.Seconds())
	m.seconds.WithLabelValues(c.Host, "connect").Observe(c.Connect.Seconds())
	m.seconds.WithLabelValues(c.Host, "run").Observe(c.Run.Seconds())
}

// ended counts how long an incident took, by how it ended.
func (m *metrics) ended(inc lifeline.Incident) {
	m.incidents.WithLabelValues(string(inc.State)).Observe(inc.UpdatedAt.Sub(inc.OpenedAt).Seconds())
}

// receiver takes alerts: triage is one.
type receiver interface {
	Receive(ctx context.Context, alerts []lifeline.Alert) ([]lifeline.Receipt, error)
}

// counting counts what becomes of each alert.
func (m *metrics) counting(next receiver) receiver { return countingReceiver{m, next} }

type countingReceiver struct {
	m    *metrics
	next receiver
}

func (r countingReceiver) Receive(ctx context.Context, alerts []lifeline.Alert) ([]lifeline.Receipt, error) {
	receipts, err := r.next.Receive(ctx, alerts)
	for i, a := range alerts {
		result := "failed"
		if err == nil && i < len(receipts) {
			result = string(receipts[i].Result)
		}
		r.m.alerts.WithLabelValues(a.Source, result).Inc()
	}
	return receipts, err
}
