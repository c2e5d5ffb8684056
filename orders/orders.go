// Package orders sells: it places orders, holds their stock, takes and returns money, and can prove afterwards that every
// fen and every unit is accounted for. Read this file first: types, faults, needs, Service. Then lane.go (placing),
// pay.go (money in), refund.go (money back), work.go (expiry and telling), verify.go (the proof).
//
// It guarantees: an order it has answered for is committed; a repeat with the same Idempotency-Key is the same order; no
// unit is sold twice, by the placing lane and again by guards in SQL, so that several processes may sell from one
// database; each payment counts once however often its callback comes.
//
// It asks of its caller: Run must be running for Place to answer; what it needs of other nouns joins the transaction in
// the context (Stock, Sessions, Audit), except Room, which is told after commit and may fail.
package orders

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/stock"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/pricing"
)

// Faults that leave this package. Those of Stock (code "sold-out") pass through as they are.
var (
	ErrNoKey         = fault.New(fault.BadRequest, "missing-idempotency-key", "send an Idempotency-Key header of 1 to 200 printable characters; repeat it when you repeat the request")
	ErrMismatch      = fault.New(fault.Invalid, "idempotency-mismatch", "this Idempotency-Key was used with another body; take a new key for a new request")
	ErrNotOpen       = fault.New(fault.Conflict, "session-not-open", "this live session is not selling now")
	ErrPriceChanged  = fault.New(fault.Conflict, "price-changed", "the price has changed")
	ErrSoldOut       = fault.New(fault.Conflict, "sold-out", "not enough stock left")
	ErrOpenHold      = fault.New(fault.Conflict, "open-hold", "you already hold this unpaid; pay or cancel that order first")
	ErrBusy          = fault.New(fault.Unavailable, "busy", "too many orders at this moment; try again with the same Idempotency-Key").RetryAfter(time.Second)
	ErrStopping      = fault.New(fault.Unavailable, "stopping", "the server restarts; try again with the same Idempotency-Key").RetryAfter(5 * time.Second)
	ErrUnavailable   = fault.New(fault.Unavailable, "unavailable", "the shop can't write at this moment; try again with the same Idempotency-Key").RetryAfter(2 * time.Second)
	ErrState         = fault.New(fault.Conflict, "wrong-state", "the order's state does not allow this")
	ErrAlreadyPaid   = fault.New(fault.Conflict, "already-paid", "this order has been paid")
	ErrExpired       = fault.New(fault.Conflict, "order-expired", "the time to pay is over; place the order again")
	ErrNotPaid       = fault.New(fault.Conflict, "not-paid", "nothing has been paid that could be refunded")
	errNotSettleable = fault.Bad("settle", "only the sandbox can settle on request")
)

// Stock is what orders needs of the catalogue. Every method joins the transaction in ctx.
type Stock interface {
	// Reserve moves free stock to reserved, deciding in slice order after locking the SKUs in id order; result[i] is nil
	// or a fault with code "sold-out", and a refused hold takes nothing.
	Reserve(ctx context.Context, holds []stock.Hold) ([]error, error)
	// Sell moves reserved to sold, at payment.
	Sell(ctx context.Context, ref string, lines []stock.Line) error
	// Release moves reserved to free, at cancel or expiry, for many orders at once.
	Release(ctx context.Context, holds []stock.Hold) error
	// Return moves sold to free: refunded before it was shipped.
	Return(ctx context.Context, ref string, lines []stock.Line) error
}

// Sessions is what orders needs of the live sessions, read in the transaction of ctx.
type Sessions interface {
	// Offers gives what the session sells of skuIDs at this moment; a SKU that is not on its shelf is left out. A session
	// that does not exist is fault.Missing.
	Offers(ctx context.Context, sessionID int64, skuIDs []int64) (Offers, error)
}

// Offers is one session's terms at one moment.
type Offers struct {
	Open    bool            // live or interrupted: it may be bought from
	Hold    time.Duration   // how long an unpaid order keeps its stock; 0 = the shop's default
	Channel string          // "room"
	Items   map[int64]Offer // by SKU
}

