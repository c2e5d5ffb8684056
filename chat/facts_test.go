package chat_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
)

// stays gives the show's intervals as "viewer from-to" in seconds since the evening began; an open end is "…".
func (n *node) stays() []string {
	n.t.Helper()
	all, err := n.svc.Presence(context.Background(), show)
	must(n.t, err)
	out := []string{}
	for _, i := range all {
		to := "…"
		if !i.To.IsZero() {
			to = fmt.Sprint(i.To.Sub(evening).Seconds())
		}
		out = append(out, fmt.Sprintf("%s %v-%s", i.Viewer, i.From.Sub(evening).Seconds(), to))
	}
	return out
}

func (n *node) wantStays(want ...string) {
	n.t.Helper()
	if got := n.stays(); !reflect.DeepEqual(got, want) {
		n.t.Errorf("stays %q instead of %q", got, want)
	}
}

func (n *node) out(g *guest, left int) {
	n.t.Helper()
	g.leave()
	until(n.t, "leaving", func() bool { return n.metric("duoduopin_chat_members") == float64(left) })
}

// TestPresence: one interval per entry, whatever the number of sockets; back within 30 s is no new entry, not even after a
// restart of the server; what a crash leaves open ends when it was last seen.
func TestPresence(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		n := newNode(t, d, nil)
		tab := n.join("buyer1", "")
		n.clock.Advance(10 * time.Second)
		phone := n.join("buyer1", "")
		n.wantStays("a:1 0-…")
		n.out(tab, 1)
		n.clock.Advance(10 * time.Second)
		n.out(phone, 0)
		n.wantStays("a:1 0-20")
		n.clock.Advance(30 * time.Second)
		again := n.join("buyer1", "")
		n.wantStays("a:1 0-…")
		n.out(again, 0)
		n.clock.Advance(31 * time.Second)
		again = n.join("buyer1", "")
		n.wantStays("a:1 0-50", "a:1 81-…")
		n.clock.Advance(time.Second)
		n.join("tourist", "")
		n.halt()
		n.wantStays("a:1 0-50", "a:1 81-82", "v:tourist 82-82")
		again.closed()

		after := newNode(t, d, nil)
		after.clock.Set(evening.Add(100 * time.Second))
		after.join("buyer1", "")
		after.wantStays("a:1 0-50", "a:1 81-…", "v:tourist 82-82")
		after.svc.CloseRoom(show)
		after.wantStays("a:1 0-50", "a:1 81-100", "v:tourist 82-82")
		after.halt()

		must(t, d.Write(t.Context()).Exec("UPDATE chat_presence SET to_ms = 0, node = 'crashed' WHERE viewer = 'v:tourist'").Error)
		last := newNode(t, d, nil, func(c *chat.Config) { c.Clock = fixed(evening.Add(time.Hour)) })
		until(t, "the crash's stay to be closed", func() bool { return last.stays()[2] == "v:tourist 82-82" })
	})
}

type fixed time.Time

func (f fixed) Now() time.Time { return time.Time(f) }

// TestActivity: what viewers did, as the reports read it; likes of a viewer are summed by the minute, chat is complete.
func TestActivity(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		n := newNode(t, d, nil)
		g := n.join("buyer1", "")
		g.say(`{"type":"like","count":3}`)
		g.chat("hi")
		n.clock.Advance(10 * time.Second)
		g.say(`{"type":"like","count":4}`)
		g.say(`{"type":"exposure","product_ids":[7,8]}`)
		g.say(`{"type":"click","product_id":7}`)
		g.say(`{"type":"share"}`)
		g.say(`{"type":"follow","anchor":"anchor1"}`)
		g.refused(`{"type":"end of what was sent"}`)
		n.clock.Advance(time.Minute)
		g.say(`{"type":"click","product_id":7}`)
		g.refused(`{"type":"end of what was sent"}`)
		got, err := n.svc.Activity(t.Context(), show)
		must(t, err)
		var lines []string
		for _, a := range got {
			lines = append(lines, fmt.Sprintf("%v %s %s %d ×%d", a.At.Sub(evening).Seconds(), a.Viewer, a.Kind, a.ProductID, a.Count))
		}
		want := []string{
			"0 a:1 like 0 ×7", "0 a:1 chat 0 ×1", "10 a:1 click 7 ×1", "10 a:1 exposure 7 ×1", "10 a:1 exposure 8 ×1",
			"10 a:1 follow 0 ×1", "10 a:1 share 0 ×1", "70 a:1 click 7 ×1",
		}
		if !reflect.DeepEqual(lines, want) {
			t.Errorf("got  %q\nwant %q", lines, want)
		}
	})
}

// TestImport: the demo shop's facts come back as they went in.
func TestImport(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		n := newNode(t, d, nil)
		var stays []chat.Interval
		var acts []chat.Act
		for i := range 1200 {
			at := evening.Add(time.Duration(i) * time.Second)
			stays = append(stays, chat.Interval{Viewer: fmt.Sprint("v:", i), From: at, To: at.Add(time.Minute)})
			acts = append(acts, chat.Act{Viewer: fmt.Sprint("v:", i), Kind: "chat", Count: 2, At: at})
		}
		must(t, n.svc.ImportFacts(t.Context(), show, stays, acts))
		gotStays, err := n.svc.Presence(t.Context(), show)
		must(t, err)
		gotActs, err := n.svc.Activity(t.Context(), show)
		must(t, err)
		if !reflect.DeepEqual(gotStays, stays) || !reflect.DeepEqual(gotActs, acts) {
			t.Errorf("%d stays, %d acts came back", len(gotStays), len(gotActs))
		}
		must(t, n.svc.ImportFacts(t.Context(), show, nil, nil))
	})
}

type recorded struct {
	Seq       int64
	Typ       string
	Viewer    string
	AccountID int64
}

// TestRecord: the log is in the database, each event once, also what a process that did not run could not copy.
func TestRecord(t *testing.T) {
	testshop.EachDB(t, chat.Migrations(), func(t *testing.T, d *db.DB) {
		b := newBus(t, t.TempDir())
		idle, err := chat.New(chat.Config{DB: d, Bus: b, Clock: fixed(evening)}, &program{}, &book{})
		must(t, err)
		for range 1100 {
			must(t, idle.Post(t.Context(), show, "sold", nil))
		}
		n := newNode(t, d, b)
		n.join("buyer1", "").chat("hi")
		var rows []recorded
		until(t, "the record", func() bool {
			must(t, d.Read(t.Context()).Table("chat_events").Where("session_id = ?", show).Order("seq").Find(&rows).Error)
			return len(rows) == 1101
		})
		for i, r := range rows {
			if r.Seq != int64(i+1) {
				t.Fatalf("row %d is seq %d", i, r.Seq)
			}
		}
		if got := rows[1100]; got != (recorded{1101, "chat", "a:1", 1}) {
			t.Errorf("%+v", got)
		}
	})
}
