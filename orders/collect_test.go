package orders_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/orders"
)

// bank is a provider whose every answer the test decides; the real ones have servers of their own in payments.
type bank struct {
	mu      sync.Mutex
	paid    map[string]pay.Notice
	started []pay.Payment
	closed  []string
	backs   map[string]pay.Status
	asked   int
	down    bool
	refuse  bool
}

func newBank() *bank {
	return &bank{paid: map[string]pay.Notice{}, backs: map[string]pay.Status{}}
}

func (*bank) Name() string      { return pay.WeChat }
func (*bank) Kinds() []pay.Kind { return []pay.Kind{pay.Native, pay.H5, pay.JSAPI} }
func (*bank) Answer(err error) pay.Reply {
	if err != nil {
		return pay.Reply{Status: 500, Type: "text/plain", Body: "no"}
	}
	return pay.Reply{Status: 204}
}

func (b *bank) fails() error {
	b.asked++
	if b.down {
		return pay.ErrDown
	}
	return nil
}

func (b *bank) Start(_ context.Context, p pay.Payment) (pay.Start, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.started = append(b.started, p)
	return pay.Start{Action: pay.ShowQR, Code: "weixin://" + p.ID}, b.fails()
}

func (b *bank) ParseCallback(context.Context, http.Header, []byte) (pay.Notice, error) {
	return pay.Notice{}, pay.ErrForged
}

func (b *bank) Query(_ context.Context, p pay.Payment) (pay.Status, pay.Notice, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fails(); err != nil {
		return "", pay.Notice{}, err
	}
	if n, ok := b.paid[p.ID]; ok {
		return pay.Success, n, nil
	}
	return pay.Waiting, pay.Notice{}, nil
}

func (b *bank) Close(_ context.Context, p pay.Payment) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = append(b.closed, p.ID)
	return b.fails()
}

func (b *bank) Refund(_ context.Context, _ pay.Payment, r pay.Refund) (pay.RefundResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.refuse {
		return pay.RefundResult{}, pay.ErrRefused.Because(errors.New("NO_AUTH"))
	}
	if err := b.fails(); err != nil {
		return pay.RefundResult{}, err
	}
	if b.backs[r.ID] == "" {
		b.backs[r.ID] = pay.Waiting
	}
	return pay.RefundResult{Status: b.backs[r.ID], Code: "PROCESSING"}, nil
}

func (b *bank) QueryRefund(_ context.Context, _ pay.Payment, r pay.Refund) (pay.RefundResult, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.fails(); err != nil {
		return pay.RefundResult{}, err
	}
	res := pay.RefundResult{Status: b.backs[r.ID], Code: string(b.backs[r.ID])}
	switch res.Status {
	case "":
		res.Status = pay.Unknown
	case pay.Closed:
		res.Status, res.Code = pay.Failed, "CLOSED"
	default:
	}
	return res, nil
}

func (*bank) Bill(context.Context, time.Time) ([]pay.Line, error) { return nil, pay.ErrNoBill }

func (b *bank) set(f func()) { b.mu.Lock(); defer b.mu.Unlock(); f() }

// pays is the buyer paying at the bank.
func (b *bank) pays(s *shop, payment, order string, fen int64) {
	b.set(func() {
		b.paid[payment] = pay.Notice{Status: pay.Success, ProviderID: "4200" + payment, PaymentID: payment, OrderID: order, AmountFen: fen, Currency: "CNY", At: s.clock.Now()}
	})
}

// eachBank runs on both databases with a bank; nothing runs by itself, so that the clock decides.
func eachBank(t *testing.T, fn func(t *testing.T, s *shop, b *bank)) {
	t.Helper()
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		b := newBank()
		fn(t, newShop(t, d, func(c *orders.Config) { c.Providers, c.PublicURL = []pay.Provider{b}, "https://shop.example" }), b)
	})
}

func (s *shop) collect() {
	s.t.Helper()
	if err := s.svc.Collect(context.Background()); err != nil {
		s.t.Fatal(err)
	}
}

