package promotions_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/civic/points"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/rule"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/pricing"
	"github.com/duoduopin/duoduopin/promotions"
)

func TestMain(m *testing.M) { testshop.Main(m) }

var evening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

const (
	show, scarf, juice, tote = 7, 11, 21, 31 // a session and three SKUs of products 1, 2, 3
	bai, stranger            = 1, 2
)

// town is the other nouns in plain values.
type town struct {
	mu      sync.Mutex
	acts    []string
	free    map[int64]int64
	deals   []deal
	closed  bool
	changed []int64
}

// deal is one unit sold and paid for.
type deal struct {
	sku, fen int64
	at       time.Time
}

func (w *town) Record(_ context.Context, action, subject string, _ any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acts = append(w.acts, action+" "+subject)
	return nil
}

func (w *town) Goods(_ context.Context, skus []int64) (map[int64]promotions.Good, error) {
	out := map[int64]promotions.Good{}
	for _, id := range skus {
		if n, ok := w.free[id]; ok {
			out[id] = promotions.Good{ProductID: id / 10, Title: fmt.Sprint("good ", id), SKUName: "one", Free: n}
		}
	}
	return out, nil
}

func (w *town) Selling(_ context.Context, session, sku int64) (promotions.Good, bool, error) {
	price := map[int64]int64{scarf: 12800, juice: 990}[sku]
	if session != show || price == 0 {
		return promotions.Good{}, false, fault.Bad("sku_id", "is not on this session's shelf")
	}
	return promotions.Good{ProductID: sku / 10, PriceFen: price}, !w.closed, nil
}

func (w *town) LowestDeals(_ context.Context, from, to time.Time, skus []int64) (map[int64]int64, error) {
	out := map[int64]int64{}
	for _, d := range w.deals {
		for _, id := range skus {
			if d.sku == id && !d.at.Before(from) && d.at.Before(to) && (out[id] == 0 || d.fen < out[id]) {
				out[id] = d.fen
			}
		}
	}
	return out, nil
}

func (*town) AccountID(_ context.Context, name string) (int64, error) {
	if id, ok := map[string]int64{"bai": bai, "stranger": stranger}[name]; ok {
		return id, nil
	}
	return 0, fault.Missing("account")
}

func (w *town) hear(products []int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.changed = append(w.changed, products...)
}

// heard gives the products that rooms were told of since it was last asked.
func (w *town) heard() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := fmt.Sprint(w.changed)
	w.changed = nil
	return all
}

type shop struct {
	*promotions.Service
	t      testing.TB
	db     *db.DB
	town   *town
	clock  *clock.Manual
	points *points.Service
	orders int
	as     context.Context // an operator
}

func schema() []db.Migration { return append(promotions.Migrations(), points.Migrations()...) }

func newShop(t testing.TB, d *db.DB, w *town, c *clock.Manual) *shop {
	t.Helper()
	s := &shop{t: t, db: d, town: w, clock: c, points: points.New(d, c, w, w)}
	var err error
	s.Service, err = promotions.New(promotions.Config{DB: d, Clock: c, OnChange: w.hear}, promotions.Needs{Goods: w, Sessions: w, Deals: w, Points: s.points, Accounts: w, Audit: w})
	if err != nil {
		t.Fatal(err)
	}
	s.as = web.WithActor(context.Background(), web.Actor{AccountID: 9, Name: "op", Role: web.Operator})
	return s
}

func newTown() *town { return &town{free: map[int64]int64{scarf: 100, juice: 100, tote: 5}} }

func each(t *testing.T, fn func(t *testing.T, s *shop)) {
	t.Helper()
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) { fn(t, newShop(t, d, newTown(), clock.NewManual(evening))) })
}

// pair gives two shops on one database: two processes' worth of connections.
func pair(t *testing.T, fn func(t *testing.T, both [2]*shop)) {
	t.Helper()
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			var both [2]*shop
			w, c := newTown(), clock.NewManual(evening)
			for i := range both {
				d, err := db.Open(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = d.Close() })
				if err := d.Migrate(t.Context(), schema()); err != nil {
					t.Fatal(err)
				}
				both[i] = newShop(t, d, w, c)
			}
			fn(t, both)
			both[0].whole()
		})
	}
}

