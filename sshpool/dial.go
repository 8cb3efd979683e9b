package sshpool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/ssh"
)

// errTurnedAway marks a server that said why it does not want us, instead of who
// it is.
var errTurnedAway = errors.New("turned away before the handshake")

// dial is one attempt to connect, shared by everybody who waits for it. It is
// detached from their contexts: one that gives up does not take it away from
// the others.
type dial struct {
	cancel context.CancelCauseFunc
	stage  atomic.Pointer[string] // what it is doing
	begun  time.Time
	done   chan struct{} // closed at its end
	conn   *connection   // set before done is closed; nil if it failed
	err    error
}

func (d *dial) at(stage string) { d.stage.Store(&stage) }

func (d *dial) where() string {
	if s := d.stage.Load(); s != nil {
		return *s
	}
	return "waiting"
}

// run connects and tells the line. bound limits the way to a jump host, and
// then the connection itself.
func (d *dial) run(ctx context.Context, l *line, bound time.Duration) {
	conn, err := d.connect(ctx, l, bound)
	if err != nil {
		if cause := context.Cause(ctx); ctx.Err() != nil && cause != nil {
			err = cause // the pool is being shut down
		}
	}
	l.dialed(d, conn, err)
}

func (d *dial) connect(ctx context.Context, l *line, bound time.Duration) (*connection, error) {
	var via *connection
	if l.hop != nil {
		d.at("connecting to the jump host " + l.hop.target.name)
		hopCtx, cancel := context.WithTimeoutCause(ctx, bound, d.timeout(l, bound))
		defer cancel()
		var err error
		if via, err = l.hop.connected(hopCtx, bound); err != nil {
			return nil, viaHop(l, hopCtx, err)
		}
	}
	d.at("waiting until another failed login at this address could not get us banned there")
	if err := l.ledger.begin(ctx); err != nil {
		return nil, err
	}
	conn, err := d.afterLedger(ctx, l, via, bound)
	l.ledger.end(err)
	return conn, err
}

func (d *dial) afterLedger(ctx context.Context, l *line, via *connection, bound time.Duration) (*connection, error) {
	d.at("waiting for other dials to end")
	select {
	case l.pool.dials <- struct{}{}:
		defer func() { <-l.pool.dials }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bound, nil)
	defer cancel()
	conn, err := d.handshake(ctx, l, via)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = d.timeout(l, bound)
	}
	return conn, err
}

// timeout is the error of the second clock, with what was being done.
func (d *dial) timeout(l *line, bound time.Duration) *Error {
	t := l.target
	return &Error{
		Kind: KindConnectTimeout, Host: t.name,
		Message: fmt.Sprintf("no connection to %s within the connect clock of %v; it ended while %s", t.address(), bound, d.where()),
		Hint:    "ssh -v " + t.login() + " true shows where it stops",
	}
}

// handshake opens the transport and speaks SSH on it.
func (d *dial) handshake(ctx context.Context, l *line, via *connection) (*connection, error) {
	t := l.target
	d.at("reading known_hosts and keys")
	check, err := newHostKeyCheck(t, &l.pool.knownHosts)
	if err != nil {
		return nil, err
	}
	keys, err := gather(ctx, t)
	if err != nil {
		return nil, err
	}
	defer keys.close()
	d.at("opening the TCP connection")
	opening := time.Now()
	var raw net.Conn
	if via == nil {
		raw, err = l.pool.cfg.Dial(ctx, "tcp", t.address())
		if err != nil {
			return nil, &Error{
				Kind: KindUnreachable, Host: t.name, Message: "no connection to " + t.address(), Err: err,
				Hint: fmt.Sprintf("nc -vz %s %s shows whether the port answers", t.host, t.port),
			}
		}
	} else if raw, err = via.tunnel(ctx, l); err != nil {
		return nil, err
	}
	trip := time.Since(opening)
	transport := newTransport(raw, l.pool.cfg.liveness())
	// ClientConfig.Timeout covers TCP only: a server that is silent from then
	// on is left by closing the connection.
	stop := context.AfterFunc(ctx, func() { transport.end(context.Cause(ctx)) })
	defer stop()
	d.at("shaking hands")
	conn, channels, requests, err := ssh.NewClientConn(transport, t.address(), &ssh.ClientConfig{
		User: t.user,
		Auth: []ssh.AuthMethod{ssh.PublicKeysCallback(func() ([]ssh.Signer, error) {
			d.at("authenticating")
			return keys.signers, nil
		})},
		HostKeyCallback:   check.check,
		HostKeyAlgorithms: check.algorithms(),
	})
	if err != nil {
		return nil, explainHandshake(t, transport, check, keys, err)
	}
	if !stop() {
		transport.Close()
		return nil, context.Cause(ctx)
	}
	c := &connection{line: l, t: transport, ssh: conn, opened: time.Now(), hostKey: check.fingerprint(), roundTrip: trip}
	c.watch(channels, requests)
	return c, nil
}

