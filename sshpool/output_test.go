package sshpool

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"lifeline/sshpool/sshtest"
)

func TestOutputBytes(t *testing.T) {
	for _, c := range []struct {
		o    Output
		want string
	}{
		{Output{}, ""},
		{Output{Head: []byte("ab"), Tail: []byte("cd")}, "abcd"},
		{Output{Head: []byte("ab"), Tail: []byte("cd"), Omitted: 12}, "ab\n[... 12 bytes omitted ...]\ncd"},
	} {
		if got := string(c.o.Bytes()); got != c.want || c.o.Truncated() != (c.o.Omitted > 0) {
			t.Errorf("%+v: %q", c.o, got)
		}
	}
}

// Whatever comes in whatever pieces: the head and the tail are the first and
// the last bytes, and none is counted twice or lost.
func TestKeeper(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := keeper{headMax: rapid.IntRange(0, 8).Draw(t, "head"), tailMax: rapid.IntRange(0, 8).Draw(t, "tail")}
		var all []byte
		for _, piece := range rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 0, 20)).Draw(t, "pieces") {
			k.write(piece)
			all = append(all, piece...)
		}
		o := k.output()
		if !bytes.HasPrefix(all, o.Head) || !bytes.HasSuffix(all, o.Tail) {
			t.Fatalf("%q gave %+v", all, o)
		}
		if len(o.Head)+len(o.Tail)+int(o.Omitted) != len(all) {
			t.Fatalf("%d bytes gave %+v", len(all), o)
		}
		if len(o.Head) != min(len(all), k.headMax) || len(o.Tail) != min(len(all)-len(o.Head), k.tailMax) {
			t.Fatalf("%d bytes with bounds %d and %d gave %+v", len(all), k.headMax, k.tailMax, o)
		}
	})
}

func TestOutputIsBounded(t *testing.T) {
	const size = 20 << 20 // ten times the window of a channel
	inBubble(t, sshtest.Config{}, func(c *Config) { c.OutputHead, c.OutputTail = 10, 5 }, func(t *testing.T, l lab) {
		seen := 0
		r, err := l.Run(t.Context(), "nexus", Command{Script: fmt.Sprint("spew ", size), OnOutput: func(s Stream, chunk []byte) {
			if s == Stdout {
				seen += len(chunk)
			}
		}})
		want := Output{Head: []byte("aaaaaaaaaa"), Tail: []byte("aaaaa"), Omitted: size - 15}
		if diff := cmp.Diff(want, r.Stdout); diff != "" || err != nil || seen != size {
			t.Errorf("%v, %d seen, %s", err, seen, diff)
		}
	})
}

func TestOnOutputStopsWithRun(t *testing.T) {
	var more chan struct{} // made in the bubble
	handler := func(ctx context.Context, c *sshtest.Command) sshtest.Exit {
		fmt.Fprint(c.Stdout, "before")
		return sshtest.Exit{Background: func(context.Context) {
			<-more
			fmt.Fprint(c.Stdout, "after")
		}}
	}
	inBubble(t, sshtest.Config{Handler: handler}, nil, func(t *testing.T, l lab) {
		more = make(chan struct{})
		var got strings.Builder
		r, err := l.Run(t.Context(), "nexus", Command{Script: "x", OnOutput: func(_ Stream, chunk []byte) { got.Write(chunk) }})
		close(more)
		if err != nil || got.String() != "before" || string(r.Stdout.Bytes()) != "before" {
			t.Errorf("%q, %+v, %v", got.String(), r, err)
		}
	})
}
