package orders

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
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
const Currency = "CNY"

// roomChannel is the channel of what is bought here; all others are imported.
const roomChannel = "room"

// Provider is a way to pay: the sandbox now, WeChat Pay and Alipay behind the same verbs later.
type Provider interface {
	// Name is its name in routes and rows.
	Name() string
	// Start begins a payment and says where the buyer goes to pay.
	Start(ctx context.Context, p Payment) (StartResult, error)
	// ParseCallback authenticates and reads what the provider sent: the signature over the raw bytes, its timestamp and the
	// merchant. It must not touch the database but for its key.
	ParseCallback(ctx context.Context, header http.Header, raw []byte) (Callback, error)
	// Query asks for a payment whose callback did not come; false: not settled.
	Query(ctx context.Context, p Payment) (Callback, bool, error)
	// Refund sends money back; repeated with the same refund it does nothing more.
	Refund(ctx context.Context, p Payment, r Refund) error
}

// StartResult is where the buyer goes to pay; empty for the sandbox.
type StartResult struct{ URL string }

// Callback is a provider's word, authenticated, that money has come.
type Callback struct {
	ProviderID string // unique per provider
	PaymentID  string
	OrderID    string
	AmountFen  int64
	Currency   string
	SettledAt  time.Time
}

// Outcome is what became of a callback.
type Outcome string

// The outcomes. All but Received are final.
const (
	Received    Outcome = "received"    // stored, not yet applied
	Applied     Outcome = "applied"     // the order is paid by it
	Duplicate   Outcome = "duplicate"   // had been applied before
	Returned    Outcome = "returned"    // too late or a second payment: the money goes back
	Quarantined Outcome = "quarantined" // does not fit (amount, currency, payment): a person has to look
)

// maxCallback is the largest callback in bytes.
const maxCallback = 64 << 10

// Pay starts a payment of the actor's own order. With settle the sandbox settles at once, through the same way that a
// callback from outside takes. Repeating it gives the payment that there is; a paid order is not paid again: with a key
// other than that of its payment, or another provider, ErrAlreadyPaid.
func (s *Service) Pay(ctx context.Context, a web.Actor, orderID, provider string, settle bool, key string) (Payment, error) {
	via, ok := s.providers[provider]
	if !ok {
		return Payment{}, fault.Bad("provider", "unknown; there is: "+SandboxName)
	}
	var p Payment
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		o, err := s.store.lockOrder(ctx, orderID)
		if err != nil {
			return err
		}
		if a.AccountID == 0 || a.AccountID != o.BuyerID {
			return fault.Missing("order")
		}
		p, err = s.openPayment(ctx, &o, provider, key)
		return err
	})
	if err != nil || p.State != PaymentPending {
		return p, err
	}
	if _, err := via.Start(ctx, p); err != nil {
		return Payment{}, err
	}
	if !settle {
		return p, nil
	}
	sb, ok := via.(sandbox)
	if !ok {
		return Payment{}, errNotSettleable
	}
	header, raw, err := sb.settle(ctx, p, s.clock.Now())
	if err != nil {
		return Payment{}, err
	}
	if _, err := s.Receive(ctx, provider, header, raw); err != nil {
		return Payment{}, err
	}
	return s.store.payment(ctx, p.ID)
}

// openPayment gives the payment that the order has or may have now, making it if need be.
func (s *Service) openPayment(ctx context.Context, o *Order, provider, key string) (Payment, error) {
	switch {
	case o.State.captured():
		for _, p := range o.Payments {
			if p.State == PaymentSettled && p.Provider == provider && (key == "" || key == p.idem) {
				return p, nil
			}
		}
		return Payment{}, ErrAlreadyPaid
	case o.State == Cancelled && o.Reason == "expired":
		return Payment{}, ErrExpired
	case o.State != Pending:
		return Payment{}, ErrState.Saying("an order that is " + string(o.State) + " can't be paid")
	case !s.clock.Now().Before(o.ExpiresAt):
		return Payment{}, ErrExpired
	}
	for _, p := range o.Payments {
		if p.State == PaymentPending && p.Provider == provider {
			return p, nil
		}
	}
	now := s.clock.Now().Truncate(time.Millisecond)
	p := Payment{ID: newID(now), OrderID: o.ID, Provider: provider, State: PaymentPending, AmountFen: o.TotalFen, CreatedAt: now, idem: key}
	return p, s.store.addPayments(ctx, []Payment{p})
}

