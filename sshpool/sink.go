package sshpool

import (
	"io"
	"sync"
	"time"
)

const (
	// drainQuiet is how long output may be silent after the exit until it is
	// taken for complete: a child in the background can hold it open for ever.
	drainQuiet = 200 * time.Millisecond
	// drainMost bounds the wait for output that keeps coming after the exit.
	drainMost = 5 * time.Second
)

// sink takes the outputs of one command. It always takes everything, so that
// the remote side never waits for us.
type sink struct {
	mu       sync.Mutex // guards what follows, and is held while onOutput is called
	onOutput func(Stream, []byte)
	onLine   func(Stream, []byte)
	lines    [2]lineCutter // of stdout and stderr
	stdout   keeper
	stderr   keeper
	last     time.Time // of the last output
	detached bool
}

func newSink(cfg Config, cmd Command) *sink {
	k := keeper{headMax: cfg.OutputHead, tailMax: cfg.OutputTail}
	return &sink{onOutput: cmd.OnOutput, onLine: cmd.OnLine, stdout: k, stderr: k, last: time.Now()}
}

// copy reads a stream to its end.
func (s *sink) copy(stream Stream, r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			s.take(stream, buf[:n])
		}
		if err != nil {
			return
		}
	}
}

func (s *sink) take(stream Stream, p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Now()
	if s.detached {
		return
	}
	k := &s.stdout
	if stream == Stderr {
		k = &s.stderr
	}
	k.write(p)
	if s.onOutput != nil {
		s.onOutput(stream, p)
	}
	if s.onLine != nil {
		s.lines[stream-Stdout].write(p, func(line []byte) { s.onLine(stream, line) })
	}
}

// quiet is how long no output has come.
func (s *sink) quiet() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.last)
}

// detach ends the keeping: what comes later is read and thrown away.
func (s *sink) detach() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.detached {
		return
	}
	s.detached = true
	for i := range s.lines {
		if s.onLine != nil {
			s.lines[i].flush(func(line []byte) { s.onLine(Stdout+Stream(i), line) })
		}
	}
}

func (s *sink) outputs() (stdout, stderr Output) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stdout.output(), s.stderr.output()
}

// drain waits for the rest of the output of a process that has ended: until eof,
// or until it is silent. closed, if it is not nil, says that eof is near. It
// reports whether all of the output has come.
func drain(s *sink, eof, closed <-chan struct{}) bool {
	most := time.NewTimer(drainMost)
	defer most.Stop()
	begun := time.Now()
	for {
		silent := min(time.Since(begun), s.quiet())
		if silent >= drainQuiet {
			return false
		}
		quiet := time.NewTimer(drainQuiet - silent)
		select {
		case <-eof:
			quiet.Stop()
			return true
		case <-closed:
			quiet.Stop()
			<-eof
			return true
		case <-most.C:
			quiet.Stop()
			return false
		case <-quiet.C:
		}
	}
}
