package orders

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/internal/stock"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Units is where the units and the money of one paid line have gone. Its row is made when the first unit moves; until
// then everything is where it was when the order was paid.
type Units struct {
	OrderID       string
	Line          int // index in the order's lines
	SKUID         int64
	Quantity      int64
	PaidFen       int64 // the line's share of what was paid for the order
	CalledOff     int64 // refunded before they left, so they never will
	Sent          int64 // left in a parcel
	Returned      int64 // came back, of those sent
	Freed         int64 // given back to the catalogue, of those called off and returned
	RefundedUnits int64
	RefundedFen   int64
}

// Outstanding is what has still to be sent.
func (u Units) Outstanding() int64 { return u.Quantity - u.CalledOff - u.Sent }

// Left is the money of the line that may still be refunded, in fen.
func (u Units) Left() int64 { return u.PaidFen - u.RefundedFen }

// Worth is what n more units of the line are worth: cumulative shares, so that all units add up to what was paid, but
// never more than is left.
func (u Units) Worth(n int64) int64 {
	upTo := func(k int64) int64 { return u.PaidFen/u.Quantity*k + u.PaidFen%u.Quantity*k/u.Quantity }
	return min(u.Left(), upTo(u.RefundedUnits+n)-upTo(u.RefundedUnits))
}

// Units gives where the units of an order's lines are, one for each line, for whoever may touch the order.
func (s *Service) Units(ctx context.Context, a web.Actor, id string) ([]Units, error) {
	o, err := s.Order(ctx, a, id)
	if err != nil {
		return nil, err
	}
	known, err := s.store.unitsOf(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	return completeUnits(o, known[id]), nil
}

// UnitsOf is Units for many orders at once, without asking whose they are: for the desk.
func (s *Service) UnitsOf(ctx context.Context, all []Order) (map[string][]Units, error) {
	ids := make([]string, len(all))
	for i, o := range all {
		ids[i] = o.ID
	}
	known, err := s.store.unitsOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]Units, len(all))
	for _, o := range all {
		out[o.ID] = completeUnits(o, known[o.ID])
	}
	return out, nil
}

// lockUnits gives the units of an order that the transaction holds, making their rows if this is the first time.
func (s *Service) lockUnits(ctx context.Context, o *Order) ([]Units, error) {
	known, err := s.store.unitsOf(ctx, []string{o.ID})
	if err != nil {
		return nil, err
	}
	if len(known[o.ID]) > 0 {
		return known[o.ID], nil
	}
	units := completeUnits(*o, nil)
	return units, s.store.addUnits(ctx, units)
}

// completeUnits gives the rows there are, else what they would be: derived from the order as it stands, so that orders
// from before there were such rows need no conversion.
func completeUnits(o Order, known []Units) []Units {
	if len(known) > 0 {
		return known
	}
	units := make([]Units, len(o.Lines))
	shares := o.LineShares()
	for i, l := range o.Lines {
		u := Units{OrderID: o.ID, Line: i, SKUID: l.SKUID, Quantity: l.Quantity, PaidFen: shares[i]}
		switch {
		case o.State == Refunded && o.stock == stockFree:
			u.CalledOff, u.Freed = u.Quantity, u.Quantity
		case o.State == Shipped || o.State == Completed || o.State == Refunded:
			u.Sent = u.Quantity
		}
		units[i] = u
	}
	spread(units, o.RefundedFen)
	if o.State == Refunded {
		for i := range units {
			units[i].RefundedUnits = units[i].Quantity
		}
	}
	return units
}

// spread books a refund that names no lines: by what is left of each line.
func spread(units []Units, fen int64) []int64 {
	left := make([]int64, len(units))
	for i, u := range units {
		left[i] = u.Left()
	}
	parts := money.Split(fen, left)
	for i := range units {
		units[i].RefundedFen += parts[i]
	}
	return parts
}

// Piece is a number of units of one line.
type Piece struct {
	Line     int // index in the order's lines
	Quantity int64
}

