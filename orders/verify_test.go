package orders_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/orders"
)

// Verify must find what it is there for: each row breaks one thing behind the service's back.
func TestVerifyFinds(t *testing.T) {
	for _, row := range []struct{ name, sql, want string }{
		{"half an entry", "DELETE FROM ledger_entries WHERE account = 'sales'", "does not sum to zero"},
		{"an entry gone", "DELETE FROM ledger_entries", "provider sandbox"},
		{"a payment gone", "DELETE FROM order_payments", "wrong number of settled payments"},
		{"a payment changed", "UPDATE order_payments SET amount_fen = amount_fen - 1 WHERE state = 'settled'", "is not in the ledger"},
		{"a price changed", "UPDATE order_lines SET price_fen = price_fen + 1", "differs from its lines"},
		{"a line gone", "DELETE FROM order_lines", "differs from its lines"},
		{"paid less", "UPDATE orders SET paid_fen = paid_fen - 1 WHERE state = 'paid'", "what it says was paid"},
		{"paid without money", "UPDATE orders SET state = 'paid', stock = 'sold', paid_fen = total_fen WHERE state = 'pending'", "wrong number of settled payments"},
		{"a refund gone", "DELETE FROM order_refunds", "what it says was refunded"},
		{"refunded without money", "UPDATE orders SET state = 'refunded' WHERE state = 'paid'", "are not back"},
		{"cancelled with stock", "UPDATE orders SET state = 'cancelled' WHERE state = 'pending'", "holds its stock"},
		{"session stock", "UPDATE order_session_stock SET taken = taken + 1", "counted as taken"},
	} {
		t.Run(row.name, func(t *testing.T) {
			testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
				s := newShop(t, d)
				all := place(t, s, 2)
				if err := s.svc.Settle(t.Context(), []orders.Settlement{{OrderID: all[0].ID}}); err != nil {
					t.Fatal(err)
				}
				if a := s.call("operator1", "POST", "/api/v1/orders/"+all[0].ID+"/refunds", `{"amount_fen":1,"reason":"x"}`, "Idempotency-Key", "k"); a.status != 201 {
					t.Fatal(a.body)
				}
				s.whole()
				if err := d.Write(t.Context()).Exec(row.sql).Error; err != nil {
					t.Fatal(err)
				}
				found, err := s.svc.Verify(t.Context())
				if err != nil || !strings.Contains(strings.Join(found, "\n"), row.want) {
					t.Fatalf("found %q, %v", found, err)
				}
			})
		})
	}
}

// A process that is stopped between claiming and expiring finds, when it goes on, that another has done its work.
func TestStoppedSweeper(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d)
		place(t, s, 10)
		s.clock.Advance(16 * time.Minute)
		stopped, err := orders.New(orders.Config{DB: d, Clock: s.clock}, s.stock, s.program, s.room, s.audit)
		if err != nil {
			t.Fatal(err)
		}
		claimed, err := stopped.Claim(t.Context())
		if err != nil || len(claimed) != 10 {
			t.Fatalf("claimed %d, %v", len(claimed), err)
		}
		s.sweep(0) // leased
		s.clock.Advance(31 * time.Second)
		s.sweep(10) // the lease has run out
		for range 2 {
			if n, err := stopped.ExpireClaimed(t.Context(), claimed); err != nil || n != 0 {
				t.Fatalf("expired again: %d, %v", n, err)
			}
		}
		s.whole()
	})
}

// The clock jumps ahead and back, as when a machine's time is set in the middle of the evening: no hold ends twice, none is
// stuck, money that comes late still counts once, and what a sweeper had claimed by the wrong time is done all the same.
func TestClockJumps(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d)
		all := place(t, s, 6)
		late := s.pending("buyer1", all[0].ID)
		s.pay("buyer2", all[1].ID)
		s.clock.Advance(2 * time.Hour)
		claimed, err := s.svc.Claim(t.Context()) // and then this sweeper is slow
		if err != nil || len(claimed) != 5 {
			t.Fatalf("claimed %d, %v", len(claimed), err)
		}
		s.clock.Set(evening.Add(-time.Hour)) // back, before everything
		s.sweep(0)
		again := placeAs(t, s, 100, 3)
		s.whole()
		s.clock.Set(evening.Add(16 * time.Minute)) // and right at last: the leases of the wrong time hold nobody up
		s.sweep(8)
		if n, err := s.svc.ExpireClaimed(t.Context(), claimed); err != nil || n != 0 {
			t.Fatalf("expired again: %d, %v", n, err)
		}
		for range 3 {
			s.callBack(callback{ID: "sb_late", PaymentID: late, OrderID: all[0].ID, AmountFen: all[0].TotalFen})
		}
		if got := s.state(all[0].ID); got != "paid" {
			t.Errorf("the late payment's order is %s", got)
		}
		if got := s.state(again[0].ID); got != "cancelled" {
			t.Errorf("an order of the wrong time is %s", got)
		}
		if n := s.count("SELECT count(*) FROM (SELECT order_id FROM order_events WHERE what = 'expired' GROUP BY order_id HAVING count(*) > 1) x"); n != 0 {
			t.Errorf("%d expired twice", n)
		}
		s.whole()
	})
}

// Two processes on one database sell one stock.
func TestTwoProcesses(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d).run()
		other := *s
		svc, err := orders.New(orders.Config{DB: d, Clock: s.clock}, s.stock, s.program, s.room, s.audit)
		if err != nil {
			t.Fatal(err)
		}
		other.svc = svc
		other.run()
		got := make(chan error, 120)
		for i := range 120 {
			who := []*orders.Service{s.svc, svc}[i%2]
			go func() { // every key twice, once at each
				_, err := who.Place(t.Context(), orders.Placement{BuyerID: int64(i/2 + 1), SessionID: show, Items: []orders.Item{{SKUID: scarfBlue, Quantity: 1}, {SKUID: scarfRed, Quantity: 1}}, Key: "k"})
				got <- err
			}()
		}
		count := map[string]int{}
		for range 120 {
			count[fmt.Sprint(<-got)]++
		}
		if r := s.stock.row(t, scarfRed); r.Reserved != 50 || count["<nil>"] != 100 || len(count) != 2 {
			t.Fatalf("%v, stock %+v", count, r)
		}
		s.whole()
	})
}
