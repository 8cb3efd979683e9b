package app

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/config"
)

// passwordHash is that of "open sesame, and be quick", with the least work that is
// allowed.
const passwordHash = "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcyBvZg$Agn+R1yEBREFsFe41phhlybU33epNs9E2bDTeBquCh4"

// accessConfig is a configuration in a folder of its own; more are further lines.
func accessConfig(t *testing.T, more string) (*config.Config, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "token"), []byte("sesame-of-the-test\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse(filepath.Join(dir, "lifeline.yaml"), []byte(`
hosts: {nexus: {address: 127.0.0.1:1}}
responder: runbook
store: {url: "sqlite:lifeline.db"}
webhook: {token_file: token}
`+more))
	if err == nil {
		err = cfg.Validate()
	}
	return cfg, err
}

// serving is a service that listens on loopback, whatever the configuration says
// for others to see.
func serving(t *testing.T, more string, log io.Writer) *App {
	t.Helper()
	cfg, err := accessConfig(t, more)
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(t.Context(), cfg, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Stop(t.Context()) })
	cfg.Listen = "127.0.0.1:0" // after New, which has asked who can reach it
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return a
}

// status asks as a browser and gives the status, and where it is sent.
func status(t *testing.T, client *http.Client, url string, header ...string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "text/html")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if to := resp.Header.Get("Location"); to != "" {
		return resp.Status[:3] + " " + to
	}
	return resp.Status[:3]
}

func stays() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// What is open to everybody, and what is not.
func TestRoutesOfTheService(t *testing.T) {
	const users = "access: {users: {ann: {role: admin, password_hash: '" + passwordHash + "'}}}\n"
	public := map[string]string{"/healthz": "200", "/readyz": "200", "/static/style.css": "200", "/approve/none": "404", "/webhook/alertmanager": "401"}
	for what, tt := range map[string]struct {
		more string
		want map[string]string
	}{
		"this machine, nobody configured": {"", map[string]string{"/metrics": "200", "/none": "404", "/login": "303 /"}},
		"this machine, with users":        {users, map[string]string{"/metrics": "200", "/none": "303 /login?next=%2Fnone", "/": "303 /login", "/login": "200"}},
		"reached by others":               {"listen: 0.0.0.0:0\n" + users, map[string]string{"/metrics": "303 /login?next=%2Fmetrics", "/none": "303 /login?next=%2Fnone"}},
		"… with open metrics":             {"listen: 0.0.0.0:0\n" + strings.Replace(users, "{users", "{metrics_open: true, users", 1), map[string]string{"/metrics": "200", "/none": "303 /login?next=%2Fnone"}},
		"… without pages":                 {"listen: 0.0.0.0:0\naccess: {pages: false}\n", map[string]string{"/metrics": "303 /login?next=%2Fmetrics", "/none": "404", "/": "404", "/login": "404"}},
	} {
		a := serving(t, tt.more, io.Discard)
		for _, list := range []map[string]string{public, tt.want} {
			for path, want := range list {
				if got := status(t, stays(), "http://"+a.Address()+path); got != want {
					t.Errorf("%s: %s: %s, want %s", what, path, got, want)
				}
			}
		}
		// A token that Lifeline made opens the metrics everywhere.
		_, secret, err := (&Records{store: a.store, cfg: a.cfg}).CreateToken(t.Context(), lifeline.Token{Name: "prometheus", Role: lifeline.RoleViewer, CreatedBy: "person:ann"})
		if err != nil {
			t.Fatal(err)
		}
		if got := status(t, stays(), "http://"+a.Address()+"/metrics", "Authorization", "Bearer "+secret); got != "200" {
			t.Errorf("%s: metrics with a token: %s", what, got)
		}
		if got := status(t, stays(), "http://"+a.Address()+"/webhook/alertmanager", "Authorization", "Bearer "+secret); got == "200" {
			t.Errorf("%s: a token for the API posts alerts", what)
		}
	}
}

// https by files, and what is wrong with them is said with its place.
func TestServiceSpeaksTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"lifeline.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err1 := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	private, err2 := x509.MarshalPKCS8PrivateKey(key)
	dir := t.TempDir()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	err3 := os.WriteFile(filepath.Join(dir, "c.pem"), certificate, 0o644)
	err4 := os.WriteFile(filepath.Join(dir, "k.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
	a := serving(t, "access: {tls: {cert_file: "+dir+"/c.pem, key_file: "+dir+"/k.pem}}\n", io.Discard)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	client := stays()
	client.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "lifeline.test"}, ForceAttemptHTTP2: true}
	t.Cleanup(client.CloseIdleConnections)
	if got := status(t, client, "https://"+a.Address()+"/healthz"); got != "200" {
		t.Errorf("https: %s", got)
	}
	old := stays()
	old.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: "lifeline.test", MaxVersion: tls.VersionTLS11}}
	if resp, err := old.Get("https://" + a.Address() + "/healthz"); err == nil {
		resp.Body.Close()
		t.Error("TLS 1.1 is spoken")
	}
	for more, want := range map[string]string{
		"access: {tls: {cert_file: none, key_file: " + dir + "/k.pem}}\n":                      "lifeline.yaml:6:16: access.tls.cert_file: ",
		"access: {users: {ann: {role: admin, password_hash: '$argon2id$v=19$m=1,t=1,p=1'}}}\n": "lifeline.yaml:6:37: access.users.ann.password_hash: ",
	} {
		cfg, err := accessConfig(t, more)
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(t.Context(), cfg, Options{})
		if lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "m=1,t=1") {
			t.Errorf("%s: %v", more, err)
		}
	}
}

// The secret of the client at an identity provider is one of ours.
func TestClientSecretIsRedacted(t *testing.T) {
	cfg, err := accessConfig(t, "public_url: https://l.example.net\naccess: {oidc: {issuer: 'https://id.example.net', client_id: l, client_secret_file: token, default_role: viewer}}\n")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	NewLog(cfg, slog.NewTextHandler(&log, nil)).Info("said", "text", "it is sesame-of-the-test", "token", "llt_abcdefghijklmnopqrstuvwxyz234567abcdefghijklmnopqrst")
	if strings.Contains(log.String(), "sesame-of") || strings.Contains(log.String(), "llt_abc") {
		t.Errorf("the log: %s", &log)
	}
}
