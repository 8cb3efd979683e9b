package access

import (
	"strings"
	"testing"
)

// A hash of ours is read again, and the one of the reference implementation's
// tests is the same here.
func TestHash(t *testing.T) {
	text, err := Hash(sesame)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(text, "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Errorf("the hash is %s", text)
	}
	again, err := Hash(sesame)
	if err != nil || again == text {
		t.Errorf("the same password has the same hash twice: %v", err)
	}
	h, err := parseHash(text)
	if err != nil || !h.matches(sesame) || h.matches(sesame+" ") || h.String() != text {
		t.Errorf("%s does not come back: %v", text, err)
	}
	if dummy := h.dummy(); dummy.String() == text || dummy.work() != h.work() {
		t.Error("a dummy is another one")
	}
	reference, err := parseHash("$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	if err != nil || !reference.matches("password") || reference.matches("Password") {
		t.Errorf("the hash of the reference implementation: %v", err)
	}
	for _, password := range []string{"", "eleven char", strings.Repeat("x", 2000), "twelve chars\xff"} {
		if h, err := Hash(password); err == nil {
			t.Errorf("%q has the hash %s", password, h)
		}
	}
}

func TestHashesThatCannotBeUsed(t *testing.T) {
	const salt, key = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for text, want := range map[string]string{
		"":                                   "want a hash of argon2id",
		"hunter2":                            "want a hash of argon2id",
		"$2y$10$abcdefghijklmnopqrstuv":      "want a hash of argon2id",
		"$argon2i$v=19$m=65536,t=2,p=1$a$b":  "want a hash of argon2id",
		"$argon2id$v=16$m=65536,t=2,p=1$a$b": "want version 19",
		"$argon2id$v=19$m=65536,t=2$" + salt + "$" + key:           "want the parameters",
		"$argon2id$v=19$m=65536,t=2,t=3$" + salt + "$" + key:       "want the parameters",
		"$argon2id$v=19$m=x,t=2,p=1$" + salt + "$" + key:           "want the parameters",
		"$argon2id$v=19$m=65536,t=2,p=0$" + salt + "$" + key:       "with p from 1",
		"$argon2id$v=19$m=65536,t=2,p=255$" + salt + "$" + key:     "with p from 1",
		"$argon2id$v=19$m=4096,t=2,p=1$" + salt + "$" + key:        "KiB of memory",
		"$argon2id$v=19$m=99999999,t=2,p=1$" + salt + "$" + key:    "KiB of memory",
		"$argon2id$v=19$m=65536,t=1,p=1$" + salt + "$" + key:       "passes",
		"$argon2id$v=19$m=65536,t=9999,p=1$" + salt + "$" + key:    "passes",
		"$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$" + key:             "want a salt",
		"$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$c2FsdA":       "want a salt",
		"$argon2id$v=19$m=65536,t=2,p=1$" + salt + "$" + key + "$": "want a hash of argon2id",
	} {
		h, err := parseHash(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v; want %q", text, h, err, want)
		}
		if err != nil && len(text) > 30 && strings.Contains(err.Error(), key) {
			t.Errorf("the error has the hash in it: %v", err)
		}
	}
}
