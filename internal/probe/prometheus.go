package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/client_golang/api"
	prometheus "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"lifeline"
)

// maxAnswer bounds the answer to a query.
const maxAnswer = 4 << 20

// Server is a Prometheus, or what speaks its API.
type Server struct {
	URL string // "": there is none
	// Username and Password for HTTP basic authentication, or Token for bearer.
	Username, Password, Token string
	// Roots are what its certificate must be signed by; nil: the system's.
	Roots *x509.CertPool
}

// String keeps the secrets out of whatever prints it.
func (s Server) String() string { return "Prometheus " + s.URL }

// GoString is String.
func (s Server) GoString() string { return s.String() }

func (s Server) client() (prometheus.API, error) {
	u, err := url.Parse(s.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("probe: Config.Prometheus.URL is not a URL such as http://127.0.0.1:9090")
	}
	client, err := api.NewClient(api.Config{Address: s.URL, Client: &http.Client{
		Transport: bounded{server: s, host: u.Host, next: &http.Transport{
			Proxy:             http.ProxyFromEnvironment,
			TLSClientConfig:   &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS12},
			ForceAttemptHTTP2: true,
			IdleConnTimeout:   30 * time.Second,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return nil, fmt.Errorf("probe: Config.Prometheus: %w", err)
	}
	return prometheus.NewAPI(client), nil
}

// bounded adds the account to requests and bounds the answers.
type bounded struct {
	server Server
	host   string
	next   http.RoundTripper
}

func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != b.host {
		return nil, fmt.Errorf("a query goes to %s and nowhere else", b.host)
	}
	req = req.Clone(req.Context())
	switch {
	case b.server.Token != "":
		req.Header.Set("Authorization", "Bearer "+b.server.Token)
	case b.server.Password != "":
		req.SetBasicAuth(b.server.Username, b.server.Password)
	}
	resp, err := b.next.RoundTrip(req)
	if err == nil {
		resp.Body = &limited{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

// limited fails where an answer is longer than it may be.
type limited struct {
	io.ReadCloser
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("the answer is longer than %d MiB: ask for less", maxAnswer>>20)
	}
	n, err := l.ReadCloser.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

// ask makes a check by a query. It is good if there is at least one sample and
// none is 0 or not a number. What Prometheus is not sure of was not checked.
func (p *Prober) ask(ctx context.Context, c lifeline.Check) (string, bool, error) {
	if p.query == nil {
		return "", false, errors.New("no Prometheus is configured: set prometheus.url")
	}
	value, warnings, _, err := p.query.Query(ctx, c.Prometheus, time.Time{})
	switch {
	case err != nil && ctx.Err() != nil:
		return "", false, fmt.Errorf("ask Prometheus: %w", context.Cause(ctx))
	case err != nil:
		return "", false, fmt.Errorf("ask Prometheus: %s", line(inner(err).Error()))
	case len(warnings) > 0:
		return "", false, fmt.Errorf("ask Prometheus: it warns: %s", line(strings.Join(warnings, "; ")))
	}
	switch v := value.(type) {
	case *model.Scalar:
		return judge([]model.SampleValue{v.Value}, nil)
	case model.Vector:
		values, names := make([]model.SampleValue, len(v)), make([]string, len(v))
		for i, s := range v {
			values[i], names[i] = s.Value, s.Metric.String()
			if s.Histogram != nil {
				return "", false, errors.New("the query gives histograms: compare in the query itself")
			}
		}
		return judge(values, names)
	}
	return "", false, fmt.Errorf("the query gives a %s: want an instant vector or a scalar", value.Type())
}

func judge(values []model.SampleValue, names []string) (string, bool, error) {
	if len(values) == 0 {
		return "no sample", false, nil
	}
	for i, v := range values {
		if v == 0 || math.IsNaN(float64(v)) {
			detail := fmt.Sprintf("a sample is %s", v)
			if names != nil {
				detail += " " + line(names[i])
			}
			return detail, false, nil
		}
	}
	if len(values) == 1 {
		return fmt.Sprintf("1 sample, %s", values[0]), true, nil
	}
	return fmt.Sprintf("%d samples, none is 0", len(values)), true, nil
}