// checkPieces refuses lines that are not there, twice the same and quantities out of bounds; field names the list.
func checkPieces(units []Units, pieces []Piece, field string, most func(Units) int64) error {
	seen := map[int]bool{}
	for i, p := range pieces {
		at := fmt.Sprintf("%s[%d].", field, i)
		switch {
		case p.Line < 0 || p.Line >= len(units):
			return fault.Bad(at+"line", fmt.Sprintf("the order has lines 0 to %d", len(units)-1))
		case seen[p.Line]:
			return fault.Bad(at+"line", "is named twice; name each line once")
		case p.Quantity < 1 || p.Quantity > most(units[p.Line]):
			return fault.Bad(at+"quantity", fmt.Sprintf("must be 1 to %d", most(units[p.Line])))
		}
		seen[p.Line] = true
	}
	return nil
}

// Dispatch is a parcel that leaves the house.
type Dispatch struct {
	Carrier    string
	TrackingNo string
	Pieces     []Piece // empty: everything that has still to be sent
	Source     string  // how it was told: "hand", "import", "exchange"
}

// Dispatched is a parcel that has left.
type Dispatched struct {
	Dispatch
	Order Order // as it was just before
	Last  bool  // nothing is left to be sent
}

// Dispatch sends all or a part of a paid order, for operators, who answer for having asked. When nothing is left to be
// sent, the order is shipped. Joins the transaction in ctx.
func (s *Service) Dispatch(ctx context.Context, id string, d Dispatch) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		o, err := s.store.lockOrder(ctx, id)
		if err != nil {
			return err
		}
		if o.State != Paid {
			return ErrState.Saying("an order that is " + string(o.State) + " can't be sent")
		}
		return s.dispatch(ctx, &o, d)
	})
}

func (s *Service) dispatch(ctx context.Context, o *Order, d Dispatch) error {
	units, err := s.lockUnits(ctx, o)
	if err != nil {
		return err
	}
	if len(d.Pieces) == 0 {
		for _, u := range units {
			if n := u.Outstanding(); n > 0 {
				d.Pieces = append(d.Pieces, Piece{u.Line, n})
			}
		}
	}
	if len(d.Pieces) == 0 {
		return ErrState.Saying("nothing of this order has to be sent any more")
	}
	if err := checkPieces(units, d.Pieces, "lines", Units.Outstanding); err != nil {
		return err
	}
	for _, p := range d.Pieces {
		units[p.Line].Sent += p.Quantity
		if err := s.store.saveUnits(ctx, units[p.Line]); err != nil {
			return err
		}
	}
	last := !slices.ContainsFunc(units, func(u Units) bool { return u.Outstanding() > 0 })
	if s.hooks.Sent != nil {
		if err := s.hooks.Sent(ctx, Dispatched{d, *o, last}); err != nil {
			return err
		}
	}
	if err := s.audit.Record(ctx, "order.ship", o.ID, map[string]any{"carrier": d.Carrier, "tracking_no": d.TrackingNo, "lines": d.Pieces}); err != nil {
		return err
	}
	if !last {
		if err := s.store.move(ctx, o.ID, o.State, o.State, change{"carrier": d.Carrier, "tracking_no": d.TrackingNo}); err != nil {
			return err
		}
		return s.note(ctx, o.ID, Note{What: "sent in part", By: "operator", Ref: d.Carrier + " " + d.TrackingNo})
	}
	return s.shipped(ctx, o, d.Carrier, d.TrackingNo)
}

func (s *Service) shipped(ctx context.Context, o *Order, carrier, trackingNo string) error {
	return s.move(ctx, o, Shipped, "shipped", "operator", change{
		"carrier": carrier, "tracking_no": trackingNo, "shipped_ms": db.Millis(s.clock.Now()),
	})
}

// shippedByRefund moves on an order of which a part was sent and the rest has just been called off.
func (s *Service) shippedByRefund(ctx context.Context, o *Order, units []Units) error {
	sent := slices.ContainsFunc(units, func(u Units) bool { return u.Sent > 0 })
	if o.State != Paid || !sent || slices.ContainsFunc(units, func(u Units) bool { return u.Outstanding() > 0 }) {
		return nil
	}
	return s.shipped(ctx, o, o.Shipment.Carrier, o.Shipment.TrackingNo)
}

