package shellpolicy

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// stub stands for every program of the catalogue. It writes down the words that
// it was given and then does a little: programs that run others run them, those
// that pass lines on pass them on, and the others print what they are told to.
const stub = `#!/bin/sh
me=${0##*/}
printf '%s\0' "$#" "$me" "$@" >>"$STUB_LOG"
case $me in
sh|bash|dash) exec /bin/sh "$@" ;;
xargs|env|timeout|nice|nohup|stdbuf) exec "/usr/bin/$me" "$@" ;;
cat|head|tail|sort|grep) exec /bin/cat 2>/dev/null ;;
esac
case "$me $*" in
"pgrep -o"*|"pidof -s"*) echo web1; exit ;;
"find "*-print0*) printf '%s\0' "$1/a -delete;b"; exit ;;
esac
case " docker docker-compose podman pgrep pidof wc awk nproc systemctl lxc " in
*" $me "*) printf 'web1\ndb2\n' ;;
*) printf '%s\n' "$STUB_TEXT" ;;
esac
case $me in false) exit 1 ;; esac
`

// TestWhatWasJudgedIsWhatRuns gives every command that is let through to real
// shells, with stubs for all programs, and proves that each list of words that a
// program was started with is one that the judge had seen.
func TestWhatWasJudgedIsWhatRuns(t *testing.T) {
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	source := filepath.Join(dir, "stub")
	if err := os.WriteFile(source, []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	for name := range catalogue() {
		if err := os.Symlink(source, filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	var commands []string
	for _, s := range samples(t, "modelled.txt") {
		// A path is no name that a stub could stand for, and a loop without end has none.
		if v := Judge(s.command, Policy{Mode: Auto}); v.Canonical != "" && !strings.Contains(v.Canonical, "/bin/") {
			commands = append(commands, v.Canonical)
		}
	}
	if len(commands) < 400 {
		t.Fatalf("only %d commands are let through", len(commands))
	}
	var started sync.Map
	work := make(chan string)
	var wg sync.WaitGroup
	for worker := range 2 {
		wg.Go(func() {
			log := filepath.Join(dir, "log"+strconv.Itoa(worker))
			for command := range work {
				for _, shell := range []string{"/bin/dash", "/bin/bash"} {
					for _, text := range []string{"web1", "-rf / $(reboot) * 'x\n;reboot"} {
						n, err := compareWords(t.Context(), shell, bin, log, text, command)
						if err != nil {
							t.Errorf("%s: %q: %v", shell, command, err)
						}
						started.Store(command, n)
					}
				}
			}
		})
	}
	for _, c := range commands {
		work <- c
	}
	close(work)
	wg.Wait()
	ran := 0
	started.Range(func(_, n any) bool {
		if n.(int) > 0 {
			ran++
		}
		return true
	})
	if ran < 350 {
		t.Errorf("only %d of %d commands started a program: the stubs are not found", ran, len(commands))
	}
}

// compareWords runs one command and holds what was started against what was
// judged. It gives the number of programs that were started.
func compareWords(ctx context.Context, shell, bin, log, text, command string) (int, error) {
	var judged [][]arg
	j := &judge{policy: Policy{Mode: Auto}, again: true, seen: func(words []arg) { judged = append(judged, words) }}
	var v Verdict
	j.line(command, &v)
	if err := os.WriteFile(log, nil, 0o600); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, shell, "-c", command)
	cmd.Env = []string{"PATH=" + bin, "STUB_LOG=" + log, "STUB_TEXT=" + text, "LC_ALL=C.UTF-8", "HOME=/root", "HOSTNAME=h", "USER=u", "LOGNAME=u"}
	cmd.WaitDelay = time.Minute
	_ = cmd.Run() // its exit status means nothing here
	if ctx.Err() != nil {
		return 0, fmt.Errorf("it did not come to an end")
	}
	raw, err := os.ReadFile(log)
	if err != nil {
		return 0, err
	}
	fields := strings.Split(string(bytes.TrimSuffix(raw, []byte{0})), "\x00")
	n := 0
	for len(raw) > 0 && len(fields) > 0 {
		count, err := strconv.Atoi(fields[0])
		if err != nil || len(fields) < count+2 {
			return n, fmt.Errorf("the log of the stubs is broken at %q", fields[0])
		}
		words := fields[1 : count+2]
		fields = fields[count+2:]
		n++
		if !wasJudged(judged, words) {
			return n, fmt.Errorf("%q was started, which was not judged; judged were %q", words, showAll(judged))
		}
	}
	return n, nil
}

func showAll(judged [][]arg) []string {
	var out []string
	for _, words := range judged {
		var b strings.Builder
		for _, w := range words {
			fmt.Fprintf(&b, "[%s many=%v shape=%d] ", strings.ReplaceAll(w.text, anyDepth, "**"), w.many, w.shape)
		}
		out = append(out, b.String())
	}
	return out
}

func wasJudged(judged [][]arg, words []string) bool {
	for _, j := range judged {
		if wordsFit(j, words) {
			return true
		}
	}
	return false
}

// wordsFit reports whether the words that a program saw are among those that
// the judge allowed for.
func wordsFit(judged []arg, words []string) bool {
	if len(judged) == 0 {
		return len(words) == 0
	}
	a := judged[0]
	if a.many && wordsFit(judged[1:], words) {
		return true
	}
	if len(words) == 0 || !wordFits(a, words[0]) {
		return false
	}
	return a.many && wordsFit(judged, words[1:]) || wordsFit(judged[1:], words[1:])
}

func wordFits(a arg, word string) bool {
	switch a.shape {
	case exact:
		return a.text == word || filepath.Base(a.text) == word && strings.HasPrefix(a.text, "/")
	case anyText:
		return strings.HasPrefix(word, a.text)
	}
	if home, ok := strings.CutPrefix(a.text, "~"); ok {
		return strings.HasPrefix(word, "/root") && strings.HasSuffix(word, strings.TrimSuffix(home, "/"))
	}
	if !a.safe && word == a.text {
		return true // a glob that nothing fits stays as it is
	}
	if a.safe && strings.ContainsAny(word, " \n*?$'") {
		return a.text == "*" && word == "web1\ndb2" // two names in one pair of quotes
	}
	return newGlob(a.text).meets(newGlob(escapeGlob(word)))
}
