package chat_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// BenchmarkFanout posts events of 200 bytes into a room of so many members over real sockets and waits until all of them
// have all. Beside the cost of one delivery (event times member) it gives the events that went into one write, and the
// ratio to a bare loop in the same run that writes every event to every socket ("of-bare": below 1 is cheaper).
func BenchmarkFanout(b *testing.B) {
	for _, members := range []int{10, 200, 1000} {
		b.Run(fmt.Sprint("members=", members), func(b *testing.B) { benchFanout(b, members) })
	}
}

// sink counts the events and frames that come out of a socket, without decoding them.
type sink struct{ events, frames *atomic.Int64 }

func (s sink) drain(conn *websocket.Conn) {
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return
		}
		if n := strings.Count(string(raw), `"type":"sold"`); n > 0 {
			s.frames.Add(1)
			s.events.Add(int64(n))
		}
	}
}

func benchFanout(b *testing.B, members int) {
	n := newNode(b, newDB(b), nil, noLimits)
	var events, frames atomic.Int64
	for i := range members {
		conn, _, err := n.dial(fmt.Sprint("buyer", i+1), "", show)
		must(b, err)
		b.Cleanup(func() { _ = conn.Close() })
		go sink{&events, &frames}.drain(conn)
	}
	until(b, "all members", func() bool { return n.metric("duoduopin_chat_members") == float64(members) })
	bare := bareWrites(b, members)
	data := map[string]any{"title": strings.Repeat("x", 120), "quantity": 1}
	b.ReportAllocs()
	b.ResetTimer()
	began := time.Now()
	for range b.N {
		must(b, n.svc.Post(context.Background(), show, "sold", data))
	}
	want := int64(b.N) * int64(members)
	until(b, "all events", func() bool { return events.Load() == want })
	each := float64(time.Since(began).Nanoseconds()) / float64(want)
	b.StopTimer()
	b.ReportMetric(each, "ns/delivery")
	b.ReportMetric(float64(events.Load())/float64(frames.Load()), "events/write")
	b.ReportMetric(each/bare, "of-bare")
}

// bareWrites gives the ns of one delivery when a loop writes each event to each of so many sockets.
func bareWrites(b *testing.B, members int) float64 {
	var conns []*websocket.Conn
	var mu sync.Mutex
	up := websocket.Upgrader{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := up.Upgrade(w, r, nil)
		if err == nil {
			mu.Lock()
			conns = append(conns, conn)
			mu.Unlock()
		}
	}))
	defer srv.Close()
	var events, frames atomic.Int64
	for range members {
		conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
		must(b, err)
		defer func() { _ = conn.Close() }()
		go sink{&events, &frames}.drain(conn)
	}
	until(b, "the bare sockets", func() bool { mu.Lock(); defer mu.Unlock(); return len(conns) == members })
	msg := []byte(`[{"seq":1,"type":"sold","title":"` + strings.Repeat("x", 150) + `"}]`)
	began, rounds := time.Now(), 0
	for ; time.Since(began) < 300*time.Millisecond; rounds++ {
		for _, c := range conns {
			must(b, c.WriteMessage(websocket.TextMessage, msg))
		}
	}
	until(b, "the bare events", func() bool { return events.Load() == int64(rounds*members) })
	each := float64(time.Since(began).Nanoseconds()) / float64(rounds*members)
	for _, c := range conns {
		_ = c.Close()
	}
	return each
}
