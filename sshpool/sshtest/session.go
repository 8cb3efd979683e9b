package sshtest

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Handler plays the remote side of a command. ctx ends when the process is
// ended by a signal that it does not trap, or by Server.Close; the process
// lives until the Handler returns, so one that ignores ctx is one that even
// KILL cannot end.
type Handler func(ctx context.Context, c *Command) Exit

// Command is a command that a client asked for.
type Command struct {
	// Text is the command line as it was sent.
	Text string
	User string
	// Env holds what the client set by env requests.
	Env map[string]string
	// Stdin ends when the client says so or is gone.
	Stdin io.Reader
	// Stdout and Stderr fail once the client has closed the session. They may
	// be used until the Handler, or the Exit's Background, has returned.
	Stdout, Stderr io.Writer

	process *process
}

// Trap delivers the named signals, "TERM" and the like, to the channel instead
// of ending the command. KILL cannot be trapped. A signal is dropped if 16 wait.
func (c *Command) Trap(names ...string) <-chan string {
	c.process.mu.Lock()
	defer c.process.mu.Unlock()
	if c.process.traps == nil {
		c.process.traps = make(chan string, 16)
	}
	for _, n := range names {
		if n != "KILL" {
			c.process.trapped = append(c.process.trapped, n)
		}
	}
	return c.process.traps
}

// Exit is how a command ended. A command that a signal ended reports that
// signal, whatever the Handler returns.
type Exit struct {
	Status int
	// Signal, if set, is reported instead of Status: "SEGV".
	Signal string
	// NoStatus: the session is closed without either, as when sshd is killed.
	NoStatus bool
	// Background, if set, is a child that lives on and holds the output open:
	// the exit is reported, and the session is closed when it has returned. Its
	// ctx ends with the server only.
	Background func(ctx context.Context)
}

// process is a command's life as far as signals go.
type process struct {
	end context.CancelFunc

	mu       sync.Mutex // guards what follows
	traps    chan string
	trapped  []string
	killedBy string // the signal that ends it; "" if none
	ended    bool
}

// signal delivers a signal, unless it is lost. The answer says whether it was
// delivered, and is sent before the process can end, as with OpenSSH.
func (p *process) signal(name string, lost bool, answer func(delivered bool)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	known := slices.Contains([]string{"HUP", "INT", "KILL", "QUIT", "TERM", "USR1", "USR2"}, name)
	if !known || lost || p.ended {
		answer(false)
		return
	}
	answer(true)
	if slices.Contains(p.trapped, name) {
		select {
		case p.traps <- name:
		default:
		}
		return
	}
	if p.killedBy == "" || name == "KILL" {
		p.killedBy = name
	}
	p.end()
}

// finish marks the process as ended and says how.
func (p *process) finish(e Exit) Exit {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	if p.killedBy != "" {
		e.Status, e.Signal = 0, p.killedBy
	}
	return e
}

// session is one session channel, its process and the slot they hold.
type session struct {
	conn   *serverConn
	user   string
	ch     ssh.Channel
	closed chan struct{} // by the client, or with the connection
	used   chan struct{} // closed when it has been asked to run something

	env     map[string]string
	process *process
}

// serve answers the requests of a session until its channel is closed.
func (s *session) serve(requests <-chan *ssh.Request) {
	for r := range requests {
		s.request(r)
	}
	close(s.closed)
	s.conn.mu.Lock()
	delete(s.conn.sessions, s)
	s.conn.mu.Unlock()
	if s.process == nil {
		s.conn.freeSlot()
	}
}

// closeDangling closes a session that is not used in time.
func (s *session) closeDangling() {
	select {
	case <-s.used:
	case <-s.closed:
	case <-time.After(s.conn.server.cfg.DanglingTimeout):
		s.ch.Close()
	}
}

func (s *session) request(r *ssh.Request) {
	server := s.conn.server
	switch r.Type {
	case "env":
		var kv struct{ Name, Value string }
		if err := ssh.Unmarshal(r.Payload, &kv); err != nil {
			r.Reply(false, nil)
			return
		}
		if s.env == nil {
			s.env = map[string]string{}
		}
		s.env[kv.Name] = kv.Value
		r.Reply(true, nil)
	case "exec":
		s.exec(r)
	case "signal":
		var sig struct{ Name string }
		lost := server.losesSignal()
		stall := server.currentFaults().StallSignals
		if err := ssh.Unmarshal(r.Payload, &sig); err != nil || s.process == nil {
			r.Reply(false, nil)
			return
		}
		s.process.signal(sig.Name, lost || stall, func(delivered bool) {
			if !stall {
				r.Reply(delivered, nil)
			}
		})
	default:
		r.Reply(false, nil)
	}
}

func (s *session) exec(r *ssh.Request) {
	server := s.conn.server
	f := server.currentFaults()
	if server.drops(DropAtExec) {
		s.conn.gate.Close()
		return
	}
	var payload struct{ Text string }
	if err := ssh.Unmarshal(r.Payload, &payload); err != nil || s.process != nil || f.RefuseExec {
		r.Reply(false, nil)
		return
	}
	close(s.used)
	s.conn.ran(1)
	ctx, end := server.life()
	s.process = &process{end: end}
	c := &Command{
		Text: payload.Text, User: s.user, Env: s.env, Stdin: s.ch,
		Stdout: &output{s, s.ch}, Stderr: &output{s, s.ch.Stderr()}, process: s.process,
	}
	server.count(func(n *Counts) { n.Commands++; n.RunningNow++ })
	begin := make(chan struct{}) // the reply comes before all output, as with OpenSSH
	server.wg.Go(func() { s.run(ctx, c, begin) })
	if server.drops(DropAtStart) {
		s.conn.gate.Close()
	} else if !f.StallExec {
		r.Reply(true, nil)
	}
	close(begin)
	if server.drops(DropAfterExec) {
		s.conn.gate.Close()
	}
}

// run is the life of the process, and then the end of the session.
func (s *session) run(ctx context.Context, c *Command, begin <-chan struct{}) {
	server := s.conn.server
	<-begin
	e := s.process.finish(server.cfg.Handler(ctx, c))
	s.process.end()
	s.conn.ran(-1)
	server.count(func(n *Counts) { n.RunningNow-- })
	switch {
	case e.NoStatus:
	case e.Signal != "":
		s.ch.SendRequest("exit-signal", false, ssh.Marshal(struct {
			Signal     string
			CoreDumped bool
			Error      string
			Lang       string
		}{Signal: e.Signal}))
	default:
		s.ch.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{uint32(e.Status)}))
	}
	if server.drops(DropAtExit) {
		s.conn.gate.Close()
	}
	// The slot is free when the client has closed the channel, too: a child in
	// the background does not hold it.
	server.wg.Go(func() {
		<-s.closed
		s.conn.freeSlot()
	})
	if e.Background != nil {
		child, end := server.life()
		e.Background(child)
		end()
	}
	s.ch.CloseWrite()
	s.ch.Close()
}

// output is a stream of a command.
type output struct {
	session *session
	w       io.Writer
}

func (o *output) Write(p []byte) (int, error) {
	n, err := o.w.Write(p)
	if err != nil {
		return n, errors.New("broken pipe: the client has closed the session")
	}
	if n > 0 && o.session.conn.server.drops(DropAtOutput) {
		o.session.conn.gate.Close()
	}
	return n, nil
}
