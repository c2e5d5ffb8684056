// Package payments holds our books against the daily bills of the payment providers and keeps what differs, day by day. Read
// this file first: types, needs, Service; then compare.go (the pure comparison), run.go (the daily job). The providers
// themselves are in payments/wechat and payments/alipay, the forms of their bills in payments/bills.
//
// It guarantees: every line of a bill and every booking of its day is looked at, and every difference becomes a row that
// stays; running a day again with the same bill and books changes nothing.
//
// It asks of its caller: Run must be running for bills to be fetched by themselves.
package payments

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Books is what payments needs of the orders.
type Books interface {
	// Booked gives the payments that a provider settled, and the refunds that it accepted, in [from, to).
	Booked(ctx context.Context, provider string, from, to time.Time) ([]pay.Booking, error)
	// BookedAs gives what is booked under any of these numbers, whenever it was: payments by our number or the provider's,
	// refunds by ours.
	BookedAs(ctx context.Context, provider string, payments, providerNos, refunds []string) ([]pay.Booking, error)
}

// Biller is a provider as far as bills go.
type Biller interface {
	Name() string
	Bill(ctx context.Context, day time.Time) ([]pay.Line, error)
}

// Audit keeps what operators do; joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// State is where the reconciliation of a day stands.
type State string

// The states.
const (
	Waiting State = "waiting" // for its time, or for the bill
	Failed  State = "failed"  // the bill could not be had or read; it is tried again
	Done    State = "done"
)

// Sum is a number of payments or refunds and their money.
type Sum struct {
	Count int64
	Fen   int64
}

// Report is the reconciliation of one day with one provider.
type Report struct {
	ID        int64
	Provider  string
	Day       time.Time // its start, in China
	State     State
	Problem   string // why it waits or failed
	Ours      Totals
	Theirs    Totals
	Open      int64 // differences that nobody has resolved and that are still there
	Total     int64 // all that were ever found
	DoneAt    time.Time
	CheckedAt time.Time // the last run
}

// Totals are a side's sums.
type Totals struct{ Payments, Refunds Sum }

// Found is a difference as it is kept.
type Found struct {
	ID, ReportID int64
	Difference
	FoundAt    time.Time
	ClearedAt  time.Time // a later run no longer finds it
	ResolvedBy string
	ResolvedAt time.Time
	Note       string
}

// Config is what New needs besides books and billers.
type Config struct {
	DB         *db.DB
	Clock      clock.Clock
	Registerer prometheus.Registerer // nil: no metrics
	Log        *slog.Logger          // nil: slog.Default
	Worker     string                // names this process in leases
}

// Service is the payments noun.
type Service struct {
	db      *db.DB
	store   store
	clock   clock.Clock
	log     *slog.Logger
	worker  string
	books   Books
	billers map[string]Biller
	audit   Audit
	found   prometheus.Counter
}

// New returns the service; without billers there is nothing to reconcile.
func New(c Config, books Books, billers []Biller, audit Audit) (*Service, error) {
	if c.DB == nil || c.Clock == nil || books == nil || audit == nil || c.Worker == "" {
		return nil, errors.New("payments: database, clock, worker, books and audit are required")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Service{db: c.DB, store: store{c.DB}, clock: c.Clock, log: c.Log, worker: c.Worker, books: books, billers: map[string]Biller{}, audit: audit}
	for _, b := range billers {
		s.billers[b.Name()] = b
	}
	s.found = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "duoduopin_payments_differences_total", Help: "Differences found between our books and providers' bills; each waits for an operator.",
	})
	if c.Registerer != nil {
		c.Registerer.MustRegister(s.found)
	}
	return s, nil
}

// errNoBiller names the providers that there are.
func (s *Service) errNoBiller() error {
	names := slices.Sorted(maps.Keys(s.billers))
	if len(names) == 0 {
		return fault.Bad("provider", "no payment provider with bills is switched on")
	}
	return fault.Bad("provider", "unknown; there is: "+strings.Join(names, ", "))
}

// Reports gives reconciliations, newest day first. Operators only.
func (s *Service) Reports(ctx context.Context, a web.Actor, provider string, before int64, n int) ([]Report, error) {
	if !a.Is(web.Operator) {
		return nil, web.ErrForbidden
	}
	return s.store.reports(ctx, provider, before, n)
}

// Report gives one. Operators only.
func (s *Service) Report(ctx context.Context, a web.Actor, id int64) (Report, error) {
	if !a.Is(web.Operator) {
		return Report{}, web.ErrForbidden
	}
	return s.store.report(ctx, id)
}

// Filter says which differences a list holds.
type Filter struct {
	Kind  Kind
	Open  bool
	After int64
	Limit int
}

// Differences gives what differs on a day, in the order of finding. Operators only.
func (s *Service) Differences(ctx context.Context, a web.Actor, reportID int64, f Filter) ([]Found, error) {
	if _, err := s.Report(ctx, a, reportID); err != nil {
		return nil, err
	}
	return s.store.differences(ctx, reportID, f)
}

// Resolve says what became of a difference, with a note. Operators only; the row stays. Saying it twice is fine.
func (s *Service) Resolve(ctx context.Context, a web.Actor, reportID, id int64, note string) (Found, error) {
	if !a.Is(web.Operator) {
		return Found{}, web.ErrForbidden
	}
	var f Found
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		first, err := s.store.resolve(ctx, reportID, id, a.Name, note, s.clock.Now())
		if err != nil {
			return err
		}
		if f, err = s.store.difference(ctx, reportID, id); err != nil || !first {
			return err
		}
		return s.audit.Record(ctx, "reconciliation.resolved", f.PaymentID, map[string]any{"difference": id, "kind": f.Kind, "note": note})
	})
	return f, err
}
