package orders

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
)

// PaymentState is where a payment stands.
type PaymentState string

// The states of a payment. Only one payment of an order is ever settled.
const (
	PaymentPending  PaymentState = "pending"
	PaymentSettled  PaymentState = "settled"  // the money is here and counts
	PaymentReturned PaymentState = "returned" // the money came too late or a second time, and goes back
)

// Payment is one attempt to pay one order.
type Payment struct {
	ID         string // ours; what a provider calls the merchant's number
	OrderID    string
	Provider   string
	ProviderID string // the provider's; empty until it settles
	State      PaymentState
	AmountFen  int64
	CreatedAt  time.Time
	SettledAt  time.Time

	idem string
}

// Currency is the only one the shop takes.
const Currency = pay.Currency

// roomChannel is the channel of what is bought here; all others are imported.
const roomChannel = "room"

// Callback is a provider's word, authenticated, about a payment or a refund.
type Callback = pay.Notice

// Outcome is what became of a callback.
type Outcome string

// The outcomes. All but Received are final.
const (
	Received    Outcome = "received"    // stored, not yet applied
	Applied     Outcome = "applied"     // the order is paid by it
	Duplicate   Outcome = "duplicate"   // had been applied before
	Returned    Outcome = "returned"    // too late or a second payment: the money goes back
	Quarantined Outcome = "quarantined" // does not fit (amount, currency, payment): a person has to look
	Noted       Outcome = "noted"       // moves no money by itself: a payment was closed, a refund has an end
)

// maxCallback is the largest callback in bytes.
const maxCallback = 64 << 10

// Receive takes a callback: authenticated, stored raw in a commit of its own, then applied once. What is not authentic
// is refused and not stored, since anybody may send it. A nil error tells the provider to stop repeating.
func (s *Service) Receive(ctx context.Context, provider string, header http.Header, raw []byte) (Outcome, error) {
	via, ok := s.providers[provider]
	if !ok {
		return "", pay.ErrForged // as for everybody who can't sign: who asks learns nothing
	}
	cb, err := via.ParseCallback(ctx, header, raw)
	if err != nil {
		s.metrics.callbacks.WithLabelValues("refused").Inc()
		if errors.Is(err, pay.ErrStale) && cb.PaymentID != "" { // real but old: the provider itself is asked instead
			return "", errors.Join(err, s.store.hurry(ctx, provider, cb.PaymentID, s.clock.Now()))
		}
		return "", err
	}
	return s.take(ctx, provider, cb, raw)
}

// take stores and applies what a provider said, by a callback or as an answer to a question.
func (s *Service) take(ctx context.Context, provider string, cb Callback, raw []byte) (Outcome, error) {
	id, err := s.store.saveCallback(ctx, provider, cb, raw, s.clock.Now())
	if err != nil {
		return "", err
	}
	return s.applyStored(ctx, id, provider, cb)
}

// applyStored applies a stored callback and starts the refund that may follow from it.
func (s *Service) applyStored(ctx context.Context, id int64, provider string, cb Callback) (Outcome, error) {
	var outcome Outcome
	var back string
	err := s.db.Tx(ctx, func(ctx context.Context) (err error) {
		switch {
		case cb.RefundID != "":
			outcome, back, err = s.wakeRefund(ctx, provider, cb)
		case cb.Status != "" && cb.Status != pay.Success:
			outcome = Noted
		default:
			outcome, back, err = s.apply(ctx, provider, cb)
		}
		if err != nil {
			return err
		}
		return s.store.closeCallback(ctx, id, outcome, s.clock.Now())
	})
	if err != nil {
		return "", err
	}
	s.metrics.callbacks.WithLabelValues(string(outcome)).Inc()
	if back != "" && !db.InTx(ctx) { // inside a larger transaction the worker does it after the commit
		if _, err := s.finishRefund(ctx, back); err != nil {
			s.log.Warn("a refund waits for its repeat", "refund", back, "error", err.Error())
		}
	}
	return outcome, nil
}

