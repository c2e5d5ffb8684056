package live_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/live"
)

func TestMain(m *testing.M) { testshop.Main(m) }

// town is the other nouns, in plain values: the whole is tested in cmd/duoduopin.
type town struct {
	told   []string
	taken  map[int64]int64
	audits []string

	mu     sync.Mutex // guards what follows: Run asks too
	onAir  []string
	orders []string // of the desk to Media
}

func (*town) ByNames(_ context.Context, names []string) ([]live.Person, error) {
	var out []live.Person
	for _, n := range names {
		role := web.Anchor
		switch n {
		case "nobody":
			return nil, fault.Missing("account nobody")
		case "bea":
			role = web.Buyer
		}
		out = append(out, live.Person{Name: n, DisplayName: n, Role: role})
	}
	return out, nil
}
func (*town) PublishToken(context.Context, string, int64) (string, error) { return "ddp_x", nil }
func (t *town) Post(_ context.Context, id int64, typ string, data any) error {
	t.told = append(t.told, fmt.Sprint(typ, " ", data))
	return nil
}
func (*town) Viewers(int64) int      { return 0 }
func (*town) CloseRoom(int64)        {}
func (t *town) OnAir(int64) []string { t.mu.Lock(); defer t.mu.Unlock(); return slices.Clone(t.onAir) }
func (*town) CloseSession(int64)     {}
func (t *town) Mute(_ int64, anchor string, muted bool) {
	t.hear(fmt.Sprint("mute ", anchor, " ", muted))
}

// Cut takes the anchor off the air, as stream does.
func (t *town) Cut(_ int64, anchor string) {
	t.hear("cut " + anchor)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.onAir = slices.DeleteFunc(t.onAir, func(n string) bool { return n == anchor })
}

func (t *town) hear(order string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.orders = append(t.orders, order)
}

// heard gives the orders since it was last asked.
func (t *town) heard() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	o := t.orders
	t.orders = nil
	return o
}

func (t *town) air(names ...string) { t.mu.Lock(); defer t.mu.Unlock(); t.onAir = names }

func (t *town) Record(_ context.Context, action, _ string, detail any) error {
	t.audits = append(t.audits, fmt.Sprint(action, " ", detail))
	return nil
}
func (t *town) Taken(context.Context, int64) (map[int64]int64, error) { return t.taken, nil }

// Listings: SKUs 11 and 12 belong to product 1, 21 to 2; 31 has not been checked.
func (*town) Listings(_ context.Context, ids []int64) (map[int64]live.Listing, error) {
	out := map[int64]live.Listing{}
	for _, id := range ids {
		if id == 11 || id == 12 || id == 21 || id == 31 {
			out[id] = live.Listing{SKUID: id, ProductID: id / 10, Title: "商品", PriceFen: 1000, Stock: 10, Sellable: id != 31}
		}
	}
	return out, nil
}

func (*town) Articles(_ context.Context, ids []int64) (map[int64]live.Article, error) {
	out := map[int64]live.Article{}
	for _, id := range ids {
		out[id] = live.Article{ID: id, Title: "商品"}
	}
	return out, nil
}

type stage struct {
	*live.Service
	town  *town
	clock *clock.Manual
	ctx   context.Context
}

func each(t *testing.T, fn func(t *testing.T, s *stage)) {
	testshop.EachDB(t, live.Migrations(), func(t *testing.T, d *db.DB) {
		s := &stage{town: &town{taken: map[int64]int64{}}, clock: clock.NewManual(time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)), ctx: as(t.Context(), "olga", web.Operator)}
		s.Service = live.New(live.Config{DB: d, Clock: s.clock}, live.Needs{People: s.town, Goods: s.town, Taken: s.town, Room: s.town, Media: s.town, Audit: s.town})
		fn(t, s)
	})
}

func as(ctx context.Context, name string, role web.Role) context.Context {
	return web.WithActor(ctx, web.Actor{AccountID: 1, Name: name, Role: role})
}

func (s *stage) session(t *testing.T, anchors ...string) int64 {
	t.Helper()
	title, at := "晚场", s.clock.Now()
	x, err := s.Create(s.ctx, live.Plan{Title: &title, StartsAt: &at, Anchors: anchors, Shelf: []live.ShelfItem{{SKUID: 11}, {SKUID: 12}, {SKUID: 21}}})
	if err != nil {
		t.Fatal(err)
	}
	return x.ID
}