// whole wants every rule of conservation to hold, the points' and those between the two included.
func (s *shop) whole() {
	s.t.Helper()
	found, err := broken(s.Rules(context.Background()))
	if err != nil {
		s.t.Fatal(err)
	}
	more, err := broken(s.points.Rules(context.Background()))
	if err != nil || len(found)+len(more) > 0 {
		s.t.Fatalf("%v %v %v", found, more, err)
	}
	used, err := s.Sums(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	total, err := s.points.Totals(context.Background())
	if err != nil || total.Spent != used.Spent || total.Spent-total.Returned > used.Points {
		s.t.Fatalf("%+v %+v %v", used, total, err)
	}
}

func (s *shop) basket(buyer, sku, quantity int64, codes ...string) pricing.Basket {
	price := map[int64]int64{scarf: 12800, juice: 990}[sku]
	return pricing.Basket{
		BuyerID: buyer, SessionID: show, At: s.clock.Now(), Codes: codes,
		Lines: []pricing.Line{{SKUID: sku, ProductID: sku / 10, Quantity: quantity, PriceFen: price}},
	}
}

// buy prices and takes baskets as the placing lane does, in one transaction, and gives the breakdowns and the refusals.
func (s *shop) buy(ids []string, baskets ...pricing.Basket) ([]pricing.Priced, error) {
	var all []pricing.Priced
	err := s.db.Tx(context.Background(), func(ctx context.Context) error {
		var err error
		if all, err = s.Price(ctx, baskets); err != nil {
			return err
		}
		var takes []pricing.Spending
		for i, p := range all {
			if p.Err == nil {
				takes = append(takes, pricing.Spending{OrderID: ids[i], BuyerID: baskets[i].BuyerID, Breakdown: p.Breakdown})
			}
		}
		return s.Take(ctx, takes)
	})
	return all, err
}

// order buys one basket and wants it to work.
func (s *shop) order(b pricing.Basket) (string, *pricing.Breakdown) {
	s.t.Helper()
	s.orders++
	id := fmt.Sprint("o", s.orders)
	all, err := s.buy([]string{id}, b)
	if err != nil || all[0].Err != nil {
		s.t.Fatal(err, all)
	}
	return id, all[0].Breakdown
}

func (s *shop) tx(fn func(ctx context.Context) error) {
	s.t.Helper()
	if err := s.db.Tx(context.Background(), fn); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) back(id string) {
	s.t.Helper()
	s.tx(func(ctx context.Context) error { return s.GiveBack(ctx, []string{id}) })
}

// coupon makes a kind of coupon that lasts a day.
func (s *shop) coupon(c promotions.Coupon) promotions.Coupon {
	s.t.Helper()
	c.Title, c.Until = "coupon", s.clock.Now().AddDate(0, 0, 1)
	c, err := s.CreateCoupon(s.as, c)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *shop) claim(buyer int64, c promotions.Coupon) string {
	s.t.Helper()
	h, err := s.Claim(context.Background(), buyer, c.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return h.Code
}

func (s *shop) grant(buyer, n int64) {
	s.t.Helper()
	s.orders++
	if _, err := s.points.Earn(context.Background(), points.Grant{Account: buyer, Points: n, Source: "test", Ref: fmt.Sprint("g", s.orders)}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) balance(buyer int64) int64 {
	s.t.Helper()
	_, n, err := s.points.Lots(context.Background(), buyer)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// code gives a fault's code, "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	text, _, _ := strings.Cut(err.Error(), ":")
	return text
}

// broken gives one sentence for each break of a rule.
func broken(rules []rule.Rule, err error) ([]string, error) {
	var all []string
	for _, r := range rules {
		for _, b := range r.Broken {
			all = append(all, b.Text)
		}
	}
	return all, err
}

// fewer sets a flag unless the command line has: the whole package is to stay quick.
func fewer(t *testing.T, name, value string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given {
		if err := flag.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
}
