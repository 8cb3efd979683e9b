package config

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // quiet hours in a zone that the machine does not know

	"lifeline"
)

// ChannelNames lists the configured channels in order.
func (c *Config) ChannelNames() []string { return slices.Sorted(maps.Keys(c.Notify.Channels)) }

// ChannelURL reads the URL of a channel. It is a secret.
func (c *Config) ChannelURL(name string) (string, error) {
	field, ch := "notify.channels."+name, c.Notify.Channels[name]
	if ch.URLFile != "" {
		return c.secretFile(field+".url_file", ch.URLFile)
	}
	if secret := strings.TrimSpace(os.Getenv(ch.URLEnv)); secret != "" {
		return secret, nil
	}
	return "", problems{c.src.problem(field+".url_env", fmt.Sprintf("the environment variable %s is not set", ch.URLEnv),
		"set it for lifeline serve, or write the URL into a file and name that as url_file")}.err(c.File())
}

// BadChannel is the error for a channel whose URL is not one that messages can be
// sent to. text must not have the URL in it.
func (c *Config) BadChannel(name, text, hint string) error {
	field, key := "notify.channels."+name, "url_env"
	if c.Notify.Channels[name].URLFile != "" {
		key = "url_file"
	}
	return problems{c.src.problem(join(field, key), text, hint)}.err(c.File())
}

// ParseRate reads NUMBER/TIME, such as 10/1m.
func ParseRate(text string) (n int, per time.Duration, err error) {
	number, span, _ := strings.Cut(text, "/")
	n, err = strconv.Atoi(strings.TrimSpace(number))
	if err == nil {
		per, err = time.ParseDuration(strings.TrimSpace(span))
	}
	if err != nil || n < 1 || n > 10_000 || per < time.Second || per > 24*time.Hour {
		return 0, 0, fmt.Errorf("want NUMBER/TIME, such as 10/1m, got %q", text)
	}
	return n, per, nil
}

// ParseClock reads HH:MM as the time since midnight.
func ParseClock(text string) (time.Duration, error) {
	at, err := time.Parse("15:04", text)
	if err != nil {
		return 0, fmt.Errorf("want a time of day such as 22:00, got %q", text)
	}
	return time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute, nil
}

// Location is the zone of quiet hours.
func (q QuietHours) Location() (*time.Location, error) {
	if q.Timezone == "" {
		return time.Local, nil
	}
	return time.LoadLocation(q.Timezone)
}

// notifyEvents are the kinds of messages that a route can name.
func notifyEvents() []string {
	return []string{string(lifeline.NotifyOpened), string(lifeline.NotifyApproval), string(lifeline.NotifyRepaired), string(lifeline.NotifyEscalated),
		string(lifeline.NotifyPaused), string(lifeline.NotifyRecordBroken), string(lifeline.NotifyFailed)}
}

func (v *validator) publicURL() {
	raw := v.cfg.PublicURL
	if raw == "" {
		return
	}
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		v.complain("public_url", "want a URL such as https://lifeline.example.net, without an account, ? or #", "")
	}
}

func (v *validator) notify() {
	n := v.cfg.Notify
	for _, name := range v.cfg.ChannelNames() {
		v.channel(name, n.Channels[name])
	}
	if len(n.Channels) == 0 && len(n.Routes) > 0 {
		v.complain("notify.routes", "there are routes and no channel", "add one:\n  notify:\n    channels:\n      phone: {url_file: phone.url}")
		return
	}
	for i, r := range n.Routes {
		v.route(fmt.Sprintf("notify.routes[%d]", i), r)
	}
}

func (v *validator) channel(name string, ch NotifyChannel) {
	field := "notify.channels." + name
	if !validName(name) {
		v.complain(field, "a channel's name has letters, digits, dots, dashes and underscores, begins with a letter or digit, and has at most 63 characters", "")
	}
	if (ch.URLFile == "") == (ch.URLEnv == "") {
		v.complain(field, "want exactly one of url_file and url_env", "write the channel's URL into a file: (umask 077; cat > "+name+".url)")
	}
	if strings.ContainsAny(ch.URLEnv, ":/= ") {
		v.complain(field+".url_env", "want the name of an environment variable, not the URL itself", "")
	}
	if _, _, err := ParseRate(ch.Rate); err != nil {
		v.complain(field+".rate", err.Error(), "")
	}
	q, field := ch.QuietHours, field+".quiet_hours"
	if q.From == "" && q.To == "" {
		if q.Timezone != "" || len(q.Except) > 0 {
			v.complain(field, "want from and to, such as from: \"22:00\" and to: \"07:00\"", "")
		}
		return
	}
	for key, text := range map[string]string{"from": q.From, "to": q.To} {
		if _, err := ParseClock(text); err != nil {
			v.complain(join(field, key), err.Error(), "")
		}
	}
	if q.From == q.To {
		v.complain(join(field, "to"), "quiet hours that end when they begin have no length", "")
	}
	if _, err := q.Location(); err != nil {
		v.complain(join(field, "timezone"), fmt.Sprintf("there is no time zone %q: want one such as Europe/Berlin", q.Timezone), "")
	}
}

func (v *validator) route(field string, r NotifyRoute) {
	if len(r.Channels) == 0 {
		v.complain(field, "want channels: where do these messages go?", "")
	}
	each := func(key string, names List, wrong func(at, name string)) {
		for i, name := range names {
			wrong(fmt.Sprintf("%s.%s[%d]", field, key, i), name)
		}
	}
	known := v.cfg.ChannelNames()
	each("channels", r.Channels, func(at, name string) { v.oneOfThese(at, "channel", name, known) })
	each("events", r.Events, func(at, name string) { v.oneOfThese(at, "event", name, notifyEvents()) })
	each("host", r.Host, v.configured)
	each("severity", r.Severity, func(at, name string) {
		if name == "" {
			v.complain(at, "a severity has a name; none stands for alerts without one", "")
		}
	})
	each("alert", r.Alert, func(at, name string) {
		if _, err := path.Match(name, ""); err != nil || name == "" {
			v.complain(at, fmt.Sprintf("%q is not the name of an alert, or one with * in it", name), "")
		}
	})
}

// oneOfThese complains about a name that is not one of the known ones.
func (v *validator) oneOfThese(field, what, name string, known []string) {
	if slices.Contains(known, name) {
		return
	}
	text := fmt.Sprintf("there is no %s %q", what, name)
	if meant := nearest(name, known); meant != "" {
		v.complain(field, text+": did you mean "+meant+"?", "")
		return
	}
	v.complain(field, text, what+"s: "+strings.Join(known, ", "))
}
