package faults

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// quickly opens a room's socket as a visitor, waits for hello, and gives how long that took.
func (s *server) quickly(t *testing.T) time.Duration {
	t.Helper()
	start := time.Now()
	d := websocket.Dialer{HandshakeTimeout: 20 * time.Second}
	conn, _, err := d.Dial("ws"+strings.TrimPrefix(s.url, "http")+s.path("/ws"), nil)
	must(t, err)
	defer conn.Close()
	_ = conn.SetReadDeadline(start.Add(20 * time.Second))
	_, hello, err := conn.ReadMessage()
	if err != nil || !strings.Contains(string(hello), `"hello"`) {
		t.Fatalf("%s %v", hello, err)
	}
	return time.Since(start)
}

// Ten thousand connections that never say anything, and five hundred that dribble a request, are closed; meanwhile a buyer
// gets in.
func TestSilentSockets(t *testing.T) {
	const silent, dribbling = 10_000, 500
	s := start(t, "on")
	s.quickly(t)
	before := s.weigh()
	began := time.Now()
	conns := s.crowd(t, silent+dribbling)
	opened := time.Since(began)
	stop := make(chan struct{})
	var dribbles sync.WaitGroup
	dribbles.Go(func() { dribble(conns[:dribbling], stop) })
	var took []time.Duration
	open := s.metric("process_open_fds")
	for s.metric("process_open_fds") > before.descriptors+20 && time.Since(began) < 60*time.Second {
		took = append(took, s.quickly(t))
	}
	closed := time.Since(began)
	close(stop)
	dribbles.Wait()
	slices.Sort(took)
	measured(t, fmt.Sprintf("%d silent sockets and %d slowloris", silent, dribbling), "closed within 10 s, a buyer connects within 500 ms",
		"opened in %.1f s (the server held %.0f descriptors), all closed after %.1f s; %d buyers, the slowest got in within %v", opened.Seconds(), open, closed.Seconds(), len(took), took[len(took)-1].Round(time.Millisecond))
	if closed > 30*time.Second {
		t.Errorf("still open after %v", closed)
	}
	s.lightest(t, before, 30*time.Second)
}

// crowd opens plain connections from several loopback addresses.
func (s *server) crowd(t *testing.T, n int) []net.Conn {
	t.Helper()
	address := strings.TrimPrefix(s.url, "http://")
	conns := make([]net.Conn, n)
	for i := range conns {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(2+i/5000))}, Timeout: 20 * time.Second}
		c, err := d.Dial("tcp", address)
		if err != nil {
			t.Fatalf("connection %d: %v", i+1, err)
		}
		conns[i] = c
		t.Cleanup(func() { _ = c.Close() })
	}
	return conns
}

// dribble sends a request a byte at a time.
func dribble(conns []net.Conn, stop <-chan struct{}) {
	request := "GET /api/v1/sessions/1/ws HTTP/1.1\r\nHost: x\r\nX-Long: " + strings.Repeat("a", 1000)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for i := 0; i < len(request); i++ {
		for _, c := range conns {
			_, _ = c.Write([]byte{request[i]}) // those that are closed already
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}
