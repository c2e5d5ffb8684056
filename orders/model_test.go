package orders_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/orders"
)

func TestMovesTable(t *testing.T) {
	text := orders.MovesText()
	for _, m := range orders.Moves() {
		if !orders.May(m.From, m.To) || !strings.Contains(text, fmt.Sprintf("| %s | %s | %s |", m.From, m.To, m.Verb)) {
			t.Errorf("%+v", m)
		}
	}
	if orders.May(orders.Refunded, orders.Paid) || orders.May(orders.Pending, orders.Shipped) {
		t.Error("the table allows what it must not")
	}
	// Where the table is shown, it is this one.
	if page, err := os.ReadFile("../ARCHITECTURE.md"); err == nil && strings.Contains(string(page), "| pending | paid |") && !strings.Contains(string(page), text) {
		t.Error("ARCHITECTURE.md shows another table of moves")
	}
}

// model is one order as a careful bookkeeper would follow it.
type model struct {
	id, payment string
	placed      orders.Placement
	state       orders.State
	total       int64
	refunded    int64
	money       bool   // a callback with the right amount was taken: paid, or on its way back
	number      string // the provider's, of the payment whose money came first
}

// TestRandomLives drives orders through random acts and wants, after each, that every order has only moved as the table
// allows and that every rule of conservation holds.
func TestRandomLives(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		fewer(t, "rapid.checks", "25")
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			lives(rt, newLives(t, d, run))
		})
	})
}

// fewer sets a flag unless the command line has: the whole package is to stay quick.
func fewer(t *testing.T, name, value string) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	if err := flag.Set(name, value); err != nil {
		t.Fatal(err)
	}
}

// livesShop is a shop of its own session in a database that former runs have used.
type livesShop struct {
	*shop
	run     int
	placed  int
	all     []*model
	other   *orders.Service // a second process on the same database
	claimed []string        // by the second process's sweeper, which is slow
}

func newLives(t *testing.T, d *db.DB, run int) *livesShop {
	for _, table := range []string{"orders", "order_lines", "order_events", "order_session_stock", "order_payments", "payment_callbacks", "order_refunds", "ledger_entries", "order_outbox", "order_units", "order_refund_lines", "order_replacements"} {
		if err := d.Write(t.Context()).Exec("DELETE FROM " + table).Error; err != nil {
			t.Fatal(err)
		}
	}
	l := &livesShop{shop: newShop(t, d, func(c *orders.Config) { c.Limits = false }), run: run}
	var err error
	if l.other, err = orders.New(orders.Config{DB: d, Clock: l.clock, SandboxSecret: secret}, l.stock, l.program, l.room, l.audit); err != nil {
		t.Fatal(err)
	}
	return l
}

