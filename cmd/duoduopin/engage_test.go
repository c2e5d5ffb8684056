package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// leaping is the machine's clock, and leaps when it is told to.
type leaping struct{ ahead atomic.Int64 }

func (c *leaping) Now() time.Time          { return time.Now().UTC().Add(time.Duration(c.ahead.Load())) }
func (c *leaping) Advance(d time.Duration) { c.ahead.Add(int64(d)) }

func onBoth(t *testing.T, play func(t *testing.T, o testOptions)) {
	t.Run("sqlite", func(t *testing.T) { play(t, testOptions{database: testshop.SQLiteURL(t), dir: t.TempDir()}) })
	t.Run("postgres", func(t *testing.T) { play(t, testOptions{database: testshop.PostgresURL(t), dir: t.TempDir()}) })
}

func any1(object) bool { return true }

// awaitAll waits until an event of each kind has come that fits, in whatever order.
func (r *roomClient) awaitAll(wanted map[string]func(object) bool) {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	for len(wanted) > 0 {
		select {
		case e, ok := <-r.events:
			if fits := wanted[e.str("type")]; ok && fits != nil && fits(e) {
				delete(wanted, e.str("type"))
			} else if !ok {
				r.t.Fatalf("the socket closed while waiting for %d kinds of event", len(wanted))
			}
		case <-deadline:
			r.t.Fatalf("these did not come: %v", slices.Collect(maps.Keys(wanted)))
		}
	}
}

// What stands in a room: who comes later sees it, also after the server has restarted.
func TestWhatStandsInARoom(t *testing.T) {
	onBoth(t, func(t *testing.T, o testOptions) {
		e := newSaleDay(t, o)
		e.operator.call("POST", e.base+"/start", nil, 200)
		early := join(t, e.buyer, e.base, "")
		e.anchor.call("PUT", e.base+"/welcome", object{"text": "欢迎"}, 200)
		e.operator.call("PUT", e.base+"/pinned-notice", object{"text": "今晚包邮"}, 200)
		whole := func(b object) bool {
			return b.str("welcome") == "欢迎" && b.obj("pinned").str("text") == "今晚包邮"
		}
		early.awaitAll(map[string]func(object) bool{
			"board":  whole,
			"notice": func(n object) bool { return n.str("text") == "今晚包邮" && n["pinned"] == true && n.num("seq") > 0 },
		})
		poll := e.anchor.call("POST", e.base+"/polls", object{"question": "先讲哪个？", "options": []string{"围巾", "沙棘"}}, 201)
		asked := e.buyer.call("POST", e.base+"/questions", object{"text": "多长？", "product_id": e.product}, 201)
		e.buyer.call("POST", fmt.Sprintf("%s/polls/%.0f/votes", e.base, poll.num("poll_id")), object{"option": 1}, 204)
		e.buyer.call("POST", fmt.Sprintf("%s/polls/%.0f/votes", e.base, poll.num("poll_id")), object{"option": 1}, 204)
		e.stranger.call("POST", fmt.Sprintf("%s/questions/%.0f/votes", e.base, asked.num("question_id")), nil, 200)
		early.awaitAll(map[string]func(object) bool{
			"poll":        func(p object) bool { return p.str("state") == "open" },
			"poll_counts": func(p object) bool { return p.num("total") == 1 && p.list("options")[1].num("votes") == 1 },
			"questions":   func(q object) bool { return q.num("open") == 1 && q.list("top")[0].num("votes") == 1 },
		})

		e.operator.call("POST", e.base+"/moderation/silence", object{"reason": "休息"}, 200)
		e.stranger.problem("POST", e.base+"/questions", object{"text": "我也问"}, 403, "silenced", "text")
		e.operator.call("DELETE", e.base+"/moderation/silence", nil, 200)

		e.stop()
		again := newTestShop(t, o)
		for _, c := range []*client{e.operator, e.anchor, e.buyer, e.stranger, e.visitor} {
			c.url = again.url
		}
		late := join(t, e.visitor, e.base, "")
		late.awaitAll(map[string]func(object) bool{
			"board":       whole,
			"poll_counts": func(p object) bool { return p.str("question") == "先讲哪个？" && p.num("total") == 1 },
			"questions":   func(q object) bool { return q.list("top")[0].str("text") == "多长？" },
		})
		e.anchor.call("POST", fmt.Sprintf("%s/questions/%.0f/answer", e.base, asked.num("question_id")), nil, 200)
		if m := late.await("question", any1); m.str("state") != "answered" || m.str("text") != "" || m.num("seq") == 0 {
			t.Errorf("the mark %v", m)
		}
		if mine := e.buyer.call("GET", e.base+"/questions/mine", nil, 200).list("items"); len(mine) != 1 || mine[0].str("state") != "answered" {
			t.Errorf("the asker sees %v", mine)
		}
	})
}

