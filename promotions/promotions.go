// Package promotions keeps what makes a price other than the shelf's: coupons, gifts with a purchase, shipping templates
// and flash sales. What they come to is computed by package pricing; here is who has them, what is left of them, and that
// nothing is used twice. Read this file first; then coupons.go, flash.go, gifts.go and shipping.go (what operators and
// buyers do), price.go (what orders asks inside the placing transaction), store.go (the tables), proofs.go (the proof).
//
// It guarantees: a coupon is spent by one order at a time; budgets, quotas, stocks and limits per person hold whatever
// happens at once, by row locks and guarded statements; what an order used is rows, so that Rules can add it up again.
//
// It asks: Take, GiveBack, Retake and Refunded are called in the transaction that moves the order. Run must run for rooms
// to hear when a flash sale begins or ends; the price does not wait for it.
package promotions

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/pricing"
)

// Faults of this package; those of a price are package pricing's.
var (
	ErrClaimed   = fault.New(fault.Conflict, "coupon-limit", "you have had this coupon as often as one person may")
	ErrGone      = fault.New(fault.Conflict, "coupon-gone", "all of these coupons have been given out")
	ErrNotGiven  = fault.New(fault.Conflict, "coupon-closed", "this coupon is not given out now")
	ErrRunning   = fault.New(fault.Conflict, "flash-running", "there is a flash sale of this SKU in this session already; extend or stop it")
	ErrOver      = fault.New(fault.Conflict, "flash-over", "this flash sale is over")
	ErrNotOnAir  = fault.New(fault.Conflict, "session-not-open", "a flash sale needs a session that is on air")
	errTakenAway = fault.New(fault.Conflict, "promotion-gone", "somebody else was faster; try again")
)

// Good is one SKU as the catalogue has it, and what a session asks for it.
type Good struct {
	ProductID      int64
	Title, SKUName string
	Fresh          bool
	Free           int64 // units that can be had
	PriceFen       int64
}

// Goods is what promotions needs of the catalogue, in the transaction of ctx; what may not be sold is left out.
type Goods interface {
	Goods(ctx context.Context, skuIDs []int64) (map[int64]Good, error)
}

// Sessions is what promotions needs of the live sessions.
type Sessions interface {
	// Selling gives what the session asks for a SKU now; open is false when it is not on air. A SKU that is not on its shelf
	// is a fault.
	Selling(ctx context.Context, sessionID, skuID int64) (g Good, open bool, err error)
}

// Deals is what promotions needs of the orders.
type Deals interface {
	// LowestDeals gives the lowest price in fen at which a unit of each SKU was sold and paid for in [from, to); a SKU that
	// was not is left out.
	LowestDeals(ctx context.Context, from, to time.Time, skuIDs []int64) (map[int64]int64, error)
}

// Points is what promotions needs of the points, in the transaction of ctx.
type Points interface {
	// Balances gives the spendable points, locked until the transaction ends.
	Balances(ctx context.Context, accounts []int64) (map[int64]int64, error)
	// SpendAll takes points of many, all or nothing.
	SpendAll(ctx context.Context, all []pricing.PointsSpent) error
	// Return gives back until total points of what was spent under ref are back.
	Return(ctx context.Context, account int64, ref string, total int64) error
}

// Accounts says which accounts there are.
type Accounts interface {
	AccountID(ctx context.Context, name string) (int64, error)
}

// Audit keeps what operators do; joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Needs are the other nouns.
type Needs struct {
	Goods    Goods
	Sessions Sessions
	Deals    Deals
	Points   Points
	Accounts Accounts
	Audit    Audit
}

// Config is what New needs besides.
type Config struct {
	DB    *db.DB
	Clock clock.Clock
	// OnChange is told of products whose price in some room has changed: a flash sale began, changed or ended. It must return
	// at once. Optional.
	OnChange func(productIDs []int64)
	Log      *slog.Logger // nil: slog.Default
}

// Service is the promotions noun.
type Service struct {
	Needs
	db     *db.DB
	store  store
	clock  clock.Clock
	log    *slog.Logger
	change func([]int64)

	mu     sync.Mutex // guards what follows
	kept   rules
	struck map[struckKey]int64
}