// Offer is one SKU's terms.
type Offer struct {
	ProductID    int64
	Title        string
	SKUName      string
	PriceFen     int64
	SessionStock int64    // what this session may sell in all; -1: no limit of its own
	PinID        int64    // the pin that explains the product now; 0: none
	Anchors      []string // who holds that pin
	Fresh        bool     // exempt from the 7-day return
}

// Room tells the people in a live room; best effort, retried.
type Room interface {
	Post(ctx context.Context, sessionID int64, typ string, data any) error
}

// Audit keeps what operators and the system do to orders; joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Order is one order as this package knows it.
type Order struct {
	Seq          int64 // rising in the order of placing; for paging
	ID           string
	SessionID    int64
	BuyerID      int64  // 0: bought on another platform
	BuyerName    string // account name, or the label that the platform gave
	BuyerInitial string // what the room may know
	Channel      string
	Number       string // of another platform
	State        State
	Reason       string // why it was cancelled: "buyer", "operator", "expired"
	TotalFen     int64
	PaidFen      int64
	RefundedFen  int64 // requested or done
	PinID        int64
	Anchor       string // the single holder of the pin, else empty
	Address      *Address
	Lines        []Line
	Breakdown    *pricing.Breakdown // nil: nothing but the lines at their prices
	CreatedAt    time.Time
	ExpiresAt    time.Time // zero for imported orders
	PaidAt       time.Time
	Shipment     Shipment
	Payments     []Payment
	Refunds      []Refund
	Timeline     []Event

	idem, bodyHash, stock string
}

// Line is one SKU of an order, as it was when it was placed.
type Line struct {
	ProductID, SKUID int64
	Quantity         int64
	PriceFen         int64 // of one unit
	Title, SKUName   string
	Fresh            bool
	PinID            int64
	Anchors          []string
	Gift             bool // came along with the others
}

// Address is where an order goes.
type Address struct {
	Name     string `json:"name"`
	Phone    string `json:"phone"`
	Province string `json:"province"`
	City     string `json:"city"`
	District string `json:"district"`
	Detail   string `json:"detail"`
}

// Shipment is how an order goes there.
type Shipment struct {
	Carrier, TrackingNo string
	At                  time.Time
}

// Event is one line of an order's timeline.
type Event struct {
	At   time.Time
	What string // "placed", "paid", "cancelled", ...
	By   string // "buyer", "operator", "system"
}

// Config is what New needs besides the other nouns.
type Config struct {
	DB            *db.DB
	Clock         clock.Clock
	Registerer    prometheus.Registerer // nil: no metrics
	Limits        bool                  // at most maxOpenHolds unpaid orders per buyer and SKU
	SandboxSecret []byte                // key of the sandbox provider's callbacks; empty: made once and kept in the database
	HoldFor       time.Duration         // how long an unpaid order keeps its stock where the session does not say; 0 = 15 minutes
	Log           *slog.Logger          // nil: slog.Default
	Providers     []pay.Provider        // ways to pay besides the sandbox
	NoSandbox     bool                  // real money only
	PublicURL     string                // under which buyers reach the shop, to come back to from a provider's page; "https://..."
	Pricing       Pricing               // nil: the shelf's prices and nothing else
	Hooks         Hooks
}

const (
	defaultHold  = 15 * time.Minute
	maxOpenHolds = 1 // unpaid orders of one buyer that hold the same SKU
	shopID       = 1 // in every unique key, for the day when one database holds several shops
)

// Service is the orders noun.
type Service struct {
	db       *db.DB
	store    store
	clock    clock.Clock
	log      *slog.Logger
	limits   bool
	holdFor  time.Duration
	stock    Stock
	sessions Sessions
	room     Room
	audit    Audit
	metrics  metrics
	pricing  Pricing
	hooks    Hooks

	providers map[string]pay.Provider
	public    string
	lane      lane
	wake      chan struct{} // one token: there is something to tell
	stopping  atomic.Bool
	worker    string // names this process in leases
	secret    secretKeeper
}

