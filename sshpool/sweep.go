package sshpool

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A signal to a session reaches its process group, and not always that: not what
// has a group or a session of its own (timeout in a compound command, set -m,
// setsid), and with OpenSSH before 9.9 nothing of root's, nor with any version a
// forced command. So every process of a command carries a mark in its
// environment, and after a kill a second session on the same connection looks
// for what carries it, ends that, and says what is gone.

// markName is the variable that carries the mark of a command.
const markName = "SSHPOOL_ID"

// newMark is 128 random bits or more.
func newMark() string { return rand.Text() }

const (
	// sweepSlack is what a sweep may take beside its two graces: a session, and
	// some looks through /proc.
	sweepSlack = 4 * time.Second
	// sweepRetry is the pause before a session for a sweep is asked for again.
	sweepRetry = 50 * time.Millisecond
)

// sweep is what a look for the processes of a command came to.
type sweep struct {
	found, left int
	denied      int    // of those left, by processes of other users
	failed      string // why it did not happen, as a part of a sentence
}

func (w *sweep) ran() bool { return w != nil && w.failed == "" }

// clean reports whether the look was made and nothing is left.
func (w *sweep) clean() bool { return w.ran() && w.left == 0 }

// note says what is known, as a part of a sentence; "" if there is nothing to add.
func (w *sweep) note() string {
	switch {
	case w == nil:
		return ""
	case w.failed != "":
		return "; what may have left its process group was not looked for: " + w.failed
	case w.left > 0 && w.denied > 0:
		return fmt.Sprintf("; of %d processes of it found through /proc %d are left, %d of them of another user: they may still run", w.found, w.left, w.denied)
	case w.left > 0:
		return fmt.Sprintf("; of %d processes of it found through /proc %d are left: they may still run", w.found, w.left)
	case w.found > 0:
		return fmt.Sprintf("; %d processes of it were found through /proc and ended", w.found)
	}
	return "; a look through /proc found nothing left of it"
}

// sweepScript is for any POSIX shell. It ends every process that carries the
// mark in its environment, whatever else is in a session that such a process
// leads, or that nobody leads any more, and what these have started: TERM, a
// grace, KILL. It never takes the session that it is in itself: a server that
// makes none for its commands would be in it, too. Both graces are counted in
// tenths of a second. It says on its last line how many it
// found, how many are left, and how many of these it may not send signals to.
//
// Each line of /proc/PID/stat is taken from the file of that PID, and only its
// first: the name in it may hold anything, also a newline and another line.
//
// session is the id of a session that is known to be the command's; 0: none is.
func sweepScript(mark string, session int, term, kill time.Duration) string {
	tenths := func(d time.Duration) int { return int((d + 99*time.Millisecond) / (100 * time.Millisecond)) }
	known := ""
	if session > 0 {
		known = fmt.Sprintf("\" %d\"", session)
	}
	return fmt.Sprintf("mark=%s=%s sids=%s term=%d kill=%d\n", markName, mark, known, tenths(term), tenths(kill)) + `unset IFS
[ -r /proc/self/stat ] && [ -r /proc/self/environ ] || { echo "sshpool: no /proc"; exit 0; }
mine=
read -r line <"/proc/$$/stat"
rest=${line##*") "}
set -- $rest
mine=$4 found= told=
look() {
	marked= table= left=
	for f in $(grep -lsF "$mark" /proc/[0-9]*/environ); do
		f=${f#/proc/}; marked="$marked ${f%%/environ}"
	done
	for d in /proc/[0-9]*; do
		line=
		read -r line 2>/dev/null <"$d/stat" || continue
		rest=${line##*") "}
		[ "$rest" != "$line" ] || continue
		set -- $rest
		case $1 in Z|X) continue;; esac
		table="$table ${d#/proc/}:$2:$4"
	done
	for e in $table; do
		p=${e%%:*} s=${e##*:}
		case "$marked " in *" $p "*) ;; *) continue;; esac
		case "$sids $mine " in *" $s "*) continue;; esac
		case "$marked " in
		*" $s "*) sids="$sids $s";;
		*) case "$table " in *" $s:"*) ;; *) sids="$sids $s";; esac;;
		esac
	done
	grew=1
	while [ $grew = 1 ]; do
		grew=0
		for e in $table; do
			p=${e%%:*} s=${e##*:} q=${e#*:}; q=${q%%:*}
			case "$left " in *" $p "*) continue;; esac
			case "$marked $found " in *" $p "*) ;; *)
				case "$sids " in *" $s "*) ;; *)
					case "$left " in *" $q "*) ;; *) continue;; esac;;
				esac;;
			esac
			left="$left $p" grew=1
		done
	done
	for p in $left; do
		case "$found " in *" $p "*) ;; *) found="$found $p";; esac
	done
}
pause() { sleep 0.1 2>/dev/null || { sleep 1; i=$((i+9)); }; }
i=0
look
while [ -n "$left" ] && [ $i -lt $term ]; do
	for p in $left; do
		case "$told " in *" $p "*) ;; *) told="$told $p"; kill -TERM $p 2>/dev/null;; esac
	done
	pause; i=$((i+1)); look
done
i=0
while [ -n "$left" ] && [ $i -lt $kill ]; do
	kill -KILL $left 2>/dev/null
	pause; i=$((i+1)); look
done
denied=0
for p in $left; do kill -0 $p 2>/dev/null || denied=$((denied+1)); done
set -- $found; n=$#
set -- $left
echo "sshpool: found $n left $# denied $denied"
`
}

