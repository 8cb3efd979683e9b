package sshpool

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// maxFile bounds what ReadFile and WriteFile move, in bytes: they are for
// configuration files.
const maxFile = 1 << 20

// FileOptions are for ReadFile and WriteFile. The clocks are the Config's.
type FileOptions struct {
	// Sudo reads or writes as root by "sudo -n".
	Sudo bool
	// Mode of a file that WriteFile makes; 0: 0644. One that exists keeps its own,
	// and its owner and group.
	Mode fs.FileMode
	// Replaces, if not nil, is what WriteFile expects to replace: with any other
	// content, or no file, nothing is written and the error is of KindFile.
	Replaces []byte
}

// File is a file of a host.
type File struct {
	Data     []byte
	Mode     fs.FileMode // permissions and the setuid, setgid and sticky bits
	UID, GID int
}

// The scripts end with these statuses; each has its sentence in fileProblem.
const (
	fileMissing = iota + 40
	fileNotRegular
	fileTooBig
	fileNotReadable
	fileNoFolder
	fileNotWritten
	fileCutOff
	fileChanged
	fileOwner
	fileBackup
)

func fileProblem(status int) (message, hint string) {
	switch status {
	case fileMissing:
		return "there is no such file", ""
	case fileNotRegular:
		return "it is not a regular file", ""
	case fileTooBig:
		return fmt.Sprintf("it has more than %d bytes", maxFile), "run a command that prints the part that matters"
	case fileNotReadable:
		return "it cannot be read", "the account needs the right, or FileOptions.Sudo"
	case fileNoFolder:
		return "its folder does not exist", ""
	case fileNotWritten:
		return "nothing was written: its folder cannot be written to, or the disk is full", "the account needs the right, or FileOptions.Sudo; df shows whether the disk is full"
	case fileCutOff:
		return "nothing was written: not all of it arrived", ""
	case fileChanged:
		return "nothing was written: it does not have the expected content any more", "read it again"
	case fileOwner:
		return "nothing was written: its owner, group or mode cannot be kept", "FileOptions.Sudo may be needed"
	case fileBackup:
		return "nothing was written: its backup cannot be written", "df shows whether the disk is full"
	}
	return "", ""
}

// ReadFile reads a regular file of at most 1 MiB. It needs no SFTP, but head and
// a stat that knows -c (GNU, busybox). The error is an *Error, of KindFile if it is about the file.
func (p *Pool) ReadFile(ctx context.Context, host, name string, o FileOptions) (*File, error) {
	if err := checkPath(host, name); err != nil {
		return nil, err
	}
	script := fmt.Sprintf("f=%s\n", quote(name)) + fmt.Sprintf(`[ -e "$f" ] || exit %d
[ -f "$f" ] || exit %d
[ -r "$f" ] || exit %d
stat -Lc '%%a %%u %%g %%s' -- "$f" || exit 1
exec head -c %d <"$f"
`, fileMissing, fileNotRegular, fileNotReadable, maxFile+1)
	var out bytes.Buffer
	r, err := p.Run(ctx, host, Command{Script: script, Shell: "/bin/sh", Sudo: o.Sudo, OnOutput: func(s Stream, chunk []byte) {
		if s == Stdout && out.Len() <= maxFile+1024 {
			out.Write(chunk)
		}
	}})
	if err := fileError(host, "read "+name, r, err); err != nil {
		return nil, err
	}
	f := &File{}
	var mode uint32
	var size int
	head, data, _ := bytes.Cut(out.Bytes(), []byte("\n"))
	if _, err := fmt.Sscanf(string(head), "%o %d %d %d", &mode, &f.UID, &f.GID, &size); err != nil {
		return nil, &Error{Kind: KindFile, Host: host, Message: "read " + name + ": the host's stat or login shell says something else than was asked for: " + printable(string(head[:min(len(head), 200)]))}
	}
	if size > maxFile || len(data) > maxFile {
		return nil, statusError(host, "read "+name, fileTooBig, nil)
	}
	if r.OutputCut {
		return nil, &Error{Kind: KindLost, Host: host, Message: "read " + name + ": the connection was lost before all of it had come"}
	}
	if len(data) != size {
		return nil, &Error{Kind: KindFile, Host: host, Message: fmt.Sprintf("read %s: it changed while it was read: %d bytes came of %d", name, len(data), size), Hint: "read it again"}
	}
	f.Data, f.Mode = bytes.Clone(data), fileMode(mode)
	return f, nil
}

