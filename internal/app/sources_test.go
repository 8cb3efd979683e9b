package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"

	"lifeline"
	"lifeline/internal/config"
	"lifeline/internal/intake"
)

const (
	docToken    = "token-of-the-doc"
	docPassword = "password-of-the-doc"
)

// blocks are the code blocks of docs/sources.md in one language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "sources.md"))
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(string(doc), -1) {
		list = append(list, m[1])
	}
	if len(list) == 0 {
		t.Fatalf("docs/sources.md has no block in %s", language)
	}
	return list
}

// documented are the mappings of docs/sources.md, as lifeline.yaml would have
// them.
func documented(t *testing.T) map[string]intake.Mapping {
	t.Helper()
	all := map[string]intake.Mapping{}
	for _, text := range blocks(t, "yaml") {
		if !regexp.MustCompile(`(?m)^(webhook|targets):`).MatchString(text) {
			continue // of another program
		}
		cfg, err := config.Parse("lifeline.yaml", []byte("hosts: {nexus: {local: true}}\n"+text))
		if err == nil {
			err = cfg.Validate()
		}
		if err != nil {
			t.Errorf("a block of docs/sources.md: %v", err)
			continue
		}
		maps.Copy(all, mappings(cfg))
	}
	return all
}

// keeper is a receiver that keeps what it gets.
type keeper struct{ got []lifeline.Alert }

func (k *keeper) Receive(_ context.Context, alerts []lifeline.Alert) ([]lifeline.Receipt, error) {
	k.got = append(k.got, alerts...)
	return make([]lifeline.Receipt, len(alerts)), nil
}

func documentedHandler(t *testing.T) (*keeper, http.Handler) {
	t.Helper()
	k := &keeper{}
	h, err := intake.Handler(intake.Config{Receiver: k, Generic: documented(t), Logger: slog.New(slog.DiscardHandler),
		Auth: intake.Auth{Username: "alertmanager", Password: docPassword, Token: docToken}})
	if err != nil {
		t.Fatal(err)
	}
	return k, h
}

