package main

import (
	"context"
	"fmt"
	"time"

	"lifeline/sshpool"
)

// poolCaller runs commands through sshpool as its documentation says. Ways: ""
// with its defaults, "no-spare" without spare sessions.
type poolCaller struct {
	spec spec
	pool *sshpool.Pool
}

func newPoolCaller(s spec) (*poolCaller, error) {
	cfg := sshpool.Config{
		Hosts: map[string]sshpool.Host{}, KnownHosts: []string{s.KnownHosts},
		MaxSessions: s.Limit, MaxDials: s.Dials,
	}
	if s.Way == "no-spare" {
		cfg.SpareSessions = -1
	}
	for _, address := range s.Hosts {
		cfg.Hosts[address] = sshpool.Host{Address: address, User: s.User, IdentityFiles: []string{s.Identity}, AgentSocket: "none"}
	}
	pool, err := sshpool.New(cfg)
	if err != nil {
		return nil, err
	}
	return &poolCaller{spec: s, pool: pool}, nil
}

// warm does nothing: the warming command opens the connection.
func (c *poolCaller) warm(context.Context) error { return nil }

func (c *poolCaller) run(ctx context.Context, host int) (n int64, err error) {
	cmd := sshpool.Command{Script: c.spec.Command}
	if c.spec.Bytes > 0 {
		cmd.OnOutput = func(_ sshpool.Stream, chunk []byte) { n += int64(len(chunk)) }
	}
	r, err := c.pool.Run(ctx, c.spec.Hosts[host], cmd)
	if err == nil && (r.Outcome != sshpool.Exited || r.ExitStatus != 0) {
		err = fmt.Errorf("%s with status %d", r.Outcome, r.ExitStatus)
	}
	return n, err
}

func (c *poolCaller) cpu() float64 { return 0 }

func (c *poolCaller) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return c.pool.Shutdown(ctx)
}