// parseSweep reads the last line of a sweep.
func parseSweep(out []byte) *sweep {
	text := string(out)
	if at := strings.LastIndex(text, "sshpool: "); at >= 0 {
		w := &sweep{}
		if _, err := fmt.Sscanf(text[at:], "sshpool: found %d left %d denied %d", &w.found, &w.left, &w.denied); err == nil {
			return w
		}
		if strings.HasPrefix(text[at:], "sshpool: no /proc") {
			return &sweep{failed: "the host has no /proc"}
		}
	}
	return &sweep{failed: "the host's shell did not do it"}
}

// maySweep reports whether the processes of a job can be looked for.
func (s *session) maySweep(j *job) bool { return j.mark != "" && !s.c.line.target.forced }

// sweep looks for the processes of a job in a session of its own, on the same
// connection, and ends them. It never waits in the queue.
func (s *session) sweep(j *job) *sweep {
	l := s.c.line
	grace := max(j.grace, leastGrace)
	ctx, cancel := context.WithTimeoutCause(context.Background(), j.grace+grace+sweepSlack, errors.New("the sweep took too long"))
	defer cancel()
	helper, err := l.helperSession(ctx, s.c)
	if err != nil {
		return &sweep{failed: err.Error()}
	}
	h := &job{
		text: execText(Command{Shell: "/bin/sh", Script: sweepScript(j.mark, 0, j.grace, grace), Sudo: j.cmd.Sudo}, ""),
		run:  j.grace + grace + sweepSlack, grace: leastGrace, helper: true,
	}
	r := &Result{Outcome: NotStarted}
	if err := helper.run(ctx, h, r); err != nil {
		return &sweep{failed: err.Error()}
	}
	return parseSweep(r.Stdout.Bytes())
}

// helperSession opens a session beside the queue. It may ask for one more than
// the limit: a process that cannot be ended is worse than a refusal.
func (l *line) helperSession(ctx context.Context, c *connection) (*session, error) {
	silent := errors.New("the server did not answer the request for a session")
	for {
		l.mu.Lock()
		if s := c.takeSpareLocked(); s != nil {
			l.unlock()
			return s, nil
		}
		c.slots++
		l.unlock()
		a := &asker{got: make(chan opening, 1)} // before everybody else
		c.ask(a)
		var gaveUp error
		select {
		case o := <-a.got:
			a.got <- o
		case <-c.dead():
			gaveUp = errLostMeanwhile
		case <-ctx.Done():
			gaveUp = silent
		}
		l.mu.Lock()
		waiting := c.withdrawLocked(a)
		l.unlock()
		if waiting {
			return nil, gaveUp // the slot is freed when the answer comes
		}
		o := <-a.got
		if o.s != nil {
			return o.s, nil
		}
		l.release(c)
		if _, refused := refusal(o.err); !refused {
			return nil, errLostMeanwhile
		}
		silent = errors.New("the server had no session for it")
		select {
		case <-time.After(sweepRetry):
		case <-c.dead():
			return nil, errLostMeanwhile
		case <-ctx.Done():
			return nil, silent
		}
	}
}

var errLostMeanwhile = errors.New("the connection was lost")
