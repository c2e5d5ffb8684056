package orders_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/orders"
)

func (s *shop) state(id string) string {
	s.t.Helper()
	return s.call("operator1", "GET", "/api/v1/orders/"+id, "").field("state")
}

func (s *shop) count(sql string, args ...any) (n int64) {
	s.t.Helper()
	if err := s.db.Read(context.Background()).Raw(sql, args...).Scan(&n).Error; err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestCallbackTwiceIsOnePayment(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		cb := callback{ID: "sb_1", PaymentID: s.pending("buyer1", id), OrderID: id, AmountFen: 12800, SettledAt: evening}
		if again := s.pending("buyer1", id); again != cb.PaymentID {
			t.Fatal("starting again made another payment")
		}
		var wg sync.WaitGroup
		outcomes := make([]string, 15)
		for i := range outcomes {
			wg.Go(func() {
				a := s.callBack(cb)
				outcomes[i] = fmt.Sprint(a.status, " ", a.field("outcome"))
			})
		}
		wg.Wait()
		if all := strings.Join(outcomes, ","); strings.Count(all, "200 applied") != 1 || strings.Count(all, "200 duplicate") != 14 {
			t.Fatal(all)
		}
		s.clock.Advance(24 * time.Hour)
		if a := s.callBack(cb); a.status != 200 || a.field("outcome") != "duplicate" {
			t.Fatalf("a day later: %d %s", a.status, a.body)
		}
		if n := s.count("SELECT count(*) FROM ledger_entries"); n != 2 {
			t.Fatalf("%d ledger rows", n)
		}
		if n := s.count("SELECT sum(times) FROM payment_callbacks"); n != 16 {
			t.Fatalf("%d callbacks stored", n)
		}
		s.whole()
	})
}

func TestCallbacksRefused(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		payment := s.pending("buyer1", id)
		good := callback{ID: "sb_1", PaymentID: payment, OrderID: id, AmountFen: 12800, SettledAt: evening}
		body, header := signed(good, s.clock.Now())
		send := func(body string, header ...string) answer {
			return s.call("", "POST", "/api/v1/payments/sandbox/callback", body, header...)
		}
		forged := append([]string(nil), header...)
		forged[5] = strings.Repeat("00", 32)
		oldBody, old := signed(good, s.clock.Now().Add(-6*time.Minute))
		newBody, early := signed(good, s.clock.Now().Add(6*time.Minute))
		foreignBody, foreign := signed(callback{ID: "sb_1", Merchant: "somebody else", PaymentID: payment, OrderID: id, AmountFen: 12800}, s.clock.Now())
		moved := append([]string(nil), header...)
		moved[1] = fmt.Sprint(s.clock.Now().Unix() + 1)
		for name, row := range map[string]struct {
			a      answer
			status int
		}{
			"no signature":         {send(body), 403},
			"wrong signature":      {send(body, forged...), 403},
			"another body":         {send(strings.Replace(body, "12800", "12801", 1), header...), 403},
			"another timestamp":    {send(body, moved...), 403},
			"too old":              {send(oldBody, old...), 403},
			"from the future":      {send(newBody, early...), 403},
			"another merchant":     {send(foreignBody, foreign...), 400},
			"larger than we read":  {send(strings.Repeat("x", 65<<10), header...), 413},
			"signed but not JSON ": {send("", "Sandbox-Nonce", "x"), 403},
		} {
			if row.a.status != row.status {
				t.Errorf("%s: %d %s", name, row.a.status, row.a.body)
			}
		}
		if s.state(id) != "pending" || s.count("SELECT count(*) FROM payment_callbacks") != 0 {
			t.Fatal("something was stored or moved")
		}
		for i, wrong := range []callback{
			{ID: "sb_2", PaymentID: payment, OrderID: id, AmountFen: 1},
			{ID: "sb_3", PaymentID: payment, OrderID: id, AmountFen: 12800, Currency: "USD"},
			{ID: "sb_4", PaymentID: "nothing", OrderID: id, AmountFen: 12800},
			{ID: "sb_5", PaymentID: payment, OrderID: "another", AmountFen: 12800},
		} {
			if a := s.callBack(wrong); a.status != 200 || a.field("outcome") != "quarantined" {
				t.Errorf("%d: %d %s", i, a.status, a.body)
			}
		}
		if s.state(id) != "pending" || !s.audit.has("payment.quarantined") || s.count("SELECT count(*) FROM payment_callbacks WHERE outcome = 'quarantined'") != 4 {
			t.Fatal("quarantine")
		}
		if a := s.callBack(good); a.field("outcome") != "applied" {
			t.Fatalf("the good one after all that: %s", a.body)
		}
		if a := s.callBack(callback{ID: "sb_9", PaymentID: payment, OrderID: "another", AmountFen: 12800}); a.field("outcome") != "quarantined" {
			t.Fatalf("the same payment for another order: %s", a.body)
		}
		s.whole()
	})
}

