package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"mvdan.cc/sh/v3/expand"
	"mvdan.cc/sh/v3/interp"
	"mvdan.cc/sh/v3/syntax"
)

// process is one running program. It holds the context of its run, which is as
// long as it lives.
type process struct {
	ctx    context.Context
	host   *Host
	world  *World
	user   string
	name   string   // of the program, without its folder
	args   []string // without the name
	env    []string
	dir    string
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	// gone is set when nobody reads the output any more, as SIGPIPE says.
	gone bool
}

// program is a simulated program. It returns its exit status.
type program func(*process) int

// printf writes to the standard output.
func (p *process) printf(format string, args ...any) {
	if p.gone {
		return
	}
	if _, err := fmt.Fprintf(p.stdout, format, args...); err != nil {
		p.gone = true
	}
}

// failf writes to the standard error and gives back the status.
func (p *process) failf(status int, format string, args ...any) int {
	fmt.Fprintf(p.stderr, format+"\n", args...)
	return status
}

// sleep waits, and reports false if the process was told to end.
func (p *process) sleep(d time.Duration) bool {
	if d <= 0 {
		return p.ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-p.ctx.Done():
		return false
	}
}

// child runs another program in place of this one, or under it.
func (p *process) child(args []string) int {
	q := *p
	q.name, q.args = path.Base(args[0]), args[1:]
	return p.host.exec(&q, args[0])
}

// exec finds and runs a program.
func (h *Host) exec(p *process, name string) int {
	p.name = path.Base(name)
	run := lookup(p.name)
	switch dir := path.Dir(name); {
	case run == nil && strings.Contains(name, "/"):
		return p.failf(127, "/bin/sh: 1: %s: not found", name)
	case run == nil:
		return p.failf(127, "/bin/sh: 1: %s: not found", name)
	case strings.Contains(name, "/") && !slices.Contains(binDirs(), dir):
		return p.failf(127, "/bin/sh: 1: %s: not found", name)
	}
	if !p.sleep(h.cost(p.name, p.args)) {
		return 143
	}
	return run(p)
}

// binDirs are where programs lie.
func binDirs() []string {
	return []string{"/bin", "/usr/bin", "/sbin", "/usr/sbin", "/usr/local/bin"}
}

// shellIO is what a shell is connected to.
type shellIO struct {
	stdin          *os.File
	stdout, stderr io.Writer
}

// shell runs a script in a new POSIX shell and gives its exit status. The first
// of argv is the script's $0.
func (h *Host) shell(ctx context.Context, user, script string, argv, env []string, dir string, sio shellIO) int {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(script), "")
	if err != nil {
		fmt.Fprintf(sio.stderr, "/bin/sh: Syntax error: %v\n", err)
		return 2
	}
	file.Name = argv[0]
	runner, err := interp.New(
		func(r *interp.Runner) error { r.Dir = dir; return nil }, // interp.Dir would look at this machine's
		interp.Env(environ{expand.ListEnviron(env...)}),
		interp.Params(append([]string{"--"}, argv[1:]...)...),
		interp.StdIO(sio.stdin, sio.stdout, sio.stderr),
		interp.CallHandler(calls),
		interp.ExecHandlers(func(interp.ExecHandlerFunc) interp.ExecHandlerFunc { return h.execHandler(user) }),
		interp.OpenHandler(h.open),
		interp.ReadDirHandler2(h.readDir),
		interp.StatHandler(h.stat),
		interp.AccessHandler(h.access),
	)
	if err != nil {
		fmt.Fprintf(sio.stderr, "/bin/sh: %v\n", err)
		return 2
	}
	err = runner.Run(ctx, file)
	status, isStatus := errors.AsType[interp.ExitStatus](err)
	switch {
	case ctx.Err() != nil:
		return 143
	case err == nil:
		return 0
	case isStatus:
		return int(status)
	}
	fmt.Fprintf(sio.stderr, "/bin/sh: %v\n", err)
	return 2
}

// environ is the environment of a shell. It answers itself what the
// interpreter would otherwise ask this machine about.
type environ struct{ expand.Environ }

func (e environ) Get(name string) expand.Variable {
	if user, ok := strings.CutPrefix(name, "HOME "); ok { // ~user
		home := "/home/" + user
		if user == "root" {
			home = "/root"
		}
		return expand.Variable{Set: true, Kind: expand.String, Str: home}
	}
	if slices.Contains([]string{"UID", "EUID", "GID"}, name) {
		uid, _ := ids(e.Environ.Get("USER").Str)
		return expand.Variable{Set: true, Kind: expand.String, Str: strconv.Itoa(uid)}
	}
	return e.Environ.Get(name)
}

