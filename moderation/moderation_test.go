package moderation_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/moderation"
)

// TestWords: lists of the installation and of a session refuse, hold and mask, whatever the disguise; the speaker is told
// which words, and nobody else gets anything.
func TestWords(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		li, watcher := n.join("buyer1", ""), n.join("buyer2", "")
		n.addList(0, "refuse", "加微信", "free money")
		n.addList(show, "mask", "垃圾")
		n.addList(show, "hold", "退货")
		for _, row := range []struct{ text, reason, word string }{
			{"快加 微-信 号", "blocked-word", "加 微-信"},
			{"ＦＲＥＥ ｍｏｎｅｙ here", "blocked-word", "ＦＲＥＥ ｍｏｎｅｙ"},
			{"看 www.example.com", "link", ""},
		} {
			e := li.refused(row.text)
			if e.str("reason") != row.reason || e.str("remedy") == "" || row.word != "" && fmt.Sprint(e["words"]) != fmt.Sprintf("[%s]", row.word) {
				t.Errorf("%q: %v", row.text, e)
			}
		}
		if e := li.chat("真是垃 圾啊"); e.str("text") != "真是***啊" {
			t.Errorf("masked: %v", e)
		}
		li.say("h", "我要退貨")
		if e := li.await("held", nil); e.str("reason") != "blocked-word" || e.num("held_id") == 0 || e.str("remedy") == "" {
			t.Errorf("held: %v", e)
		}
		li.chat("好看")
		watcher.await("chat", func(e object) bool { return e.str("text") == "好看" })
		for _, never := range []string{"微-信", "ｍｏｎｅｙ", "example.com", "垃 圾", "退貨"} {
			if watcher.sent(never) {
				t.Errorf("%q was sent to the room", never)
			}
		}
		elsewhere := n.joinTo(other, "buyer1", "")
		elsewhere.chat("垃圾退货") // another session's lists
		if got := elsewhere.refused("加微信").str("reason"); got != "blocked-word" {
			t.Errorf("the installation's list in another room: %q", got)
		}
		crew := n.join("anchor1", "")
		crew.chat("支持七天退货 www.example.com") // the crew is not held, and may link
		if got := crew.refused("加微信").str("reason"); got != "blocked-word" {
			t.Errorf("lists bind the crew too: %q", got)
		}
	})
}

// TestLists: import with a preview, changes that count at once, words one by one, rights.
func TestLists(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		li := n.join("buyer1", "")
		l := n.call("assistant1", "POST", all+"/lists", object{"name": "广告", "action": "refuse"}, 201)
		path := fmt.Sprintf("%s/lists/%.0f", all, l.num("id"))
		content := "词,备注\n加微信,引流\n***,\n加 微 信,\n代购\n财\n"
		preview := n.call("assistant1", "POST", path+"/import", object{"format": "csv", "content": content, "preview": true}, 200)
		if preview.yes("applied") || preview.num("words") != 3 || preview.num("bad") != 2 {
			t.Errorf("preview: %v", preview)
		}
		if bad := preview.list("bad_lines"); len(bad) != 2 || bad[0].num("line") != 3 || bad[1].num("line") != 4 || !strings.Contains(bad[1].str("problem"), "line 2") {
			t.Errorf("bad lines: %v", bad)
		}
		if in := n.call("assistant1", "POST", path+"/import", object{"format": "csv", "content": content}, 200); in.yes("applied") {
			t.Error("bad lines did not keep the list out")
		}
		li.chat("代购吗")
		if in := n.call("assistant1", "POST", path+"/import", object{"format": "csv", "content": content, "skip_bad": true}, 200); !in.yes("applied") {
			t.Errorf("with skip_bad: %v", in)
		}
		if got := li.refused("找代購吗").str("reason"); got != "blocked-word" {
			t.Errorf("after the import: %q", got)
		}
		words := n.call("assistant1", "GET", path+"/words?limit=2", nil, 200)
		if len(words.list("items")) != 2 || words.str("next") == "" || words.list("items")[0].str("note") != "引流" {
			t.Errorf("words: %v", words)
		}
		more := n.call("assistant1", "GET", path+"/words?limit=2&after="+words.str("next"), nil, 200)
		n.call("assistant1", "POST", path+"/drop", object{"word_id": more.list("items")[0].num("id")}, 204)
		li.chat("发财")
		n.call("assistant1", "PATCH", path, object{"action": "mask"}, 200)
		if got := li.chat("找代購呢").str("text"); got != "找**呢" {
			t.Errorf("as a mask: %q", got)
		}
		n.call("assistant1", "PATCH", path, object{"enabled": false}, 200)
		li.chat("找代购哦")
		try := n.call("assistant1", "POST", all+"/try", object{"text": "找代购"}, 200)
		if try.str("action") != "" || try.str("folded") != "找代购" {
			t.Errorf("try: %v", try)
		}
		n.call("assistant1", "POST", path+"/import", object{"format": "text", "content": "新词", "replace": true}, 200)
		if lists := n.call("assistant1", "GET", all+"/lists", nil, 200).list("items"); len(lists) != 1 || lists[0].num("words") != 1 {
			t.Errorf("after replacing: %v", lists)
		}
		n.problem("anchor1", "GET", all+"/lists", nil, 422, "session_id")
		n.problem("anchor1", "PATCH", path, object{"enabled": true}, 404, "not-found")
		n.problem("anchor2", "POST", all+"/lists", object{"session_id": 1, "name": "x", "action": "mask"}, 403, "forbidden")
		n.problem("buyer1", "GET", all+"/lists", nil, 403, "forbidden")
		n.problem("assistant1", "POST", all+"/lists", object{"name": "x", "action": "burn"}, 422, "action")
		n.call("assistant1", "DELETE", path, nil, 204)
		n.problem("assistant1", "GET", path+"/words", nil, 404, "not-found")
		for _, act := range []string{"assistant1 moderation.list-add", "moderation.list-import", "moderation.word-drop", "moderation.list-change", "moderation.list-remove"} {
			if !strings.Contains(n.audit.String(), act) {
				t.Errorf("the audit has no %s", act)
			}
		}
	})
}

