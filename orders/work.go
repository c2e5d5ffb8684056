package orders

import (
	"context"
	"encoding/json"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
)

// What the service does on its own: expiring holds, telling rooms, and finishing what a crash interrupted. Each piece of
// work is leased and guarded, so that several processes, or one that was stopped for a while, never do it twice.
const (
	workEvery   = time.Second
	leaseFor    = 30 * time.Second
	sweepBatch  = 100
	tellBatch   = 200
	tellTimeout = 5 * time.Second
	retryAfter  = 10 * time.Second // what is not finished by then is taken up again
)

func (s *Service) runSweeper(ctx context.Context) {
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for {
			n, err := s.Sweep(ctx)
			if err != nil && ctx.Err() == nil {
				s.log.Warn("expiring holds failed and is repeated", "error", err.Error())
			}
			if err != nil || n < sweepBatch {
				break
			}
		}
	}
}

// Sweep expires up to one batch of holds that are over and says how many. Safe to run anywhere, at any time, by many.
func (s *Service) Sweep(ctx context.Context) (int, error) {
	ids, err := s.store.claimExpired(ctx, s.clock.Now(), s.worker, leaseFor, sweepBatch)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return s.expire(ctx, ids)
}

// expire cancels claimed orders; those that were paid or cancelled meanwhile, or claimed by another, are left alone.
func (s *Service) expire(ctx context.Context, ids []string) (int, error) {
	n := 0
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		locked, err := s.store.lockOrders(ctx, ids)
		if err != nil {
			return err
		}
		done, err := s.store.expire(ctx, ids, s.worker)
		if err != nil {
			return err
		}
		expired := make(map[string]bool, len(done))
		for _, id := range done {
			expired[id] = true
		}
		var free []*Order
		var events []eventRow
		for i := range locked {
			if expired[locked[i].ID] {
				free = append(free, &locked[i])
				events = append(events, eventRow{OrderID: locked[i].ID, AtMs: db.Millis(s.clock.Now()), What: "expired", By: "system"})
			}
		}
		n = len(free)
		if err := s.store.addEvents(ctx, events); err != nil {
			return err
		}
		for _, o := range free {
			o.State, o.Reason = Cancelled, "expired"
			if err := s.told(ctx, *o); err != nil {
				return err
			}
		}
		return s.release(ctx, free)
	})
	if err != nil {
		return 0, err
	}
	s.metrics.expired.Add(float64(n))
	return n, nil
}

// nudge wakes the teller.
func (s *Service) nudge() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) runTeller(ctx context.Context) {
	tick := time.NewTicker(workEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-s.wake:
		}
		for {
			n, err := s.Tell(ctx)
			if err != nil && ctx.Err() == nil {
				s.log.Warn("telling the rooms failed and is repeated", "error", err.Error())
			}
			if err != nil || n < tellBatch {
				break
			}
		}
	}
}

// Tell gives up to one batch of the outbox to the rooms and says how many rows it took. A room that can't be told now is
// told later; a crash in between tells twice rather than never.
func (s *Service) Tell(ctx context.Context) (int, error) {
	rows, err := s.store.claimOutbox(ctx, s.clock.Now(), s.worker, leaseFor, tellBatch)
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	var told, failed []int64
	for _, e := range gather(rows) {
		if err := s.post1(ctx, e); err != nil {
			s.log.Warn("a room could not be told", "session", e.session, "error", err.Error())
			failed = append(failed, e.ids...)
			continue
		}
		told = append(told, e.ids...)
	}
	if len(failed) > 0 {
		if err := s.store.postponeOutbox(ctx, failed, s.clock.Now().Add(2*time.Second)); err != nil {
			return 0, err
		}
	}
	if len(told) > 0 {
		if err := s.store.deleteOutbox(ctx, told); err != nil {
			return 0, err
		}
	}
	return len(rows), nil
}

func (s *Service) post1(ctx context.Context, e telling) error {
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	return s.room.Post(ctx, e.session, e.typ, e.data)
}

// telling is one event for one room, standing for one or more outbox rows.
type telling struct {
	ids     []int64
	session int64
	typ     string
	data    json.RawMessage
}

// maxBanners is how many sales of one SKU a room is told one by one in a batch; more become one event with their sum, so
// that a flash sale does not drown the chat.
const maxBanners = 5

// gather turns rows into events.
func gather(rows []outboxRow) []telling {
	type what struct {
		session, sku int64
	}
	var all []telling
	sums := map[what]*struct {
		at int
		n  int
		sold
	}{}
	for _, r := range rows {
		one := telling{ids: []int64{r.ID}, session: r.SessionID, typ: r.Type, data: json.RawMessage(r.Data)}
		var d sold
		if r.Type != "sold" || json.Unmarshal([]byte(r.Data), &d) != nil {
			all = append(all, one)
			continue
		}
		k := what{r.SessionID, d.SKUID}
		sum := sums[k]
		switch {
		case sum == nil || sum.n < maxBanners:
			if sum == nil {
				sum = &struct {
					at int
					n  int
					sold
				}{}
				sums[k] = sum
			}
			sum.n++
			sum.at, sum.sold = len(all), d
			all = append(all, one)
		default:
			sum.Quantity += d.Quantity
			all[sum.at].ids = append(all[sum.at].ids, r.ID)
			all[sum.at].data, _ = json.Marshal(sum.sold) // plain values
		}
	}
	return all
}
