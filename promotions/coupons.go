package promotions

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Coupon is one kind of coupon, of which people hold copies.
type Coupon struct {
	ID           int64
	Title        string
	Percent      int64 // off, 1 to 99; 0: OffFen
	OffFen       int64
	CapFen       int64 // of a percentage; 0: none
	ThresholdFen int64
	Products     []int64 // only for these; empty: for all
	Sessions     []int64 // only in these; empty: in all
	Window
	Quota     int64 // how many are given out in all; 0: no bound
	PerPerson int64 // how many one person may have in all
	BudgetFen int64 // how much they may take off in all; 0: no bound
	Claimable bool  // buyers take it themselves; else it is only issued
	Stopped   bool

	Issued   int64
	SpentFen int64 // taken off by orders that stand
}

// Held is one coupon in somebody's hand.
type Held struct {
	Seq     int64 // rising; for paging
	Code    string
	Coupon  Coupon
	BuyerID int64
	GivenAt time.Time
	OrderID string // that spent it; empty: it has not been
}

const (
	maxPerPerson = 100
	maxQuota     = 10_000_000
	maxIssue     = 500 // accounts named at once
)

// CreateCoupon adds a kind of coupon. Operators only, as the route says.
func (s *Service) CreateCoupon(ctx context.Context, c Coupon) (Coupon, error) {
	if err := c.check(s.now()); err != nil {
		return Coupon{}, err
	}
	err := s.enact(ctx, "coupon.create", func(ctx context.Context) (string, any, error) {
		err := s.store.addCoupon(ctx, &c, by(ctx), s.now())
		return couponRef(c.ID), map[string]any{"title": c.Title, "percent": c.Percent, "off_fen": c.OffFen, "budget_fen": c.BudgetFen, "quota": c.Quota}, err
	})
	return c, err
}

func couponRef(id int64) string { return fmt.Sprintf("coupon/%d", id) }

func (c *Coupon) check(now time.Time) (err error) {
	if c.Title, err = plain("title", c.Title, 60); err != nil {
		return err
	}
	if c.PerPerson == 0 {
		c.PerPerson = 1
	}
	switch {
	case c.Percent < 0 || c.Percent > 99:
		return fault.Bad("percent", "must be 1 to 99")
	case c.Percent > 0 && c.OffFen != 0:
		return fault.Bad("off_fen", "a coupon takes off a percentage or an amount, not both")
	case c.Percent == 0 && c.CapFen != 0:
		return fault.Bad("cap_fen", "belongs to a percentage")
	case c.PerPerson < 1 || c.PerPerson > maxPerPerson:
		return fault.Bad("per_person", fmt.Sprintf("must be 1 to %d", maxPerPerson))
	case c.Quota < 0 || c.Quota > maxQuota:
		return fault.Bad("quota", fmt.Sprintf("must be 0 (no bound) to %d", maxQuota))
	}
	if c.Percent == 0 {
		if err := checkFen("off_fen", c.OffFen, 1); err != nil {
			return err
		}
	}
	for field, fen := range map[string]int64{"cap_fen": c.CapFen, "threshold_fen": c.ThresholdFen, "budget_fen": c.BudgetFen} {
		if err := checkFen(field, fen, 0); err != nil {
			return err
		}
	}
	if err := checkScope("products", c.Products); err != nil {
		return err
	}
	if err := checkScope("sessions", c.Sessions); err != nil {
		return err
	}
	return c.Window.check(now)
}

// StopCoupon ends a kind of coupon at once: none is given out any more and none in hand can be used. Orders that stand
// keep what it took off. Stopping twice is fine.
func (s *Service) StopCoupon(ctx context.Context, id int64, reason string) (Coupon, error) {
	err := s.enact(ctx, "coupon.stop", func(ctx context.Context) (string, any, error) {
		return couponRef(id), map[string]any{"reason": reason}, s.store.stopCoupon(ctx, id)
	})
	if err != nil {
		return Coupon{}, err
	}
	return s.store.coupon(ctx, id)
}

