package sshtest_test

import (
	"context"
	"fmt"

	"golang.org/x/crypto/ssh"

	"lifeline/sshpool/sshtest"
)

func Example() {
	server := sshtest.New(sshtest.Config{
		Handler: func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
			fmt.Fprintf(c.Stdout, "%s ran %q\n", c.User, c.Text)
			return sshtest.Exit{}
		},
	})
	defer server.Close()

	conn, err := server.Dial(context.Background(), "tcp", "nexus:22")
	if err != nil {
		panic(err)
	}
	c, channels, requests, err := ssh.NewClientConn(conn, "nexus:22", &ssh.ClientConfig{
		User:            "ann",
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(server.ClientKey())},
		HostKeyCallback: ssh.FixedHostKey(server.HostKey()),
	})
	if err != nil {
		panic(err)
	}
	client := ssh.NewClient(c, channels, requests)
	defer client.Close()
	session, err := client.NewSession()
	if err != nil {
		panic(err)
	}
	out, err := session.Output("uptime")
	fmt.Printf("%s%v, %d connection\n", out, err, server.Counts().Connections)
	// Output:
	// ann ran "uptime"
	// <nil>, 1 connection
}
