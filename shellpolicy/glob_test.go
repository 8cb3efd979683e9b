package shellpolicy

import "testing"

func TestGlobsMeet(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"/etc/shadow", "/etc/shadow", true},
		{"/etc/shadow", "/etc/passwd", false},
		{"/etc/SHADOW", "/etc/shadow", true},
		{"/etc/s*w", "/etc/shadow", true},
		{"/etc/s*x", "/etc/shadow", false},
		{"/etc/s????w", "/etc/shadow", true},
		{"/etc/s???w", "/etc/shadow", false},
		{"/etc/[rst]hadow", "/etc/shadow", true},
		{"/etc/*", "/etc/sub/shadow", false},
		{"/*/shadow", "/etc/shadow", true},
		{`/etc/\*`, "/etc/shadow", false},
		{`/etc/sh\adow`, "/etc/shadow", true},
		{"*a*b*", "xaxbx", true},
		{"*a*b*", "xbxax", false},
		{"a*", "*b", true},
		{"a*c", "b*c", false},
		{"*", "", true},
		{"/etc/" + anyDepth, "/etc/a/b/c", true},
		{"/etc/" + anyDepth, "/var/a", false},
		{"/etc/" + anyDepth, "/*/shadow", true},
		{anyDepth + "/x", "/a/b/x", true},
		{anyDepth + "/x", "/a/b/y", false},
	} {
		a, b := newGlob(c.a), newGlob(c.b)
		if a.meets(b) != c.want || b.meets(a) != c.want {
			t.Errorf("%q and %q: %v and %v, want %v", c.a, c.b, a.meets(b), b.meets(a), c.want)
		}
	}
}

func TestNameSet(t *testing.T) {
	set := newNameSet([]string{".env", "id_*", "*.key", "*secret*", "a*z", "c?t"})
	for name, want := range map[string]bool{
		".env": true, "env": false, "id_rsa": true, "x.key": true, "key": false, "my-secret-file": true, "abcz": true, "abc": false, "cat": true, "cart": false,
		"*.key": true, "*.conf": true, "s*": true, ".e?v": true, "b[ab]": false, "q?": false,
	} {
		if got := set.has(newGlob(name)[0]); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}