// start begins a payment at the bank and gives its id.
func (s *shop) start(who, order, body string) answer {
	s.t.Helper()
	a := s.call(who, "POST", "/api/v1/orders/"+order+"/payments", body)
	if a.status != http.StatusCreated {
		s.t.Fatalf("%d %s", a.status, a.body)
	}
	return a
}

func TestStartTellsThePage(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, b *bank) {
		id := place(t, s, 1)[0].ID
		a := s.start("buyer1", id, `{"provider":"wechat"}`)
		if !strings.Contains(a.body, `"start":{"action":"qr","qr":"weixin://`+a.id()+`"}`) {
			t.Fatal(a.body)
		}
		if p := b.started[0]; p.AmountFen != 12800 || p.Title != "多多拼 羊绒围巾" || !p.ExpiresAt.Equal(evening.Add(15*time.Minute)) || p.ReturnURL != "https://shop.example/orders/"+id {
			t.Fatalf("%+v", p)
		}
		if again := s.start("buyer1", id, `{"provider":"wechat"}`); again.body != a.body || len(b.started) != 1 {
			t.Fatalf("%d starts, %s", len(b.started), again.body)
		}
		other := s.start("buyer1", id, `{"provider":"wechat","kind":"h5"}`)
		if other.id() == a.id() {
			t.Fatal("another kind shares the number, which the provider would refuse")
		}
		s.clock.Advance(5 * time.Minute)
		if again := s.start("buyer1", id, `{"provider":"wechat","kind":"h5"}`); again.id() != other.id() || len(b.started) != 3 || b.started[2].ClientIP != b.started[1].ClientIP {
			t.Fatalf("an address that has run out is not renewed: %d starts", len(b.started))
		}
		for body, field := range map[string]string{`{"provider":"paypal"}`: "provider", `{"provider":"wechat","kind":"wap"}`: "kind", `{"provider":"wechat","settle":true}`: "settle"} {
			if a := s.call("buyer1", "POST", "/api/v1/orders/"+id+"/payments", body); a.status != 422 || !strings.Contains(a.body, field) {
				t.Errorf("%s: %d %s", body, a.status, a.body)
			}
		}
		if a := s.call("buyer2", "POST", "/api/v1/orders/"+id+"/payments", `{"provider":"wechat"}`); a.status != 404 {
			t.Errorf("a stranger: %d", a.status)
		}
		b.set(func() { b.down = true })
		if a := s.call("buyer1", "POST", "/api/v1/orders/"+id+"/payments", `{"provider":"wechat","kind":"jsapi","open_id":"o1"}`); a.status != 503 || a.header.Get("Retry-After") == "" {
			t.Errorf("the provider is down: %d %s", a.status, a.body)
		}
	})
}

// A callback that never comes is made up for by asking, soon and then more and more rarely.
func TestLostCallback(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, b *bank) {
		id := place(t, s, 1)[0].ID
		payment := s.start("buyer1", id, `{"provider":"wechat"}`).id()
		s.collect()
		if b.asked != 1 { // the start alone
			t.Fatalf("asked at once: %d", b.asked)
		}
		for range 14 * 60 { // a second each, until before the order's end
			s.clock.Advance(time.Second)
			s.collect()
		}
		if n := b.asked - 1; n < 4 || n > 8 {
			t.Fatalf("asked %d times in 14 minutes", n)
		}
		b.pays(s, payment, id, 12800)
		s.clock.Advance(61 * time.Second) // past the end: asked for sure
		s.collect()
		if s.state(id) != "paid" {
			t.Fatal(s.state(id))
		}
		asked := b.asked
		s.clock.Advance(24 * time.Hour)
		s.collect()
		if b.asked != asked || len(b.closed) != 0 {
			t.Fatal("goes on asking about what is settled")
		}
		s.whole()
	})
}

