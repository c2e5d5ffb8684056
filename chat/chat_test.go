package chat_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"

	"github.com/duoduopin/duoduopin/chat"
)

// TestRoom is the main path on both databases: hello, talk, what the shop says, who watches, who likes.
func TestRoom(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		n := newNode(t, d, nil)
		li := n.join("buyer1", "")
		if li.hello.Seq != 0 || *li.hello.Resumed || li.hello.Session.State != "live" || li.hello.Session.ID != show || li.hello.Epoch == "" {
			t.Errorf("hello: %+v", li.hello)
		}
		visitor := n.join("tourist", "")
		said := li.chat("有红色吗")
		heard := visitor.await("chat", nil)
		if heard.Seq != 1 || heard.Text != "有红色吗" || heard.User.Name != "王buyer1" || heard.User.Role != "buyer" || heard.ID != said.ID || heard.ID == "" || heard.User.ID != li.hello.You.ID {
			t.Errorf("heard %+v, said %+v", heard, said)
		}
		n.post("pin", map[string]any{"pin_id": 7, "seq": 99, "type": "forged"})
		if pin := visitor.await("pin", nil); pin.PinID != 7 || pin.Seq != 2 {
			t.Errorf("pin: %+v", pin)
		}
		li.say(`{"type":"like","count":3}`)
		visitor.await("likes", func(e event) bool { return e.Count == 3 })
		third := n.join("buyer2", "")
		third.await("viewers", func(e event) bool { return e.Count == 3 })
		visitor.await("viewers", func(e event) bool { return e.Count == 3 })
		if n.svc.Viewers(show) != 3 {
			t.Errorf("viewers: %d", n.svc.Viewers(show))
		}
		third.leave()
		visitor.await("viewers", func(e event) bool { return e.Count == 2 })
		n.post("session", map[string]any{"state": "interrupted"})
		visitor.await("session", func(e event) bool { return e.State == "interrupted" })
	})
}

// TestHandshake: whatever speaks against a socket is a problem before the upgrade.
func TestHandshake(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	for _, row := range []struct {
		name, who, query, origin string
		session                  int64
		status                   int
		body                     string
	}{
		{name: "a visitor", who: "tourist", session: show, status: 101},
		{name: "a token in the address", query: "?token=buyer1", session: show, status: 101},
		{name: "no such session", who: "buyer1", session: 99, status: 404, body: "/not-found"},
		{name: "a stranger at a rehearsal", who: "buyer1", session: rehearsal, status: 404, body: "/not-found"},
		{name: "the crew at a rehearsal", who: "anchor1", session: rehearsal, status: 101},
		{name: "a bad token", query: "?token=nobody", session: show, status: 401, body: "/sign-in"},
		{name: "another site's page with a cookie", who: "tourist", origin: "https://evil.example", session: show, status: 403, body: "/cross-origin"},
		{name: "another site's page with a token", who: "buyer1", origin: "https://partner.example", session: show, status: 101},
		{name: "a page of ours", who: "tourist", origin: n.url, session: show, status: 101},
		{name: "a position that is none", query: "?after=x", session: show, status: 422, body: `"after"`},
		{name: "a negative position", query: "?after=-1", session: show, status: 422},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := as(row.who)
			if row.origin != "" {
				h.Set("Origin", row.origin)
			}
			u := fmt.Sprintf("ws%s/api/v1/sessions/%d/ws%s", strings.TrimPrefix(n.url, "http"), row.session, row.query)
			conn, res, err := websocket.DefaultDialer.Dial(u, h)
			if err == nil {
				defer func() { _ = conn.Close() }()
			}
			if res == nil {
				t.Fatal(err)
			}
			defer func() { _ = res.Body.Close() }()
			buf := make([]byte, 1024)
			k, _ := res.Body.Read(buf)
			if res.StatusCode != row.status || !strings.Contains(string(buf[:k]), row.body) {
				t.Errorf("%d %s", res.StatusCode, buf[:k])
			}
		})
	}
	if status, body := n.call("buyer1", "GET", "/api/v1/sessions/1/ws", ""); status != http.StatusBadRequest || !strings.Contains(body, "/upgrade-required") {
		t.Errorf("plain GET: %d %s", status, body)
	}
	_, res, err := n.dial("", "", show)
	must(t, err)
	if got := res.Header.Get("Set-Cookie"); !strings.Contains(got, "duoduopin_visitor=new") {
		t.Errorf("a first-time visitor gets no cookie: %q", got)
	}
}

