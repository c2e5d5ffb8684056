package orders

import (
	"context"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Hooks are told, inside the transaction, what happens to orders; nil ones are skipped. An error undoes what happened.
type Hooks struct {
	Moved    func(ctx context.Context, o Order) error           // o is in its new state; amounts are as they were before
	Sent     func(ctx context.Context, d Dispatched) error      // a parcel has left
	Refunded func(ctx context.Context, o Order, r Refund) error // money is back
}

// Note is one line of an order's timeline, which the buyer sees too.
type Note struct {
	At   time.Time // zero: now
	What string    // a code that pages translate: "placed", "paid", "return requested", ...
	By   string    // "buyer", "operator", "system"
	Who  string    // sign-in name, for staff; empty: the actor in ctx
	Why  string
	Ref  string // what it is about: a request's, parcel's or refund's number
}

// Note adds to an order's timeline, in the transaction in ctx. Other nouns that deal with an order write here, so that it
// has one story.
func (s *Service) Note(ctx context.Context, orderID string, n Note) error {
	return s.note(ctx, orderID, n)
}

func (s *Service) note(ctx context.Context, orderID string, n Note) error {
	if n.At.IsZero() {
		n.At = s.clock.Now()
	}
	if n.Who == "" {
		n.Who = web.ActorFrom(ctx).Name
	}
	return s.store.addNote(ctx, orderID, n)
}

// Timeline gives an order's story, oldest first, to its buyer and to operators. Only staff see who; a buyer sees the role.
func (s *Service) Timeline(ctx context.Context, a web.Actor, id string) ([]Note, error) {
	o, err := s.Order(ctx, a, id)
	if err != nil {
		return nil, err
	}
	kept, err := s.store.notes(ctx, id)
	if err != nil {
		return nil, err
	}
	first := o.Timeline[0] // how it came into being stands in the order itself
	notes := append([]Note{{At: first.At, What: first.What, By: first.By}}, kept...)
	for i := range notes {
		if !a.Staff() {
			notes[i].Who = ""
		}
	}
	return notes, nil
}

// told gives the hook for moves its word.
func (s *Service) told(ctx context.Context, o Order) error {
	if s.hooks.Moved == nil {
		return nil
	}
	return s.hooks.Moved(ctx, o)
}
