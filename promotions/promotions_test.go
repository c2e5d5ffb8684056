package promotions_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/pricing"
	"github.com/duoduopin/duoduopin/promotions"
)

func TestPlainBasketsCostNothingMore(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		all, err := s.buy([]string{"a", "b"}, s.basket(bai, scarf, 2), s.basket(stranger, juice, 1))
		if err != nil || all[0].Breakdown != nil || all[1].Breakdown != nil || all[0].Err != nil {
			t.Fatal(all, err)
		}
		s.whole()
	})
}

func TestCouponsInHand(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		c := s.coupon(promotions.Coupon{OffFen: 1000, PerPerson: 2, Quota: 3, Claimable: true, BudgetFen: 1500})
		mine, second := s.claim(bai, c), s.claim(bai, c)
		if _, err := s.Claim(t.Context(), bai, c.ID); !errors.Is(err, promotions.ErrClaimed) {
			t.Fatal(err)
		}
		hers := s.claim(stranger, c)
		if _, err := s.Claim(t.Context(), stranger, c.ID); !errors.Is(err, promotions.ErrGone) {
			t.Fatal(err)
		}
		refused := func(want string, b pricing.Basket) {
			t.Helper()
			all, err := s.buy([]string{"x"}, b)
			if err != nil || code(all[0].Err) != want {
				t.Fatalf("%v %v, want %s", all, err, want)
			}
		}
		refused("coupon-not-usable", s.basket(bai, scarf, 1, hers))
		refused("coupon-not-usable", s.basket(bai, scarf, 1, "no-such-code"))
		refused("coupon-not-usable", s.basket(bai, scarf, 1, mine, second)) // of one kind
		id, got := s.order(s.basket(bai, scarf, 1, mine))
		if got.TotalFen != 11800 || got.CouponFen != 1000 {
			t.Fatalf("%+v", got)
		}
		refused("coupon-not-usable", s.basket(bai, scarf, 1, mine))   // spent
		refused("coupon-not-usable", s.basket(bai, scarf, 1, second)) // 500 of the budget are left
		s.whole()
		s.back(id)
		s.back(id) // once
		s.whole()
		s.order(s.basket(bai, scarf, 1, second))
		held, err := s.Mine(t.Context(), bai, 0, 10)
		if err != nil || len(held) != 2 || held[0].OrderID == "" || held[1].OrderID != "" {
			t.Fatalf("%+v %v", held, err)
		}
		if _, err := s.StopCoupon(s.as, c.ID, "too dear"); err != nil {
			t.Fatal(err)
		}
		refused("coupon-not-usable", s.basket(bai, scarf, 1, mine))
		if got, err := s.Coupons(t.Context(), 0, 5); err != nil || got[0].SpentFen != 1000 || got[0].Issued != 3 || !got[0].Stopped {
			t.Fatalf("%+v %v", got, err)
		}
		s.whole()
		if want := fmt.Sprintf("[coupon.create coupon/%d coupon.stop coupon/%d]", c.ID, c.ID); fmt.Sprint(s.town.acts) != want {
			t.Error(s.town.acts)
		}
	})
}

func TestCouponsExpire(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		c := s.coupon(promotions.Coupon{Percent: 10, Claimable: true})
		mine := s.claim(bai, c)
		id, _ := s.order(s.basket(bai, scarf, 1, mine))
		s.clock.Advance(25 * time.Hour)
		s.back(id) // it comes back expired
		all, err := s.buy([]string{"x"}, s.basket(bai, scarf, 1, mine))
		if err != nil || code(all[0].Err) != "coupon-not-usable" {
			t.Fatal(all, err)
		}
		// A payment that comes late still has it: the order was placed in time.
		s.tx(func(ctx context.Context) error {
			ok, err := s.Retake(ctx, id)
			if !ok {
				t.Error("not taken again")
			}
			return err
		})
		s.whole()
		if _, err := s.Claim(t.Context(), stranger, c.ID); !errors.Is(err, promotions.ErrNotGiven) {
			t.Fatal(err)
		}
	})
}

func TestIssue(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		c := s.coupon(promotions.Coupon{OffFen: 100})
		if _, err := s.Claim(t.Context(), bai, c.ID); !errors.Is(err, promotions.ErrNotGiven) {
			t.Fatal(err)
		}
		var f *fault.Error
		if _, err := s.Issue(s.as, c.ID, []string{"bai", "nobody"}); !errors.As(err, &f) || f.Field != "accounts[1]" {
			t.Fatal(err)
		}
		if held, err := s.Mine(t.Context(), bai, 0, 5); err != nil || len(held) != 0 {
			t.Fatal("half issued", held, err)
		}
		if all, err := s.Issue(s.as, c.ID, []string{"bai", "stranger"}); err != nil || len(all) != 2 {
			t.Fatal(all, err)
		}
		s.whole()
	})
}

