// Package points keeps consumption points: 100 points are 1 yuan, so 1 point is 1 fen, in whole numbers. Read this file
// first: what they are and the verbs; store.go has the tables and the proofs.
//
// It guarantees: points come in lots that expire, and are spent from the lot that expires first; a balance never goes below
// zero, by a guarded statement and a CHECK; every change is a row, so that issued - expired - spent + returned = balances,
// per lot and per account (Rules). Repeating an Earn or a Spend with the same ref changes nothing.
//
// It asks: Spend and Return join the transaction in the context, so that points and what they paid for stand or fall
// together. Run takes expired lots away; no balance depends on it being on time, for expired lots count as gone at once.
package points

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/pricing"
)

// Faults of this package.
var (
	ErrShort = fault.New(fault.Conflict, "points", "there are not that many points")
	ErrKey   = fault.New(fault.BadRequest, "missing-idempotency-key", "send an Idempotency-Key header of 1 to 200 printable characters; repeat it when you repeat the request")
	ErrOther = fault.New(fault.Invalid, "idempotency-mismatch", "this Idempotency-Key was used with another body; take a new key for a new request")
)

const (
	// Max is the most that one lot may have: a million yuan.
	Max = 100_000_000
	// life is how long points last unless the grant says otherwise. Ours.
	life = 365 * 24 * time.Hour
	// grace is how long points last that come back after their lot has expired. Ours.
	grace = 30 * 24 * time.Hour
)

// Lot is points that came together and expire together.
type Lot struct {
	ID        int64
	Points    int64 // as issued
	Left      int64
	Source    string // why they came: "grant", "grab"
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Kind is what an entry does to a balance.
type Kind string

// The kinds of entries.
const (
	Issued   Kind = "issued"
	Spent    Kind = "spent"
	Returned Kind = "returned"
	Expired  Kind = "expired"
)

// Entry is one change of one lot.
type Entry struct {
	ID     int64
	LotID  int64
	Kind   Kind
	Points int64 // above zero whatever the kind
	Ref    string
	At     time.Time
}

// Grant is points to be given.
type Grant struct {
	Account   int64
	Points    int64
	Source    string
	Ref       string    // unique: who gives twice with the same ref gives once
	ExpiresAt time.Time // zero: a year from now
}

// Totals are the sums that product.md wants shown beside GMV.
type Totals struct{ Issued, Expired, Spent, Returned, Balances int64 }

// Audit keeps what operators do; joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Accounts says which accounts there are.
type Accounts interface {
	// AccountID gives the account of a sign-in name; a fault if there is none.
	AccountID(ctx context.Context, name string) (int64, error)
}

// Service is the points noun.
type Service struct {
	db       *db.DB
	store    store
	clock    clock.Clock
	log      *slog.Logger
	audit    Audit
	accounts Accounts
}

// New returns the service.
func New(d *db.DB, c clock.Clock, audit Audit, accounts Accounts) *Service {
	return &Service{db: d, store: store{d}, clock: c, log: slog.Default(), audit: audit, accounts: accounts}
}

// Earn gives points. Repeated with the same ref it gives the lot that there is; with another body, ErrOther.
func (s *Service) Earn(ctx context.Context, g Grant) (Lot, error) {
	lot, _, err := s.earn(ctx, g)
	return lot, err
}

// earn is Earn, and says whether the lot is new.
func (s *Service) earn(ctx context.Context, g Grant) (lot Lot, fresh bool, err error) {
	now := s.clock.Now().Truncate(time.Millisecond)
	if g.ExpiresAt.IsZero() {
		g.ExpiresAt = now.Add(life)
	}
	g.ExpiresAt = g.ExpiresAt.UTC().Truncate(time.Millisecond)
	if err := g.check(now); err != nil {
		return Lot{}, false, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.lock(ctx, []int64{g.Account}, true); err != nil {
			return err
		}
		old, account, err := s.store.lotByRef(ctx, g.Ref)
		if err == nil && old.ID != 0 {
			lot = old
			if account != g.Account || old.Points != g.Points {
				return ErrOther
			}
			return nil
		}
		if err != nil {
			return err
		}
		fresh = true
		lot, err = s.store.issue(ctx, g, now)
		return err
	})
	return lot, fresh, err
}

func (g *Grant) check(now time.Time) error {
	switch {
	case g.Points < 1 || g.Points > Max:
		return fault.Bad("points", "must be 1 to 100,000,000")
	case !g.ExpiresAt.After(now):
		return fault.Bad("expires_at", "must be in the future")
	case g.ExpiresAt.Year() > 2100:
		return fault.Bad("expires_at", "is not a time of this century")
	case g.Ref == "" || len(g.Ref) > 240:
		return ErrKey
	}
	g.Source = strings.TrimSpace(g.Source)
	if g.Source == "" || utf8.RuneCountInString(g.Source) > 100 || strings.ContainsFunc(g.Source, unicode.IsControl) {
		return fault.Bad("reason", "1 to 100 characters of plain text")
	}
	return nil
}

// Balances gives the spendable points of accounts. Inside a transaction it keeps them from changing until it ends.
func (s *Service) Balances(ctx context.Context, accounts []int64) (map[int64]int64, error) {
	if db.InTx(ctx) {
		if err := s.store.lock(ctx, accounts, false); err != nil {
			return nil, err
		}
	}
	return s.store.spendable(ctx, accounts, s.clock.Now())
}

// Spend takes points under a ref, those that expire first, in the transaction of ctx. Repeated with the same ref it does
// nothing.
func (s *Service) Spend(ctx context.Context, account, n int64, ref string) error {
	return s.SpendAll(ctx, []pricing.PointsSpent{{Account: account, Points: n, Ref: ref}})
}

