package orders

import (
	"context"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Suspect is money that a provider says has come and that fits nothing: a person decides.
type Suspect struct {
	ID                   int64
	Provider, ProviderID string
	PaymentID, OrderID   string
	AmountFen            int64
	Currency, Why        string
	PaidAt, At           time.Time
	State                string // open, refunded, dismissed
	ResolvedBy, Note     string
	ResolvedAt           time.Time
}

// The ways to resolve a suspect.
const (
	SuspectOpen      = "open"
	SuspectRefunded  = "refunded"
	SuspectDismissed = "dismissed"
)

// quarantine leaves the order as it is and tells a person, once.
func (s *Service) quarantine(ctx context.Context, provider string, cb Callback, why string) (Outcome, string, error) {
	first, err := s.store.addSuspect(ctx, quarantineRow{
		Provider: provider, ProviderID: cb.ProviderID, PaymentID: cb.PaymentID, OrderID: cb.OrderID, AmountFen: cb.AmountFen, Currency: cb.Currency,
		Why: why, PaidMs: db.Millis(cb.At), AtMs: db.Millis(s.clock.Now()), State: SuspectOpen,
	})
	if err != nil || !first {
		return Quarantined, "", err
	}
	s.log.Error("a payment callback does not fit and is quarantined", "order", cb.OrderID, "payment", cb.PaymentID, "why", why)
	return Quarantined, "", s.audit.Record(ctx, "payment.quarantined", cb.OrderID, map[string]any{
		"payment": cb.PaymentID, "amount_fen": cb.AmountFen, "currency": cb.Currency, "why": why,
	})
}

// Suspects gives what is or was quarantined, newest first. Operators only.
func (s *Service) Suspects(ctx context.Context, a web.Actor, state string, before int64, n int) ([]Suspect, error) {
	if !a.Is(web.Operator) {
		return nil, web.ErrForbidden
	}
	return s.store.suspects(ctx, state, before, n)
}

// ResolveSuspect sends the money back, or dismisses the matter. Operators only; doing the same twice is fine.
func (s *Service) ResolveSuspect(ctx context.Context, a web.Actor, id int64, to, note string) (Suspect, error) {
	if !a.Is(web.Operator) {
		return Suspect{}, web.ErrForbidden
	}
	var x Suspect
	var back string
	err := s.db.Tx(ctx, func(ctx context.Context) (err error) {
		var now bool
		x, now, err = s.store.closeSuspect(ctx, id, to, a.Name, note, s.clock.Now())
		switch {
		case err != nil:
			return err
		case !now && x.State != to:
			return ErrState.Saying("this has been resolved: " + x.State)
		case !now:
			return nil
		}
		if to == SuspectRefunded {
			if back, err = s.returnSuspect(ctx, x); err != nil {
				return err
			}
		}
		return s.audit.Record(ctx, "payment."+to, x.OrderID, map[string]any{"quarantine": x.ID, "payment": x.PaymentID, "amount_fen": x.AmountFen, "note": note})
	})
	if err == nil && back != "" {
		if _, err := s.finishRefund(ctx, back); err != nil {
			s.log.Warn("a refund waits for its repeat", "refund", back, "error", err.Error())
		}
	}
	return x, err
}

// returnSuspect books the money as a payment of its own that goes back.
func (s *Service) returnSuspect(ctx context.Context, x Suspect) (string, error) {
	o, err := s.store.lockOrder(ctx, x.OrderID)
	if fault.KindOf(err) == fault.NotFound {
		return "", ErrState.Saying("it names no order of ours; refund it at the provider and dismiss it here")
	} else if err != nil {
		return "", err
	}
	if _, known, err := s.store.byProviderID(ctx, x.Provider, x.ProviderID); err != nil || known || x.AmountFen < 1 || x.Currency != pay.Currency {
		if err != nil {
			return "", err
		}
		return "", ErrState.Saying("this transaction can't be refunded from here; refund it at the provider and dismiss it here")
	}
	now := s.clock.Now().Truncate(time.Millisecond)
	p := Payment{
		ID: newID(now), OrderID: o.ID, Provider: x.Provider, ProviderID: x.ProviderID, State: PaymentReturned, AmountFen: x.AmountFen,
		CreatedAt: now, SettledAt: x.PaidAt,
	}
	if err := s.store.addPayments(ctx, []Payment{p}); err != nil {
		return "", err
	}
	return s.bookReturn(ctx, &o, p, "quarantine:"+p.ID, "an amount that did not fit")
}