// A hundred orders at once, from two processes' worth of connections, name the same coupon: one has it.
func TestCouponSpentOnce(t *testing.T) {
	pair(t, func(t *testing.T, both [2]*shop) {
		mine := both[0].claim(bai, both[0].coupon(promotions.Coupon{OffFen: 1000, Claimable: true}))
		if n := rush(t, both, 100, func(int) pricing.Basket { return both[0].basket(bai, scarf, 1, mine) }); n != 1 {
			t.Fatalf("spent by %d orders", n)
		}
	})
}

// rush places n orders at once, half of them in each process, and counts those that were placed.
func rush(t *testing.T, both [2]*shop, n int, basket func(i int) pricing.Basket) int64 {
	t.Helper()
	var done atomic.Int64
	var all sync.WaitGroup
	for i := range n {
		b := basket(i)
		all.Go(func() {
			got, err := both[i%2].buy([]string{fmt.Sprint("rush", i)}, b)
			switch {
			case err != nil:
				if fault.KindOf(err) != fault.Conflict {
					t.Error(err)
				}
			case got[0].Err == nil:
				done.Add(1)
			case fault.KindOf(got[0].Err) != fault.Conflict:
				t.Error(got[0].Err)
			}
		})
	}
	all.Wait()
	return done.Load()
}

func TestPointsSpentOnce(t *testing.T) {
	pair(t, func(t *testing.T, both [2]*shop) {
		both[0].grant(bai, 1000)
		n := rush(t, both, 100, func(int) pricing.Basket {
			b := both[0].basket(bai, scarf, 1)
			b.Points = 300
			return b
		})
		if n != 3 || both[1].balance(bai) != 100 {
			t.Fatalf("%d orders, %d points left", n, both[1].balance(bai))
		}
	})
}

func TestBudgetHolds(t *testing.T) {
	pair(t, func(t *testing.T, both [2]*shop) {
		c := both[0].coupon(promotions.Coupon{OffFen: 1000, Claimable: true, BudgetFen: 7500, PerPerson: 100})
		codes := make([]string, 60)
		for i := range codes {
			codes[i] = both[0].claim(int64(i+1), c)
		}
		n := rush(t, both, 60, func(i int) pricing.Basket { return both[0].basket(int64(i+1), scarf, 1, codes[i]) })
		if n != 7 {
			t.Fatalf("%d orders of a budget for 7", n)
		}
	})
}

func TestQuotaHolds(t *testing.T) {
	pair(t, func(t *testing.T, both [2]*shop) {
		c := both[0].coupon(promotions.Coupon{OffFen: 1, Claimable: true, Quota: 30, PerPerson: 2})
		var got atomic.Int64
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				_, err := both[i%2].Claim(t.Context(), int64(i%20+1), c.ID)
				switch {
				case err == nil:
					got.Add(1)
				case !errors.Is(err, promotions.ErrGone) && !errors.Is(err, promotions.ErrClaimed):
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got.Load() != 30 {
			t.Fatalf("%d given out", got.Load())
		}
	})
}

// One batch: those before have what those after can't have any more.
func TestInOrderOfArrival(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		mine := s.claim(bai, s.coupon(promotions.Coupon{OffFen: 1000, Claimable: true}))
		s.grant(bai, 500)
		a, b, c := s.basket(bai, scarf, 1, mine), s.basket(bai, scarf, 1, mine), s.basket(bai, scarf, 1)
		a.Points, c.Points = 400, 200
		all, err := s.buy([]string{"a", "b", "c"}, a, b, c)
		if err != nil || all[0].Err != nil || code(all[1].Err) != "coupon-not-usable" || code(all[2].Err) != "points" {
			t.Fatal(all, err)
		}
		s.whole()
	})
}

func TestRefunds(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		mine := s.claim(bai, s.coupon(promotions.Coupon{OffFen: 1000, Claimable: true}))
		s.grant(bai, 500)
		b := s.basket(bai, scarf, 1, mine)
		b.Points = 301
		id, got := s.order(b)
		for _, step := range []struct{ refunded, points int64 }{{0, 199}, {got.TotalFen / 2, 199 + 150}, {got.TotalFen / 2, 199 + 150}, {got.TotalFen, 500}, {got.TotalFen, 500}} {
			s.tx(func(ctx context.Context) error { return s.Refunded(ctx, id, step.refunded, got.TotalFen) })
			if n := s.balance(bai); n != step.points {
				t.Fatalf("%d points at %d fen refunded, want %d", n, step.refunded, step.points)
			}
			s.whole()
		}
		s.order(s.basket(bai, scarf, 1, mine)) // the coupon is back
	})
}

