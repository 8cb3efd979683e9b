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
	if _, err := regexp.Compile(inner); err != nil { // "a)(b" would be one with what is put around it
		return pattern{}, fmt.Errorf("%s: %w", s, err)
	}
	re, err := regexp.Compile(`\A(?:` + inner + `)\z`)
	return pattern{re: re}, err
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
