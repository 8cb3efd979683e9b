package notify

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/nicholas-fedor/shoutrrr/pkg/router"
	"github.com/nicholas-fedor/shoutrrr/pkg/services/chat/matrix"
	"github.com/nicholas-fedor/shoutrrr/pkg/types"

	"lifeline/internal/escape"
)

// Sender sends messages through shoutrrr: one URL for each channel.
type Sender struct {
	lines map[string]*outlet
	// under counts the sends that go on after their caller has left.
	under sync.WaitGroup
}

// outlet is one channel. free holds a value while no message is being sent:
// shoutrrr cannot be interrupted, and one that hangs must not become many.
type outlet struct {
	url  string
	free chan struct{}
	// service is made for the first message and kept, since some have connections
	// of their own, which would otherwise stay open; who holds free may use it.
	service types.Service
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
	s.under.Go(func() {
		defer func() {
			if p := recover(); p != nil { // not our code
				sent <- fmt.Errorf("the library for %s failed: %v", service(out.url), p)
			}
			out.free <- struct{}{}
		}()
		sent <- out.send(m)
	})
	select {
	case err := <-sent:
		return presentable(out.url, err)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Close waits for what is still being sent, until ctx ends.
func (s *Sender) Close(ctx context.Context) error {
	ended := make(chan struct{})
	go func() { s.under.Wait(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("a message is still being sent: %w", context.Cause(ctx))
	}
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

// send is one attempt.
func (o *outlet) send(m Message) error {
	name := service(o.url)
	if o.service == nil {
		found, err := locate(o.url)
		switch {
		case err != nil && name == "matrix":
			return errors.New("the Matrix server cannot be reached, or has refused the login")
		case err != nil:
			return Permanent{err}
		}
		o.service = found
	}
	title, text := dressed(name, m)
	params := types.Params{}
	if takesTitle(name, o.url) {
		params.SetTitle(title) // always: some services keep that of the last message
	} else {
		text = title + "\n\n" + text
	}
	err := o.service.Send(text, &params)
	if err != nil && name == "matrix" {
		o.service = nil // its login may be over
	}
	return err
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
