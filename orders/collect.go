package orders

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/web"
)

// PayAsk is what a buyer asks for to pay an order.
type PayAsk struct {
	OrderID  string
	Provider string
	Kind     pay.Kind // empty: the provider's first
	Settle   bool     // the sandbox settles at once
	Key      string   // of this request
	ClientIP string
	OpenID   string // who the buyer is at WeChat; JSAPI needs it
}

// How long what a provider gave to start with may be given again: H5's address lives for 5 minutes, the others for hours.
const (
	startAgain   = time.Hour
	startAgainH5 = 4 * time.Minute
)

// Pay is StartPayment for the sandbox and for tests: only the payment is of interest.
func (s *Service) Pay(ctx context.Context, a web.Actor, orderID, provider string, settle bool, key string) (Payment, error) {
	p, _, err := s.StartPayment(ctx, a, PayAsk{OrderID: orderID, Provider: provider, Settle: settle, Key: key})
	return p, err
}

// StartPayment starts a payment of the actor's own order and says where the buyer goes. With Settle the sandbox settles at
// once, through the same way that a callback from outside takes. Repeating it gives the payment that there is; a paid order
// is not paid again: with a key other than that of its payment, or another provider, ErrAlreadyPaid.
func (s *Service) StartPayment(ctx context.Context, a web.Actor, ask PayAsk) (Payment, pay.Start, error) {
	via, err := s.provider(&ask)
	if err != nil {
		return Payment{}, pay.Start{}, err
	}
	var p Payment
	var o Order
	var at attemptRow
	err = s.db.Tx(ctx, func(ctx context.Context) (err error) {
		if o, err = s.store.lockOrder(ctx, ask.OrderID); err != nil {
			return err
		}
		if a.AccountID == 0 || a.AccountID != o.BuyerID {
			return fault.Missing("order")
		}
		p, at, err = s.openPayment(ctx, &o, ask)
		return err
	})
	if err != nil || p.State != PaymentPending {
		return p, pay.Start{}, err
	}
	if ask.Settle || p.AmountFen == 0 { // nothing to pay needs no provider
		p, err = s.settleNow(ctx, via, p)
		return p, pay.Start{}, err
	}
	st, err := s.startAt(ctx, via, o, p, at)
	return p, st, err
}

// provider finds who is asked, and sets the kind if none is named.
func (s *Service) provider(ask *PayAsk) (pay.Provider, error) {
	via, ok := s.providers[ask.Provider]
	if !ok {
		return nil, fault.Bad("provider", "unknown; there is: "+strings.Join(slices.Sorted(maps.Keys(s.providers)), ", "))
	}
	if ask.Kind == "" {
		ask.Kind = via.Kinds()[0]
	}
	if !slices.Contains(via.Kinds(), ask.Kind) {
		return nil, fault.Bad("kind", "unknown for this provider; see GET /api/v1/payment-methods")
	}
	if _, sandboxed := via.(sandbox); ask.Settle && !sandboxed {
		return nil, errNotSettleable
	}
	return via, nil
}

// openPayment gives the payment that the order has or may have now, making it if need be.
func (s *Service) openPayment(ctx context.Context, o *Order, ask PayAsk) (Payment, attemptRow, error) {
	switch {
	case o.State.captured():
		for _, p := range o.Payments {
			if p.State == PaymentSettled && p.Provider == ask.Provider && (ask.Key == "" || ask.Key == p.idem) {
				return p, attemptRow{}, nil
			}
		}
		return Payment{}, attemptRow{}, ErrAlreadyPaid
	case o.State == Cancelled && o.Reason == "expired":
		return Payment{}, attemptRow{}, ErrExpired
	case o.State != Pending:
		return Payment{}, attemptRow{}, ErrState.Saying("an order that is " + string(o.State) + " can't be paid")
	case !s.clock.Now().Before(o.ExpiresAt):
		return Payment{}, attemptRow{}, ErrExpired
	}
	now := s.clock.Now().Truncate(time.Millisecond)
	fresh := attemptRow{OrderID: o.ID, Provider: ask.Provider, Kind: string(ask.Kind), ClientIP: ask.ClientIP, OpenID: ask.OpenID, CreatedMs: db.Millis(now)}
	fresh.QueryMs = db.Millis(now.Add(queryFirst))
	known, err := s.store.attempts(ctx, o.ID)
	if err != nil {
		return Payment{}, fresh, err
	}
	for _, p := range o.Payments {
		old, tried := known[p.ID]
		if p.State != PaymentPending || p.Provider != ask.Provider || tried && (old.Kind != string(ask.Kind) || old.ClosedMs > 0 || old.OpenID != ask.OpenID) {
			continue
		}
		if tried || ask.Settle {
			return p, old, nil
		}
		fresh.PaymentID = p.ID
		return p, fresh, s.store.addAttempt(ctx, fresh)
	}
	p := Payment{ID: newID(now), OrderID: o.ID, Provider: ask.Provider, State: PaymentPending, AmountFen: o.TotalFen, CreatedAt: now, idem: ask.Key}
	if err := s.store.addPayments(ctx, []Payment{p}); err != nil || ask.Settle {
		return p, fresh, err
	}
	fresh.PaymentID = p.ID
	return p, fresh, s.store.addAttempt(ctx, fresh)
}

