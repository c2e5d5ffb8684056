package live

import (
	"context"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Pin says that a product was being explained, by whom, from when to when.
type Pin struct {
	ID, SessionID, ProductID int64
	Anchors                  []string // one, or several who share it
	From, To                 time.Time
}

// Pin puts the explaining card of a product up. It ends the pins that are up for this product or held by these anchors.
// Without an anchor it belongs to the anchor who asks, else to the session's only anchor, else to all of them. Pinning
// what is pinned gives the pin that is there.
func (s *Service) Pin(ctx context.Context, id, productID int64, anchor string) (Pin, error) {
	var pin Pin
	_, err := s.change(ctx, id, func(ctx context.Context, x *Session) error {
		if x.State.Over() || x.State == Scheduled {
			return ErrMove.Saying("products can be pinned from the rehearsal to the end")
		}
		holders, err := x.holders(web.ActorFrom(ctx), anchor)
		if err != nil {
			return err
		}
		shelf, err := s.Shelf(ctx, id)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(shelf, func(o Offered) bool { return o.ProductID == productID }) {
			return ErrNoShelf.At("product_id")
		}
		pin = Pin{SessionID: id, ProductID: productID, Anchors: holders, From: s.now()}
		return s.putUp(ctx, x, &pin)
	})
	return pin, err
}

// holders says whose a new pin is.
func (x Session) holders(a web.Actor, anchor string) ([]string, error) {
	own := a.Role == web.Anchor
	switch {
	case own && !x.IsAnchor(a), own && anchor != "" && anchor != a.Name:
		return nil, ErrNotYours
	case own:
		return []string{a.Name}, nil
	case anchor == "":
		return x.Anchors, nil
	case slices.Contains(x.Anchors, anchor):
		return []string{anchor}, nil
	}
	return nil, fault.Bad("anchor", "is not an anchor of this session")
}

func (s *Service) putUp(ctx context.Context, x *Session, pin *Pin) error {
	up, err := s.store.pins(ctx, []int64{x.ID}, true)
	if err != nil {
		return err
	}
	for _, p := range up {
		if p.ProductID == pin.ProductID && slices.Equal(p.Anchors, pin.Anchors) {
			*pin = p
			return nil
		}
		if p.ProductID == pin.ProductID || slices.ContainsFunc(p.Anchors, func(n string) bool { return slices.Contains(pin.Anchors, n) }) {
			if err := s.takeDown(ctx, x, p, pin.From); err != nil {
				return err
			}
		}
	}
	if err := s.store.addPin(ctx, pin); err != nil {
		return err
	}
	if !x.State.Open() {
		return nil // a rehearsal is told to nobody
	}
	view, err := s.explained(ctx, x.ID, pin.ProductID)
	if err != nil {
		return err
	}
	view.BannedWords = nil // for the crew only
	s.tell(ctx, x.ID, "pin", map[string]any{"pin_id": pin.ID, "product": view, "product_id": pin.ProductID, "anchors": pin.Anchors})
	return nil
}

// Unpin takes a card down. Taking it down twice is fine.
func (s *Service) Unpin(ctx context.Context, id, pinID int64) error {
	_, err := s.change(ctx, id, func(ctx context.Context, x *Session) error {
		if a := web.ActorFrom(ctx); a.Role == web.Anchor && !x.IsAnchor(a) {
			return ErrNotYours
		}
		p, err := s.store.pin(ctx, id, pinID)
		if err != nil || !p.To.IsZero() {
			return err
		}
		return s.takeDown(ctx, x, p, s.now())
	})
	return err
}

func (s *Service) takeDown(ctx context.Context, x *Session, p Pin, at time.Time) error {
	if err := s.store.endPin(ctx, p.ID, at); err != nil {
		return err
	}
	if x.State.Open() {
		s.tell(ctx, x.ID, "unpin", map[string]any{"pin_id": p.ID, "product": map[string]any{"id": p.ProductID}, "product_id": p.ProductID, "anchors": p.Anchors})
	}
	return nil
}

// Pins gives a session's pins, oldest first; only those that are up, if asked so.
func (s *Service) Pins(ctx context.Context, id int64, up bool) ([]Pin, error) {
	return s.store.pins(ctx, []int64{id}, up)
}

// Turn is one change of a session's state.
type Turn struct {
	State State
	At    time.Time
	By    string
}

// Turns gives the changes of a session's state, oldest first.
func (s *Service) Turns(ctx context.Context, id int64) ([]Turn, error) { return s.store.turns(ctx, id) }
