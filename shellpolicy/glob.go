package shellpolicy

import "strings"

// anyDepth stands for any number of components of a path. No command can hold
// it: NUL is refused.
const anyDepth = "\x00"

// glob is a pattern of a path, or of one component, taken apart. In it * and ?
// and […] are holes, and a backslash makes the next character literal. The case
// of letters does not count: some filesystems do not count it either.
type glob []component

type component struct {
	deep  bool   // any number of components
	plain bool   // text is all there is to it
	text  string // lower case
	units []unit // if not plain
}

// unit of a component: a character, ? for one unknown, * for any number.
type unit struct {
	r    rune
	hole bool
}

func newGlob(pattern string) glob {
	parts := strings.Split(strings.ToLower(pattern), "/")
	g := make(glob, len(parts))
	for i, p := range parts {
		switch {
		case p == anyDepth:
			g[i].deep = true
		case !strings.ContainsAny(p, `*?[\`):
			g[i] = component{plain: true, text: p}
		default:
			g[i] = component{text: p, units: units(p)}
		}
	}
	return g
}

func units(s string) []unit {
	var out []unit
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; r {
		case '\\':
			if i+1 < len(runes) {
				i++
				out = append(out, unit{r: runes[i]})
			}
		case '*', '?':
			out = append(out, unit{r: r, hole: true})
		case '[': // a class is one unknown character; an unclosed one is literal
			end := i + 1
			for end < len(runes) && (runes[end] != ']' || end == i+1) {
				end++
			}
			if end < len(runes) {
				out = append(out, unit{r: '?', hole: true})
				i = end
			} else {
				out = append(out, unit{r: r})
			}
		default:
			out = append(out, unit{r: r})
		}
	}
	return out
}

func (c component) all() []unit {
	if !c.plain {
		return c.units
	}
	out := make([]unit, 0, len(c.text))
	for _, r := range c.text {
		out = append(out, unit{r: r})
	}
	return out
}

// meets reports whether some path fits both patterns.
func (g glob) meets(h glob) bool {
	switch {
	case len(g) == 0 && len(h) == 0:
		return true
	case len(g) > 0 && g[0].deep:
		return g[1:].meets(h) || len(h) > 0 && g.meets(h[1:])
	case len(h) > 0 && h[0].deep:
		return h.meets(g)
	case len(g) == 0 || len(h) == 0:
		return false
	}
	return g[0].meets(h[0]) && g[1:].meets(h[1:])
}

// meets is the usual table over both patterns; components are short.
func (c component) meets(d component) bool {
	if c.deep || d.deep {
		return true
	}
	if c.plain && d.plain {
		return c.text == d.text
	}
	star := func(u unit) bool { return u.hole && u.r == '*' }
	a, b := c.all(), d.all()
	row, next := make([]bool, len(b)+1), make([]bool, len(b)+1)
	row[0] = true
	for j, u := range b {
		row[j+1] = row[j] && star(u)
	}
	for _, ua := range a {
		next[0] = row[0] && star(ua)
		for j, ub := range b {
			switch {
			case star(ua) || star(ub):
				next[j+1] = row[j+1] || next[j]
			default:
				next[j+1] = row[j] && (ua.hole || ub.hole || ua.r == ub.r)
			}
		}
		row, next = next, row
	}
	return row[len(b)]
}

// escapeGlob makes a pattern that fits only s.
func escapeGlob(s string) string {
	if !strings.ContainsAny(s, `*?[\`) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if strings.ContainsRune(`*?[\`, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// nameSet is a list of patterns of one component, sorted so that a plain name
// is looked up quickly.
type nameSet struct {
	plain                      map[string]bool
	prefixes, suffixes, inside []string
	other                      []component
	globs                      []component // all of them, for names with holes
}

func newNameSet(patterns []string) *nameSet {
	n := &nameSet{plain: map[string]bool{}}
	for _, p := range patterns {
		inner := strings.Trim(p, "*")
		holes := strings.ContainsAny(inner, `*?[\`)
		switch {
		case !holes && inner == p:
			n.plain[p] = true
		case !holes && p == inner+"*":
			n.prefixes = append(n.prefixes, inner)
		case !holes && p == "*"+inner:
			n.suffixes = append(n.suffixes, inner)
		case !holes && p == "*"+inner+"*":
			n.inside = append(n.inside, inner)
		default:
			n.other = append(n.other, newGlob(p)[0])
		}
		n.globs = append(n.globs, newGlob(p)[0])
	}
	return n
}

// has reports whether a name may be in the set.
func (n *nameSet) has(c component) bool {
	if !c.plain {
		for _, g := range n.globs {
			if g.meets(c) {
				return true
			}
		}
		return false
	}
	if n.plain[c.text] {
		return true
	}
	for _, p := range n.prefixes {
		if strings.HasPrefix(c.text, p) {
			return true
		}
	}
	for _, p := range n.suffixes {
		if strings.HasSuffix(c.text, p) {
			return true
		}
	}
	for _, p := range n.inside {
		if strings.Contains(c.text, p) {
			return true
		}
	}
	for _, g := range n.other {
		if g.meets(c) {
			return true
		}
	}
	return false
}