// settleNow pays by the sandbox, or what costs nothing, through the same way as a callback.
func (s *Service) settleNow(ctx context.Context, via pay.Provider, p Payment) (Payment, error) {
	if sb, ok := via.(sandbox); ok {
		header, raw, err := sb.settle(ctx, p, s.clock.Now())
		if err != nil {
			return Payment{}, err
		}
		if _, err := s.Receive(ctx, p.Provider, header, raw); err != nil {
			return Payment{}, err
		}
		return s.store.payment(ctx, p.ID)
	}
	free := Callback{Status: pay.Success, ProviderID: "free_" + p.ID, PaymentID: p.ID, OrderID: p.OrderID, Currency: Currency, At: s.clock.Now()}
	if _, err := s.take(ctx, p.Provider, free, []byte("{}")); err != nil {
		return Payment{}, err
	}
	return s.store.payment(ctx, p.ID)
}

// startAt asks the provider where the buyer goes, or gives what it said a moment ago.
func (s *Service) startAt(ctx context.Context, via pay.Provider, o Order, p Payment, at attemptRow) (pay.Start, error) {
	again := startAgain
	if at.Kind == string(pay.H5) {
		again = startAgainH5
	}
	if st, ok := at.start(s.clock.Now(), again); ok {
		return st, nil
	}
	st, err := via.Start(ctx, s.paymentFor(o, p, at))
	if err != nil {
		if at.Result != "" { // perhaps it has been paid meanwhile
			err = errors.Join(err, s.store.hurry(ctx, p.Provider, p.ID, s.clock.Now()))
		}
		return pay.Start{}, err
	}
	return st, s.store.keepStart(ctx, p.ID, st, s.clock.Now())
}

// paymentFor is what a provider is told of a payment.
func (s *Service) paymentFor(o Order, p Payment, at attemptRow) pay.Payment {
	out := pay.Payment{
		ID: p.ID, OrderID: p.OrderID, ProviderID: p.ProviderID, Kind: pay.Kind(at.Kind), AmountFen: p.AmountFen, Title: "多多拼", ExpiresAt: o.ExpiresAt,
		ClientIP: at.ClientIP, OpenID: at.OpenID,
	}
	if len(o.Lines) > 0 {
		out.Title += " " + o.Lines[0].Title
	}
	if s.public != "" {
		out.ReturnURL = s.public + "/orders/" + o.ID
	}
	return out
}

// Methods gives the providers that are on, by name, with their kinds.
func (s *Service) Methods() map[string][]pay.Kind {
	out := map[string][]pay.Kind{}
	for name, p := range s.providers {
		out[name] = p.Kinds()
	}
	return out
}

// When the provider is asked about a payment whose callback has not come: after queryFirst, then twice as long each time.
const (
	queryFirst  = 20 * time.Second
	queryLongly = 10 * time.Minute
	closeLongly = time.Hour
	closeTries  = 40 // then a person has to look; more than a day
	askTimeout  = 20 * time.Second
	collectLots = 50
)

func (s *Service) runCollector(ctx context.Context) {
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := s.Collect(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("collecting payments failed and is repeated", "error", err.Error())
		}
	}
}