func TestPlans(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		title, empty, at := "晚场", "", s.clock.Now()
		long := at.AddDate(500, 0, 0)
		price := int64(-1)
		six := []string{"a", "b", "c", "d", "e", "f"}
		for field, p := range map[string]live.Plan{
			"title":              {Title: &empty, StartsAt: &at, Anchors: []string{"a"}},
			"starts_at":          {Title: &title, StartsAt: &long, Anchors: []string{"a"}},
			"anchors":            {Title: &title, StartsAt: &at, Anchors: six},
			"anchors[0]":         {Title: &title, StartsAt: &at, Anchors: []string{"bea"}},
			"anchors[1]":         {Title: &title, StartsAt: &at, Anchors: []string{"a", "a"}},
			"shelf[0].sku_id":    {Title: &title, StartsAt: &at, Anchors: []string{"a"}, Shelf: []live.ShelfItem{{SKUID: 99}}},
			"shelf[1].sku_id":    {Title: &title, StartsAt: &at, Anchors: []string{"a"}, Shelf: []live.ShelfItem{{SKUID: 11}, {SKUID: 11}}},
			"shelf[2].sku_id":    {Title: &title, StartsAt: &at, Anchors: []string{"a"}, Shelf: []live.ShelfItem{{SKUID: 11}, {SKUID: 12}, {SKUID: 31}}},
			"shelf[0].price_fen": {Title: &title, StartsAt: &at, Anchors: []string{"a"}, Shelf: []live.ShelfItem{{SKUID: 11, PriceFen: &price}}},
			"shelf[0].stock":     {Title: &title, StartsAt: &at, Anchors: []string{"a"}, Shelf: []live.ShelfItem{{SKUID: 11, Stock: &price}}},
		} {
			_, err := s.Create(s.ctx, p)
			var f *fault.Error
			if !errors.As(err, &f) || f.Field != field || f.Kind != fault.Invalid {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := s.Create(s.ctx, live.Plan{Title: &title, StartsAt: &at, Anchors: []string{"nobody"}}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("an anchor who is not there: %v", err)
		}
		if all, _ := s.List(s.ctx, live.Filter{Limit: 10}); len(all) != 0 {
			t.Errorf("%d sessions were left behind", len(all))
		}
	})
}

// Random wishes: what the table allows happens, all else is refused and changes nothing.
func TestMovesFollowTheTable(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		wishes := map[live.State]func(context.Context, int64) (live.Session, error){live.Rehearsing: s.Rehearse, live.Live: s.Start, live.Ended: s.End, live.Cancelled: s.Cancel}
		rapid.Check(t, func(r *rapid.T) {
			id := s.session(t, "anna")
			at := live.Scheduled
			for range rapid.IntRange(1, 8).Draw(r, "wishes") {
				to := rapid.SampledFrom([]live.State{live.Rehearsing, live.Live, live.Ended, live.Cancelled}).Draw(r, "to")
				x, err := wishes[to](s.ctx, id)
				if at == to || live.May(at, to) {
					if err != nil || x.State != to {
						r.Fatalf("%s to %s: %s, %v", at, to, x.State, err)
					}
					at = to
				} else if !errors.Is(err, live.ErrMove) {
					r.Fatalf("%s to %s: %v", at, to, err)
				}
			}
			if x, _ := s.Get(s.ctx, id); x.State != at || x.State.Open() && x.LiveAt.IsZero() || x.State == live.Ended && x.EndedAt.IsZero() {
				r.Fatalf("%+v, want %s", x, at)
			}
		})
	})
}