// TestRefusals: what is refused, is refused to its sender only, with a reason.
func TestRefusals(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	visitor, li := n.join("tourist", ""), n.join("buyer1", "")
	for _, row := range []struct {
		name, msg, reason string
		from              *guest
	}{
		{"chat without an account", `{"type":"chat","id":"a","text":"hi"}`, "sign-in", visitor},
		{"nothing", `{"type":"chat","id":"a","text":" \n\u200b "}`, "empty", li},
		{"too long", `{"type":"chat","id":"a","text":"` + strings.Repeat("长", 201) + `"}`, "too-long", li},
		{"an unknown type", `{"type":"shout"}`, "bad-message", li},
		{"no likes", `{"type":"like","count":0}`, "bad-message", li},
		{"too many likes", `{"type":"like","count":101}`, "bad-message", li},
		{"a click on nothing", `{"type":"click"}`, "bad-message", li},
		{"a long id", `{"type":"chat","id":"` + strings.Repeat("x", 65) + `","text":"hi"}`, "bad-message", li},
		{"an id with text", `{"type":"chat","id":"加微信 abc","text":"hi"}`, "bad-message", li},
		{"an id with markup", `{"type":"chat","id":"<b>","text":"hi"}`, "bad-message", li},
		{"half a like", `{"type":"like","count":0.5}`, "bad-message", li},
	} {
		if got := row.from.refused("%s", row.msg); got != row.reason {
			t.Errorf("%s: %q instead of %q", row.name, got, row.reason)
		}
	}
	if got := li.chat(strings.Repeat("长", 200)); got.Seq != 1 {
		t.Errorf("something refused took a seq: the next one has %d", got.Seq)
	}
	li.say(`{"type":"chat","id":"b","text":"  a\nb\u0007\u202Ec\u0000 "}`)
	if got := li.await("chat", nil); got.Text != "a bc" {
		t.Errorf("cleaned: %q", got.Text)
	}
	li.say(`{"type":"chat","id":"b","text":"again"}`)
	if got := li.chat("other"); got.Seq != 3 {
		t.Errorf("a message sent twice appears twice: %+v", got)
	}
	visitor.await("chat", func(e event) bool { return e.Text == "other" })
	li.say(`nonsense`)
	li.say(`[1]`)
	if code := li.closed(); code != 4400 {
		t.Errorf("after three frames that are no messages: %d", code)
	}
}

// TestRates: a burst of five, then one message a second, over all sockets of a person; the clock decides.
func TestRates(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	one, two := n.join("buyer1", ""), n.join("buyer1", "")
	for i := range 5 {
		[]*guest{one, two}[i%2].chat(fmt.Sprint("burst", i))
	}
	if got := two.refused(`{"type":"chat","id":"x","text":"six"}`); got != "too-fast" {
		t.Errorf("the sixth: %q", got)
	}
	n.clock.Advance(1000 * 1e6)
	if e := two.chat("a second later"); e.Seq != 6 {
		t.Errorf("%+v", e)
	}
	for range 8 {
		n.join("buyer1", "")
	}
	if _, res, err := n.dial("buyer1", "", show); err == nil || res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("an eleventh socket: %v %v", err, res)
	}
	for range 200 { // the last ones may find the socket closed
		_ = one.conn.WriteMessage(websocket.TextMessage, []byte(`{"type":"share"}`))
	}
	if code := one.closed(); code != 4429 {
		t.Errorf("a flood: %d", code)
	}
	two.refused(`{"type":"shout"}`) // the other socket is well
}

// TestDense: many talk at once, and the shop too; everybody sees the same events, every seq once.
func TestDense(t *testing.T) {
	n := newNode(t, newDB(t), nil, noLimits)
	const talkers, each = 8, 40
	watcher := n.join("tourist", "")
	var wg sync.WaitGroup
	for i := range talkers {
		g := n.join(fmt.Sprint("buyer", i+1), "")
		wg.Go(func() {
			for k := range each {
				g.say(`{"type":"chat","id":"%d","text":"t%d"}`, k, k)
			}
		})
	}
	wg.Go(func() {
		for i := range each {
			if err := n.svc.Post(context.Background(), show, "sold", map[string]any{"quantity": i}); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	for want := uint64(1); want <= (talkers+1)*each; {
		if e := watcher.next(); e.Seq != 0 {
			if e.Seq != want {
				t.Fatalf("seq %d instead of %d", e.Seq, want)
			}
			want++
		}
	}
}

// TestHistory: a newcomer gets the newest 50.
func TestHistory(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	for i := range 60 {
		n.post("notice", map[string]any{"text": fmt.Sprint(i)})
	}
	g := n.join("tourist", "")
	if g.hello.Seq != 60 || *g.hello.Resumed {
		t.Errorf("hello: %+v", g.hello)
	}
	for want := uint64(11); want <= 60; want++ {
		if e := g.next(); e.Seq != want {
			t.Fatalf("seq %d instead of %d", e.Seq, want)
		}
	}
	if e := g.next(); e.Type != "viewers" {
		t.Errorf("after history: %+v", e)
	}
}

// TestResume: one who was away during 300 events gets each of them once, while others go on talking.
func TestResume(t *testing.T) {
	n := newNode(t, newDB(t), nil, noLimits)
	g := n.join("tourist", "")
	before := n.join("buyer1", "").chat("before")
	g.await("chat", nil)
	g.leave()
	for i := range 300 {
		n.post("notice", map[string]any{"text": fmt.Sprint(i)})
	}
	talk := make(chan int, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range talk {
			_ = n.svc.Post(context.Background(), show, "sold", nil)
		}
	})
	defer wg.Wait()
	defer close(talk)
	for round := range 20 {
		for i := range 40 {
			talk <- i
		}
		back := n.join("tourist", fmt.Sprintf("?after=%d&epoch=%s", before.Seq, g.hello.Epoch))
		if !*back.hello.Resumed {
			t.Fatalf("not resumed: %+v", back.hello)
		}
		back.last = before.Seq
		for back.last < before.Seq+300+40*uint64(round+1) { // into live delivery; next() holds each seq against the one before
			back.next()
		}
		back.leave()
	}
}

// TestNotResumed: what can't be resumed says so and starts with the newest.
func TestNotResumed(t *testing.T) {
	n := newNode(t, newDB(t), nil, noLimits)
	for range 2010 {
		n.post("sold", nil)
	}
	for _, row := range []struct {
		name, query string
		resumed     bool
		first       uint64
	}{
		{"from the future", "?after=2011", false, 1961},
		{"another log", "?after=2000&epoch=other", false, 1961},
		{"too long ago", "?after=9", false, 1961},
		{"just kept", "?after=10", true, 11},
		{"nothing missed", "?after=2010", true, 0},
		{"no position", "", false, 1961},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := n.join("tourist", row.query)
			defer g.leave()
			e := g.next()
			if *g.hello.Resumed != row.resumed || e.Seq != row.first {
				t.Errorf("resumed %v, first %+v", *g.hello.Resumed, e)
			}
			for e.Seq != 0 && e.Seq != 2010 {
				e = g.next()
			}
		})
	}
}

