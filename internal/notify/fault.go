package notify

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"

	"github.com/nicholas-fedor/shoutrrr/pkg/util/jsonclient"

	"lifeline/internal/escape"
)

// presentable is an error of shoutrrr as it may be shown and stored, and told
// apart: Permanent if the service has refused what will not be different next
// time.
func presentable(raw string, err error) error {
	if err == nil {
		return nil
	}
	text := withoutURLs(err.Error())
	for _, secret := range Secrets(raw) {
		text = strings.ReplaceAll(text, secret, "…")
	}
	clean := errors.New(escape.Line(strings.TrimSpace(text)))
	if _, never := errors.AsType[Permanent](err); never || permanent(status(err)) || refused(text) {
		return Permanent{clean}
	}
	return clean
}

// withoutURLs leaves of each URL in a text the scheme and the host.
func withoutURLs(text string) string {
	return regexp.MustCompile(`([a-z][a-z0-9+.-]*://)(?:[^\s/"'@]*@)?([^\s/"'?#@]*)[^\s"']*`).ReplaceAllString(text, "${1}${2}/…")
}

// status finds the status of an HTTP answer in an error; 0: there is none.
// shoutrrr gives it as a value for some services and in words for the others.
func status(err error) int {
	if e, ok := errors.AsType[jsonclient.Error](err); ok && e.StatusCode >= 400 {
		return e.StatusCode
	}
	text := regexp.MustCompile(`\S+://\S+`).ReplaceAllString(err.Error(), "") // a port is no status
	for _, form := range []string{
		`(?i)\b(?:status(?: code)?|HTTP)\b[^0-9]{0,24}([45][0-9]{2})\b`,
		`(?i)server response: .*\(([45][0-9]{2})[0-9]{2}\)`, // ntfy's own numbers
		`\b([45][0-9]{2}) [A-Z][A-Za-z ]+$`,
	} {
		if m := regexp.MustCompile(form).FindStringSubmatch(text); m != nil {
			code, _ := strconv.Atoi(m[1])
			return code
		}
	}
	return 0
}

// permanent reports whether a status says that the same message will not be taken
// later either. What is not listed is tried again.
func permanent(code int) bool {
	switch code {
	case 400, 401, 403, 404, 405, 410, 413, 415, 422:
		return true
	}
	return false
}

// refused reports whether Telegram or Slack say in their own words, which come
// without a status, that the account or the room is not there.
func refused(text string) bool {
	for _, words := range []string{"Unauthorized", "chat not found", "invalid_auth", "invalid_token", "token_revoked", "account_inactive", "no_service", "channel_not_found"} {
		if strings.HasSuffix(text, words) {
			return true
		}
	}
	return false
}

// Secrets are the parts of a channel's URL that must not be seen anywhere: the
// URL itself, its password, and what looks like a token in the account, the path
// and the parameters. Ordinary words, such as the name of a topic, are not among
// them: taking those out of everything would hide what people need to read.
func Secrets(raw string) []string {
	all := []string{raw}
	u, err := url.Parse(raw)
	if err != nil {
		return all
	}
	if u.User != nil {
		password, has := u.User.Password()
		if has && password != "" {
			all = append(all, password, u.User.Username()+":"+password)
		}
		if name := u.User.Username(); !has && name != "" || tokenLike(name) {
			all = append(all, name)
		}
	}
	words := strings.Split(u.Path, "/")
	for _, values := range u.Query() {
		for _, v := range values {
			words = append(words, strings.Fields(v)...)
		}
	}
	for _, w := range append(words, u.Hostname(), u.Opaque, u.Fragment) {
		if tokenLike(w) {
			all = append(all, w)
		}
	}
	return all
}

// tokenLike reports whether a word is made like a token: long, of letters and
// digits, and neither an address nor a number.
func tokenLike(w string) bool {
	if len(w) < 12 || strings.ContainsAny(w, "@,. ") {
		return false
	}
	digit := strings.ContainsFunc(w, unicode.IsDigit)
	return strings.ContainsFunc(w, unicode.IsLetter) && (digit || len(w) >= 24)
}
