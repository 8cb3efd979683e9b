package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"mvdan.cc/sh/v3/interp"
)

// The filesystem of a host holds a few files that scripts and models read, made
// up when they are asked for, and what scripts wrote under /tmp.

// fileNames gives every path, folders left out.
func (h *Host) fileNames() []string {
	names := []string{
		"/etc/hostname", "/etc/os-release", "/etc/hosts", "/etc/passwd", "/etc/shadow", "/etc/machine-id",
		"/proc/loadavg", "/proc/meminfo", "/proc/uptime", "/proc/version",
		"/var/log/syslog", "/dev/null", "/root/.ssh/id_ed25519", "/home/" + h.user + "/.profile",
	}
	for _, p := range programNames() {
		names = append(names, "/usr/bin/"+p)
	}
	h.world.lock()
	defer h.world.unlock()
	for _, u := range h.world.units {
		names = append(names, "/etc/systemd/system/"+u.Name)
	}
	names = slices.AppendSeq(names, maps.Keys(h.world.files))
	slices.Sort(names)
	return names
}

// isDir reports whether a path is a folder.
func (h *Host) isDir(name string) bool {
	if slices.Contains([]string{"/", "/tmp", "/bin", "/sbin", "/usr/sbin", "/usr/local/bin", "/var/lib/docker", "/home/" + h.user, "/root", "/srv", "/mnt", "/opt"}, name) {
		return true
	}
	return slices.ContainsFunc(append(h.fileNames(), h.world.folders()...), func(f string) bool {
		return f == name+"/" || strings.HasPrefix(f, strings.TrimSuffix(name, "/")+"/")
	})
}

// folders gives the mount points and the folders that du finds, each with a
// slash at its end.
func (w *World) folders() []string {
	w.lock()
	defer w.unlock()
	var names []string
	for _, f := range w.filesystems {
		names = append(names, strings.TrimSuffix(f.Mount, "/")+"/")
		for folder := range f.Folders {
			names = append(names, folder+"/")
		}
	}
	return names
}

// secret reports whether only root may read the file.
func secret(name string) bool {
	return name == "/etc/shadow" || strings.HasPrefix(name, "/root/")
}

// readFile gives the file's text as the user sees it.
func (h *Host) readFile(user, name string) ([]byte, error) {
	w := h.world
	if secret(name) && user != "root" {
		return nil, fmt.Errorf("open: %w", fs.ErrPermission)
	}
	if h.isDir(name) {
		return nil, fmt.Errorf("read: %w", errIsDir)
	}
	w.lock()
	defer w.unlock()
	if text, ok := w.files[name]; ok {
		return bytes.Clone(text), nil
	}
	switch name {
	case "/etc/hostname":
		return []byte(w.host + "\n"), nil
	case "/etc/os-release":
		return []byte("PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"13\"\nID=debian\n"), nil
	case "/etc/hosts":
		return []byte("127.0.0.1\tlocalhost\n127.0.1.1\t" + w.host + "\n"), nil
	case "/etc/passwd":
		return fmt.Appendf(nil, "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n%s:x:1001:1001::/home/%s:/bin/sh\n", h.user, h.user), nil
	case "/etc/shadow":
		return []byte("root:!:20000:0:99999:7:::\n"), nil
	case "/etc/machine-id":
		return []byte("5f0c1e8a3b7d4c6a9e2f1d0b8c7a6f54\n"), nil
	case "/proc/loadavg":
		return fmt.Appendf(nil, "%.2f %.2f %.2f 1/412 %d\n", w.load[0], w.load[1], w.load[2], w.nextPID), nil
	case "/proc/uptime":
		up := w.now().Sub(w.booted).Seconds()
		return fmt.Appendf(nil, "%.2f %.2f\n", up, up*3.6), nil
	case "/proc/version":
		return []byte("Linux version 6.12.48+deb13-amd64 (debian-kernel@lists.debian.org)\n"), nil
	case "/proc/meminfo":
		m := w.memory
		return fmt.Appendf(nil, "MemTotal:       %d kB\nMemFree:        %d kB\nMemAvailable:   %d kB\nCached:         %d kB\nSwapTotal:      %d kB\nSwapFree:       %d kB\n",
			m.Total>>10, (m.Total-m.Used-m.Cache)>>10, (m.Total-m.Used)>>10, m.Cache>>10, m.SwapTotal>>10, (m.SwapTotal-m.SwapUsed)>>10), nil
	case "/var/log/syslog":
		var b bytes.Buffer
		for _, e := range w.journalLocked(nil, true) {
			fmt.Fprintln(&b, e.short())
		}
		return b.Bytes(), nil
	case "/dev/null", "/root/.ssh/id_ed25519", "/home/" + h.user + "/.profile":
		return nil, nil
	}
	if u := w.unitLocked(path.Base(name)); u != nil && path.Dir(name) == "/etc/systemd/system" {
		return fmt.Appendf(nil, "[Unit]\nDescription=%s\n\n[Service]\nExecStart=%s\n\n[Install]\nWantedBy=multi-user.target\n", u.Description, u.ExecStart), nil
	}
	if path.Dir(name) == "/usr/bin" && lookup(path.Base(name)) != nil {
		return []byte("\x7fELF\x02\x01\x01"), nil
	}
	return nil, fmt.Errorf("open: %w", fs.ErrNotExist)
}

