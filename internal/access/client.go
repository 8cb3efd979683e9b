package access

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// client is who is at the other end, as far as it can be believed.
type client struct {
	// addr is the address of the browser or program; that of a proxy if the proxy
	// is not trusted.
	addr netip.Addr
	// secure: everything between the browser and us is encrypted, or the trusted
	// proxy says so.
	secure bool
	// local: it runs on this machine, speaks to us without anything in between, and
	// means this machine.
	local bool
}

type clientKey struct{}

// Behind makes of a request that came through a trusted proxy what the proxy was
// asked: RemoteAddr and Host are then those of the person's browser. Of any other
// request it believes nothing of the kind.
func (a *Access) Behind(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r, _ = a.client(r)
		next.ServeHTTP(w, r)
	})
}

// client finds out who asks, once for each request.
func (a *Access) client(r *http.Request) (*http.Request, client) {
	if c, ok := r.Context().Value(clientKey{}).(client); ok {
		return r, c
	}
	peer := remote(r.RemoteAddr)
	c := client{addr: peer, secure: r.TLS != nil}
	trusted := a.trusts(peer)
	c.local = peer.IsLoopback() && !trusted && !forwarded(r.Header) && loopbackHost(r.Host)
	host := r.Host
	if trusted {
		c.addr = a.origin(r.Header.Values("X-Forwarded-For"), peer)
		c.secure = strings.EqualFold(last(r.Header.Values("X-Forwarded-Proto")), "https")
		if said := last(r.Header.Values("X-Forwarded-Host")); plainHost(said) {
			host = said
		}
	}
	r = r.WithContext(context.WithValue(r.Context(), clientKey{}, c))
	r.Host = host
	if c.addr != peer {
		r.RemoteAddr = netip.AddrPortFrom(c.addr, 0).String()
	}
	return r, c
}

func (a *Access) trusts(ip netip.Addr) bool {
	for _, p := range a.Proxies {
		if p.Contains(ip) {
			return true
		}
	}
	return false
}

// origin reads X-Forwarded-For from its end, which the nearest proxy wrote: the
// first address that is not a trusted proxy's is whom they saw. What stands before
// it anybody may have written.
func (a *Access) origin(headers []string, peer netip.Addr) netip.Addr {
	hops := strings.Split(strings.Join(headers, ","), ",")
	at := peer
	for i := len(hops) - 1; i >= 0; i-- {
		ip := remote(strings.TrimSpace(hops[i]))
		if !ip.IsValid() {
			break
		}
		at = ip
		if !a.trusts(ip) {
			break
		}
	}
	return at
}

// remote reads an address with or without a port; the zero Addr if it is none.
func remote(text string) netip.Addr {
	if host, _, err := net.SplitHostPort(text); err == nil {
		text = host
	}
	ip, err := netip.ParseAddr(strings.Trim(text, "[]"))
	if err != nil {
		return netip.Addr{}
	}
	return ip.Unmap().WithZone("")
}

// last is the last value of a header that is a list.
func last(values []string) string {
	if len(values) == 0 {
		return ""
	}
	list := values[len(values)-1]
	return strings.TrimSpace(list[strings.LastIndex(list, ",")+1:])
}

// forwarded reports whether something says that it passed the request on.
func forwarded(h http.Header) bool {
	for name := range h {
		switch {
		case strings.HasPrefix(name, "X-Forwarded-"), strings.HasPrefix(name, "Cf-"):
			return true
		}
		switch name {
		case "Forwarded", "Via", "X-Real-Ip", "X-Client-Ip", "True-Client-Ip", "X-Original-Host", "X-Original-Forwarded-For":
			return true
		}
	}
	return false
}

// loopbackHost reports whether the browser was told to go to this machine by a
// name that nobody else can give an address.
func loopbackHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// plainHost reports whether a text can be the host of a URL, with or without a
// port.
func plainHost(host string) bool {
	return host != "" && len(host) <= 255 && !strings.ContainsFunc(host, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune(".-_:[]", r))
	})
}