// TestControls: who may speak, how often, and what the room is told of it.
func TestControls(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		n.crowd.since[1] = evening.Add(-time.Minute)
		li := n.join("buyer1", "")
		if e := li.await("rules", nil); e.str("who") != "everyone" || e.yes("silent") || e["seq"] != nil {
			t.Errorf("on entry: %v", e)
		}
		set := func(change object) {
			t.Helper()
			n.call("assistant1", "PUT", base+"/controls", controls(change), 200)
		}
		set(object{"slow_seconds": 10, "notice": "文明发言", "ai_made": true, "ai_text": "主播形象由机器生成"})
		e := li.await("rules", nil)
		if e.num("slow_seconds") != 10 || e.num("seq") == 0 || e.str("notice") != "文明发言" || e.str("ai_text") == "" {
			t.Errorf("told: %v", e)
		}
		if e := n.join("buyer2", "").await("rules", func(e object) bool { return e["seq"] == nil }); e.str("notice") != "文明发言" || !e.yes("ai_made") {
			t.Errorf("a newcomer: %v", e)
		}
		li.chat("一")
		n.clock.Advance(4 * time.Second)
		if e := li.refused("二"); e.str("reason") != "slow-mode" || e.num("retry_ms") != 6000 {
			t.Errorf("slow: %v", e)
		}
		n.clock.Advance(6 * time.Second)
		li.chat("二")
		n.join("assistant1", "").chat("中控不慢")
		set(object{"who": "followers"})
		if got := li.refused("三").str("reason"); got != "followers-only" {
			t.Errorf("no follower: %q", got)
		}
		must(t, li.conn.WriteMessage(1, []byte(`{"type":"follow","anchor":"anchor1"}`)))
		until(t, "the follower", func() bool {
			n.clock.Advance(3 * time.Second)
			ok, err := n.chat.Follows(t.Context(), "a:1")
			return ok && err == nil
		})
		n.clock.Advance(3 * time.Second)
		li.chat("三")
		set(object{"who": "buyers"})
		if got := li.refused("四").str("reason"); got != "buyers-only" {
			t.Errorf("no buyer: %q", got)
		}
		n.crowd.buys(1)
		n.clock.Advance(3 * time.Second)
		li.chat("四")
		set(object{"min_account_minutes": 60})
		fresh := n.join("buyer1", "")
		if e := fresh.refused("五"); e.str("reason") != "new-account" || e.str("until") == "" {
			t.Errorf("a young account: %v", e)
		}
		n.clock.Advance(time.Hour)
		fresh.chat("五")
		for field, bad := range map[string]object{"slow_seconds": {"slow_seconds": 601}, "who": {"who": "friends"}, "links": {"links": "maybe"}, "ai_text": {"ai_made": true}, "own_repeats": {"own_repeats": -1}} {
			n.problem("assistant1", "PUT", base+"/controls", controls(bad), 422, field)
		}
		n.problem("anchor2", "PUT", base+"/controls", controls(nil), 403, "forbidden")
		n.problem("operator1", "PUT", "/api/v1/sessions/99/moderation/controls", controls(nil), 404, "not-found")
	})
}

