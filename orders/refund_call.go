package orders

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/web"
)

// The states of the call to a provider for a refund.
const (
	callPending = "pending"
	callDone    = "done" // the money is back
	callFailed  = "failed"
)

// How often a provider is asked for or about a refund: after refundFirst, then twice as long each time, up to refundLongly.
const (
	refundFirst  = 10 * time.Second
	refundLongly = time.Hour
	refundTries  = 120 // then it has failed; some days
	maxFailed    = 200
)

// errOff says that the money moved through a provider that is not switched on here.
var errOff = fault.New(fault.Unavailable, "provider-off", "the payment provider is switched off")

// askRefund asks a payment's provider for a refund and reports whether the money is back. Money of another platform goes
// back there; here it is only booked. What is under way, not due or failed is false without an error.
func (s *Service) askRefund(ctx context.Context, p Payment, r Refund) (bool, error) {
	if !pay.Ours(p.Provider) {
		return true, nil
	}
	via, on := s.providers[p.Provider]
	if !on {
		return false, errOff
	}
	call, ok, err := s.store.claimRefundCall(ctx, r.ID, p.Provider, s.clock.Now(), s.worker, leaseFor)
	if err != nil || !ok {
		return false, err
	}
	if call.State == callDone {
		return true, s.store.keepRefundCall(ctx, call, s.worker)
	}
	res, asked := s.callProvider(ctx, via, p, r, call)
	if s.weigh(&call, res, asked); call.State == callFailed {
		return false, errors.Join(asked, s.tellFailed(ctx, call, r))
	}
	if err := s.store.keepRefundCall(ctx, call, s.worker); err != nil {
		return false, err
	}
	return call.State == callDone, asked
}

// number is the provider's number of a refund.
func (c refundCallRow) number() string {
	if c.Round == 0 {
		return c.RefundID
	}
	return fmt.Sprintf("%s-%d", c.RefundID, c.Round)
}

// callProvider asks about what the provider has taken, else for it.
func (s *Service) callProvider(ctx context.Context, via pay.Provider, p Payment, r Refund, call refundCallRow) (pay.RefundResult, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	x := pay.Payment{ID: p.ID, OrderID: p.OrderID, ProviderID: p.ProviderID, AmountFen: p.AmountFen}
	back := pay.Refund{ID: call.number(), AmountFen: r.AmountFen, Reason: r.Reason}
	if call.AcceptedMs > 0 {
		if res, err := via.QueryRefund(ctx, x, back); err != nil || res.Status != pay.Unknown {
			return res, err
		}
	}
	return via.Refund(ctx, x, back)
}

// weigh says in the call's row what follows from the provider's answer.
func (s *Service) weigh(call *refundCallRow, res pay.RefundResult, err error) {
	now := s.clock.Now()
	call.Tries++
	call.Code, call.Problem = res.Code, ""
	switch {
	case err == nil && res.Status == pay.Success:
		call.State = callDone
	case err == nil && res.Status == pay.Failed:
		call.State, call.Problem = callFailed, "the provider ended the refund: "+res.Code
	case errors.Is(err, pay.ErrRefused):
		call.State, call.Problem = callFailed, err.Error()
	case call.Tries > refundTries:
		call.State, call.Problem = callFailed, "given up"
	}
	if err != nil && call.Problem == "" {
		call.Problem = err.Error()
	}
	if err == nil && call.AcceptedMs == 0 {
		call.AcceptedMs = db.Millis(now)
	}
	call.DueMs = db.Millis(now)
	if call.State == callPending {
		call.DueMs = db.Millis(now.Add(min(refundFirst<<min(call.Tries, 12), refundLongly)))
	}
}

// tellFailed keeps that a refund has failed, and tells a person.
func (s *Service) tellFailed(ctx context.Context, call refundCallRow, r Refund) error {
	s.log.Error("a refund has failed at the provider; an operator has to see to it", "refund", r.ID, "order", r.OrderID, "code", call.Code, "problem", call.Problem)
	s.metrics.failed.Inc()
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.keepRefundCall(ctx, call, s.worker); err != nil {
			return err
		}
		if err := s.audit.Record(ctx, "refund.failed", r.OrderID, map[string]any{"refund": r.ID, "amount_fen": r.AmountFen, "code": call.Code}); err != nil {
			return err
		}
		return s.store.addEvent(ctx, r.OrderID, Event{At: s.clock.Now(), What: "the refund has failed", By: "system"})
	})
}

// wakeRefund takes a provider's word about a refund: it only makes us ask, what counts is the answer.
func (s *Service) wakeRefund(ctx context.Context, provider string, cb Callback) (Outcome, string, error) {
	id := cb.RefundID
	if len(id) > 27 && id[26] == '-' { // a later round; our numbers have 26 characters
		id = id[:26]
	}
	r, err := s.store.refund(ctx, id)
	if fault.KindOf(err) == fault.NotFound {
		return s.quarantine(ctx, provider, cb, "no such refund")
	} else if err != nil {
		return "", "", err
	}
	if r.State == RefundSucceeded {
		return Duplicate, "", nil
	}
	return Noted, r.ID, s.store.wakeRefundCall(ctx, r.ID, s.clock.Now())
}

// askRefunds goes on with refunds that are due.
func (s *Service) askRefunds(ctx context.Context) error {
	now := s.clock.Now()
	ids, err := s.store.dueRefunds(ctx, now, now.Add(-retryAfter), sweepBatch)
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if _, err := s.finishRefund(ctx, id); err != nil && !errors.Is(err, pay.ErrRefused) { // a refusal has been told
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// FailedRefund is a refund that the provider will not make.
type FailedRefund struct {
	Refund
	Provider string
	Code     string // the provider's
	Problem  string
}

// FailedRefunds gives the refunds that an operator has to see to, newest first, 200 at most.
func (s *Service) FailedRefunds(ctx context.Context, a web.Actor) ([]FailedRefund, error) {
	if !a.Is(web.Operator) {
		return nil, web.ErrForbidden
	}
	return s.store.failedRefunds(ctx, maxFailed)
}

// RetryRefund takes a failed refund up again. Operators only.
func (s *Service) RetryRefund(ctx context.Context, a web.Actor, id string) (Refund, error) {
	if !a.Is(web.Operator) {
		return Refund{}, web.ErrForbidden
	}
	var r Refund
	err := s.db.Tx(ctx, func(ctx context.Context) (err error) {
		if r, err = s.store.refund(ctx, id); err != nil {
			return err
		}
		if again, err := s.store.retryRefundCall(ctx, id, s.clock.Now()); err != nil || !again {
			return errors.Join(err, ErrState.Saying("this refund has not failed"))
		}
		return s.audit.Record(ctx, "refund.retry", r.OrderID, map[string]any{"refund": id})
	})
	if err != nil {
		return r, err
	}
	if done, err := s.finishRefund(ctx, id); err == nil {
		return done, nil
	}
	return s.store.refund(ctx, id) // what went wrong is in the list again, or the worker repeats it
}