func TestLatePayment(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", juice, 20).id()
		payment := s.pending("buyer1", id)
		s.clock.Advance(16 * time.Minute)
		if a := s.call("buyer1", "POST", "/api/v1/orders/"+id+"/payments", `{"provider":"sandbox"}`); a.status != 409 || a.field("type") != "/problems/order-expired" {
			t.Fatalf("starting to pay too late: %d %s", a.status, a.body)
		}
		s.sweep(1)
		if s.state(id) != "cancelled" || s.stock.row(t, juice).Free != 50 {
			t.Fatal("not expired")
		}
		// The money comes all the same, and there is still stock.
		if a := s.callBack(callback{ID: "sb_1", PaymentID: payment, OrderID: id, AmountFen: 19800}); a.field("outcome") != "applied" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if s.state(id) != "paid" || s.stock.row(t, juice).Sold != 20 {
			t.Fatal("not held again")
		}
		s.whole()
	})
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", juice, 20).id()
		payment := s.pending("buyer1", id)
		s.clock.Advance(16 * time.Minute)
		s.sweep(1)
		s.order("buyer2", "k1", juice, 1) // the session's stock of 20 no longer has 20
		for _, want := range []string{"returned", "duplicate"} {
			if a := s.callBack(callback{ID: "sb_1", PaymentID: payment, OrderID: id, AmountFen: 19800, SettledAt: evening}); a.field("outcome") != want {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		a := s.call("buyer1", "GET", "/api/v1/orders/"+id, "")
		for _, want := range []string{`"state":"cancelled"`, `"paid_fen":0`, `"state":"returned"`, `"automatic":true`, `"state":"succeeded"`} {
			if !strings.Contains(a.body, want) {
				t.Errorf("no %s in %s", want, a.body)
			}
		}
		if n := s.count("SELECT coalesce(sum(amount_fen), 0) FROM ledger_entries WHERE account = 'provider:sandbox'"); n != 0 {
			t.Fatalf("%d fen are still here", n)
		}
		s.whole()
	})
}

// Who has cancelled gets the money back, even though there is stock.
func TestPaymentOfACancelledOrderGoesBack(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		payment := s.pending("buyer1", id)
		if a := s.call("buyer1", "POST", "/api/v1/orders/"+id+"/cancel", ""); a.status != 200 {
			t.Fatal(a.status, a.body)
		}
		if a := s.callBack(callback{ID: "sb_1", PaymentID: payment, OrderID: id, AmountFen: 12800}); a.field("outcome") != "returned" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if s.state(id) != "cancelled" {
			t.Fatal("the order came back to life")
		}
		s.whole()
	})
}

// A double click on pay is one payment, and no callback is left for a person to look at.
func TestPayingTwiceAtOnce(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		done := make(chan int, 8)
		for range cap(done) {
			go func() {
				done <- s.call("buyer1", "POST", "/api/v1/orders/"+id+"/payments", `{"provider":"sandbox","settle":true}`).status
			}()
		}
		for range cap(done) {
			if status := <-done; status != 201 {
				t.Errorf("status %d", status)
			}
		}
		if n := s.count("SELECT count(*) FROM payment_callbacks WHERE outcome = 'quarantined'"); n != 0 || s.state(id) != "paid" {
			t.Errorf("%d quarantined, order %s", n, s.state(id))
		}
		s.whole()
	})
}

