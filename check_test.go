package lifeline

import (
	"strings"
	"testing"
	"time"
)

func TestCheckFault(t *testing.T) {
	for name, tc := range map[string]struct {
		check       Check
		field, text string
	}{
		"nothing":          {Check{}, "", "want exactly one"},
		"two":              {Check{Command: "true", TCP: "a:1"}, "", "got 2"},
		"command":          {Check{Command: "true", Expect: "o+"}, "", ""},
		"url":              {Check{HTTP: "https://[fe80::1]:8443/a?b=c", Status: 204}, "http", ""},
		"no scheme":        {Check{HTTP: "nexus:80/health"}, "http", "want a URL"},
		"a file":           {Check{HTTP: "file:///etc/passwd"}, "http", "want a URL"},
		"password":         {Check{HTTP: "http://ann:hunter22@nexus/"}, "http", "sends no account"},
		"no host":          {Check{HTTP: "http://:80/"}, "http", "want a URL"},
		"status of tcp":    {Check{TCP: "a:1", Status: 200}, "status", "only http"},
		"status":           {Check{HTTP: "http://a", Status: 42}, "status", "from 100 to 599"},
		"tcp":              {Check{TCP: "[::1]:5432"}, "tcp", ""},
		"no port":          {Check{TCP: "nexus"}, "tcp", "want host:port"},
		"port":             {Check{TCP: "nexus:http"}, "tcp", "want host:port"},
		"expression":       {Check{TCP: "a:1", Expect: "("}, "expect", "missing closing )"},
		"expect of query":  {Check{Prometheus: "up", Expect: "1"}, "expect", "in the query itself"},
		"timeout":          {Check{Command: "true", Timeout: time.Hour}, "timeout", "at most 1m"},
		"negative timeout": {Check{Command: "true", Timeout: -1}, "timeout", "at most 1m"},
	} {
		field, text := tc.check.Fault()
		if text == "" != (tc.text == "") || !strings.Contains(text, tc.text) || tc.text != "" && field != tc.field {
			t.Errorf("%s: %q %q, want %q …%s…", name, field, text, tc.field, tc.text)
		}
		if strings.Contains(text, "hunter22") {
			t.Errorf("%s: the text has the password: %s", name, text)
		}
	}
}