// TestSilence: at once, on the other node within a second, over a restart; the crew may speak; and back.
func TestSilence(t *testing.T) {
	testshop.EachDB(t, migrations(), func(t *testing.T, d *db.DB) {
		b := newBus(t)
		one, two := newNode(t, d, b, true), newNode(t, d, b, true)
		li, wang := one.join("buyer1", ""), two.join("buyer2", "")
		wang.chat("大家好")
		one.call("assistant1", "POST", base+"/silence", object{"reason": "刷屏"}, 200)
		silenced := time.Now()
		if e := li.refused("安静了吗"); e.str("reason") != "silenced" || e.str("note") != "刷屏" {
			t.Errorf("here: %v", e)
		}
		for i := 0; ; i++ {
			wang.say(fmt.Sprint("w", i), fmt.Sprint("还能说吗", i))
			if e := wang.await(answer, nil); e.str("reason") == "silenced" {
				break
			}
			if time.Since(silenced) > time.Second {
				t.Fatal("not silenced on the other node within a second")
			}
		}
		until(t, "the room's word of it", func() bool { return wang.sent(`"silent_reason":"刷屏"`) })
		two.join("anchor1", "").chat("请大家稍等")
		three := newNode(t, d, b, true)
		late := three.join("buyer3", "")
		if got := late.refused("我刚来").str("reason"); got != "silenced" {
			t.Errorf("after a restart: %q", got)
		}
		two.call("anchor1", "DELETE", base+"/silence", nil, 200)
		wang.chat("谢谢")
		until(t, "speech on the first node", func() bool {
			li.say("x", "终于")
			return li.await(answer, nil).str("type") == "chat"
		})
		one.problem("assistant1", "POST", base+"/silence", object{}, 422, "reason")
		if got := one.call("operator1", "GET", base+"/acts", nil, 200).list("items"); len(got) != 2 || got[0].str("kind") != "unsilence" || got[1].str("by") != "assistant1" {
			t.Errorf("acts: %v", got)
		}
	})
}

// TestBusLost: a node that did not hear of a change finds it in the database within some seconds.
func TestBusLost(t *testing.T) {
	testshop.EachDB(t, migrations(), func(t *testing.T, d *db.DB) {
		one, deaf := newNode(t, d, newBus(t), true), newNode(t, d, newBus(t), true)
		judge := func() string {
			v, err := deaf.svc.Judge(t.Context(), moderation.Speech{SessionID: show, Viewer: "a:1", AccountID: 1, User: "0123456789ab", Role: "buyer", Text: fmt.Sprint("加微信", time.Now())})
			must(t, err)
			return v.Reason
		}
		if got := judge(); got != "" {
			t.Errorf("before: %q", got)
		}
		one.addList(0, "refuse", "加微信")
		until(t, "the list", func() bool { return judge() == "blocked-word" })
		one.call("assistant1", "POST", base+"/silence", object{"reason": "刷屏"}, 200)
		until(t, "the silence", func() bool { return judge() == "silenced" })
	})
}

// TestQueue: a held message appears once, behind what was said meanwhile; a rejected one never; its author is told.
func TestQueue(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		n.call("operator1", "PUT", base+"/controls", controls(object{"review_all": true}), 200)
		li, again, watcher, crew := n.join("buyer1", ""), n.join("buyer1", ""), n.join("buyer2", ""), n.join("anchor1", "")
		held := func(g *guest, id, text string) float64 {
			t.Helper()
			g.say(id, text)
			return g.await("held", nil).num("held_id")
		}
		first, second := held(li, "a", "第一"), held(li, "b", "第二")
		if twice := held(again, "a", "第一"); twice != first {
			t.Errorf("sent again after a reconnect it is another one: %v, %v", first, twice)
		}
		crew.await("moderation", func(e object) bool { return e.str("what") == "queue" })
		meanwhile := crew.chat("大家可以提问")
		same(t, "the queue", texts(n.call("anchor1", "GET", base+"/queue", nil, 200)), []string{"第一", "第二"})
		path := func(id float64, verb string) string { return fmt.Sprintf("%s/held/%.0f/%s", all, id, verb) }
		n.problem("buyer2", "POST", path(first, "approve"), nil, 403, "forbidden")
		n.problem("anchor2", "POST", path(first, "approve"), nil, 404, "not-found")
		n.problem("anchor1", "POST", path(second, "reject"), object{}, 422, "reason")
		n.call("anchor1", "POST", path(first, "approve"), nil, 200)
		e := watcher.await("chat", func(e object) bool { return e.str("text") == "第一" })
		if e.num("seq") <= meanwhile.num("seq") || e.str("id") != "a" || e.obj("user").str("id") != li.user || e.num("held_id") != first {
			t.Errorf("appeared as %v, after %v", e, meanwhile)
		}
		if e := li.what("approved"); e.num("held_id") != first || e.str("id") != "a" {
			t.Errorf("the author of the first: %v", e)
		}
		n.problem("anchor1", "POST", path(first, "approve"), nil, 409, "decided")
		n.call("anchor1", "POST", path(second, "reject"), object{"reason": "与商品无关"}, 200)
		if e := li.what("rejected"); e.str("reason") != "与商品无关" || e.num("act_id") == 0 || e.str("id") != "b" {
			t.Errorf("the author of the second: %v", e)
		}
		n.problem("anchor1", "POST", path(second, "approve"), nil, 409, "decided")
		for i := range 5 {
			held(li, fmt.Sprint("m", i), fmt.Sprint("第", i+3))
		}
		if got := li.refused("太多了").str("reason"); got != "queue-full" {
			t.Errorf("a sixth waiting: %q", got)
		}
		n.clock.Advance(31 * time.Minute)
		if e := li.what("expired"); e.num("held_id") == 0 {
			t.Errorf("waited too long: %v", e)
		}
		if watcher.sent("第二") || watcher.sent("第3") {
			t.Error("what was not approved was sent")
		}
		n.call("operator1", "PUT", base+"/controls", controls(nil), 200)
		li.chat("说完了")
		newcomer := n.join("buyer3", "")
		newcomer.await("chat", func(e object) bool { return e.str("text") == "说完了" })
		if newcomer.times(`"第一"`) != 1 {
			t.Error("the approved message is not in history once")
		}
	})
}

