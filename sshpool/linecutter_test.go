package sshpool

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeline/sshpool/sshtest"
)

// However the stream is cut into chunks, the lines are the same, and none is
// longer than the bound.
func TestLineCutter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lengths := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 20), rapid.SampledFrom([]int{MaxLine - 1, MaxLine, MaxLine + 1, 2*MaxLine + 5})), 0, 8).Draw(t, "lengths")
		var stream []byte
		var want []string
		for i, n := range lengths {
			line := bytes.Repeat([]byte{byte('a' + i)}, n)
			stream = append(stream, line...)
			for len(line) > MaxLine {
				want = append(want, string(line[:MaxLine]))
				line = line[MaxLine:]
			}
			last := i == len(lengths)-1
			if ended := !last || rapid.Bool().Draw(t, "ended"); ended {
				stream = append(stream, '\n')
				want = append(want, string(line))
			} else if n > 0 {
				want = append(want, string(line))
			}
		}
		var c lineCutter
		var got []string
		take := func(line []byte) { got = append(got, string(line)) }
		for len(stream) > 0 {
			n := rapid.IntRange(1, len(stream)).Draw(t, "chunk")
			c.write(stream[:n], take)
			stream = stream[n:]
			if len(c.partial) > MaxLine {
				t.Fatalf("%d bytes are kept", len(c.partial))
			}
		}
		c.flush(take)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatal(diff)
		}
	})
}

// Lines come while the command runs, each stream for itself, and the rest before
// Run returns; bounds and outcome are those of any command.
func TestOnLine(t *testing.T) {
	handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		for i := range 3 {
			fmt.Fprintf(c.Stdout, "li")
			fmt.Fprintf(c.Stderr, "error %d\n", i)
			time.Sleep(time.Second)
			fmt.Fprintf(c.Stdout, "ne %d\n", i)
		}
		io.WriteString(c.Stdout, "rest")
		<-ctx.Done()
		return sshtest.Exit{}
	}
	inBubble(t, sshtest.Config{Handler: handler}, func(c *Config) { c.RunTimeout, c.OutputHead, c.OutputTail = 10*time.Second, 4, 4 }, func(t *testing.T, l lab) {
		begun := time.Now()
		var got []string
		r, err := l.Run(t.Context(), "nexus", Command{Script: "x", OnLine: func(s Stream, line []byte) {
			got = append(got, fmt.Sprintf("%v %d %s", time.Since(begun), s, line))
		}})
		if kindOf(err) != KindRunTimeout || !r.Kill.Confirmed || !r.Stdout.Truncated() {
			t.Errorf("%+v, %v", r, err)
		}
		want := "0s 2 error 0|1s 1 line 0|1s 2 error 1|2s 1 line 1|2s 2 error 2|3s 1 line 2|10s 1 rest"
		// What comes at the same instant on both streams comes in any order.
		swap := strings.NewReplacer("1s 2 error 1|1s 1 line 0", "1s 1 line 0|1s 2 error 1", "2s 2 error 2|2s 1 line 1", "2s 1 line 1|2s 2 error 2")
		if diff := cmp.Diff(want, swap.Replace(strings.Join(got, "|"))); diff != "" {
			t.Error(diff)
		}
	})
}
