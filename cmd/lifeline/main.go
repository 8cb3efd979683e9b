// Command lifeline takes an alert, looks at the machine over SSH, repairs the
// fault inside a policy, proves it, and otherwise hands a person the case.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"lifeline/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for a clean end; after it, a second one is not
	// caught any more and ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Run(ctx, os.Args[1:], cli.IO{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
