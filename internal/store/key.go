package store

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// keyBytes is the length of the key: that of the hash it is used with.
const keyBytes = sha256.Size

// key seals the end of the record and signs links to approvals. It lies in a
// file of its own and not in the database, so that whoever can only write the
// database can forge neither.
type key []byte

// loadKey reads the key, or makes one where there is none. Of several processes
// that do so at the same time, one makes it and all use it.
func loadKey(path string) (key, error) {
	k, err := readKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if err := makeKey(path); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return readKey(path)
}

// lockFile lets one process at a time open and migrate a database: SQLite
// itself does not wait while another turns a new file into one with a log, and
// two migrations at once would be in each other's way. The lock lies on the key
// and ends with the process at the latest.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return func() { f.Close() }, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		select {
		case <-look.C:
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another process is opening it: %w", context.Cause(ctx))
		}
	}
}

func readKey(path string) (key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("others can read the key of the record: chmod 600 %s", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	k, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(k) != keyBytes {
		return nil, fmt.Errorf("%s is not a key: want %d hexadecimal digits; with another key the seal of the record does not hold", path, 2*keyBytes)
	}
	return k, nil
}

// makeKey writes a new key whole or not at all, and never over another one.
func makeKey(path string) error {
	k := make([]byte, keyBytes)
	rand.Read(k)
	f, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = fmt.Fprintln(f, hex.EncodeToString(k))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

// sign authenticates parts for one use; what is signed for another use is
// something else.
func (k key) sign(use string, parts ...string) []byte {
	mac := hmac.New(sha256.New, k)
	for _, p := range append([]string{use}, parts...) {
		writePart(mac, p)
	}
	return mac.Sum(nil)
}