// TestApprovedSurvivesCrash: what was approved while the log was away appears later, once, also when it had appeared and
// only the note of it was lost.
func TestApprovedSurvivesCrash(t *testing.T) {
	testshop.EachDB(t, migrations(), func(t *testing.T, d *db.DB) {
		n := newNode(t, d, newBus(t), true)
		n.call("operator1", "PUT", base+"/controls", controls(object{"review_all": true}), 200)
		li, watcher := n.join("buyer1", ""), n.join("buyer2", "")
		li.say("a", "第一")
		id := li.await("held", nil).num("held_id")
		n.mute.Store(true)
		n.call("anchor1", "POST", fmt.Sprintf("%s/held/%.0f/approve", all, id), nil, 200)
		n.mute.Store(false)
		n.clock.Advance(3 * time.Second)
		watcher.await("chat", func(e object) bool { return e.str("text") == "第一" })
		until(t, "the note of it", func() bool {
			list := n.call("anchor1", "GET", base+"/queue?state=approved", nil, 200).list("items")
			return len(list) == 1 && list[0].num("seq") > 0
		})
		must(t, d.Write(t.Context()).Exec("UPDATE moderation_held SET seq = 0").Error) // as if it had crashed before the note
		n.clock.Advance(10 * time.Minute)                                              // and the log had forgotten
		until(t, "the note again", func() bool {
			return n.call("anchor1", "GET", base+"/queue?state=approved", nil, 200).list("items")[0].num("seq") > 0
		})
		n.call("operator1", "PUT", base+"/controls", controls(nil), 200)
		li.chat("完")
		watcher.await("chat", func(e object) bool { return e.str("text") == "完" })
		if watcher.times(`"第一"`) != 1 {
			t.Error("it appeared more than once")
		}
	})
}

// TestBan: sockets close, on every node, with the reason; the person can't come in until it is over or lifted.
func TestBan(t *testing.T) {
	testshop.EachDB(t, migrations(), func(t *testing.T, d *db.DB) {
		b := newBus(t)
		one, two := newNode(t, d, b, true), newNode(t, d, b, true)
		li, far := one.join("buyer1", ""), two.join("buyer1", "")
		li.chat("我是黄牛")
		one.problem("assistant1", "POST", base+"/bans", object{"user": li.user, "minutes": 60}, 422, "reason")
		one.problem("anchor1", "POST", base+"/bans", object{"user": li.user, "minutes": 60, "everywhere": true, "reason": "黄牛"}, 403, "forbidden")
		one.call("anchor1", "POST", base+"/bans", object{"user": li.user, "minutes": 60, "reason": "黄牛"}, 200)
		if e := li.what("banned"); e.str("reason") != "黄牛" || e.num("act_id") == 0 || e.str("until") == "" {
			t.Errorf("told: %v", e)
		}
		for _, g := range []*guest{li, far} {
			if code := g.closed(); code != 4403 || !strings.Contains(g.reason, "黄牛") {
				t.Errorf("closed with %d %q", code, g.reason)
			}
		}
		for _, n := range []*node{one, two} {
			until(t, "the ban", func() bool {
				conn, res, err := n.dial("buyer1", "", show)
				if err == nil {
					_ = conn.Close()
				}
				return err != nil && res.StatusCode == 403
			})
		}
		if banned, err := two.svc.Banned(t.Context(), show, "a:1"); !banned || err != nil {
			t.Errorf("banned for the picture: %v %v", banned, err)
		}
		one.joinTo(other, "buyer1", "").chat("别的房间")
		if got := one.call("anchor1", "GET", base+"/bans", nil, 200).list("items"); len(got) != 1 || got[0].str("user") != li.user || got[0].str("by") != "anchor1" {
			t.Errorf("bans: %v", got)
		}
		one.clock.Advance(61 * time.Minute)
		two.clock.Advance(61 * time.Minute)
		one.join("buyer1", "").chat("我改了")
		one.call("operator1", "POST", base+"/bans", object{"user": li.user, "minutes": 0, "everywhere": true, "reason": "又是黄牛"}, 200)
		until(t, "the ban everywhere", func() bool { _, _, err := two.dial("buyer1", "", other); return err != nil })
		one.problem("anchor1", "DELETE", base+"/bans/"+li.user+"?everywhere=true", nil, 403, "forbidden")
		one.call("operator1", "DELETE", base+"/bans/"+li.user+"?everywhere=true", nil, 204)
		one.problem("operator1", "DELETE", base+"/bans/"+li.user+"?everywhere=true", nil, 404, "not-found")
		one.join("buyer1", "").chat("谢谢")
	})
}

