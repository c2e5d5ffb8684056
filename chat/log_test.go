package chat_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
)

// endedAt makes the show over since a moment, as far as its log is concerned.
func endedAt(at *atomic.Int64) setting {
	return func(c *chat.Config) {
		c.KeepLog = time.Millisecond
		c.Ended = func(context.Context, int64) (time.Time, error) { return db.Time(at.Load()), nil }
	}
}

func streamOf(t *testing.T, n *node) (*jetstream.StreamInfo, error) {
	t.Helper()
	s, err := n.bus.JetStream().Stream(t.Context(), "ROOM_1")
	if err != nil {
		return nil, err
	}
	return s.CachedInfo(), nil
}

// TestPutAway: a log whose session ended is deleted once the database has it whole; what is posted afterwards goes on with the
// next seq in the same epoch, and the database has it all.
func TestPutAway(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		var ended atomic.Int64
		b := newBus(t, t.TempDir())
		first := newNode(t, d, b, endedAt(&ended))
		for i := range 30 {
			first.post("notice", map[string]any{"text": fmt.Sprint("word ", i)})
		}
		info, err := streamOf(t, first)
		must(t, err)
		epoch := info.Config.Metadata["epoch"]
		first.halt()
		ended.Store(db.Millis(evening.Add(-time.Hour)))
		n := newNode(t, d, b, endedAt(&ended)) // logs are looked through when a process starts
		until(t, "the log is gone", func() bool { _, err := streamOf(t, n); return err != nil })
		n.post("notice", map[string]any{"text": "late"})
		info, err = streamOf(t, n)
		must(t, err)
		if info.Config.Metadata["epoch"] != epoch || info.State.LastSeq != 31 {
			t.Errorf("goes on in epoch %s (%s) at %d", info.Config.Metadata["epoch"], epoch, info.State.LastSeq)
		}
		until(t, "the record has all", func() bool { return slices.Equal(recordedSeqs(t, d), upTo(31)) })
	})
}

// TestPutAwayAfterACrash: a process that ended when it had sealed the log leaves one that the next process puts away.
func TestPutAwayAfterACrash(t *testing.T) {
	var ended atomic.Int64
	d, b := newDB(t), newBus(t, t.TempDir())
	first := newNode(t, d, b)
	first.post("notice", map[string]any{"text": "word"})
	first.halt()
	s, err := b.JetStream().Stream(t.Context(), "ROOM_1")
	must(t, err)
	cfg := s.CachedInfo().Config
	cfg.Sealed = true
	_, err = b.JetStream().UpdateStream(t.Context(), cfg)
	must(t, err)
	ended.Store(db.Millis(evening.Add(-time.Hour)))
	n := newNode(t, d, b, endedAt(&ended))
	until(t, "the log is gone", func() bool { _, err := streamOf(t, n); return err != nil })
	if got := recordedSeqs(t, d); !slices.Equal(got, upTo(1)) {
		t.Errorf("%v", got)
	}
}

// TestNotPutAway: a log is kept while the session goes on, and when it is not known.
func TestNotPutAway(t *testing.T) {
	var ended atomic.Int64
	d, b := newDB(t), newBus(t, t.TempDir())
	first := newNode(t, d, b, endedAt(&ended))
	first.post("notice", map[string]any{"text": "word"})
	first.halt()
	n := newNode(t, d, b, endedAt(&ended))
	n.post("notice", map[string]any{"text": "word"})
	until(t, "the record has all", func() bool { return slices.Equal(recordedSeqs(t, d), upTo(2)) })
	if _, err := streamOf(t, n); err != nil {
		t.Error(err)
	}
}

func recordedSeqs(t *testing.T, d *db.DB) []int64 {
	t.Helper()
	var seqs []int64
	must(t, d.Read(t.Context()).Table("chat_events").Where("session_id = ?", show).Order("seq").Pluck("seq", &seqs).Error)
	return seqs
}

func upTo(n int64) []int64 {
	all := make([]int64, n)
	for i := range all {
		all[i] = int64(i) + 1
	}
	return all
}

