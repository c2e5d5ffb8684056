package main

import "testing"
import "github.com/duoduopin/duoduopin/internal/web"

func TestZZLayout(t *testing.T) {
	e := newSaleDay(t, testOptions{})
	stranger := join(t, e.visitor, e.base, "")
	publish(t, e.anchor, e.base)
	awaitTrue(t, "picture", func() bool { return e.operator.call("GET", e.base, nil, 200).list("anchors")[0]["on_air"] == true })
	crew := join(t, e.as(t, e.account(t, "ada", web.Assistant)), e.base, "")
	crew.await("layout", func(l object) bool { t.Log("crew", l); return l.list("anchors")[0].str("anchor") == "anna" })
	e.operator.call("POST", e.base+"/anchors/anna/mute", object{"muted": true}, 200)
	crew.await("layout", func(l object) bool { t.Log("crew", l); return l.list("anchors")[0]["muted"] == true })
	e.operator.call("POST", e.base+"/start", nil, 200)
	live := false
	stranger.await("layout", func(l object) bool { live = true; t.Log("stranger", l); return l.list("anchors")[0]["muted"] == true })
	_ = live
	join(t, e.buyer, e.base, "").await("layout", func(l object) bool { return len(l.list("anchors")) == 1 })
	e.operator.call("POST", e.base+"/anchors/anna/cut", object{"reason": "x"}, 200)
	stranger.await("layout", func(l object) bool { t.Log("stranger", l); return len(l.list("anchors")) == 0 })
}