// TestRemove: a removed text is never sent again, whatever one asks; an undo brings it back, a second removal takes it again.
func TestRemove(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		li := n.join("buyer1", "")
		before := li.chat("在吗")
		bad := li.chat("骂人的话")
		seq := int(bad.num("seq"))
		path := fmt.Sprintf("%s/messages/%d", base, seq)
		n.problem("anchor1", "POST", path+"/remove", object{}, 422, "reason")
		n.problem("buyer2", "POST", path+"/remove", object{"reason": "x"}, 403, "forbidden")
		n.call("anchor1", "POST", path+"/remove", object{"reason": "辱骂"}, 204)
		told := li.what("removed")
		if told.str("reason") != "辱骂" || told.num("removed_seq") != bad.num("seq") || told.num("act_id") == 0 {
			t.Errorf("the author: %v", told)
		}
		silent := func(what string, g *guest) {
			t.Helper()
			g.await("chat", func(e object) bool { return e.num("seq") == bad.num("seq") && e.yes("removed") })
			g.await("viewers", nil)
			if g.sent("骂人") {
				t.Errorf("%s: the removed text was sent", what)
			}
		}
		resume := fmt.Sprintf("?after=%.0f", before.num("seq"))
		silent("history", n.join("buyer2", ""))
		silent("resume", n.join("buyer2", resume))
		if got := texts(n.call("anchor1", "GET", path+"/context", nil, 200)); len(got) != 2 || got[1] != "" {
			t.Errorf("context: %q", got)
		}
		if got := n.call("operator1", "GET", all+"/search?q="+url.QueryEscape("骂人"), nil, 200).list("items"); len(got) != 0 {
			t.Errorf("search finds it: %v", got)
		}
		n.problem("operator1", "POST", all+"/reveal", object{"session_id": 1, "seq": seq, "reason": "检查"}, 403, "forbidden")
		if got := n.call("admin1", "POST", all+"/reveal", object{"session_id": 1, "seq": seq, "reason": "检查"}, 200); got.str("text") != "骂人的话" {
			t.Errorf("the auditor: %v", got)
		}
		if !strings.Contains(n.audit.String(), "admin1 moderation.read-removed session/1") {
			t.Error("reading it is not in the audit")
		}
		undo := fmt.Sprintf("%s/acts/%.0f/undo", all, told.num("act_id"))
		watcher := n.join("buyer3", "")
		n.problem("anchor2", "POST", undo, object{"reason": "x"}, 404, "not-found")
		n.call("assistant1", "POST", undo, object{"reason": "看错了"}, 204)
		if e := watcher.await("restored", nil); e.num("restored_seq") != bad.num("seq") || e.str("text") != "骂人的话" {
			t.Errorf("restored: %v", e)
		}
		li.what("restored")
		n.problem("assistant1", "POST", undo, object{"reason": "again"}, 409, "undone")
		n.join("buyer4", "").await("chat", func(e object) bool { return e.str("text") == "骂人的话" && !e.yes("removed") })
		n.call("anchor1", "POST", path+"/remove", object{"reason": "还是辱骂"}, 204)
		silent("history after a second removal", n.join("buyer2", ""))
		silent("resume after a second removal", n.join("buyer2", resume))
		second := li.what("removed")
		n.clock.Advance(11 * time.Minute)
		n.problem("assistant1", "POST", fmt.Sprintf("%s/acts/%.0f/undo", all, second.num("act_id")), object{"reason": "late"}, 409, "too-late")
	})
}

// TestRemovedOverRestart: neither a restart of the room nor an undo before it brings a removed text back.
func TestRemovedOverRestart(t *testing.T) {
	testshop.EachDB(t, migrations(), func(t *testing.T, d *db.DB) {
		b := newBus(t)
		one := newNode(t, d, b, true)
		li := one.join("buyer1", "")
		path := fmt.Sprintf("%s/messages/%.0f/remove", base, li.chat("骂人的话").num("seq"))
		one.call("anchor1", "POST", path, object{"reason": "辱骂"}, 204)
		one.call("anchor1", "POST", fmt.Sprintf("%s/acts/%.0f/undo", all, li.what("removed").num("act_id")), object{"reason": "看错"}, 204)
		one.call("anchor1", "POST", path, object{"reason": "没看错"}, 204)
		li.what("removed")
		one.halt()
		two := newNode(t, d, b, true)
		late := two.join("buyer2", "")
		late.await("viewers", nil)
		if late.sent("骂人") {
			t.Error("after a restart the removed text was sent")
		}
	})
}

