package orders

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/internal/web"
)

// RefundState is where a refund stands.
type RefundState string

// The states of a refund.
const (
	RefundRequested RefundState = "requested" // decided; the provider has not confirmed yet
	RefundSucceeded RefundState = "succeeded"
	RefundFailed    RefundState = "failed" // the provider will not; a person has to see to it
)

// Refund is money on its way back.
type Refund struct {
	ID          string
	OrderID     string
	PaymentID   string
	AmountFen   int64
	Reason      string
	Automatic   bool // of a payment that came too late or twice; not part of the order's refunded sum
	State       RefundState
	By          string
	RequestedAt time.Time
	SucceededAt time.Time
	Lines       []RefundedLine // what it is made of; filled where it is asked for

	idem, bodyHash string
}

// RefundAsk is what an operator wants to send back. Without lines AmountFen, or with nil all that is left, is spread over
// the lines by what is left of each. With lines only they are refunded, and AmountFen, if given, must be their sum.
type RefundAsk struct {
	AmountFen *int64
	Lines     []RefundLine
	Reason    string
	Key       string // of this request; the same key and body give the same refund
	Returned  bool   // of goods that came back (or never arrived): nothing that has still to be sent is called off
}

// RefundLine is one line's part of a refund.
type RefundLine struct {
	Line      int    // index in the order's lines
	Quantity  int64  // units; 0: money only, the goods stay or still come
	AmountFen *int64 // nil: what these units cost the buyer
}

// RefundedLine is what a refund took of one line.
type RefundedLine struct {
	Line      int
	Quantity  int64
	CalledOff int64 // units that had not left, and never will
	AmountFen int64
}

// Refund sends back what is asked of a paid order. Operators only. When all is back the order is refunded; units that had
// not left are called off and free again.
func (s *Service) Refund(ctx context.Context, a web.Actor, orderID string, ask RefundAsk) (Refund, error) {
	if err := checkKey(ask.Key); err != nil {
		return Refund{}, err
	}
	if !a.Is(web.Operator) {
		return Refund{}, web.ErrForbidden
	}
	var r Refund
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		o, err := s.store.lockOrder(ctx, orderID)
		if err != nil {
			return err
		}
		r, err = s.requestRefund(ctx, &o, ask)
		return err
	})
	if err != nil || r.State == RefundSucceeded {
		return r, err
	}
	if db.InTx(ctx) { // the provider must not be asked before the commit; the worker does it
		return r, nil
	}
	done, err := s.finishRefund(ctx, r.ID)
	if err != nil { // it is decided and stored; the worker repeats it
		s.log.Warn("a refund waits for its repeat", "refund", r.ID, "error", err.Error())
		return r, nil
	}
	done.Lines = r.Lines
	return done, nil
}

// Finish asks the provider for a refund that was decided in a transaction of the caller, after its commit. What fails is
// repeated by the worker.
func (s *Service) Finish(ctx context.Context, refundID string) {
	if _, err := s.finishRefund(ctx, refundID); err != nil {
		s.log.Warn("a refund waits for its repeat", "refund", refundID, "error", err.Error())
	}
}

// requestRefund decides a refund, holding the order.
func (s *Service) requestRefund(ctx context.Context, o *Order, ask RefundAsk) (Refund, error) {
	hash := ask.hash()
	lines, err := s.store.refundLines(ctx, o.ID)
	if err != nil {
		return Refund{}, err
	}
	for _, old := range o.Refunds {
		if old.idem != "key:"+ask.Key {
			continue
		}
		if old.bodyHash != hash {
			return Refund{}, ErrMismatch
		}
		old.Lines = lines[old.ID]
		return old, nil
	}
	if !o.State.captured() {
		return Refund{}, ErrNotPaid
	}
	units, err := s.lockUnits(ctx, o)
	if err != nil {
		return Refund{}, err
	}
	parts, err := ask.parts(*o, units)
	if err != nil {
		return Refund{}, err
	}
	return s.keepRefund(ctx, o, ask, hash, units, parts)
}