// explainHandshake finds out what a failed handshake means.
func explainHandshake(t *target, transport *transport, check *hostKeyCheck, keys *credentials, err error) error {
	if refused := check.refusal(); refused != nil {
		return refused
	}
	said := transport.saidFirst()
	e := &Error{Kind: KindUnreachable, Host: t.name, Err: err}
	broken := connectionBroke(err)
	switch {
	case check.verified() && !broken:
		e.Kind = KindAuthentication
		e.Message = fmt.Sprintf("the server at %s does not let %q in; offered: %s", t.address(), t.user, keys.offered())
		e.Hint = "ssh -v " + t.login() + " true shows what the server wants; ssh-copy-id " + t.login() + " installs a key"
		if len(keys.signers) == 0 {
			e.Hint = "name a key (identity), or load one: ssh-add"
		}
	case check.verified():
		e.Message = fmt.Sprintf("the server at %s hung up during authentication of %q", t.address(), t.user)
		e.Hint = "its log says why: journalctl -u ssh"
	case said != "" || broken && !transport.greeted():
		e.Message = fmt.Sprintf("the server at %s closed the connection at once", t.address())
		if said != "" {
			e.Message = fmt.Sprintf("the server at %s said %q and closed the connection", t.address(), said)
			e.Err = fmt.Errorf("%w: %w", errTurnedAway, err)
		}
		e.Hint = "too many connections, or this address is banned for a while: see MaxStartups and PerSourcePenalties in sshd_config(5), and fail2ban"
	case strings.Contains(err.Error(), "no common algorithm"):
		e.Message = fmt.Sprintf("the server at %s and we have no algorithm in common", t.address())
		e.Hint = "ssh -vv " + t.login() + " true lists what the server offers"
	default:
		e.Message = fmt.Sprintf("the handshake with %s failed", t.address())
		e.Hint = "ssh -v " + t.login() + " true shows where it stops"
	}
	return e
}

// connectionBroke tells a connection that ended from a server that said no.
func connectionBroke(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, errStalled) {
		return true
	}
	_, ok := errors.AsType[net.Error](err)
	return ok
}

// viaHop is the error of a host whose jump host cannot be reached.
func viaHop(l *line, ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	kind := e.Kind
	if kind == KindBackoff {
		kind = KindUnreachable
	}
	return &Error{Kind: kind, Host: l.target.name, Message: "no way through the jump host", Hint: e.Hint, Err: err}
}

// tunnel opens a connection through this one to the host of l.
func (c *connection) tunnel(ctx context.Context, l *line) (net.Conn, error) {
	address := l.target.address()
	extra := ssh.Marshal(struct {
		Host       string
		Port       uint32
		OriginHost string
		OriginPort uint32
	}{l.target.host, l.target.portNumber(), "127.0.0.1", 0})
	giveUp := make(chan struct{})
	defer close(giveUp)
	failed := func(hint string, err error) error {
		return &Error{
			Kind: KindUnreachable, Host: l.target.name, Err: err, Hint: hint,
			Message: fmt.Sprintf("no connection from the jump host %s to %s", c.line.target.name, address),
		}
	}
	select {
	case o := <-c.open("direct-tcpip", extra, giveUp, opened.discard):
		refused, ok := errors.AsType[*ssh.OpenChannelError](o.err)
		switch {
		case o.err == nil:
			return newTunnel(o.ch, o.requests, address, l.pool.wg.Go), nil
		case ok && refused.Reason == ssh.Prohibited:
			return nil, failed("the jump host forbids it: AllowTcpForwarding and PermitOpen in its sshd_config", errors.New(printable(refused.Message)))
		case ok:
			return nil, failed("from the jump host: nc -vz "+l.target.host+" "+l.target.port, errors.New(printable(refused.Message)))
		}
		return nil, failed("", o.err)
	case <-c.dead():
		return nil, failed("", c.t.cause())
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