// TestAppeal: the person asks, somebody else decides, the person is told, and an overturned act is undone.
func TestAppeal(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		li := n.join("buyer1", "")
		seq := int(li.chat("优惠吗").num("seq"))
		n.call("assistant1", "POST", base+"/mutes", object{"user": li.user, "minutes": 60, "reason": "刷屏"}, 200)
		mute := int(li.what("muted").num("act_id"))
		if e := li.refused("为什么"); e.str("reason") != "muted" || e.str("until") == "" {
			t.Errorf("muted: %v", e)
		}
		n.call("assistant1", "POST", fmt.Sprintf("%s/messages/%d/remove", base, seq), object{"reason": "广告"}, 204)
		removed := int(li.what("removed").num("act_id"))
		mine := n.call("buyer1", "GET", "/api/v1/me/moderation", nil, 200).list("items")
		if len(mine) != 2 || mine[1].str("kind") != "mute" || mine[1].str("reason") != "刷屏" || mine[1]["by"] != nil {
			t.Errorf("mine: %v", mine)
		}
		appeal := func(act int) string { return fmt.Sprintf("/api/v1/me/moderation/%d/appeal", act) }
		n.problem("buyer2", "POST", appeal(mute), object{"text": "不是我"}, 404, "not-found")
		n.problem("", "POST", appeal(mute), object{"text": "x"}, 401, "sign-in")
		crew := n.join("anchor1", "")
		n.call("buyer1", "POST", appeal(mute), object{"text": "我只问了一次"}, 200)
		n.problem("buyer1", "POST", appeal(mute), object{"text": "再说一次"}, 409, "appealed")
		if e := crew.await("moderation", func(e object) bool { return e.str("what") == "appeal" }); e.obj("appeal").str("text") != "我只问了一次" {
			t.Errorf("the crew: %v", e)
		}
		open := n.call("operator1", "GET", all+"/appeals", nil, 200).list("items")
		if len(open) != 1 || open[0].num("act_id") != float64(mute) {
			t.Fatalf("open appeals: %v", open)
		}
		path := fmt.Sprintf("%s/appeals/%.0f", all, open[0].num("id"))
		n.problem("assistant1", "POST", path+"/decide", object{"uphold": true, "answer": "我对"}, 409, "same-person")
		n.problem("anchor2", "POST", path+"/decide", object{"uphold": true, "answer": "x"}, 404, "not-found")
		n.call("assistant2", "POST", path+"/decide", object{"uphold": false, "answer": "确实只有一次，已解除"}, 200)
		if e := li.what("appeal"); e.str("state") != "overturned" || e.str("answer") != "确实只有一次，已解除" {
			t.Errorf("told: %v", e)
		}
		n.problem("operator1", "POST", path+"/decide", object{"uphold": true, "answer": "x"}, 409, "decided")
		li.chat("谢谢")
		n.call("buyer1", "POST", appeal(removed), object{"text": "不是广告"}, 200)
		second := fmt.Sprintf("%s/appeals/%.0f", all, n.call("operator1", "GET", all+"/appeals?session_id=1", nil, 200).list("items")[0].num("id"))
		if c := n.call("operator1", "GET", second, nil, 200); c.str("text") != "优惠吗" || c.obj("act").str("reason") != "广告" {
			t.Errorf("the case: %v", c)
		}
		if !strings.Contains(n.audit.String(), "operator1 moderation.read-removed") {
			t.Error("that the text was read is not in the audit")
		}
		n.call("operator1", "POST", second+"/decide", object{"uphold": true, "answer": "是广告"}, 200)
		li.what("appeal")
		for _, m := range n.call("buyer1", "GET", "/api/v1/me/moderation", nil, 200).list("items") {
			if m.num("act_id") == float64(removed) && (m.yes("undone") || m.obj("appeal").str("state") != "upheld") {
				t.Errorf("upheld: %v", m)
			}
			if m.num("act_id") == float64(mute) && (!m.yes("undone") || m.obj("appeal").str("state") != "overturned") {
				t.Errorf("overturned: %v", m)
			}
		}
		n.problem("buyer1", "DELETE", appeal(removed), nil, 409, "decided")
	})
}

// TestRejectedOverturned: an overturned rejection lets the message appear after all.
func TestRejectedOverturned(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		n.call("operator1", "PUT", base+"/controls", controls(object{"review_all": true}), 200)
		li, watcher := n.join("buyer1", ""), n.join("buyer2", "")
		li.say("a", "请问保质期")
		id := li.await("held", nil).num("held_id")
		n.call("assistant1", "POST", fmt.Sprintf("%s/held/%.0f/reject", all, id), object{"reason": "无关"}, 200)
		act := li.what("rejected").num("act_id")
		n.call("buyer1", "POST", fmt.Sprintf("/api/v1/me/moderation/%.0f/appeal", act), object{"text": "有关"}, 200)
		open := n.call("operator1", "GET", all+"/appeals", nil, 200).list("items")[0]
		path := fmt.Sprintf("%s/appeals/%.0f", all, open.num("id"))
		if got := n.call("operator1", "GET", path, nil, 200).str("text"); got != "请问保质期" {
			t.Errorf("the text in question: %q", got)
		}
		n.call("operator1", "POST", path+"/decide", object{"uphold": false, "answer": "对不起"}, 200)
		watcher.await("chat", func(e object) bool { return e.str("text") == "请问保质期" })
	})
}

