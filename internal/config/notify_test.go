package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/internal/config"
)

func TestNotify(t *testing.T) {
	got := mustParse(t, host+`
public_url: https://lifeline.example.net/x/
notify:
  channels:
    phone: {url_file: phone.url}
    chat:
      url_env: CHAT_URL
      rate: 5/1h
      quiet_hours: {from: "22:30", to: "07:00", timezone: Europe/Berlin, except: page}
  routes:
    - {severity: critical, host: a, alert: ["Disk*"], events: [opened, record_broken], channels: [phone, chat]}
    - {channels: chat}
  digest: {every: 1m}
`)
	want := config.Notify{
		Channels: map[string]config.NotifyChannel{
			"phone": {URLFile: "/etc/lifeline/phone.url", Rate: "10/1m"},
			"chat":  {URLEnv: "CHAT_URL", Rate: "5/1h", QuietHours: config.QuietHours{From: "22:30", To: "07:00", Timezone: "Europe/Berlin", Except: config.List{"page"}}},
		},
		Routes: []config.NotifyRoute{
			{Severity: config.List{"critical"}, Host: config.List{"a"}, Alert: config.List{"Disk*"}, Events: config.List{"opened", "record_broken"}, Channels: config.List{"phone", "chat"}},
			{Channels: config.List{"chat"}},
		},
		Digest: config.Digest{After: 10, Every: config.Duration(time.Minute)},
	}
	if diff := cmp.Diff(want, got.Notify); diff != "" || got.PublicURL != "https://lifeline.example.net/x/" {
		t.Errorf("%s (-want +got):\n%s", got.PublicURL, diff)
	}
	if diff := cmp.Diff([]string{"chat", "phone"}, got.ChannelNames()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	written, err := got.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, mustParse(t, string(written)), fields(), emptyIsNil()); diff != "" {
		t.Errorf("(-written +read):\n%s\n%s", diff, written)
	}
}

func TestNotifyProblems(t *testing.T) {
	ch := host + "notify:\n  channels:\n    c: {url_env: X}\n"
	for _, tc := range []struct{ text, want string }{
		{host + "public_url: lifeline.example.net\n", "2:1: public_url: want a URL such as"},
		{host + "public_url: https://ann:pw@h\n", "2:1: public_url: want a URL such as"},
		{host + "public_url: https://h/?a=b\n", "2:1: public_url: want a URL such as"},
		{host + "notify: {channels: {c: {}}}\n", "2:21: notify.channels.c: want exactly one of url_file and url_env"},
		{host + "notify: {channels: {c: {url_env: A, url_file: b}}}\n", "2:21: notify.channels.c: want exactly one of"},
		{host + "notify: {channels: {c: {url_env: 'ntfy://h/t'}}}\n", "2:25: notify.channels.c.url_env: want the name of an environment variable"},
		{host + "notify: {channels: {'c d': {url_env: X}}}\n", "2:21: notify.channels.c d: a channel's name has"},
		{host + "notify: {channels: {c: {url: x}}}\n", "2:25: notify.channels.c.url: unknown key: a channel's URL has a secret in it"},
		{host + "notify: {channels: {c: {url_env: X, rate: 5}}}\n", "2:43: notify.channels.c.rate: want text"},
		{host + "notify: {channels: {c: {url_env: X, rate: 0/1m}}}\n", "2:37: notify.channels.c.rate: want NUMBER/TIME"},
		{host + "notify: {channels: {c: {url_env: X, rate: 5/m}}}\n", "notify.channels.c.rate: want NUMBER/TIME, such as 10/1m, got \"5/m\""},
		{host + "notify: {channels: {c: {url_env: X, rate: 5/48h}}}\n", "notify.channels.c.rate: want NUMBER/TIME"},
		{host + "notify: {channels: {c: {url_env: X, quiet_hours: {from: '22:00'}}}}\n", "notify.channels.c.quiet_hours.to: want a time of day such as 22:00"},
		{host + "notify: {channels: {c: {url_env: X, quiet_hours: {from: '25:00', to: '07:00'}}}}\n", "notify.channels.c.quiet_hours.from: want a time of day"},
		{host + "notify: {channels: {c: {url_env: X, quiet_hours: {from: '07:00', to: '07:00'}}}}\n", "quiet_hours.to: quiet hours that end when they begin"},
		{host + "notify: {channels: {c: {url_env: X, quiet_hours: {timezone: UTC}}}}\n", "quiet_hours: want from and to"},
		{host + "notify: {channels: {c: {url_env: X, quiet_hours: {from: '22:00', to: '07:00', timezone: Mars/North}}}}\n", `there is no time zone "Mars/North"`},
		{host + "notify: {routes: [{channels: c}]}\n", "2:10: notify.routes: there are routes and no channel"},
		{ch + "  routes: [{severity: x}]\n", "notify.routes[0]: want channels"},
		{ch + "  routes: [{channels: d}]\n", `notify.routes[0].channels[0]: there is no channel "d": did you mean c?`},
		{ch + "  routes: [{channels: c, events: [escalatd]}]\n", `5:35: notify.routes[0].events[0]: there is no event "escalatd": did you mean escalated?`},
		{ch + "  routes: [{channels: c, host: nexus}]\n", `notify.routes[0].host[0]: no host "nexus" is configured`},
		{ch + "  routes: [{channels: c, alert: '[x'}]\n", `notify.routes[0].alert[0]: "[x" is not the name of an alert`},
		{ch + "  routes: [{channels: c, severity: ''}]\n", "notify.routes[0].severity[0]: a severity has a name"},
		{ch + "  digest: {after: 0}\n", "5:12: notify.digest.after: want a number from 1 to 1000, got 0"},
		{ch + "  digest: {every: 0s}\n", "notify.digest.every: want a duration above zero"},
	} {
		_, err := parse(tc.text)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v\nwant %s", tc.text, err, tc.want)
			continue
		}
		asError(t, err)
	}
}