// A draw from outside: published, entered, drawn at its time although the server was down then, and proved by drawcheck.
func TestDrawIsProvedFromOutside(t *testing.T) {
	onBoth(t, func(t *testing.T, o testOptions) {
		clock := &leaping{}
		o.clock = clock
		e := newSaleDay(t, o)
		e.operator.call("POST", e.base+"/start", nil, 200)
		now := clock.Now()
		terms := object{"title": "福袋", "prize": "沙棘汁", "winners": 2, "opens_at": now.Add(time.Minute).Format(time.RFC3339), "closes_at": now.Add(2 * time.Minute).Format(time.RFC3339)}
		e.buyer.call("POST", e.base+"/draws", terms, 403)
		draw := e.operator.call("POST", e.base+"/draws", terms, 201)
		url := fmt.Sprintf("%s/draws/%.0f", e.base, draw.num("draw_id"))
		e.buyer.problem("POST", url+"/entries", nil, 409, "draw-not-open", "")
		e.buyer.problem("GET", url+"/proof", nil, 409, "not-drawn", "")
		clock.Advance(65 * time.Second)
		var tickets []string
		for i := range 8 {
			c := e.as(t, e.account(t, fmt.Sprint("guest", i), web.Buyer))
			tickets = append(tickets, c.call("POST", url+"/entries", nil, 200).str("ticket"))
		}
		e.anchor.problem("POST", url+"/entries", nil, 403, "draw-not-for-crew", "")
		if seen := e.visitor.call("GET", url, nil, 200); seen.num("entrants") != 8 || seen.str("state") != "open" || seen.str("seed") != "" {
			t.Errorf("a visitor sees %v", seen)
		}
		e.stop()
		clock.Advance(time.Hour)
		again := newTestShop(t, o)
		e.visitor.url, e.operator.url = again.url, again.url
		awaitTrue(t, "the draw", func() bool { return e.visitor.call("GET", url, nil, 200).str("state") == "drawn" })
		_, proof := e.visitor.try("GET", url+"/proof", nil)
		checkDraw(t, proof, tickets)
		if won := e.operator.call("GET", url+"/winners", nil, 200).list("items"); len(won) != 2 || won[0].num("account_id") == 0 {
			t.Errorf("the desk sees %v", won)
		}
		broken, err := verify(t.Context(), again.db)
		if must(t, err); len(broken) > 0 {
			t.Errorf("broken rules: %q", broken)
		}
		room := join(t, e.visitor, e.base, "")
		if d := room.await("draw", func(d object) bool { return d.str("state") == "drawn" }); len(d.list("won")) != 2 || d.str("commitment") != draw.str("commitment") {
			t.Errorf("the room heard %v", d)
		}
	})
}

func checkDraw(t *testing.T, proof []byte, tickets []string) {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "drawcheck")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../docs/samples/drawcheck").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := func(proof string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), bin, tickets...)
		cmd.Stdin = strings.NewReader(proof)
		return cmd.CombinedOutput()
	}
	if out, err := run(string(proof)); err != nil {
		t.Errorf("%v: %s\n%s", err, out, proof)
	}
	var p map[string]any
	must(t, json.Unmarshal(proof, &p))
	if out, err := run(strings.Replace(string(proof), p["seed"].(string)[:8], "00000000", 1)); err == nil {
		t.Errorf("another seed was believed: %s", out)
	}
}

// Who buys gets a badge beside what they say; the banner names nobody who has not agreed, and then one letter.
func TestBuyersInTheRoom(t *testing.T) {
	onBoth(t, func(t *testing.T, o testOptions) {
		e := newSaleDay(t, o)
		e.operator.call("POST", e.base+"/start", nil, 200)
		room := join(t, e.buyer, e.base, "")
		says := func(c *roomClient, text, badge string) {
			t.Helper()
			c.send(object{"type": "chat", "id": text, "text": text})
			if said := c.await("chat", func(m object) bool { return m.str("text") == text }); said.obj("user").str("badge") != badge {
				t.Errorf("%q was said by %v, want the badge %q", text, said.obj("user"), badge)
			}
		}
		buy := func(key string) object {
			order := e.buyer.call("POST", "/api/v1/orders", e.cart(1), 201, "Idempotency-Key", key)
			e.buyer.call("POST", "/api/v1/orders/"+order.str("id")+"/payments", object{"provider": "sandbox", "settle": true}, 201)
			return room.await("sold", any1)
		}
		says(room, "before", "")
		if b := buy("k1"); b.str("buyer") != "" || b.num("quantity") != 1 || b.num("product_id") != float64(e.product) || b["buyer_id"] != nil {
			t.Errorf("without consent: %v", b)
		}
		says(room, "after", "buyer")
		says(join(t, e.anchor, e.base, ""), "anchor", "anchor")
		says(join(t, e.operator, e.base, ""), "operator", "crew")
		e.buyer.call("PUT", "/api/v1/me/banners", object{"consent": true}, 200)
		if b := buy("k2"); len([]rune(b.str("buyer"))) != 1 {
			t.Errorf("with consent: %v", b)
		}
	})
}
