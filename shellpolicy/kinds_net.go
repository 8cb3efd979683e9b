package shellpolicy

import (
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// hostName is a name or address as people write it. Numbers in other bases,
// which some resolvers take for addresses, do not fit.
var hostName = regexp.MustCompile(`\A(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?\z`)

var allDigits = regexp.MustCompile(`\A(?:0[xX][0-9a-fA-F]*|[0-9]+)(?:\.(?:0[xX][0-9a-fA-F]*|[0-9]+))*\.?\z`)

// metadata are the addresses under which clouds give out credentials.
var metadata = regexp.MustCompile(`(?i)\A(?:169\.254\.|100\.100\.100\.200\z|192\.0\.0\.192\z|metadata(?:\.|\z)|fd00:ec2:|instance-data)`)

// host checks a host that the program contacts. Another machine than this one
// is the mark egress: a name can carry data out.
func (c *call) host(a arg, contacts bool) string {
	if a.shape != exact {
		return "which host it contacts is known only when it runs: write the host out"
	}
	h := strings.Trim(a.text, "[]")
	if metadata.MatchString(h) {
		return fmt.Sprintf("%q gives out credentials of the machine", clip(a.text))
	}
	if addr, err := netip.ParseAddr(h); err == nil {
		if addr.IsLinkLocalUnicast() {
			return fmt.Sprintf("%q may give out credentials of the machine", clip(a.text))
		}
	} else if !hostName.MatchString(h) || allDigits.MatchString(h) {
		return fmt.Sprintf("%q is no plain host name or address", clip(a.text))
	}
	if loopback(h) {
		return ""
	}
	if carriesData(h) {
		return fmt.Sprintf("%q looks as if it carried data: a name like that is not looked up", clip(a.text))
	}
	if contacts {
		c.effects[string(Egress)] = true
	}
	return ""
}

var (
	longHex   = regexp.MustCompile(`(?i)[0-9a-f]{10,}`)
	oneLetter = regexp.MustCompile(`[a-zA-Z]`)
	oneDigit  = regexp.MustCompile(`[0-9]`)
)

// carriesData guesses whether a part of a name is encoded data. It can only
// refuse, so a wrong guess costs a name and no secret.
func carriesData(s string) bool {
	for label := range strings.FieldsFuncSeq(s, func(r rune) bool { return strings.ContainsRune("./?&=:@ ", r) }) {
		switch {
		case len(label) > 40:
			return true
		case oneDigit.MatchString(label) && longHex.MatchString(label):
			return true
		case len(label) >= 20 && len(oneDigit.FindAllString(label, -1)) >= 4 && oneLetter.MatchString(label) && !strings.Contains(label, "-"):
			return true
		}
	}
	return false
}

// hostPort is host:port.
func hostPort(c *call, a arg) string {
	if a.shape != exact {
		return c.host(a, true)
	}
	i := strings.LastIndexByte(a.text, ':')
	if i < 0 || !number.MatchString(a.text[i+1:]) {
		return fmt.Sprintf("%q is no host:port", clip(a.text))
	}
	return c.host(lit(a.text[:i]), true)
}

// openDoors are ports behind which a plain request shows or does everything:
// docker, etcd, the kubelet.
var openDoors = regexp.MustCompile(`\A(?:2375|2376|2379|2380|10250|10255)\z`)

var literalIPv6 = regexp.MustCompile(`\A((?:https?://)?)\[[0-9a-fA-F:.]+\]`)

// webAddress is what curl and wget fetch: http or https, plain.
func webAddress(c *call, a arg) string {
	if a.shape != exact {
		return "which address it fetches is known only when it runs: write the address out"
	}
	text := a.text
	if strings.ContainsAny(literalIPv6.ReplaceAllString(text, "${1}"), "{}[]\\ ") {
		return fmt.Sprintf("%q is a pattern of several addresses: write one", clip(text))
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return fmt.Sprintf("%q is no address", clip(a.text))
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Sprintf("%q: only http and https are fetched", clip(a.text))
	case u.User != nil:
		return "a password in an address is not sent"
	case openDoors.MatchString(u.Port()):
		return fmt.Sprintf("port %s gives whoever asks everything: use the program that belongs to it", u.Port())
	}
	if why := c.host(lit(u.Hostname()), true); why != "" {
		return why
	}
	if !loopback(u.Hostname()) && (carriesData(u.EscapedPath()) || carriesData(u.RawQuery)) {
		return fmt.Sprintf("%q looks as if it carried data to another host", clip(a.text))
	}
	return ""
}

var plainHeader = regexp.MustCompile(`(?i)\A(?:accept|accept-encoding|accept-language|host|user-agent|cache-control|connection|content-type|x-forwarded-proto|x-forwarded-for|range|pragma):[ ]?[A-Za-z0-9 ./*;,=+:()_-]{0,120}\z`)

// header is one of the request headers that say nothing secret.
func header(c *call, a arg) string {
	if a.shape != exact || !plainHeader.MatchString(a.text) || carriesData(a.text) {
		return fmt.Sprintf("the header %q is none of those that may be sent", clip(a.show()))
	}
	return ""
}

// curlFormat is curl's --write-out: %output{…} would write a file, and a text
// that begins with @ is a file.
func curlFormat(_ *call, a arg) string {
	if a.shape != exact || strings.HasPrefix(a.text, "@") || strings.Contains(strings.ToLower(a.text), "%output") {
		return fmt.Sprintf("the format %q could read or write a file", clip(a.show()))
	}
	return ""
}
