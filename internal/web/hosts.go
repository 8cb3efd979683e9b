package web

import (
	"net/http"
	"net/url"
	"time"

	"lifeline"
)

// hostsPage is what hosts.html shows.
type hostsPage struct {
	page
	Hosts []hostView
}

// hostPage is what host.html shows.
type hostPage struct {
	page
	Host   hostView
	Recent []commandView
	Charts []chart
	// Rows are the charts as text, newest first.
	Rows []sampleRow
}

// hostView is a host for people.
type hostView struct {
	lifeline.HostView
	now time.Time
}

func (h hostView) Path() string { return hostPath(h.Name) }

func hostPath(name string) string { return "/hosts/" + url.PathEscape(name) }

// Tone colours Words.
func (h hostView) Tone() string {
	switch {
	case h.Trouble != "":
		return "bad"
	case h.Connected, h.Local:
		return "good"
	}
	return "quiet"
}

// Words say whether the host can be reached.
func (h hostView) Words() string {
	switch {
	case h.Trouble != "":
		return "cannot be reached"
	case h.Local:
		return "this machine"
	case h.Connected:
		return "connected for " + took(h.now.Sub(h.ConnectedSince))
	}
	return "not connected: it is when something runs there"
}

// Breaker says whether Lifeline waits before it tries the host again, and why.
func (h hostView) Breaker() string {
	switch {
	case h.Trouble == "":
		return "closed: commands go through"
	case h.TriedAgain.After(h.now):
		return "open: " + h.Trouble + "; tried again in " + took(h.TriedAgain.Sub(h.now))
	}
	return "open: " + h.Trouble + "; tried again with the next command"
}

// Reuse is the share of commands that found a connection open.
func (h hostView) Reuse() string { return percent(h.Reused, h.Opened+h.Reused) }

// RTT is the round-trip time in words.
func (h hostView) RTT() string {
	if h.RoundTrip == 0 {
		return "not measured yet"
	}
	return took(h.RoundTrip)
}

func (s *server) hostsPage(w http.ResponseWriter, r *http.Request) {
	p := hostsPage{page: s.newPage(r, "Hosts", "/hosts")}
	p.Live = "hosts"
	var err error
	if p.After, err = s.head.find(r.Context(), s.Service); err != nil {
		s.fail(w, r, "hosts", err)
		return
	}
	hosts, err := s.Service.Hosts(r.Context())
	if err != nil {
		s.fail(w, r, "hosts", err)
		return
	}
	trouble := 0
	for _, h := range hosts {
		p.Hosts = append(p.Hosts, hostView{h, p.Now})
		if h.Trouble != "" {
			trouble++
		}
	}
	p.Say = plural(len(hosts), "host") + ", " + plural(trouble, "host") + " in trouble"
	s.show(w, r, "hosts.html", p.Live, p)
}

func (s *server) hostPage(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	p := hostPage{page: s.newPage(r, "Host "+name, "/hosts")}
	p.Live = "host"
	var err error
	if p.After, err = s.head.find(r.Context(), s.Service); err != nil {
		s.fail(w, r, "host", err)
		return
	}
	h, err := s.Service.Host(r.Context(), name)
	if err != nil {
		s.fail(w, r, "host", err)
		return
	}
	p.Host = hostView{h, p.Now}
	recent, _ := cut(h.Recent, 20)
	for _, c := range recent {
		p.Recent = append(p.Recent, *newCommandView(c, p.Now, true))
	}
	series, _ := newest(h.Series, lifeline.SeriesMost)
	p.Charts, p.Rows = hostCharts(series), sampleRows(series)
	p.Say = h.Name + ": " + p.Host.Words()
	s.show(w, r, "host.html", p.Live, p)
}
