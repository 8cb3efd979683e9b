package intake

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"lifeline"
)

// nextKuma tells what a message should look like.
const nextKuma = `In Uptime Kuma, set up a notification of the type Webhook with the request body "Preset - application/json".`

const (
	sourceKuma = "uptime-kuma"
	// kumaDown names the alert of a monitor that is down. A tag alertname of the
	// monitor gives it another name.
	kumaDown = "MonitorDown"
	// kumaExpiry names the alert of a certificate or domain that will expire.
	kumaExpiry = "ExpiryNotice"
	// kumaTest names the alert of the button "Test".
	kumaTest = "UptimeKumaTest"
)

// kumaMessage is what Uptime Kuma tells, in each of its forms: as JSON, as a
// field with JSON in it, or as fields with JSON in them.
type kumaMessage struct {
	msg                string
	heartbeat, monitor bool // there is one
	status             string
	statusAt           *problem // a problem with its place, to be filled in
	at                 time.Time
	beatMsg            string
	// fields of the monitor that are texts, numbers or truth values.
	fields map[string]string
	tags   []tag
}

type tag struct{ name, value string }

func readKuma(w http.ResponseWriter, r *http.Request, maxBytes int64) (message, error) {
	var k kumaMessage
	if r.Method == http.MethodGet {
		fields, err := parseQuery(r.URL.RawQuery, nextKuma)
		if err != nil {
			return message{}, err
		}
		if err := k.form(fields); err != nil {
			return message{}, err
		}
		return k.message()
	}
	b, err := readBody(w, r, maxBytes, format{kinds: []kind{kindJSON, kindForm, kindMultipart, kindText}, hint: nextKuma})
	if err != nil {
		return message{}, err
	}
	if b.kind == kindJSON {
		err = k.json(b.data, "")
	} else {
		var fields []field
		if fields, err = b.fields(nextKuma); err == nil {
			err = k.form(fields)
		}
	}
	if err != nil {
		return message{}, err
	}
	return k.message()
}

