package main

import (
	"fmt"
	"slices"
	"testing"

	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// The assistant mutes and cuts an anchor: the picture ends, publishing is refused until restored, and the audit says who
// did what. On both databases, from outside.
func TestTheDeskOrders(t *testing.T) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) { orderAnAnchor(t, newSaleDay(t, testOptions{database: url})) })
	}
}

func orderAnAnchor(t *testing.T, e *saleDay) {
	desk, admin := e.as(t, e.account(t, "ada", web.Assistant)), e.as(t, e.account(t, "root", web.Admin))
	rival := e.as(t, e.account(t, "zoe", web.Anchor))
	anna := e.base + "/anchors/anna"
	shown := func(who *client) object { return who.call("GET", e.base, nil, 200).list("anchors")[0] }
	for _, who := range []*client{rival, e.anchor, e.buyer} {
		who.problem("POST", anna+"/cut", object{"reason": "envy"}, 403, "forbidden", "")
		who.problem("POST", anna+"/mute", object{"muted": true}, 403, "forbidden", "")
		who.problem("POST", anna+"/restore", object{}, 403, "forbidden", "")
	}
	e.visitor.problem("POST", anna+"/cut", object{"reason": "x"}, 401, "sign-in", "")
	desk.problem("POST", anna+"/cut", object{}, 422, "invalid", "reason")
	desk.problem("POST", anna+"/cut", object{"reason": " "}, 422, "invalid", "reason")
	desk.problem("POST", anna+"/mute", object{}, 422, "invalid", "muted")
	desk.problem("POST", e.base+"/anchors/zoe/cut", object{"reason": "x"}, 404, "not-found", "")
	desk.problem("POST", "/api/v1/sessions/999/anchors/anna/cut", object{"reason": "x"}, 404, "not-found", "")

	desk.call("POST", anna+"/mute", object{"muted": true, "reason": "噪音"}, 200)
	if a := shown(desk); a["muted"] != true || a["cut"] != false {
		t.Errorf("muted: %v", a)
	}
	if a := shown(e.visitor); a["muted"] != false {
		t.Errorf("before the start a stranger sees %v", a)
	}
	publish(t, e.anchor, e.base)
	awaitTrue(t, "the picture", func() bool { return shown(desk)["on_air"] == true })
	e.operator.call("POST", e.base+"/start", nil, 200)
	if a := shown(e.visitor); a["muted"] != true || a["on_air"] != true {
		t.Errorf("on air a stranger sees %v", a)
	}

	if a := desk.call("POST", anna+"/cut", object{"reason": "失言"}, 200).list("anchors")[0]; a["cut"] != true || a["on_air"] != false {
		t.Errorf("cut: %v", a)
	}
	desk.call("POST", anna+"/cut", object{"reason": "again"}, 200)
	e.anchor.problem("POST", e.base+"/whip", "v=0", 403, "anchor-cut", "")
	awaitTrue(t, "the interruption", func() bool { return e.visitor.call("GET", e.base, nil, 200).str("state") == "interrupted" })
	desk.call("POST", anna+"/restore", nil, 200)
	e.operator.call("POST", anna+"/mute", object{"muted": false}, 200)
	publish(t, e.anchor, e.base)
	awaitTrue(t, "the picture's return", func() bool { return shown(desk)["on_air"] == true })

	var acts []string
	for _, entry := range admin.call("GET", "/api/v1/audit", nil, 200).list("items") {
		if action := entry.str("action"); len(action) > 7 && action[:7] == "anchor." {
			acts = append(acts, fmt.Sprintf("%s %s %s %v", entry.str("actor"), action, entry.str("subject"), entry.obj("detail")["reason"]))
		}
	}
	slices.Reverse(acts)
	subject := fmt.Sprintf("session/%d ", e.session)
	want := []string{"ada anchor.mute " + subject + "噪音", "ada anchor.cut " + subject + "失言", "ada anchor.restore " + subject, "op anchor.unmute " + subject}
	if !slices.Equal(acts, want) {
		t.Errorf("audit %q, want %q", acts, want)
	}
	e.operator.call("POST", e.base+"/end", nil, 200)
	desk.problem("POST", anna+"/cut", object{"reason": "late"}, 409, "wrong-state", "")
	desk.problem("POST", anna+"/mute", object{"muted": true}, 409, "wrong-state", "")
	desk.problem("POST", anna+"/restore", nil, 409, "wrong-state", "")
}

// A cut outlives a restart of the server.
func TestCutOutlivesRestart(t *testing.T) {
	o := testOptions{database: testshop.SQLiteURL(t), dir: t.TempDir()}
	e := newSaleDay(t, o)
	e.operator.call("POST", e.base+"/start", nil, 200)
	e.operator.call("POST", e.base+"/anchors/anna/cut", object{"reason": "失言"}, 200)
	e.stop()
	s := newTestShop(t, o)
	token, err := s.accounts.Token(t.Context(), "anna")
	must(t, err)
	s.as(t, token).problem("POST", e.base+"/whip", "v=0", 403, "anchor-cut", "")
	if names, err := s.live.Muted(t.Context(), e.session); err != nil || len(names) != 0 {
		t.Errorf("muted: %q, %v", names, err)
	}
}
