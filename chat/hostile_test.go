package chat_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// fragile dials with little room in the kernel, as one who will not read.
func (n *node) fragile(who string) (*websocket.Conn, error) {
	d := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10)
		}
		return c, err
	}}
	conn, _, err := d.Dial("ws"+strings.TrimPrefix(n.url, "http")+"/api/v1/sessions/1/ws", as(who))
	return conn, err
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestThousandSlowReaders: a thousand who never read are cut, hold little memory until then, and those who read have every
// event. How soon they have it is measured and shown.
func TestThousandSlowReaders(t *testing.T) {
	const slow = 1000
	n := newNode(t, newDB(t), nil, noLimits)
	var well []*guest
	for i := range 5 {
		well = append(well, n.join(fmt.Sprint("buyer", i+1), ""))
	}
	next := make(chan int)
	var dialers sync.WaitGroup
	for range 16 {
		dialers.Go(func() {
			for i := range next {
				conn, err := n.fragile(fmt.Sprint("sleeper-", string(rune('a'+i%26)), strings.Repeat("z", i/26)))
				if err != nil {
					t.Error(err)
					continue
				}
				t.Cleanup(func() { _ = conn.Close() })
			}
		})
	}
	for i := range slow {
		next <- i
	}
	close(next)
	dialers.Wait()
	until(t, "the sleepers", func() bool { return n.metric("duoduopin_chat_members") == slow+5 })
	before, most := heap(), uint64(0)
	var took []time.Duration
	sent, text := uint64(0), strings.Repeat("长", 5000)
	for ; n.metric("duoduopin_chat_cut_total") < slow; sent++ {
		if sent > 500 {
			t.Fatalf("%v were cut after 7 MB", n.metric("duoduopin_chat_cut_total"))
		}
		start := time.Now()
		n.post("notice", map[string]any{"text": text})
		for _, g := range well {
			for g.last < sent+1 {
				g.next()
			}
		}
		if took = append(took, time.Since(start)); sent%10 == 0 {
			most = max(most, heap())
		}
	}
	until(t, "their end", func() bool { return n.metric("duoduopin_chat_members") == 5 })
	slices.Sort(took)
	more := float64(most-min(most, before)) / (1 << 20)
	t.Logf("all cut after %d events of 15 KB; the others' p99 %v; %.0f MB more", sent, took[len(took)*99/100], more)
	if more > 100 {
		t.Errorf("%.0f MB more", more)
	}
	if cut := n.metric("duoduopin_chat_cut_total"); cut != slow {
		t.Errorf("%v were cut", cut)
	}
}

// raw gives a client's frame, masked with zeros.
func raw(first byte, length int, payload string) []byte {
	b := []byte{first}
	switch {
	case length < 126:
		b = append(b, 0x80|byte(length))
	case length <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(length))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(length))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// TestHostileFrames: rows of what somebody may send, and how it ends; who is in the same room hears nothing of it.
func TestHostileFrames(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	well := n.join("buyer1", "")
	for i, row := range []struct {
		name string
		line []byte
		code int
	}{
		{"a giant that is announced", raw(0x81, 60<<20, "{"), 1009},
		{"a giant that comes", raw(0x81, 1<<20, strings.Repeat("x", 1<<20)), 1009},
		{"a giant in fragments", slices.Concat(raw(0x01, 4000, strings.Repeat("x", 4000)), raw(0x80, 4000, strings.Repeat("x", 4000))), 1009},
		{"a compressed one, though nobody agreed to it", raw(0xc1, 5, "\xaa\x56\x2a\xa9\x2c"), 1002},
		{"text that is not UTF-8", raw(0x81, 2, "\xc3\x28"), 1007},
		{"binary, three times", slices.Concat(raw(0x82, 2, "{}"), raw(0x82, 2, "{}"), raw(0x82, 2, "{}")), 4400},
		{"not masked", []byte{0x81, 0x02, '{', '}'}, 1002},
		{"a flood of messages", slices.Concat(slices.Repeat([][]byte{raw(0x81, 16, `{"type":"share"}`)}, 300)...), 4429},
		{"a flood of pings", slices.Concat(slices.Repeat([][]byte{raw(0x89, 0, "")}, 300)...), 4429},
		{"a flood of empty fragments", slices.Concat(raw(0x01, 0, ""), slices.Concat(slices.Repeat([][]byte{raw(0x00, 0, "")}, 300)...)), 1002},
	} {
		g := n.join(fmt.Sprint("buyer", i+2), "")
		_, _ = g.conn.NetConn().Write(row.line) // the end may come before all is written
		if code := g.closed(); code != row.code {
			t.Errorf("%s: closed with %d instead of %d", row.name, code, row.code)
		}
	}
	well.chat("still here")
	until(t, "their end", func() bool { return n.metric("duoduopin_chat_members") == 1 })
}

// TestNoCompression: it is not agreed to, whatever the client offers: gorilla's read limit, and every other, counts bytes on
// the line.
func TestNoCompression(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	d := websocket.Dialer{EnableCompression: true}
	conn, res, err := d.Dial("ws"+strings.TrimPrefix(n.url, "http")+"/api/v1/sessions/1/ws", http.Header{})
	must(t, err)
	defer func() { _ = conn.Close() }()
	if got := res.Header.Get("Sec-Websocket-Extensions"); got != "" {
		t.Errorf("agreed to %q", got)
	}
}