// fileMode is the mode that stat prints in octal.
func fileMode(unix uint32) fs.FileMode {
	mode := fs.FileMode(unix & 0o777)
	for bit, m := range map[uint32]fs.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if unix&bit != 0 {
			mode |= m
		}
	}
	return mode
}

// WriteFile replaces a regular file of at most 1 MiB, or makes it, in one step:
// whoever reads it sees all of the old or all of the new, whatever is cut when.
// A file that was there keeps its owner, group and mode, and is kept beside
// itself as backup, with the ending ".bak", over an older one; backup is "" if
// there was none. A link is followed. It needs no SFTP, but stat -c, readlink -f
// and, for Replaces, sha256sum.
//
// The error is an *Error, of KindFile if nothing was written because of the file.
// The Result says what is known of an outcome that is not Exited: with Unknown
// the file may be replaced or not, and nothing in between.
func (p *Pool) WriteFile(ctx context.Context, host, name string, data []byte, o FileOptions) (backup string, r *Result, err error) {
	r = &Result{Host: host, Outcome: NotStarted}
	if err := checkPath(host, name); err != nil {
		return "", r, err
	}
	if len(data) > maxFile || o.Mode&^fs.ModePerm != 0 {
		return "", r, configError(host, "WriteFile: %d bytes with mode %v, want at most %d bytes and permissions only", len(data), o.Mode, maxFile)
	}
	if o.Mode == 0 {
		o.Mode = 0o644
	}
	expected := ""
	if o.Replaces != nil {
		expected = fmt.Sprintf("%x", sha256.Sum256(o.Replaces))
	}
	if data == nil {
		data = []byte{}
	}
	script := fmt.Sprintf("f=%s size=%d mode=%o expected=%s\n", quote(name), len(data), o.Mode, expected) + fmt.Sprintf(`umask 077
d=$(dirname -- "$f")
[ -d "$d" ] || exit %d
if [ -e "$f" ]; then
	f=$(readlink -f -- "$f") || exit 1
	[ -f "$f" ] || exit %d
elif [ -n "$expected" ]; then
	exit %d
fi
t="$f.new.$$"
trap 'rm -f -- "$t"' EXIT
trap 'exit %[5]d' HUP INT TERM
cat >"$t" || exit %[5]d
[ "$(wc -c <"$t")" -eq "$size" ] || exit %[4]d
if [ -e "$f" ]; then
	if [ -n "$expected" ]; then
		have=$(sha256sum <"$f") || exit 1
		[ "${have%%%% *}" = "$expected" ] || exit %[3]d
	fi
	chown "$(stat -c %%u:%%g -- "$f")" "$t" && chmod "$(stat -c %%a -- "$f")" "$t" || exit %[6]d
	cp -p -- "$f" "$f.bak.$$" && mv -f -- "$f.bak.$$" "$f.bak" || { rm -f -- "$f.bak.$$"; exit %[7]d; }
	echo "$f.bak"
else
	chmod "$mode" "$t" || exit %[5]d
fi
mv -f -- "$t" "$f" || exit %[5]d
`, fileNoFolder, fileNotRegular, fileChanged, fileCutOff, fileNotWritten, fileOwner, fileBackup)
	r, err = p.Run(ctx, host, Command{Script: script, Shell: "/bin/sh", Sudo: o.Sudo, Stdin: data})
	if err := fileError(host, "write "+name, r, err); err != nil {
		return "", r, err
	}
	return strings.TrimSuffix(string(r.Stdout.Bytes()), "\n"), r, nil
}

func checkPath(host, name string) error {
	if !path.IsAbs(name) || strings.ContainsAny(name, "\x00\n") {
		return configError(host, "the file's name is %q, want an absolute path without line ends", name)
	}
	return nil
}

// fileError is the error of a script that did not end with 0.
func fileError(host, what string, r *Result, err error) error {
	switch {
	case err != nil:
		return err
	case r.Outcome == Exited && r.ExitStatus == 0:
		return nil
	case r.Outcome == Exited:
		return statusError(host, what, r.ExitStatus, r.Stderr.Bytes())
	}
	return &Error{Kind: KindLost, Host: host, Message: what + ": ended by signal " + r.Signal + "; it may have been done or not"}
}

func statusError(host, what string, status int, stderr []byte) *Error {
	e := &Error{Kind: KindFile, Host: host}
	if said := printable(string(stderr[:min(len(stderr), 500)])); said != "" {
		e.Err = errors.New(said)
	}
	message, hint := fileProblem(status)
	if message == "" {
		message = fmt.Sprintf("the host's shell ended with status %d", status)
	}
	e.Message, e.Hint = what+": "+message, hint
	return e
}
