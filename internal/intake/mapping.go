package intake

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"lifeline"
	"lifeline/internal/jsonpath"
)

// Mapping says how the messages of one sender become alerts. Name to Test, and
// the values of Labels and Annotations, are expressions of package jsonpath: a
// path, or a text with paths between {{ and }}. What a message does not have is
// left out, except the name.
type Mapping struct {
	// Alerts is the path of a list with an alert in each entry; "": the message
	// is one alert. The other paths then start at the entry, those that begin
	// with "$." at the whole message.
	Alerts string
	// Name is required.
	Name string
	// Status is looked up in the three lists, in any case of letters. A list
	// that is empty takes the built-in words; Ignored has none. A message without
	// a status fires.
	Status                    string
	Firing, Resolved, Ignored []string
	Severity                  string
	Summary, Description      string
	// URL is where a person looks.
	URL string
	// Fingerprint is what the end of a fault has in common with its beginning;
	// "": all labels but the severity.
	Fingerprint string
	// Test is true in a test message.
	Test        string
	Labels      map[string]string
	Annotations map[string]string
	// Constants are labels with their value as it stands.
	Constants map[string]string
	// Once: the sender never says that a fault is over.
	Once bool
}

// ValidMappingName reports whether a name can stand in a path: lower-case
// letters, digits and dashes.
func ValidMappingName(name string) bool {
	return regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,62}$`).MatchString(name)
}

// mapping is a Mapping whose paths were read.
type mapping struct {
	name                                                      string
	alerts                                                    jsonpath.Path
	title, status, severity, summary, description, url, id, t jsonpath.Expr
	words                                                     statusWords
	labels, annotations                                       []named
	constants                                                 map[string]string
	once                                                      bool
}

type named struct {
	name string
	expr jsonpath.Expr
}

// compile reads a Mapping's paths. An error names the field.
func compile(name string, m Mapping) (*mapping, error) {
	if !ValidMappingName(name) {
		return nil, fmt.Errorf("the name %s: want lower-case letters, digits and dashes", shown(name))
	}
	c := &mapping{name: name, constants: m.Constants, once: m.Once,
		words: statusWords{firing: lower(m.Firing), resolved: lower(m.Resolved), ignored: lower(m.Ignored)}}
	var errs []error
	fail := func(field string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s.%s: %w", name, field, err))
		}
	}
	if m.Alerts != "" {
		var err error
		c.alerts, err = jsonpath.ParsePath(m.Alerts)
		fail("alerts", err)
	}
	for _, f := range []struct {
		field, source string
		into          *jsonpath.Expr
	}{
		{"name", m.Name, &c.title}, {"status", m.Status, &c.status}, {"severity", m.Severity, &c.severity},
		{"summary", m.Summary, &c.summary}, {"description", m.Description, &c.description}, {"url", m.URL, &c.url},
		{"fingerprint", m.Fingerprint, &c.id}, {"test", m.Test, &c.t},
	} {
		if f.source == "" && f.field != "name" {
			continue
		}
		var err error
		*f.into, err = jsonpath.Parse(f.source)
		fail(f.field, err)
	}
	for _, list := range []struct {
		field string
		paths map[string]string
		into  *[]named
	}{{"labels", m.Labels, &c.labels}, {"annotations", m.Annotations, &c.annotations}} {
		for _, label := range slices.Sorted(maps.Keys(list.paths)) {
			expr, err := jsonpath.Parse(list.paths[label])
			fail(list.field+"."+label, err)
			*list.into = append(*list.into, named{label, expr})
		}
	}
	return c, errors.Join(errs...)
}

func lower(words []string) []string {
	if len(words) == 0 {
		return nil
	}
	low := make([]string, len(words))
	for i, w := range words {
		low[i] = strings.ToLower(strings.TrimSpace(w))
	}
	return low
}

func (m *mapping) source() string { return sourceGeneric + ":" + m.name }

// key is a key of the mapping in the configuration.
func (m *mapping) key(name string) string { return "webhook.generic." + m.name + "." + name }

func (m *mapping) read(w http.ResponseWriter, r *http.Request, maxBytes int64) (message, error) {
	hint := "Compare the message with " + strings.TrimSuffix(m.key(""), ".") + " of lifeline.yaml; docs/sources.md has examples."
	data, err := readAny(w, r, maxBytes, hint)
	if err != nil {
		return message{}, err
	}
	j, err := newJSONReader(data, hint)
	if err != nil {
		return message{}, err
	}
	if err := j.skip(""); err != nil { // every name once, bounded nesting
		return message{}, err
	}
	doc := jsonpath.NewDoc(data)
	parts := []*jsonpath.Doc{doc}
	if m.alerts.Set() {
		var found bool
		if parts, found = doc.Parts(m.alerts); !found {
			return message{}, malformed(fmt.Sprintf("The path %s of %s finds nothing.", shown(m.alerts.String()), m.key("alerts")), hint)
		}
		if len(parts) > maxAlerts {
			return message{}, tooMany()
		}
	}
	msg := message{note: "the message has no alert in it"}
	for i, part := range parts {
		a, err := m.alert(part)
		if p, ok := err.(*problem); ok {
			if p.Next = hint; m.alerts.Set() {
				p.Detail = fmt.Sprintf("Entry %d: %s", i, p.Detail)
			}
			return message{}, p
		}
		if a.Status == "" {
			msg.note = "the status says that there is nothing to do"
			continue
		}
		msg.alerts = append(msg.alerts, a)
	}
	if len(msg.alerts) > 0 {
		msg.note = ""
	}
	return msg, nil
}

// alert makes one alert. Its status is "" if it is one to ignore.
func (m *mapping) alert(doc *jsonpath.Doc) (lifeline.Alert, error) {
	text := func(e jsonpath.Expr) string {
		s, _ := e.Text(doc)
		return withoutNUL(strings.ToValidUTF8(s, "\ufffd"))
	}
	a := lifeline.Alert{Source: m.source(), Name: text(m.title), Labels: map[string]string{}, Annotations: map[string]string{},
		Fingerprint: text(m.id), GeneratorURL: text(m.url), Test: truth(text(m.t)), Once: m.once}
	if a.Name == "" {
		return a, missingName(fmt.Sprintf("The path %s of %s finds nothing.", shown(m.title.String()), m.key("name")), doc.Names(), "")
	}
	put := func(into map[string]string, name, value string) {
		if value != "" {
			into[name] = value
		}
	}
	for _, l := range m.labels {
		put(a.Labels, l.name, text(l.expr))
	}
	for _, n := range m.annotations {
		put(a.Annotations, n.name, text(n.expr))
	}
	put(a.Labels, "severity", text(m.severity))
	put(a.Annotations, "summary", text(m.summary))
	put(a.Annotations, "description", text(m.description))
	maps.Copy(a.Labels, m.constants)
	a.Labels["alertname"] = a.Name
	word := text(m.status)
	var known bool
	if a.Status, known = m.words.status(word); !known {
		return a, malformed(fmt.Sprintf("The status %s is in none of %s, %s and %s.", shown(word), m.key("firing"), m.key("resolved"), m.key("ignored")), "")
	}
	identify(&a)
	return a, nil
}
