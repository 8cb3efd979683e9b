package timeline

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// EscapeLine shows on one line what s holds: control characters, terminal
// escapes, characters that reorder or hide text, and bytes that are not UTF-8
// are spelled out, never obeyed.
func EscapeLine(s string) string { return escape(s, false) }

// EscapeText is EscapeLine for a text of several lines: line feeds and tabs
// stay as they are.
func EscapeText(s string) string { return escape(s, true) }

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
