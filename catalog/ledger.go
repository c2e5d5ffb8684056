package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/rule"
	"github.com/duoduopin/duoduopin/internal/stock"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Kinds of stock movements. The first three change how much there is; the others only where it is.
const (
	kindInitial  = "initial"
	kindRestock  = "restock"
	kindWriteOff = "write-off"
	kindReserve  = "reserve"
	kindRelease  = "release"
	kindSell     = "sell"
	kindReturn   = "return"
)

// movement is one row of the ledger: signed changes of the three amounts.
type movement struct {
	sku                  int64
	kind                 string
	free, reserved, sold int64
	ref, reason          string
}

// Movement is one row of the ledger as operators see it.
type Movement struct {
	ID                   int64
	At                   time.Time
	Kind                 string
	Free, Reserved, Sold int64
	Ref, Reason, By      string
}

// Reserve moves free stock to reserved, deciding in slice order after locking the SKUs in id order. result[i] is nil, or
// ErrSoldOut or ErrStopped; a refused hold takes nothing.
func (s *Service) Reserve(ctx context.Context, holds []stock.Hold) ([]error, error) {
	free, err := s.store.lockSKUs(ctx, skusOf(holds))
	if err != nil {
		return nil, err
	}
	results := make([]error, len(holds))
	taken := map[int64]int64{}
	var moves []movement
	for i, h := range holds {
		if results[i] = grantable(h, free, taken); results[i] != nil {
			continue
		}
		for _, l := range h.Lines {
			taken[l.SKUID] += l.Quantity
			moves = append(moves, movement{sku: l.SKUID, kind: kindReserve, free: -l.Quantity, reserved: l.Quantity, ref: h.Ref})
		}
	}
	return results, s.moveLocked(ctx, moves, free)
}

func grantable(h stock.Hold, free map[int64]SKU, taken map[int64]int64) error {
	for _, l := range h.Lines {
		sku, ok := free[l.SKUID]
		switch {
		case !ok:
			return fault.Missing("sku")
		case sku.Stopped:
			return ErrStopped
		case sku.Free-taken[l.SKUID] < l.Quantity:
			return ErrSoldOut.Saying(fmt.Sprintf("not enough stock left: %d of %q", sku.Free-taken[l.SKUID], sku.Name))
		}
	}
	return nil
}

