package respond

import (
	"context"
	"sync"
)

// places bound how many incidents are worked at the same time, on each host and
// together. They are this process's own: after a restart whatever goes on takes
// one again. Whoever waits gets one in the order of arrival.
type places struct {
	all     chan struct{}
	perHost int
	mu      sync.Mutex // guards hosts
	hosts   map[string]chan struct{}
}

func newPlaces(all, perHost int) *places {
	return &places{all: make(chan struct{}, all), perHost: perHost, hosts: map[string]chan struct{}{}}
}

// host are the places on one host. Only configured hosts have any, so that their
// number is bounded.
func (p *places) host(name string) chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hosts[name] == nil {
		p.hosts[name] = make(chan struct{}, p.perHost)
	}
	return p.hosts[name]
}

// take waits for a place on the host and then for one of all, in this order: who
// waits for a host that is busy holds nothing that another host needs.
func (p *places) take(ctx context.Context, host string) error {
	onHost := p.host(host)
	select {
	case onHost <- struct{}{}: // those that wait are served first come, first served
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case p.all <- struct{}{}:
		return nil
	case <-ctx.Done():
		<-onHost
		return context.Cause(ctx)
	}
}

func (p *places) give(host string) {
	<-p.all
	<-p.host(host)
}

// enter takes one of the places for incidents that are worked, leave gives it
// back. What waits for a person, for its alert or for the end of a maintenance
// window holds none: a morning full of questions must not keep the next incident
// waiting.
func (w *work) enter() error {
	if w.placed {
		return nil
	}
	if err := w.places.take(w.wf, w.steps.host); err != nil {
		return err
	}
	w.placed = true
	return nil
}

func (w *work) leave() {
	if w.placed {
		w.places.give(w.steps.host)
		w.placed = false
	}
}
