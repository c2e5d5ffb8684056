package payments

import (
	"context"
	"errors"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/web"
)

// When a day is reconciled. Providers promise their bills for nine or ten o'clock the next morning.
const (
	lookEvery  = time.Minute
	daysBack   = 7
	ready      = 10*time.Hour + 30*time.Minute // after the day's end
	giveUp     = 36 * time.Hour                // after the day's end: a bill that does not exist is then an empty one
	retryBill  = 30 * time.Minute
	retryWrong = 6 * time.Hour
	lease      = 5 * time.Minute
	billTime   = 2 * time.Minute
	// edge is how far provider and we may be apart in saying when something happened: what we count in the last minutes of
	// a day is held against the next day's bill too.
	edge = 10 * time.Minute
)

// Run reconciles each day once its bill can be had, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		if err := s.Look(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("reconciling failed and is repeated", "error", err.Error())
		}
	}
}

// Look reconciles the days that are due. Safe to run anywhere, at any time, by many.
func (s *Service) Look(ctx context.Context) error {
	now := s.clock.Now()
	today := pay.Day(now)
	var errs []error
	for name := range s.billers {
		for back := 1; back <= daysBack; back++ {
			day := today.AddDate(0, 0, -back)
			errs = append(errs, s.store.plan(ctx, name, day, day.AddDate(0, 0, 1).Add(ready)))
		}
	}
	for {
		r, ok, err := s.store.claim(ctx, now, s.worker, lease)
		if err != nil || !ok {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, s.reconcile(ctx, r))
	}
}

// Now reconciles a day at once, again if it has been. Operators only.
func (s *Service) Now(ctx context.Context, a web.Actor, provider string, day time.Time) (Report, error) {
	if !a.Is(web.Operator) {
		return Report{}, web.ErrForbidden
	}
	if _, ok := s.billers[provider]; !ok {
		return Report{}, s.errNoBiller()
	}
	day = pay.Day(day)
	if !day.Before(pay.Day(s.clock.Now())) {
		return Report{}, fault.Bad("day", "must be over; days are China's")
	}
	if err := s.store.plan(ctx, provider, day, s.clock.Now()); err != nil {
		return Report{}, err
	}
	r, err := s.store.claimDay(ctx, provider, day, s.clock.Now(), s.worker, lease)
	if err != nil {
		return Report{}, err
	}
	if err := s.audit.Record(ctx, "reconciliation.run", provider, map[string]any{"day": day.In(pay.China()).Format(time.DateOnly)}); err != nil {
		return Report{}, err
	}
	if err := s.reconcile(ctx, r); err != nil {
		return Report{}, err
	}
	return s.store.report(ctx, r.ID)
}

// reconcile fetches the bill of a claimed day and compares. That a bill can't be had is not an error but kept in the row.
func (s *Service) reconcile(ctx context.Context, r Report) error {
	biller, ok := s.billers[r.Provider]
	if !ok {
		return s.store.postpone(ctx, r.ID, Waiting, "the provider is switched off", s.clock.Now().Add(retryWrong))
	}
	fetch, cancel := context.WithTimeout(ctx, billTime)
	lines, err := biller.Bill(fetch, r.Day)
	cancel()
	now := s.clock.Now()
	window, werr := s.window(ctx, r)
	if werr != nil {
		return werr
	}
	switch {
	case errors.Is(err, pay.ErrNoBill) && (len(window) == 0 || now.After(r.Day.AddDate(0, 0, 1).Add(giveUp))):
		lines = nil // nothing happened, or nothing is going to be told any more
	case errors.Is(err, pay.ErrNoBill), errors.Is(err, pay.ErrNotYet), errors.Is(err, pay.ErrDown):
		return s.store.postpone(ctx, r.ID, Waiting, err.Error(), now.Add(retryBill))
	case err != nil:
		s.log.Error("a bill can't be had or read", "provider", r.Provider, "error", err.Error())
		return s.store.postpone(ctx, r.ID, Failed, err.Error(), now.Add(retryWrong))
	}
	return s.compare(ctx, r, lines, window)
}

// window is what our books count on a day: its last minutes wait for the next day's bill, those of the day before, if it
// has been reconciled, come in.
func (s *Service) window(ctx context.Context, r Report) ([]pay.Booking, error) {
	from, to := r.Day, r.Day.AddDate(0, 0, 1).Add(-edge)
	done, err := s.store.isDone(ctx, r.Provider, r.Day.AddDate(0, 0, -1))
	if err != nil {
		return nil, err
	}
	if done {
		from = from.Add(-edge)
	}
	return s.books.Booked(ctx, r.Provider, from, to)
}

// compare keeps the bill and every difference, in one transaction.
func (s *Service) compare(ctx context.Context, r Report, lines []pay.Line, window []pay.Booking) error {
	var payments, providerNos, refunds []string
	for _, l := range lines {
		if l.RefundID != "" {
			refunds = append(refunds, l.RefundID)
			continue
		}
		payments, providerNos = append(payments, l.PaymentID), append(providerNos, l.ProviderID)
	}
	known, err := s.books.BookedAs(ctx, r.Provider, payments, providerNos, refunds)
	if err != nil {
		return err
	}
	before, err := s.store.lines(ctx, r.Provider, r.Day.AddDate(0, 0, -1))
	if err != nil {
		return err
	}
	found := Compare(Bill{Lines: lines, Before: before}, window, known)
	var fresh int64
	err = s.db.Tx(ctx, func(ctx context.Context) (err error) {
		if err := s.store.keepLines(ctx, r, lines); err != nil {
			return err
		}
		if fresh, err = s.store.keepDifferences(ctx, r.ID, found, s.clock.Now()); err != nil {
			return err
		}
		if fresh > 0 {
			if err := s.audit.Record(ctx, "reconciliation.differs", r.Provider, map[string]any{"day": r.Day.In(pay.China()).Format(time.DateOnly), "differences": fresh}); err != nil {
				return err
			}
		}
		return s.store.finish(ctx, r.ID, totalBookings(window), totalLines(lines), s.clock.Now())
	})
	if err == nil && fresh > 0 {
		s.found.Add(float64(fresh))
		s.log.Error("our books and a provider's bill differ; an operator has to look", "provider", r.Provider, "day", r.Day.In(pay.China()).Format(time.DateOnly), "differences", fresh)
	}
	return err
}

var errBusy = fault.New(fault.Conflict, "reconciling", "this day is being reconciled at this moment; look again in a minute")

// millis writes a time as the tables have it.
func millis(t time.Time) int64 { return db.Millis(t) }