// What can no longer be paid is closed at the provider: expired, cancelled, or paid in another way.
func TestCloseAtTheProvider(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, b *bank) {
		all := place(t, s, 3)
		var payments []string
		for i, o := range all {
			payments = append(payments, s.start(fmt.Sprint("buyer", i+1), o.ID, `{"provider":"wechat"}`).id())
		}
		s.call("buyer1", "POST", "/api/v1/orders/"+all[0].ID+"/cancel", "")
		s.pay("buyer2", all[1].ID)
		s.clock.Advance(time.Second)
		b.set(func() { b.down = true })
		if err := s.svc.Collect(t.Context()); err != nil {
			t.Fatal(err)
		}
		b.set(func() { b.down = false })
		s.clock.Advance(2 * time.Minute)
		s.collect()
		if got := strings.Join(b.closed, " "); !strings.Contains(got, payments[0]) || !strings.Contains(got, payments[1]) || strings.Contains(got, payments[2]) {
			t.Fatalf("closed %v of %v", b.closed, payments)
		}
		s.clock.Advance(14 * time.Minute)
		s.sweep(1)
		s.collect()
		if n := len(b.closed); n != 3 || b.closed[2] != payments[2] {
			t.Fatalf("closed %v", b.closed)
		}
		s.clock.Advance(48 * time.Hour)
		s.collect()
		if len(b.closed) != 3 {
			t.Fatal("closed again")
		}
		s.whole()
	})
}

// Two processes ask once.
func TestAskingIsLeased(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, b *bank) {
		for i, o := range place(t, s, 20) {
			s.start(fmt.Sprint("buyer", i+1), o.ID, `{"provider":"wechat"}`)
		}
		other, err := orders.New(orders.Config{DB: s.db, Clock: s.clock, Providers: []pay.Provider{b}}, s.stock, s.program, s.room, s.audit)
		if err != nil {
			t.Fatal(err)
		}
		s.clock.Advance(30 * time.Second)
		var wg sync.WaitGroup
		for _, svc := range []*orders.Service{s.svc, other, s.svc, other} {
			wg.Go(func() {
				if err := svc.Collect(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if b.asked != 40 { // 20 starts, 20 questions
			t.Fatalf("asked %d times", b.asked)
		}
	})
}

// A second transaction of the same payment, or a second payment of the same order, goes back.
func TestSecondTransactionGoesBack(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		payment := s.pending("buyer1", id)
		for i, row := range []struct{ id, want string }{
			{"sb_1", "applied"}, {"sb_2", "returned"}, {"sb_1", "duplicate"}, {"sb_2", "duplicate"}, {"sb_3", "returned"}, {"sb_2", "duplicate"},
		} {
			if a := s.callBack(callback{ID: row.id, PaymentID: payment, OrderID: id, AmountFen: 12800, SettledAt: evening}); a.field("outcome") != row.want {
				t.Fatalf("%d: %d %s, wanted %s", i, a.status, a.body, row.want)
			}
		}
		if n := s.count("SELECT sum(amount_fen) FROM ledger_entries WHERE account = 'provider:sandbox'"); n != 12800 {
			t.Fatalf("%d fen are here", n)
		}
		if n := s.count("SELECT count(*) FROM order_refunds WHERE automatic AND state = 'succeeded'"); n != 2 {
			t.Fatalf("%d went back", n)
		}
		s.whole()
	})
}

func (s *shop) paidByBank(b *bank, who, order string) string {
	s.t.Helper()
	payment := s.start(who, order, `{"provider":"wechat"}`).id()
	b.pays(s, payment, order, 12800)
	s.clock.Advance(30 * time.Second)
	s.collect()
	if s.state(order) != "paid" {
		s.t.Fatal("not paid")
	}
	return payment
}

func (s *shop) refundState(order string) string {
	s.t.Helper()
	o, err := s.svc.Order(context.Background(), operator(), order)
	if err != nil || len(o.Refunds) == 0 {
		s.t.Fatalf("%+v, %v", o.Refunds, err)
	}
	return string(o.Refunds[len(o.Refunds)-1].State)
}