// TestLogWithoutItsEnd: a power cut took the log's newest events, which the database has. Their seqs are given again, so the
// log gets a new epoch, and who was there is told that it can't be resumed.
func TestLogWithoutItsEnd(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		b := newBus(t, t.TempDir())
		first := newNode(t, d, b)
		g := first.join("buyer1", "")
		for i := range 5 {
			g.chat(fmt.Sprint("word ", i))
		}
		until(t, "the record has all", func() bool { return slices.Equal(recordedSeqs(t, d), upTo(5)) })
		first.halt()
		s, err := b.JetStream().Stream(t.Context(), "ROOM_1")
		must(t, err)
		cfg := s.CachedInfo().Config
		must(t, b.JetStream().DeleteStream(t.Context(), "ROOM_1"))
		cut, err := b.JetStream().CreateStream(t.Context(), cfg)
		must(t, err)
		for i := range 3 {
			_, err = b.JetStream().Publish(t.Context(), "room.1", fmt.Appendf(nil, `{"type":"notice","at":"2022-07-08T11:00:00Z","text":"word %d"}`, i))
			must(t, err)
		}
		_ = cut
		n := newNode(t, d, b)
		back := n.join("buyer1", "?after=5&epoch="+g.hello.Epoch)
		if *back.hello.Resumed || back.hello.Epoch == g.hello.Epoch || back.hello.Seq != 3 {
			t.Errorf("%+v, before %s", back.hello, g.hello.Epoch)
		}
		back.chat("anew")
		var rows []struct {
			Epoch string
			Seq   int64
		}
		until(t, "the record has both", func() bool {
			must(t, d.Read(t.Context()).Table("chat_events").Where("session_id = ?", show).Order("epoch, seq").Find(&rows).Error)
			return len(rows) == 6
		})
		for _, r := range rows {
			if (r.Epoch == back.hello.Epoch) != (r.Seq == 4 && r.Epoch != g.hello.Epoch) {
				t.Errorf("%+v", rows)
			}
		}
	})
}

// TestRecordOutlastsTheDatabase: while the database is away the log keeps more than rooms read, so that nothing is lost for the
// three years; when it is back, the log is shortened again.
func TestRecordOutlastsTheDatabase(t *testing.T) {
	b := newBus(t, t.TempDir())
	d := newDB(t)
	idle, err := chat.New(chat.Config{DB: d, Bus: b, Clock: fixed(evening)}, &program{}, &book{})
	must(t, err)
	for range 4500 { // nobody runs, so nothing is copied
		must(t, idle.Post(t.Context(), show, "sold", nil))
	}
	n := newNode(t, d, b)
	g := n.join("buyer1", "")
	if g.hello.Seq != 4500 {
		t.Errorf("%+v", g.hello)
	}
	for _, some := range []int{2000, 4000, 4500} { // each with its own patience
		until(t, "the record has them", func() bool { return len(recordedSeqs(t, d)) >= some })
	}
	until(t, "the log is shortened", func() bool { info, err := streamOf(t, n); return err == nil && info.State.Msgs == 2000 })
	g.chat("goes on")
	if !slices.Equal(recordedSeqs(t, d)[:4500], upTo(4500)) {
		t.Error("seqs are not dense")
	}
}

// TestForget: a person's name and words go from the rooms that are open, from the log and from the database; everybody else's
// stay, and so does every seq. What is held stays.
func TestForget(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		b := newBus(t, t.TempDir())
		n := newNode(t, d, b)
		me, other := n.join("buyer1", ""), n.join("buyer2", "")
		n.post("notice", map[string]any{"text": "welcome"})
		me.chat("secret one")
		other.chat("mine stays")
		me.chat("held")
		me.chat("secret two")
		spare := func(k chat.Kept) bool { return strings.Contains(string(k.Body), "held") }
		done, err := n.svc.Forget(t.Context(), 1, spare)
		must(t, err)
		if done != (chat.Forgotten{Blanked: 2, Spared: 1, Erased: 2}) {
			t.Errorf("%+v", done)
		}
		if e := other.await("forgotten", nil); e.User.ID != me.hello.You.ID || e.Seq != 6 {
			t.Errorf("%+v", e)
		}
		again, err := n.svc.Forget(t.Context(), 1, spare)
		must(t, err)
		if again != (chat.Forgotten{Spared: 1}) {
			t.Errorf("a second time: %+v", again)
		}
		info, err := streamOf(t, n)
		must(t, err)
		if info.State.NumDeleted != 2 || info.State.LastSeq != 6 {
			t.Errorf("the log: %+v", info.State)
		}
		open := n.join("buyer3", "?after=0&epoch="+me.hello.Epoch) // from the room's memory
		checkForgotten(t, open)
		n.halt()
		fresh := newNode(t, d, b).join("buyer3", "?after=0&epoch="+me.hello.Epoch) // from the log and the record
		checkForgotten(t, fresh)
		var bodies []string
		must(t, d.Read(t.Context()).Table("chat_events").Order("seq").Pluck("body", &bodies).Error)
		if all := strings.Join(bodies, ""); len(bodies) != 6 || strings.Contains(all, "secret") || strings.Count(all, "王buyer1") != 1 || !strings.Contains(all, "mine stays") {
			t.Errorf("the record: %q", bodies)
		}
	})
}

// checkForgotten reads history: four messages, of which two are blank.
func checkForgotten(t *testing.T, g *guest) {
	t.Helper()
	if !*g.hello.Resumed {
		t.Errorf("not resumed: %+v", g.hello)
	}
	for seq := uint64(2); seq <= 5; seq++ {
		e := g.await("chat", func(e event) bool { return e.Seq == seq })
		switch {
		case seq == 3 && (e.Text != "mine stays" || e.User.Name == ""):
			t.Errorf("%+v", e)
		case (seq == 2 || seq == 5) && (e.Text != "" || e.User.Name != ""):
			t.Errorf("%+v", e)
		}
	}
}