// Each mapping of the documentation reads a message of its sender's shape.
func TestDocumentedMappings(t *testing.T) {
	type want = lifeline.Alert
	for _, tc := range []struct {
		sender, body string
		want         []want
	}{
		{"checkmk", `{"id": "7", "host": "atlas", "address": "10.1.1.1", "service": "Filesystem /srv", "what": "SERVICE", "status": "CRIT",
			"notification_type": "PROBLEM", "severity": "CRITICAL", "output": "97.1% used", "long_output": "line 1\nline 2"}`,
			[]want{{Status: "firing", Name: "Checkmk SERVICE Filesystem /srv",
				Labels:      map[string]string{"host": "atlas", "address": "10.1.1.1", "service": "Filesystem /srv", "severity": "CRITICAL"},
				Annotations: map[string]string{"summary": "atlas Filesystem /srv: 97.1% used", "description": "line 1\nline 2"}}}},
		{"checkmk", `{"host": "atlas", "what": "HOST", "notification_type": "RECOVERY", "severity": "OK", "output": "up"}`,
			[]want{{Status: "resolved", Name: "Checkmk HOST", Labels: map[string]string{"host": "atlas", "severity": "OK"},
				Annotations: map[string]string{"summary": "atlas : up"}}}},
		{"checkmk", `{"host": "atlas", "what": "HOST", "notification_type": "ACKNOWLEDGEMENT"}`, nil},
		{"zabbix", `{"name": "No free space", "value": "1", "severity": "High", "message": "it is full", "event_id": "4711", "host": "atlas", "ip": "10.1.1.1"}`,
			[]want{{Status: "firing", Name: "No free space", Fingerprint: "4711", Labels: map[string]string{"host": "atlas", "address": "10.1.1.1", "severity": "High"},
				Annotations: map[string]string{"summary": "it is full"}}}},
		{"zabbix", `{"name": "No free space", "value": "0", "severity": "High", "event_id": "4711", "host": "atlas"}`,
			[]want{{Status: "resolved", Name: "No free space", Fingerprint: "4711", Labels: map[string]string{"host": "atlas", "severity": "High"}}}},
		{"librenms", `{"title": "atlas is down", "hostname": "10.1.1.1", "sysName": "atlas", "device_id": "2", "rule_id": "13", "name": "Device down", "state": "1",
			"severity": "critical", "msg": "no answer", "rule": "{\"rules\":[{\"id\":\"macros.down\"},{\"id\":\"macros.up\"}]}", "uid": "900"}`,
			[]want{{Status: "firing", Name: "Device down", Fingerprint: "2-13", Labels: map[string]string{"host": "10.1.1.1", "sysname": "atlas", "severity": "critical"},
				Annotations: map[string]string{"summary": "atlas is down", "description": "no answer", "condition": "macros.down, macros.up"}}}},
		{"librenms", `{"title": "atlas is back", "hostname": "10.1.1.1", "device_id": 2, "rule_id": 13, "name": "Device down", "state": 0, "severity": "ok", "rule": "macros.device = 1"}`,
			[]want{{Status: "resolved", Name: "Device down", Fingerprint: "2-13", Labels: map[string]string{"host": "10.1.1.1", "severity": "ok"},
				Annotations: map[string]string{"summary": "atlas is back"}}}},
		{"librenms", `{"title": "Testing", "hostname": "x", "device_id": 1, "rule_id": "000", "name": "Test-Rule", "state": 1, "severity": "critical"}`,
			[]want{{Status: "firing", Name: "Test-Rule", Test: true, Fingerprint: "1-000", Labels: map[string]string{"host": "x", "severity": "critical"},
				Annotations: map[string]string{"summary": "Testing"}}}},
		{"wazuh", `{"rule": {"level": 10, "description": "Many failed logins", "id": "5712"}, "agent": {"id": "003", "name": "atlas"}, "full_log": "sshd: \u001b[31mfailed"}`,
			[]want{{Status: "firing", Name: "Many failed logins", Once: true, Labels: map[string]string{"host": "atlas", "rule": "5712", "severity": "10"},
				Annotations: map[string]string{"summary": "Many failed logins", "description": "sshd: \x1b[31mfailed"}}}},
		{"wazuh", `{"message": "A package was installed", "severity": "info", "description": "Rule ID 1"}`,
			[]want{{Status: "firing", Name: "A package was installed", Once: true, Labels: map[string]string{"severity": "info"},
				Annotations: map[string]string{"summary": "A package was installed", "description": "Rule ID 1"}}}},
		{"graylog", `{"event_definition_title": "Errors of the shop", "event_definition_id": "66aa", "event": {"message": "Errors: 12", "priority": 3, "source": "graylog",
			"fields": {"host": "atlas"}, "replay_info": {"query": "level:3"}}, "backlog": [{"message": "one"}, {"message": "two"}]}`,
			[]want{{Status: "firing", Name: "Errors of the shop", Once: true, Labels: map[string]string{"host": "atlas", "definition": "66aa", "severity": "3"},
				Annotations: map[string]string{"summary": "Errors: 12", "description": "one, two", "query": "level:3"}}}},
		{"graylog", `{"event_definition_title": "Test", "event_definition_id": "NotificationTestId", "event": {"message": "try", "priority": 2, "fields": {}}, "backlog": []}`,
			[]want{{Status: "firing", Name: "Test", Once: true, Test: true, Labels: map[string]string{"definition": "NotificationTestId", "severity": "2"},
				Annotations: map[string]string{"summary": "try"}}}},
		{"cloudwatch", `{"Type": "Notification", "Message": "{\"AlarmName\": \"CPU\", \"NewStateValue\": \"ALARM\", \"NewStateReason\": \"over 90\", \"Trigger\": {\"MetricName\": \"CPUUtilization\", \"Dimensions\": [{\"name\": \"Zone\", \"value\": \"a\"}, {\"name\": \"InstanceId\", \"value\": \"i-1\"}]}}"}`,
			[]want{{Status: "firing", Name: "CPU", Labels: map[string]string{"host": "i-1"}, Annotations: map[string]string{"summary": "over 90", "metric": "CPUUtilization"}}}},
		{"cloudwatch", `{"Message": {"AlarmName": "CPU", "AlarmDescription": "is high"}}`,
			[]want{{Status: "firing", Name: "CPU", Labels: map[string]string{}, Annotations: map[string]string{"summary": "is high"}}}},
		{"datadog", `{"title": "CPU is high", "transition": "Re-Triggered", "priority": "P3", "message": "over 90", "cycle": "9", "link": "https://dd.example.net/1", "host": "atlas", "tags": "a:b"}`,
			[]want{{Status: "firing", Name: "CPU is high", Fingerprint: "9", GeneratorURL: "https://dd.example.net/1", Labels: map[string]string{"host": "atlas", "severity": "P3"},
				Annotations: map[string]string{"summary": "over 90", "tags": "a:b"}}}},
		{"example", `{"check": {"title": "Full", "id": 5}, "state": "WORSE", "level": 2, "output": "93 %", "source": {"host": "atlas"}, "tags": [{"key": "x", "value": "y"}, {"key": "mount", "value": "/srv"}]}`,
			[]want{{Status: "firing", Name: "Full", Fingerprint: "5", Labels: map[string]string{"host": "atlas", "mountpoint": "/srv", "severity": "2", "team": "blue"},
				Annotations: map[string]string{"summary": "Full: 93 %"}}}},
	} {
		t.Run(tc.sender, func(t *testing.T) {
			k, h := documentedHandler(t)
			r := httptest.NewRequest("POST", "/webhook/generic/"+tc.sender, strings.NewReader(tc.body))
			r.Header.Set("Authorization", "Bearer "+docToken)
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != 200 {
				t.Fatalf("status %d: %s", w.Code, w.Body)
			}
			for i := range tc.want {
				a := &tc.want[i]
				a.Source, a.Labels["alertname"] = "generic:"+tc.sender, a.Name
				if a.Annotations == nil {
					a.Annotations = map[string]string{}
				}
				if a.Fingerprint == "" {
					labels := maps.Clone(a.Labels)
					delete(labels, "severity")
					a.Fingerprint = lifeline.LabelFingerprint(labels)
				}
			}
			if diff := cmp.Diff(tc.want, k.got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// Every mapping of the documentation has a message above.
func TestEveryDocumentedMappingIsTried(t *testing.T) {
	source, err := os.ReadFile("sources_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for name := range documented(t) {
		if !bytes.Contains(source, []byte(`{"`+name+`", `)) {
			t.Errorf("no message of %s is tried", name)
		}
	}
}

// Every curl command of the documentation is taken.
func TestDocumentedCommands(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"webhook.token": docToken + "\n", "webhook.password": docPassword + "\n",
		"message.json": `{"check": {"title": "Full"}, "state": "bad"}`,
		"alert.json":   `{"rule": {"description": "Many failed logins"}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	k, h := documentedHandler(t)
	commands := 0
	run := func(next interp.ExecHandlerFunc) interp.ExecHandlerFunc {
		return func(ctx context.Context, args []string) error {
			hc := interp.HandlerCtx(ctx)
			switch args[0] {
			case "cat":
				data, err := os.ReadFile(filepath.Join(dir, args[1]))
				fmt.Fprint(hc.Stdout, string(data))
				return err
			case "curl":
				commands++
				before := len(k.got)
				r, err := curl(dir, args[1:])
				if err != nil {
					return fmt.Errorf("%q: %w", args, err)
				}
				w := httptest.NewRecorder()
				if h.ServeHTTP(w, r); w.Code != 200 || len(k.got) != before+1 {
					t.Errorf("%q: status %d, %d alerts: %s", args, w.Code, len(k.got)-before, w.Body)
				}
				return nil
			}
			return fmt.Errorf("no program %s in this test", args[0])
		}
	}
	env := expand.ListEnviron("NOTIFY_WHAT=HOST", "NOTIFY_NOTIFICATIONTYPE=PROBLEM", "NOTIFY_HOSTNAME=atlas", "NOTIFY_HOSTADDRESS=10.1.1.1",
		"NOTIFY_SERVICEDESC=", "NOTIFY_HOSTSTATE=DOWN", "NOTIFY_HOSTOUTPUT=no answer & nothing else")
	for _, block := range blocks(t, "sh") {
		file, err := syntax.NewParser().Parse(strings.NewReader(block), "")
		if err != nil {
			t.Fatalf("%v in:\n%s", err, block)
		}
		runner, err := interp.New(interp.Env(env), interp.ExecHandlers(run), interp.Params("alert.json", docToken, "http://lifeline.example:8674/webhook/generic/wazuh"))
		if err != nil {
			t.Fatal(err)
		}
		if err := runner.Run(t.Context(), file); err != nil {
			t.Errorf("%v in:\n%s", err, block)
		}
	}
	if commands < 12 {
		t.Errorf("only %d commands were found", commands)
	}
	var names []string
	for _, a := range k.got {
		names = append(names, fmt.Sprintf("%s %s %s", a.Source, a.Name, a.Status))
		if test := strings.Contains(a.Name, "Test") || a.Name == "TryMe"; a.Test != test {
			t.Errorf("%s is a test: %v", a.Name, a.Test)
		}
	}
	for _, name := range []string{"uptime-kuma MonitorDown firing", "uptime-kuma MonitorDown resolved", "generic BackupFailed firing", "generic BackupFailed resolved",
		"generic:checkmk Checkmk HOST firing", "generic:wazuh Many failed logins firing"} {
		if !slices.Contains(names, name) {
			t.Errorf("%s is not among %q", name, names)
		}
	}
}

// curl makes the request that curl would send for the arguments. It knows those
// that the documentation uses.
func curl(dir string, args []string) (*http.Request, error) {
	var (
		address, contentType, user string
		header                     = http.Header{}
		data                       []string
		form                       *multipart.Writer
		body                       bytes.Buffer
		get                        bool
	)
	read := func(value string) (string, error) {
		name, isFile := strings.CutPrefix(value, "@")
		if !isFile {
			return value, nil
		}
		content, err := os.ReadFile(filepath.Join(dir, name))
		return string(content), err
	}
	for i := 0; i < len(args); i++ {
		if !strings.HasPrefix(args[i], "-") {
			address = args[i]
			continue
		}
		if args[i] == "-fsS" || args[i] == "-G" {
			get = get || args[i] == "-G"
			continue
		}
		if i++; i == len(args) {
			return nil, fmt.Errorf("%s has no value", args[i-1])
		}
		value, err := args[i], error(nil)
		switch args[i-1] {
		case "-H":
			name, text, _ := strings.Cut(value, ":")
			header.Set(name, strings.TrimSpace(text))
		case "-u":
			user = value
		case "-d":
			contentType = "application/x-www-form-urlencoded"
			data = append(data, value)
		case "--data-urlencode":
			contentType = "application/x-www-form-urlencoded"
			name, text, _ := strings.Cut(value, "=")
			data = append(data, name+"="+url.QueryEscape(text))
		case "--data-binary":
			contentType = "application/x-www-form-urlencoded"
			value, err = read(value)
			data = append(data, value)
		case "--json":
			contentType = "application/json"
			value, err = read(value)
			data = append(data, value)
		case "-F":
			if form == nil {
				form = multipart.NewWriter(&body)
			}
			name, text, _ := strings.Cut(value, "=")
			err = form.WriteField(name, text)
			contentType = form.FormDataContentType()
		default:
			return nil, fmt.Errorf("the test does not know %s", args[i-1])
		}
		if err != nil {
			return nil, err
		}
	}
	if form != nil {
		form.Close()
	} else if !get {
		body.WriteString(strings.Join(data, "&"))
	}
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("the address %q", address)
	}
	var r *http.Request
	if get {
		r = httptest.NewRequest("GET", u.Path+"?"+strings.Join(data, "&"), http.NoBody)
	} else {
		r = httptest.NewRequest("POST", u.Path, io.Reader(&body))
		r.Header.Set("Content-Type", contentType)
	}
	maps.Copy(r.Header, header)
	r.Header.Set("User-Agent", "curl/8.14.1")
	if name, password, ok := strings.Cut(user, ":"); ok {
		r.SetBasicAuth(name, password)
	}
	return r, nil
}
