// Package shellpolicy says what a shell command line would do and whether it
// may run. It is pure: no I/O, no clock, no state.
//
//	v := shellpolicy.Judge("docker restart web", shellpolicy.Policy{Mode: shellpolicy.Auto})
//	if v.Decision == shellpolicy.Allow {
//		run("/bin/sh", v.Canonical) // never the text that was asked for
//	}
//
// The line is parsed as POSIX shell and every node is walked. A node that is
// not modelled refuses the line; so does a program, a sub-command, a flag or an
// operand that the catalogue (catalogue/*.txt) does not list. Only a positive
// match allows. Programs that run other programs (timeout, xargs, sh -c) are
// looked through, or refused.
//
// Guaranteed: Judge is total, never panics and takes bounded time; no verdict
// means no; what is allowed is printed anew from the accepted tree, every word
// quoted, and Judge gives the same Canonical for it again.
//
// Not guaranteed: that a program does what its manual says, that a path is no
// symbolic link to another, that a name on PATH is the program one thinks of.
// The policy is a filter, not the boundary. The boundary is the account on the
// host.
package shellpolicy
