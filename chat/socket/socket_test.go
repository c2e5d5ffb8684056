package socket

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

const patience = 20 * time.Second

// echo is a peer that answers what it hears, and counts.
type echo struct {
	conn   atomic.Pointer[Conn]
	most   int64
	frames atomic.Int64
	slow   atomic.Int64
}

func (e *echo) Message(_ bool, payload []byte) {
	if c := e.conn.Load(); c != nil {
		c.Send(Text(payload), time.Now())
	}
}
func (e *echo) Frame() bool { return e.frames.Add(1) <= e.most || e.most == 0 }
func (e *echo) Slow()       { e.slow.Add(1) }

// port is a server of sockets.
type port struct {
	*httptest.Server
	keeper *Keeper
	heavy  atomic.Int64
	serves sync.WaitGroup
	most   int64 // frames of each peer

	mu   sync.Mutex
	all  []*echo
	came chan *echo
}

// open starts a server; with TLS a line can't be tried without waiting.
func open(t testing.TB, secure bool) *port {
	p := &port{keeper: NewKeeper(), came: make(chan *echo, 20_000)}
	up := websocket.Upgrader{ReadBufferSize: 512, WriteBufferSize: 512}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		e := &echo{most: p.most}
		c := p.keeper.Take(conn.NetConn(), e, &p.heavy)
		e.conn.Store(c)
		p.mu.Lock()
		p.all = append(p.all, e)
		p.mu.Unlock()
		p.serves.Go(c.Serve)
		p.came <- e
	})
	if p.Server = httptest.NewUnstartedServer(handler); secure {
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(func() {
		for _, e := range p.everybody() {
			e.conn.Load().Close()
		}
		p.serves.Wait()
		p.Close()
	})
	return p
}

func (p *port) everybody() []*echo {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]*echo(nil), p.all...)
}

// dial gives a client and the server's side of it.
func (p *port) dial(t testing.TB) (*websocket.Conn, *Conn, *echo) {
	t.Helper()
	d := websocket.Dialer{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}} //nolint:gosec // a test's own certificate
	client, _, err := d.Dial("ws"+strings.TrimPrefix(p.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	e := <-p.came
	return client, e.conn.Load(), e
}

// each runs a test on plain lines and on TLS.
func each(t *testing.T, run func(t *testing.T, p *port)) {
	for _, secure := range []bool{false, true} {
		t.Run(map[bool]string{false: "plain", true: "TLS"}[secure], func(t *testing.T) { run(t, open(t, secure)) })
	}
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("%s did not come", what)
		}
	}
}

func closedWith(t testing.TB, client *websocket.Conn) int {
	t.Helper()
	_ = client.SetReadDeadline(time.Now().Add(patience))
	for {
		_, _, err := client.ReadMessage()
		var ce *websocket.CloseError
		if errors.As(err, &ce) {
			return ce.Code
		}
		if err != nil {
			t.Fatalf("ended with %v", err)
		}
	}
}

