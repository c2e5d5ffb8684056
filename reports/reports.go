// Package reports says what a session sold and how it was watched. Facts first, figures second: Facts are plain rows
// gathered from the other nouns, Compute turns them into a Report without any database, and every figure has its formula
// beside it (formulas.go). The definitions are those of product.md; where that says "ours", the formula says so.
//
// It guarantees, to the fen: anchors + room = channels = products = GMV paid. Nothing is stored: a report can always be
// computed again from the rows.
package reports

import (
	"context"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// ErrNotYet answers for sessions that have not been on air.
var ErrNotYet = fault.New(fault.NotFound, "no-report", "this session has not been on air; there is nothing to report yet")

// Facts are all that a report is made of.
type Facts struct {
	Session  Session
	Gaps     []Span // interruptions
	Pins     []Pin
	Shelf    []Item
	Visits   []Visit
	Acts     []Act
	Orders   []Order
	Later    Later   // by the same viewers within 7 days after the session
	Levels   []Level // stock of the shelf's SKUs over time, oldest first
	Now      time.Time
	Evenings []Totals // of the last sessions before this one, for the usual evening
}

// Session is the evening itself.
type Session struct {
	ID       int64
	Title    string
	State    string
	StartsAt time.Time
	LiveAt   time.Time // t0; zero: has not been on air
	EndedAt  time.Time // t1; zero: still on air
	Anchors  []string
}

// Span is a stretch of time; To is zero while it lasts.
type Span struct{ From, To time.Time }

// Pin says that a product was explained.
type Pin struct {
	ID, ProductID int64
	Anchors       []string
	Span
}

// Item is one SKU of the shelf.
type Item struct {
	ProductID, SKUID int64
	Title, SKUName   string
}

// Visit is one stay of a viewer in the room.
type Visit struct {
	Viewer string
	Span
}

// Act is what a viewer did: chat, like, share, follow, click, exposure.
type Act struct {
	Viewer, Kind string
	ProductID    int64
	Count        int64
	At           time.Time
}

// Order is one order of the session, whatever came of it.
type Order struct {
	ID, Viewer, Channel string
	TotalFen, PaidFen   int64
	CouponFen, Points   int64 // what coupons took off, and points that paid: beside the money, never in it
	CreatedAt, PaidAt   time.Time
	Lines               []Line
	Shares              []int64 // of PaidFen, by line; nil: in proportion to the lines' prices
	Refunds             []Refund
}

// Line is one SKU of an order; Anchors held the pin of its product when it was placed.
type Line struct {
	ProductID, SKUID   int64
	Title, SKUName     string
	Quantity, PriceFen int64
	Anchors            []string
}

// Refund is money that goes back; SucceededAt is zero while it is under way.
type Refund struct {
	AmountFen                int64
	RequestedAt, SucceededAt time.Time
}

// Later sums up orders after the session; never added to it.
type Later struct{ Orders, PaidOrders, PaidFen int64 }

// Level is the free stock of a SKU from a moment on.
type Level struct {
	SKUID int64
	At    time.Time
	Free  int64
}

// Sessions gives the evening's own facts, and the sessions that were on air before a moment, the latest first.
type Sessions interface {
	Session(ctx context.Context, id int64) (Facts, error)
	OnAirBefore(ctx context.Context, before time.Time, limit int) ([]Session, error)
	// MayRead lets operators and the session's own anchors in.
	MayRead(ctx context.Context, id int64, a web.Actor) error
}

// Sales gives the session's orders.
type Sales interface {
	Orders(ctx context.Context, sessionID int64) ([]Order, error)
	// After sums up what these viewers ordered elsewhere in [from, to).
	After(ctx context.Context, viewers []string, sessionID int64, from, to time.Time) (Later, error)
}

// Audience gives who was there and what they did.
type Audience interface {
	Visits(ctx context.Context, sessionID int64) ([]Visit, error)
	Acts(ctx context.Context, sessionID int64) ([]Act, error)
}

// Stock gives the free stock of SKUs at from and at each change until to.
type Stock interface {
	Levels(ctx context.Context, skuIDs []int64, from, to time.Time) ([]Level, error)
}

// Service gathers facts and gives reports.
type Service struct {
	clock    clock.Clock
	sessions Sessions
	sales    Sales
	audience Audience
	stock    Stock

	mu   sync.Mutex // guards seen
	seen map[int64]kept
}

type kept struct {
	totals Totals
	until  time.Time
}

// New returns the service.
func New(c clock.Clock, sessions Sessions, sales Sales, audience Audience, stock Stock) *Service {
	return &Service{clock: c, sessions: sessions, sales: sales, audience: audience, stock: stock, seen: map[int64]kept{}}
}

// usualOf is how many evenings make the usual one.
const usualOf = 10

// Report gathers a session's facts and computes its report.
func (s *Service) Report(ctx context.Context, id int64) (Report, error) {
	f, err := s.facts(ctx, id)
	if err != nil {
		return Report{}, err
	}
	before, err := s.sessions.OnAirBefore(ctx, f.Session.LiveAt, usualOf)
	if err != nil {
		return Report{}, err
	}
	for _, b := range before {
		t, err := s.totals(ctx, b)
		if err != nil {
			return Report{}, err
		}
		f.Evenings = append(f.Evenings, t)
	}
	return Compute(f), nil
}

func (s *Service) facts(ctx context.Context, id int64) (Facts, error) {
	f, err := s.sessions.Session(ctx, id)
	if err != nil {
		return f, err
	}
	f.Now = s.clock.Now()
	if f.Session.LiveAt.IsZero() {
		return f, ErrNotYet
	}
	if f.Visits, err = s.audience.Visits(ctx, id); err != nil {
		return f, err
	}
	if f.Acts, err = s.audience.Acts(ctx, id); err != nil {
		return f, err
	}
	if f.Orders, err = s.sales.Orders(ctx, id); err != nil {
		return f, err
	}
	w := f.window()
	if !f.Session.EndedAt.IsZero() {
		if f.Later, err = s.sales.After(ctx, viewersOf(f), id, w.To, w.To.AddDate(0, 0, 7)); err != nil {
			return f, err
		}
	}
	skus := make([]int64, len(f.Shelf))
	for i, it := range f.Shelf {
		skus[i] = it.SKUID
	}
	f.Levels, err = s.stock.Levels(ctx, skus, w.From, w.To)
	return f, err
}

// viewersOf gives everybody who watched or bought, each once.
func viewersOf(f Facts) []string {
	seen := map[string]bool{}
	var all []string
	add := func(v string) {
		if !seen[v] {
			seen[v] = true
			all = append(all, v)
		}
	}
	for _, v := range f.Visits {
		add(v.Viewer)
	}
	for _, o := range f.Orders {
		add(o.Viewer)
	}
	return all
}

// totalsLife is how long totals of a past session are kept in memory: refunds may still come.
const totalsLife = 2 * time.Minute

// totals gives a session's totals, from memory for a while.
func (s *Service) totals(ctx context.Context, x Session) (Totals, error) {
	now := s.clock.Now()
	s.mu.Lock()
	k, ok := s.seen[x.ID]
	s.mu.Unlock()
	if ok && now.Before(k.until) && !x.EndedAt.IsZero() {
		return k.totals, nil
	}
	f, err := s.facts(ctx, x.ID)
	if err != nil {
		return Totals{}, err
	}
	t := Compute(f).Totals
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) > 500 {
		clear(s.seen)
	}
	s.seen[x.ID] = kept{t, now.Add(totalsLife)}
	return t, nil
}

// Line of the list of reports.
type Summary struct {
	Session Session
	Totals  Totals
}

// List gives the sessions that were on air before a moment with their totals, the latest first.
func (s *Service) List(ctx context.Context, before time.Time, limit int) ([]Summary, error) {
	all, err := s.sessions.OnAirBefore(ctx, before, limit)
	if err != nil {
		return nil, err
	}
	out := make([]Summary, len(all))
	for i, x := range all {
		t, err := s.totals(ctx, x)
		if err != nil {
			return nil, err
		}
		out[i] = Summary{x, t}
	}
	return out, nil
}
