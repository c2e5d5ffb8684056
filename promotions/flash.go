package promotions

import (
	"context"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// Flash is one SKU at another price in one session for a while. While it runs the SKU costs its price there and nothing
// else; when its stock is gone the SKU is sold out in that session until it ends or is stopped, so that nobody who was
// shown its price pays more.
type Flash struct {
	ID                          int64
	SessionID, SKUID, ProductID int64
	PriceFen                    int64
	Stock                       int64 // units, in all
	Taken                       int64 // by orders that stand
	PerPerson                   int64 // units; 0: no limit
	StartsAt, EndsAt            time.Time
	StoppedAt                   time.Time // when it really ended; zero: it has not
	StruckFen                   int64     // lowest deal price of the 7 days before it; 0: there was none above its price
	By                          string
}

type flashKey struct{ session, sku int64 }

// Running reports whether it sells at a moment.
func (f Flash) Running(at time.Time) bool {
	return !at.Before(f.StartsAt) && at.Before(f.EndsAt) && (f.StoppedAt.IsZero() || at.Before(f.StoppedAt))
}

// FlashPlan is what the desk asks for.
type FlashPlan struct {
	SessionID, SKUID int64
	PriceFen         int64
	Stock            int64
	PerPerson        int64
	StartsIn, Lasts  time.Duration
}

const (
	minFlash     = 10 * time.Second
	maxFlash     = 24 * time.Hour
	maxAnnounced = time.Hour
)

// StartFlash begins a flash sale, at once or after a countdown. For operators and assistants, as the route says.
func (s *Service) StartFlash(ctx context.Context, p FlashPlan) (Flash, error) {
	if err := p.check(); err != nil {
		return Flash{}, err
	}
	var f Flash
	err := s.enact(ctx, "flash.start", func(ctx context.Context) (string, any, error) {
		now := s.now()
		good, open, err := s.Sessions.Selling(ctx, p.SessionID, p.SKUID)
		switch {
		case err != nil:
			return "", nil, err
		case !open:
			return "", nil, ErrNotOnAir
		case p.PriceFen >= good.PriceFen:
			return "", nil, fault.Bad("price_fen", fmt.Sprintf("must be below the session's price, %d fen", good.PriceFen))
		}
		if _, err := s.store.closeFlash(ctx, now); err != nil {
			return "", nil, err
		}
		f = Flash{
			SessionID: p.SessionID, SKUID: p.SKUID, ProductID: good.ProductID, PriceFen: p.PriceFen, Stock: p.Stock, PerPerson: p.PerPerson,
			StartsAt: now.Add(p.StartsIn), EndsAt: now.Add(p.StartsIn + p.Lasts), By: by(ctx),
		}
		if f.StruckFen, err = s.struckFor(ctx, now, p.SKUID, p.PriceFen); err != nil {
			return "", nil, err
		}
		return sessionRef(p.SessionID), map[string]any{"sku_id": p.SKUID, "price_fen": p.PriceFen, "stock": p.Stock, "ends_at": f.EndsAt}, s.store.addFlash(ctx, &f, now)
	})
	if err != nil {
		return Flash{}, err
	}
	s.tell(ctx, f)
	return f, nil
}

func sessionRef(id int64) string { return fmt.Sprintf("session/%d", id) }

func (p FlashPlan) check() error {
	switch {
	case p.SKUID < 1:
		return fault.Bad("sku_id", "must be a SKU's id")
	case p.Stock < 1 || p.Stock > maxQuota:
		return fault.Bad("stock", fmt.Sprintf("must be 1 to %d units", maxQuota))
	case p.PerPerson < 0 || p.PerPerson > 999:
		return fault.Bad("per_person", "must be 0 (no limit) to 999 units")
	case p.StartsIn < 0 || p.StartsIn > maxAnnounced:
		return fault.Bad("starts_in_seconds", "must be 0 to 3600")
	case p.Lasts < minFlash || p.Lasts > maxFlash:
		return fault.Bad("seconds", "must be 10 to 86400")
	}
	return checkFen("price_fen", p.PriceFen, 1)
}

// ExtendFlash lets a flash sale last longer, at most a day in all.
func (s *Service) ExtendFlash(ctx context.Context, id int64, longer time.Duration) (Flash, error) {
	if longer < time.Second || longer > maxFlash {
		return Flash{}, fault.Bad("seconds", "must be 1 to 86400")
	}
	return s.changeFlash(ctx, id, "flash.extend", func(f *Flash) error {
		f.EndsAt = f.EndsAt.Add(longer)
		if f.EndsAt.Sub(f.StartsAt) > maxFlash {
			return fault.Bad("seconds", "a flash sale lasts at most a day in all")
		}
		return nil
	})
}

// StopFlash ends a flash sale at once: the session's own price holds again. Orders that stand keep theirs.
func (s *Service) StopFlash(ctx context.Context, id int64) (Flash, error) {
	return s.changeFlash(ctx, id, "flash.stop", func(f *Flash) error {
		f.StoppedAt = s.now()
		return nil
	})
}

func (s *Service) changeFlash(ctx context.Context, id int64, action string, fn func(*Flash) error) (Flash, error) {
	var f Flash
	err := s.enact(ctx, action, func(ctx context.Context) (string, any, error) {
		var err error
		if f, err = s.store.lockFlash(ctx, id); err != nil {
			return "", nil, err
		}
		if !f.StoppedAt.IsZero() || !s.now().Before(f.EndsAt) {
			return "", nil, ErrOver
		}
		if err := fn(&f); err != nil {
			return "", nil, err
		}
		return sessionRef(f.SessionID), map[string]any{"flash": f.ID, "sku_id": f.SKUID, "ends_at": f.EndsAt}, s.store.saveFlash(ctx, f)
	})
	if err != nil {
		return Flash{}, err
	}
	s.tell(ctx, f)
	return f, nil
}

// tell has the rooms told of a sale's product once what changed is committed.
func (s *Service) tell(ctx context.Context, f Flash) {
	db.AfterCommit(ctx, func() { s.change([]int64{f.ProductID}) })
}

// Turn closes the flash sales whose time is over and marks those that have begun, and has their rooms told; it says how
// many there were. Of several processes one finds each.
func (s *Service) Turn(ctx context.Context) (int, error) {
	now := s.now()
	if due, err := s.store.flashDue(ctx, now); err != nil || !due {
		return 0, err
	}
	var products []int64
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.bump(ctx); err != nil {
			return err
		}
		over, err := s.store.closeFlash(ctx, now)
		if err != nil {
			return err
		}
		begun, err := s.store.beginFlash(ctx, now)
		products = append(over, begun...)
		return err
	})
	if err == nil && len(products) > 0 {
		s.change(products)
	}
	return len(products), err
}