// apply is the transaction of a callback: the order is locked first, then everything is held against it.
func (s *Service) apply(ctx context.Context, provider string, cb Callback) (Outcome, string, error) {
	p, err := s.store.payment(ctx, cb.PaymentID)
	if fault.KindOf(err) == fault.NotFound || err == nil && (p.Provider != provider || p.OrderID != cb.OrderID) {
		return s.quarantine(ctx, provider, cb, "no such payment")
	} else if err != nil {
		return "", "", err
	}
	o, err := s.store.lockOrder(ctx, p.OrderID)
	if err != nil {
		return "", "", err
	}
	if p, err = s.store.payment(ctx, p.ID); err != nil { // again, now that nobody else can change it
		return "", "", err
	}
	other, known, err := s.store.byProviderID(ctx, provider, cb.ProviderID)
	switch {
	case err != nil:
		return "", "", err
	case known && (other.ID == p.ID || other.OrderID == o.ID && other.State == PaymentReturned):
		return Duplicate, "", nil
	case known:
		return s.quarantine(ctx, provider, cb, "the number belongs to another payment")
	case cb.AmountFen < 1 && p.AmountFen > 0, cb.Currency != Currency, p.State == PaymentPending && cb.AmountFen != p.AmountFen:
		return s.quarantine(ctx, provider, cb, "wrong amount or currency")
	case p.State != PaymentPending: // the same payment under another number: a second transaction
		id, err := s.sendBackMore(ctx, &o, p, cb)
		return Returned, id, err
	}
	return s.capture(ctx, &o, p, cb)
}

// capture takes the money: for a pending order, for an expired one that can still be had, else to send it back.
func (s *Service) capture(ctx context.Context, o *Order, p Payment, cb Callback) (Outcome, string, error) {
	p.ProviderID, p.SettledAt = cb.ProviderID, cb.At.Truncate(time.Millisecond).UTC()
	ok := o.State == Pending
	if o.State == Cancelled && o.Reason == "expired" { // who cancelled on purpose gets the money back
		var err error
		if ok, err = s.holdAgain(ctx, o); err != nil {
			return "", "", err
		}
	}
	if !ok {
		id, err := s.sendBack(ctx, o, p)
		return Returned, id, err
	}
	p.State = PaymentSettled
	what := "paid"
	if o.State == Cancelled {
		what = "paid late, stock held again"
	}
	if err := s.store.settlePayment(ctx, p); err != nil {
		return "", "", err
	}
	err := s.move(ctx, o, Paid, what, "buyer", change{
		"paid_ms": db.Millis(p.SettledAt), "paid_fen": p.AmountFen, "stock": stockSold, "reason": "",
	})
	if err != nil {
		return "", "", err
	}
	if err := s.post(ctx, "payment:"+p.ID, o.ID, p.SettledAt, "provider:"+p.Provider, "sales", p.AmountFen); err != nil {
		return "", "", err
	}
	if err := s.store.addOutbox(ctx, s.soldRows(o)); err != nil {
		return "", "", err
	}
	db.AfterCommit(ctx, s.nudge)
	return Applied, "", s.moveStock(ctx, []*Order{o}, s.stock.Sell, 0)
}

// reserveAgain tries to hold the stock of a cancelled order once more.
func (s *Service) reserveAgain(ctx context.Context, o *Order) (bool, error) {
	batch := []*placing{{Placement: Placement{SessionID: o.SessionID}, order: o, limits: map[int64]int64{}}}
	for _, l := range o.Lines {
		batch[0].Items = append(batch[0].Items, Item{SKUID: l.SKUID, Quantity: l.Quantity})
	}
	offers, err := s.sessions.Offers(ctx, o.SessionID, batch[0].skus())
	if err != nil && fault.KindOf(err) == fault.Internal {
		return false, err
	}
	for id, of := range offers.Items {
		if of.SessionStock >= 0 {
			batch[0].limits[id] = of.SessionStock
		}
	}
	taken, err := s.store.lockTaken(ctx, takenKeys(batch))
	if err != nil {
		return false, err
	}
	granted, err := s.give(ctx, batch, taken)
	return len(granted) == 1, err
}

// sendBack books money that nobody wants and asks for its return.
func (s *Service) sendBack(ctx context.Context, o *Order, p Payment) (refundID string, err error) {
	p.State = PaymentReturned
	if err := s.store.settlePayment(ctx, p); err != nil {
		return "", err
	}
	return s.bookReturn(ctx, o, p, "payment:"+p.ID, "paid too late or twice")
}

// sendBackMore is sendBack of a further transaction under the number of a payment that has settled: it becomes a payment of
// its own.
func (s *Service) sendBackMore(ctx context.Context, o *Order, p Payment, cb Callback) (refundID string, err error) {
	now := s.clock.Now().Truncate(time.Millisecond)
	more := Payment{
		ID: newID(now), OrderID: o.ID, Provider: p.Provider, ProviderID: cb.ProviderID, State: PaymentReturned, AmountFen: cb.AmountFen,
		CreatedAt: now, SettledAt: cb.At.Truncate(time.Millisecond).UTC(),
	}
	if err := s.store.addPayments(ctx, []Payment{more}); err != nil {
		return "", err
	}
	return s.bookReturn(ctx, o, more, "payment:"+more.ID, "paid too late or twice")
}

