package pattern_test

import (
	"strings"
	"testing"

	"lifeline/internal/pattern"
)

func TestMatches(t *testing.T) {
	for _, tc := range []struct {
		text, value string
		want        bool
	}{
		{"", "", true},
		{"", "x", false},
		{"Down", "Down", true},
		{"Down", "ContainerDown", false},
		{"a.c", "abc", false},
		{"/a.c/", "abc", true},
		{"/a.c/", "xabc", false},
		{"/a|b/", "b", true},
		{"/a|b/", "ax", false},
		{"/(?i)down/", "DOWN", true},
		{"/.+/", "", false},
		{"/a/", "a\n", false},
		{"a/", "a/", true},
	} {
		p, err := pattern.New(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Matches(tc.value); got != tc.want {
			t.Errorf("%q and %q: %v", tc.text, tc.value, got)
		}
		if got := p.IsExpression(); got != strings.HasPrefix(tc.text, "/") {
			t.Errorf("%q is an expression: %v", tc.text, got)
		}
	}
}

func TestWhatIsNone(t *testing.T) {
	for text, want := range map[string]string{
		"/": "end it with / as well", "//": "end it with / as well", "/x": "end it with / as well",
		"/(/": "missing closing )", "/a)(b/": "unexpected )",
	} {
		if _, err := pattern.New(text); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}
