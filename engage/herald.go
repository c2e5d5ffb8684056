package engage

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
)

const (
	roundEvery  = 500 * time.Millisecond
	toldFor     = 12 * time.Hour // what stands longer is told again: rooms keep it for a day
	leaseFor    = 30 * time.Second
	retryAfter  = 2 * time.Second
	outboxBatch = 100
)

func newWorker() string { return rand.Text()[:12] }

// Standing is one kind of thing that stands in rooms.
type Standing struct {
	Type  string        // of the fleeting event
	Every time.Duration // at most one a room, over all nodes, in this time
	Empty any           // told when nothing stands any more
	// Sheets gives, of some sessions, those where something stands: the fields of the event.
	Sheets func(ctx context.Context, sessionIDs []int64) (map[int64]any, error)
}

// Stand adds a kind. Before Run.
func (s *Stage) Stand(st Standing) { s.standing = append(s.standing, st) }

// Chore adds what every round does before it tells: work that falls due by the clock. It must be safe in several processes, and
// to repeat. Before Run.
func (s *Stage) Chore(work func(ctx context.Context) error) { s.chores = append(s.chores, work) }

type sheetKey struct {
	session int64
	typ     string
}

type told struct {
	raw string
	at  time.Time
}

// Stir says that something of a session's has changed: after the commit of ctx's transaction, the next round looks at it.
func (s *Stage) Stir(ctx context.Context, sessionID int64) {
	db.AfterCommit(ctx, func() {
		s.mu.Lock()
		s.stirred[sessionID] = true
		s.mu.Unlock()
		select {
		case s.wake <- struct{}{}:
		default:
		}
	})
}

// Run tells the rooms until ctx ends.
func (s *Stage) Run(ctx context.Context) error {
	tick := time.NewTicker(roundEvery)
	defer tick.Stop()
	failing := false
	for {
		err := s.Round(ctx)
		if ctx.Err() == nil && (err != nil) != failing {
			if failing = err != nil; failing {
				s.Log.Warn("telling the rooms failed and is repeated", "error", err.Error())
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		case <-s.wake:
		}
	}
}

// Round does what is due and tells the rooms once what there is to tell. Run does so; safe to call beside other processes, not beside itself.
func (s *Stage) Round(ctx context.Context) error {
	var errs []error
	for _, work := range s.chores {
		errs = append(errs, work(ctx))
	}
	return errors.Join(append(errs, s.tellKept(ctx), s.tellStanding(ctx))...)
}

// tellKept empties the outbox, oldest first. What a room can't be told now is told later.
func (s *Stage) tellKept(ctx context.Context) error {
	for {
		rows, err := s.store.claimOutbox(ctx, s.Now(), s.worker, leaseFor, outboxBatch)
		if err != nil || len(rows) == 0 {
			return err
		}
		for _, r := range rows {
			if err := s.tellRow(ctx, r); err != nil {
				return err
			}
		}
	}
}

func (s *Stage) tellRow(ctx context.Context, r outboxRow) error {
	if err := s.Room.Post(ctx, r.SessionID, r.Type, json.RawMessage(r.Data)); err != nil {
		return errors.Join(err, s.store.postponeOutbox(ctx, s.worker, s.Now().Add(retryAfter)))
	}
	return s.store.deleteOutbox(ctx, r.ID)
}

// tellStanding tells what stands in the rooms that are open here or were stirred, if it has changed since this process told it.
func (s *Stage) tellStanding(ctx context.Context) error {
	occupied := s.Room.Occupied()
	ids, stirred := s.lookAt(occupied)
	if len(ids) == 0 {
		return nil
	}
	var errs []error
	for _, st := range s.standing {
		sheets, err := st.Sheets(ctx, ids)
		if err != nil {
			s.stirAgain(stirred...)
			errs = append(errs, err)
			continue
		}
		for _, id := range ids {
			done, err := s.tellSheet(ctx, st, id, sheets[id])
			if !done {
				s.stirAgain(id)
			}
			errs = append(errs, err)
		}
	}
	s.forget(occupied)
	return errors.Join(errs...)
}

// lookAt gives the sessions to look at, and which of them were stirred, and takes those off the list.
func (s *Stage) lookAt(occupied []int64) (all, stirred []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id := range s.stirred {
		stirred = append(stirred, id)
	}
	clear(s.stirred)
	all = append(slices.Clone(occupied), stirred...)
	slices.Sort(all)
	return slices.Compact(all), stirred
}

func (s *Stage) stirAgain(ids ...int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.stirred[id] = true
	}
}

// tellSheet tells one room one thing that stands there; false when it is too early and has to be looked at again.
func (s *Stage) tellSheet(ctx context.Context, st Standing, id int64, sheet any) (bool, error) {
	key, now := sheetKey{id, st.Type}, s.Now()
	before, known := s.told[key]
	if sheet == nil {
		if !known {
			return true, nil
		}
		sheet = st.Empty
	}
	raw, err := json.Marshal(sheet)
	if err != nil {
		return true, err
	}
	if known && before.raw == string(raw) && now.Sub(before.at) < toldFor {
		return true, nil
	}
	mine, err := s.Claim(ctx, id, st.Type, st.Every)
	if err != nil || !mine {
		return false, err
	}
	s.Room.Tell(id, st.Type, json.RawMessage(raw))
	s.told[key] = told{string(raw), now}
	return true, nil
}

// Claim lets one process tell a room something of a type now: true at most once in `every`, over all processes.
func (s *Stage) Claim(ctx context.Context, sessionID int64, typ string, every time.Duration) (bool, error) {
	now := s.Now()
	return s.store.claimTelling(ctx, sessionID, typ, now, now.Add(-every))
}

// forget drops what was told in rooms that nobody is in any more: who comes then is told anew.
func (s *Stage) forget(occupied []int64) {
	for key := range s.told {
		if !slices.Contains(occupied, key.session) {
			delete(s.told, key)
		}
	}
}
