// Package fulfilment is the desk that sends what was sold: what has to be sent, parcels by hand and by list, labels and
// picking lists, and whether the parcels arrived. Read this file first; then imports.go (CSV in), lists.go (CSV out,
// picking), print.go (pages for the printer).
//
// It guarantees: a parcel is booked once, however often it is told (by hand, by a list run twice, by two processes), in
// the transaction that counts the units out of the house; who told it and when is kept. It asks its caller to give Left
// to orders as the hook for what has left, and Received as the hook for completed orders.
package fulfilment

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package; those of orders pass through.
var (
	ErrParcelState = fault.New(fault.Conflict, "wrong-state", "the parcel's state does not allow this")
	ErrOtherGoods  = fault.New(fault.Conflict, "parcel-known", "this parcel is known with other contents; correct that one, or use another tracking number")
	ErrRowErrors   = fault.New(fault.Conflict, "import-has-errors", "some rows are wrong; mend the file and send it again, or confirm with skip_errors to take the others")
)

// State is where a parcel is.
type State string

// The states.
const (
	Sent      State = "sent"
	Delivered State = "delivered"
	Refused   State = "refused" // on its way back: the buyer did not take it
	Lost      State = "lost"
)

// Move is one line of the table of allowed moves.
type Move struct {
	From, To State
	When     string
}

// Moves is the one table of a parcel's moves; whatever is not in it is refused.
func Moves() []Move {
	return []Move{
		{Sent, Delivered, "the carrier or the buyer says so"},
		{Sent, Refused, "the buyer did not take it"},
		{Sent, Lost, "the carrier can't find it"},
		{Lost, Delivered, "it was found"},
	}
}

func may(from, to State) bool {
	return slices.ContainsFunc(Moves(), func(m Move) bool { return m.From == from && m.To == to })
}

// Piece is a number of units of one line of an order.
type Piece struct {
	Line     int   `json:"line"`
	Quantity int64 `json:"quantity"`
}

// Parcel is one parcel of one order.
type Parcel struct {
	ID          int64
	OrderID     string
	Carrier     string // code of Carriers
	TrackingNo  string
	Pieces      []Piece
	State       State
	Source      string // "hand", "import", "exchange"
	By          string // who told it
	Why         string // of its last change
	SentAt      time.Time
	DeliveredAt time.Time
}

// Order is an order as the desk needs it.
type Order struct {
	Seq         int64
	ID          string
	SessionID   int64
	State       string // orders' states
	Channel     string
	Number      string // of another platform
	Buyer       string
	TotalFen    int64
	PaidFen     int64
	RefundedFen int64
	Address     *Address
	Lines       []Line
	CreatedAt   time.Time
	PaidAt      time.Time
}

// Address is where an order goes.
type Address struct{ Name, Phone, Province, City, District, Detail string }

// Line is one line of an order with where its units are.
type Line struct {
	SKUID     int64
	ProductID int64
	Title     string
	SKUName   string
	Fresh     bool
	PriceFen  int64
	Quantity  int64
	CalledOff int64 // refunded before they left
	Sent      int64
	Returned  int64
}

// ToSend is what has still to leave.
func (l Line) ToSend() int64 { return l.Quantity - l.CalledOff - l.Sent }

// Filter says which orders the desk wants to see. Zero fields don't narrow.
type Filter struct {
	States    []string
	SessionID int64
	SKUID     int64
	Channel   string
	IDs       []string
	Query     string // an order's number, a tracking number or a buyer's account name
	Buyer     string
	From, To  time.Time
	After     int64
	Oldest    bool
	Limit     int
}

// Note is one line of an order's timeline.
type Note struct{ What, By, Why, Ref string }

// Orders is what fulfilment needs of orders. Every method joins the transaction in ctx.
type Orders interface {
	Desk(ctx context.Context, f Filter) ([]Order, error)
	// MaySee is nil for an order's buyer and for operators, else what a stranger gets.
	MaySee(ctx context.Context, a web.Actor, orderID string) error
	// Hold keeps the order from changing until the transaction ends.
	Hold(ctx context.Context, orderID string) error
	// Dispatch counts units out of the house; orders then calls Left.
	Dispatch(ctx context.Context, orderID, carrier, trackingNo, source string, pieces []Piece) error
	// Complete ends a shipped order on the system's word; false: it is in no state for that.
	Complete(ctx context.Context, orderID string) (bool, error)
	Note(ctx context.Context, orderID string, n Note) error
}

