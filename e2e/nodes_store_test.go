//go:build e2e

package e2e

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline"
	"lifeline/internal/store"
)

// joined is a store that is a node. It renews nothing by itself.
type joined struct {
	*store.Store
	*store.Membership
}

// join opens the database as a node.
func join(t *testing.T, url, key, name string, lease time.Duration) joined {
	t.Helper()
	s := openPostgres(t, url, store.Options{KeyFile: key, Node: name})
	m, err := s.Join(t.Context(), store.NodeOptions{Name: name, Version: "v1", Lease: lease})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Leave(context.WithoutCancel(t.Context())) })
	return joined{s, m}
}

// takesOver renews until the node may take over from another, and does.
func (j joined) takesOver(t *testing.T, name string, recover func(context.Context) error) {
	t.Helper()
	eventually(t, "the node "+name+" looks dead", func() error {
		if err := j.Renew(t.Context()); err != nil {
			return err
		}
		dead, err := j.Dead(t.Context())
		if err != nil {
			return err
		}
		for _, n := range dead {
			if n.Name != name {
				t.Errorf("%s looks dead too", n.Name)
				continue
			}
			done, err := j.TakeOver(t.Context(), n, recover)
			if err != nil || done {
				return err
			}
		}
		return errors.New("it does not yet")
	})
}

// fenced looks at a node that another one took over from: it writes nothing, may
// begin nothing, and knows.
func (j joined) fenced(t *testing.T) {
	t.Helper()
	before, _, err := j.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, received := j.ReceiveAlerts(t.Context(), firingAlert("late"), noCallback, noCallback)
	_, intended := j.RecordIntent(t.Context(), lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "late", Host: "nexus"}, Class: "read"}, lifeline.Limits{})
	result := j.RecordResult(t.Context(), lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "c"}, Outcome: lifeline.OutcomeExited})
	_, paused := j.Paused(t.Context())
	for what, err := range map[string]error{"receive": received, "intent": intended, "result": result, "last question": paused,
		"renew": j.Renew(t.Context()), "in force": j.InForce(), "err": j.Err()} {
		if lifeline.CodeOf(err) != lifeline.CodeFenced {
			t.Errorf("%s: %v (%s)", what, err, lifeline.CodeOf(err))
		}
	}
	select {
	case <-j.Lost():
	default:
		t.Error("it does not know")
	}
	if after, _, err := j.Head(t.Context()); err != nil || after != before {
		t.Errorf("it has written: the record ended with %s, and ends with %s (%v)", before, after, err)
	}
	pool, err := j.OpenPool(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if conn, err := pool.Acquire(t.Context()); lifeline.CodeOf(err) != lifeline.CodeFenced {
		if err == nil {
			conn.Release()
		}
		t.Errorf("the engine's pool: %v", err)
	}
}

// A node stands still in the middle of a transaction, its sessions standing: its
// lease runs out, and another node takes over from it.
func TestPostgresTakeOverFromOneThatStandsStill(t *testing.T) {
	url, key := startPostgres(t).url(t), filepath.Join(t.TempDir(), "record.key")
	anna, bert := join(t, url, key, "anna", time.Second), join(t, url, key, "bert", 3*time.Second)
	mustReceive(t, anna.Store, "k")
	cmd := lifeline.Command{CommandRequest: lifeline.CommandRequest{ID: "c", Host: "nexus"}, Class: "change"}
	if _, err := anna.RecordIntent(t.Context(), cmd, lifeline.Limits{}); err != nil {
		t.Fatal(err)
	}
	// It has the turn to write, which holds no other node up for long.
	holds, goesOn, wrote := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		_, err := anna.ReceiveAlerts(t.Context(), firingAlert("held"), func(context.Context, *sql.Tx, lifeline.Incident) error {
			close(holds)
			<-goesOn
			return nil
		}, noCallback)
		wrote <- err
	}()
	<-holds
	recovered := 0
	bert.takesOver(t, "anna", func(context.Context) error { recovered++; return nil })
	if recovered != 1 {
		t.Errorf("its work was given away %d times", recovered)
	}
	close(goesOn)
	if err := <-wrote; err == nil {
		t.Error("the transaction that was open is on record")
	}
	anna.fenced(t)
	mustReceive(t, bert.Store, "k")
	nodes, err := bert.Nodes(t.Context())
	if err != nil || len(nodes) != 2 || nodes[0].FencedBy != "bert" || !nodes[0].Recovered || nodes[0].Alive || nodes[0].Epoch != 2 {
		t.Errorf("the nodes: %+v, %v", nodes, err)
	}
	if audit, err := bert.VerifyAudit(t.Context(), store.AuditCheck{}); err != nil || audit.Bad != nil {
		t.Errorf("the record: %+v, %v", audit, err)
	}
	// It starts again, and takes part again.
	again := join(t, url, key, "anna", time.Minute)
	mustReceive(t, again.Store, "k")
	if dead, err := bert.Dead(t.Context()); err != nil || len(dead) != 0 {
		t.Errorf("dead: %+v, %v", dead, err)
	}
}