func skusOf(holds []stock.Hold) []int64 {
	var ids []int64
	for _, h := range holds {
		for _, l := range h.Lines {
			ids = append(ids, l.SKUID)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Sell moves reserved to sold, at payment.
func (s *Service) Sell(ctx context.Context, ref string, lines []stock.Line) error {
	return s.moveLines(ctx, ref, lines, func(m *movement, n int64) { m.kind, m.reserved, m.sold = kindSell, -n, n })
}

// Release moves reserved to free, at cancel or expiry, for many holds at once.
func (s *Service) Release(ctx context.Context, holds []stock.Hold) error {
	var moves []movement
	for _, h := range holds {
		for _, l := range h.Lines {
			moves = append(moves, movement{sku: l.SKUID, kind: kindRelease, free: l.Quantity, reserved: -l.Quantity, ref: h.Ref})
		}
	}
	return s.move(ctx, moves)
}

// Return moves sold to free: refunded before it was shipped.
func (s *Service) Return(ctx context.Context, ref string, lines []stock.Line) error {
	return s.moveLines(ctx, ref, lines, func(m *movement, n int64) { m.kind, m.sold, m.free = kindReturn, -n, n })
}

func (s *Service) moveLines(ctx context.Context, ref string, lines []stock.Line, fill func(*movement, int64)) error {
	moves := make([]movement, len(lines))
	for i, l := range lines {
		moves[i] = movement{sku: l.SKUID, ref: ref}
		fill(&moves[i], l.Quantity)
	}
	return s.move(ctx, moves)
}

// Adjust adds stock that came or takes out what is lost, with a reason.
func (s *Service) Adjust(ctx context.Context, skuID, change int64, reason string) (SKU, error) {
	reason = strings.TrimSpace(reason)
	switch {
	case change == 0 || change > maxStock || change < -maxStock:
		return SKU{}, fault.Bad("change", "must be a number of units other than 0, at most 10,000,000")
	case reason == "" || len(reason) > 300:
		return SKU{}, fault.Bad("reason", "say why, in at most 100 characters")
	}
	m := movement{sku: skuID, kind: kindRestock, free: change, reason: reason}
	if change < 0 {
		m.kind = kindWriteOff
	}
	var after SKU
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		have, err := s.store.lockSKUs(ctx, []int64{skuID})
		if err != nil {
			return err
		}
		sku, ok := have[skuID]
		switch {
		case !ok:
			return fault.Missing("sku")
		case sku.Free+change < 0:
			return ErrTooLow.At("change")
		}
		if err := s.moveLocked(ctx, []movement{m}, have); err != nil {
			return err
		}
		after = sku
		after.Free += change
		return s.audit.Record(ctx, "stock."+m.kind, fmt.Sprintf("sku/%d", skuID), map[string]any{"change": change, "reason": reason})
	})
	return after, err
}

// move writes movements and their sums onto the SKUs, whose rows it locks in id order first.
func (s *Service) move(ctx context.Context, moves []movement) error {
	if len(moves) == 0 {
		return nil
	}
	skus := make([]int64, len(moves))
	for i, m := range moves {
		skus[i] = m.sku
	}
	slices.Sort(skus)
	return s.db.Tx(ctx, func(ctx context.Context) error {
		locked, err := s.store.lockSKUs(ctx, slices.Compact(skus))
		if err != nil {
			return err
		}
		return s.moveLocked(ctx, moves, locked)
	})
}

// moveLocked is move on rows that are locked, each sum with a guard that no amount becomes negative; it tells of the change
// after commit.
func (s *Service) moveLocked(ctx context.Context, moves []movement, locked map[int64]SKU) error {
	if len(moves) == 0 {
		return nil
	}
	sums := map[int64]movement{}
	for _, m := range moves {
		t := sums[m.sku]
		sums[m.sku] = movement{sku: m.sku, free: t.free + m.free, reserved: t.reserved + m.reserved, sold: t.sold + m.sold}
	}
	ordered := make([]movement, 0, len(sums))
	products := make([]int64, 0, len(sums))
	for _, m := range sums {
		ordered, products = append(ordered, m), append(products, locked[m.sku].ProductID)
	}
	slices.SortFunc(ordered, func(a, b movement) int { return cmp.Compare(a.sku, b.sku) })
	slices.Sort(products)
	if err := s.store.addAmounts(ctx, ordered); err != nil {
		return err
	}
	if err := s.store.addMovements(ctx, moves, s.clock.Now(), web.ActorFrom(ctx).Name); err != nil {
		return err
	}
	s.changedAfterCommit(ctx, slices.Compact(products)...)
	return nil
}

// Movements gives the ledger of a SKU, newest first, below a given id (0: from the newest).
func (s *Service) Movements(ctx context.Context, skuID, before int64, limit int) ([]Movement, error) {
	return s.store.movements(ctx, skuID, before, limit)
}

// Amounts gives what is reserved and sold of each SKU, to be held against the orders.
func (s *Service) Amounts(ctx context.Context) (reserved, sold map[int64]int64, err error) {
	return s.store.amounts(ctx)
}

// Broken is a SKU whose figures do not add up.
type Broken struct {
	SKUID int64
	Text  string
}

// Verify gives every SKU whose figures do not add up: see Rules.
func (s *Service) Verify(ctx context.Context) ([]Broken, error) {
	rules, err := s.Rules(ctx)
	var broken []Broken
	for _, r := range rules {
		for _, b := range r.Broken {
			broken = append(broken, Broken{b.SKU, b.Text})
		}
	}
	return broken, err
}

// Rules recomputes every SKU from its ledger: initial + restocked - written off = free + reserved + sold, and each of
// the three equals the sum of its movements.
func (s *Service) Rules(ctx context.Context) ([]rule.Rule, error) {
	books, err := s.store.books(ctx, 0)
	if err != nil {
		return nil, err
	}
	units := rule.Rule{ID: "sku-units", Title: "all units of a SKU are somewhere", Formula: "initial + restocked - written off = free + reserved + sold", Unit: "units"}
	moves := rule.Rule{ID: "sku-movements", Title: "a SKU's amounts are the sums of its movements", Formula: "free, reserved, sold = sums of the movements", Unit: "units"}
	for _, k := range books {
		id := fmt.Sprint(k.ID)
		if came := k.Initial + k.Restocked - k.WrittenOff; came != k.Free+k.Reserved+k.Sold {
			units.Add(rule.Break{
				Kind: "sku", ID: id, SKU: k.ID, Off: came - k.Free - k.Reserved - k.Sold,
				Text: fmt.Sprintf("SKU %d: initial + restocked - written off = %d, but free + reserved + sold = %d + %d + %d", k.ID, came, k.Free, k.Reserved, k.Sold),
			})
		}
		if k.Free != k.MovedFree || k.Reserved != k.MovedReserved || k.Sold != k.MovedSold {
			moves.Add(rule.Break{
				Kind: "sku", ID: id, SKU: k.ID, Off: k.Free + k.Reserved + k.Sold - k.MovedFree - k.MovedReserved - k.MovedSold,
				Text: fmt.Sprintf("SKU %d: free, reserved, sold are %d, %d, %d, but their movements add up to %d, %d, %d", k.ID, k.Free, k.Reserved, k.Sold, k.MovedFree, k.MovedReserved, k.MovedSold),
			})
		}
	}
	return []rule.Rule{units, moves}, nil
}

// BookOf gives what the rows say of one SKU.
func (s *Service) BookOf(ctx context.Context, skuID int64) (Book, error) {
	books, err := s.store.books(ctx, skuID)
	if err == nil && len(books) == 0 {
		return Book{}, fault.Missing("sku")
	}
	if err != nil {
		return Book{}, err
	}
	return books[0], nil
}

// StoppedSKUs gives the SKUs whose sale has been stopped because their figures did not add up.
func (s *Service) StoppedSKUs(ctx context.Context) ([]SKU, error) { return s.store.stopped(ctx) }

// AdjustOnce is Adjust for a client that may repeat itself: the same key and body count once.
func (s *Service) AdjustOnce(ctx context.Context, key string, skuID, change int64, reason string) (SKU, error) {
	body := struct {
		SKU, Change int64
		Reason      string
	}{skuID, change, reason}
	scope := fmt.Sprintf("stock:%d", web.ActorFrom(ctx).AccountID)
	return db.Once(ctx, s.db, s.clock.Now(), scope, key, body, func(ctx context.Context) (SKU, error) {
		return s.Adjust(ctx, skuID, change, reason)
	})
}

// Stop ends the sale of SKUs whose figures do not add up, until a person has looked.
func (s *Service) Stop(ctx context.Context, skuIDs []int64, reason string) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		stopped, err := s.store.stop(ctx, skuIDs)
		if err != nil || len(stopped) == 0 {
			return err
		}
		return s.audit.Record(ctx, "stock.stop", fmt.Sprint("sku/", stopped), map[string]any{"reason": reason})
	})
}

// Resume lets a stopped SKU be sold again; the operator has looked.
func (s *Service) Resume(ctx context.Context, skuID int64) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.resume(ctx, skuID); err != nil {
			return err
		}
		return s.audit.Record(ctx, "stock.resume", fmt.Sprintf("sku/%d", skuID), nil)
	})
}

// Level is the free stock of a SKU from a moment on.
type Level struct {
	SKUID int64
	At    time.Time
	Free  int64
}

// Levels gives the free stock of SKUs at from, and at each change until to, oldest first per SKU.
func (s *Service) Levels(ctx context.Context, skuIDs []int64, from, to time.Time) ([]Level, error) {
	return s.store.levels(ctx, skuIDs, from, to)
}