// Audit keeps what operators do; joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Config is what New needs. The waits are our own rule; the law has none.
type Config struct {
	DB    *db.DB
	Clock clock.Clock
	// Told is called in the transaction when a parcel has changed: webhooks. Nil: nobody.
	Told          func(ctx context.Context, p Parcel) error
	AfterDelivery time.Duration // an order completes by itself so long after all its parcels arrived; 0 = 7 days
	AfterSending  time.Duration // and so long after they left, when nothing is heard of them; 0 = 15 days
}

// Service is the desk.
type Service struct {
	db     *db.DB
	store  store
	clock  clock.Clock
	orders Orders
	audit  Audit
	config Config
}

// New returns the desk.
func New(c Config, orders Orders, audit Audit) (*Service, error) {
	if c.DB == nil || c.Clock == nil || orders == nil || audit == nil {
		return nil, errors.New("fulfilment: database, clock, orders and audit are required")
	}
	if c.AfterDelivery == 0 {
		c.AfterDelivery = 7 * 24 * time.Hour
	}
	if c.AfterSending == 0 {
		c.AfterSending = 15 * 24 * time.Hour
	}
	if c.Told == nil {
		c.Told = func(context.Context, Parcel) error { return nil }
	}
	return &Service{db: c.DB, store: store{c.DB}, clock: c.Clock, orders: orders, audit: audit, config: c}, nil
}

// DeskOrder is an order with its parcels.
type DeskOrder struct {
	Order
	Parcels []Parcel
}

// Desk gives orders with their parcels.
func (s *Service) Desk(ctx context.Context, f Filter) ([]DeskOrder, error) {
	found, err := s.find(ctx, f)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(found))
	for i, o := range found {
		ids[i] = o.ID
	}
	parcels, err := s.store.ofOrders(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make([]DeskOrder, len(found))
	for i, o := range found {
		out[i] = DeskOrder{o, parcels[o.ID]}
	}
	return out, nil
}

// find narrows by the query, which may be any of the numbers that people read out on the telephone.
func (s *Service) find(ctx context.Context, f Filter) ([]Order, error) {
	q := strings.TrimSpace(f.Query)
	if q == "" {
		return s.orders.Desk(ctx, f)
	}
	ids, err := s.store.ordersOf(ctx, number(q), f.Limit)
	if err != nil {
		return nil, err
	}
	if len(ids) == 0 && len(q) == orderIDLength {
		ids = []string{strings.ToLower(q)}
	}
	if f.IDs = ids; len(ids) == 0 {
		f.Buyer = q
	}
	return s.orders.Desk(ctx, f)
}

const orderIDLength = 26

// Sending is one parcel that an operator tells.
type Sending struct {
	OrderID    string
	Carrier    string // code, name or alias
	TrackingNo string
	Pieces     []Piece // empty: everything that has still to be sent
}

func (x *Sending) normalise() error {
	c, ok := CarrierOf(x.Carrier)
	if !ok {
		return fault.Bad("carrier", "unknown carrier; take one of GET /api/v1/fulfilment/carriers")
	}
	x.Carrier = c.Code
	var err error
	x.TrackingNo, err = checkNumber(x.TrackingNo)
	return err
}

// Send books a parcel. The same parcel told again is the one that there is.
func (s *Service) Send(ctx context.Context, x Sending) (Parcel, error) { return s.send(ctx, x, "hand") }

func (s *Service) send(ctx context.Context, x Sending, source string) (Parcel, error) {
	if err := x.normalise(); err != nil {
		return Parcel{}, err
	}
	var p Parcel
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.orders.Hold(ctx, x.OrderID); err != nil {
			return err
		}
		old, ok, err := s.store.known(ctx, x.OrderID, x.Carrier, x.TrackingNo)
		if err != nil {
			return err
		}
		if ok {
			p = old
			return old.same(x.Pieces)
		}
		if err := s.orders.Dispatch(ctx, x.OrderID, x.Carrier, x.TrackingNo, source, x.Pieces); err != nil {
			return err
		}
		p, ok, err = s.store.known(ctx, x.OrderID, x.Carrier, x.TrackingNo)
		if err == nil && !ok {
			err = errors.New("fulfilment: orders did not tell of the parcel that left")
		}
		return err
	})
	return p, err
}

