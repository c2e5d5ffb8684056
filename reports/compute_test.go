package reports

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var t0 = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

func at(sec int64) time.Time { return t0.Add(time.Duration(sec) * time.Second) }

// An evening whose figures were computed by hand.
func TestByHand(t *testing.T) {
	f := Facts{
		Session: Session{ID: 1, LiveAt: t0, EndedAt: at(600), Anchors: []string{"anna", "bert"}, State: "ended"},
		Gaps:    []Span{{at(120), at(180)}},
		Pins:    []Pin{{ID: 1, ProductID: 7, Anchors: []string{"anna"}, Span: Span{at(0), at(300)}}},
		Shelf:   []Item{{7, 70, "围巾", "驼色"}, {8, 80, "米", "5 公斤"}},
		Visits: []Visit{
			{"a:1", Span{at(-60), at(300)}}, // there before the start
			{"a:1", Span{at(200), at(240)}}, // a second window of the same person
			{"v:2", Span{at(60), at(120)}},
			{"v:2", Span{at(540), time.Time{}}}, // never left
			{"v:3", Span{at(700), at(800)}},     // after the end
		},
		Acts: []Act{{"a:1", "chat", 0, 1, at(10)}, {"v:2", "click", 7, 2, at(70)}, {"v:3", "like", 0, 5, at(710)}, {"v:2", "exposure", 8, 1, at(70)}},
		Orders: []Order{
			{ID: "1", Viewer: "a:1", Channel: Room, TotalFen: 1001, PaidFen: 1001, CreatedAt: at(30), PaidAt: at(900), Lines: []Line{{7, 70, "围巾", "", 1, 1001, []string{"anna", "bert"}}}, Refunds: []Refund{{1001, at(1000), at(1001)}}},
			{ID: "2", Viewer: "douyin:x", Channel: "douyin", TotalFen: 500, PaidFen: 500, CreatedAt: at(31), PaidAt: at(31), Lines: []Line{{8, 80, "米", "", 2, 250, nil}}},
			{ID: "3", Viewer: "a:1", Channel: Room, TotalFen: 300, CreatedAt: at(600)},
			{ID: "4", Viewer: "a:1", Channel: Room, TotalFen: 300, PaidFen: 300, CreatedAt: at(601), PaidAt: at(601)}, // too late
		},
		Levels: []Level{{70, t0, 5}, {70, at(240), 0}, {80, t0, 0}},
		Now:    at(5000),
	}
	r := Compute(f)
	want := Totals{
		GMVPlacedFen: 1801, GMVPaidFen: 1501, NetSalesFen: 500, RefundedFen: 1001, OrdersPlaced: 3, OrdersPaid: 2, LinesPaid: 2, UnitsPaid: 3, Buyers: 2,
		UV: 2, PV: 4, PCU: 2, WatchSecondsTotal: 300 + 60 + 60, OnAirMinutes: 9, InterruptedMinutes: 1, StockOutMinutes: 1,
	}
	got := r.Totals
	for _, p := range []struct {
		name string
		got  string
		want string
	}{
		{"aov", str(got.AOVFen), "751"},
		{"uv value", str(got.UVValueFen), "751"},
		{"gpm", str(got.GPMFen), "375250"},
		{"interaction", str(got.InteractionRate), "0.5"},
		{"payment", str(got.PaymentRate), "0.6666666666666666"},
		{"refunds", str(got.RefundRate), "0.5"},
		{"sell-through", str(got.SellThrough), "1"},
		{"average watch", str(got.WatchSecondsAvg), "210"},
		// minute peaks on air: 1 2 (gap) 1 1 0 0 0 0 1 -> 6 of 9 minutes
		{"acu", fmt.Sprintf("%.4f", *got.ACU), "0.6667"},
	} {
		if p.got != p.want {
			t.Errorf("%s is %s, want %s", p.name, p.got, p.want)
		}
	}
	got.AOVFen, got.UVValueFen, got.GPMFen, got.ACU, got.WatchSecondsAvg = nil, nil, nil, nil, nil
	got.InteractionRate, got.PaymentRate, got.RefundRate, got.RefundAmountRate, got.SellThrough = nil, nil, nil, nil, nil
	if got != want {
		t.Errorf("totals\n%+v, want\n%+v", got, want)
	}
	if s := fmt.Sprint(r.Anchors); s != "[{anna 501} {bert 500} {room 500}]" {
		t.Errorf("anchors %s", s)
	}
	if s := fmt.Sprint(r.Channels); s != "[{room 1001} {douyin 500}]" {
		t.Errorf("channels %s", s)
	}
	if r.Honest != (Honest{1501, 1, 1001, 500}) {
		t.Errorf("honest %+v", r.Honest)
	}
	scarf := r.Products[0]
	if scarf.Exposures != 2 || scarf.Clicks != 2 || scarf.Orders != 1 || scarf.Units != 1 || scarf.Paid != 1001 {
		t.Errorf("scarf %+v", scarf)
	}
}

func str[T any](p *T) string {
	if p == nil {
		return "nil"
	}
	return fmt.Sprint(*p)
}