// FlashSales gives the sales of a session that have not ended, and with all also those that have, oldest first.
func (s *Service) FlashSales(ctx context.Context, sessionID int64, all bool) ([]Flash, error) {
	rows, err := s.store.flashOf(ctx, sessionID)
	if err != nil || all {
		return rows, err
	}
	now := s.now()
	var open []Flash
	for _, f := range rows {
		if f.StoppedAt.IsZero() && now.Before(f.EndsAt) {
			open = append(open, f)
		}
	}
	return open, nil
}

// OpenFlash gives the sales of some sessions that run or are announced, with what is left of them: for session views. It
// costs one look-up while there are none.
func (s *Service) OpenFlash(ctx context.Context, sessionIDs []int64) ([]Flash, error) {
	r, err := s.rules(ctx)
	if err != nil || len(r.flash) == 0 {
		return nil, err
	}
	now := s.now()
	var ids []int64
	for k, f := range r.flash {
		if contains(sessionIDs, k.session) && now.Before(f.EndsAt) {
			ids = append(ids, f.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	return s.store.flashByID(ctx, ids)
}

func contains(ids []int64, id int64) bool {
	for _, x := range ids {
		if x == id {
			return true
		}
	}
	return false
}

// struckFor is the price that may stand struck through beside price: see Struck.
func (s *Service) struckFor(ctx context.Context, at time.Time, skuID, price int64) (int64, error) {
	low, err := s.Struck(ctx, at, []int64{skuID})
	if err != nil || low[skuID] <= price {
		return 0, err
	}
	return low[skuID], nil
}

type struckKey struct {
	sku int64
	at  time.Time
}

// maxStruck bounds what Struck remembers.
const maxStruck = 10_000

// Struck gives the struck-through price of SKUs as of a moment: the lowest price at which a unit was sold and paid for in
// the 7 days before it (product.md); a SKU that was not sold then has none. Ask with the moment at which the present price
// began: sales at the lower price must not be what it is compared with.
func (s *Service) Struck(ctx context.Context, at time.Time, skuIDs []int64) (map[int64]int64, error) {
	out := make(map[int64]int64, len(skuIDs))
	var ask []int64
	s.mu.Lock()
	for _, id := range skuIDs {
		if low, ok := s.struck[struckKey{id, at}]; !ok {
			ask = append(ask, id)
		} else if low > 0 {
			out[id] = low
		}
	}
	s.mu.Unlock()
	if len(ask) == 0 {
		return out, nil
	}
	low, err := s.Deals.LowestDeals(ctx, at.AddDate(0, 0, -7), at, ask)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.struck) > maxStruck {
		clear(s.struck)
	}
	for _, id := range ask {
		s.struck[struckKey{id, at}] = low[id]
		if low[id] > 0 {
			out[id] = low[id]
		}
	}
	return out, nil
}