func TestRefundTakesItsTime(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, b *bank) {
		id := place(t, s, 1)[0].ID
		s.paidByBank(b, "buyer1", id)
		a := s.call("operator1", "POST", "/api/v1/orders/"+id+"/refunds", `{"reason":"x"}`, "Idempotency-Key", "k")
		if a.status != 201 || a.field("state") != "requested" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for range 5 {
			s.clock.Advance(time.Minute)
			s.collect()
		}
		if s.state(id) != "paid" || s.refundState(id) != "requested" {
			t.Fatal("booked before the money was back")
		}
		b.set(func() { b.down = true })
		s.clock.Advance(time.Hour)
		if err := s.svc.Collect(t.Context()); !errors.Is(err, pay.ErrDown) {
			t.Fatal(err)
		}
		b.set(func() { b.down = false; b.backs[a.id()] = pay.Success })
		s.clock.Advance(time.Hour)
		s.collect()
		if s.state(id) != "refunded" || s.refundState(id) != "succeeded" || len(b.backs) != 1 {
			t.Fatalf("%s, %s, %v", s.state(id), s.refundState(id), b.backs)
		}
		s.whole()
	})
}

// A refund that the provider refuses or ends is told, waits for an operator, and is taken up again.
func TestRefundFails(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, b *bank) {
		id := place(t, s, 1)[0].ID
		s.paidByBank(b, "buyer1", id)
		b.set(func() { b.refuse = true })
		a := s.call("operator1", "POST", "/api/v1/orders/"+id+"/refunds", `{"reason":"x"}`, "Idempotency-Key", "k")
		if a.status != 201 || s.refundState(id) != "failed" || !s.audit.has("refund.failed") {
			t.Fatalf("%d %s, %s", a.status, a.body, s.refundState(id))
		}
		list := s.call("operator1", "GET", "/api/v1/payments/failed-refunds", "")
		if !strings.Contains(list.body, a.id()) || !strings.Contains(list.body, "NO_AUTH") || !strings.Contains(list.body, `"provider":"wechat"`) {
			t.Fatal(list.body)
		}
		asked := b.asked
		s.clock.Advance(24 * time.Hour)
		s.collect()
		if b.asked != asked {
			t.Fatal("goes on asking for what has failed")
		}
		b.set(func() { b.refuse = false })
		retry := "/api/v1/payments/failed-refunds/" + a.id() + "/retry"
		if r := s.call("operator1", "POST", retry, ""); r.status != 200 || r.field("state") != "requested" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if r := s.call("operator1", "POST", retry, ""); r.status != 409 {
			t.Fatalf("again: %d %s", r.status, r.body)
		}
		b.set(func() { b.backs[a.id()] = pay.Closed }) // the provider ends it: another number is needed
		s.clock.Advance(time.Hour)
		s.collect()
		if s.refundState(id) != "failed" {
			t.Fatal(s.refundState(id))
		}
		b.set(func() { b.backs[a.id()+"-1"] = pay.Success })
		if r := s.call("operator1", "POST", retry, ""); r.status != 200 || r.field("state") != "succeeded" {
			t.Fatalf("%d %s", r.status, r.body)
		}
		if s.state(id) != "refunded" {
			t.Fatal(s.state(id))
		}
		s.whole()
	})
}

// Money that moved through a provider which is switched off is not booked as if it had gone back.
func TestRefundOfAProviderThatIsOff(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, b *bank) {
		id := place(t, s, 1)[0].ID
		s.paidByBank(b, "buyer1", id)
		off, err := orders.New(orders.Config{DB: s.db, Clock: s.clock}, s.stock, s.program, s.room, s.audit)
		if err != nil {
			t.Fatal(err)
		}
		on := s.svc
		s.svc = off
		if r, err := off.Refund(t.Context(), operator(), id, orders.RefundAsk{Reason: "x", Key: "k"}); err != nil || r.State != orders.RefundRequested {
			t.Fatalf("%+v, %v", r, err)
		}
		s.svc = on
		s.clock.Advance(time.Minute)
		b.set(func() { b.backs = map[string]pay.Status{} })
		s.collect()
		if len(b.backs) != 1 {
			t.Fatalf("%v", b.backs)
		}
		s.whole()
	})
}