func lives(rt *rapid.T, l *livesShop) {
	pick := func() *model {
		if len(l.all) == 0 {
			rt.Skip("no orders yet")
		}
		return rapid.SampledFrom(l.all).Draw(rt, "order")
	}
	acts := map[string]func(*rapid.T){
		"place": func(rt *rapid.T) {
			sku := rapid.SampledFrom([]int64{scarfRed, scarfBlue, juice}).Draw(rt, "sku")
			n := rapid.Int64Range(1, 30).Draw(rt, "quantity")
			l.placed++
			wish := orders.Placement{
				BuyerID: 1, BuyerName: "buyer1", SessionID: show, Items: []orders.Item{{SKUID: sku, Quantity: n}, {SKUID: scarfBlue, Quantity: 1}}, Key: fmt.Sprint(l.run, "-", l.placed),
			}
			got, err := l.svc.PlaceAll(context.Background(), []orders.Placement{wish})
			if errors.Is(err, orders.ErrSoldOut) {
				return
			}
			if err != nil {
				rt.Fatal(err)
			}
			l.all = append(l.all, &model{id: got[0].ID, placed: wish, state: orders.Pending, total: got[0].TotalFen})
		},
		"repeat": func(rt *rapid.T) { // by either process, in whatever state the order is
			m := pick()
			got, err := l.either(rt).PlaceAll(context.Background(), []orders.Placement{m.placed})
			if err != nil || got[0].ID != m.id {
				rt.Fatalf("the repeat of %s gave %+v, %v", m.id, got, err)
			}
		},
		"another body": func(rt *rapid.T) {
			wish := pick().placed
			wish.Items = []orders.Item{{SKUID: scarfRed, Quantity: 31}}
			if _, err := l.either(rt).PlaceAll(context.Background(), []orders.Placement{wish}); !errors.Is(err, orders.ErrMismatch) {
				rt.Fatalf("another body under the same key: %v", err)
			}
		},
		"start to pay": func(*rapid.T) {
			m := pick()
			if a := l.call("buyer1", "POST", "/api/v1/orders/"+m.id+"/payments", `{"provider":"sandbox"}`); a.status == http.StatusCreated && m.payment == "" {
				m.payment = a.id()
			}
		},
		"callback": func(rt *rapid.T) {
			m := pick()
			if m.payment == "" {
				rt.Skip("no payment")
			}
			fen, number := m.total, "sb_"+m.payment
			switch rapid.IntRange(0, 5).Draw(rt, "what is wrong") {
			case 0:
				fen++
			case 1:
				number += "-another"
			}
			a := l.callBack(callback{ID: number, PaymentID: m.payment, OrderID: m.id, AmountFen: fen, SettledAt: evening})
			outcome := a.field("outcome")
			switch took := outcome == "applied" || outcome == "returned"; {
			case a.status != http.StatusOK:
				rt.Fatalf("callback: %d %s", a.status, a.body)
			case outcome == "returned" && m.money && number != m.number: // a second transaction: its money goes back
			case took && m.money:
				rt.Fatalf("a second payment of %s was %s", m.id, outcome)
			case took:
				m.money, m.number = true, number
			}
		},
		"cancel": func(*rapid.T) { l.call("buyer1", "POST", "/api/v1/orders/"+pick().id+"/cancel", "") },
		"time": func(rt *rapid.T) {
			l.clock.Advance(time.Duration(rapid.IntRange(1, 10).Draw(rt, "minutes")) * time.Minute)
		},
		"sweep": func(rt *rapid.T) {
			if _, err := l.either(rt).Sweep(context.Background()); err != nil {
				rt.Fatal(err)
			}
		},
		"the second process claims": func(rt *rapid.T) {
			ids, err := l.other.Claim(context.Background())
			if err != nil {
				rt.Fatal(err)
			}
			l.claimed = append(l.claimed, ids...)
		},
		"and goes on": func(rt *rapid.T) {
			if len(l.claimed) == 0 {
				rt.Skip("nothing claimed")
			}
			if _, err := l.other.ExpireClaimed(context.Background(), l.claimed); err != nil {
				rt.Fatal(err)
			}
			l.claimed = nil
		},
		"ship": func(*rapid.T) {
			l.call("operator1", "POST", "/api/v1/orders/"+pick().id+"/ship", `{"carrier":"SF","tracking_no":"1"}`)
		},
		"complete": func(*rapid.T) { l.call("buyer1", "POST", "/api/v1/orders/"+pick().id+"/complete", "") },
		"refund": func(rt *rapid.T) {
			m := pick()
			body := `{"reason":"x"}`
			if rapid.Bool().Draw(rt, "in part") {
				body = fmt.Sprintf(`{"reason":"x","amount_fen":%d}`, rapid.Int64Range(1, 20000).Draw(rt, "fen"))
			}
			key := fmt.Sprint("r", rapid.IntRange(1, 4).Draw(rt, "key"))
			l.call("operator1", "POST", "/api/v1/orders/"+m.id+"/refunds", body, "Idempotency-Key", key)
		},
	}
	acts["send a parcel"] = func(rt *rapid.T) {
		n := rapid.Int64Range(1, 5).Draw(rt, "units")
		err := l.svc.Dispatch(signedIn(), pick().id, orders.Dispatch{Carrier: "SF", TrackingNo: "1", Pieces: []orders.Piece{{Line: rapid.IntRange(0, 1).Draw(rt, "line"), Quantity: n}}})
		mustBeFault(rt, err)
	}
	acts["refund lines"] = func(rt *rapid.T) {
		m := pick()
		ask := orders.RefundAsk{Reason: "x", Key: fmt.Sprint("l", rapid.IntRange(1, 6).Draw(rt, "key")), Returned: rapid.Bool().Draw(rt, "returned")}
		for line := range rapid.IntRange(1, 2).Draw(rt, "lines") {
			one := orders.RefundLine{Line: line, Quantity: rapid.Int64Range(0, 20).Draw(rt, "units")}
			if one.Quantity == 0 || rapid.IntRange(0, 3).Draw(rt, "own amount") == 0 {
				fen := rapid.Int64Range(0, 30000).Draw(rt, "fen")
				one.AmountFen = &fen
			}
			ask.Lines = append(ask.Lines, one)
		}
		_, err := l.svc.Refund(signedIn(), operator(), m.id, ask)
		mustBeFault(rt, err)
	}
	acts["goods come back"] = func(rt *rapid.T) {
		n := rapid.Int64Range(1, 5).Draw(rt, "units")
		mustBeFault(rt, l.svc.TakeBack(signedIn(), pick().id, "return:x", []orders.Piece{{Line: rapid.IntRange(0, 1).Draw(rt, "line"), Quantity: n}}))
	}
	acts["replace"] = func(rt *rapid.T) {
		ref := fmt.Sprint("exchange:", rapid.IntRange(1, 3).Draw(rt, "ref"))
		mustBeFault(rt, l.svc.Replace(signedIn(), pick().id, ref, orders.Dispatch{Carrier: "SF", TrackingNo: "2"}, []orders.Replacement{{Line: 0, SKUID: scarfBlue, Quantity: 1}}))
	}
	acts[""] = func(rt *rapid.T) { l.check(rt) }
	rt.Repeat(acts)
}

