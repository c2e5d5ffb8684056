package chat_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// TestSlowReader: one who does not read is cut at 256 KiB or 5 s, and the others do not notice.
func TestSlowReader(t *testing.T) {
	n := newNode(t, newDB(t), nil, noLimits)
	slow := websocket.Dialer{NetDialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetReadBuffer(4 << 10)
		}
		return c, err
	}}
	conn, _, err := slow.Dial("ws"+strings.TrimPrefix(n.url, "http")+"/api/v1/sessions/1/ws", as("sleeper"))
	must(t, err)
	defer func() { _ = conn.Close() }()
	well := n.join("tourist", "")
	until(t, "the sleeper", func() bool { return n.svc.Viewers(show) == 2 })
	text := strings.Repeat("长", 5000)
	sent := uint64(0)
	for n.metric("duoduopin_chat_cut_total") == 0 {
		if sent > 3000 {
			t.Fatal("the sleeper was not cut")
		}
		for range 8 {
			sent++
			n.post("notice", map[string]any{"text": text})
		}
		for well.last < sent { // the well one gets each at once
			well.next()
		}
	}
	until(t, "the sleeper's end", func() bool { return n.metric("duoduopin_chat_members") == 1 })
	n.post("notice", nil)
	for well.last < sent+1 {
		well.next()
	}
	t.Logf("cut after %d events of 15 KB", sent)
}

// TestShutdown tells all sockets to come back, each at a moment of its own, and waits for their goroutines.
func TestShutdown(t *testing.T) {
	n := newNode(t, newDB(t), nil, noLimits)
	var guests []*guest
	for i := range 30 {
		guests = append(guests, n.join(fmt.Sprint("buyer", i+1), ""))
	}
	n.halt()
	waits := map[string]bool{}
	for _, g := range guests {
		if code := g.closed(); code != 1012 {
			t.Errorf("closed with %d %q", code, g.reason)
		}
		waits[g.reason] = true
	}
	if len(waits) < 10 {
		t.Errorf("all come back together: %v", waits)
	}
}

// TestBaseline: 300 cycles of join and leave leave nothing behind.
func TestBaseline(t *testing.T) {
	n := newNode(t, newDB(t), nil, noLimits)
	keep := n.join("tourist", "")
	runtime.GC()
	before := runtime.NumGoroutine()
	for i := range 300 {
		conn, _, err := n.dial(fmt.Sprint("buyer", i%7+1), "", show)
		must(t, err)
		if i%2 == 0 {
			_ = conn.NetConn().Close() // without a word
		} else {
			_ = conn.Close()
		}
	}
	http.DefaultClient.CloseIdleConnections()
	until(t, "the baseline", func() bool { return n.metric("duoduopin_chat_members") == 1 && runtime.NumGoroutine() <= before+3 })
	keep.await("viewers", func(e event) bool { return e.Count == 1 })
}

// TestNodes: two nodes on one bus and one database are one room: the same seq, one count of viewers, mutes everywhere.
func TestNodes(t *testing.T) {
	d, b := newDB(t), newBus(t, t.TempDir())
	one, two := newNode(t, d, b), newNode(t, d, b)
	li, wang := one.join("buyer1", ""), two.join("buyer2", "")
	li.chat("from one")
	if e := wang.await("chat", nil); e.Seq != 1 || e.Text != "from one" {
		t.Errorf("%+v", e)
	}
	wang.chat("from two")
	if e := li.await("chat", nil); e.Seq != 2 || e.User.ID != wang.hello.You.ID {
		t.Errorf("%+v", e)
	}
	li.await("viewers", func(e event) bool { return e.Count == 2 })
	wang.say(`{"type":"like","count":7}`)
	li.await("likes", func(e event) bool { return e.Count == 7 })
	if status, body := one.call("assistant1", "POST", "/api/v1/sessions/1/mutes", fmt.Sprintf(`{"user":%q,"minutes":5}`, wang.hello.You.ID)); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	muted := time.Now()
	for i := 0; ; i++ {
		wang.say(`{"type":"chat","id":"t%d","text":"still here"}`, i)
		e := wang.await2("refused", "chat")
		if e.Reason == "muted" {
			break
		}
		if time.Since(muted) > time.Second {
			t.Fatal("not muted on the other node within a second")
		}
	}
}

// await2 gives the next event of either type.
func (g *guest) await2(a, b string) event {
	g.t.Helper()
	for {
		if e := g.next(); e.Type == a || e.Type == b {
			return e
		}
	}
}

