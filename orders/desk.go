package orders

import (
	"context"
	"time"
)

// DeskFilter says which orders the fulfilment desk wants to see. Zero fields don't narrow.
type DeskFilter struct {
	States    []State
	SessionID int64
	SKUID     int64
	Channel   string
	IDs       []string  // only these
	Buyer     string    // account name
	From, To  time.Time // placed in [From, To)
	After     int64     // Seq to go on behind, in the direction of Oldest; 0: from the start
	Oldest    bool      // oldest first, as goods are sent; else newest first
	Limit     int
}

// Desk gives orders for the fulfilment desk, whole. Who may ask is the caller's business. Each page is read by index,
// however many orders there are (BenchmarkDesk).
func (s *Service) Desk(ctx context.Context, f DeskFilter) ([]Order, error) {
	return s.store.desk(ctx, f)
}
