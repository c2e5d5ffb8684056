// Package testshop gives tests real databases: SQLite in a temporary folder and PostgreSQL started from Debian's
// binaries, also in a temporary folder. A package that uses it says so in its TestMain:
//
//	func TestMain(m *testing.M) { testshop.Main(m) }
package testshop

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Main runs the package's tests and then ends the PostgreSQL server that they may have started.
func Main(m *testing.M) {
	code := m.Run()
	End()
	os.Exit(code)
}

// End ends the PostgreSQL server that tests may have started, where Main is not the package's.
func End() { shared.stop() }

// EachDB runs fn once on SQLite and once on PostgreSQL, each a fresh database with the given schema.
func EachDB(t *testing.T, steps []db.Migration, fn func(t *testing.T, d *db.DB)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { fn(t, open(t, SQLiteURL(t), steps)) })
	t.Run("postgres", func(t *testing.T) { fn(t, open(t, PostgresURL(t), steps)) })
}

// SQLiteURL names a new SQLite database in the test's temporary folder.
func SQLiteURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "test.db") }

// PostgresURL creates a new empty database on the package's PostgreSQL server, started when first asked for.
func PostgresURL(t testing.TB) string {
	t.Helper()
	if err := shared.start(); err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	name := "t" + strings.ToLower(rand.Text()[:12])
	if err := shared.exec("createdb", name); err != nil {
		t.Fatalf("PostgreSQL for tests: %v", err)
	}
	return shared.url(name)
}

func open(t *testing.T, url string, steps []db.Migration) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), url, db.OneConnection())
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err := d.Migrate(t.Context(), steps); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	return d
}

// server is the one PostgreSQL of a test binary. It listens on a Unix socket in its folder only.
type server struct {
	once sync.Once
	err  error
	dir  string
	cmd  *exec.Cmd
	cred *syscall.Credential
}

var shared server //nolint:gochecknoglobals // one server per test binary, ended by Main

func (s *server) url(name string) string {
	return "postgres://postgres@/" + name + "?host=" + s.dir
}

func (s *server) start() error {
	s.once.Do(func() { s.err = s.boot() })
	return s.err
}

func (s *server) boot() error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	// A short path: a Unix socket's may have 107 bytes.
	if s.dir, err = os.MkdirTemp("/tmp", "ddp-pg-"); err != nil {
		return err
	}
	if os.Geteuid() == 0 { // PostgreSQL refuses to run as root
		if s.cred, err = unprivileged(); err != nil {
			return err
		}
		if err := os.Chown(s.dir, int(s.cred.Uid), int(s.cred.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(s.dir, "data")
	initdb := s.command(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	s.cmd = s.command(filepath.Join(bin, "postgres"), "-D", data, "-k", s.dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=300")
	if err := s.cmd.Start(); err != nil {
		return err
	}
	for range 200 {
		if s.exec("pg_isready", "") == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("not ready after 10 s")
}

func (s *server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(context.Background(), name, args...)
	cmd.Dir = s.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.cred, Setpgid: true}
	return cmd
}

func (s *server) exec(tool, name string) error {
	bin, err := binaries()
	if err != nil {
		return err
	}
	args := []string{"-h", s.dir, "-U", "postgres"}
	if name != "" {
		args = append(args, name)
	}
	if out, err := s.command(filepath.Join(bin, tool), args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", tool, err, out)
	}
	return nil
}

func (s *server) stop() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Signal(syscall.SIGQUIT)
		_ = s.cmd.Wait()
	}
	if s.dir != "" {
		_ = os.RemoveAll(s.dir)
	}
}

// binaries finds the newest of Debian's PostgreSQL installations.
func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		return "", errors.New("no PostgreSQL under /usr/lib/postgresql: apt-get install postgresql")
	}
	sort.Strings(found)
	return filepath.Dir(found[len(found)-1]), nil
}

func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("neither user postgres nor nobody exists")
}
