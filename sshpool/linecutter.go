package sshpool

import "bytes"

// lineCutter makes lines of a stream that comes in chunks. It keeps at most
// MaxLine bytes.
type lineCutter struct {
	partial []byte // of the line that is not complete
}

// write hands out the lines that p completes, and full pieces of a long one.
func (c *lineCutter) write(p []byte, each func(line []byte)) {
	for len(p) > 0 {
		line, rest, ended := bytes.Cut(p, []byte("\n"))
		if room := MaxLine - len(c.partial); len(line) > room {
			// What does not fit is looked at again, with its line end.
			line, rest, ended = line[:room], p[room:], true
		}
		p = rest
		switch {
		case !ended:
			c.partial = append(c.partial, line...)
		case len(c.partial) == 0:
			each(line)
		default:
			c.partial = append(c.partial, line...)
			each(c.partial)
			c.partial = c.partial[:0]
		}
	}
}

// flush hands out what is left.
func (c *lineCutter) flush(each func(line []byte)) {
	if len(c.partial) > 0 {
		each(c.partial)
		c.partial = nil
	}
}
