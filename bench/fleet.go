package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

// fleet is many hosts: one SSH server in this process that listens on many
// loopback addresses. A real sshd would need two processes for each connection,
// and with 1,000 of them would be what is measured.
type fleet struct {
	server    *sshtest.Server
	addresses []string
	wg        sync.WaitGroup
	mu        sync.Mutex // guards err
	err       error      // of an accept
}

// startFleet listens on n addresses 127.64.x.y, all on the same port.
func startFleet(n int, k keys) (_ *fleet, err error) {
	pem, err := os.ReadFile(k.hostKey)
	if err != nil {
		return nil, err
	}
	signer, err := ssh.ParsePrivateKey(pem)
	if err != nil {
		return nil, fmt.Errorf("read the host key: %w", err)
	}
	want := k.userPublic.Marshal()
	f := &fleet{server: sshtest.New(sshtest.Config{
		HostKey:   signer,
		Authorize: func(user string, key ssh.PublicKey) bool { return user == account && bytes.Equal(key.Marshal(), want) },
	})}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.close())
		}
	}()
	port := "0" // the first address chooses
	for i := range n {
		ip := fmt.Sprintf("127.64.%d.%d", i/250, 1+i%250)
		l, err := net.Listen("tcp", net.JoinHostPort(ip, port))
		if err != nil {
			return nil, fmt.Errorf("listen as host %d of %d: %w", i+1, n, err)
		}
		if _, port, err = net.SplitHostPort(l.Addr().String()); err != nil {
			return nil, err
		}
		f.addresses = append(f.addresses, l.Addr().String())
		f.wg.Go(func() {
			if err := f.server.Serve(l); err != nil {
				f.mu.Lock()
				defer f.mu.Unlock()
				f.err = errors.Join(f.err, err)
			}
		})
	}
	return f, nil
}

// accepted counts the connections that authenticated.
func (f *fleet) accepted() int { return f.server.Counts().Authenticated }

func (f *fleet) close() error {
	err := f.server.Close()
	f.wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(err, f.err)
}
