package live

import (
	"context"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Stir says that an anchor of a session came or went: Run looks at it. It returns at once.
func (s *Service) Stir(id int64) { s.mark(s.stirred, id) }

// Changed says that products have another price, stock or text: Run tells the rooms that sell them. It returns at once.
func (s *Service) Changed(productIDs []int64) { s.mark(s.changed, productIDs...) }

func (s *Service) mark(set map[int64]bool, ids ...int64) {
	s.mu.Lock()
	for _, id := range ids {
		set[id] = true
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) take(set map[int64]bool) []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]int64, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	clear(set)
	return ids
}

const (
	reconcileEvery = 5 * time.Second        // for what was missed while the database was away
	calm           = 300 * time.Millisecond // between two tellings of changed products, so that a rush is a few events
)

// Run keeps the sessions' states true to the picture and tells rooms of changed products, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(reconcileEvery)
	defer tick.Stop()
	s.reconcileAll(ctx)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
			s.reconcileAll(ctx)
		case <-s.wake:
			for _, id := range s.take(s.stirred) {
				s.reconcile(ctx, id)
			}
			s.tellChanged(ctx, s.take(s.changed))
			if !pause(ctx, calm) {
				return ctx.Err()
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

func (s *Service) reconcileAll(ctx context.Context) {
	open, err := s.store.list(ctx, Filter{States: []State{Live, Interrupted}, Limit: 1000})
	if err != nil {
		s.logUnless(ctx, "reading sessions", err)
		return
	}
	for _, x := range open {
		s.enforce(x)
		if n := len(s.Media.OnAir(x.ID)); n != x.OnAir || (n > 0) != (x.State == Live) {
			s.reconcile(ctx, x.ID)
		}
	}
}

func (s *Service) reconcile(ctx context.Context, id int64) {
	if x, err := s.Get(ctx, id); err == nil {
		s.enforce(x)
	}
	if err := s.Reconcile(ctx, id, len(s.Media.OnAir(id))); err != nil && fault.KindOf(err) != fault.NotFound {
		s.logUnless(ctx, "following the picture", err)
	}
}

// logUnless logs what failed, unless only because we are stopping.
func (s *Service) logUnless(ctx context.Context, what string, err error) {
	if ctx.Err() == nil {
		s.log.Warn("watching the sessions failed and is repeated", "what", what, "error", err)
	}
}

// Reconcile makes a session's state follow the number of anchors whose picture comes: the first one of a scheduled
// session makes it a rehearsal, the last one gone interrupts it, one back resumes it. A session that was started before
// anybody was on air is live and stays so.
func (s *Service) Reconcile(ctx context.Context, id int64, onAir int) error {
	_, err := s.change(ctx, id, func(ctx context.Context, x *Session) error {
		before := x.OnAir
		x.OnAir = onAir
		switch {
		case x.State == Scheduled && onAir > 0:
			return s.move(ctx, x, Rehearsing)
		case x.State == Live && onAir == 0 && before > 0:
			return s.move(ctx, x, Interrupted)
		case x.State == Interrupted && onAir > 0:
			return s.move(ctx, x, Live)
		case before != onAir:
			return s.store.save(ctx, *x)
		}
		return nil
	})
	return err
}

// tellChanged gives each room that sells one of the products its present prices and stock.
func (s *Service) tellChanged(ctx context.Context, productIDs []int64) {
	if len(productIDs) == 0 {
		return
	}
	sessions, err := s.store.selling(ctx, productIDs)
	if err != nil {
		s.logUnless(ctx, "finding rooms to tell", err)
		return
	}
	for _, id := range sessions {
		if err := s.tellShelf(ctx, id, productIDs); err != nil {
			s.logUnless(ctx, "telling a room of changed products", err)
		}
	}
}

func (s *Service) tellShelf(ctx context.Context, id int64, productIDs []int64) error {
	shelf, err := s.Shelf(ctx, id)
	if err != nil {
		return err
	}
	for _, p := range productIDs {
		var skus []map[string]any
		for _, it := range shelf {
			if it.ProductID == p {
				skus = append(skus, map[string]any{"id": it.SKUID, "price_fen": it.PriceFen, "stock": it.Left, "struck_price_fen": orNull(it.StruckFen), "flash": viewFlash(it.Flash), "low": it.Low()})
			}
		}
		if skus != nil {
			s.tell(ctx, id, "product", map[string]any{"product_id": p, "skus": skus, "server_time": s.clock.Now()})
		}
	}
	return nil
}
