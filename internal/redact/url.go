package redact

import "strings"

// longestURL bounds, in bytes, how much of a URL is looked at.
const longestURL = 1 << 10

// url finds the secrets of a URL; i is its colon.
func (s *scan) url(i int) {
	text := s.text
	switch {
	case strings.HasPrefix(text[i:], "://"):
	case i > 0 && isName(text[i-1]):
		s.driverAddress(i)
		return
	default:
		return
	}
	begin := i + 3
	whole := text[begin:s.plainEnd(begin, longestURL)]
	authority := whole
	if cut := strings.IndexAny(whole, "/?#"); cut >= 0 {
		authority = whole[:cut]
	}
	at := strings.LastIndexByte(authority, '@')
	if at < 0 && notPort(authority) { // a password with / or ? in it, as it should not be written
		at = strings.LastIndexByte(whole, '@')
	}
	if at >= 0 {
		user, _, has := strings.Cut(whole[:at], ":")
		switch {
		case has && at > len(user)+1:
			if !isPlaceholder(whole[len(user)+1 : at]) {
				s.add("url-password", begin+len(user)+1, begin+at)
			}
		case len(user) >= 20 && looksRandom(user): // https://TOKEN@github.com
			s.add("url-password", begin, begin+at)
		}
	}
	s.hook(whole[at+1:], begin+at+1)
}

// notPort reports that what stands behind the host's colon is no port.
func notPort(authority string) bool {
	_, port, has := strings.Cut(authority, ":")
	return has && !strings.HasPrefix(authority, "[") && port != "" && strings.IndexFunc(port, func(r rune) bool { return r < '0' || r > '9' }) >= 0
}

// driverAddress finds user:password@tcp(host) of Go's MySQL driver.
func (s *scan) driverAddress(i int) {
	end := i + 1
	for end < len(s.text) && !ends(s.text[end]) && end-i < 256 {
		if rest := s.text[end:]; strings.HasPrefix(rest, "@tcp(") || strings.HasPrefix(rest, "@unix(") {
			s.add("url-password", i+1, end)
			return
		}
		end++
	}
}

// hooks are addresses of chats and the like that let in whoever knows them.
var hooks = [...]struct {
	host, path string
	keep       int // parts of the path behind this one that are no secret
}{
	{"hooks.slack.com", "/services/", 0}, {"hooks.slack.com", "/workflows/", 0}, {"hooks.slack.com", "/triggers/", 0},
	{"discord.com", "/api/webhooks/", 1}, {"discordapp.com", "/api/webhooks/", 1}, {"api.telegram.org", "/bot", 0},
	{"hooks.zapier.com", "/hooks/", 0}, {"maker.ifttt.com", "/trigger/", 0}, {"chat.googleapis.com", "/v1/spaces/", 1},
	{"outlook.office.com", "/webhook/", 0}, {"webhook.office.com", "/webhookb2/", 0}, {"hc-ping.com", "/", 0},
}

// hook finds the secret of a hook's address; rest is the URL from its host on,
// which stands at i.
func (s *scan) hook(rest string, i int) {
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		return
	}
	host, path := rest[:slash], rest[slash:]
	for _, h := range hooks {
		if !strings.HasSuffix(host, h.host) || !strings.HasPrefix(path, h.path) {
			continue
		}
		start := len(h.path)
		for range h.keep {
			cut := strings.IndexByte(path[start:], '/')
			if cut < 0 {
				return
			}
			start += cut + 1
		}
		i += slash
		s.add("webhook-url", i+start, i+len(strings.TrimRight(path, ",;.)]}")))
		return
	}
}