// same refuses another content under the same number; nothing said is the same.
func (p Parcel) same(pieces []Piece) error {
	if len(pieces) == 0 {
		return nil
	}
	given := slices.Clone(pieces)
	slices.SortFunc(given, func(a, b Piece) int { return a.Line - b.Line })
	if !slices.Equal(given, p.Pieces) {
		return ErrOtherGoods
	}
	return nil
}

// Left is orders' word, in its transaction, that a parcel has left.
func (s *Service) Left(ctx context.Context, p Parcel) error {
	p.State, p.By, p.SentAt = Sent, web.ActorFrom(ctx).Name, s.clock.Now().Truncate(time.Millisecond)
	if c, ok := CarrierOf(p.Carrier); ok {
		p.Carrier = c.Code
	}
	old, ok, err := s.store.known(ctx, p.OrderID, p.Carrier, p.TrackingNo)
	if err != nil {
		return err
	}
	if ok { // the rest went into the same parcel
		old.Pieces = merge(old.Pieces, p.Pieces)
		return errors.Join(s.store.save(ctx, old, s.due(old)), s.config.Told(ctx, old))
	}
	p.Pieces = merge(nil, p.Pieces)
	if err := s.store.add(ctx, &p, s.clock.Now().Add(s.config.AfterSending)); err != nil {
		return err
	}
	return s.config.Told(ctx, p)
}

// merge adds pieces up by line, in the order of lines.
func merge(a, b []Piece) []Piece {
	var out []Piece
	for _, p := range slices.Concat(a, b) {
		if i := slices.IndexFunc(out, func(o Piece) bool { return o.Line == p.Line }); i >= 0 {
			out[i].Quantity += p.Quantity
			continue
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Piece) int { return a.Line - b.Line })
	return out
}

// Outcome is what became of one of many.
type Outcome struct {
	OrderID string
	Parcel  Parcel
	Err     error // nil: sent
}

// MaxMany is how many parcels one call may tell.
const MaxMany = 200

// SendMany books many parcels, each on its own: one that is refused does not hold up the others.
func (s *Service) SendMany(ctx context.Context, all []Sending) ([]Outcome, error) {
	out := make([]Outcome, len(all))
	for i, x := range all {
		p, err := s.Send(ctx, x)
		if k := fault.KindOf(err); err != nil && (k == fault.Internal || k == fault.Unavailable) {
			return nil, err
		}
		out[i] = Outcome{x.OrderID, p, err}
	}
	return out, nil
}

// Parcels gives the parcels of an order to its buyer and to operators.
func (s *Service) Parcels(ctx context.Context, a web.Actor, orderID string) ([]Parcel, error) {
	if err := s.orders.MaySee(ctx, a, orderID); err != nil {
		return nil, err
	}
	all, err := s.store.ofOrders(ctx, []string{orderID})
	return all[orderID], err
}

// Correct gives a parcel another carrier or number: somebody had mistyped it.
func (s *Service) Correct(ctx context.Context, id int64, carrier, trackingNo, why string) (Parcel, error) {
	x := Sending{Carrier: carrier, TrackingNo: trackingNo}
	if err := x.normalise(); err != nil {
		return Parcel{}, err
	}
	return s.change(ctx, id, why, func(ctx context.Context, p *Parcel) (string, error) {
		if p.State != Sent {
			return "", ErrParcelState.Saying("only a parcel on its way can be corrected")
		}
		p.Carrier, p.TrackingNo = x.Carrier, x.TrackingNo
		return "parcel corrected", nil
	})
}

// Mark says what became of a parcel. Saying it twice is fine.
func (s *Service) Mark(ctx context.Context, id int64, to State, why string) (Parcel, error) {
	return s.change(ctx, id, why, func(_ context.Context, p *Parcel) (string, error) {
		if p.State == to {
			return "", nil
		}
		if !may(p.State, to) {
			return "", ErrParcelState.Saying("a parcel that is " + string(p.State) + " can't become " + string(to))
		}
		p.State = to
		if to == Delivered {
			p.DeliveredAt = s.clock.Now().Truncate(time.Millisecond)
		}
		return "parcel " + string(to), nil
	})
}

