package triage

import (
	"fmt"
	"regexp"
	"strings"
)

// pattern is a text that must be equal, or a regular expression between slashes
// that must match the whole value. The zero pattern matches everything.
type pattern struct {
	exact string
	re    *regexp.Regexp
}

func newPattern(s string) (pattern, error) {
	inner, isRegexp := strings.CutPrefix(s, "/")
	if !isRegexp {
		return pattern{exact: s}, nil
	}
	inner, closed := strings.CutSuffix(inner, "/")
	if !closed || inner == "" {
		return pattern{}, fmt.Errorf("%q begins a regular expression: end it with / as well", s)
	}
	re, err := regexp.Compile(`\A(?:` + inner + `)\z`)
	if err != nil {
		return pattern{}, fmt.Errorf("%s: %w", s, err)
	}
	return pattern{re: re}, nil
}

func (p pattern) matches(s string) bool {
	switch {
	case p.re != nil:
		return p.re.MatchString(s)
	case p.exact == "":
		return true
	}
	return p.exact == s
}
