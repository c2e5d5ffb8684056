package draws

import (
	"context"
	"errors"
	"fmt"
)

// DrawDue draws what is due: draws whose time is over and that have not taken place. Safe in several processes at a time: a
// guarded update lets one of them do each.
func (s *Service) DrawDue(ctx context.Context) error {
	ids, err := s.store.due(ctx, s.stage.Now())
	errs := []error{err}
	for _, id := range ids {
		if err := s.draw(ctx, id); err != nil {
			errs = append(errs, fmt.Errorf("draw %d: %w", id, err))
		}
	}
	return errors.Join(errs...)
}

// draw fixes the list, reveals the seed and writes down who has won, all in one transaction.
func (s *Service) draw(ctx context.Context, id int64) error {
	return s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		now := s.stage.Now()
		mine, err := s.store.beginDrawing(ctx, id, now)
		if err != nil || !mine {
			return err
		}
		seed, err := s.store.seed(ctx, id)
		if err != nil {
			return err
		}
		tickets, err := s.store.tickets(ctx, id)
		if err != nil {
			return err
		}
		d, err := s.store.byID(ctx, id)
		if err != nil {
			return err
		}
		if err := s.store.crown(ctx, id, Pick(seed, tickets, d.Terms.Winners), ListHash(tickets)); err != nil {
			return err
		}
		if d, err = s.store.byID(ctx, id); err != nil {
			return err
		}
		if err := s.stage.Audit.Record(ctx, "draw.drawn", fmt.Sprintf("session/%d", d.SessionID), map[string]any{"draw": id, "entrants": d.Entrants, "entrants_hash": d.EntrantsHash}); err != nil {
			return err
		}
		return s.stage.Post(ctx, d.SessionID, "draw", view(d, now))
	})
}
