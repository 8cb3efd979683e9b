package access

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// lookEvery is how often the files of a certificate are looked at, at most.
const lookEvery = time.Second

// Certificate is a certificate with its key, from two files that are read again
// when they change, as whoever renews it writes them.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger
	now               func() time.Time

	mu     sync.Mutex // guards what follows
	loaded *tls.Certificate
	looked time.Time
	seen   [2]stamp
	failed string // what the log has already
}

// stamp tells whether a file is another one than before.
type stamp struct {
	modified time.Time
	size     int64
}

// NewCertificate reads the files. A *BadValue says what is wrong with them.
func NewCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	stamps, err := c.stamps()
	if err == nil {
		c.loaded, err = c.load()
	}
	if err != nil {
		return nil, err
	}
	c.seen, c.looked = stamps, c.now()
	return c, nil
}

// TLS is what a server needs: version 1.2 or later.
func (c *Certificate) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil }}
}

func (c *Certificate) stamps() (s [2]stamp, err error) {
	for i, file := range []struct{ field, path string }{{"tls.cert_file", c.certFile}, {"tls.key_file", c.keyFile}} {
		info, err := os.Stat(file.path)
		if err != nil {
			if cause, ok := errors.AsType[*os.PathError](err); ok {
				err = cause.Err
			}
			return s, &BadValue{Field: file.field, Err: fmt.Errorf("read %s: %w", file.path, err), Hint: "name a file in PEM that lifeline may read"}
		}
		if i == 1 && info.Mode().Perm()&0o007 != 0 {
			return s, &BadValue{Field: file.field, Err: fmt.Errorf("%s can be read or written by everybody (mode %04o)", file.path, info.Mode().Perm()), Hint: "chmod o= " + file.path}
		}
		s[i] = stamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

func (c *Certificate) load() (*tls.Certificate, error) {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return nil, &BadValue{Field: "tls.cert_file", Err: err, Hint: "the certificate comes first in cert_file, then those between it and its root; key_file has its key; all in PEM"}
	}
	if pair.Leaf == nil {
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, &BadValue{Field: "tls.cert_file", Err: err}
		}
	}
	return &pair, nil
}

// get is the certificate as the files have it. Files that cannot be used, perhaps
// because only one of them is written yet, leave the one before.
func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if age := now.Sub(c.looked); age >= 0 && age < lookEvery {
		return c.loaded
	}
	c.looked = now
	stamps, err := c.stamps()
	if err == nil && stamps == c.seen {
		return c.loaded
	}
	var fresh *tls.Certificate
	if err == nil {
		fresh, err = c.load()
	}
	if err != nil {
		if c.failed != err.Error() {
			c.failed = err.Error()
			c.log.Error("tls_certificate_not_reloaded", "error", err)
		}
		return c.loaded
	}
	c.loaded, c.seen, c.failed = fresh, stamps, ""
	c.log.Info("tls_certificate_reloaded", "not_after", fresh.Leaf.NotAfter)
	return c.loaded
}
