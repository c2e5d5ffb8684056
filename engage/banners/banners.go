// Package banners tells a room what has just been bought: one event a second at most, whatever is sold on whatever node, with the
// sums of what came meanwhile. The buyer's first letter stands in it only when the buyer has agreed to that beforehand, and when
// the banner is of one order; never more than the letter.
//
// Sales wait in rows until they are told, so a crash loses none. What is told has a product and a number, nothing else.
package banners

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/engage"
)

const (
	pace        = time.Second
	maxProducts = 20 // of one banner; more wait for the next
)

// Sale is one line of an order that was paid.
type Sale struct {
	SessionID, ProductID int64
	Title                string
	Quantity             int64
	BuyerID              int64  // 0: nobody of ours
	Initial              string // first letter of the name that the buyer goes by
}

// Sum is what was sold of a product since the last banner.
type Sum struct {
	ProductID        int64
	Title            string
	Quantity, Orders int64
	Buyer            string // one letter, if Orders is 1 and the buyer has agreed
}

// Service is the banners noun.
type Service struct {
	stage *engage.Stage
	store store
}

// New returns the service, which tells in the stage's rounds.
func New(stage *engage.Stage) *Service {
	s := &Service{stage: stage, store: store{stage.DB}}
	stage.Chore(s.Tell)
	return s
}

// Sold puts a sale down to be told.
func (s *Service) Sold(ctx context.Context, x Sale) error {
	if x.SessionID <= 0 || x.Quantity <= 0 {
		return nil // in no room
	}
	letter := ""
	if x.BuyerID != 0 && x.Initial != "" {
		agreed, err := s.store.agreed(ctx, x.BuyerID)
		if err != nil {
			return err
		}
		if r, _ := utf8.DecodeRuneInString(x.Initial); agreed && r != utf8.RuneError {
			letter = string(r)
		}
	}
	if err := s.store.add(ctx, x, letter, s.stage.Now()); err != nil {
		return err
	}
	s.stage.Stir(ctx, x.SessionID)
	return nil
}

// Tell gives each room that has sales waiting one banner, unless it had one within the second.
func (s *Service) Tell(ctx context.Context) error {
	rooms, err := s.store.waiting(ctx)
	if err != nil {
		return err
	}
	for _, id := range rooms {
		if err := s.tell(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// tell takes a room's sums and posts them, in one transaction: both or neither.
func (s *Service) tell(ctx context.Context, sessionID int64) error {
	return s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		mine, err := s.stage.Claim(ctx, sessionID, "sold", pace)
		if err != nil || !mine {
			return err
		}
		sums, err := s.store.take(ctx, sessionID, maxProducts)
		if err != nil || len(sums) == 0 {
			return err
		}
		return s.stage.Post(ctx, sessionID, "sold", view(sums))
	})
}

// Agree says whether an account's first letter may stand in banners from now on. Nobody has agreed who did not say so.
func (s *Service) Agree(ctx context.Context, accountID int64, agreed bool) error {
	if agreed {
		return s.store.agree(ctx, accountID, s.stage.Now())
	}
	return s.store.disagree(ctx, accountID)
}

// Agreed reports whether an account has agreed.
func (s *Service) Agreed(ctx context.Context, accountID int64) (bool, error) {
	return s.store.agreed(ctx, accountID)
}