// SpendAll is Spend for many, all or nothing, in a handful of statements. An account may stand in it more than once.
func (s *Service) SpendAll(ctx context.Context, all []pricing.PointsSpent) error {
	for _, p := range all {
		if p.Points < 1 || p.Points > Max {
			return fault.Bad("points", "must be 1 to 100,000,000")
		}
	}
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.lock(ctx, accountsOf(all), false); err != nil {
			return err
		}
		done, err := s.store.spentUnder(ctx, all)
		if err != nil {
			return err
		}
		all = slices.DeleteFunc(slices.Clone(all), func(p pricing.PointsSpent) bool { return done[p.Ref] })
		if len(all) == 0 {
			return nil
		}
		now := s.clock.Now()
		if err := s.store.expireAll(ctx, accountsOf(all), now); err != nil {
			return err
		}
		return s.draw(ctx, all, now)
	})
}

func accountsOf(all []pricing.PointsSpent) []int64 {
	ids := make([]int64, len(all))
	for i, p := range all {
		ids[i] = p.Account
	}
	return ids
}

// draw lowers balances, which guards that there is enough, and draws from lots, those that expire first.
func (s *Service) draw(ctx context.Context, all []pricing.PointsSpent, now time.Time) error {
	sums := map[int64]int64{}
	for _, p := range all {
		sums[p.Account] += p.Points
	}
	if err := s.store.takeAll(ctx, sums); err != nil {
		return err
	}
	lots, err := s.store.lotsOf(ctx, accountsOf(all))
	if err != nil {
		return err
	}
	var entries []entryRow
	drawn := map[int64]int64{}
	for _, p := range all {
		n := p.Points
		for i := 0; n > 0; i++ {
			if i == len(lots[p.Account]) {
				return errors.New("points: the balance of an account is more than its lots")
			}
			l := &lots[p.Account][i]
			if part := min(n, l.Left); part > 0 {
				entries = append(entries, entryRow{AccountID: p.Account, LotID: l.ID, Kind: string(Spent), Points: part, Ref: p.Ref, AtMs: db.Millis(now)})
				drawn[l.ID] += part
				l.Left -= part
				n -= part
			}
		}
	}
	return s.store.drawAll(ctx, entries, drawn)
}

// Return gives back what was spent under ref, until total points of it are back; a total that has been reached changes
// nothing. They go back to the lots they came from, those that last longest first; a lot that has expired since lasts
// another 30 days. It joins the transaction of ctx.
func (s *Service) Return(ctx context.Context, account int64, ref string, total int64) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.lock(ctx, []int64{account}, false); err != nil {
			return err
		}
		drawn, err := s.store.drawn(ctx, ref)
		if err != nil {
			return err
		}
		var spent, back int64
		for _, d := range drawn {
			spent, back = spent+d.Spent, back+d.Back
		}
		n := min(total, spent) - back
		if n <= 0 {
			return nil
		}
		return s.returnTo(ctx, account, drawn, n, ref)
	})
}

func (s *Service) returnTo(ctx context.Context, account int64, drawn []draw, n int64, ref string) error {
	now := s.clock.Now()
	if err := s.store.expire(ctx, account, now); err != nil {
		return err
	}
	for _, d := range drawn {
		part := min(n, d.Spent-d.Back)
		if part == 0 {
			continue
		}
		if err := s.store.outlive(ctx, d.LotID, now, now.Add(grace)); err != nil {
			return err
		}
		if err := s.store.move(ctx, account, entryRow{LotID: d.LotID, Kind: string(Returned), Points: part, Ref: ref}, now); err != nil {
			return err
		}
		if n -= part; n == 0 {
			break
		}
	}
	return nil
}

// Expire takes away what has expired, of up to a hundred accounts, and says how many it found. Two processes may do so at
// once: each account is locked, and what is gone is not found again.
func (s *Service) Expire(ctx context.Context) (int, error) {
	now := s.clock.Now()
	accounts, err := s.store.overdue(ctx, now, 100)
	if err != nil {
		return 0, err
	}
	for _, a := range accounts {
		err := s.db.Tx(ctx, func(ctx context.Context) error {
			if err := s.store.lock(ctx, []int64{a}, false); err != nil {
				return err
			}
			return s.store.expire(ctx, a, now)
		})
		if err != nil {
			return 0, err
		}
	}
	return len(accounts), nil
}

// expireEvery is how often Run looks for expired lots.
const expireEvery = time.Minute

// Run takes expired lots away until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(expireEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		for {
			n, err := s.Expire(ctx)
			if err != nil && ctx.Err() == nil {
				s.log.Warn("expiring points failed and is repeated", "error", err.Error())
			}
			if err != nil || n == 0 {
				break
			}
		}
	}
}

// Lots gives an account's lots with something left, those that expire first first, and their sum.
func (s *Service) Lots(ctx context.Context, account int64) ([]Lot, int64, error) {
	all, err := s.store.openLots(ctx, account)
	now := s.clock.Now()
	var lots []Lot
	var sum int64
	for _, l := range all {
		if l.ExpiresAt.After(now) {
			lots = append(lots, l)
			sum += l.Left
		}
	}
	return lots, sum, err
}

// Entries gives an account's changes below an id (0: from the newest), newest first.
func (s *Service) Entries(ctx context.Context, account, before int64, limit int) ([]Entry, error) {
	return s.store.entries(ctx, account, before, limit)
}

// SpentUnder gives how many points were ever spent under refs that begin with prefix, those that came back included.
func (s *Service) SpentUnder(ctx context.Context, prefix string) (int64, error) {
	return s.store.spentLike(ctx, prefix)
}

// Totals sums up the whole ledger.
func (s *Service) Totals(ctx context.Context) (Totals, error) { return s.store.totals(ctx) }