// What goes wrong in the middle of taking over is done by the next look, of any
// node, and the fenced node stays fenced meanwhile.
func TestPostgresTakeOverHalfWay(t *testing.T) {
	url, key := startPostgres(t).url(t), filepath.Join(t.TempDir(), "record.key")
	const lease = 3 * time.Second
	anna, bert, carl := join(t, url, key, "anna", lease), join(t, url, key, "bert", lease), join(t, url, key, "carl", lease)
	if err := anna.Leave(t.Context()); err != nil {
		t.Fatal(err)
	}
	no := errors.New("the engine does not answer")
	tries := 0
	eventually(t, "bert has tried", func() error {
		err := errors.Join(bert.Renew(t.Context()), carl.Renew(t.Context()))
		dead, deadErr := bert.Dead(t.Context())
		if err = errors.Join(err, deadErr); err != nil || len(dead) == 0 {
			return errors.Join(err, errors.New("nobody looks dead yet"))
		}
		if done, err := bert.TakeOver(t.Context(), dead[0], func(context.Context) error { tries++; return no }); done || !errors.Is(err, no) {
			t.Errorf("half-way: %v, %v", done, err)
		}
		return nil
	})
	if tries != 1 {
		t.Errorf("%d tries", tries)
	}
	recovered := 0
	eventually(t, "carl has done it", func() error {
		err := errors.Join(carl.Renew(t.Context()), bert.Renew(t.Context()))
		dead, deadErr := carl.Dead(t.Context())
		if err = errors.Join(err, deadErr); err != nil || len(dead) == 0 {
			return errors.Join(err, errors.New("nobody looks dead yet"))
		}
		done, err := carl.TakeOver(t.Context(), dead[0], func(context.Context) error { recovered++; return nil })
		if err == nil && !done {
			err = errors.New("not yet")
		}
		return err
	})
	if recovered != 1 {
		t.Errorf("its work was given away %d times", recovered)
	}
}

// A name is one process's. When the server is started anew, everybody's session
// has ended, and nobody is taken for dead.
func TestPostgresNodesKeepTheirPlaces(t *testing.T) {
	server := startPostgres(t)
	url, key := server.url(t), filepath.Join(t.TempDir(), "record.key")
	const lease = 30 * time.Second
	anna, bert := join(t, url, key, "anna", lease), join(t, url, key, "bert", lease)

	second := openPostgres(t, url, store.Options{KeyFile: key, Node: "anna"})
	_, err := second.Join(t.Context(), store.NodeOptions{Name: "anna", Lease: lease})
	if lifeline.CodeOf(err) != lifeline.CodeConfig || !strings.Contains(err.Error(), "another process works on this database as the node anna") {
		t.Errorf("the second of a name: %v (%s)", err, lifeline.CodeOf(err))
	}
	server.restart(t)
	for _, n := range []joined{anna, bert} {
		eventually(t, n.Name()+" has its place again", func() error { return n.Renew(t.Context()) })
		if dead, err := n.Dead(t.Context()); err != nil || len(dead) != 0 {
			t.Errorf("dead, says %s: %+v, %v", n.Name(), dead, err)
		}
		mustReceive(t, n.Store, n.Name())
		if err := n.InForce(); err != nil {
			t.Error(err)
		}
	}
	third := openPostgres(t, url, store.Options{KeyFile: key, Node: "bert"})
	if _, err := third.Join(t.Context(), store.NodeOptions{Name: "bert", Lease: lease}); lifeline.CodeOf(err) != lifeline.CodeConfig {
		t.Errorf("the second of a name, after the restart: %v", err)
	}
}
