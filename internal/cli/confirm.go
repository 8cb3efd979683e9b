package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"

	"lifeline"
	"lifeline/internal/escape"
)

// confirm asks the person at the terminal, one question at a time.
type confirm struct {
	std IO
	yes bool
	mu  sync.Mutex // one question at a time; guards in
	in  *bufio.Reader
}

func newConfirm(std IO, yes bool) *confirm {
	return &confirm{std: std, yes: yes, in: bufio.NewReader(std.In)}
}

// ask shows the whole canonical command and takes only "y" or "yes" for a yes.
func (c *confirm) ask(ctx context.Context, cmd lifeline.Command) (bool, error) {
	if c.yes {
		return true, nil
	}
	if f, ok := c.std.In.(*os.File); !ok || !terminal(f) {
		return false, fmt.Errorf("there is no terminal to ask at; --yes confirms it")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.std.Err, "%s on %s: %s\n  %s\nRun it? [y/N] ", cmd.Class, cmd.Host, escape.Line(cmd.Reason), escape.Line(cmd.Canonical))
	answer := make(chan string, 1)
	go func() {
		line, _ := c.in.ReadString('\n') // no answer is a no
		answer <- line
	}()
	select {
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