// keepRefund writes what has been decided: the refund, its lines, the sums they change, and who wanted it and why.
func (s *Service) keepRefund(ctx context.Context, o *Order, ask RefundAsk, hash string, units []Units, parts []RefundedLine) (Refund, error) {
	now := s.clock.Now().Truncate(time.Millisecond)
	r := Refund{
		ID: newID(now), OrderID: o.ID, Reason: ask.Reason, State: RefundRequested, By: "operator",
		RequestedAt: now, Lines: parts, idem: "key:" + ask.Key, bodyHash: hash,
	}
	for _, p := range parts {
		u := &units[p.Line]
		r.AmountFen += p.AmountFen
		u.RefundedFen += p.AmountFen
		u.RefundedUnits += p.Quantity
		u.CalledOff += p.CalledOff
		if err := s.store.saveUnits(ctx, *u); err != nil {
			return Refund{}, err
		}
	}
	for _, p := range o.Payments {
		if p.State == PaymentSettled {
			r.PaymentID = p.ID
		}
	}
	if err := s.store.countRefund(ctx, o.ID, r.AmountFen); err != nil {
		return Refund{}, err
	}
	if err := errors.Join(s.store.addRefund(ctx, r), s.store.addRefundLines(ctx, r)); err != nil {
		return Refund{}, err
	}
	if err := s.note(ctx, o.ID, Note{At: now, What: "refund requested", By: "operator", Why: ask.Reason, Ref: r.ID}); err != nil {
		return Refund{}, err
	}
	if err := s.shippedByRefund(ctx, o, units); err != nil {
		return Refund{}, err
	}
	return r, s.audit.Record(ctx, "order.refund", o.ID, map[string]any{"refund": r.ID, "amount_fen": r.AmountFen, "reason": ask.Reason, "lines": parts})
}

// parts says what a refund takes of each line; it refuses more than was paid for the order or the line.
func (ask RefundAsk) parts(o Order, units []Units) ([]RefundedLine, error) {
	if len(ask.Lines) == 0 {
		return ask.whole(o, units)
	}
	var all []RefundedLine
	var sum int64
	seen := map[int]bool{}
	for i, l := range ask.Lines {
		at := fmt.Sprintf("lines[%d].", i)
		if l.Line < 0 || l.Line >= len(units) || seen[l.Line] {
			return nil, fault.Bad(at+"line", fmt.Sprintf("must be 0 to %d, each once", len(units)-1))
		}
		seen[l.Line] = true
		p, err := l.part(units[l.Line], ask.Returned, at)
		if err != nil {
			return nil, err
		}
		sum += p.AmountFen
		all = append(all, p)
	}
	switch {
	case sum == 0:
		return nil, ErrNotPaid.Saying("these lines have been refunded, or cost nothing")
	case ask.AmountFen != nil && *ask.AmountFen != sum:
		return nil, fault.Bad("amount_fen", fmt.Sprintf("the lines add up to %d fen; leave amount_fen out", sum))
	}
	return all, nil
}

// part is what one line of the ask takes.
func (l RefundLine) part(u Units, returned bool, at string) (RefundedLine, error) {
	if l.Quantity < 0 || l.Quantity > u.Quantity-u.RefundedUnits {
		return RefundedLine{}, fault.Bad(at+"quantity", fmt.Sprintf("at most %d units are left to refund", u.Quantity-u.RefundedUnits))
	}
	if l.Quantity == 0 && l.AmountFen == nil {
		return RefundedLine{}, fault.Bad(at+"amount_fen", "is needed when no unit is refunded")
	}
	p := RefundedLine{Line: l.Line, Quantity: l.Quantity, AmountFen: u.Worth(l.Quantity)}
	if l.AmountFen != nil {
		p.AmountFen = *l.AmountFen
	}
	if p.AmountFen < 0 || p.AmountFen > u.Left() {
		return RefundedLine{}, fault.Bad(at+"amount_fen", fmt.Sprintf("at most %d fen are left to refund of this line", u.Left()))
	}
	if !returned {
		p.CalledOff = min(l.Quantity, u.Outstanding())
	}
	return p, nil
}

// whole spreads a refund that names no lines. When it takes all that is left, what has not left never will.
func (ask RefundAsk) whole(o Order, units []Units) ([]RefundedLine, error) {
	rest := o.PaidFen - o.RefundedFen
	fen := rest
	if ask.AmountFen != nil {
		fen = *ask.AmountFen
	}
	switch {
	case fen > rest:
		return nil, fault.Bad("amount_fen", fmt.Sprintf("at most %d fen are left to refund", rest))
	case ask.AmountFen != nil && fen < 1:
		return nil, fault.Bad("amount_fen", "must be at least 1")
	case fen < 1:
		return nil, ErrNotPaid.Saying("everything has been refunded")
	}
	left := make([]int64, len(units))
	for i, u := range units {
		left[i] = u.Left()
	}
	var all []RefundedLine
	for i, part := range money.Split(fen, left) {
		p := RefundedLine{Line: i, AmountFen: part}
		if fen == rest {
			p.Quantity = units[i].Quantity - units[i].RefundedUnits
		}
		if fen == rest && !ask.Returned {
			p.CalledOff = min(p.Quantity, units[i].Outstanding())
		}
		if p.AmountFen > 0 || p.Quantity > 0 {
			all = append(all, p)
		}
	}
	return all, nil
}