// A second payment of the same order goes back.
func TestPaidTwice(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		s.pay("buyer1", id)
		// As if another provider's payment had been under way.
		err := s.db.Write(t.Context()).Exec(`INSERT INTO order_payments (id, order_id, provider, idem, state, amount_fen, created_ms, settled_ms)
			VALUES ('second', ?, 'sandbox', '', 'pending', 12800, 1, 0)`, id).Error
		if err != nil {
			t.Fatal(err)
		}
		if a := s.callBack(callback{ID: "sb_2", PaymentID: "second", OrderID: id, AmountFen: 12800}); a.field("outcome") != "returned" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if s.state(id) != "paid" {
			t.Fatal("the order moved")
		}
		s.whole()
	})
}

// sweep runs the sweeper by hand and wants it to expire n.
func (s *shop) sweep(n int) {
	s.t.Helper()
	total := 0
	for {
		got, err := s.svc.Sweep(context.Background())
		if err != nil {
			s.t.Fatal(err)
		}
		if total += got; got == 0 {
			break
		}
	}
	if total != n {
		s.t.Fatalf("%d expired, wanted %d", total, n)
	}
}

func TestTwoSweepersExpireOnce(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d) // its own sweeper does not run
		other := newShop(t, d)
		other.clock = s.clock
		place(t, s, 40)
		s.clock.Advance(14 * time.Minute)
		s.sweep(0)
		s.clock.Advance(time.Minute)
		other.clock.Set(s.clock.Now())
		otherSvc, err := orders.New(orders.Config{DB: d, Clock: s.clock}, s.stock, s.program, s.room, s.audit)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var mu sync.Mutex
		total := 0
		for _, svc := range []*orders.Service{s.svc, otherSvc, s.svc, otherSvc} {
			wg.Go(func() {
				for {
					n, err := svc.Sweep(t.Context())
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					total += n
					mu.Unlock()
					if n == 0 {
						return
					}
				}
			})
		}
		wg.Wait()
		if total != 40 || s.count("SELECT count(*) FROM order_events WHERE what = 'expired'") != 40 {
			t.Fatalf("%d expired", total)
		}
		if r := s.stock.row(t, scarfRed); r.Free != 50 {
			t.Fatalf("stock %+v", r)
		}
		s.whole()
	})
}

// place puts n orders of one red scarf each, by n buyers.
func place(t *testing.T, s *shop, n int) []orders.Order { return placeAs(t, s, 1, n) }

// placeAs places one order each for n buyers, the first of them with this id.
func placeAs(t *testing.T, s *shop, first, n int) []orders.Order {
	t.Helper()
	var all []orders.Placement
	for i := range n {
		all = append(all, orders.Placement{BuyerID: int64(i + first), BuyerName: fmt.Sprint("buyer", i+first), SessionID: show, Items: []orders.Item{{SKUID: scarfRed, Quantity: 1}}, Key: "k"})
	}
	placed, err := s.svc.PlaceAll(t.Context(), all)
	if err != nil {
		t.Fatal(err)
	}
	return placed
}

func TestRoomIsTold(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d) // its own teller does not run
		var settled []orders.Settlement
		for _, o := range place(t, s, 12) {
			settled = append(settled, orders.Settlement{OrderID: o.ID})
		}
		if err := s.svc.Settle(t.Context(), settled); err != nil {
			t.Fatal(err)
		}
		s.room.deaf = true
		if n, err := s.svc.Tell(t.Context()); err != nil || n != 12 {
			t.Fatalf("%d, %v", n, err)
		}
		s.room.deaf = false
		if n, err := s.svc.Tell(t.Context()); err != nil || n != 0 {
			t.Fatalf("too early: %d, %v", n, err)
		}
		s.clock.Advance(3 * time.Second)
		if n, err := s.svc.Tell(t.Context()); err != nil || n != 12 {
			t.Fatalf("%d, %v", n, err)
		}
		heard := s.room.all()
		if len(heard) != 5 || heard[0] != `1 sold {"product_id":1,"sku_id":11,"title":"羊绒围巾","quantity":1,"buyer":"b","buyer_id":1}` || !strings.Contains(heard[4], `"quantity":8`) {
			t.Fatalf("heard %q", heard)
		}
		s.clock.Advance(time.Hour)
		if n, err := s.svc.Tell(t.Context()); err != nil || n != 0 {
			t.Fatalf("told again: %d, %v", n, err)
		}
		s.whole()
	})
}

