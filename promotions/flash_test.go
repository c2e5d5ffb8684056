package promotions_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/pricing"
	"github.com/duoduopin/duoduopin/promotions"
)

func contains(text, part string) bool { return strings.Contains(text, part) }

func (s *shop) flash(p promotions.FlashPlan) promotions.Flash {
	s.t.Helper()
	p.SessionID, p.SKUID = show, scarf
	f, err := s.StartFlash(s.as, p)
	if err != nil {
		s.t.Fatal(err)
	}
	return f
}

// costs gives what one scarf costs now, or the refusal.
func (s *shop) costs(buyer, quantity int64) any {
	s.t.Helper()
	all, err := s.Price(context.Background(), []pricing.Basket{s.basket(buyer, scarf, quantity)})
	switch {
	case err != nil:
		s.t.Fatal(err)
	case all[0].Err != nil:
		return code(all[0].Err)
	case all[0].Breakdown != nil:
		return all[0].Breakdown.Lines[0].PriceFen
	}
	return int64(12800)
}

func TestFlashSale(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		want := func(want any, got any) {
			t.Helper()
			if got != want {
				t.Fatalf("%v, want %v", got, want)
			}
		}
		turn := func(n int) {
			t.Helper()
			got, err := s.Turn(t.Context())
			if err != nil || got != n {
				t.Fatalf("%d turned, %v", got, err)
			}
		}
		f := s.flash(promotions.FlashPlan{PriceFen: 9900, Stock: 5, PerPerson: 3, StartsIn: 30 * time.Second, Lasts: time.Minute})
		want("[1]", s.town.heard())
		want(int64(12800), s.costs(bai, 1)) // announced
		turn(0)
		s.clock.Advance(30 * time.Second)
		want(int64(9900), s.costs(bai, 1))
		turn(1)
		want("[1]", s.town.heard())
		want("flash-limit", s.costs(bai, 4))
		first, _ := s.order(s.basket(bai, scarf, 3))
		want("flash-limit", s.costs(bai, 1))
		want("sold-out", s.costs(stranger, 3))
		s.order(s.basket(stranger, scarf, 2))
		want("sold-out", s.costs(3, 1)) // and not for another price
		s.back(first)
		want(int64(9900), s.costs(bai, 3))
		open, err := s.OpenFlash(t.Context(), []int64{show, 8})
		if err != nil || len(open) != 1 || open[0].Taken != 2 {
			t.Fatal(open, err)
		}
		if _, err := s.StartFlash(s.as, promotions.FlashPlan{SessionID: show, SKUID: scarf, PriceFen: 9000, Stock: 1, Lasts: time.Minute}); !errors.Is(err, promotions.ErrRunning) {
			t.Fatal(err)
		}
		if f, err = s.ExtendFlash(s.as, f.ID, time.Minute); err != nil || f.EndsAt.Sub(f.StartsAt) != 2*time.Minute {
			t.Fatal(f, err)
		}
		want("[1]", s.town.heard())
		s.clock.Advance(119 * time.Second)
		want(int64(9900), s.costs(bai, 1))
		s.clock.Advance(time.Second)
		want(int64(12800), s.costs(bai, 1)) // to the second, whether or not the job has run
		turn(1)
		turn(0)
		want("[1]", s.town.heard())
		for _, act := range []func() error{
			func() error { _, err := s.ExtendFlash(s.as, f.ID, time.Minute); return err },
			func() error { _, err := s.StopFlash(s.as, f.ID); return err },
		} {
			if err := act(); !errors.Is(err, promotions.ErrOver) {
				t.Fatal(err)
			}
		}
		g := s.flash(promotions.FlashPlan{PriceFen: 8000, Stock: 5, Lasts: time.Minute})
		want(int64(8000), s.costs(bai, 5))
		if _, err := s.StopFlash(s.as, g.ID); err != nil {
			t.Fatal(err)
		}
		want(int64(12800), s.costs(bai, 1))
		all, err := s.FlashSales(t.Context(), show, true)
		if err != nil || len(all) != 2 || all[0].Taken != 2 {
			t.Fatal(all, err)
		}
		if open, err := s.FlashSales(t.Context(), show, false); err != nil || len(open) != 0 {
			t.Fatal(open, err)
		}
		s.whole()
	})
}

