package sshpool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// maxOffered is how many keys are offered in one attempt: after that many
// refused ones OpenSSH hangs up (MaxAuthTries).
const maxOffered = 6

// credentials are the keys to offer in one attempt, in order.
type credentials struct {
	signers []ssh.Signer
	from    []string // where each is from, for messages
	left    int      // keys beyond maxOffered
	agent   net.Conn // the agent's connection, which its signers need
}

func (c *credentials) close() {
	if c.agent != nil {
		c.agent.Close()
	}
}

func (c *credentials) add(s ssh.Signer, from string) {
	blob := s.PublicKey().Marshal()
	for _, have := range c.signers {
		if bytes.Equal(have.PublicKey().Marshal(), blob) {
			return
		}
	}
	if len(c.signers) == maxOffered {
		c.left++
		return
	}
	c.signers, c.from = append(c.signers, s), append(c.from, from)
}

// offered lists the keys for a message.
func (c *credentials) offered() string {
	if len(c.signers) == 0 {
		return "no key"
	}
	var b strings.Builder
	for i, s := range c.signers {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%s)", fingerprint(s.PublicKey()), c.from[i])
	}
	if c.left > 0 {
		fmt.Fprintf(&b, "; %d more were not offered", c.left)
	}
	return b.String()
}

// gather collects the keys of a target: its signers, then the files that were
// named for it, then the agent's keys (unless IdentitiesOnly), then default
// files. Unlike ssh, which puts all of the agent's keys first, a named key
// cannot be crowded out by a full agent. A named key that only the agent can
// use, because it is encrypted or only its public half is there, is the agent's.
//
// The caller must close the credentials when the attempt is over.
func gather(ctx context.Context, t *target) (c *credentials, err error) {
	c = &credentials{}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	for _, s := range t.signers {
		c.add(s, "configured signer")
	}
	held, err := c.askAgent(ctx, t)
	if err != nil {
		return c, err
	}
	if t.explicit {
		if err := c.addFiles(t, held); err != nil {
			return c, err
		}
	}
	if !t.identitiesOnly {
		for _, s := range held {
			c.add(s, "agent")
		}
	}
	if !t.explicit {
		err = c.addFiles(t, held)
	}
	return c, err
}

// askAgent lists the agent's keys. An agent that only the environment names
// may be gone.
func (c *credentials) askAgent(ctx context.Context, t *target) ([]ssh.Signer, error) {
	if t.agent == "" {
		return nil, nil
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", t.agent)
	if err == nil {
		c.agent = conn
		stop := context.AfterFunc(ctx, func() { conn.Close() })
		defer stop()
		var held []ssh.Signer
		if held, err = agent.NewClient(conn).Signers(); err == nil {
			return held, nil
		}
	}
	if t.agentExplicit {
		return nil, &Error{Kind: KindConfig, Host: t.name, Message: "ssh-agent at " + t.agent, Err: err, Hint: "SSH_AUTH_SOCK=" + t.agent + " ssh-add -l shows whether it answers"}
	}
	return nil, nil
}

// addFiles adds the identity files, each behind its certificate.
func (c *credentials) addFiles(t *target, held []ssh.Signer) error {
	for _, file := range t.identities {
		signer, err := identity(t, file, held)
		if err != nil {
			return err
		}
		if signer == nil {
			continue
		}
		cert, err := certified(t, file, signer)
		if err != nil {
			return err
		}
		if cert != nil {
			c.add(cert, file+"-cert.pub")
		}
		c.add(signer, file)
	}
	return nil
}

// identity reads one identity file; nil for a default one that is not there or
// cannot be used without a passphrase.
func identity(t *target, file string, held []ssh.Signer) (ssh.Signer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		if !t.explicit && errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, &Error{Kind: KindConfig, Host: t.name, Message: "identity file", Err: err, Hint: "ssh-keygen -t ed25519 -f " + file + " makes a key"}
	}
	if public, _, _, _, err := ssh.ParseAuthorizedKey(text); err == nil {
		if s := find(held, public); s != nil {
			return s, nil
		}
		return nil, &Error{Kind: KindConfig, Host: t.name, Message: "identity file " + file + " is a public key, and the agent does not hold its private half", Hint: "ssh-add -l lists what the agent holds"}
	}
	signer, err := ssh.ParsePrivateKey(text)
	if err == nil {
		return signer, nil
	}
	encrypted, ok := errors.AsType[*ssh.PassphraseMissingError](err)
	if !ok {
		return nil, &Error{Kind: KindConfig, Host: t.name, Message: "identity file " + file, Err: err, Hint: "ssh-keygen -y -f " + file + " shows whether it is a private key"}
	}
	if s := find(held, encrypted.PublicKey); s != nil {
		return s, nil
	}
	if t.passphrase == nil {
		if !t.explicit {
			return nil, nil
		}
		return nil, &Error{Kind: KindConfig, Host: t.name, Message: "identity file " + file + " is encrypted, and there is no passphrase for it", Hint: "ssh-add " + file}
	}
	phrase, err := t.passphrase(file)
	if err != nil {
		return nil, &Error{Kind: KindConfig, Host: t.name, Message: "passphrase of identity file " + file, Err: err}
	}
	if signer, err = ssh.ParsePrivateKeyWithPassphrase(text, phrase); err != nil {
		return nil, &Error{Kind: KindConfig, Host: t.name, Message: "identity file " + file + " cannot be opened with its passphrase", Err: err}
	}
	return signer, nil
}

// certified gives the signer of the certificate beside a key; nil if there is none.
func certified(t *target, file string, signer ssh.Signer) (ssh.Signer, error) {
	text, err := os.ReadFile(file + "-cert.pub")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		var key ssh.PublicKey
		if key, _, _, _, err = ssh.ParseAuthorizedKey(text); err == nil {
			cert, ok := key.(*ssh.Certificate)
			if !ok {
				err = errors.New("it holds no certificate")
			} else if signer, err = ssh.NewCertSigner(cert, signer); err == nil {
				return signer, nil
			}
		}
	}
	return nil, &Error{Kind: KindConfig, Host: t.name, Message: "certificate " + file + "-cert.pub", Err: err, Hint: "ssh-keygen -L -f " + file + "-cert.pub shows it"}
}

// find is the agent's signer for a public key; nil if it has none.
func find(held []ssh.Signer, key ssh.PublicKey) ssh.Signer {
	if key == nil {
		return nil
	}
	for _, s := range held {
		if bytes.Equal(s.PublicKey().Marshal(), key.Marshal()) {
			return s
		}
	}
	return nil
}