// Collect does one round of what providers leave to us: callbacks that were stored but not applied, payments whose callback
// does not come, closing what can no longer be paid, refunds under way, and the sandbox's late callbacks. Safe to run
// anywhere, at any time, by many.
func (s *Service) Collect(ctx context.Context) error {
	return errors.Join(s.applyLeft(ctx), s.deliverTrades(ctx), s.askPayments(ctx), s.askRefunds(ctx))
}

// applyLeft applies callbacks that were stored by a process that then ended.
func (s *Service) applyLeft(ctx context.Context) error {
	stored, err := s.store.openCallbacks(ctx, s.clock.Now().Add(-retryAfter), sweepBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, c := range stored {
		var cb Callback
		switch {
		case json.Unmarshal([]byte(c.Detail), &cb) == nil && cb.ProviderID != "": // authentic when it was stored
		case c.Provider == SandboxName:
			if cb, err = readSandbox(c.Body); err != nil {
				errs = append(errs, err)
				continue
			}
		default:
			continue
		}
		if _, err := s.applyStored(ctx, c.ID, c.Provider, cb); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// askPayments asks providers about payments that are due.
func (s *Service) askPayments(ctx context.Context) error {
	due, err := s.store.claimAttempts(ctx, s.clock.Now(), s.worker, leaseFor, collectLots)
	if err != nil {
		return err
	}
	var errs []error
	for _, at := range due {
		if err := s.askPayment(ctx, at); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// askPayment asks about one payment and lets its lease go. While its order may be paid it is asked again and again, more and
// more rarely; once the order may not, the payment is closed at the provider.
func (s *Service) askPayment(ctx context.Context, at attemptRow) error {
	p, err := s.store.payment(ctx, at.PaymentID)
	if err != nil {
		return err
	}
	o, err := s.store.order(ctx, at.OrderID)
	if err != nil {
		return err
	}
	via, on := s.providers[at.Provider]
	over := o.State != Pending || !s.clock.Now().Before(o.ExpiresAt)
	if p.State != PaymentPending {
		return s.store.letGo(ctx, at, time.Time{}, s.worker, nil)
	}
	if !on {
		return s.store.letGo(ctx, at, s.nextAsk(at, o, over), s.worker, map[string]any{"problem": "the provider is switched off", "over": over})
	}
	done, err := s.askProvider(ctx, via, s.paymentFor(o, p, at), over)
	switch {
	case err != nil && over && at.Tries > closeTries:
		s.log.Error("a payment could be neither settled nor closed; look at the provider", "payment", p.ID, "order", o.ID, "error", err.Error())
		return s.store.letGo(ctx, at, time.Time{}, s.worker, map[string]any{"problem": err.Error(), "over": true})
	case err != nil:
		return s.store.letGo(ctx, at, s.nextAsk(at, o, over), s.worker, map[string]any{"problem": err.Error(), "over": over})
	case done && over:
		return s.store.letGo(ctx, at, time.Time{}, s.worker, map[string]any{"closed_ms": db.Millis(s.clock.Now()), "problem": "", "over": true})
	case done:
		return s.store.letGo(ctx, at, time.Time{}, s.worker, map[string]any{"problem": ""})
	}
	return s.store.letGo(ctx, at, s.nextAsk(at, o, over), s.worker, map[string]any{"problem": "", "over": over})
}

// askProvider reports whether nothing more is to be asked.
func (s *Service) askProvider(ctx context.Context, via pay.Provider, x pay.Payment, over bool) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, n, err := via.Query(ctx, x)
	if err != nil {
		return false, err
	}
	switch status {
	case pay.Success:
		raw, err := json.Marshal(n)
		if err != nil {
			return false, err
		}
		_, err = s.take(ctx, via.Name(), n, raw)
		return err == nil, err
	case pay.Closed:
		return over, nil // closed there, but ours may still start another
	default:
		if !over {
			return false, nil
		}
		return true, via.Close(ctx, x)
	}
}

// nextAsk is when the provider is asked again, at the latest just after the order's end.
func (s *Service) nextAsk(at attemptRow, o Order, over bool) time.Time {
	now := s.clock.Now()
	most := queryLongly
	if over {
		most = closeLongly
	}
	wait := min(queryFirst<<min(at.Tries+1, 12), most)
	next := now.Add(wait)
	if end := o.ExpiresAt.Add(time.Second); !over && now.Before(end) && end.Before(next) {
		return end
	}
	return next
}
