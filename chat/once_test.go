package chat_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"

	"github.com/duoduopin/duoduopin/chat"
)

// TestSaidOnce: a client that was not sure sends its message again, on a new socket, on another node, after a restart, or on
// two nodes at once: it appears once. Another text under the same id is another message, and one without an id is meant.
func TestSaidOnce(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		dir := t.TempDir()
		first := newBus(t, dir)
		one, two := newNode(t, d, first, noLimits), newNode(t, d, first, noLimits)
		const msg = `{"type":"chat","id":"k-1","text":"有红色吗"}`
		li := one.join("buyer1", "")
		li.say(msg)
		said := li.await("chat", nil)
		li.leave()
		for _, n := range []*node{one, two, one} {
			again := n.join("buyer1", fmt.Sprintf("?after=%d&epoch=%s", said.Seq, li.hello.Epoch))
			again.say(msg)
			again.refused(`{"type":"end of what was sent"}`)
			again.leave()
		}
		wang := two.join("buyer2", "")
		wang.say(msg) // somebody else says the same under the same id
		if e := wang.await("chat", func(e event) bool { return e.User.ID == wang.hello.You.ID }); e.Seq != said.Seq+1 {
			t.Errorf("%+v after %+v", e, said)
		}
		back := one.join("buyer1", "")
		back.say(`{"type":"chat","id":"k-1","text":"还有蓝色吗"}`)
		back.await("chat", func(e event) bool { return e.Text == "还有蓝色吗" && e.Seq == said.Seq+2 })
		both := []*guest{one.join("buyer3", ""), two.join("buyer3", "")}
		for i := range 20 {
			var wg sync.WaitGroup
			for _, g := range both {
				wg.Go(func() { g.say(`{"type":"chat","id":"twice-%d","text":"both"}`, i) })
			}
			wg.Wait()
		}
		for _, g := range both {
			g.await("chat", func(e event) bool { return e.ID == "twice-19" })
			g.refused(`{"type":"end of what was sent"}`)
		}
		li = one.join("buyer1", "")
		li.chat("the end")
		if li.last != said.Seq+23 {
			t.Errorf("20 messages said twice at the same moment took %d", li.last-said.Seq-3)
		}
		one.halt()
		two.halt()
		first.Close()
		three := newNode(t, d, newBus(t, dir), noLimits)
		li = three.join("buyer1", fmt.Sprintf("?after=%d&epoch=%s", li.last, li.hello.Epoch))
		li.say(msg)
		li.say(`{"type":"chat","text":"no id"}`)
		li.say(`{"type":"chat","text":"no id"}`)
		li.chat("after the restart")
		if li.last != said.Seq+26 {
			t.Errorf("after the restart: %d", li.last-said.Seq)
		}
	})
}

// TestAnotherLog: a position in a log that was lost is never taken for one in the log that followed, even if the client does
// not say which log it means.
func TestAnotherLog(t *testing.T) {
	d := newDB(t)
	b := newBus(t, t.TempDir())
	n := newNode(t, d, b, noLimits)
	g := n.join("buyer1", "")
	g.chat("one")
	if back := n.join("buyer1", "?after=1"); !*back.hello.Resumed {
		t.Error("there was only one log, and yet it is not resumed")
	}
	until(t, "the record", func() bool {
		var rows int64
		must(t, d.Read(t.Context()).Table("chat_events").Count(&rows).Error)
		return rows == 1
	})
	must(t, b.JetStream().DeleteStream(t.Context(), "ROOM_1"))
	for range 3 {
		n.post("notice", map[string]any{"text": "new"})
	}
	for _, node := range []*node{n, newNode(t, d, b, noLimits)} { // the one that saw it happen, and one that didn't
		for query, resumed := range map[string]bool{"?after=1": false, "?after=1&epoch=" + g.hello.Epoch: false, "": false} {
			back := node.join("buyer1", query)
			if *back.hello.Resumed != resumed || back.hello.Epoch == g.hello.Epoch {
				t.Errorf("%q: %+v", query, back.hello)
			}
			back.await("notice", func(e event) bool { return e.Seq == 1 })
			now := node.join("buyer1", "?after=2&epoch="+back.hello.Epoch)
			if !*now.hello.Resumed {
				t.Errorf("the new log can't be resumed: %+v", now.hello)
			}
		}
	}
}

