package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/testshop"
)

// program is the server's program, built once for all tests.
var program string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "duoduopin-faults-")
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
	testshop.End()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// server is the real binary in a process of its own, with a session on air.
type server struct {
	url     string
	media   string // address of the media port
	session int64
	anchor  string // bearer token
	log     *output
	process *os.Process
}

// output keeps what the server prints.
type output struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all.Write(p)
}
func (o *output) String() string { o.mu.Lock(); defer o.mu.Unlock(); return o.all.String() }

// start runs a server; at the end of the test it must still be there, and must not have panicked.
func start(t *testing.T, limits string) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{media: freeAddress(t), log: &output{}}
	address := freeAddress(t)
	s.url = "http://" + address
	settings := []string{
		"--data-dir", dir, "--database-url", "sqlite:" + filepath.Join(dir, "shop.db"), "--http-addr", address,
		"--media-addr", s.media, "--public-ips", "127.0.0.1", "--limits", limits,
	}
	cmd := exec.Command(program, append([]string{"serve", "--migrate"}, settings...)...)
	leash(cmd)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.Env = append(os.Environ(), "GOGC=20") // so that the heap that is read is near the heap that is held
	must(t, cmd.Start())
	s.process = cmd.Process
	t.Cleanup(func() { s.end(t, cmd) })
	eventually(t, 30*time.Second, "the server is ready", func() bool { status, _ := s.get("/readyz"); return status == http.StatusOK })
	s.furnish(t, func(args ...string) string { return run(t, program, append(args, settings...)...) })
	return s
}

func (s *server) end(t *testing.T, cmd *exec.Cmd) {
	alive := s.process.Signal(syscall.Signal(0)) == nil
	_ = s.process.Signal(syscall.SIGTERM)
	err := cmd.Wait()
	if said := s.log.String(); !alive || err != nil || strings.Contains(said, "panic") {
		t.Errorf("the server ended with %v:\n%s", err, said[max(0, len(said)-4000):])
	} else if t.Failed() {
		t.Log(said[max(0, len(said)-3000):])
	}
}

// furnish opens a session with one anchor.
func (s *server) furnish(t *testing.T, command func(...string) string) {
	t.Helper()
	tokens := map[string]string{}
	for _, role := range []string{"operator", "anchor"} {
		command("user", "add", "the-"+role, "--role", role)
		tokens[role] = command("user", "token", "the-"+role)
	}
	s.anchor = tokens["anchor"]
	made := s.post(t, tokens["operator"], "/api/v1/sessions", map[string]any{"title": "A hard day", "starts_at": time.Now().UTC(), "anchors": []string{"the-anchor"}})
	s.session = int64(made["id"].(float64))
	s.post(t, tokens["operator"], s.path("/start"), nil)
}

func (s *server) path(rest string) string {
	return fmt.Sprintf("/api/v1/sessions/%d%s", s.session, rest)
}

// post sends JSON and wants a success.
func (s *server) post(t *testing.T, token, path string, body any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(body)
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path, bytes.NewReader(raw))
	must(t, err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	defer res.Body.Close()
	var got map[string]any
	if err := json.NewDecoder(res.Body).Decode(&got); err != nil || res.StatusCode/100 != 2 {
		t.Fatalf("POST %s: %s %v %v", path, res.Status, got, err)
	}
	return got
}

func (s *server) get(path string) (int, string) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(body)
}

// metric reads one figure of /metrics; -1 when the server does not answer.
func (s *server) metric(name string) float64 {
	_, body := s.get("/metrics")
	for line := range strings.SplitSeq(body, "\n") {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			if v, err := strconv.ParseFloat(text, 64); err == nil {
				return v
			}
		}
	}
	return -1
}

// weight is what a server holds: what must come back to the baseline when the peers are gone.
type weight struct{ goroutines, descriptors, heap float64 }

func (s *server) weigh() weight {
	return weight{s.metric("go_goroutines"), s.metric("process_open_fds"), s.metric("go_memstats_heap_alloc_bytes")}
}

func (w weight) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f descriptors, %.1f MB of heap", w.goroutines, w.descriptors, w.heap/(1<<20))
}

// lightest waits until the server weighs no more than before, give or take what it needs to breathe (the heap is read
// between two collections). It gives the last weight.
func (s *server) lightest(t *testing.T, before weight, within time.Duration) weight {
	t.Helper()
	var now weight
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last weighed: %v", now)
		}
	})
	eventually(t, within, "the server is back at its baseline: "+before.String(), func() bool {
		now = s.weigh()
		return now.goroutines >= 0 && now.goroutines <= before.goroutines+8 && now.descriptors <= before.descriptors+6 && now.heap <= before.heap*1.2+(6<<20)
	})
	return now
}

// freeAddress picks a port that nobody listens at, below those that the kernel gives to connections: one that is started
// again later still finds it free.
func freeAddress(t *testing.T) string {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 12_000+rand.IntN(18_000))) //nolint:gosec // a port, no secret
		if err == nil {
			defer l.Close()
			return l.Addr().String()
		}
	}
	t.Fatal("no free port")
	return ""
}

func run(t *testing.T, command string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", command, args, err, said.String())
	}
	return strings.TrimSpace(string(out))
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
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	late := time.After(within)
	for !ok() {
		select {
		case <-late:
			t.Fatalf("not within %v: %s", within, what)
		case <-tick.C:
		}
	}
}

// measured prints a row of the fault table.
func measured(t *testing.T, fault, accepted, format string, values ...any) {
	t.Helper()
	t.Logf("| %s | %s | %s |", fault, accepted, fmt.Sprintf(format, values...))
}