func TestImportTwice(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d)
		var all []orders.External
		for i := range 300 {
			all = append(all, orders.External{
				SessionID: show, Channel: []string{"douyin", "kuaishou"}[i%2], Number: fmt.Sprint(i / 2), At: evening, Buyer: fmt.Sprint("D", i%7),
				Lines: []orders.Line{{ProductID: 1, SKUID: scarfRed, Title: "羊绒围巾", Quantity: 2, PriceFen: 100, PinID: 7, Anchors: []string{"anchor2"}}},
			})
		}
		for i, want := range []int{300, 0} {
			if n, err := s.svc.ImportPaid(t.Context(), all); err != nil || n != want {
				t.Fatalf("run %d: %d, %v", i, n, err)
			}
		}
		own := place(t, s, 3)
		if err := s.svc.Settle(t.Context(), []orders.Settlement{{OrderID: own[0].ID, At: evening.Add(time.Minute)}}); err != nil {
			t.Fatal(err)
		}
		facts, err := s.svc.SessionOrders(t.Context(), show)
		if err != nil || len(facts) != 303 {
			t.Fatalf("%d facts, %v", len(facts), err)
		}
		paid := map[string]int64{}
		for _, f := range facts {
			paid[f.Channel] += f.PaidFen
			if f.Channel == "douyin" && (f.Viewer[:8] != "douyin:D" || f.Lines[0].Anchors[0] != "anchor2" || f.PaidAt.IsZero()) {
				t.Fatalf("%+v", f)
			}
		}
		if paid["douyin"] != 30000 || paid["kuaishou"] != 30000 || paid["room"] != 12800 {
			t.Fatalf("channels %v", paid)
		}
		sum, err := s.svc.OrdersAfter(t.Context(), []int64{1, 2, 3}, 99, evening.Add(-time.Hour), evening.Add(time.Hour))
		if err != nil || sum != (orders.Sum{Orders: 3, PaidOrders: 1, PlacedFen: 38400, PaidFen: 12800}) {
			t.Fatalf("%+v, %v", sum, err)
		}
		id := facts[0].ID
		if facts[0].Channel == "room" {
			t.Fatal("wanted an imported order first")
		}
		if a := s.call("operator1", "POST", "/api/v1/orders/"+id+"/refunds", `{"reason":"on the platform"}`, "Idempotency-Key", "k"); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		s.whole()
	})
}

// What a crash left half done is finished: a stored callback that was not applied, a refund that was not booked.
func TestResume(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		payment := s.pending("buyer1", id)
		body, _ := signed(callback{ID: "sb_1", PaymentID: payment, OrderID: id, AmountFen: 12800}, s.clock.Now())
		err := s.db.Write(t.Context()).Exec(`INSERT INTO payment_callbacks (provider, provider_id, body_hash, body, received_ms, times, outcome, detail, applied_ms)
			VALUES ('sandbox', 'sb_1', 'x', ?, ?, 1, 'received', '', 0)`, []byte(body), s.clock.Now().UnixMilli()).Error
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(11 * time.Second)
		s.eventually(func() bool { return s.state(id) == "paid" })
		s.whole()
	})
}

// eventually waits for what the service's own goroutines do.
func (s *shop) eventually(ok func() bool) {
	s.t.Helper()
	for range 300 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.t.Fatal("it did not happen within 3 s")
}

func TestDatabaseGone(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d).run()
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		s.freeze(func() {
			for _, r := range [][3]string{
				{"POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}]}`},
				{"GET", "/api/v1/orders/" + id, ""},
				{"POST", "/api/v1/orders/" + id + "/cancel", ""},
				{"POST", "/api/v1/orders/" + id + "/payments", `{"provider":"sandbox","settle":true}`},
			} {
				a := s.call("buyer1", r[0], r[1], r[2], "Idempotency-Key", "k2")
				if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
					t.Errorf("%s %s: %d %s %q", r[0], r[1], a.status, a.body, s.raised)
				}
			}
		})
		s.order("buyer2", "k2", scarfRed, 1)
		s.whole()
	})
}