// form reads fields: data with everything, or one for each part.
func (k *kumaMessage) form(fields []field) error {
	for _, f := range fields {
		var err error
		switch f.name {
		case "data":
			err = k.json([]byte(f.value), "data")
		case "msg":
			k.msg = withoutNUL(f.value)
		case "heartbeat", "monitor":
			err = k.part(f.name, f.value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// part reads a heartbeat or monitor that stands in a text of its own.
func (k *kumaMessage) part(name, text string) error {
	if text == "" {
		return nil
	}
	j, err := kumaReader([]byte(text), name)
	if err != nil {
		return err
	}
	return k.object(j, name, "")
}

func kumaReader(data []byte, within string) (*jsonReader, error) {
	j, err := newJSONReader(data, nextKuma)
	if err != nil {
		p := asProblem(err)
		if p.Field == "" {
			p.Field = within
		}
		return nil, p
	}
	j.within = within
	return j, nil
}

// json reads a whole message.
func (k *kumaMessage) json(data []byte, within string) error {
	j, err := kumaReader(data, within)
	if err != nil {
		return err
	}
	return j.object("", func(name string) (err error) {
		switch name {
		case "msg":
			k.msg, err = j.scalar(name)
		case "heartbeat", "heartbeatJSON": // as the preset and the templates call it
			err = k.nested(j, name, "heartbeat")
		case "monitor", "monitorJSON":
			err = k.nested(j, name, "monitor")
		default:
			err = j.skip(name)
		}
		return err
	})
}

// nested reads a part of a message, which a template may have put into a text.
func (k *kumaMessage) nested(j *jsonReader, name, part string) error {
	if at := j.at(); at >= len(j.data) || j.data[at] != '"' {
		return k.object(j, part, name)
	}
	text, err := j.text(name)
	if err != nil {
		return err
	}
	return k.part(part, text)
}

// object reads a heartbeat or monitor at field.
func (k *kumaMessage) object(j *jsonReader, part, field string) error {
	if part == "heartbeat" {
		return k.readHeartbeat(j, field)
	}
	return k.readMonitor(j, field)
}

func (k *kumaMessage) readHeartbeat(j *jsonReader, field string) error {
	var clock, local, offset string
	err := j.object(field, func(name string) (err error) {
		k.heartbeat = true
		at := join(field, name)
		switch name {
		case "status":
			place := j.at()
			k.status, err = j.scalar(at)
			k.statusAt = j.problemAt(place, at, "", nextKuma)
		case "msg":
			k.beatMsg, err = j.scalar(at)
		case "monitorID", "monitor_id":
			var id string
			if id, err = j.scalar(at); id != "" {
				k.set("id", id)
			}
		case "time":
			clock, err = j.scalar(at)
		case "localDateTime":
			local, err = j.scalar(at)
		case "timezoneOffset":
			offset, err = j.scalar(at)
		default:
			err = j.skip(at)
		}
		return err
	})
	k.at = kumaTime(clock, local, offset)
	return err
}

// set keeps a field of the monitor that the monitor itself has not given.
func (k *kumaMessage) set(name, value string) {
	if k.fields == nil {
		k.fields = map[string]string{}
	}
	if _, given := k.fields[name]; !given {
		k.fields[name] = value
	}
}

// kumaTime reads the time of a heartbeat, which is UTC without saying so, or
// else the local one with its offset. One that cannot be read is none.
func kumaTime(clock, local, offset string) time.Time {
	for _, layout := range []string{"2006-01-02 15:04:05", time.RFC3339} { // either takes a fraction too
		if t, err := time.Parse(layout, clock); err == nil && t.Year() > 1 {
			return t.UTC()
		}
	}
	if t, err := time.Parse("2006-01-02 15:04:05-07:00", local+offset); err == nil && t.Year() > 1 {
		return t.UTC()
	}
	return time.Time{}
}

func (k *kumaMessage) readMonitor(j *jsonReader, field string) error {
	return j.object(field, func(name string) (err error) {
		k.monitor = true
		at := join(field, name)
		if name == "tags" {
			return k.readTags(j, at)
		}
		value, err := j.scalar(at)
		if value != "" {
			if k.fields == nil {
				k.fields = map[string]string{}
			}
			k.fields[name] = value
		}
		return err
	})
}

func (k *kumaMessage) readTags(j *jsonReader, field string) error {
	if at := j.at(); at >= len(j.data) || j.data[at] != '[' {
		return j.skip(field)
	}
	return j.list(field, func(i int) error {
		at := fmt.Sprintf("%s[%d]", field, i)
		t, err := j.scalars(at)
		if name := labelName(t["name"]); name != "" {
			k.tags = append(k.tags, tag{name, strings.TrimSpace(t["value"])})
		}
		return err
	})
}

// labelName makes a label's name of a tag's: "Docker Host" is docker_host.
func labelName(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '_'
	}, strings.TrimSpace(s))
}

// message makes alerts of what was told.
func (k *kumaMessage) message() (message, error) {
	notice := expiryNotice().MatchString(k.msg)
	switch {
	case k.heartbeat || k.monitor && !notice:
	case k.msg == "":
		return message{}, kumaProblem("heartbeat", "The message has neither a heartbeat nor a msg.")
	case !notice && aboutMonitor().MatchString(k.msg):
		// A body of its owner's own. As a test it would never be worked.
		return message{}, kumaProblem("heartbeat", "The msg is about a monitor, and the message has no heartbeat.")
	default:
		return message{alerts: []lifeline.Alert{k.withoutMonitor()}}, nil
	}
	a := k.alert()
	switch k.status {
	case "0":
		a.Status, a.StartsAt = lifeline.AlertFiring, k.at
	case "1":
		a.Status, a.EndsAt = lifeline.AlertResolved, k.at
	case "2": // Uptime Kuma is about to look again: no fault yet
		return message{note: "the monitor " + shown(a.Labels["monitor"]) + " is pending"}, nil
	case "3": // its owner works on it
		return message{note: "the monitor " + shown(a.Labels["monitor"]) + " is under maintenance"}, nil
	case "":
		return message{}, kumaProblem("heartbeat.status", "The heartbeat has no status.")
	default:
		k.statusAt.Detail = "Want 0 (down), 1 (up), 2 (pending) or 3 (maintenance), got " + shown(k.status) + "."
		return message{}, k.statusAt
	}
	return message{alerts: []lifeline.Alert{a}}, nil
}

// alert is the alert about the monitor, without its status. The labels depend
// on how the monitor is set up and on nothing else, so that a monitor's up is
// about the same thing as its down.
func (k *kumaMessage) alert() lifeline.Alert {
	f := k.fields
	labels := map[string]string{"alertname": kumaDown}
	put := func(label, value string) {
		if value != "" {
			labels[label] = value
		}
	}
	address, machine := monitorURL(f["url"])
	put("url", address)
	put("hostname", f["hostname"])
	put("port", f["port"])
	put("host", machine)
	if m := machineName(f["hostname"]); m != "" {
		put("host", m)
	}
	if f["type"] == "docker" {
		put("container", f["docker_container"])
	}
	seen := map[string]bool{}
	for _, t := range k.tags {
		if t.value != "" && !seen[t.name] {
			seen[t.name], labels[t.name] = true, t.value
		}
	}
	// What says which monitor it is comes from no tag.
	put("monitor", f["name"])
	put("monitor_id", f["id"])
	put("monitor_type", f["type"])
	// Monitors that name no machine are told apart by this.
	put("job", f["name"])
	annotations := map[string]string{}
	for name, value := range map[string]string{"summary": first(k.msg, k.beatMsg), "description": f["description"], "heartbeat": k.beatMsg, "tags": k.tagList()} {
		if value != "" {
			annotations[name] = value
		}
	}
	identity := map[string]string{"monitor_id": f["id"]}
	if f["id"] == "" {
		identity = map[string]string{"monitor": f["name"]}
	}
	return lifeline.Alert{Source: sourceKuma, Name: labels["alertname"], Labels: labels, Annotations: annotations,
		Fingerprint: lifeline.LabelFingerprint(identity)}
}

// tagList is the tags for a person, those without a value too.
func (k *kumaMessage) tagList() string {
	var list []string
	for _, t := range k.tags {
		list = append(list, strings.TrimSuffix(t.name+"="+t.value, "="))
	}
	return strings.Join(list, ", ")
}

// withoutMonitor is what Uptime Kuma tells about no monitor: the button "Test",
// or that a certificate or a domain will expire, which it says once.
func (k *kumaMessage) withoutMonitor() lifeline.Alert {
	a := lifeline.Alert{Source: sourceKuma, Status: lifeline.AlertFiring, Name: kumaTest, Test: true,
		Annotations: map[string]string{"summary": k.msg}}
	a.Labels = map[string]string{}
	if m := expiryNotice().FindStringSubmatch(k.msg); m != nil {
		a.Name, a.Test, a.Once = kumaExpiry, false, true
		address, machine := monitorURL(m[2])
		for label, value := range map[string]string{"monitor": m[1], "job": m[1], "url": address, "host": machine} {
			if value != "" {
				a.Labels[label] = value
			}
		}
	}
	a.Labels["alertname"] = a.Name
	a.Fingerprint = lifeline.LabelFingerprint(a.Labels)
	return a
}

func kumaProblem(field, detail string) *problem {
	p := malformed(detail, nextKuma)
	p.Field = field
	return p
}

// aboutMonitor is the text about a monitor: [shop] [🔴 Down] timeout.
func aboutMonitor() *regexp.Regexp {
	return regexp.MustCompile(`^\[[^\n]+\] \[[^\]\n]*(Up|Down)\]`)
}

// expiryNotice is the text about a certificate or domain: [monitor][url] … will
// expire in 7 days.
func expiryNotice() *regexp.Regexp {
	return regexp.MustCompile(`^\[([^\]\n]+)\]\[([^\]\s]*)\] .*will expire in \d+ days?`)
}

func first(texts ...string) string {
	i := slices.IndexFunc(texts, func(s string) bool { return s != "" })
	if i < 0 {
		return ""
	}
	return texts[i]
}

// monitorURL is a monitor's URL without an account's password, and the machine
// that it names. Monitors without a URL have "https://".
func monitorURL(raw string) (address, machine string) {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return "", ""
	}
	u.User = nil
	return u.String(), machineName(u.Hostname())
}

// machineName is a name that means the same machine for everybody; "" for one
// that means whoever uses it, such as localhost.
func machineName(host string) string {
	host = strings.TrimSuffix(host, ".")
	if low := strings.ToLower(host); low == "localhost" || strings.HasSuffix(low, ".localhost") {
		return ""
	}
	if addr, err := netip.ParseAddr(host); err == nil && (addr.Unmap().IsLoopback() || addr.IsUnspecified()) {
		return ""
	}
	return host
}
