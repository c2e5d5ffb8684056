package crash

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// program is the server's program, built once for all tests.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "duoduopin-crash-")
	if err == nil {
		program = filepath.Join(dir, "duoduopin")
		build := exec.Command("go", "build", "-o", program, "github.com/duoduopin/duoduopin/cmd/duoduopin")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		err = build.Run()
	}
	code := 1
	if err == nil {
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, "building the server:", err)
	}
	table.print()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// eventually polls until ok.
func eventually(t testing.TB, within time.Duration, what string, ok func() bool) {
	t.Helper()
	for late := time.Now().Add(within); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// output keeps what a process prints.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.all.Bytes()[max(0, o.all.Len()-3000):])
}

// process is a program in a process group of its own, so that a signal reaches its children too.
type process struct {
	cmd  *exec.Cmd
	log  output
	done chan struct{} // closed when it has ended
	err  error
}

// launch starts a program; it is killed when the test's process ends, however that ends.
func launch(t testing.TB, as *syscall.Credential, dir, name string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL, Credential: as}
	must(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p
}

// signal reaches the whole group.
func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(-p.cmd.Process.Pid, s) }

func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill is kill -9 of the whole group, frozen or not.
func (p *process) kill() {
	p.signal(syscall.SIGKILL)
	<-p.done
}

// stop asks for an end and waits for it.
func (p *process) stop() error {
	if p.ended() {
		return p.err
	}
	p.signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(40 * time.Second):
		p.kill()
		return errors.New("it did not stop within 40 s")
	}
	return p.err
}

// postgres is a PostgreSQL with the settings that we ship: fsync and synchronous_commit on.
type postgres struct {
	*process
	t    testing.TB
	dir  string // of its socket and, unless told otherwise, its data
	data string
	as   *syscall.Credential
	args []string
}

func newPostgres(t testing.TB) *postgres {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ddp-crash-") // short: a Unix socket's path may have 107 bytes
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return postgresIn(t, dir, filepath.Join(dir, "data"))
}

// postgresIn makes a cluster in data, and starts it.
func postgresIn(t testing.TB, dir, data string, initdb ...string) *postgres {
	t.Helper()
	p := &postgres{t: t, dir: dir, data: data, as: unprivileged(t)}
	must(t, os.Chown(dir, int(p.as.Uid), int(p.as.Gid)))
	must(t, os.Chown(filepath.Dir(data), int(p.as.Uid), int(p.as.Gid)))
	made := launch(t, p.as, dir, binary(t, "initdb"), append([]string{"-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C"}, initdb...)...)
	if <-made.done; made.err != nil {
		t.Fatalf("initdb: %v\n%s", made.err, made.log.tail())
	}
	p.start()
	t.Cleanup(func() { p.kill() })
	return p
}

func (p *postgres) start() {
	p.t.Helper()
	args := append([]string{"-D", p.data, "-k", p.dir, "-c", "listen_addresses=", "-c", "max_connections=100", "-c", "log_min_messages=fatal"}, p.args...)
	p.process = launch(p.t, p.as, p.dir, binary(p.t, "postgres"), args...)
	p.ready()
}

func (p *postgres) ready() {
	p.t.Helper()
	eventually(p.t, 30*time.Second, "PostgreSQL is ready", func() bool {
		return !p.ended() && exec.Command(binary(p.t, "pg_isready"), "-q", "-h", p.dir, "-U", "postgres").Run() == nil
	})
}

// signalAll reaches the postmaster and its children, who have groups of their own.
func (p *postgres) signalAll(s syscall.Signal) {
	out, _ := exec.Command("pgrep", "-P", strconv.Itoa(p.cmd.Process.Pid)).Output()
	p.signal(s)
	for _, child := range strings.Fields(string(out)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, s)
		}
	}
}

func (p *postgres) kill() {
	p.signalAll(syscall.SIGKILL)
	<-p.done
}

func (p *postgres) url() string { return "postgres://postgres@/postgres?host=" + p.dir }

func (p *postgres) socket() string { return filepath.Join(p.dir, ".s.PGSQL.5432") }

// binary finds a tool of the newest of Debian's PostgreSQL installations.
func binary(t testing.TB, name string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		t.Fatalf("no %s under /usr/lib/postgresql: apt-get install postgresql", name)
	}
	return slices.Max(found)
}

func unprivileged(t testing.TB) *syscall.Credential {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("run the crash suite as root: it mounts a small file system and runs PostgreSQL as another user")
	}
	u, err := user.Lookup("postgres")
	must(t, err)
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	must(t, errors.Join(err1, err2))
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// freeAddress gives a port below those that the kernel gives to clients, so that it is still free after a restart.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 10_000+rand.IntN(20_000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// smallDisk mounts a file system of so many MiB in memory; fill takes all that is left of it until the function it gives is called.
func smallDisk(t testing.TB, mib int) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ddp-disk-")
	must(t, err)
	must(t, os.Chmod(dir, 0o755))
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm,mode=0755", mib)))
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	return dir
}

func fill(t testing.TB, dir string) (free func()) {
	t.Helper()
	name := filepath.Join(dir, "ballast")
	f, err := os.Create(name)
	must(t, err)
	for _, size := range []int{1 << 20, 4096, 1} { // to the last byte
		block := make([]byte, size)
		for {
			if _, err := f.Write(block); err != nil {
				break
			}
		}
	}
	must(t, f.Close())
	return func() { must(t, os.Remove(name)) }
}