// calls changes calls of the interpreter's builtins that would look at this
// machine's files, or that no POSIX shell has, into calls of programs of ours.
func calls(ctx context.Context, args []string) ([]string, error) {
	switch args[0] {
	case "pwd":
		return args[:1], nil
	case "test", "[":
		if slices.Contains(args, "-O") || slices.Contains(args, "-G") {
			return append([]string{"/usr/bin/" + args[0]}, args[1:]...), nil
		}
	case "command":
		if len(args) > 1 && !strings.HasPrefix(args[1], "-") {
			return calls(ctx, args[1:])
		}
		return append([]string{"which"}, slices.DeleteFunc(slices.Clone(args[1:]), func(a string) bool { return a == "-v" })...), nil
	case "type":
		return append([]string{"which"}, args[1:]...), nil
	case ".", "source", "hash", "fc", "newgrp", "bg", "fg", "kill", "builtin",
		"mapfile", "readarray", "pushd", "popd", "dirs", "shopt", "caller", "compgen", "complete", "enable", "help", "history":
		return append([]string{"no-such-builtin:" + args[0]}, args[1:]...), nil
	}
	return args, nil
}

// execHandler runs the programs of a shell of the given user.
func (h *Host) execHandler(user string) interp.ExecHandlerFunc {
	return func(ctx context.Context, args []string) error {
		hc := interp.HandlerCtx(ctx)
		p := &process{
			ctx: ctx, host: h, world: h.world, user: user, args: args[1:], dir: hc.Dir,
			stdin: strings.NewReader(""), stdout: hc.Stdout, stderr: hc.Stderr, env: exported(hc.Env),
		}
		if in, ok := hc.Stdin.(*os.File); ok && in != nil {
			p.stdin = in
			// A program that reads ends with its shell. Pipes know deadlines.
			stop := context.AfterFunc(ctx, func() { in.SetReadDeadline(time.Unix(1, 0)) })
			defer stop()
		}
		status := h.exec(p, args[0])
		if err := ctx.Err(); err != nil {
			return err
		}
		if status != 0 {
			return interp.ExitStatus(uint8(status))
		}
		return nil
	}
}

func exported(env expand.Environ) []string {
	var out []string
	for name, v := range env.Each {
		if v.Exported && v.Kind == expand.String {
			out = append(out, name+"="+v.Str)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// runShell is sh itself: sh -c SCRIPT [NAME [ARGS]], sh -s, sh FILE.
func runShell(p *process) int {
	opts, err := getopt(p.args, "+", "c", "s", "e", "u", "l", "i", "x")
	if err != nil {
		return p.failf(2, "%s: 0: %v", p.name, err)
	}
	script, argv := "", []string{p.name}
	switch args := opts.operands; {
	case opts.has("c"):
		if len(args) == 0 {
			return p.failf(2, "%s: 0: -c requires an argument", p.name)
		}
		script = args[0]
		if len(args) > 1 {
			argv = args[1:]
		}
	case len(args) > 0 && !opts.has("s"):
		text, err := p.host.readFile(p.user, p.abs(args[0]))
		if err != nil {
			return p.failf(2, "%s: 0: cannot open %s: No such file", p.name, args[0])
		}
		script, argv = string(text), args
	default:
		text, err := io.ReadAll(p.stdin)
		if err != nil {
			return 143
		}
		script, argv = string(text), append(argv, args...)
	}
	if opts.has("e") {
		script = "set -e\n" + script
	}
	if opts.has("u") {
		script = "set -u\n" + script
	}
	in, _ := p.stdin.(*os.File)
	return p.host.shell(p.ctx, p.user, script, argv, p.env, p.dir, shellIO{in, p.stdout, p.stderr})
}

// abs is a path as the process sees it.
func (p *process) abs(name string) string {
	if strings.HasPrefix(name, "/") {
		return path.Clean(name)
	}
	return path.Join(p.dir, name)
}

// open is what redirections use.
func (h *Host) open(ctx context.Context, name string, flag int, _ os.FileMode) (io.ReadWriteCloser, error) {
	full := name
	if !strings.HasPrefix(full, "/") {
		full = path.Join(interp.HandlerCtx(ctx).Dir, name)
	}
	full = path.Clean(full)
	if flag&(os.O_WRONLY|os.O_RDWR) != 0 {
		return h.create(full, flag)
	}
	text, err := h.readFile(h.user, full)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: errors.Unwrap(err)}
	}
	return readOnly{strings.NewReader(string(text))}, nil
}

type readOnly struct{ *strings.Reader }

func (readOnly) Write([]byte) (int, error) { return 0, fs.ErrPermission }
func (readOnly) Close() error              { return nil }