// TestModeration: rows of who may do what, and what it does.
func TestModeration(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	li := n.join("buyer1", "")
	said := li.chat("坏话")
	li.chat("fine")
	n.post("pin", nil)
	user := li.hello.You.ID
	const base = "/api/v1/sessions/1"
	for _, row := range []struct {
		who, method, path, body string
		status                  int
		holds                   string
	}{
		{"", "POST", base + "/messages/1/remove", `{}`, 401, "/sign-in"},
		{"buyer1", "POST", base + "/messages/1/remove", `{}`, 403, "/forbidden"},
		{"anchor2", "POST", base + "/messages/1/remove", `{}`, 403, "/forbidden"},
		{"assistant1", "POST", base + "/messages/9/remove", `{}`, 404, "/not-found"},
		{"assistant1", "POST", base + "/messages/3/remove", `{}`, 404, "/not-found"}, // a pin
		{"assistant1", "POST", "/api/v1/sessions/99/messages/1/remove", `{}`, 404, "/not-found"},
		{"anchor1", "POST", base + "/messages/1/remove", `{"reason":"rude"}`, 204, ""},
		{"assistant1", "POST", base + "/messages/2/remove", "", 204, ""},
		{"buyer1", "POST", base + "/mutes", `{"user":"` + user + `","minutes":5}`, 403, ""},
		{"operator1", "POST", base + "/mutes", `{"user":"` + user + `","minutes":0}`, 422, "minutes"},
		{"operator1", "POST", base + "/mutes", `{"user":"` + user + `","minutes":1441}`, 422, "minutes"},
		{"operator1", "POST", base + "/mutes", `{"user":"somebody","minutes":5}`, 422, "user"},
		{"operator1", "POST", base + "/mutes", `{"user":"` + user + `","minutes":5,"reason":"rude"}`, 200, user},
		{"buyer1", "POST", base + "/notices", `{"text":"hi"}`, 403, ""},
		{"assistant1", "POST", base + "/notices", `{"text":"\n"}`, 422, "text"},
		{"assistant1", "POST", base + "/notices", `{"text":"` + strings.Repeat("长", 201) + `"}`, 422, "text"},
		{"assistant1", "POST", base + "/notices", `{"text":"明天见"}`, 204, ""},
	} {
		if status, body := n.call(row.who, row.method, row.path, row.body); status != row.status || !strings.Contains(body, row.holds) {
			t.Errorf("%s %s %s %s: %d %s", row.who, row.method, row.path, row.body, status, body)
		}
	}
	if e := li.await("removed", nil); e.RemovedSeq != said.Seq {
		t.Errorf("%+v", e)
	}
	if e := li.await("notice", nil); e.Text != "明天见" {
		t.Errorf("%+v", e)
	}
	if got := li.refused(`{"type":"chat","id":"x","text":"and yet"}`); got != "muted" {
		t.Errorf("%q", got)
	}
	if e := n.join("tourist", "").await("chat", nil); e.Seq != said.Seq || e.Text != "" || !e.Removed {
		t.Errorf("history shows what was removed: %+v", e)
	}
	if status, body := n.call("operator1", "DELETE", base+"/mutes/"+user, ""); status != 204 {
		t.Errorf("%d %s", status, body)
	}
	li.chat("thank you")
	n.clock.Advance(10 * time.Minute)
	for _, act := range []string{"chat.remove session/1", "chat.mute session/1", "chat.unmute session/1", "chat.notice session/1"} {
		if !strings.Contains(n.audit.String(), act) {
			t.Errorf("no %s in the audit:\n%s", act, n.audit)
		}
	}
}

// TestMuteEnds: a mute is over when its time is.
func TestMuteEnds(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	li := n.join("buyer1", "")
	if status, body := n.call("operator1", "POST", "/api/v1/sessions/1/mutes", `{"user":"`+li.hello.You.ID+`","minutes":1}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	if got := li.refused(`{"type":"chat","text":"x"}`); got != "muted" {
		t.Errorf("%q", got)
	}
	n.clock.Advance(time.Minute)
	li.chat("x")
}

// TestBurst: 2,000 events as fast as the log takes them cut nobody who reads.
func TestBurst(t *testing.T) {
	n := newNode(t, newDB(t), nil, noLimits)
	guests := make([]*guest, 20)
	for i := range guests {
		guests[i] = n.join(fmt.Sprint("buyer", i+1), "")
	}
	data := map[string]any{"text": strings.Repeat("x", 500)}
	for range 2000 {
		n.post("notice", data)
	}
	for _, g := range guests {
		for g.last < 2000 {
			g.next()
		}
	}
	if cut := n.metric("duoduopin_chat_cut_total"); cut != 0 {
		t.Errorf("%v were cut", cut)
	}
}

// TestStorm: 400 come in at once while the room talks; all of them get hello, history and every event from there on.
func TestStorm(t *testing.T) {
	n := newNode(t, newDB(t), nil, noLimits)
	var wg sync.WaitGroup
	guests := make([]*guest, 400)
	for i := range guests {
		wg.Go(func() { guests[i] = n.join(fmt.Sprint("buyer", i+1), "") })
	}
	for range 200 {
		n.post("sold", nil)
	}
	wg.Wait()
	n.post("sold", nil)
	for _, g := range guests {
		for g.last < 201 {
			g.next()
		}
	}
}

// TestTell: what a room is told reaches who is there, who comes, and the other nodes; it takes no seq.
func TestTell(t *testing.T) {
	d, b := newDB(t), newBus(t, t.TempDir())
	one, two := newNode(t, d, b), newNode(t, d, b)
	speaker := func(name string) func(event) bool {
		return func(e event) bool { return e.Speaker == name && e.Seq == 0 }
	}
	one.svc.Tell(show, "layout", map[string]any{"speaker": "nobody yet", "seq": 7, "type": "forged"}) // with an empty room
	li := one.join("buyer1", "")
	if e := li.await("layout", speaker("nobody yet")); !e.At.Equal(evening) {
		t.Errorf("%+v", e)
	}
	wang := two.join("buyer2", "")
	one.svc.Tell(show, "layout", map[string]any{"speaker": "anna"})
	li.await("layout", speaker("anna"))
	wang.await("layout", speaker("anna"))
	two.join("buyer3", "").await("layout", speaker("anna"))
	for _, bad := range []any{[]int{1}, "text", make(chan int), map[string]any{"speaker": strings.Repeat("x", 33<<10)}} {
		one.svc.Tell(show, "layout", bad)
	}
	one.svc.Tell(show, "viewers", map[string]any{"count": 9}) // the room's own
	if e := li.chat("still here"); e.Seq != 1 {
		t.Errorf("what was told took a seq: %+v", e)
	}
	one.join("buyer4", "").await("layout", speaker("anna"))
}
