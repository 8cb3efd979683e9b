package sshpool

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeline/sshpool/sshtest"
)

func TestFiles(t *testing.T) {
	p := localPool(t, nil)
	dir := t.TempDir()
	file := filepath.Join(dir, "it's a file.conf")
	binary := append(bytes.Repeat([]byte("\x00\xff\nline\r\n"), 20<<10), "no line end"...)

	if _, err := p.ReadFile(t.Context(), "here", file, FileOptions{}); kindOf(err) != KindFile || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("missing: %v", err)
	}
	backup, r, err := p.WriteFile(t.Context(), "here", file, binary, FileOptions{Mode: 0o640})
	if err != nil || backup != "" || r.Outcome != Exited {
		t.Fatalf("new: %q, %+v, %v", backup, r, err)
	}
	f, err := p.ReadFile(t.Context(), "here", file, FileOptions{})
	if err != nil || !bytes.Equal(f.Data, binary) || f.Mode != 0o640 || f.UID != os.Getuid() || f.GID != os.Getgid() {
		t.Fatalf("read: %d bytes, %v, %d:%d, %v", len(f.Data), f.Mode, f.UID, f.GID, err)
	}
	if err := os.Chmod(file, 0o600|fs.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	backup, _, err = p.WriteFile(t.Context(), "here", link, []byte("second\n"), FileOptions{Mode: 0o777, Replaces: binary})
	if err != nil || backup != file+".bak" {
		t.Fatalf("replace: %q, %v", backup, err)
	}
	if f, err = p.ReadFile(t.Context(), "here", link, FileOptions{}); err != nil || string(f.Data) != "second\n" || f.Mode != 0o600|fs.ModeSetgid {
		t.Errorf("replaced: %q, %v, %v", f.Data, f.Mode, err)
	}
	if f, err = p.ReadFile(t.Context(), "here", backup, FileOptions{}); err != nil || !bytes.Equal(f.Data, binary) || f.Mode != 0o600|fs.ModeSetgid {
		t.Errorf("backup: %d bytes, %v, %v", len(f.Data), f.Mode, err)
	}
	for _, c := range []struct {
		name, file string
		data       []byte
		o          FileOptions
		kind       ErrorKind
		want       string
	}{
		{"another content", file, []byte("third"), FileOptions{Replaces: []byte("first")}, KindFile, "expected content"},
		{"none to replace", file + "2", []byte("third"), FileOptions{Replaces: []byte("first")}, KindFile, "expected content"},
		{"a folder", dir, []byte("x"), FileOptions{}, KindFile, "not a regular file"},
		{"no folder", dir + "/no/file", []byte("x"), FileOptions{}, KindFile, "folder does not exist"},
		{"a relative name", "etc/passwd", nil, FileOptions{}, KindConfig, "absolute path"},
		{"too big", file, make([]byte, maxFile+1), FileOptions{}, KindConfig, "at most"},
		{"a mode that is none", file, nil, FileOptions{Mode: fs.ModeSetuid | 0o755}, KindConfig, "permissions only"},
	} {
		_, _, err := p.WriteFile(t.Context(), "here", c.file, c.data, c.o)
		if kindOf(err) != c.kind || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if f, err := p.ReadFile(t.Context(), "here", file, FileOptions{}); err != nil || string(f.Data) != "second\n" {
		t.Errorf("after what was refused: %q, %v", f.Data, err)
	}
	if _, err := p.ReadFile(t.Context(), "here", dir, FileOptions{}); kindOf(err) != KindFile || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a folder: %v", err)
	}
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, make([]byte, maxFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ReadFile(t.Context(), "here", big, FileOptions{}); kindOf(err) != KindFile || !strings.Contains(err.Error(), "more than") {
		t.Errorf("big: %v", err)
	}
	left, err := filepath.Glob(dir + "/*.new.*")
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// An input that is cut off writes nothing, and what reads the file at the same
// time sees one content or the other.
func TestAWriteIsAllOrNothing(t *testing.T) {
	s := sshtest.New(sshtest.Config{Handler: realShell})
	defer s.Close()
	p, err := New(Config{Hosts: map[string]Host{"nexus": host(s)}, KnownHosts: []string{knownHosts(t, s.KnownHostsLine("nexus"))}, Dial: s.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Shutdown(t.Context())
	file := filepath.Join(t.TempDir(), "file")
	contents := [2][]byte{bytes.Repeat([]byte("a"), 300<<10), bytes.Repeat([]byte("b"), 500<<10)}
	whole := func(when string) {
		got, err := os.ReadFile(file)
		if err != nil || !bytes.Equal(got, contents[0]) && !bytes.Equal(got, contents[1]) {
			t.Fatalf("%s: %d bytes, %v", when, len(got), err)
		}
	}
	for i := range 12 {
		dropped := i%3 == 2
		if dropped {
			s.SetFaults(sshtest.Faults{DropAt: sshtest.DropAfterExec, DropTimes: 1})
		}
		_, r, err := p.WriteFile(t.Context(), "nexus", file, contents[i%2], FileOptions{})
		if dropped && r.Outcome != Unknown || !dropped && err != nil {
			t.Fatalf("write %d: %s, %v", i, r.Outcome, err)
		}
		s.SetFaults(sshtest.Faults{})
		whole("after a write")
	}
}
