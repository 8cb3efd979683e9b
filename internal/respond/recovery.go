package respond

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	"github.com/dbos-inc/dbos-transact-golang/dbos/internals"

	"lifeline"
)

// Node is this process's place among others that work incidents on the same
// database. *store.Membership is one.
type Node interface {
	// Lost is closed once another node has taken over from this one.
	Lost() <-chan struct{}
}

// Pin says which node works a host's incidents.
type Pin struct {
	Node string
	// Only means that no other node can stand in for it, as for the machine that
	// the node itself runs on.
	Only bool
}

// queue is where the incidents of a pin wait; the zero Pin is for every node.
func (p Pin) queue() string {
	switch {
	case p.Node == "":
		return queueName
	case p.Only:
		return queueName + "@" + p.Node + "!"
	}
	return queueName + "@" + p.Node
}

// pin of a host; the zero Pin if it has none.
func (s *Service) pin(inc lifeline.Incident) Pin { return s.cfg.Pins[inc.Target.Host] }

// queues lists the queues that this configuration puts incidents into.
func (s *Service) queues() []string {
	names := []string{queueName}
	for _, pin := range s.cfg.Pins {
		names = append(names, pin.queue())
	}
	if s.cfg.Node != nil {
		names = append(names, Pin{Node: s.cfg.ExecutorID}.queue(), Pin{Node: s.cfg.ExecutorID, Only: true}.queue())
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// StandIn makes this node work the incidents of hosts that are pinned to the
// given nodes, besides its own and those of everybody, and no others. It replaces
// what an earlier call said.
func (s *Service) StandIn(nodes ...string) {
	if s.cfg.Node == nil { // one process works everything
		return
	}
	names := []string{queueName, Pin{Node: s.cfg.ExecutorID}.queue(), Pin{Node: s.cfg.ExecutorID, Only: true}.queue()}
	for _, n := range nodes {
		names = append(names, Pin{Node: n}.queue())
	}
	dbos.ListenQueues(s.dbos, names...)
}

// Recover gives the unfinished incidents of a node that is gone back to their
// queues, so that they go on, at the step they were in, wherever there is room.
// It does harm to a node that is alive: store.Membership.TakeOver sees to it that
// none is.
func (s *Service) Recover(ctx context.Context, node string) error {
	runtime, err := internals.RuntimeOf(s.dbos)
	if err != nil {
		return fmt.Errorf("respond: %w", err)
	}
	handles, err := runtime.RecoverPendingWorkflows([]string{node})
	if err != nil {
		return fmt.Errorf("respond: recover the incidents of the node %s: %w", node, err)
	}
	for _, h := range handles {
		s.cfg.Logger.WarnContext(ctx, "incident_taken_over", "incident", h.GetWorkflowID(), "from", node, "node", s.cfg.ExecutorID)
	}
	return nil
}

// elsewhere reports whether an error means that another run has the incident.
func (w *work) elsewhere(err error) bool { return errors.Is(err, dbos.ErrConflictingWorkflowID) }

// lost is closed once another node has taken over; nil, which never is, if there
// is no other.
func (s *Service) lost() <-chan struct{} {
	if s.cfg.Node == nil {
		return nil
	}
	return s.cfg.Node.Lost()
}

// stayIfLost does not return once another node has taken over: whatever this run
// would end with, the other node decides about the incident now. The process ends
// soon, and this with it.
func (s *Service) stayIfLost() {
	select {
	case <-s.lost():
		select {}
	default:
	}
}
