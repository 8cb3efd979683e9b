package intake

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeline"
)

// The bounds of one alert. A message's bytes are bounded before; these keep one
// value from filling every page, prompt and notification that shows it.
const (
	maxText  = 8 << 10 // bytes of a label's or an annotation's value
	maxName  = 256     // bytes of a label's or an annotation's name
	maxPairs = 256     // labels; annotations
)

// bound cuts what is too long, with a mark; it reports whether it did. A label
// can only be refused: without it, or with half of its name, the alert would be
// about another thing.
func bound(a *lifeline.Alert) (cut bool, err error) {
	if len(a.Labels) > maxPairs {
		return false, malformed(fmt.Sprintf("An alert has %d labels, more than %d.", len(a.Labels), maxPairs), "Let its rule set fewer.")
	}
	shorten := func(s string) string {
		short := shortened(s)
		cut = cut || len(short) != len(s)
		return short
	}
	for name, value := range a.Labels {
		if len(name) > maxName {
			return false, malformed(fmt.Sprintf("The label %s has a name of more than %d bytes.", shown(name), maxName), "Let its rule set a shorter one.")
		}
		a.Labels[name] = shorten(value)
	}
	kept := 0
	for _, name := range slices.Sorted(maps.Keys(a.Annotations)) {
		if kept++; kept > maxPairs || len(name) > maxName {
			delete(a.Annotations, name)
			cut = true
			continue
		}
		a.Annotations[name] = shorten(a.Annotations[name])
	}
	a.Name, a.GeneratorURL = shorten(a.Name), shorten(a.GeneratorURL)
	if len(a.Fingerprint) > maxName { // its identity must not be cut
		a.Fingerprint = lifeline.LabelFingerprint(map[string]string{"fingerprint": a.Fingerprint})
	}
	return cut, nil
}

// shortened is the beginning of a long text, marked with how much is missing.
func shortened(s string) string {
	if len(s) <= maxText {
		return s
	}
	head := strings.ToValidUTF8(s[:maxText], "") // the last letter may be half
	return fmt.Sprintf("%s… [%d bytes cut]", head, len(s)-len(head))
}