// The state follows the picture: rehearsal, interruption, return; the gap is kept.
func TestInterruptions(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna", "bert")
		state := func(onAir int, want live.State) {
			t.Helper()
			if err := s.Reconcile(s.ctx, id, onAir); err != nil {
				t.Fatal(err)
			}
			if x, _ := s.Get(s.ctx, id); x.State != want {
				t.Fatalf("with %d on air: %s, want %s", onAir, x.State, want)
			}
		}
		state(1, live.Rehearsing)
		state(0, live.Rehearsing)
		s.town.air("anna")
		if _, err := s.Start(s.ctx, id); err != nil {
			t.Fatal(err)
		}
		state(2, live.Live)
		state(1, live.Live) // one of two gone is no interruption
		from := s.clock.Now()
		state(0, live.Interrupted)
		s.clock.Advance(7 * time.Second)
		state(1, live.Live)
		x, _ := s.Get(s.ctx, id)
		if len(x.Interrupted) != 1 || x.Interrupted[0].To.Sub(x.Interrupted[0].From) != 7*time.Second || !x.Interrupted[0].From.Equal(from) {
			t.Fatalf("%+v", x.Interrupted)
		}
		state(0, live.Interrupted)
		s.clock.Advance(time.Minute)
		if x, err := s.End(s.ctx, id); err != nil || x.State != live.Ended || x.Interrupted[1].To.IsZero() {
			t.Fatalf("%+v, %v", x, err)
		}
		state(1, live.Ended)
		want := []string{"session map[state:live]", "session map[state:interrupted]", "session map[state:live]", "session map[state:interrupted]", "session map[state:ended]"}
		if !slices.Equal(s.town.told, want) {
			t.Errorf("the room heard %q", s.town.told)
		}
	})
}

// Started before anybody is on air, a session is live and waits.
func TestStartBeforeThePicture(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna")
		for range 2 { // the second click is fine
			if x, err := s.Start(s.ctx, id); err != nil || x.State != live.Live {
				t.Fatal(x.State, err)
			}
		}
		if err := s.Reconcile(s.ctx, id, 0); err != nil {
			t.Fatal(err)
		}
		if x, _ := s.Get(s.ctx, id); x.State != live.Live {
			t.Fatal(x.State)
		}
	})
}

func TestAcrossMidnightIsOneSession(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		s.clock.Set(time.Date(2026, 11, 24, 15, 30, 0, 0, time.UTC)) // 23:30 in Kangbashi
		id := s.session(t, "anna")
		_, err1 := s.Start(s.ctx, id)
		s.clock.Advance(90 * time.Minute)
		x, err2 := s.End(s.ctx, id)
		if err := errors.Join(err1, err2); err != nil || x.EndedAt.Sub(x.LiveAt) != 90*time.Minute {
			t.Fatalf("%+v, %v", x, err)
		}
	})
}

func TestPins(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna", "bert")
		operator, anna, bert := s.ctx, as(s.ctx, "anna", web.Anchor), as(s.ctx, "bert", web.Anchor)
		if _, err := s.Pin(operator, id, 1, ""); !errors.Is(err, live.ErrMove) {
			t.Fatalf("before the rehearsal: %v", err)
		}
		if _, err := s.Start(operator, id); err != nil {
			t.Fatal(err)
		}
		pin := func(ctx context.Context, product int64, anchor string, want ...string) live.Pin {
			t.Helper()
			s.clock.Advance(time.Second)
			p, err := s.Pin(ctx, id, product, anchor)
			if err != nil || !slices.Equal(p.Anchors, want) {
				t.Fatalf("%+v, %v; want %v", p, err, want)
			}
			return p
		}
		up := func(want ...int64) {
			t.Helper()
			pins, err := s.Pins(operator, id, true)
			var got []int64
			for _, p := range pins {
				got = append(got, p.ID)
			}
			if err != nil || !slices.Equal(got, want) {
				t.Fatalf("up: %v, want %v (%v)", got, want, err)
			}
		}
		first := pin(anna, 1, "", "anna")
		if again := pin(anna, 1, "", "anna"); again.ID != first.ID {
			t.Error("a second click made a second pin")
		}
		second := pin(bert, 2, "", "bert")
		up(first.ID, second.ID)
		third := pin(operator, 2, "anna", "anna") // takes the product from bert, and anna from product 1
		up(third.ID)
		shared := pin(operator, 1, "", "anna", "bert")
		up(shared.ID)
		for range 2 {
			if err := s.Unpin(operator, id, shared.ID); err != nil {
				t.Fatal(err)
			}
		}
		up()
		for name, err := range map[string]error{
			"not on the shelf":  second3(s.Pin(operator, id, 9, "")),
			"for another":       second3(s.Pin(anna, id, 1, "bert")),
			"stranger":          second3(s.Pin(as(s.ctx, "zoe", web.Anchor), id, 1, "")),
			"unknown anchor":    second3(s.Pin(operator, id, 1, "zoe")),
			"unpin by stranger": s.Unpin(as(s.ctx, "zoe", web.Anchor), id, shared.ID),
			"unpin elsewhere":   s.Unpin(operator, id, 999),
		} {
			if err == nil {
				t.Errorf("%s: nothing refused", name)
			}
		}
		last := pin(operator, 1, "", "anna", "bert")
		if _, err := s.End(operator, id); err != nil {
			t.Fatal(err)
		}
		all, _ := s.Pins(operator, id, false)
		if p := all[len(all)-1]; p.ID != last.ID || p.To.IsZero() {
			t.Errorf("the end left a pin up: %+v", p)
		}
	})
}