func TestQuarantineIsResolved(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		payment := s.pending("buyer1", id)
		for range 3 {
			s.callBack(callback{ID: "sb_w", PaymentID: payment, OrderID: id, AmountFen: 12801, SettledAt: evening})
		}
		s.callBack(callback{ID: "sb_n", PaymentID: "nothing", OrderID: id, AmountFen: 5, SettledAt: evening})
		list := s.call("operator1", "GET", "/api/v1/payments/quarantine?state=open", "")
		var rows []string
		for _, part := range strings.Split(list.body, `"id":`)[1:] {
			rows = append(rows, part[:strings.Index(part, ",")])
		}
		if len(rows) != 2 || !strings.Contains(list.body, "wrong amount or currency") || !strings.Contains(list.body, "no such payment") {
			t.Fatal(list.body)
		}
		resolve := func(row, body string) answer {
			return s.call("operator1", "POST", "/api/v1/payments/quarantine/"+row+"/resolve", body)
		}
		if a := resolve(rows[0], `{"action":"dismiss","note":""}`); a.status != 422 {
			t.Fatalf("without a note: %d", a.status)
		}
		if a := resolve(rows[0], `{"action":"dismiss","note":"a test of the provider"}`); a.status != 200 || a.field("state") != "dismissed" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		for range 2 {
			if a := resolve(rows[1], `{"action":"refund","note":"a fen too much"}`); a.status != 200 || a.field("state") != "refunded" || a.field("resolved_by") != "operator1" {
				t.Fatalf("%d %s", a.status, a.body)
			}
		}
		if a := resolve(rows[1], `{"action":"dismiss","note":"no"}`); a.status != 409 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if a := resolve("999", `{"action":"dismiss","note":"no"}`); a.status != 404 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		if n := s.count("SELECT count(*) FROM order_refunds WHERE automatic AND state = 'succeeded' AND amount_fen = 12801"); n != 1 || !s.audit.has("payment.refunded") || !s.audit.has("payment.dismissed") {
			t.Fatalf("%d went back", n)
		}
		if a := s.callBack(callback{ID: "sb_w", PaymentID: payment, OrderID: id, AmountFen: 12801, SettledAt: evening}); a.field("outcome") != "duplicate" {
			t.Fatal(a.body)
		}
		if s.state(id) != "pending" {
			t.Fatal("the order moved")
		}
		if a := s.callBack(callback{ID: "sb_1", PaymentID: payment, OrderID: id, AmountFen: 12800, SettledAt: evening}); a.field("outcome") != "applied" {
			t.Fatal(a.body)
		}
		s.whole()
	})
}

// An order that costs nothing (points, coupons) is paid without a provider.
func TestNothingToPay(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, b *bank) {
		s.program.set(show, func(o *orders.Offers) { of := o.Items[scarfRed]; of.PriceFen = 0; o.Items[scarfRed] = of })
		id := place(t, s, 1)[0].ID
		if a := s.start("buyer1", id, `{"provider":"wechat"}`); a.field("state") != "settled" || len(b.started) != 0 {
			t.Fatal(a.body)
		}
		if s.state(id) != "paid" {
			t.Fatal(s.state(id))
		}
		s.whole()
	})
}

