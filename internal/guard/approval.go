package guard

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"lifeline"
	"lifeline/shellpolicy"
)

// PolicyVersion identifies an effective policy and how its commands are run: 16
// hexadecimal digits that change with its mode, its rules, what it protects, the
// shell and the environment.
func PolicyVersion(p shellpolicy.Policy) string {
	raw, err := json.Marshal(p)
	if err != nil { // texts and lists of texts can always be written
		panic(fmt.Sprintf("guard: encode a policy: %v", err))
	}
	parts := []string{"lifeline/policy/1", string(raw), Shell}
	for _, name := range slices.Sorted(maps.Keys(environment)) {
		parts = append(parts, name, environment[name])
	}
	return digest(parts...)[:16]
}

// Digest is what an approval is bound to: 64 hexadecimal digits that are others
// if the host, who it is and with which account (identity), the text that would
// run, the incident or the policy version is another one.
func Digest(host, identity, canonical, incidentID, policyVersion string) string {
	return digest("lifeline/approval/1", host, identity, canonical, incidentID, policyVersion)
}

// digest is SHA-256 over texts, each after its length, so that no two lists of
// them give the same.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(p))))
		io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (g *Guard) digest(cmd lifeline.Command) string {
	return Digest(cmd.Host, g.cfg.Identities[cmd.Host], cmd.Canonical, cmd.IncidentID, PolicyVersion(g.cfg.Policies[cmd.Host]))
}

// ask decides about a command for which the policy wants a person. done is what
// became of it; nil means that it may go on to its intent.
//
//   - Under an approval it goes on: the record holds the approval against the
//     digest, in the transaction of the intent.
//   - At a terminal the person there is asked, now.
//   - A change of an incident waits for a person: that it was asked for is on
//     record, it does not run, and whoever works the incident runs it again
//     under the approval. Nothing here blocks, so nothing is lost in a restart.
//   - Everything else is refused. That goes for reads of an incident too: what
//     they would show is of use to whoever asked, now, and to nobody later.
func (g *Guard) ask(ctx context.Context, cmd *lifeline.Command) (done *lifeline.Command, err error) {
	no := func(format string, args ...any) (*lifeline.Command, error) {
		refused, err := g.refuse(ctx, *cmd, fmt.Sprintf(format, args...))
		return &refused, err
	}
	switch {
	case cmd.ApprovalID != "":
		return nil, nil
	case g.cfg.Confirm != nil:
		switch ok, err := g.cfg.Confirm(ctx, *cmd); {
		case err != nil:
			return no("not confirmed by a person (%v): %s", err, cmd.Reason)
		case !ok:
			return no("not confirmed by a person: %s", cmd.Reason)
		}
		return nil, nil
	case g.cfg.ApprovalTimeout > 0 && cmd.IncidentID != "" && cmd.Class != string(shellpolicy.Read) && cmd.Canonical != "":
		return g.request(ctx, *cmd)
	}
	return no("a person has to decide about this: %s", cmd.Reason)
}

// request puts on record that a person is asked.
func (g *Guard) request(ctx context.Context, cmd lifeline.Command) (*lifeline.Command, error) {
	cmd.Digest = g.digest(cmd)
	waits, err := g.cfg.Record.RequestApproval(ctx, cmd, g.cfg.ApprovalTimeout, g.limits)
	switch {
	case lifeline.CodeOf(err) == lifeline.CodeRefused:
		cmd.Digest = ""
		refused, err := g.refuseBy(ctx, cmd, err)
		return &refused, err
	case err != nil:
		return &cmd, fmt.Errorf("ask a person about %q on %s: nothing ran: %w", cmd.Canonical, cmd.Host, err)
	}
	if waits.Host != cmd.Host || waits.Canonical != "" && waits.Canonical != cmd.Canonical {
		waits.Outcome, waits.Cause = lifeline.OutcomeRefused, lifeline.CodeRefused
		waits.Reason = fmt.Sprintf("request %s is on record for another command", cmd.ID)
	}
	return &waits, nil
}

// stillAllowed looks at the kill switch right before a change would be sent:
// between its intent and its start it may have waited for a connection. That
// the switch cannot be read is a no. Before anything at all is sent, it looks at
// whether this process may still act.
func (g *Guard) stillAllowed(ctx context.Context, cmd lifeline.Command) func() error {
	if cmd.Class == string(shellpolicy.Read) {
		return g.cfg.InForce
	}
	return func() error {
		if g.cfg.InForce != nil {
			if err := g.cfg.InForce(); err != nil {
				return err
			}
		}
		switch p, err := g.cfg.Record.Paused(ctx); {
		case err != nil:
			return fmt.Errorf("read the kill switch: %w", err)
		case p.On && p.File != "":
			return fmt.Errorf("paused meanwhile by the file %s", p.File)
		case p.On:
			return fmt.Errorf("paused meanwhile by %s", p.By)
		}
		return nil
	}
}

// switchEvery is how often the kill switch is looked at while a change runs:
// whoever stops everything should see it stop within a second.
const switchEvery = 250 * time.Millisecond

// underSwitch is ctx, which ends for a change when the kill switch says that
// changes under way are ended too. stop has to be called. An intent is never
// committed while the switch is on; a change that is under way by then is only
// cut off if that was asked for, because half a restart is worse than a whole one.
func (g *Guard) underSwitch(ctx context.Context, cmd lifeline.Command) (_ context.Context, stop func()) {
	if cmd.Class == string(shellpolicy.Read) {
		return ctx, func() {}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		look := time.NewTicker(switchEvery)
		defer look.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			// A switch that cannot be read now is read a little later: what runs
			// was let through while it was off.
			if p, err := g.cfg.Record.Paused(ctx); err == nil && p.On && p.Now {
				cancel(fmt.Errorf("ended by lifeline pause --now of %s", p.By))
				return
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}
