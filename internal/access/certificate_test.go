package access

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writeCertificate writes a certificate of its own for a name.
func writeCertificate(t *testing.T, certFile, keyFile, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err1 := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	private, err2 := x509.MarshalPKCS8PrivateKey(key)
	err3 := os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
	err4 := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		t.Fatal(err)
	}
}

// A renewed certificate is used without a start, and half of one is not.
func TestCertificateIsReloaded(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writeCertificate(t, certFile, keyFile, "first.example.net")
	var log bytes.Buffer
	c, err := NewCertificate(certFile, keyFile, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	c.now = func() time.Time { return now }
	name := func() string {
		t.Helper()
		got, err := c.TLS().GetCertificate(&tls.ClientHelloInfo{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Leaf.Subject.CommonName
	}
	look := func() string { now = now.Add(2 * lookEvery); return name() }
	if got := look(); got != "first.example.net" {
		t.Errorf("at first: %s", got)
	}
	writeCertificate(t, certFile, filepath.Join(dir, "other.pem"), "second.example.net")
	for range 3 {
		if got := look(); got != "first.example.net" {
			t.Errorf("half of a new one: %s", got)
		}
	}
	if n := strings.Count(log.String(), "tls_certificate_not_reloaded"); n != 1 {
		t.Errorf("%d lines:\n%s", n, &log)
	}
	if err := os.Rename(filepath.Join(dir, "other.pem"), keyFile); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "second.example.net" {
		t.Errorf("renewed: %s\n%s", got, &log)
	}
	if err := os.Remove(certFile); err != nil {
		t.Fatal(err)
	}
	if got := look(); got != "second.example.net" {
		t.Errorf("the file is gone: %s", got)
	}
	if got := c.TLS().MinVersion; got != tls.VersionTLS12 {
		t.Errorf("version %x", got)
	}
}

func TestCertificatesThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	refused := func(what, field string) {
		t.Helper()
		_, err := NewCertificate(certFile, keyFile, nil)
		bad, ok := errors.AsType[*BadValue](err)
		if !ok || bad.Field != field || bad.Hint == "" {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("no file", "tls.cert_file")
	writeCertificate(t, certFile, keyFile, "a.example.net")
	if err := os.Chmod(keyFile, 0o644); err != nil {
		t.Fatal(err)
	}
	refused("everybody reads the key", "tls.key_file")
	writeCertificate(t, filepath.Join(dir, "x"), filepath.Join(dir, "k2.pem"), "b.example.net")
	keyFile = filepath.Join(dir, "k2.pem")
	refused("the key of another", "tls.cert_file")
	if err := os.WriteFile(certFile, []byte("no"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused("not PEM", "tls.cert_file")
}
