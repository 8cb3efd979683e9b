package sshpool

import (
	"fmt"
	"slices"
)

// Output is what was kept of a stream.
type Output struct {
	Head, Tail []byte
	// Omitted counts the bytes between Head and Tail that were not kept.
	Omitted int64
}

// Bytes is the head and the tail, with a line between them that says how many
// bytes are missing, if any are.
func (o Output) Bytes() []byte {
	if o.Omitted == 0 {
		return slices.Concat(o.Head, o.Tail)
	}
	return slices.Concat(o.Head, fmt.Appendf(nil, "\n[... %d bytes omitted ...]\n", o.Omitted), o.Tail)
}

// Truncated reports whether bytes are missing.
func (o Output) Truncated() bool { return o.Omitted > 0 }

// keeper keeps the first and the last bytes of a stream. It is not safe for
// concurrent use.
type keeper struct {
	headMax, tailMax int
	head             []byte
	// tail holds up to twice tailMax bytes, so that old ones are moved out only
	// once in tailMax bytes.
	tail    []byte
	omitted int64
}

func (k *keeper) write(p []byte) {
	if room := k.headMax - len(k.head); room > 0 && len(k.tail) == 0 && k.omitted == 0 {
		n := min(room, len(p))
		k.head = append(k.head, p[:n]...)
		p = p[n:]
	}
	if over := len(p) - k.tailMax; over > 0 { // p alone fills the tail
		k.omitted += int64(len(k.tail) + over)
		k.tail = append(k.tail[:0], p[over:]...)
		return
	}
	k.tail = append(k.tail, p...)
	if len(k.tail) >= 2*k.tailMax && k.tailMax > 0 {
		k.trim()
	}
}

// trim drops what is older than the last tailMax bytes.
func (k *keeper) trim() {
	if over := len(k.tail) - k.tailMax; over > 0 {
		k.omitted += int64(over)
		k.tail = append(k.tail[:0], k.tail[over:]...)
	}
}

// output gives a copy of what is kept; the keeper may go on.
func (k *keeper) output() Output {
	k.trim()
	return Output{Head: slices.Clone(k.head), Tail: slices.Clone(k.tail), Omitted: k.omitted}
}