// New returns the service. Placing waits until Run runs.
func New(c Config, st Stock, sessions Sessions, room Room, audit Audit) (*Service, error) {
	if c.DB == nil || c.Clock == nil || st == nil || sessions == nil || room == nil || audit == nil {
		return nil, errors.New("orders: database, clock, stock, sessions, room and audit are required")
	}
	if c.HoldFor == 0 {
		c.HoldFor = defaultHold
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Service{
		db: c.DB, store: store{c.DB}, clock: c.Clock, log: c.Log, limits: c.Limits, holdFor: c.HoldFor,
		stock: st, sessions: sessions, room: room, audit: audit, pricing: c.Pricing, hooks: c.Hooks,
		lane: newLane(), wake: make(chan struct{}, 1), worker: newID(c.Clock.Now()),
		secret: secretKeeper{key: c.SandboxSecret},
	}
	s.metrics = newMetrics(c.Registerer, func() float64 { return float64(len(s.lane.queue)) })
	s.providers, s.public = map[string]pay.Provider{}, c.PublicURL
	if !c.NoSandbox {
		s.providers[SandboxName] = sandbox{secret: s.sandboxSecret, clock: c.Clock, store: s.store}
	}
	for _, p := range c.Providers {
		s.providers[p.Name()] = p
	}
	return s, nil
}

// Run owns the placing lane, the sweeper of expired holds, the teller of rooms and the collector of payments, and returns
// when ctx has ended and all have finished; what had been queued by then is still placed.
func (s *Service) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { s.runLane(ctx); return nil })
	g.Go(func() error { s.runSweeper(ctx); return nil })
	g.Go(func() error { s.runTeller(ctx); return nil })
	g.Go(func() error { s.runCollector(ctx); return nil })
	return g.Wait()
}

// StopPlacing makes Place answer ErrStopping from now on; what has been queued is still placed. First step of a shutdown.
func (s *Service) StopPlacing() { s.stopping.Store(true) }

// Order gives one order to its buyer or to an operator; to all others it is missing.
func (s *Service) Order(ctx context.Context, a web.Actor, id string) (Order, error) {
	o, err := s.store.order(ctx, id)
	if err != nil {
		return Order{}, err
	}
	return o, mayTouch(a, o)
}

// mayTouch: an order belongs to its buyer, and operators see all. A stranger gets the answer of an order that isn't there.
func mayTouch(a web.Actor, o Order) error {
	if a.Is(web.Operator) || a.SignedIn() && a.AccountID == o.BuyerID {
		return nil
	}
	return fault.Missing("order")
}

// Filter says which orders a list holds.
type Filter struct {
	SessionID int64
	State     State
	Mine      bool  // also for operators: only what they bought themselves
	Before    int64 // Seq to go on below; 0: from the newest
	Limit     int
}

// List gives the actor's own orders, an operator's all, newest first.
func (s *Service) List(ctx context.Context, a web.Actor, f Filter) ([]Order, error) {
	var buyer int64
	if f.Mine || !a.Is(web.Operator) {
		buyer = a.AccountID
	}
	return s.store.list(ctx, f, buyer)
}

// Cancel gives up an unpaid order, for its buyer or an operator, and frees its stock. Cancelling twice is fine.
func (s *Service) Cancel(ctx context.Context, a web.Actor, id string) (Order, error) {
	return s.change(ctx, a, id, func(ctx context.Context, o *Order) error {
		if o.State == Cancelled {
			return nil
		}
		by := "buyer"
		if a.AccountID != o.BuyerID {
			by = "operator"
			if err := s.audit.Record(ctx, "order.cancel", o.ID, map[string]any{"total_fen": o.TotalFen}); err != nil {
				return err
			}
		}
		return s.cancel(ctx, o, by, by)
	})
}

// cancel is every cancellation, inside a transaction that holds the order.
func (s *Service) cancel(ctx context.Context, o *Order, reason, by string) error {
	if err := s.move(ctx, o, Cancelled, "cancelled", by, change{"reason": reason, "stock": stockFree}); err != nil {
		return err
	}
	return s.release(ctx, []*Order{o})
}