func TestFlashPlans(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		good := promotions.FlashPlan{SessionID: show, SKUID: scarf, PriceFen: 9900, Stock: 5, Lasts: time.Minute}
		for field, change := range map[string]func(*promotions.FlashPlan){
			"sku_id":            func(p *promotions.FlashPlan) { p.SKUID = tote },
			"price_fen":         func(p *promotions.FlashPlan) { p.PriceFen = 12800 },
			"stock":             func(p *promotions.FlashPlan) { p.Stock = 0 },
			"per_person":        func(p *promotions.FlashPlan) { p.PerPerson = -1 },
			"seconds":           func(p *promotions.FlashPlan) { p.Lasts = time.Second },
			"starts_in_seconds": func(p *promotions.FlashPlan) { p.StartsIn = 2 * time.Hour },
		} {
			p := good
			change(&p)
			var f *fault.Error
			if _, err := s.StartFlash(s.as, p); !errors.As(err, &f) || f.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		s.town.closed = true
		if _, err := s.StartFlash(s.as, good); !errors.Is(err, promotions.ErrNotOnAir) {
			t.Error(err)
		}
	})
}

// 200 buyers at once in two processes: the sale's stock and each buyer's share hold.
func TestFlashStockHolds(t *testing.T) {
	pair(t, func(t *testing.T, both [2]*shop) {
		both[0].flash(promotions.FlashPlan{PriceFen: 9900, Stock: 50, PerPerson: 2, Lasts: time.Minute})
		n := rush(t, both, 200, func(i int) pricing.Basket { return both[0].basket(int64(i%40+1), scarf, 1) })
		if n != 50 {
			t.Fatalf("%d units of 50", n)
		}
	})
}

// The struck-through price over a fortnight: the lowest deal of the 7 days before the present price began.
func TestStruckPrice(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		day := func(n int) time.Time { return evening.AddDate(0, 0, n) }
		s.town.deals = []deal{{scarf, 11000, day(-8)}, {scarf, 12800, day(-6)}, {scarf, 12500, day(-3)}, {juice, 800, day(-2)}}
		want := func(at time.Time, want int64) {
			t.Helper()
			low, err := s.Struck(t.Context(), at, []int64{scarf, tote})
			if err != nil || low[scarf] != want || low[tote] != 0 {
				t.Fatalf("%v: %v %v, want %d", at, low, err, want)
			}
		}
		want(day(0), 12500)         // not the 11,000 of eight days ago
		want(day(-8), 0)            // the deal of that very moment is not before it
		want(day(-7), 11000)        //
		want(day(-1), 11000)        // seven days before are just inside
		want(day(-1).Add(1), 12500) // and just out
		want(day(5), 0)             // nothing sold for a week: nothing to strike through
		want(day(4), 12500)         // the last of the week
		want(day(-6).Add(1), 11000) //
		want(day(1), 12500)         // remembered, and right
		s.town.deals = append(s.town.deals, deal{scarf, 9900, day(0)})
		f := s.flash(promotions.FlashPlan{PriceFen: 9900, Stock: 5, Lasts: time.Minute})
		if f.StruckFen != 12500 {
			t.Fatal(f.StruckFen)
		}
		s.clock.Advance(time.Hour) // the sale's own deals are the lowest of the next one's week
		if f := s.flash(promotions.FlashPlan{PriceFen: 9900, Stock: 5, Lasts: time.Minute}); f.StruckFen != 0 {
			t.Fatal(f.StruckFen)
		}
	})
}