func TestSandboxPage(t *testing.T) {
	for choice, row := range map[string]struct {
		fen, back int64
		state     string // of the order after its time, and a while
		wrong     int64
	}{
		"success": {12800, 0, "paid", 0}, "failure": {0, 0, "cancelled", 0}, "late": {12800, 0, "paid", 0}, "twice": {12800, 0, "paid", 0},
		"double": {12800, 1, "paid", 0}, "wrong": {0, 0, "cancelled", 1}, "lost": {12800, 0, "paid", 0},
	} {
		t.Run(choice, func(t *testing.T) {
			testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
				s := newShop(t, d)
				id := place(t, s, 1)[0].ID
				a := s.start("buyer1", id, `{"provider":"sandbox"}`)
				page := "/api/v1/payments/sandbox/" + a.id()
				if got := s.call("buyer1", "GET", page+"/page", ""); got.status != 200 || !strings.Contains(got.body, "¥128.00") || !strings.Contains(got.body, `value="`+choice+`"`) || strings.Contains(got.body, "<style") {
					t.Fatalf("%d %s", got.status, got.body)
				}
				if got := s.call("buyer2", "GET", page+"/page", ""); got.status != 404 {
					t.Fatalf("a stranger: %d", got.status)
				}
				if got := s.call("buyer2", "POST", page+"/choice", "choice=success", "Content-Type", "application/x-www-form-urlencoded"); got.status != 404 {
					t.Fatalf("a stranger: %d", got.status)
				}
				got := s.call("buyer1", "POST", page+"/choice", "choice="+choice, "Content-Type", "application/x-www-form-urlencoded")
				if got.status != 303 || got.header.Get("Location") != "/orders/"+id {
					t.Fatalf("%d %s", got.status, got.body)
				}
				for range 40 {
					s.clock.Advance(30 * time.Second)
					if _, err := s.svc.Sweep(t.Context()); err != nil {
						t.Fatal(err)
					}
					s.collect()
				}
				if s.state(id) != row.state {
					t.Fatalf("the order is %s", s.state(id))
				}
				if n := s.count("SELECT coalesce(sum(amount_fen), 0) FROM ledger_entries WHERE account = 'provider:sandbox'"); n != row.fen {
					t.Errorf("%d fen are here", n)
				}
				if n := s.count("SELECT count(*) FROM order_refunds WHERE automatic"); n != row.back {
					t.Errorf("%d went back", n)
				}
				if n := s.count("SELECT count(*) FROM payment_quarantine"); n != row.wrong {
					t.Errorf("%d quarantined", n)
				}
				s.whole()
			})
		})
	}
}

func TestPaymentMethods(t *testing.T) {
	eachBank(t, func(t *testing.T, s *shop, _ *bank) {
		const phone = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Mobile Safari/537.36"
		for agent, want := range map[string]string{
			phone + " MicroMessenger/8.0": `{"kind":"jsapi","action":"jsapi","fits":true,"best":true}`,
			phone:                         `{"kind":"h5","action":"redirect","fits":true,"best":true}`,
			"Mozilla/5.0 (X11; Linux)":    `{"kind":"native","action":"qr","fits":true,"best":true}`,
		} {
			a := s.call("", "GET", "/api/v1/payment-methods", "", "User-Agent", agent)
			if a.status != 200 || !strings.Contains(a.body, want) || strings.Count(a.body, `"best":true`) != 2 || !strings.Contains(a.body, `"provider":"sandbox"`) {
				t.Errorf("%s: %s", agent, a.body)
			}
		}
	})
}

// Without the sandbox nothing of it is left: no page, no callback, no way to settle.
func TestNoSandbox(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d, func(c *orders.Config) { c.NoSandbox, c.Providers = true, []pay.Provider{newBank()} })
		id := place(t, s, 1)[0].ID
		if a := s.call("buyer1", "POST", "/api/v1/orders/"+id+"/payments", `{"provider":"sandbox","settle":true}`); a.status != 422 || !strings.Contains(a.body, "there is: wechat") {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := s.callBack(callback{ID: "sb_1", PaymentID: "x", OrderID: id, AmountFen: 12800}); a.status != 403 {
			t.Errorf("%d %s", a.status, a.body)
		}
		if a := s.call("buyer1", "GET", "/api/v1/payments/sandbox/x/page", ""); a.status != 404 {
			t.Errorf("%d", a.status)
		}
		if a := s.call("", "GET", "/api/v1/payment-methods", ""); strings.Contains(a.body, "sandbox") {
			t.Error(a.body)
		}
		if err := s.svc.Settle(t.Context(), []orders.Settlement{{OrderID: id}}); err == nil {
			t.Error("settled")
		}
	})
}
