package orders_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/stock"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/orders"
)

// freeze makes every statement fail as when the connection is lost, for as long as fn takes.
func (s *shop) freeze(fn func()) {
	s.t.Helper()
	g := s.db.Write(context.Background())
	cut := func(tx *gorm.DB) { _ = tx.AddError(fmt.Errorf("connection lost: %w", io.ErrUnexpectedEOF)) }
	for _, err := range []error{
		g.Callback().Query().Before("gorm:query").Register("cut", cut), g.Callback().Create().Before("gorm:create").Register("cut", cut),
		g.Callback().Update().Before("gorm:update").Register("cut", cut), g.Callback().Raw().Before("gorm:raw").Register("cut", cut),
		g.Callback().Row().Before("gorm:row").Register("cut", cut),
	} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
	fn()
	for _, err := range []error{
		g.Callback().Query().Remove("cut"), g.Callback().Create().Remove("cut"), g.Callback().Update().Remove("cut"),
		g.Callback().Raw().Remove("cut"), g.Callback().Row().Remove("cut"),
	} {
		if err != nil {
			s.t.Fatal(err)
		}
	}
}

// poison is a warehouse that can't stand one buyer's order: the whole batch fails because of it.
type poison struct {
	shelves
	sku int64
}

func (p poison) Reserve(ctx context.Context, holds []stock.Hold) ([]error, error) {
	for _, h := range holds {
		for _, l := range h.Lines {
			if l.SKUID == p.sku && l.Quantity == 3 {
				return nil, errors.New("a bug")
			}
		}
	}
	return p.shelves.Reserve(ctx, holds)
}

// slow lets the lane wait until it is told to go on, so that a batch can gather.
type slow struct {
	*program
	gate chan struct{}
}

func (p slow) Offers(ctx context.Context, id int64, skus []int64) (orders.Offers, error) {
	<-p.gate
	return p.program.Offers(ctx, id, skus)
}

func TestOneBadOrderHurtsNobodyElse(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		s := newShop(t, d)
		gate := make(chan struct{})
		svc, err := orders.New(orders.Config{DB: d, Clock: s.clock}, poison{s.stock, juice}, slow{s.program, gate}, s.room, s.audit)
		if err != nil {
			t.Fatal(err)
		}
		s.svc = svc
		s.run()
		answers := make(chan error, 21)
		one := func(i int, sku, quantity int64) {
			_, err := svc.Place(t.Context(), orders.Placement{BuyerID: int64(i), SessionID: show, Items: []orders.Item{{SKUID: sku, Quantity: quantity}}, Key: "k"})
			answers <- err
		}
		for i := range 20 {
			go one(i+1, scarfRed, 1)
		}
		gone, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := svc.Place(gone, orders.Placement{BuyerID: 99, SessionID: show, Items: []orders.Item{{SKUID: scarfRed, Quantity: 1}}, Key: "k"})
			left <- err
		}()
		go one(50, juice, 3)
		time.Sleep(50 * time.Millisecond) // the first is in its transaction, the others wait together
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		close(gate)
		bad := 0
		for range 21 {
			if err := <-answers; err != nil {
				bad++
			}
		}
		if bad != 1 {
			t.Fatalf("%d failed", bad)
		}
		if r := s.stock.row(t, scarfRed); r.Reserved < 20 || r.Reserved > 21 { // the one who left may have been the first
			t.Fatalf("stock %+v", r)
		}
		s.whole()
	})
}

func TestQueueIsBounded(t *testing.T) {
	d, err := db.Open(t.Context(), testshop.SQLiteURL(t), db.OneConnection())
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Migrate(t.Context(), schema()); err != nil {
		t.Fatal(err)
	}
	s := newShop(t, d) // nobody places
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	results := make(chan error, 5000)
	for i := range 5000 {
		go func() {
			_, err := s.svc.Place(ctx, orders.Placement{BuyerID: int64(i), SessionID: show, Items: []orders.Item{{SKUID: scarfRed, Quantity: 1}}, Key: "k"})
			results <- err
		}()
	}
	for range 5000 - 4096 {
		if err := <-results; !errors.Is(err, orders.ErrBusy) {
			t.Fatal(err)
		}
	}
	a := s.call("buyer1", "POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}]}`, "Idempotency-Key", "k")
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "1" {
		t.Fatalf("%d %s", a.status, a.body)
	}
}

func TestStopPlacing(t *testing.T) {
	eachShop(t, func(t *testing.T, s *shop) {
		id := s.order("buyer1", "k1", scarfRed, 1).id()
		s.svc.StopPlacing()
		a := s.call("buyer1", "POST", "/api/v1/orders", `{"session_id":1,"items":[{"sku_id":11,"quantity":1}]}`, "Idempotency-Key", "k2")
		if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") != "5" {
			t.Fatalf("%d %s", a.status, a.body)
		}
		s.pay("buyer1", id)
	})
}
