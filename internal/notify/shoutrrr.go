package notify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/push/ntfy"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"lifeline/internal/escape"
)

const abandonAfter = 15 * time.Minute

// Sender sends messages through shoutrrr: one URL for each channel.
type Sender struct {
	lines map[string]*outlet
}

// outlet is one channel. free holds a value while no message is being sent:
// shoutrrr cannot be interrupted, and one that hangs must not become many. One
// that hangs for abandonAfter is left to itself: not all of shoutrrr's services
// end by themselves, and the channel may work again.
type outlet struct {
	url  string
	free chan struct{}
}

// CheckURL says what is wrong with a channel's URL, without repeating it.
func CheckURL(raw string) error {
	scheme, _, found := strings.Cut(raw, "://")
	if !found || scheme == "" {
		return errors.New("want a shoutrrr URL, such as ntfy://ntfy.example.net/topic")
	}
	if service(raw) == "logger" { // it would be a success that nobody sees
		return errors.New("logger:// tells nobody anything: want a channel that people read")
	}
	if service(raw) == "matrix" { // making its service would log in
		u, err := url.Parse(raw)
		has := false
		if err == nil {
			_, has = u.User.Password()
			err = new(matrix.Config).SetURL(u)
		}
		if err != nil || !has {
			return errors.New("it is not a matrix URL as shoutrrr has them")
		}
		return nil
	}
	_, err := locate(raw)
	return err
}

// NewSender checks the URLs of all channels.
func NewSender(urls map[string]string) (*Sender, error) {
	s := &Sender{lines: map[string]*outlet{}}
	for name, raw := range urls {
		if err := CheckURL(raw); err != nil {
			return nil, fmt.Errorf("notify: the channel %s: %w", name, err)
		}
		s.lines[name] = &outlet{url: raw, free: make(chan struct{}, 1)}
		s.lines[name].free <- struct{}{}
	}
	return s, nil
}

// Send is Config.Send. Its errors have no part of the URL in them. At the end of
// ctx it returns; what was begun ends by itself, and until then nothing else is
// sent to the channel.
func (s *Sender) Send(ctx context.Context, channel string, m Message) error {
	out, ok := s.lines[channel]
	if !ok {
		return Permanent{fmt.Errorf("there is no channel %q", channel)}
	}
	select {
	case <-out.free:
	case <-ctx.Done():
		return fmt.Errorf("an earlier message is still being sent: %w", context.Cause(ctx))
	}
	sent := make(chan error, 1)
	release := sync.OnceFunc(func() { out.free <- struct{}{} })
	abandon := time.AfterFunc(abandonAfter, release)
	go func() { // who waits for it: whoever takes out.free next, and Close
		defer func() {
			if p := recover(); p != nil { // not our code
				sent <- fmt.Errorf("the library for %s failed: %v", service(out.url), p)
			}
			abandon.Stop()
			release()
		}()
		sent <- send(out.url, m)
	}()
	select {
	case err := <-sent:
		return presentable(out.url, err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close waits for what is still being sent, until ctx ends. Nobody may begin to
// send meanwhile.
func (s *Sender) Close(ctx context.Context) error {
	for name, out := range s.lines {
		select {
		case <-out.free:
			out.free <- struct{}{}
		case <-ctx.Done():
			return fmt.Errorf("a message to %s is still being sent: %w", name, context.Cause(ctx))
		}
	}
	return nil
}

// locate makes the service of a URL.
func locate(raw string) (types.Service, error) {
	found, err := new(router.ServiceRouter).Locate(raw)
	switch {
	case errors.Is(err, router.ErrUnknownService):
		return nil, fmt.Errorf("shoutrrr knows no service %s://", escape.Line(service(raw)))
	case err != nil: // its text repeats the URL
		return nil, fmt.Errorf("it is not a %s URL as shoutrrr has them", escape.Line(service(raw)))
	}
	return found, nil
}

// service is the first part of a URL's scheme: generic of generic+https.
func service(raw string) string {
	scheme, _, _ := strings.Cut(raw, ":")
	name, _, _ := strings.Cut(scheme, "+")
	return strings.ToLower(name)
}

// send is one attempt. It makes the service anew, since some of them keep parts of
// their last message, and closes the connections that a service has for itself.
func send(raw string, m Message) error {
	name := service(raw)
	found, err := locate(raw)
	switch {
	case err != nil && name == "matrix":
		return errors.New("the Matrix server cannot be reached, or has refused the login")
	case err != nil:
		return Permanent{err}
	}
	if s, ok := found.(*ntfy.Service); ok { // which does not let go of its own
		own := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12, InsecureSkipVerify: s.Config.DisableTLSVerification}} // as the owner's URL says
		defer own.CloseIdleConnections()
		s.SetHTTPClient(&http.Client{Timeout: sendTimeout, Transport: own})
	}
	if s, ok := found.(interface{ GetHTTPClient() *http.Client }); ok {
		defer func() {
			if c := s.GetHTTPClient(); c != nil && c.Transport != nil { // not the one that all share
				c.CloseIdleConnections()
			}
		}()
	}
	title, text := dressed(name, m)
	params := types.Params{}
	if takesTitle(name, raw) {
		params.SetTitle(title)
	} else {
		text = title + "\n\n" + text
	}
	return found.Send(text, &params)
}

// takesTitle reports whether a service shows a title; to the others it is the
// first line of the text.
func takesTitle(name, raw string) bool {
	switch name {
	case "bark", "discord", "gotify", "ifttt", "join", "lark", "matrix", "ntfy", "opsgenie", "pushbullet", "pushover", "slack", "smtp", "teams", "telegram":
		return true
	case "generic": // only its JSON has a place for it
		u, err := url.Parse(raw)
		return err == nil && strings.EqualFold(u.Query().Get("template"), "json")
	}
	return false
}