// Coupons gives kinds of coupons below an id (0: from the newest), newest first.
func (s *Service) Coupons(ctx context.Context, before int64, limit int) ([]Coupon, error) {
	return s.store.coupons(ctx, before, limit)
}

// maxOffered bounds how many coupons a room is offered.
const maxOffered = 50

// Offered gives the coupons that people in a session may take now, and how many of each an account has.
func (s *Service) Offered(ctx context.Context, sessionID, account int64) ([]Coupon, map[int64]int64, error) {
	all, err := s.store.claimable(ctx, s.now(), maxOffered*4)
	if err != nil {
		return nil, nil, err
	}
	var out []Coupon
	var ids []int64
	for _, c := range all {
		if (len(c.Sessions) == 0 || contains(c.Sessions, sessionID)) && len(out) < maxOffered {
			out, ids = append(out, c), append(ids, c.ID)
		}
	}
	if account == 0 || len(ids) == 0 {
		return out, map[int64]int64{}, nil
	}
	mine, err := s.store.heldCounts(ctx, account, ids)
	return out, mine, err
}

// Claim takes a coupon for an account.
func (s *Service) Claim(ctx context.Context, account, couponID int64) (Held, error) {
	var h Held
	err := s.db.Tx(ctx, func(ctx context.Context) (err error) {
		h, err = s.give(ctx, account, couponID, "", func(c Coupon) bool { return c.Claimable })
		return err
	})
	return h, err
}

// Issue gives a coupon to each of the named accounts, or to none. Operators only, as the route says.
func (s *Service) Issue(ctx context.Context, couponID int64, names []string) ([]Held, error) {
	if len(names) < 1 || len(names) > maxIssue {
		return nil, fault.Bad("accounts", fmt.Sprintf("1 to %d names", maxIssue))
	}
	var all []Held
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		for i, n := range names {
			account, err := s.Accounts.AccountID(ctx, n)
			if err != nil {
				return fault.Bad(fmt.Sprintf("accounts[%d]", i), n+" is not an account").Because(err)
			}
			h, err := s.give(ctx, account, couponID, by(ctx), func(Coupon) bool { return true })
			if err != nil {
				return err
			}
			all = append(all, h)
		}
		return s.Audit.Record(ctx, "coupon.issue", couponRef(couponID), map[string]any{"accounts": names})
	})
	return all, err
}

// give hands out one copy, inside a transaction: raising the count locks the coupon, so that the limits below it hold.
func (s *Service) give(ctx context.Context, account, couponID int64, by string, may func(Coupon) bool) (Held, error) {
	now := s.now()
	c, err := s.store.coupon(ctx, couponID)
	switch {
	case err != nil:
		return Held{}, err
	case c.Stopped, !may(c), now.Before(c.From), !now.Before(c.Until):
		return Held{}, ErrNotGiven
	case c.BudgetFen > 0 && c.SpentFen >= c.BudgetFen:
		return Held{}, ErrGone
	}
	if err := s.store.countIssued(ctx, couponID); err != nil {
		return Held{}, err
	}
	had, err := s.store.heldCounts(ctx, account, []int64{couponID})
	if err != nil {
		return Held{}, err
	}
	if had[couponID] >= c.PerPerson {
		return Held{}, ErrClaimed
	}
	h := Held{Code: newCode(), Coupon: c, BuyerID: account, GivenAt: now}
	return h, s.store.addHeld(ctx, &h, by)
}

// newCode gives a coupon's code: 16 characters of chance, 80 bits.
func newCode() string { return strings.ToLower(rand.Text()[:16]) }

// Mine gives an account's coupons below a seq (0: from the newest), newest first.
func (s *Service) Mine(ctx context.Context, account, before int64, limit int) ([]Held, error) {
	return s.store.held(ctx, account, before, limit)
}