// change loads a parcel, lets fn change it and say what that is called, and keeps who, when and why.
func (s *Service) change(ctx context.Context, id int64, why string, fn func(context.Context, *Parcel) (string, error)) (Parcel, error) {
	why = strings.TrimSpace(why)
	if utf8.RuneCountInString(why) > 200 {
		return Parcel{}, fault.Bad("why", "at most 200 characters")
	}
	var p Parcel
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		var err error
		if p, err = s.store.lock(ctx, id); err != nil {
			return err
		}
		what, err := fn(ctx, &p)
		if err != nil || what == "" {
			return err
		}
		p.Why = why
		if err := s.store.save(ctx, p, s.due(p)); err != nil {
			return err
		}
		if err := s.orders.Note(ctx, p.OrderID, Note{What: what, By: "operator", Why: why, Ref: p.Carrier + " " + p.TrackingNo}); err != nil {
			return err
		}
		if err := s.audit.Record(ctx, "parcel.change", p.OrderID, map[string]any{"parcel": p.ID, "what": what, "why": why}); err != nil {
			return err
		}
		return s.config.Told(ctx, p)
	})
	if errors.Is(err, errTwice) {
		return Parcel{}, ErrOtherGoods.At("tracking_no")
	}
	return p, err
}

// due is when a parcel's order may complete by itself; zero: never by this parcel.
func (s *Service) due(p Parcel) time.Time {
	switch p.State {
	case Sent:
		return p.SentAt.Add(s.config.AfterSending)
	case Delivered:
		return p.DeliveredAt.Add(s.config.AfterDelivery)
	case Refused, Lost:
	}
	return time.Time{}
}

// Received is orders' word, in its transaction, that an order is completed: its parcels on the way have arrived.
func (s *Service) Received(ctx context.Context, orderID string) error {
	return s.store.received(ctx, orderID, s.clock.Now())
}

// DeliveredAt says when the last of an order's parcels arrived; zero when one of them has not, or there is none.
func (s *Service) DeliveredAt(ctx context.Context, orderID string) (time.Time, error) {
	all, err := s.store.ofOrders(ctx, []string{orderID})
	if err != nil {
		return time.Time{}, err
	}
	var last time.Time
	for _, p := range all[orderID] {
		if p.State != Delivered {
			return time.Time{}, nil
		}
		if p.DeliveredAt.After(last) {
			last = p.DeliveredAt
		}
	}
	return last, nil
}

const (
	sweepEvery = time.Minute
	sweepBatch = 100
	again      = 24 * time.Hour // until an order that could not complete is looked at again
	keepFor    = 30 * 24 * time.Hour
)

// Run completes orders whose parcels arrived long ago and forgets old import previews, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if _, err := s.Sweep(ctx); err != nil && ctx.Err() == nil {
			slog.Warn("completing delivered orders failed and is repeated", "error", err)
		}
	}
}

// Sweep completes up to one batch of orders and says how many. Safe to run anywhere, by many: each is done in a
// transaction that looks again.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	now := s.clock.Now()
	if err := s.store.forgetImports(ctx, now.Add(-keepFor)); err != nil {
		return 0, err
	}
	ids, err := s.store.due(ctx, now, sweepBatch)
	n := 0
	for _, id := range ids {
		done, err := s.complete(ctx, id, now)
		if err != nil {
			return n, err
		}
		if done {
			n++
		}
	}
	return n, err
}

func (s *Service) complete(ctx context.Context, orderID string, now time.Time) (done bool, err error) {
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		all, err := s.store.ofOrders(ctx, []string{orderID})
		if err != nil {
			return err
		}
		for _, p := range all[orderID] {
			if due := s.due(p); due.IsZero() || due.After(now) {
				return s.store.postpone(ctx, orderID, now.Add(again))
			}
		}
		if done, err = s.orders.Complete(ctx, orderID); err != nil {
			return err
		}
		if done {
			return nil // Received has settled the parcels
		}
		return s.store.postpone(ctx, orderID, now.Add(again))
	})
	return done, err
}
