package faults

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// busProgram builds the NATS server of go.mod's version, once.
func busProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(program), "nats-server")
	if _, err := os.Stat(path); err != nil {
		run(t, "go", "build", "-o", path, "github.com/nats-io/nats-server/v2")
	}
	return path
}

// buses is a cluster of three NATS servers, each a process.
type buses struct {
	dir  string
	path string
	all  [3]*natsd
}

type natsd struct {
	name, client, route string
	cmd                 *exec.Cmd
	said                *output
}

func newBuses(t *testing.T) *buses {
	t.Helper()
	b := &buses{dir: t.TempDir(), path: busProgram(t)}
	for i := range b.all {
		b.all[i] = &natsd{name: fmt.Sprint("bus-", i+1), client: freeAddress(t), route: freeAddress(t), said: &output{}}
	}
	for i := range b.all {
		b.start(t, i)
	}
	t.Cleanup(func() {
		for i := range b.all {
			b.kill(i)
		}
	})
	eventually(t, 60*time.Second, "the three NATS servers have a leader", func() bool { return b.agree() })
	return b
}

// url names all three.
func (b *buses) url() string {
	var all []string
	for _, n := range b.all {
		all = append(all, "nats://"+n.client)
	}
	return strings.Join(all, ",")
}

// agree reports whether JetStream answers.
func (b *buses) agree() bool {
	conn, err := nats.Connect(b.url())
	if err != nil {
		return false
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return false
	}
	_, err = js.AccountInfo(context.Background())
	return err == nil
}

func (b *buses) start(t *testing.T, i int) {
	t.Helper()
	n := b.all[i]
	var routes []string
	for _, other := range b.all {
		routes = append(routes, "nats://"+other.route)
	}
	config := filepath.Join(b.dir, n.name+".conf")
	text := fmt.Sprintf("server_name: %s\nlisten: %s\njetstream { store_dir: %q, max_file_store: 1GB }\ncluster { name: test, listen: %s, routes: [%s] }\n",
		n.name, n.client, filepath.Join(b.dir, n.name), n.route, strings.Join(routes, ", "))
	must(t, os.WriteFile(config, []byte(text), 0o600))
	n.cmd = exec.Command(b.path, "-c", config)
	leash(n.cmd)
	n.cmd.Stdout, n.cmd.Stderr = n.said, n.said
	must(t, n.cmd.Start())
	eventually(t, 30*time.Second, n.name+" listens", func() bool {
		c, err := net.DialTimeout("tcp", n.client, time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

func (b *buses) signal(i int, s syscall.Signal) { _ = b.all[i].cmd.Process.Signal(s) }

// kill ends a server as a power cut does.
func (b *buses) kill(i int) {
	if b.all[i].cmd == nil {
		return
	}
	b.signal(i, syscall.SIGKILL)
	_ = b.all[i].cmd.Wait()
	b.all[i].cmd = nil
}