// TakeBack books goods that came back: sold units are free again. What is damaged the caller writes off in the same
// transaction. ref names the reason in the stock ledger.
func (s *Service) TakeBack(ctx context.Context, id, ref string, pieces []Piece) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		o, err := s.store.lockOrder(ctx, id)
		if err != nil {
			return err
		}
		units, err := s.lockUnits(ctx, &o)
		if err != nil {
			return err
		}
		if err := checkPieces(units, pieces, "lines", func(u Units) int64 { return u.Sent - u.Returned }); err != nil {
			return err
		}
		for _, p := range pieces {
			units[p.Line].Returned += p.Quantity
		}
		return s.free(ctx, &o, units, pieces, ref)
	})
}

// free gives units back to the catalogue and keeps their rows; what never was our stock stays out of it.
func (s *Service) free(ctx context.Context, o *Order, units []Units, pieces []Piece, ref string) error {
	var lines []stock.Line
	taken := map[takenKey]int64{}
	for _, p := range pieces {
		u := &units[p.Line]
		if o.stock == stockSold {
			u.Freed += p.Quantity
			lines = append(lines, stock.Line{SKUID: u.SKUID, Quantity: p.Quantity})
			taken[takenKey{o.SessionID, u.SKUID}] -= p.Quantity
		}
		if err := s.store.saveUnits(ctx, *u); err != nil {
			return err
		}
	}
	if len(lines) == 0 {
		return nil
	}
	if err := s.store.addTaken(ctx, taken); err != nil {
		return err
	}
	slices.SortFunc(lines, func(a, b stock.Line) int { return cmp.Compare(a.SKUID, b.SKUID) })
	return s.stock.Return(ctx, ref, lines)
}

// Replacement is what goes out for goods that came back.
type Replacement struct {
	Line     int   // of the order
	SKUID    int64 // what is sent: the same article or another variant of it
	Quantity int64
}

// Replace takes goods for an exchange out of stock and books them as sold under ref, once however often it is asked; it
// gives ErrSoldOut (or the catalogue's word) when they are not there. The parcel is told as one of the order's.
func (s *Service) Replace(ctx context.Context, id, ref string, d Dispatch, all []Replacement) error {
	return s.db.Tx(ctx, func(ctx context.Context) error {
		o, err := s.store.lockOrder(ctx, id)
		if err != nil {
			return err
		}
		if known, err := s.store.replaced(ctx, ref); err != nil || known {
			return err
		}
		if err := s.takeOut(ctx, ref, all); err != nil {
			return err
		}
		if err := s.store.addReplacements(ctx, id, ref, all, db.Millis(s.clock.Now())); err != nil {
			return err
		}
		for _, r := range all {
			d.Pieces = append(d.Pieces, Piece{r.Line, r.Quantity})
		}
		if s.hooks.Sent != nil {
			if err := s.hooks.Sent(ctx, Dispatched{d, o, true}); err != nil {
				return err
			}
		}
		return s.audit.Record(ctx, "order.replace", id, map[string]any{"ref": ref, "lines": all, "carrier": d.Carrier, "tracking_no": d.TrackingNo})
	})
}

func (s *Service) takeOut(ctx context.Context, ref string, all []Replacement) error {
	lines := make([]stock.Line, len(all))
	for i, r := range all {
		lines[i] = stock.Line{SKUID: r.SKUID, Quantity: r.Quantity}
	}
	slices.SortFunc(lines, func(a, b stock.Line) int { return cmp.Compare(a.SKUID, b.SKUID) })
	answers, err := s.stock.Reserve(ctx, []stock.Hold{{Ref: ref, Lines: lines}})
	if err != nil {
		return err
	}
	if answers[0] != nil {
		return answers[0]
	}
	return s.stock.Sell(ctx, ref, lines)
}

// Hold keeps an order from changing until the transaction in ctx ends.
func (s *Service) Hold(ctx context.Context, id string) error {
	_, err := s.store.lockOrder(ctx, id)
	return err
}

// CompleteFor ends a shipped order on the system's word, when its parcels arrived long ago; false: it is in no state for
// that.
func (s *Service) CompleteFor(ctx context.Context, id string) (bool, error) {
	done := false
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		o, err := s.store.lockOrder(ctx, id)
		if err != nil || o.State != Shipped {
			return err
		}
		done = true
		return s.move(ctx, &o, Completed, "completed", "system", nil)
	})
	return done && err == nil, err
}