// New returns the service.
func New(c Config, n Needs) (*Service, error) {
	if c.DB == nil || c.Clock == nil || n.Goods == nil || n.Sessions == nil || n.Deals == nil || n.Points == nil || n.Accounts == nil || n.Audit == nil {
		return nil, errors.New("promotions: database, clock and every need are required")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.OnChange == nil {
		c.OnChange = func([]int64) {}
	}
	return &Service{Needs: n, db: c.DB, store: store{c.DB}, clock: c.Clock, log: c.Log, change: c.OnChange, struck: map[struckKey]int64{}}, nil
}

// rules is what is in force for everybody, as of a version that every change of them raises.
type rules struct {
	version   int64
	gifts     []Gift
	templates []pricing.Template
	weights   map[int64]int64
	flash     map[flashKey]Flash // those that have begun or are to begin
}

// rules gives what is in force. It asks the database for no more than its version while nothing has changed, so that it
// is right in every process at any moment and costs a placing batch one look-up.
func (s *Service) rules(ctx context.Context) (rules, error) {
	version, err := s.store.version(ctx)
	if err != nil {
		return rules{}, err
	}
	s.mu.Lock()
	kept := s.kept
	s.mu.Unlock()
	if kept.version == version {
		return kept, nil
	}
	r, err := s.store.rules(ctx)
	if err != nil {
		return rules{}, err
	}
	r.version = version
	s.mu.Lock()
	s.kept = r
	s.mu.Unlock()
	return r, nil
}

// enact runs fn in a transaction that changes rules, and keeps who did what.
func (s *Service) enact(ctx context.Context, action string, fn func(ctx context.Context) (subject string, detail any, err error)) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.bump(ctx); err != nil {
			return err
		}
		subject, detail, err := fn(ctx)
		if err != nil {
			return err
		}
		return s.Audit.Record(ctx, action, subject, detail)
	})
}

// now is the moment as rows keep it.
func (s *Service) now() time.Time { return s.clock.Now().UTC().Truncate(time.Millisecond) }

func by(ctx context.Context) string { return web.ActorFrom(ctx).Name }

// Window is from when until when something is in force.
type Window struct{ From, Until time.Time }

func (w *Window) check(now time.Time) error {
	if w.From.IsZero() {
		w.From = now
	}
	w.From, w.Until = w.From.UTC().Truncate(time.Millisecond), w.Until.UTC().Truncate(time.Millisecond)
	switch {
	case !w.Until.After(w.From):
		return fault.Bad("until", "must be after from")
	case !w.Until.After(now):
		return fault.Bad("until", "must be in the future")
	case w.From.Year() < 2020 || w.Until.Year() > 2100:
		return fault.Bad("until", "is not a time of this century")
	}
	return nil
}

// maxScope bounds how many products or sessions something may be restricted to.
const maxScope = 200

func checkScope(field string, ids []int64) error {
	if len(ids) > maxScope {
		return fault.Bad(field, fmt.Sprintf("at most %d", maxScope))
	}
	for i, id := range ids {
		if id < 1 {
			return fault.Bad(fmt.Sprintf("%s[%d]", field, i), "must be an id")
		}
	}
	return nil
}

func checkFen(field string, fen, least int64) error {
	if fen < least || fen > money.Max {
		return fault.Bad(field, fmt.Sprintf("must be %d to 100 million yuan, in fen", least))
	}
	return nil
}

// plain gives a title without spaces around, or says what is wrong with it.
func plain(field, text string, most int) (string, error) {
	text = strings.TrimSpace(text)
	if text == "" || utf8.RuneCountInString(text) > most || strings.ContainsFunc(text, unicode.IsControl) {
		return "", fault.Bad(field, fmt.Sprintf("1 to %d characters of plain text", most))
	}
	return text, nil
}

// tickEvery is how often Run looks for flash sales that began or ended.
const tickEvery = time.Second

// Run tells rooms of flash sales that began or ended by the clock, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(tickEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if _, err := s.Turn(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("following the flash sales failed and is repeated", "error", err.Error())
		}
	}
}