// Whoever writes a channel's URL where it does not belong does not find it on the
// screen, with the line that is shown.
func TestChannelURLIsNotShown(t *testing.T) {
	for _, line := range []string{
		"notify: {channels: {c: {url: 'discord://hunter2secret@1234'}}}",
		"notify: {channels: {c: {url_env: telegram://hunter2secret@telegram?chats=x}}}",
		"notify:\n  channels:\n    c:\n      url: \"ntfy://h/hunter2secret\"\n",
		"notify:\n  channels:\n    c:\n      'url' : generic+https://h/hunter2secret\n",
	} {
		_, err := parse(host + line)
		if err == nil || strings.Contains(err.Error(), "hunter2secret") || !strings.Contains(err.Error(), "notify.channels.c") {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func TestChannelURL(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "phone.url")
	if err := os.WriteFile(path, []byte("ntfy://h/topic\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := mustParse(t, host+"notify: {channels: {phone: {url_file: "+path+"}, chat: {url_env: LIFELINE_TEST_CHAT}}}\n")
	if got, err := cfg.ChannelURL("phone"); err != nil || got != "ntfy://h/topic" {
		t.Errorf("%s, %v", got, err)
	}
	t.Setenv("LIFELINE_TEST_CHAT", "")
	_, err := cfg.ChannelURL("chat")
	if e := asError(t, err); !strings.Contains(e.Error(), "notify.channels.chat.url_env: the environment variable LIFELINE_TEST_CHAT is not set") {
		t.Error(err)
	}
	t.Setenv("LIFELINE_TEST_CHAT", " discord://a@1 ")
	if got, err := cfg.ChannelURL("chat"); err != nil || got != "discord://a@1" {
		t.Errorf("%s, %v", got, err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = cfg.ChannelURL("phone")
	if e := asError(t, err); !strings.Contains(e.Hint, "chmod 600") || strings.Contains(err.Error(), "topic") {
		t.Error(err)
	}
	for name, want := range map[string]string{"phone": "notify.channels.phone.url_file: no", "chat": "notify.channels.chat.url_env: no"} {
		err := cfg.BadChannel(name, "no", "h")
		if e := asError(t, err); !strings.Contains(err.Error(), want) || e.Hint != "h" {
			t.Errorf("%v, want %s", err, want)
		}
	}
	if _, err := config.ParseClock("7"); err == nil || errors.Unwrap(err) != nil {
		t.Errorf("7 is a time of day: %v", err)
	}
}