func TestEmptySessionHasNoRates(t *testing.T) {
	r := Compute(Facts{Session: Session{LiveAt: t0, EndedAt: t0}, Now: t0})
	for k, v := range r.Totals.Map() {
		switch v := v.(type) {
		case *float64:
			if v != nil {
				t.Errorf("%s is %v", k, *v)
			}
		case *int64:
			if v != nil {
				t.Errorf("%s is %v", k, *v)
			}
		}
	}
}

func drawFacts(t *rapid.T) Facts {
	names := []string{"anna", "bert", "cora", "dora", "emil"}[:rapid.IntRange(1, 5).Draw(t, "anchors")]
	f := Facts{Session: Session{LiveAt: t0, EndedAt: at(3600), Anchors: names}, Now: at(9000)}
	sec := func(label string) int64 { return rapid.Int64Range(-300, 4000).Draw(t, label) }
	for range rapid.IntRange(0, 30).Draw(t, "visits") {
		from := sec("from")
		f.Visits = append(f.Visits, Visit{fmt.Sprint("v:", rapid.IntRange(1, 8).Draw(t, "viewer")), Span{at(from), at(from + rapid.Int64Range(0, 900).Draw(t, "stay"))}})
	}
	for range rapid.IntRange(0, 3).Draw(t, "gaps") {
		from := sec("gap")
		f.Gaps = append(f.Gaps, Span{at(from), at(from + 100)})
	}
	for i := range rapid.IntRange(0, 40).Draw(t, "orders") {
		o := Order{ID: fmt.Sprint(i), Viewer: fmt.Sprint("v:", i%9), Channel: rapid.SampledFrom([]string{Room, "douyin", "kuaishou"}).Draw(t, "channel"), CreatedAt: at(sec("placed"))}
		for range rapid.IntRange(1, 4).Draw(t, "lines") {
			l := Line{ProductID: rapid.Int64Range(1, 5).Draw(t, "product"), Quantity: rapid.Int64Range(1, 99).Draw(t, "quantity"), PriceFen: rapid.Int64Range(0, 99999).Draw(t, "price")}
			l.Anchors = names[:rapid.IntRange(0, len(names)).Draw(t, "holders")]
			o.TotalFen += l.Quantity * l.PriceFen
			o.Lines = append(o.Lines, l)
		}
		if rapid.Bool().Draw(t, "paid") {
			o.PaidAt, o.PaidFen = o.CreatedAt.Add(time.Minute), rapid.Int64Range(0, o.TotalFen).Draw(t, "paid fen")
		}
		f.Orders = append(f.Orders, o)
	}
	return f
}

func TestPartsAddUpToTheFen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := Compute(drawFacts(t))
		var anchors, channels, products, minutes int64
		for _, a := range r.Anchors {
			anchors += a.PaidFen
		}
		for _, c := range r.Channels {
			channels += c.PaidFen
		}
		for _, p := range r.Products {
			products += p.Paid
		}
		for _, m := range r.Minutes {
			minutes += m.PaidFen
		}
		if g := r.Totals.GMVPaidFen; anchors != g || channels != g || products != g || minutes != g {
			t.Fatalf("GMV paid %d, anchors %d, channels %d, products %d, minutes %d", g, anchors, channels, products, minutes)
		}
	})
}

func TestAttendanceHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFacts(t)
		r := Compute(f).Totals
		// The integral of P(t), by looking at every second.
		var integral int64
		for s := int64(0); s < 3600; s++ {
			there := map[string]bool{}
			for _, v := range f.Visits {
				if !v.From.After(at(s)) && v.To.After(at(s)) {
					there[v.Viewer] = true
				}
			}
			integral += int64(len(there))
			if int64(len(there)) > r.PCU {
				t.Fatalf("%d there at %d s, PCU %d", len(there), s, r.PCU)
			}
		}
		if float64(integral) != r.WatchSecondsTotal {
			t.Fatalf("watched %v s, the integral of P(t) is %d", r.WatchSecondsTotal, integral)
		}
		if r.ACU != nil && *r.ACU > float64(r.PCU)+1e-9 {
			t.Fatalf("ACU %v over PCU %d", *r.ACU, r.PCU)
		}
		// Splitting a visit in two changes nothing but the entries.
		for i, v := range f.Visits {
			if d := v.To.Sub(v.From); d > 2*time.Second {
				half := v.From.Add(d / 2)
				f.Visits[i].To = half
				f.Visits = append(f.Visits, Visit{v.Viewer, Span{half, v.To}})
			}
		}
		split := Compute(f).Totals
		split.PV, split.GPMFen, r.PV, r.GPMFen = 0, nil, 0, nil
		if a, b := fmt.Sprint(split.Map()["uv"], split.PCU, split.WatchSecondsTotal, str(split.ACU)), fmt.Sprint(r.Map()["uv"], r.PCU, r.WatchSecondsTotal, str(r.ACU)); a != b {
			t.Fatalf("after splitting visits %s, before %s", a, b)
		}
	})
}