// TestRaid: 500 new accounts say one text with changing numbers and signs; few appear, all others are told, the crew hears
// of it, one act sweeps what came through, and people with something else to say are not hindered.
func TestRaid(t *testing.T) {
	n := newNode(t, newDB(t), newBus(t), true)
	crew, honest := n.join("anchor1", ""), n.join("buyer9999", "")
	signs := []string{"!", "…", "😀", " ", "\u200b"}
	for i := range 500 {
		g := n.join(fmt.Sprint("buyer", i+1), "")
		g.say("x", fmt.Sprintf("加群%s领红包 找客服%d", signs[i%len(signs)], 10_000+i))
		if e := g.await(answer, func(e object) bool { return e.str("type") == "refused" || e.obj("user").str("id") == g.user }); i >= 10 && e.str("reason") != "crowd-repeated" {
			t.Fatalf("raider %d: %v", i, e)
		}
		if i%100 == 50 {
			honest.chat(fmt.Sprint("这个颜色还有吗", i))
		}
		_ = g.conn.Close()
	}
	e := crew.await("moderation", func(e object) bool { return e.str("what") == "raid" })
	if e.num("people") != 10 || e.num("refused") == 0 {
		t.Errorf("the crew: %v", e)
	}
	newest := n.call("anchor1", "GET", all+"/search?session_id=1&q="+url.QueryEscape("加群领红包"), nil, 200).list("items")
	if len(newest) != 10 {
		t.Fatalf("%d of the raid's messages appeared", len(newest))
	}
	swept := n.call("anchor1", "POST", fmt.Sprintf("%s/messages/%.0f/sweep", base, newest[3].num("seq")), object{"reason": "刷屏广告"}, 200)
	if got, _ := swept["removed"].([]any); len(got) != 10 {
		t.Errorf("swept: %v", swept)
	}
	late := n.join("tourist1"[:0], "")
	late.await("viewers", nil)
	if late.sent("红包") || !late.sent("这个颜色还有吗450") {
		t.Error("history after the sweep")
	}
	n.clock.Advance(31 * time.Second)
	n.join("buyer700", "").chat("加群的都是骗子 领红包")
}

// TestRepeats: one person's same text twice a minute, in any disguise; short texts of many are the room's life.
func TestRepeats(t *testing.T) {
	n := newNode(t, newDB(t), newBus(t), true)
	li := n.join("buyer1", "")
	li.chat("求链接")
	li.chat("求 链接!")
	if e := li.refused("求-链接"); e.str("reason") != "repeated" || e.num("retry_ms") != 60_000 {
		t.Errorf("a third time: %v", e)
	}
	li.chat("别的")
	for i := range 30 {
		n.join(fmt.Sprint("buyer", i+100), "").chat("666")
	}
	n.clock.Advance(time.Minute)
	li.chat("求-链接")
	free := newNode(t, newDB(t), newBus(t), false)
	g := free.join("buyer1", "")
	for i := range 20 {
		g.say(fmt.Sprint(i), "同一句话同一句话")
		g.await("chat", nil)
	}
}

// TestPrivate: what is for the crew or for one person reaches nobody else, on either node.
func TestPrivate(t *testing.T) {
	d := newDB(t)
	b := newBus(t)
	one, two := newNode(t, d, b, true), newNode(t, d, b, true)
	li, wang, crew, stranger, visitor := one.join("buyer1", ""), one.join("buyer2", ""), two.join("anchor1", ""), two.join("anchor2", ""), two.join("", "")
	li.chat("你好")
	one.call("assistant1", "POST", base+"/mutes", object{"user": li.user, "minutes": 5, "reason": "只给本人看"}, 200)
	if e := crew.await("moderation", nil); e.obj("act").str("kind") != "mute" || e.obj("act").str("by") != "assistant1" || e.obj("act").str("name") != "王buyer1" {
		t.Errorf("the crew on the other node: %v", e)
	}
	li.what("muted")
	for _, g := range []*guest{wang, stranger, visitor} {
		g.await("viewers", nil)
		wang.say(g.user, "话"+g.user)
		g.await("chat", func(e object) bool { return e.str("text") == "话"+g.user })
		if g.sent("只给本人看") || g.sent("moderat") {
			t.Error("somebody else was told")
		}
	}
}

