package catalog

import (
	"context"
	"fmt"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// SetLow says at how few free units a SKU counts as low; 0 switches it off.
func (s *Service) SetLow(ctx context.Context, skuID, units int64) (SKU, error) {
	if units < 0 || units > maxStock {
		return SKU{}, fault.Bad("low_at", "must be 0 to 10,000,000")
	}
	var after SKU
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		have, err := s.store.lockSKUs(ctx, []int64{skuID})
		if err != nil {
			return err
		}
		sku, ok := have[skuID]
		if !ok {
			return fault.Missing("sku")
		}
		after = sku
		after.LowAt = units
		s.changedAfterCommit(ctx, sku.ProductID)
		if err := s.store.setLow(ctx, skuID, units); err != nil {
			return err
		}
		return s.audit.Record(ctx, "stock.low-at", fmt.Sprintf("sku/%d", skuID), map[string]any{"units": units})
	})
	return after, err
}

// LowSKU is a SKU of which little is left, with its product's title.
type LowSKU struct {
	SKU
	Title string
}

// LowStock lists the SKUs that are low, fewest first, behind none: at most limit.
func (s *Service) LowStock(ctx context.Context, limit int) ([]LowSKU, error) {
	return s.store.low(ctx, limit)
}

// NewlyLow gives the SKUs that have become low since it was asked last, each once until it has been restocked. tell joins
// the transaction in which they are marked as told. Safe to run anywhere, by many.
func (s *Service) NewlyLow(ctx context.Context, tell func(ctx context.Context, k LowSKU) error) (int, error) {
	n := 0
	due, err := s.store.lowDue(ctx)
	if err != nil || !due {
		return 0, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.forgetTold(ctx); err != nil {
			return err
		}
		fresh, err := s.store.tellLow(ctx)
		if err != nil {
			return err
		}
		for _, k := range fresh {
			if err := tell(ctx, k); err != nil {
				return err
			}
		}
		n = len(fresh)
		return nil
	})
	return n, err
}