// Receive takes a callback: authenticated, stored raw in a commit of its own, then applied once. What is not authentic
// is refused and not stored, since anybody may send it. A nil error tells the provider to stop repeating.
func (s *Service) Receive(ctx context.Context, provider string, header http.Header, raw []byte) (Outcome, error) {
	via, ok := s.providers[provider]
	if !ok {
		return "", fault.Missing("provider")
	}
	cb, err := via.ParseCallback(ctx, header, raw)
	if err != nil {
		s.metrics.callbacks.WithLabelValues("refused").Inc()
		return "", err
	}
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
		outcome, back, err = s.apply(ctx, provider, cb)
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
			s.log.Warn("an automatic refund waits for its repeat", "refund", back, "error", err.Error())
		}
	}
	return outcome, nil
}

// apply is the transaction of a callback: the order is locked first, then everything is held against it.
func (s *Service) apply(ctx context.Context, provider string, cb Callback) (Outcome, string, error) {
	p, err := s.store.payment(ctx, cb.PaymentID)
	if fault.KindOf(err) == fault.NotFound || err == nil && (p.Provider != provider || p.OrderID != cb.OrderID) {
		return s.quarantine(ctx, cb, "no such payment")
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
	used, err := s.store.providerIDUsed(ctx, provider, cb.ProviderID)
	switch {
	case err != nil:
		return "", "", err
	case p.ProviderID == cb.ProviderID && p.State != PaymentPending:
		return Duplicate, "", nil
	case p.State != PaymentPending:
		return s.quarantine(ctx, cb, "the payment has settled under another number")
	case used:
		return s.quarantine(ctx, cb, "the number belongs to another payment")
	case cb.AmountFen != p.AmountFen || cb.Currency != Currency:
		return s.quarantine(ctx, cb, "wrong amount or currency")
	}
	return s.capture(ctx, &o, p, cb)
}

// quarantine leaves the order as it is and tells a person.
func (s *Service) quarantine(ctx context.Context, cb Callback, why string) (Outcome, string, error) {
	s.log.Error("a payment callback does not fit and is quarantined", "order", cb.OrderID, "payment", cb.PaymentID, "why", why)
	return Quarantined, "", s.audit.Record(ctx, "payment.quarantined", cb.OrderID, map[string]any{
		"payment": cb.PaymentID, "amount_fen": cb.AmountFen, "currency": cb.Currency, "why": why,
	})
}

// capture takes the money: for a pending order, for an expired one that can still be had, else to send it back.
func (s *Service) capture(ctx context.Context, o *Order, p Payment, cb Callback) (Outcome, string, error) {
	p.ProviderID, p.SettledAt = cb.ProviderID, cb.SettledAt.Truncate(time.Millisecond).UTC()
	ok := o.State == Pending
	if o.State == Cancelled && o.Reason == "expired" { // who cancelled on purpose gets the money back
		var err error
		if ok, err = s.reserveAgain(ctx, o); err != nil {
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
	granted, err := s.give(ctx, batch)
	return len(granted) == 1, err
}

// sendBack books money that nobody wants and asks for its return.
func (s *Service) sendBack(ctx context.Context, o *Order, p Payment) (refundID string, err error) {
	p.State = PaymentReturned
	if err := s.store.settlePayment(ctx, p); err != nil {
		return "", err
	}
	if p.AmountFen == 0 {
		return "", nil
	}
	if err := s.post(ctx, "payment:"+p.ID, o.ID, p.SettledAt, "provider:"+p.Provider, "returns", p.AmountFen); err != nil {
		return "", err
	}
	now := s.clock.Now().Truncate(time.Millisecond)
	r := Refund{
		ID: newID(now), OrderID: o.ID, PaymentID: p.ID, AmountFen: p.AmountFen, Reason: "paid too late or twice",
		Automatic: true, State: RefundRequested, By: "system", RequestedAt: now, idem: "payment:" + p.ID,
	}
	if err := s.store.addRefund(ctx, r); err != nil {
		return "", err
	}
	if err := s.audit.Record(ctx, "payment.returned", o.ID, map[string]any{"payment": p.ID, "amount_fen": p.AmountFen}); err != nil {
		return "", err
	}
	return r.ID, s.store.addEvent(ctx, o.ID, Event{At: now, What: "a payment came too late or twice and goes back", By: "system"})
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