// TestRestart: a room goes on with the next seq after the server was ended and started again on the same folder.
func TestRestart(t *testing.T) {
	dir, d := t.TempDir(), newDB(t)
	first := newBus(t, dir)
	n := newNode(t, d, first)
	g := n.join("buyer1", "")
	before := g.chat("before")
	n.halt()
	if code := g.closed(); code != 1012 || !strings.HasPrefix(g.reason, "retry_ms=") {
		t.Errorf("told to come back with %d %q", code, g.reason)
	}
	if _, res, err := n.dial("buyer1", "", show); err == nil {
		t.Errorf("still let in: %v", res)
	}
	first.Close()

	n = newNode(t, d, newBus(t, dir))
	back := n.join("buyer1", fmt.Sprintf("?after=%d&epoch=%s", before.Seq, g.hello.Epoch))
	if !*back.hello.Resumed {
		t.Errorf("hello after the restart: %+v", back.hello)
	}
	if after := back.chat("after"); after.Seq != before.Seq+1 || after.User.ID != before.User.ID {
		t.Errorf("%+v, then %+v", before, after)
	}
}

// TestEnded: a room that is over shows its history and lets go; who was there may stay but not speak.
func TestEnded(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	g := n.join("buyer1", "")
	g.chat("bye")
	n.gate.set(show, "ended")
	n.post("session", map[string]any{"state": "ended"})
	n.svc.CloseRoom(show)
	g.await("session", func(e event) bool { return e.State == "ended" })
	if got := g.refused(`{"type":"chat","id":"x","text":"late"}`); got != "not-open" {
		t.Errorf("speaking after the end: %q", got)
	}
	late := n.join("buyer2", "")
	if late.hello.Session.State != "ended" || late.await("chat", nil).Text != "bye" {
		t.Errorf("%+v", late.hello)
	}
	if code := late.closed(); code != 4410 {
		t.Errorf("closed with %d", code)
	}
	never := n.joinTo(over, "buyer1", "")
	if code := never.closed(); code != 4410 {
		t.Errorf("closed with %d", code)
	}
}

// TestLogLost: when a room's log is gone, people are sent away, come back, and are told that this is another log.
func TestLogLost(t *testing.T) {
	n := newNode(t, newDB(t), nil)
	g := n.join("buyer1", "")
	g.chat("one")
	must(t, n.bus.JetStream().DeleteStream(t.Context(), "ROOM_1"))
	n.post("notice", map[string]any{"text": "two"}) // what a member says now may be lost with the socket
	if code := g.closed(); code != 4509 {
		t.Fatalf("closed with %d", code)
	}
	back := n.join("buyer1", "?after=1&epoch="+g.hello.Epoch)
	if *back.hello.Resumed || back.hello.Epoch == g.hello.Epoch {
		t.Errorf("%+v", back.hello)
	}
	if e := back.await("notice", nil); e.Text != "two" || e.Seq != 1 {
		t.Errorf("%+v", e)
	}
}

// TestBusAway: without the log nobody can speak, but who is there stays.
func TestBusAway(t *testing.T) {
	b := newBus(t, t.TempDir())
	n := newNode(t, newDB(t), b)
	g := n.join("buyer1", "")
	g.chat("one")
	b.Close()
	if got := g.refused(`{"type":"chat","id":"2","text":"two"}`); got != "unavailable" {
		t.Errorf("%q", got)
	}
	if got := g.refused(`{"type":"shout"}`); got != "bad-message" {
		t.Errorf("%q", got)
	}
	if _, res, err := n.dial("buyer2", "", rehearsal); err == nil {
		t.Errorf("%v", res)
	}
	if _, res, err := n.dial("operator1", "", rehearsal); err == nil || res.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a room that is not open: %v %v", err, res)
	}
}
