package promotions

import (
	"context"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Gift is goods that come along with a purchase: once an order, while there are any.
type Gift struct {
	ID           int64
	Title        string // of the offer
	SKUID        int64  // what is given
	Quantity     int64
	ThresholdFen int64   // of the eligible goods, after coupons
	Products     []int64 // bought; empty: any
	Sessions     []int64 // empty: all
	Window
	Quota   int64 // units given in all; 0: while stock lasts
	Given   int64 // units, by orders that stand
	Stopped bool
}

// CreateGift adds an offer. Operators only, as the route says.
func (s *Service) CreateGift(ctx context.Context, g Gift) (Gift, error) {
	if err := g.check(s.now()); err != nil {
		return Gift{}, err
	}
	err := s.enact(ctx, "gift.create", func(ctx context.Context) (string, any, error) {
		goods, err := s.Goods.Goods(ctx, []int64{g.SKUID})
		if err != nil {
			return "", nil, err
		}
		if _, ok := goods[g.SKUID]; !ok {
			return "", nil, fault.Bad("sku_id", "there is no such SKU, or it may not be sold")
		}
		err = s.store.addGift(ctx, &g, by(ctx), s.now())
		return giftRef(g.ID), map[string]any{"title": g.Title, "sku_id": g.SKUID, "quota": g.Quota}, err
	})
	return g, err
}

func giftRef(id int64) string { return fmt.Sprintf("gift/%d", id) }

func (g *Gift) check(now time.Time) (err error) {
	if g.Title, err = plain("title", g.Title, 60); err != nil {
		return err
	}
	switch {
	case g.SKUID < 1:
		return fault.Bad("sku_id", "must be a SKU's id")
	case g.Quantity < 1 || g.Quantity > 99:
		return fault.Bad("quantity", "must be 1 to 99")
	case g.Quota < 0 || g.Quota > maxQuota:
		return fault.Bad("quota", fmt.Sprintf("must be 0 (while stock lasts) to %d", maxQuota))
	}
	if err := checkFen("threshold_fen", g.ThresholdFen, 0); err != nil {
		return err
	}
	if err := checkScope("products", g.Products); err != nil {
		return err
	}
	if err := checkScope("sessions", g.Sessions); err != nil {
		return err
	}
	return g.Window.check(now)
}

// StopGift ends an offer at once. Orders that stand keep their gifts. Stopping twice is fine.
func (s *Service) StopGift(ctx context.Context, id int64) (Gift, error) {
	err := s.enact(ctx, "gift.stop", func(ctx context.Context) (string, any, error) {
		return giftRef(id), nil, s.store.stopGift(ctx, id)
	})
	if err != nil {
		return Gift{}, err
	}
	return s.store.gift(ctx, id)
}

// Gifts gives offers below an id (0: from the newest), newest first.
func (s *Service) Gifts(ctx context.Context, before int64, limit int) ([]Gift, error) {
	return s.store.gifts(ctx, before, limit)
}
