package orders_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/orders"
)

// Many operators at once, each with a key of his own: never more units or money than there were. With one key: one refund.
func TestRefundsInParallel(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		a := s.order("buyer1", "a", scarfRed, 3)
		s.pay("buyer1", a.id())
		ask := func(key string) (orders.Refund, error) {
			return s.svc.Refund(signedIn(), operator(), a.id(), orders.RefundAsk{Reason: "x", Key: key, Lines: []orders.RefundLine{{Line: 0, Quantity: 1}}})
		}
		var mu sync.Mutex
		var wg sync.WaitGroup
		ids, refused := map[string]bool{}, 0
		for i := range 24 {
			wg.Go(func() {
				r, err := ask(fmt.Sprint("k", i%8)) // each key three times
				mu.Lock()
				defer mu.Unlock()
				switch {
				case err == nil:
					ids[r.ID] = true
				case fault.KindOf(err) == fault.Invalid || errors.Is(err, orders.ErrNotPaid) || errors.Is(err, orders.ErrState):
					refused++
				default:
					t.Error(err)
				}
			})
		}
		wg.Wait()
		o, err := s.svc.Order(context.Background(), operator(), a.id())
		if err != nil || len(ids) != 3 || refused != 24-9 || o.RefundedFen != 3*12800 || o.State != orders.Refunded {
			t.Errorf("%d refunds, %d refused, %d fen back, %s, %v", len(ids), refused, o.RefundedFen, o.State, err)
		}
		s.whole()
	})
}

func TestRefundByLine(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		a := s.call("buyer1", "POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":11,"quantity":3},{"sku_id":21,"quantity":2}]}`, "Idempotency-Key", "a")
		at := "/api/v1/orders/" + a.id() + "/refunds"
		for i, x := range []struct {
			body   string
			status int
			holds  string
		}{
			{`{"reason":"x","lines":[{"line":0,"quantity":1}]}`, http.StatusConflict, "not-paid"},
			{"", 0, ""}, // now it is paid
			{`{"reason":"x","lines":[{"line":2,"quantity":1}]}`, http.StatusUnprocessableEntity, "lines[0].line"},
			{`{"reason":"x","lines":[{"line":-1,"quantity":1}]}`, http.StatusUnprocessableEntity, "lines[0].line"},
			{`{"reason":"x","lines":[{"line":0,"quantity":1},{"line":0,"quantity":1}]}`, http.StatusUnprocessableEntity, "lines[1].line"},
			{`{"reason":"x","lines":[{"line":0}]}`, http.StatusUnprocessableEntity, "lines[0].amount_fen"},
			{`{"reason":"x","lines":[{"line":0,"amount_fen":38401}]}`, http.StatusUnprocessableEntity, "lines[0].amount_fen"},
			{`{"reason":"x","lines":[{"line":0,"quantity":4}]}`, http.StatusUnprocessableEntity, "lines[0].quantity"},
			{`{"reason":"x","amount_fen":1,"lines":[{"line":0,"quantity":1}]}`, http.StatusUnprocessableEntity, "12800 fen"},
			{`{"reason":"x","lines":[{"line":0,"quantity":1},{"line":1,"amount_fen":90}]}`, http.StatusCreated, `"amount_fen":12890`},
			{`{"reason":"x","lines":[{"line":1,"quantity":2}]}`, http.StatusCreated, `"amount_fen":1890`}, // what is left of it
			{`{"reason":"x","lines":[{"line":1,"amount_fen":1}]}`, http.StatusUnprocessableEntity, "lines[0].amount_fen"},
			{`{"reason":"x","amount_fen":25601}`, http.StatusUnprocessableEntity, "25600 fen"},
			{`{"reason":"x"}`, http.StatusCreated, `"called_off":2`},
		} {
			if x.status == 0 {
				s.pay("buyer1", a.id())
				continue
			}
			got := s.call("operator1", "POST", at, x.body, "Idempotency-Key", fmt.Sprint("r", i))
			if got.status != x.status || !strings.Contains(got.body, x.holds) {
				t.Errorf("%s: %d %s; want %d %s", x.body, got.status, got.body, x.status, x.holds)
			}
			s.whole()
		}
		if o := s.call("buyer1", "GET", "/api/v1/orders/"+a.id(), ""); o.field("state") != "refunded" || s.stock.row(t, scarfRed).Free != 50 {
			t.Errorf("%s", o.body)
		}
	})
}

// Refunding the units of a line in any portions never gives more than was paid, and all of them exactly that.
func TestUnitsAreWorthWhatWasPaid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		u := orders.Units{Quantity: rapid.Int64Range(1, 999).Draw(rt, "quantity"), PaidFen: rapid.Int64Range(0, 10_000_000_000).Draw(rt, "paid")}
		for u.RefundedUnits < u.Quantity {
			n := rapid.Int64Range(1, u.Quantity-u.RefundedUnits).Draw(rt, "units")
			fen := u.Worth(n)
			exact := u.PaidFen / u.Quantity * n
			if fen < exact || fen > exact+n+1 {
				rt.Fatalf("%d units of %+v are worth %d", n, u, fen)
			}
			u.RefundedUnits += n
			u.RefundedFen += fen
		}
		if u.RefundedFen != u.PaidFen {
			rt.Fatalf("all units gave %d of %d", u.RefundedFen, u.PaidFen)
		}
	})
}
