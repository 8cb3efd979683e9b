package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// How a password is hashed: the second recommended option of RFC 9106, section 4
// (argon2id, 3 passes over 64 MiB, 4 lanes, salt of 128 bits, tag of 256 bits).
const (
	hashPasses  = 3
	hashKiB     = 64 << 10
	hashLanes   = 4
	saltBytes   = 16
	hashedBytes = 32
)

// What a hash of the configuration may ask for. At least the least that the OWASP
// Password Storage Cheat Sheet has for argon2id with two passes or more, 19 MiB
// and 2 passes, and at most what does not take the machine down.
const (
	leastKiB, mostKiB       = 19 << 10, 256 << 10
	leastPasses, mostPasses = 2, 20
	mostLanes               = 16
	// RFC 9106, section 3.1, allows no shorter salt.
	leastSalt = 8
)

// checksAtOnce bounds the memory that sign-ins take, and checkWait how long one
// waits for its turn.
const (
	checksAtOnce = 2
	checkWait    = 5 * time.Second
)

// MinPassword is how many characters a password has at least, and mostPassword how
// many bytes of one are looked at at all.
const (
	MinPassword  = 12
	mostPassword = 1 << 10
)

// hashed is a password's hash with what it was made with.
type hashed struct {
	passes, kib uint32
	lanes       uint8
	salt, key   []byte
}

func standard() hashed { return hashed{passes: hashPasses, kib: hashKiB, lanes: hashLanes} }

// Hash gives the hash of a password for access.users: $argon2id$v=19$….
func Hash(password string) (string, error) {
	switch {
	case !utf8.ValidString(password):
		return "", errors.New("a password is UTF-8 text")
	case utf8.RuneCountInString(password) < MinPassword:
		return "", fmt.Errorf("a password has %d characters or more", MinPassword)
	case len(password) > mostPassword:
		return "", fmt.Errorf("a password has at most %d bytes", mostPassword)
	}
	h := standard()
	h.salt = make([]byte, saltBytes)
	rand.Read(h.salt)
	h.key = h.of(password, hashedBytes)
	return h.String(), nil
}

func (h hashed) of(password string, length int) []byte {
	return argon2.IDKey([]byte(password), h.salt, h.passes, h.kib, h.lanes, uint32(length))
}

// String is the PHC string format, as argon2's own program writes it.
func (h hashed) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, h.kib, h.passes, h.lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.key))
}

// matches reports whether it is the password, in a time that does not tell how
// much of it is right.
func (h hashed) matches(password string) bool {
	return subtle.ConstantTimeCompare(h.of(password, len(h.key)), h.key) == 1
}

// work is how much it takes to verify, for comparison.
func (h hashed) work() uint64 { return uint64(h.passes) * uint64(h.kib) }

// dummy is a hash that takes as much work and that no password has.
func (h hashed) dummy() hashed {
	h.salt, h.key = make([]byte, saltBytes), make([]byte, hashedBytes)
	rand.Read(h.salt)
	rand.Read(h.key)
	return h
}

// parseHash reads what Hash, or argon2's own program, has written. Its errors have
// nothing of the hash in them.
func parseHash(text string) (h hashed, err error) {
	parts := strings.Split(text, "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" {
		return h, errors.New("want a hash of argon2id: $argon2id$v=19$m=…,t=…,p=…$SALT$HASH")
	}
	if parts[2] != "v="+strconv.Itoa(argon2.Version) {
		return h, fmt.Errorf("want version %d of argon2", argon2.Version)
	}
	values := map[string]uint64{}
	for parameter := range strings.SplitSeq(parts[3], ",") {
		name, number, _ := strings.Cut(parameter, "=")
		n, err := strconv.ParseUint(number, 10, 32)
		if _, twice := values[name]; twice || err != nil {
			return h, errors.New("want the parameters m=…,t=…,p=…")
		}
		values[name] = n
	}
	m, t, p := values["m"], values["t"], values["p"]
	switch {
	case len(values) != 3 || p < 1 || p > mostLanes:
		return h, fmt.Errorf("want the parameters m=…,t=…,p=…, with p from 1 to %d", mostLanes)
	case m < leastKiB || m > mostKiB:
		return h, fmt.Errorf("want from %d to %d KiB of memory (m)", leastKiB, mostKiB)
	case t < leastPasses || t > mostPasses:
		return h, fmt.Errorf("want from %d to %d passes (t)", leastPasses, mostPasses)
	}
	h = hashed{passes: uint32(t), kib: uint32(m), lanes: uint8(p)}
	b64 := base64.RawStdEncoding.Strict()
	salt, err1 := b64.DecodeString(parts[4])
	key, err2 := b64.DecodeString(parts[5])
	if err1 != nil || err2 != nil || len(salt) < leastSalt || len(salt) > 64 || len(key) < hashedBytes || len(key) > 64 {
		return h, fmt.Errorf("want a salt of %d bytes and a hash of %d bytes or more, in base64", leastSalt, hashedBytes)
	}
	h.salt, h.key = salt, key
	return h, nil
}

// errBusy is for a sign-in that would have waited too long.
var errBusy = errors.New("too many people are signing in at the same time")

// check verifies a password, as one of few at the same time. A name that is not
// known takes as long as one that is.
func (a *Access) check(ctx context.Context, name, password string) (account, bool, error) {
	wait := time.NewTimer(checkWait)
	defer wait.Stop()
	select {
	case a.checking <- struct{}{}:
		defer func() { <-a.checking }()
	case <-wait.C:
		return account{}, false, errBusy
	case <-ctx.Done():
		return account{}, false, context.Cause(ctx)
	}
	u, known := a.users[name]
	hash := u.hash
	if !known {
		hash = a.nobody
	}
	if len(password) > mostPassword {
		password, known = password[:mostPassword], false
	}
	return u, hash.matches(password) && known, nil
}
