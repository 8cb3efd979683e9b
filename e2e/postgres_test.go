//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// postgres is a server of the story's own, on a socket and a loopback port, with
// its data in the story's folder. It keeps what it is told to keep: nothing about
// the disk is turned off.
type postgres struct {
	*process
	// socket is the folder of its socket, and port what names it there.
	socket, port string
	databases    atomic.Int64
	// run starts the server on the data that is there.
	run func(*testing.T) *process
}

// startPostgres makes a cluster and starts it, as the account postgres: the
// server refuses to run as root.
func startPostgres(t *testing.T) *postgres {
	t.Helper()
	account, err := user.Lookup("postgres")
	if err != nil {
		t.Fatalf("the package postgresql makes this account: %v", err)
	}
	uid, _ := strconv.Atoi(account.Uid)
	gid, _ := strconv.Atoi(account.Gid)
	dir := newDir(t)
	home := filepath.Join(dir, "postgres")
	if err := errors.Join(os.Mkdir(home, 0o755), os.Chown(home, uid, gid)); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(home, "data")
	as := func(attr *syscall.SysProcAttr) {
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	env := []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8"}
	// The socket is only for who is on this machine, and so is the port.
	initdb := exec.CommandContext(t.Context(), postgresProgram(t, "initdb"), "--pgdata", data, "--username", "lifeline", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8")
	initdb.Env, initdb.Dir, initdb.SysProcAttr = env, home, &syscall.SysProcAttr{}
	as(initdb.SysProcAttr)
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	_, port := splitAddress(t, freeAddress(t))
	p := &postgres{socket: home, port: port}
	p.run = func(t *testing.T) *process {
		server := startAs(t, home, "postgres", env, as, postgresProgram(t, "postgres"), "-D", data, "-k", home, "-p", port,
			"-c", "listen_addresses=127.0.0.1", "-c", "max_connections=200", "-c", "log_line_prefix=%m [%p] %a ", "-c", "lc_messages=C")
		server.end = syscall.SIGINT // a fast shutdown: it waits for nobody
		return server
	}
	p.process = p.run(t)
	p.up(t)
	return p
}

// up waits until the server answers.
func (p *postgres) up(t *testing.T) {
	t.Helper()
	p.ready(t, func() error {
		conn, err := pgx.Connect(t.Context(), p.address("postgres"))
		if err != nil {
			return err
		}
		return conn.Close(t.Context())
	})
}

// restart ends every session and starts the server anew.
func (p *postgres) restart(t *testing.T) {
	t.Helper()
	p.stop(t)
	p.process = p.run(t)
	p.up(t)
}

// address of a database over the socket.
func (p *postgres) address(database string) string {
	return fmt.Sprintf("postgres://lifeline@/%s?host=%s&port=%s", database, p.socket, p.port)
}

// url makes a new database and gives its address.
func (p *postgres) url(t *testing.T) string {
	t.Helper()
	name := fmt.Sprintf("lifeline%d", p.databases.Add(1))
	p.query(t, p.address("postgres"), "CREATE DATABASE "+name)
	return p.address(name)
}

// query runs one statement beside Lifeline and gives its rows as texts.
func (p *postgres) query(t *testing.T, url, statement string, args ...any) [][]any {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), statement, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) ([]any, error) { return row.Values() })
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	return all
}

// postgresProgram finds one of the server's programs: Debian keeps those of each
// version in a folder of their own, and the newest is taken.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("%s is not on this machine\n  type: sudo scripts/install-test-deps", name)
	}
	return slices.MaxFunc(found, func(a, b string) int { return postgresVersion(a) - postgresVersion(b) })
}

func postgresVersion(program string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(program)))) // a folder that is no number is older than all
	return n
}