// TestSearch: by text in any disguise, person, session and time, paged by cursor without gap or repetition.
func TestSearch(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		li, wang := n.join("buyer1", ""), n.join("buyer2", "")
		for i := range 30 {
			n.clock.Advance(time.Minute)
			li.chat(fmt.Sprintf("羊絨圍巾 %c", 'a'+i))
			wang.chat(fmt.Sprintf("沙棘汁%c", 'a'+i))
		}
		n.joinTo(other, "buyer1", "").chat("羊绒帽")
		n.recorded("羊绒帽")
		n.call("operator1", "GET", all+"/search?session_id=1", nil, 200) // copies what its log has more
		var found []string
		query, pages := "q="+url.QueryEscape("羊绒")+"&limit=7", 0
		for next := ""; ; pages++ {
			page := n.call("operator1", "GET", all+"/search?"+query+"&after="+next, nil, 200)
			found = append(found, texts(page)...)
			if next = page.str("next"); next == "" {
				break
			}
		}
		if len(found) != 31 || found[0] != "羊绒帽" || found[1] != "羊絨圍巾 ~" && !strings.HasPrefix(found[1], "羊絨圍巾") || pages != 4 {
			t.Errorf("%d found on %d pages: %q", len(found), pages, found)
		}
		count := func(who, query string, want int) {
			t.Helper()
			if got := n.call(who, "GET", all+"/search?limit=200&"+query, nil, 200).list("items"); len(got) != want {
				t.Errorf("%s: %d found, want %d", query, len(got), want)
			}
		}
		count("operator1", "session_id=1&user="+wang.user, 30)
		count("operator1", "session_id=1&everywhere=true&user="+li.user, 31)
		count("anchor1", "session_id=1&q=%E7%BE%8A", 30)
		from, to := evening.Add(10*time.Minute).Format(time.RFC3339), evening.Add(12*time.Minute).Format(time.RFC3339)
		count("operator1", "from="+from+"&to="+to, 4)
		n.problem("anchor1", "GET", all+"/search", nil, 422, "session_id")
		n.problem("anchor2", "GET", all+"/search?session_id=1", nil, 403, "forbidden")
		n.problem("buyer1", "GET", all+"/search?session_id=1", nil, 403, "forbidden")
		n.problem("operator1", "GET", all+"/search?after=nonsense", nil, 422, "after")
		n.problem("operator1", "GET", all+"/search?user="+li.user, nil, 422, "session_id")
		n.problem("operator1", "GET", all+"/search?session_id=1&user=0123456789ab", nil, 404, "not-found")
	})
}

// TestPerson: what somebody said, had held, and what was done to him.
func TestPerson(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		n.addList(0, "hold", "退货")
		li := n.join("buyer1", "")
		li.chat("一")
		li.say("h", "退货")
		li.await("held", nil)
		n.joinTo(other, "buyer1", "").chat("二")
		n.recorded("二")
		n.call("anchor1", "POST", base+"/mutes", object{"user": li.user, "minutes": 5, "reason": "催单"}, 200)
		path := base + "/people/" + li.user
		p := n.call("anchor1", "GET", path, nil, 200)
		if p.str("name") != "王buyer1" || len(p.list("acts")) != 1 || len(p.list("held")) != 1 {
			t.Errorf("the person: %v", p)
		}
		same(t, "said here", texts(p.obj("said")), []string{"一"})
		same(t, "said everywhere", texts(n.call("operator1", "GET", path+"?everywhere=true", nil, 200).obj("said")), []string{"二", "一"})
		n.problem("anchor1", "GET", path+"?everywhere=true", nil, 403, "forbidden")
		n.problem("anchor1", "GET", base+"/people/0123456789ab", nil, 404, "not-found")
		n.problem("anchor1", "GET", base+"/messages/99/context", nil, 404, "not-found")
	})
}

// TestUndo: a mute and a ban can be taken back for ten minutes; other acts can't.
func TestUndo(t *testing.T) {
	eachDB(t, func(t *testing.T, n *node) {
		li := n.join("buyer1", "")
		li.chat("一")
		n.call("anchor1", "POST", base+"/mutes", object{"user": li.user, "minutes": 5, "reason": "看错人"}, 200)
		act := li.what("muted").num("act_id")
		undo := func(act float64) string { return fmt.Sprintf("%s/acts/%.0f/undo", all, act) }
		n.problem("anchor1", "POST", undo(act), object{}, 422, "reason")
		n.call("anchor1", "POST", undo(act), object{"reason": "看错人了"}, 204)
		li.what("unmuted")
		li.chat("二")
		acts := n.call("anchor1", "GET", base+"/acts", nil, 200).list("items")
		if len(acts) != 2 || acts[0].num("undoes") != act || acts[1].num("undone_by") != acts[0].num("id") {
			t.Errorf("acts: %v", acts)
		}
		n.problem("anchor1", "POST", undo(acts[0].num("id")), object{"reason": "x"}, 409, "no-undo")
		n.call("anchor1", "POST", base+"/bans", object{"user": li.user, "minutes": 5, "reason": "误"}, 200)
		ban := li.what("banned").num("act_id")
		n.call("anchor1", "POST", undo(ban), object{"reason": "误操作"}, 204)
		n.join("buyer1", "").chat("三")
		n.problem("anchor1", "POST", undo(ban), object{"reason": "x"}, 409, "undone")
		n.problem("anchor1", "POST", undo(99_999), object{"reason": "x"}, 404, "not-found")
	})
}

// recorded waits until a text is in the record: a search of all sessions does not copy what their logs have more.
func (n *node) recorded(text string) {
	n.t.Helper()
	until(n.t, "the record of "+text, func() bool {
		return len(n.call("operator1", "GET", all+"/search?session_id=2&q="+url.QueryEscape(text), nil, 200).list("items")) > 0
	})
}

func newDB(t testing.TB) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), testshop.SQLiteURL(t), db.OneConnection())
	must(t, err)
	t.Cleanup(func() { _ = d.Close() })
	must(t, d.Migrate(t.Context(), migrations()))
	return d
}
