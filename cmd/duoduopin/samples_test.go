package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// TestSampleClients runs the clients of docs/samples against the real server: what is said arrives, and after the line was cut
// they come back, have every kept event once and in order, and say again what nobody had taken.
func TestSampleClients(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "room")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../docs/samples/room").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, command := range map[string][]string{
		"go":         {bin},
		"javascript": {"node", "--experimental-websocket", "../../docs/samples/room.mjs"},
	} {
		t.Run(name, func(t *testing.T) { playSample(t, command) })
	}
}

func playSample(t *testing.T, command []string) {
	e := newSaleDay(t, testOptions{})
	e.operator.call("POST", e.base+"/start", nil, 200)
	line := newLine(t, strings.TrimPrefix(e.url, "http://"))
	token, err := e.accounts.Token(t.Context(), "bai")
	must(t, err)
	sample := startSample(t, append(command, "http://"+line.address()+e.base, token))
	other := join(t, e.stranger, e.base, "")

	sample.await("hello", any1)
	sample.say("早上好")
	other.await("chat", func(m object) bool { return m.str("text") == "早上好" })
	sample.await("chat", func(m object) bool { return m.str("text") == "早上好" })

	line.cut(true)
	other.send(object{"type": "chat", "id": "1", "text": "missed"})
	other.await("chat", func(m object) bool { return m.str("text") == "missed" })
	sample.say("断线时说的")
	line.cut(false)
	if h := sample.await("hello", any1); h["resumed"] != true {
		t.Errorf("came back with %v", h)
	}
	sample.await("chat", func(m object) bool { return m.str("text") == "missed" })
	sample.await("chat", func(m object) bool { return m.str("text") == "断线时说的" })
	if got := sample.seqs(); !dense(got) {
		t.Errorf("seqs %v", got)
	}
}

func dense(seqs []float64) bool {
	for i, s := range seqs {
		if s != seqs[0]+float64(i) {
			return false
		}
	}
	return len(seqs) > 0
}

// sampleRun is a sample client as a process.
type sampleRun struct {
	*roomClient
	stdin io.WriteCloser

	mu   sync.Mutex // guards kept
	kept []float64
}

func startSample(t *testing.T, command []string) *sampleRun {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	var errs lockedBuffer
	cmd.Stderr = &errs
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	s := &sampleRun{roomClient: &roomClient{t: t, events: make(chan object, 1000)}, stdin: stdin}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(s.events)
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			var e object
			if json.Unmarshal(lines.Bytes(), &e) != nil {
				continue
			}
			if e.num("seq") > 0 && e.str("type") != "hello" {
				s.mu.Lock()
				s.kept = append(s.kept, e.num("seq"))
				s.mu.Unlock()
			}
			s.events <- e
		}
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-read
		if err := cmd.Wait(); err != nil || errs.String() != "" {
			t.Logf("the sample ended with %v: %s", err, errs.String())
		}
	})
	return s
}

func (s *sampleRun) say(text string) {
	_, err := io.WriteString(s.stdin, text+"\n")
	must(s.t, err)
}

func (s *sampleRun) seqs() []float64 { s.mu.Lock(); defer s.mu.Unlock(); return s.kept }

// wire is a line between a client and a server that can be cut.
type wire struct {
	listener net.Listener
	target   string

	mu    sync.Mutex // guards what follows
	dead  bool
	conns []net.Conn
}

func newLine(t *testing.T, target string) *wire {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	w := &wire{listener: l, target: target}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(c) })
		}
	})
	t.Cleanup(func() { _ = l.Close(); w.cut(true); all.Wait() })
	return w
}

func (w *wire) address() string { return w.listener.Addr().String() }

// cut ends what is under way and refuses what comes, or lets it through again.
func (w *wire) cut(dead bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = dead
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

func (w *wire) carry(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", w.target)
	if err != nil {
		return
	}
	defer server.Close()
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return
	}
	w.conns = append(w.conns, client, server)
	w.mu.Unlock()
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.Copy(server, client); _ = server.Close() }()
	_, _ = io.Copy(client, server)
	_ = client.Close()
	<-done
}
