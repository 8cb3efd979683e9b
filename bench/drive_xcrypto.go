package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// xcryptoCaller is plain golang.org/x/crypto/ssh with one client per host, as
// one writes it by hand. Ways: "" fails when the server refuses a session;
// "retry" asks again a millisecond later.
type xcryptoCaller struct {
	spec    spec
	config  *ssh.ClientConfig
	clients []xcryptoClient
	slots   chan struct{} // nil: no limit of our own
	dials   chan struct{} // nil: no limit of our own
}

type xcryptoClient struct {
	once   sync.Once
	client *ssh.Client
	err    error
}

func newXCryptoCaller(s spec) (*xcryptoCaller, error) {
	pem, err := os.ReadFile(s.Identity)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, fmt.Errorf("read the key: %w", err)
	}
	check, err := knownhosts.New(s.KnownHosts)
	if err != nil {
		return nil, fmt.Errorf("read known_hosts: %w", err)
	}
	c := &xcryptoCaller{spec: s, clients: make([]xcryptoClient, len(s.Hosts)), config: &ssh.ClientConfig{
		User: s.User, Auth: []ssh.AuthMethod{ssh.PublicKeys(signer)},
		HostKeyCallback: check, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}, Timeout: 15 * time.Second,
	}}
	if s.Limit > 0 {
		c.slots = make(chan struct{}, s.Limit)
	}
	if s.Dials > 0 {
		c.dials = make(chan struct{}, s.Dials)
	}
	return c, nil
}

func (c *xcryptoCaller) warm(context.Context) error { return nil }

// client dials once; everybody else waits for it.
func (c *xcryptoCaller) client(host int) (*ssh.Client, error) {
	slot := &c.clients[host]
	slot.once.Do(func() {
		if c.dials != nil {
			c.dials <- struct{}{}
			defer func() { <-c.dials }()
		}
		slot.client, slot.err = ssh.Dial("tcp", c.spec.Hosts[host], c.config)
	})
	return slot.client, slot.err
}

func (c *xcryptoCaller) run(ctx context.Context, host int) (int64, error) {
	client, err := c.client(host)
	if err != nil {
		return 0, err
	}
	if c.slots != nil {
		c.slots <- struct{}{}
		defer func() { <-c.slots }()
	}
	session, err := c.session(ctx, client)
	if err != nil {
		return 0, err
	}
	defer session.Close()
	var n counter
	session.Stdout = &n
	err = session.Run(c.spec.Command)
	return int64(n), err
}

func (c *xcryptoCaller) session(ctx context.Context, client *ssh.Client) (*ssh.Session, error) {
	for {
		session, err := client.NewSession()
		if _, refused := errors.AsType[*ssh.OpenChannelError](err); !refused || c.spec.Way != "retry" {
			return session, err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return nil, err
		}
	}
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func (c *xcryptoCaller) cpu() float64 { return 0 }

func (c *xcryptoCaller) close() error {
	for i := range c.clients {
		if client := c.clients[i].client; client != nil {
			client.Close() // nothing of ours runs any more
		}
	}
	return nil
}