// TestEcho: messages of every size come back in order, over fragments and pings.
func TestEcho(t *testing.T) {
	each(t, func(t *testing.T, p *port) {
		client, _, _ := p.dial(t)
		pongs := 0
		client.SetPongHandler(func(s string) error { pongs += len(s); return nil })
		for i, size := range []int{0, 1, 125, 126, 4096, 511, 513} {
			text := strings.Repeat(string(rune('a'+i)), size)
			if err := client.WriteControl(websocket.PingMessage, []byte("12345"), time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if err := client.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, got, err := client.ReadMessage(); err != nil || string(got) != text {
				t.Fatalf("%d bytes: %d %v", size, len(got), err)
			}
		}
		if pongs != 7*5 {
			t.Errorf("%d bytes of pongs", pongs)
		}
	})
}

// TestOrder: what is sent to one who reads late arrives whole and in order, far beyond what the line holds at once.
func TestOrder(t *testing.T) {
	each(t, func(t *testing.T, p *port) {
		client, conn, e := p.dial(t)
		const frames = 20       // 200 KB: more than a line takes at once, less than would cut
		for i := range frames { // 280 KB: more than the line takes, less than would cut
			conn.Send(Text(fmt.Appendf(nil, "%05d%s", i, strings.Repeat("x", 10_000))), time.Now())
		}
		for i := range frames {
			if _, got, err := client.ReadMessage(); err != nil || string(got[:5]) != fmt.Sprintf("%05d", i) || len(got) != 10_005 {
				t.Fatalf("frame %d: %.5q %v", i, got, err)
			}
		}
		until(t, "nobody has too much", func() bool { return p.heavy.Load() == 0 })
		conn.Send(Text([]byte("after")), time.Now())
		if _, got, err := client.ReadMessage(); err != nil || string(got) != "after" {
			t.Errorf("%q %v", got, err)
		}
		if e.slow.Load() != 0 {
			t.Error("a healthy reader was cut")
		}
	})
}

// TestSlow: one who does not read is cut once 256 KiB wait, and told so if the line still takes it.
func TestSlow(t *testing.T) {
	each(t, func(t *testing.T, p *port) {
		_, conn, e := p.dial(t)
		frame := Text([]byte(strings.Repeat("x", 16<<10)))
		heaviest := int64(0)
		for i := 0; e.slow.Load() == 0; i++ {
			if heaviest = max(heaviest, p.heavy.Load()); i > 1000 {
				t.Fatal("not cut after 16 MB")
			}
			conn.Send(frame, time.Now())
		}
		conn.Send(frame, time.Now())
		until(t, "the end", func() bool { conn.mu.Lock(); defer conn.mu.Unlock(); return conn.dead })
		if heaviest != 1 || e.slow.Load() != 1 || p.heavy.Load() != 0 || conn.bytes != 0 {
			t.Errorf("told %d times; %d heavy, %d bytes", e.slow.Load(), p.heavy.Load(), conn.bytes)
		}
	})
}

// TestStale: what has waited for 5 s cuts, however little it is.
func TestStale(t *testing.T) {
	p := open(t, false)
	_, conn, e := p.dial(t)
	now := time.Now()
	conn.mu.Lock()
	conn.draining = true // as if the line were clogged
	conn.mu.Unlock()
	conn.Send(Text([]byte("x")), now)
	conn.Send(Text([]byte("y")), now.Add(UnsentLong))
	if e.slow.Load() != 0 {
		t.Error("cut too early")
	}
	conn.Send(Text([]byte("z")), now.Add(UnsentLong+time.Millisecond))
	if e.slow.Load() != 1 || !conn.Closing() {
		t.Error("not cut")
	}
}

// TestClose: rows of how a conversation ends, and with which code.
func TestClose(t *testing.T) {
	each(t, func(t *testing.T, p *port) {
		for _, row := range []struct {
			name string
			do   func(client *websocket.Conn, conn *Conn)
			code int
		}{
			{"the server's word", func(_ *websocket.Conn, conn *Conn) { conn.Finish(4410, "over", true) }, 4410},
			{"the first word counts", func(_ *websocket.Conn, conn *Conn) { conn.Finish(4401, "", false); conn.Finish(4410, "", true) }, 4401},
			{"the client's", func(client *websocket.Conn, _ *Conn) {
				_ = client.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "away"), time.Now().Add(patience))
			}, 1001},
			{"too large", func(client *websocket.Conn, _ *Conn) { _ = client.WriteMessage(1, make([]byte, 60_000)) }, CodeTooBig},
			{"not UTF-8", func(client *websocket.Conn, _ *Conn) { _ = client.WriteMessage(1, []byte("\xff")) }, CodeText},
			{"compressed", func(client *websocket.Conn, _ *Conn) {
				frame := masked(true, opText, "x")
				frame[0] |= 0x40
				_, _ = client.NetConn().Write(frame)
			}, CodeProtocol},
		} {
			client, conn, _ := p.dial(t)
			row.do(client, conn)
			if got := closedWith(t, client); got != row.code {
				t.Errorf("%s: %d instead of %d", row.name, got, row.code)
			}
		}
		p.serves.Wait() // everybody has answered: nothing is left open
	})
}

// TestCloseAfterQueue: a goodbye that is polite comes after what was queued, one that isn't before.
func TestCloseAfterQueue(t *testing.T) {
	p := open(t, false)
	client, conn, _ := p.dial(t)
	conn.Preload(Text([]byte("a")), Text([]byte("b")))
	conn.Finish(4410, "", true)
	for _, want := range []string{"a", "b"} {
		if _, got, err := client.ReadMessage(); err != nil || string(got) != want {
			t.Fatalf("%q %v", got, err)
		}
	}
	if got := closedWith(t, client); got != 4410 {
		t.Error(got)
	}
}

// TestFlood: too many frames of any kind close the socket.
func TestFlood(t *testing.T) {
	p := open(t, false)
	p.most = 100
	client, _, _ := p.dial(t)
	for range 101 {
		_ = client.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience))
	}
	if got := closedWith(t, client); got != CodeFlood {
		t.Error(got)
	}
}