// hash is what tells two asks with the same key apart. Without lines it is what it was before there were any.
func (ask RefundAsk) hash() string {
	fen := int64(-1)
	if ask.AmountFen != nil {
		fen = *ask.AmountFen
	}
	text := fmt.Appendf(nil, "%d\n%s", fen, ask.Reason)
	for _, l := range ask.Lines {
		each := int64(-1)
		if l.AmountFen != nil {
			each = *l.AmountFen
		}
		text = fmt.Appendf(text, "\n%d %d %d", l.Line, l.Quantity, each)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// finishRefund asks the provider, who takes the same refund only once, and books it, once.
func (s *Service) finishRefund(ctx context.Context, id string) (Refund, error) {
	ctx = context.WithoutCancel(ctx) // a client that leaves must not leave a refund half done
	r, err := s.store.refund(ctx, id)
	if err != nil || r.State == RefundSucceeded {
		return r, err
	}
	p, err := s.store.payment(ctx, r.PaymentID)
	if err != nil {
		return r, err
	}
	if done, err := s.askRefund(ctx, p, r); err != nil || !done {
		return r, err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		o, err := s.store.lockOrder(ctx, r.OrderID)
		if err != nil {
			return err
		}
		return s.bookRefund(ctx, &o, p, r)
	})
	if err != nil {
		return r, err
	}
	return s.store.refund(ctx, id)
}

// bookRefund writes what a refund that succeeded means, unless another process already has.
func (s *Service) bookRefund(ctx context.Context, o *Order, p Payment, r Refund) error {
	now := s.clock.Now()
	first, err := s.store.succeedRefund(ctx, r.ID, now)
	if err != nil || !first {
		return err
	}
	account := "sales"
	if r.Automatic {
		account = "returns"
	}
	if err := s.post(ctx, "refund:"+r.ID, o.ID, now, account, "provider:"+p.Provider, r.AmountFen); err != nil {
		return err
	}
	if r.Automatic {
		return s.store.addEvent(ctx, o.ID, Event{At: now, What: "the payment is back", By: "system"})
	}
	if err := s.priceRefunded(ctx, o, r.AmountFen); err != nil {
		return err
	}
	if err := s.freeCalledOff(ctx, o, r.ID); err != nil {
		return err
	}
	if s.hooks.Refunded != nil {
		if err := s.hooks.Refunded(ctx, *o, r); err != nil {
			return err
		}
	}
	back := r.AmountFen
	for _, old := range o.Refunds {
		if old.State == RefundSucceeded && !old.Automatic {
			back += old.AmountFen
		}
	}
	if back < o.PaidFen {
		return s.note(ctx, o.ID, Note{At: now, What: "refunded in part", By: "operator", Why: r.Reason, Ref: r.ID})
	}
	return s.closeRefunded(ctx, o)
}

// freeCalledOff gives the units back that a refund has called off before they left.
func (s *Service) freeCalledOff(ctx context.Context, o *Order, refundID string) error {
	lines, err := s.store.refundLines(ctx, o.ID)
	if err != nil {
		return err
	}
	var pieces []Piece
	for _, l := range lines[refundID] {
		if l.CalledOff > 0 {
			pieces = append(pieces, Piece{l.Line, l.CalledOff})
		}
	}
	if len(pieces) == 0 {
		return nil
	}
	units, err := s.lockUnits(ctx, o)
	if err != nil {
		return err
	}
	db.AfterCommit(ctx, s.nudge)
	return s.free(ctx, o, units, pieces, o.ID)
}

// closeRefunded ends an order whose money is all back. Its stock is free if none of it ever left.
func (s *Service) closeRefunded(ctx context.Context, o *Order) error {
	units, err := s.lockUnits(ctx, o)
	if err != nil {
		return err
	}
	var set change
	if o.stock == stockSold && !slices.ContainsFunc(units, func(u Units) bool { return u.Freed < u.Quantity }) {
		set = change{"stock": stockFree}
	}
	return s.move(ctx, o, Refunded, "refunded", "operator", set)
}
