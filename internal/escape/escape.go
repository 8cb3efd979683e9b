// Package escape makes text from outside harmless where it is shown, and where
// it becomes a word of a command line. Whoever shows or runs something that an
// alert, a host or a model said takes it from here.
package escape

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line shows on one line what s holds: control characters, terminal
// escapes, characters that reorder or hide text, and bytes that are not UTF-8
// are spelled out, never obeyed.
func Line(s string) string { return escape(s, false) }

// Text is Line for a text of several lines: line feeds and tabs
// stay as they are.
func Text(s string) string { return escape(s, true) }

func escape(s string, lines bool) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case lines && (r == '\n' || r == '\t'):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\r':
			b.WriteString(`\r`)
		case r == '\t':
			b.WriteString(`\t`)
		case r < 0x80 && unicode.IsControl(r):
			fmt.Fprintf(&b, `\x%02x`, r)
		case hidden(r):
			fmt.Fprintf(&b, `\u{%x}`, r)
		default:
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// JSON is a JSON text in which what Line would spell out stands as \u escapes, so
// that it reads the same to a program and harmless to a person. Outside of
// strings JSON has no such characters.
func JSON(text []byte) []byte {
	var b []byte
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		switch {
		case r < utf8.RuneSelf && r != 0x7f || r == utf8.RuneError || !hidden(r):
			b = append(b, text[i:i+size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
		i += size
	}
	return b
}

// hidden reports whether a character changes how others look or is not seen
// itself: C1 controls, format characters such as bidi overrides and tags,
// separators other than the plain space, variation selectors, letters and marks
// without a shape such as the Hangul fillers, and whatever Unicode has not
// assigned.
func hidden(r rune) bool {
	switch {
	case r == ' ':
		return false
	case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Zs, unicode.Co, unicode.Cs):
		return true
	case unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point):
		return true
	case r == '\u2800': // a braille cell without dots
		return true
	}
	return !unicode.IsPrint(r)
}

// Word makes one word of a POSIX shell out of any text without NUL.
func Word(s string) string {
	plain := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./:@+,-", r))
	})
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
