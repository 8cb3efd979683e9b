package lifeline

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// CheckTimeout bounds a Check that names no timeout of its own.
const CheckTimeout = 10 * time.Second

// String names the check for a person: "HTTP http://nexus/health".
func (c Check) String() string {
	switch {
	case c.Command != "":
		return "`" + c.Command + "`"
	case c.HTTP != "":
		return "HTTP " + c.HTTP
	case c.TCP != "":
		return "TCP " + c.TCP
	case c.Prometheus != "":
		return "Prometheus " + c.Prometheus
	}
	return "a check of nothing"
}

// Fault says which field of a check is wrong, by its name in files, and why; ""
// and "" if none is. A field "" means the check as a whole.
func (c Check) Fault() (field, text string) {
	set := 0
	for _, s := range []string{c.Command, c.HTTP, c.TCP, c.Prometheus} {
		if s != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return "", fmt.Sprintf("want exactly one of command, http, tcp and prometheus, got %d", set)
	case c.Status != 0 && c.HTTP == "":
		return "status", "only http has a status"
	case c.Status != 0 && (c.Status < 100 || c.Status > 599):
		return "status", fmt.Sprintf("want an HTTP status from 100 to 599, got %d", c.Status)
	case c.Expect != "" && c.Prometheus != "":
		return "expect", "a Prometheus query gives numbers, not text: compare in the query itself"
	case c.Timeout < 0 || c.Timeout > time.Minute:
		return "timeout", "want at most 1m"
	}
	if _, err := regexp.Compile(c.Expect); err != nil {
		return "expect", err.Error()
	}
	if text := badURL(c.HTTP); c.HTTP != "" && text != "" {
		return "http", text
	}
	if text := badHostPort(c.TCP); c.TCP != "" && text != "" {
		return "tcp", text
	}
	return "", ""
}

// badURL says why a text is not the address of something that answers HTTP.
func badURL(raw string) string {
	u, err := url.Parse(raw)
	switch {
	case err != nil: // what cannot be parsed may have a password in it
		return "want a URL such as http://nexus:8080/health"
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return fmt.Sprintf("want a URL such as http://nexus:8080/health, got %q", u.Redacted())
	case u.User != nil:
		return "a check sends no account: leave out what stands before the @"
	}
	return ""
}

func badHostPort(address string) string {
	host, port, err := net.SplitHostPort(address)
	if n, perr := strconv.Atoi(port); err != nil || host == "" || strings.ContainsAny(host, " /@") || perr != nil || n < 1 || n > 65535 {
		return fmt.Sprintf("want host:port, such as nexus:5432, got %q", address)
	}
	return ""
}
