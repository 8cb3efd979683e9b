// Package pattern is how the owner writes a text that something is compared
// with, in the configuration and in runbooks alike: as it is, or as a regular
// expression between slashes.
//
//	p, err := pattern.New("/Container(Down|Gone)/")
//	p.Matches("ContainerDown") // true: an expression has to match the whole value
//
// Errors quote the text and say what is wrong with it; where it stands is for the
// caller to say.
package pattern

import (
	"fmt"
	"regexp"
	"strings"
)

// Parse reads a text: what stands between its slashes, or the text itself and
// isExpression = false. An expression is one by itself: "a)(b" is none, although
// it would be with what is put around it.
func Parse(text string) (inner string, isExpression bool, err error) {
	inner, isExpression = strings.CutPrefix(text, "/")
	if !isExpression {
		return text, false, nil
	}
	inner, closed := strings.CutSuffix(inner, "/")
	if !closed || inner == "" {
		return "", true, fmt.Errorf("%q begins a regular expression: end it with / as well", text)
	}
	if _, err := regexp.Compile(inner); err != nil {
		return "", true, fmt.Errorf("%s: %w", text, err)
	}
	return inner, true, nil
}

// Pattern is a text that a value must be equal to, or an expression that must
// match the whole of it. The zero Pattern is the empty text.
type Pattern struct {
	exact string
	re    *regexp.Regexp
}

// New reads a text as Parse does.
func New(text string) (Pattern, error) {
	inner, isExpression, err := Parse(text)
	if err != nil || !isExpression {
		return Pattern{exact: inner}, err
	}
	re, err := regexp.Compile(`\A(?:` + inner + `)\z`)
	return Pattern{re: re}, err
}

// Matches reports whether a value is what the pattern says.
func (p Pattern) Matches(value string) bool {
	if p.re != nil {
		return p.re.MatchString(value)
	}
	return p.exact == value
}

// IsExpression reports whether more than one value may match.
func (p Pattern) IsExpression() bool { return p.re != nil }
