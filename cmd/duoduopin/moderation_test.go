package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// The whole shop from outside: words are explained, buyers may speak where strangers may not, a ban takes chat and picture.
func TestModeratedRoom(t *testing.T) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) { moderateARoom(t, newSaleDay(t, testOptions{database: url, limits: true})) })
	}
}

func moderateARoom(t *testing.T, e *saleDay) {
	desk := e.as(t, e.account(t, "ada", web.Assistant))
	room := e.base + "/moderation"
	e.operator.call("POST", e.base+"/start", nil, 200)
	bai, stranger := join(t, e.buyer, e.base, ""), join(t, e.stranger, e.base, "")
	await := func(r *roomClient, typ string) object {
		t.Helper()
		return r.await(typ, func(object) bool { return true })
	}
	say := func(r *roomClient, text string) {
		t.Helper()
		must(t, r.conn.WriteJSON(object{"type": "chat", "text": text}))
	}
	list := desk.call("POST", "/api/v1/moderation/lists", object{"name": "广告", "action": "refuse"}, 201)
	desk.call("POST", fmt.Sprintf("/api/v1/moderation/lists/%.0f/import", list.num("id")), object{"format": "text", "content": "加微信"}, 200)
	say(stranger, "加薇微-信")
	await(stranger, "chat")
	say(stranger, "加 微-信")
	if r := await(stranger, "refused"); r.str("reason") != "blocked-word" || fmt.Sprint(r["words"]) != "[加 微-信]" {
		t.Errorf("refused: %v", r)
	}
	desk.call("PUT", room+"/controls", object{
		"slow_seconds": 0, "who": "buyers", "min_account_minutes": 0, "links": "refuse", "review_all": false, "own_repeats": 2, "crowd_repeats": 10, "notice": "文明观看",
	}, 200)
	if r := join(t, e.visitor, e.base, "").await("rules", func(r object) bool { return r["seq"] == nil }); r.str("who") != "buyers" || r.str("notice") != "文明观看" {
		t.Errorf("on entry: %v", r)
	}
	order := e.buyer.call("POST", "/api/v1/orders", e.cart(1), 201, "Idempotency-Key", "one")
	e.buyer.call("POST", "/api/v1/orders/"+order.str("id")+"/payments", object{"provider": "sandbox", "settle": true}, 201)
	say(bai, "收到了就评价")
	user := bai.await("chat", func(r object) bool { return r.str("text") == "收到了就评价" }).obj("user").str("id")
	say(stranger, "我也想说")
	if r := await(stranger, "refused"); r.str("reason") != "buyers-only" {
		t.Errorf("a stranger: %v", r)
	}
	desk.call("POST", room+"/bans", object{"user": user, "minutes": 10, "reason": "辱骂"}, 200)
	awaitTrue(t, "the close", func() bool { return len(bai.closed) == 1 })
	if code := <-bai.closed; code != 4403 {
		t.Errorf("closed with %d", code)
	}
	_, res, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(e.url, "http")+e.base+"/ws?token="+e.buyer.token, nil)
	if err == nil || res.StatusCode != 403 {
		t.Errorf("back in: %v", err)
	}
	e.buyer.problem("POST", e.base+"/whep", "v=0", 403, "banned", "")
	for _, part := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/events", nil}, {"GET", "/board", nil}, {"GET", "/questions", nil}, {"POST", "/questions", object{"text": "在吗"}}, {"POST", "/questions/1/votes", nil},
		{"GET", "/polls", nil}, {"POST", "/polls/1/votes", object{"option": 0}}, {"GET", "/draws", nil}, {"POST", "/draws/1/entries", nil},
	} {
		e.buyer.problem(part.method, e.base+part.path, part.body, 403, "banned", "")
	}
	if status, raw := e.stranger.try("POST", e.base+"/whep", "v=0"); status == 403 {
		t.Errorf("somebody else: %s", raw)
	}
	mine := e.buyer.call("GET", "/api/v1/me/moderation", nil, 200).list("items")
	if len(mine) != 1 || mine[0].str("kind") != "ban" || mine[0].str("reason") != "辱骂" {
		t.Fatalf("mine: %v", mine)
	}
	e.buyer.call("POST", fmt.Sprintf("/api/v1/me/moderation/%.0f/appeal", mine[0].num("act_id")), object{"text": "我没有"}, 200)
	open := e.operator.call("GET", "/api/v1/moderation/appeals", nil, 200).list("items")[0]
	e.operator.call("POST", fmt.Sprintf("/api/v1/moderation/appeals/%.0f/decide", open.num("id")), object{"uphold": false, "answer": "看过了，解除"}, 200)
	back := join(t, e.buyer, e.base, "")
	say(back, "谢谢")
	back.await("chat", func(r object) bool { return r.str("text") == "谢谢" })
}