// follower is a client that goes and comes as it likes, and keeps what it was told.
type follower struct {
	*guest
	node  *node
	told  map[uint64]string // text by seq
	epoch string
}

// TestRandomResumes: a room on two nodes, in which people speak, messages are taken down, and followers go and come back on
// either node. Each of them has every event once, in order; nobody is told a text after it was taken down.
func TestRandomResumes(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { randomResumes(t, rand.New(rand.NewPCG(seed, 7))) }) //nolint:gosec // a test
	}
}

func randomResumes(t *testing.T, chance *rand.Rand) {
	d, b := newDB(t), newBus(t, t.TempDir())
	nodes := []*node{newNode(t, d, b, noLimits), newNode(t, d, b, noLimits)}
	speaker := nodes[0].join("buyer9", "")
	var all []*follower
	for i := range 6 {
		f := &follower{node: nodes[i%2], told: map[uint64]string{}}
		f.guest = f.node.join(fmt.Sprint("buyer", i+1), "")
		f.epoch = f.hello.Epoch
		all = append(all, f)
	}
	texts, removed, last := map[uint64]string{}, map[uint64]bool{}, uint64(0)
	for step := range 150 {
		switch f := all[chance.IntN(len(all))]; chance.IntN(4) {
		case 0, 1:
			e := speaker.chat(fmt.Sprint("text ", step, strings.Repeat(".", chance.IntN(40))))
			texts[e.Seq], last = e.Text, e.Seq
		case 2:
			if seq := uint64(chance.IntN(int(last + 1))); texts[seq] != "" && !removed[seq] {
				must(t, nodes[chance.IntN(2)].svc.Remove(context.Background(), web.Actor{AccountID: 1_000_001, Name: "operator1", Role: web.Operator, Viewer: "a:1000001"}, show, seq, "test"))
				last = speaker.await("removed", func(e event) bool { return e.RemovedSeq == seq }).Seq
				removed[seq] = true
				texts[last] = ""
			}
		case 3:
			f.catchUp(t, last, nil)
			f.leave()
			f.node = nodes[chance.IntN(2)]
			after := f.last
			away := chance.IntN(5)
			for range away {
				e := speaker.chat(fmt.Sprint("missed ", step, " ", chance.Uint64()))
				texts[e.Seq], last = e.Text, e.Seq
			}
			gone := map[uint64]bool{}
			for seq := range removed {
				gone[seq] = true
			}
			f.guest = f.node.join("buyer1", fmt.Sprintf("?after=%d&epoch=%s", after, f.epoch))
			if f.last = after; !*f.hello.Resumed {
				t.Fatalf("not resumed after %d of %d", after, last)
			}
			f.catchUp(t, last, gone)
		}
	}
	for _, f := range all {
		f.catchUp(t, last, nil)
		for seq := uint64(1); seq <= last; seq++ {
			got, known := f.told[seq]
			if right := got == texts[seq] || removed[seq] && got == ""; !known || !right {
				t.Fatalf("event %d: told %q (%v), it was %q", seq, got, known, texts[seq])
			}
		}
	}
}

// catchUp reads up to a seq; next holds each against the one before. Texts in gone must not be told any more.
func (f *follower) catchUp(t *testing.T, to uint64, gone map[uint64]bool) {
	t.Helper()
	for f.last < to {
		e := f.next()
		if e.Seq == 0 || e.Type == "hello" {
			continue
		}
		if gone[e.Seq] && e.Text != "" {
			t.Fatalf("told %q, which had been taken down", e.Text)
		}
		f.told[e.Seq] = e.Text
	}
}
