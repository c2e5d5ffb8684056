package orders_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/orders"
	"github.com/duoduopin/duoduopin/pricing"
)

// promoter has one coupon, "half", that any order may use but only one at a time, and gives a juice with each of them.
type promoter struct {
	mu    sync.Mutex
	usage map[string]string // "half" -> the order that has it
	was   map[string]bool   // orders that had it
	acts  []string
}

func (p *promoter) Price(_ context.Context, baskets []pricing.Basket) ([]pricing.Priced, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]pricing.Priced, len(baskets))
	gone := p.usage["half"] != ""
	for i, b := range baskets {
		if len(b.Codes) == 0 {
			continue
		}
		c := pricing.Coupon{Code: "half", ID: 1, Title: "half", Percent: 50, Until: b.At.Add(1), LeftFen: -1, Spent: gone}
		got, err := pricing.Price(b, pricing.Terms{Coupons: []pricing.Coupon{c}, Gifts: []pricing.Gift{{
			ID: 5, Title: "沙棘汁", SKUName: "1 L", SKUID: juice, ProductID: 2, Quantity: 1, Left: 99, Until: b.At.Add(1), Products: []int64{1},
		}}})
		if out[i].Err = err; err == nil {
			out[i].Breakdown, gone = &got, true
		}
	}
	return out, nil
}

func (p *promoter) note(act string) {
	p.acts = append(p.acts, act)
}

func (p *promoter) Take(_ context.Context, all []pricing.Spending) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range all {
		p.note("take")
		p.usage["half"], p.was[s.OrderID] = s.OrderID, true
	}
	return nil
}

func (p *promoter) GiveBack(_ context.Context, ids []string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range ids {
		p.note("back")
		if p.usage["half"] == id {
			delete(p.usage, "half")
		}
	}
	return nil
}

func (p *promoter) Retake(_ context.Context, id string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note("again")
	if p.usage["half"] != "" {
		return false, nil
	}
	p.usage["half"] = id
	return true, nil
}

func (p *promoter) Refunded(_ context.Context, _ string, refunded, paid int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.note(fmt.Sprintf("refunded %d of %d", refunded, paid))
	return nil
}

func (*promoter) Postage(context.Context, pricing.Basket, time.Time) (int64, error) { return 0, nil }

// did gives what was done since it was last asked.
func (p *promoter) did() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := fmt.Sprint(p.acts)
	p.acts = nil
	return all
}

func eachPromoted(t *testing.T, fn func(t *testing.T, s *shop, p *promoter)) {
	t.Helper()
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		p := &promoter{usage: map[string]string{}, was: map[string]bool{}}
		fn(t, newShop(t, d, func(c *orders.Config) { c.Pricing = p }).run(), p)
	})
}

// half orders scarves with the coupon.
func (s *shop) half(key string, quantity int) answer {
	s.t.Helper()
	return s.call("buyer1", "POST", "/api/v1/orders", fmt.Sprintf(`{"session_id":1,"items":[{"sku_id":11,"quantity":%d}],"coupons":["half"]}`, quantity), "Idempotency-Key", key)
}

func TestPromotedOrders(t *testing.T) {
	eachPromoted(t, func(t *testing.T, s *shop, p *promoter) {
		want := func(want string) {
			t.Helper()
			if got := p.did(); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
			s.whole()
		}
		if a := s.half("many", 51); a.status != 409 {
			t.Fatal(a)
		}
		want("[]") // what is refused uses nothing
		a := s.half("a", 1)
		if a.status != 201 || a.field("total_fen") != "6400" {
			t.Fatal(a.body)
		}
		want("[take]")
		if r := s.stock.row(t, juice); r.Reserved != 1 {
			t.Fatalf("the gift is not held: %+v", r)
		}
		if again := s.half("a", 1); again.id() != a.id() {
			t.Fatal(again.body)
		}
		want("[]")
		if b := s.half("b", 1); b.status != 409 || b.field("type") == "" {
			t.Fatal(b.body)
		}
		s.call("buyer1", "POST", "/api/v1/orders/"+a.id()+"/cancel", "")
		want("[back]")
		c := s.half("c", 2)
		s.pay("buyer1", c.id())
		want("[take]")
		for i, fen := range []string{`"amount_fen":6400,`, ""} {
			if r := s.call("operator1", "POST", "/api/v1/orders/"+c.id()+"/refunds", `{`+fen+`"reason":"x"}`, "Idempotency-Key", fmt.Sprint("r", i)); r.status != 201 {
				t.Fatal(r.body)
			}
		}
		want("[refunded 6400 of 12800 refunded 12800 of 12800]")
		plain := s.order("buyer2", "plain", scarfBlue, 1)
		s.call("buyer2", "POST", "/api/v1/orders/"+plain.id()+"/cancel", "")
		want("[]") // whom promotions do not concern, they are not asked about
	})
}