// create opens a file for writing: /dev/null, or one under /tmp.
func (h *Host) create(name string, flag int) (io.ReadWriteCloser, error) {
	switch {
	case name == "/dev/null":
		return discard{}, nil
	case !strings.HasPrefix(name, "/tmp/"):
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	h.world.mu.Lock()
	defer h.world.mu.Unlock()
	if _, there := h.world.files[name]; !there || flag&os.O_TRUNC != 0 {
		h.world.files[name] = nil
	}
	return &written{world: h.world, name: name}, nil
}

type discard struct{}

func (discard) Read([]byte) (int, error)    { return 0, io.EOF }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) Close() error                { return nil }

// maxFile bounds a file that a script writes.
const maxFile = 1 << 20

// written is a file that is open for writing.
type written struct {
	world *World
	name  string
}

func (f *written) Read([]byte) (int, error) { return 0, io.EOF }
func (f *written) Close() error             { return nil }
func (f *written) Write(b []byte) (int, error) {
	f.world.mu.Lock()
	defer f.world.mu.Unlock()
	if len(f.world.files[f.name])+len(b) > maxFile {
		return 0, &os.PathError{Op: "write", Path: f.name, Err: fmt.Errorf("No space left on device")} //lint:ignore ST1005 the system's words
	}
	f.world.files[f.name] = append(f.world.files[f.name], b...)
	return len(b), nil
}

// info describes a file or folder.
type info struct {
	name string
	size int64
	dir  bool
	mode fs.FileMode
	at   time.Time
}

func (i info) Name() string               { return path.Base(i.name) }
func (i info) Size() int64                { return i.size }
func (i info) IsDir() bool                { return i.dir }
func (i info) ModTime() time.Time         { return i.at }
func (i info) Sys() any                   { return nil }
func (i info) Type() fs.FileMode          { return i.Mode().Type() }
func (i info) Info() (fs.FileInfo, error) { return i, nil }
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return i.mode
}

// lookAt describes the file at an absolute path.
func (h *Host) lookAt(name string) (info, error) {
	name = path.Clean(name)
	i := info{name: name, mode: 0o644, at: h.world.booted}
	if h.isDir(name) {
		i.dir, i.size = true, 4096
		return i, nil
	}
	if _, isBin := strings.CutPrefix(name, "/bin/"); isBin {
		name = "/usr" + name
	}
	text, err := h.readFile("root", name)
	if err != nil {
		return i, err
	}
	i.size = int64(len(text))
	switch {
	case secret(name):
		i.mode = 0o600
	case name == "/dev/null":
		i.mode = fs.ModeDevice | fs.ModeCharDevice | 0o666
	case strings.HasPrefix(name, "/usr/bin/"):
		i.mode = 0o755
	}
	return i, nil
}

func (h *Host) stat(_ context.Context, name string, _ bool) (fs.FileInfo, error) {
	i, err := h.lookAt(name)
	if err != nil {
		return nil, &os.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return i, nil
}

func (h *Host) access(_ context.Context, name string, mode interp.AccessMode) error {
	i, err := h.lookAt(name)
	switch {
	case err != nil:
		return err
	case i.dir && mode&interp.AccessWrite == 0:
		return nil
	case mode&interp.AccessWrite != 0 && !strings.HasPrefix(name, "/tmp") && name != "/dev/null",
		mode&interp.AccessExec != 0 && i.mode&0o111 == 0,
		mode&interp.AccessRead != 0 && secret(name) && h.user != "root":
		return fs.ErrPermission
	}
	return nil
}

func (h *Host) readDir(_ context.Context, dir string) ([]fs.DirEntry, error) {
	if dir = path.Clean(dir); !h.isDir(dir) {
		return nil, &os.PathError{Op: "open", Path: dir, Err: fs.ErrNotExist}
	}
	prefix := strings.TrimSuffix(dir, "/") + "/"
	children := map[string]bool{}
	for _, f := range slices.Concat(h.fileNames(), h.world.folders(), []string{"/tmp/", "/var/lib/docker/", "/root/", "/home/", "/srv/", "/mnt/", "/opt/", "/bin/", "/sbin/"}) {
		if rest, under := strings.CutPrefix(f, prefix); under && rest != "" {
			name, _, _ := strings.Cut(rest, "/")
			children[name] = true
		}
	}
	var out []fs.DirEntry
	for _, name := range slices.Sorted(maps.Keys(children)) {
		if i, err := h.lookAt(prefix + name); err == nil {
			out = append(out, i)
		}
	}
	return out, nil
}