func second3[T any](_ T, err error) error { return err }

func TestTerms(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna")
		price, stock := int64(800), int64(4)
		if _, err := s.SetShelf(s.ctx, id, []live.ShelfItem{{SKUID: 11, PriceFen: &price, Stock: &stock}, {SKUID: 21}}); err != nil {
			t.Fatal(err)
		}
		if terms, err := s.TermsOf(s.ctx, id, []int64{11}); err != nil || terms.Open || len(terms.Items) != 0 {
			t.Fatalf("before the start: %+v, %v", terms, err)
		}
		if _, err := s.Start(s.ctx, id); err != nil {
			t.Fatal(err)
		}
		p, err := s.Pin(s.ctx, id, 1, "")
		if err != nil {
			t.Fatal(err)
		}
		terms, err := s.TermsOf(s.ctx, id, []int64{11, 12, 21})
		if err != nil || !terms.Open || len(terms.Items) != 2 {
			t.Fatalf("%+v, %v", terms, err)
		}
		if it := terms.Items[11]; it.PriceFen != 800 || it.SessionStock != 4 || it.PinID != p.ID || !slices.Equal(it.Anchors, []string{"anna"}) {
			t.Errorf("%+v", it)
		}
		if it := terms.Items[21]; it.PriceFen != 1000 || it.SessionStock != -1 || it.PinID != 0 {
			t.Errorf("%+v", it)
		}
		s.town.taken[11] = 3
		if shelf, _ := s.Shelf(s.ctx, id); shelf[0].Left != 1 || shelf[1].Left != 10 {
			t.Errorf("left %d and %d", shelf[0].Left, shelf[1].Left)
		}
	})
}

func TestWhoMay(t *testing.T) {
	each(t, func(t *testing.T, s *stage) {
		id := s.session(t, "anna")
		anna := web.Actor{AccountID: 1, Name: "anna", Role: web.Anchor}
		here, elsewhere := anna, anna
		here.Scope, elsewhere.Scope = fmt.Sprintf("publish:%d", id), "publish:999"
		zoe := web.Actor{AccountID: 2, Name: "zoe", Role: web.Anchor}
		visitor, operator := web.Actor{}, web.Actor{AccountID: 3, Name: "olga", Role: web.Operator}
		check := func(when string, who web.Actor, publish, watch bool) {
			t.Helper()
			if _, err := s.MayPublish(s.ctx, id, who); (err == nil) != publish {
				t.Errorf("%s, %+v publishes: %v", when, who, err)
			}
			if err := s.MayWatch(s.ctx, id, who); (err == nil) != watch {
				t.Errorf("%s, %+v watches: %v", when, who, err)
			}
		}
		for _, row := range []struct {
			when       string
			turn       func(context.Context, int64) (live.Session, error)
			open, over bool
		}{{"scheduled", s.Get, false, false}, {"rehearsing", s.Rehearse, false, false}, {"live", s.Start, true, false}, {"ended", s.End, false, true}} {
			if _, err := row.turn(s.ctx, id); err != nil {
				t.Fatal(err)
			}
			check(row.when, anna, !row.over, !row.over)
			check(row.when, here, !row.over, !row.over)
			check(row.when, elsewhere, false, !row.over)
			check(row.when, zoe, false, row.open)
			check(row.when, visitor, false, row.open)
			check(row.when, operator, false, !row.over)
		}
		x, _ := s.Get(s.ctx, id)
		x.State = live.Rehearsing
		if x.Shown(visitor) != live.Scheduled || x.Shown(anna) != live.Rehearsing || x.Shown(zoe) != live.Scheduled {
			t.Error("a rehearsal is shown to strangers")
		}
	})
}
