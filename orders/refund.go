package orders

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
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

	idem, bodyHash string
}

// Refund sends back amount, or with nil all that is left, of a paid order. Operators only. The same key and body give the
// same refund. When all is back the order is refunded, and if it had not been shipped its stock is free again.
func (s *Service) Refund(ctx context.Context, a web.Actor, orderID string, amount *int64, reason, key string) (Refund, error) {
	if err := checkKey(key); err != nil {
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
		r, err = s.requestRefund(ctx, &o, amount, reason, key)
		return err
	})
	if err != nil || r.State == RefundSucceeded {
		return r, err
	}
	done, err := s.finishRefund(ctx, r.ID)
	if err != nil { // it is decided and stored; the worker repeats it
		s.log.Warn("a refund waits for its repeat", "refund", r.ID, "error", err.Error())
		return r, nil
	}
	return done, nil
}

// requestRefund decides a refund, holding the order.
func (s *Service) requestRefund(ctx context.Context, o *Order, amount *int64, reason, key string) (Refund, error) {
	hash := refundHash(amount, reason)
	for _, old := range o.Refunds {
		if old.idem != "key:"+key {
			continue
		}
		if old.bodyHash != hash {
			return Refund{}, ErrMismatch
		}
		return old, nil
	}
	if !o.State.captured() {
		return Refund{}, ErrNotPaid
	}
	rest := o.PaidFen - o.RefundedFen
	fen := rest
	if amount != nil {
		fen = *amount
	}
	switch {
	case fen > rest:
		return Refund{}, fault.Bad("amount_fen", fmt.Sprintf("at most %d fen are left to refund", rest))
	case amount != nil && fen < 1:
		return Refund{}, fault.Bad("amount_fen", "must be at least 1")
	case fen < 1:
		return Refund{}, ErrNotPaid.Saying("everything has been refunded")
	}
	now := s.clock.Now().Truncate(time.Millisecond)
	r := Refund{
		ID: newID(now), OrderID: o.ID, AmountFen: fen, Reason: reason, State: RefundRequested, By: "operator",
		RequestedAt: now, idem: "key:" + key, bodyHash: hash,
	}
	for _, p := range o.Payments {
		if p.State == PaymentSettled {
			r.PaymentID = p.ID
		}
	}
	if err := s.store.countRefund(ctx, o.ID, fen); err != nil {
		return Refund{}, err
	}
	if err := s.store.addRefund(ctx, r); err != nil {
		return Refund{}, err
	}
	if err := s.store.addEvent(ctx, o.ID, Event{At: now, What: "refund requested", By: "operator"}); err != nil {
		return Refund{}, err
	}
	return r, s.audit.Record(ctx, "order.refund", o.ID, map[string]any{"refund": r.ID, "amount_fen": fen, "reason": reason})
}

func refundHash(amount *int64, reason string) string {
	fen := int64(-1)
	if amount != nil {
		fen = *amount
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", fen, reason))
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
	back := r.AmountFen
	for _, old := range o.Refunds {
		if old.State == RefundSucceeded && !old.Automatic {
			back += old.AmountFen
		}
	}
	if back < o.PaidFen {
		return s.store.addEvent(ctx, o.ID, Event{At: now, What: "refunded in part", By: "operator"})
	}
	return s.closeRefunded(ctx, o)
}

// closeRefunded ends an order whose money is all back; what had not been shipped is free again.
func (s *Service) closeRefunded(ctx context.Context, o *Order) error {
	if o.State != Paid || o.stock != stockSold {
		return s.move(ctx, o, Refunded, "refunded", "operator", nil)
	}
	if err := s.move(ctx, o, Refunded, "refunded", "operator", change{"stock": stockFree}); err != nil {
		return err
	}
	db.AfterCommit(ctx, s.nudge)
	return s.moveStock(ctx, []*Order{o}, s.stock.Return, -1)
}