func TestRetakeWantsAll(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		mine := s.claim(bai, s.coupon(promotions.Coupon{OffFen: 1000, Claimable: true}))
		s.grant(bai, 500)
		b := s.basket(bai, scarf, 1, mine)
		b.Points = 400
		id, _ := s.order(b)
		s.back(id)
		b.Codes = nil
		other, _ := s.order(b) // has the points
		retake := func(want bool) {
			t.Helper()
			s.tx(func(ctx context.Context) error {
				ok, err := s.Retake(ctx, id)
				if ok != want {
					t.Errorf("taken again: %v", ok)
				}
				return err
			})
			s.whole()
		}
		retake(false)
		s.back(other)
		retake(true)
		retake(true) // nothing is back: nothing to take
		s.back(id)
		if n := s.balance(bai); n != 500 {
			t.Fatal(n)
		}
		s.whole()
	})
}

func TestGifts(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		g, err := s.CreateGift(s.as, promotions.Gift{Title: "a bag with two scarves", SKUID: tote, Quantity: 2, ThresholdFen: 20000, Quota: 4, Window: promotions.Window{Until: evening.Add(time.Hour)}})
		if err != nil {
			t.Fatal(err)
		}
		all, err := s.buy([]string{"a", "b", "c", "d"}, s.basket(bai, scarf, 1), s.basket(bai, scarf, 2), s.basket(stranger, scarf, 2), s.basket(3, scarf, 2))
		if err != nil {
			t.Fatal(err)
		}
		given := func(p pricing.Priced) int {
			if p.Breakdown == nil {
				return 0
			}
			return len(p.Breakdown.Gifts)
		}
		if got := fmt.Sprint(given(all[0]), given(all[1]), given(all[2]), given(all[3])); got != "0 1 1 0" {
			t.Fatal(got) // threshold; two; the quota is over
		}
		if last := all[1].Breakdown.Lines[1]; !last.Gift || last.SKUID != tote || last.Quantity != 2 || last.PaidFen != 0 {
			t.Fatalf("%+v", last)
		}
		s.whole()
		s.back("b")
		s.town.free[tote] = 1 // the last one
		all, err = s.buy([]string{"e"}, s.basket(bai, scarf, 2))
		if err != nil || given(all[0]) != 0 {
			t.Fatal(all, err)
		}
		s.town.free[tote] = 2
		if _, err := s.StopGift(s.as, g.ID); err != nil {
			t.Fatal(err)
		}
		all, err = s.buy([]string{"f"}, s.basket(bai, scarf, 2))
		if err != nil || given(all[0]) != 0 {
			t.Fatal(all, err)
		}
		s.whole()
	})
}

func TestShipping(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		tpl := promotions.Template{Name: "parcel", Template: pricing.Template{Zones: []pricing.Zone{
			{Provinces: []string{"内蒙古"}, FirstG: 1000, FirstFen: 500, NextG: 500, NextFen: 100}, {FirstG: 1000, FirstFen: 1200, NextG: 1000, NextFen: 300},
		}}}
		tpl, err := s.SaveTemplate(s.as, tpl)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetWeights(s.as, map[int64]int64{scarf: 600}); err != nil {
			t.Fatal(err)
		}
		b := s.basket(bai, scarf, 2)
		b.Province = "内蒙古自治区"
		if _, got := s.order(b); got.ShippingFen != 600 || got.TotalFen != 26200 {
			t.Fatalf("%+v", got)
		}
		if fen, err := s.Postage(t.Context(), b, b.At); err != nil || fen != 600 {
			t.Fatal(fen, err)
		}
		tpl.Zones[0].FirstFen = 0
		tpl.Zones[0].NextFen = 0
		if _, err := s.SaveTemplate(s.as, tpl); err != nil {
			t.Fatal(err)
		}
		all, err := s.buy([]string{"x"}, b)
		if err != nil || all[0].Breakdown != nil {
			t.Fatal("another process's view of the rules is old", all, err)
		}
		if err := s.DropTemplate(s.as, tpl.ID); err != nil {
			t.Fatal(err)
		}
		if err := s.DropTemplate(s.as, tpl.ID); fault.KindOf(err) != fault.NotFound {
			t.Fatal(err)
		}
	})
}

// What one process changes counts in the other from the commit on.
func TestRulesHoldEverywhere(t *testing.T) {
	pair(t, func(t *testing.T, both [2]*shop) {
		price := func(s *shop) int64 {
			all, err := s.Price(t.Context(), []pricing.Basket{s.basket(bai, scarf, 1)})
			if err != nil {
				t.Fatal(err)
			}
			if all[0].Breakdown == nil {
				return 12800
			}
			return all[0].Breakdown.TotalFen
		}
		if price(both[0]) != 12800 || price(both[1]) != 12800 {
			t.Fatal("dear already")
		}
		f, err := both[0].StartFlash(both[0].as, promotions.FlashPlan{SessionID: show, SKUID: scarf, PriceFen: 9900, Stock: 5, Lasts: time.Minute})
		if err != nil || price(both[0]) != 9900 || price(both[1]) != 9900 {
			t.Fatal(err, price(both[1]))
		}
		if _, err := both[1].StopFlash(both[1].as, f.ID); err != nil || price(both[0]) != 12800 || price(both[1]) != 12800 {
			t.Fatal(err)
		}
	})
}