// bookReturn writes that p came and goes back: ledger, automatic refund, audit, timeline.
func (s *Service) bookReturn(ctx context.Context, o *Order, p Payment, idem, reason string) (refundID string, err error) {
	if p.AmountFen == 0 {
		return "", nil
	}
	if err := s.post(ctx, "payment:"+p.ID, o.ID, p.SettledAt, "provider:"+p.Provider, "returns", p.AmountFen); err != nil {
		return "", err
	}
	now := s.clock.Now().Truncate(time.Millisecond)
	r := Refund{
		ID: newID(now), OrderID: o.ID, PaymentID: p.ID, AmountFen: p.AmountFen, Reason: reason,
		Automatic: true, State: RefundRequested, By: "system", RequestedAt: now, idem: idem,
	}
	if err := s.store.addRefund(ctx, r); err != nil {
		return "", err
	}
	if err := s.audit.Record(ctx, "payment.returned", o.ID, map[string]any{"payment": p.ID, "amount_fen": p.AmountFen}); err != nil {
		return "", err
	}
	return r.ID, s.store.addEvent(ctx, o.ID, Event{At: now, What: "a payment goes back: " + reason, By: "system"})
}

// post writes one double entry: what debit gains, credit loses.
func (s *Service) post(ctx context.Context, ref, orderID string, at time.Time, debit, credit string, fen int64) error {
	if fen == 0 {
		return nil
	}
	return s.store.addEntries(ctx, []entryRow{
		{Ref: ref, Account: debit, AmountFen: fen, OrderID: orderID, AtMs: db.Millis(at)},
		{Ref: ref, Account: credit, AmountFen: -fen, OrderID: orderID, AtMs: db.Millis(at)},
	})
}

// soldRows is what the room will be told of a paid order.
func (s *Service) soldRows(o *Order) []outboxRow {
	rows := make([]outboxRow, len(o.Lines))
	for i, l := range o.Lines {
		data, _ := json.Marshal(sold{ProductID: l.ProductID, SKUID: l.SKUID, Title: l.Title, Quantity: l.Quantity, Buyer: o.BuyerInitial, BuyerID: o.BuyerID}) // plain values
		rows[i] = outboxRow{SessionID: o.SessionID, Type: "sold", Data: string(data), CreatedMs: db.Millis(s.clock.Now())}
	}
	return rows
}

// sold is the room's event of contract.md.
type sold struct {
	ProductID int64  `json:"product_id"`
	SKUID     int64  `json:"sku_id"`
	Title     string `json:"title"`
	Quantity  int64  `json:"quantity"`
	Buyer     string `json:"buyer"`              // first letter only
	BuyerID   int64  `json:"buyer_id,omitempty"` // for who asks for consent; never for the room
}

// Settlement says that an order was paid, and when; the zero time is now.
type Settlement struct {
	OrderID string
	At      time.Time
}

// Settle pays orders by the sandbox, through callbacks like any other, all in one transaction. For demo data and load
// tests: no route leads here.
func (s *Service) Settle(ctx context.Context, all []Settlement) error {
	sb, ok := s.providers[SandboxName].(sandbox)
	if !ok {
		return errNotSettleable
	}
	if _, err := s.sandboxSecret(ctx); err != nil { // outside of the transaction, so that it stays
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context) error {
		for _, one := range all {
			o, err := s.store.lockOrder(ctx, one.OrderID)
			if err != nil {
				return err
			}
			at := one.At
			if at.IsZero() {
				at = s.clock.Now()
			}
			if o.State != Pending {
				return ErrState.Saying("order " + o.ID + " is " + string(o.State))
			}
			p := Payment{ID: newID(at), OrderID: o.ID, Provider: SandboxName, State: PaymentPending, AmountFen: o.TotalFen, CreatedAt: at}
			if err := s.store.addPayments(ctx, []Payment{p}); err != nil {
				return err
			}
			header, raw, err := sb.settle(ctx, p, at)
			if err != nil {
				return err
			}
			if _, err := s.Receive(ctx, SandboxName, header, raw); err != nil {
				return err
			}
		}
		return nil
	})
}