// either gives one of the two processes.
func (l *livesShop) either(rt *rapid.T) *orders.Service {
	if rapid.Bool().Draw(rt, "second process") {
		return l.other
	}
	return l.svc
}

// check compares every order with what it was, and the books with themselves.
func (l *livesShop) check(rt *rapid.T) {
	for _, m := range l.all {
		o, err := l.svc.Order(context.Background(), operator(), m.id)
		if err != nil {
			rt.Fatal(err)
		}
		if o.State != m.state && !reachable(m.state, o.State) {
			rt.Fatalf("order went from %s to %s", m.state, o.State)
		}
		if o.PaidFen > 0 && !m.money {
			rt.Fatalf("%s is %s without money", m.id, o.State)
		}
		if o.RefundedFen < m.refunded || o.RefundedFen > o.PaidFen {
			rt.Fatalf("refunded %d after %d, paid %d", o.RefundedFen, m.refunded, o.PaidFen)
		}
		m.state, m.refunded = o.State, o.RefundedFen
		l.checkUnits(rt, o)
	}
	if err := l.broken(); err != nil {
		rt.Fatal(err)
	}
	if len(l.raised) > 0 {
		rt.Fatalf("5xx: %v", l.raised)
	}
}

// checkUnits wants no line to have given more money or units than it had.
func (l *livesShop) checkUnits(rt *rapid.T, o orders.Order) {
	units, err := l.svc.Units(context.Background(), operator(), o.ID)
	if err != nil {
		rt.Fatal(err)
	}
	var refunded int64
	for _, u := range units {
		refunded += u.RefundedFen
		if u.RefundedFen > u.PaidFen || u.CalledOff+u.Sent > u.Quantity || u.Returned > u.Sent || u.RefundedUnits > u.Quantity || u.Freed > u.CalledOff+u.Returned {
			rt.Fatalf("%+v", u)
		}
	}
	if o.PaidFen > 0 && refunded != o.RefundedFen {
		rt.Fatalf("lines gave back %d, the order %d", refunded, o.RefundedFen)
	}
}

// mustBeFault lets refusals pass and nothing else.
func mustBeFault(rt *rapid.T, err error) {
	if err != nil && fault.KindOf(err) == fault.Internal {
		rt.Fatal(err)
	}
}

func signedIn() context.Context { return web.WithActor(context.Background(), operator()) }

func reachable(from, to orders.State) bool {
	return orders.May(from, to)
}