// Ship says that a paid order is on its way. Operators only; saying the same twice is fine.
func (s *Service) Ship(ctx context.Context, a web.Actor, id, carrier, trackingNo string) (Order, error) {
	return s.change(ctx, a, id, func(ctx context.Context, o *Order) error {
		if o.State == Shipped && o.Shipment.Carrier == carrier && o.Shipment.TrackingNo == trackingNo {
			return nil
		}
		if o.State != Paid {
			return ErrState.Saying("an order that is " + string(o.State) + " can't become " + string(Shipped))
		}
		return s.dispatch(ctx, o, Dispatch{Carrier: carrier, TrackingNo: trackingNo, Source: "hand"})
	})
}

// SetAddress says where an order goes, until it has been sent: for its buyer or an operator.
func (s *Service) SetAddress(ctx context.Context, a web.Actor, id string, to Address) (Order, error) {
	if err := to.check(); err != nil {
		return Order{}, err
	}
	return s.change(ctx, a, id, func(ctx context.Context, o *Order) error {
		if o.State != Pending && o.State != Paid {
			return ErrState.Saying("the address of an order that is " + string(o.State) + " can't be changed any more")
		}
		by := "buyer"
		if a.AccountID != o.BuyerID {
			by = "operator"
			if err := s.audit.Record(ctx, "order.address", o.ID, nil); err != nil {
				return err
			}
		}
		if err := s.samePostage(ctx, o, to); err != nil {
			return err
		}
		if err := s.store.setAddress(ctx, o.ID, o.State, to); err != nil {
			return err
		}
		return s.store.addEvent(ctx, o.ID, Event{At: s.clock.Now(), What: "address", By: by})
	})
}

// Complete is the buyer's word that the goods are there. Saying it twice is fine.
func (s *Service) Complete(ctx context.Context, a web.Actor, id string) (Order, error) {
	return s.change(ctx, a, id, func(ctx context.Context, o *Order) error {
		if o.State == Completed {
			return nil
		}
		return s.move(ctx, o, Completed, "completed", "buyer", nil)
	})
}

// change loads an order that the actor may touch, locked, lets fn change it, and gives it as it then stands.
func (s *Service) change(ctx context.Context, a web.Actor, id string, fn func(context.Context, *Order) error) (Order, error) {
	var after Order
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		o, err := s.store.lockOrder(ctx, id)
		if err != nil {
			return err
		}
		if err := mayTouch(a, o); err != nil {
			return err
		}
		if err := fn(ctx, &o); err != nil {
			return err
		}
		after, err = s.store.order(ctx, id)
		return err
	})
	return after, err
}

// move is the only way to another state: the table decides, a guarded statement does it, the timeline remembers.
func (s *Service) move(ctx context.Context, o *Order, to State, what, by string, set change) error {
	if !May(o.State, to) {
		return ErrState.Saying("an order that is " + string(o.State) + " can't become " + string(to))
	}
	if err := s.store.move(ctx, o.ID, o.State, to, set); err != nil {
		return err
	}
	o.State = to
	if err := s.note(ctx, o.ID, Note{What: what, By: by}); err != nil {
		return err
	}
	return s.told(ctx, *o)
}

// Taken gives how much of each SKU a session's open and paid orders hold, for its session stock.
func (s *Service) Taken(ctx context.Context, sessionID int64) (map[int64]int64, error) {
	return s.store.taken(ctx, sessionID)
}

// secretKeeper keeps a key that is looked up in the database when first needed.
type secretKeeper struct {
	mu  sync.Mutex
	key []byte
}

// sandboxSecret gives the key of the sandbox's callbacks: the configured one, else one that all processes on this database share.
func (s *Service) sandboxSecret(ctx context.Context) ([]byte, error) {
	s.secret.mu.Lock()
	defer s.secret.mu.Unlock()
	if len(s.secret.key) > 0 {
		return s.secret.key, nil
	}
	key, err := s.store.providerSecret(ctx, SandboxName)
	if err == nil && !db.InTx(ctx) { // a transaction may still be rolled back
		s.secret.key = key
	}
	return key, err
}
