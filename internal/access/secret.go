package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"strings"
)

// TokenPrefix begins every token, so that a person, and a scanner for secrets,
// knows one when they see it.
const TokenPrefix = "llt_"

// secretBytes is the length of what nobody can guess.
const secretBytes = 32

// newSecret is 256 random bits in letters and digits that stand anywhere as they
// are.
func newSecret() string {
	b := make([]byte, secretBytes)
	rand.Read(b)
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b))
}

// NewToken makes the secret of a token, to be shown once, and the hash to keep.
func NewToken() (secret, hash string) {
	secret = TokenPrefix + newSecret()
	return secret, hashSecret(secret)
}

// hashSecret is what is kept of a secret of 256 random bits: those need no slow
// hash.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