// TestPartial: a message that was begun has ten seconds to be there; one who is slower is told, one in time goes on.
func TestPartial(t *testing.T) {
	each(t, func(t *testing.T, p *port) {
		client, conn, _ := p.dial(t)
		whole := masked(true, opText, "Hello")
		for i := range whole {
			if _, err := client.NetConn().Write(whole[i : i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if _, got, err := client.ReadMessage(); err != nil || string(got) != "Hello" {
			t.Fatalf("%q %v", got, err)
		}
		if _, err := client.NetConn().Write(whole[:3]); err != nil {
			t.Fatal(err)
		}
		until(t, "the beginning", func() bool { // and then time, by hand
			_ = conn.line.SetReadDeadline(time.Unix(1, 0))
			return conn.Closing()
		})
		if got := closedWith(t, client); got != CodePartial {
			t.Error(got)
		}
	})
}

// TestPings: every socket is pinged in its turn, and hears the text that goes along; one that is silent for a minute is cut.
func TestPings(t *testing.T) {
	p := open(t, false)
	var clients []*websocket.Conn
	var conns []*Conn
	for range spokes + 7 {
		client, conn, _ := p.dial(t)
		clients, conns = append(clients, client), append(conns, conn)
	}
	now := time.Now()
	conns[3].heard.Store(now.Add(-SilentLong - time.Second).UnixMilli())
	var turn []*Conn
	for range spokes {
		turn = p.keeper.wheel.step(turn)
		if len(turn) > 2 {
			t.Fatalf("%d sockets at once", len(turn))
		}
		p.keeper.ping(turn, func() []byte { return []byte("beat") }, now)
	}
	for i, client := range clients {
		pings := 0
		client.SetPingHandler(func(string) error { pings++; return nil })
		_, got, err := client.ReadMessage()
		if silent := i == 3; silent != (err != nil) || !silent && (string(got) != "beat" || pings != 1) {
			t.Errorf("socket %d: %q, %d pings, %v", i, got, pings, err)
		}
	}
}

// TestWheel: who leaves in any order is not pinged any more, and nobody is forgotten.
func TestWheel(t *testing.T) {
	var w wheel
	conns := make([]*Conn, 1000)
	for i := range conns {
		conns[i] = &Conn{}
		w.add(conns[i])
	}
	for i := 0; i < len(conns); i += 3 {
		w.remove(conns[i])
		w.remove(conns[i])
	}
	seen := map[*Conn]int{}
	for range spokes {
		for _, c := range w.step(nil) {
			seen[c]++
		}
	}
	for i, c := range conns {
		if want := min(1, i%3); seen[c] != want {
			t.Fatalf("socket %d is pinged %d times", i, seen[c])
		}
	}
}

// TestNothingIsLeft: sockets that end in every way leave no goroutine behind.
func TestNothingIsLeft(t *testing.T) {
	p := open(t, false)
	before := runtime.NumGoroutine()
	for i := range 60 {
		client, conn, _ := p.dial(t)
		switch i % 4 {
		case 0:
			_ = client.NetConn().Close()
		case 1:
			conn.Close()
		case 2:
			conn.Finish(4410, "", false)
			_ = closedWith(t, client)
		case 3:
			for range 40 {
				conn.Send(Text(make([]byte, 16<<10)), time.Now())
			}
			conn.Close()
		}
	}
	p.serves.Wait()
	p.CloseClientConnections()
	until(t, "the baseline", func() bool { return runtime.NumGoroutine() <= before+2 })
}

// TestSendAllocatesNothing: a frame costs a write and nothing else.
func TestSendAllocatesNothing(t *testing.T) {
	p := open(t, false)
	client, conn, _ := p.dial(t)
	go func() {
		for {
			if _, _, err := client.ReadMessage(); err != nil {
				return
			}
		}
	}()
	frame, now := Text([]byte("x")), time.Now()
	if n := testing.AllocsPerRun(200, func() { conn.Send(frame, now) }); n > 0.1 {
		t.Errorf("%v allocations", n)
	}
}

// TestManyWriters: frames of several goroutines never mix.
func TestManyWriters(t *testing.T) {
	p := open(t, false)
	client, conn, _ := p.dial(t)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for range 50 {
				conn.Send(Text([]byte(strings.Repeat(string(rune('a'+w)), 300))), time.Now())
			}
		})
	}
	for range 8 * 50 {
		_, got, err := client.ReadMessage()
		if err != nil || len(got) != 300 || strings.Trim(string(got), string(got[:1])) != "" {
			t.Fatalf("%q %v", got, err)
		}
	}
	wg.Wait()
}
