package escape_test

import (
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"lifeline/internal/escape"
)

func TestEscape(t *testing.T) {
	for _, tc := range []struct {
		name, in   string
		line, text string // "" for text: as line
	}{
		{"empty", "", "", ""},
		{"plain", `docker ps --format '{{.Names}}' | grep "x\y"`, `docker ps --format '{{.Names}}' | grep "x\y"`, ""},
		{"letters of the world", "Grüße, 世界, עולם, 😀", "Grüße, 世界, עולם, 😀", ""},
		{"combining mark", "e\u0301", "e\u0301", ""},
		{"lines", "a\n\tb\n", `a\n\tb\n`, "a\n\tb\n"},
		{"carriage return", "safe\rrm -rf /", `safe\rrm -rf /`, ""},
		{"windows line", "a\r\nb", `a\r\nb`, "a\\r\nb"},
		{"colour", "\x1b[31mred\x1b[0m", `\x1b[31mred\x1b[0m`, ""},
		{"title and clipboard", "\x1b]0;x\x07\x1b]52;c;aGk=\x1b\\", `\x1b]0;x\x07\x1b]52;c;aGk=\x1b\`, ""},
		{"backspace", "rm\b\bls", `rm\x08\x08ls`, ""},
		{"NUL", "a\x00b", `a\x00b`, ""},
		{"DEL", "a\x7fb", `a\x7fb`, ""},
		{"C1 introducer", "\u009b31m", `\u{9b}31m`, ""},
		{"C1 as a raw byte", "\x9b31m", `\x9b31m`, ""},
		{"next line", "a\u0085b", `a\u{85}b`, ""},
		{"not UTF-8", "a\xff\xc3(", `a\xff\xc3(`, ""},
		{"cut off letter", "gr\xc3", `gr\xc3`, ""},
		{"surrogate as bytes", "\xed\xa0\x80", `\xed\xa0\x80`, ""},
		{"replacement character", "\ufffd", "\ufffd", ""},
		{"bidi override", "abc\u202egpj.exe", `abc\u{202e}gpj.exe`, ""},
		{"bidi isolates", "\u2066a\u2069", `\u{2066}a\u{2069}`, ""},
		{"bidi marks", "\u200ea\u061cb", `\u{200e}a\u{61c}b`, ""},
		{"zero width", "ro\u200bot\u200c\u200d\u2060", `ro\u{200b}ot\u{200c}\u{200d}\u{2060}`, ""},
		{"byte order mark", "\ufeffa", `\u{feff}a`, ""},
		{"soft hyphen", "a\u00adb", `a\u{ad}b`, ""},
		{"tags", "a\U000e0061\U000e007f", `a\u{e0061}\u{e007f}`, ""},
		{"variation selectors", "a\ufe0f\U000e0100", `a\u{fe0f}\u{e0100}`, ""},
		{"letters without a shape", "a\u3164\u115f\u1160\uffa0\u034f", `a\u{3164}\u{115f}\u{1160}\u{ffa0}\u{34f}`, ""},
		{"empty braille cell", "a\u2800b", `a\u{2800}b`, ""},
		{"line separators", "a\u2028b\u2029", `a\u{2028}b\u{2029}`, ""},
		{"other spaces", "a\u00a0b\u3000", `a\u{a0}b\u{3000}`, ""},
		{"private use", "\ue000\U000f0000", `\u{e000}\u{f0000}`, ""},
		{"not assigned", "\u0378\U000e0fff", `\u{378}\u{e0fff}`, ""},
	} {
		if got := escape.Line(tc.in); got != tc.line {
			t.Errorf("%s: line %q, want %q", tc.name, got, tc.line)
		}
		want := tc.text
		if want == "" {
			want = tc.line
		}
		if got := escape.Text(tc.in); got != want {
			t.Errorf("%s: text %q, want %q", tc.name, got, want)
		}
	}
}

// FuzzEscape holds what comes out to what a terminal may be shown, asked in
// other words than the escaping asks.
func FuzzEscape(f *testing.F) {
	f.Add("a\x1b[31m\u202e\xff\n\t\U000e0061")
	f.Fuzz(func(t *testing.T, in string) {
		line, text := escape.Line(in), escape.Text(in)
		if strings.ContainsAny(line, "\n\t") {
			t.Errorf("%q has more than one line: %q", in, line)
		}
		for _, out := range []string{line, text} {
			if !utf8.ValidString(out) {
				t.Errorf("%q becomes %q, which is not UTF-8", in, out)
			}
			for _, r := range out {
				if r != '\n' && r != '\t' && (!unicode.IsGraphic(r) || r != ' ' && unicode.IsSpace(r) || unicode.Is(unicode.Bidi_Control, r)) {
					t.Errorf("%q lets %U through", in, r)
				}
			}
			if again := escape.Text(out); again != out {
				t.Errorf("%q escaped twice is %q", out, again)
			}
		}
		if plain := strings.ContainsFunc(in, func(r rune) bool { return r < ' ' || r > '~' }); !plain && line != in {
			t.Errorf("%q was changed to %q", in, line)
		}
	})
}

// What JSON says is the same after JSON, and nothing in it is obeyed.
func TestJSON(t *testing.T) {
	for _, in := range []string{"", "plain é 漢", "a\x1b[31m\u202e\xff\n\t\U000e0061\x7f\u0085\u2028\ufeff\ufe0f", "\ufffd"} {
		raw, err := json.Marshal(map[string]string{"key": in})
		if err != nil {
			t.Fatal(err)
		}
		out := escape.JSON(raw)
		if got := escape.Line(string(out)); got != string(out) {
			t.Errorf("%q is obeyed in %q", in, out)
		}
		var before, after map[string]string
		if err := errors.Join(json.Unmarshal(raw, &before), json.Unmarshal(out, &after)); err != nil || before["key"] != after["key"] {
			t.Errorf("%q reads %q afterwards, %q before: %v", in, after["key"], before["key"], err)
		}
	}
}

func TestWord(t *testing.T) {
	for in, want := range map[string]string{
		"": "''", "web": "web", "/srv/my data": "'/srv/my data'", "it's": `'it'\''s'`, "a@b:1,2+3.x-y_z": "a@b:1,2+3.x-y_z",
		"$(reboot)": "'$(reboot)'", "-n": "-n", "~": "'~'", "a=b": "'a=b'", "a\nb": "'a\nb'", "{a,b}": "'{a,b}'", "é": "'é'", `a\b`: `'a\b'`,
	} {
		if got := escape.Word(in); got != want {
			t.Errorf("Word(%q) = %s, want %s", in, got, want)
		}
		out, err := exec.Command("/bin/sh", "-c", "printf %s "+escape.Word(in)).Output()
		if err != nil || string(out) != in {
			t.Errorf("a shell reads Word(%q) as %q: %v", in, out, err)
		}
	}
}