// Whatever happens in whatever order, every use is accounted for.
func TestRandomLives(t *testing.T) {
	each(t, func(t *testing.T, s *shop) {
		fewer(t, "rapid.checks", "20")
		rapid.Check(t, func(rt *rapid.T) {
			c := s.coupon(promotions.Coupon{OffFen: 500, Claimable: true, PerPerson: 50, BudgetFen: 2500})
			f, err := s.StartFlash(s.as, promotions.FlashPlan{SessionID: show, SKUID: juice, PriceFen: 500, Stock: 9, PerPerson: 6, Lasts: time.Hour})
			if err != nil {
				rt.Fatal(err)
			}
			var codes, ids []string
			for range rapid.IntRange(1, 12).Draw(rt, "steps") {
				who := rapid.Int64Range(1, 2).Draw(rt, "who")
				switch rapid.IntRange(0, 6).Draw(rt, "what") {
				case 0:
					s.grant(who, rapid.Int64Range(1, 500).Draw(rt, "points"))
				case 1:
					codes = append(codes, s.claim(who, c))
				case 2, 3:
					b := s.basket(who, rapid.SampledFrom([]int64{scarf, juice}).Draw(rt, "sku"), rapid.Int64Range(1, 4).Draw(rt, "quantity"))
					b.Points = rapid.Int64Range(0, 300).Draw(rt, "spend")
					if len(codes) > 0 && rapid.Bool().Draw(rt, "with a coupon") {
						b.Codes = []string{rapid.SampledFrom(codes).Draw(rt, "code")}
					}
					s.orders++
					id := fmt.Sprint("o", s.orders)
					all, err := s.buy([]string{id}, b)
					if err != nil {
						rt.Fatal(err)
					}
					if all[0].Err == nil {
						ids = append(ids, id)
					}
				case 4, 5, 6:
					if len(ids) == 0 {
						continue
					}
					id := rapid.SampledFrom(ids).Draw(rt, "order")
					act := rapid.SampledFrom([]func(context.Context) error{
						func(ctx context.Context) error { return s.GiveBack(ctx, []string{id}) },
						func(ctx context.Context) error { _, err := s.Retake(ctx, id); return err },
						func(ctx context.Context) error {
							return s.Refunded(ctx, id, rapid.Int64Range(0, 100).Draw(rt, "refunded"), 100)
						},
					}).Draw(rt, "act")
					if err := s.db.Tx(context.Background(), act); err != nil {
						rt.Fatal(err)
					}
				}
			}
			s.whole()
			if _, err := s.StopFlash(s.as, f.ID); err != nil {
				rt.Fatal(err)
			}
		})
	})
}

func TestVerifyFinds(t *testing.T) {
	for sql, want := range map[string]string{
		"UPDATE promotion_flash SET taken = taken - 1":         "flash sale",
		"UPDATE promotion_coupons SET spent_fen = 1":           "counted as spent",
		"UPDATE promotion_coupons SET issued = issued + 1":     "counted as issued",
		"UPDATE promotion_held SET order_id = ''":              "without its order",
		"DELETE FROM promotion_uses WHERE kind = 'coupon'":     "counted as spent",
		"UPDATE promotion_gifts SET given = given + 1":         "counted as given",
		"UPDATE promotion_uses SET units = 5 WHERE what_id>-1": "flash sale",
	} {
		each(t, func(t *testing.T, s *shop) {
			if _, err := s.CreateGift(s.as, promotions.Gift{Title: "bag", SKUID: tote, Quantity: 1, Window: promotions.Window{Until: evening.Add(time.Hour)}}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.StartFlash(s.as, promotions.FlashPlan{SessionID: show, SKUID: scarf, PriceFen: 9900, Stock: 5, Lasts: time.Minute}); err != nil {
				t.Fatal(err)
			}
			s.order(s.basket(bai, scarf, 1, s.claim(bai, s.coupon(promotions.Coupon{OffFen: 1000, Claimable: true}))))
			s.whole()
			if err := s.db.Write(t.Context()).Exec(sql).Error; err != nil {
				t.Fatal(err)
			}
			found, err := broken(s.Rules(t.Context()))
			if err != nil || !slices.ContainsFunc(found, func(f string) bool { return len(f) >= len(want) && contains(f, want) }) {
				t.Errorf("%s: %v %v", sql, found, err)
			}
		})
	}
}