// A payment that comes after the hold is over has its price again, or, if the coupon is gone, its money back.
func TestLatePaymentOfAPromotedOrder(t *testing.T) {
	eachPromoted(t, func(t *testing.T, s *shop, p *promoter) {
		expired := func(key string) (order, payment string) {
			t.Helper()
			order = s.half(key, 1).id()
			payment = s.pending("buyer1", order)
			s.clock.Advance(16 * time.Minute)
			for range 2 {
				if _, err := s.svc.Sweep(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			return order, payment
		}
		state := func(id, want string) {
			t.Helper()
			if got := s.call("buyer1", "GET", "/api/v1/orders/"+id, "").field("state"); got != want {
				t.Fatalf("%s, want %s", got, want)
			}
			s.whole()
		}
		first, payment := expired("first")
		state(first, "cancelled")
		s.callBack(callback{ID: "sb_1", PaymentID: payment, OrderID: first, AmountFen: 6400})
		state(first, "paid")

		p.mu.Lock()
		delete(p.usage, "half")
		p.mu.Unlock()
		second, payment := expired("second")
		if a := s.half("third", 1); a.status != 201 {
			t.Fatal(a.body)
		}
		s.callBack(callback{ID: "sb_2", PaymentID: payment, OrderID: second, AmountFen: 6400})
		state(second, "cancelled")
		if refunds := s.call("operator1", "GET", "/api/v1/orders/"+second, "").body; !contains(refunds, `"automatic":true`) {
			t.Fatal(refunds)
		}
	})
}

// The lowest deal of a time: paid, not given back, coupons taken off, gifts and other channels left out.
func TestLowestDeals(t *testing.T) {
	eachPromoted(t, func(t *testing.T, s *shop, _ *promoter) {
		low := func(want string) {
			t.Helper()
			s.clock.Advance(time.Minute)
			now := s.clock.Now()
			got, err := s.svc.LowestDeals(t.Context(), now.AddDate(0, 0, -7), now, []int64{scarfRed, juice})
			if err != nil || fmt.Sprint(got) != want {
				t.Fatalf("%v %v, want %s", got, err, want)
			}
		}
		low("map[]")
		s.order("buyer2", "unpaid", scarfRed, 1)
		low("map[]")
		s.pay("buyer3", s.order("buyer3", "full", scarfRed, 2).id())
		low("map[11:12800]")
		half := s.half("half", 1)
		s.pay("buyer1", half.id())
		low("map[11:6400]") // and not the juice that was given
		s.call("operator1", "POST", "/api/v1/orders/"+half.id()+"/refunds", `{"reason":"x"}`, "Idempotency-Key", "r")
		low("map[11:12800]")
		if _, err := s.svc.ImportPaid(t.Context(), []orders.External{{SessionID: show, Channel: "douyin", Number: "1", At: s.clock.Now(), Lines: []orders.Line{{SKUID: scarfRed, Quantity: 1, PriceFen: 100}}}}); err != nil {
			t.Fatal(err)
		}
		low("map[11:12800]")
		s.clock.Advance(7 * 24 * time.Hour)
		low("map[]")
	})
}

// Whoever has no promotions refuses what asks for them.
func TestWithoutPromotions(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		for field, body := range map[string]string{"coupons": `"coupons":["x"]`, "points": `"points":5`} {
			a := s.call("buyer1", "POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}],`+body+`}`, "Idempotency-Key", field)
			if a.status != 422 || !contains(a.body, `"field":"`+field+`"`) {
				t.Error(a.body)
			}
		}
	})
}

func contains(text, part string) bool { return strings.Contains(text, part) }
