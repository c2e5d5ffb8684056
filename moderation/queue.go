package moderation

import (
	"context"
	"errors"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Held is a message that waits, or waited, for a moderator.
type Held struct {
	ID        int64
	At        time.Time
	Speech    Speech // as it would be said
	Original  string // as it was written, when some of it was masked
	Reason    string
	Words     []string
	State     string // waiting, approved, rejected, expired
	DecidedBy string
	DecidedAt time.Time
	Note      string
	Seq       uint64 // where it appeared; 0: not yet
}

const (
	heldMost    = 1000 // waiting in a session
	heldMine    = 5    // of one person
	heldFor     = 30 * time.Minute
	heldTwice   = 2 * time.Minute // the same id and text again within this is the same message
	sayAgain    = 2 * time.Second // after which an approved message that has not appeared is said again
	sayLooks    = 90 * time.Second
	expireBatch = 100
)

// hold puts a message into the queue.
func (s *Service) hold(ctx context.Context, d *desk, sp Speech, said, reason string, found []string) (Verdict, error) {
	h := Held{At: s.clock.Now(), Speech: sp, Reason: reason, Words: found, State: "waiting"}
	if said != sp.Text {
		h.Original = sp.Text
	}
	h.Speech.Text = said
	id, err := s.store.hold(ctx, h, heldMost, heldMine)
	if errors.Is(err, ErrFull) {
		return Verdict{Reason: ReasonFull, Wait: time.Minute}, nil
	}
	if err != nil {
		return Verdict{}, err
	}
	d.mu.Lock()
	d.talk.storm.waiting = true
	d.mu.Unlock()
	return Verdict{Reason: reason, HeldID: id, Words: found}, nil
}

// Queue gives a session's held messages of a state, oldest first, above an id.
func (s *Service) Queue(ctx context.Context, a web.Actor, sessionID int64, state string, after int64, limit int) ([]Held, error) {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return nil, err
	}
	return s.store.queue(ctx, sessionID, state, after, limit)
}

// Approve lets a held message appear, once, behind what has been said by now.
func (s *Service) Approve(ctx context.Context, a web.Actor, id int64) (Held, error) {
	if _, err := s.heldFor(ctx, a, id); err != nil {
		return Held{}, err
	}
	if err := s.approve(ctx, a, id, "waiting"); err != nil {
		return Held{}, err
	}
	return s.store.held(ctx, id)
}

// approve decides a message of a state, then says it. If that fails, finish does it later.
func (s *Service) approve(ctx context.Context, a web.Actor, id int64, from string) error {
	h, err := s.store.held(ctx, id)
	if err != nil {
		return err
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.decide(ctx, id, from, "approved", a.Name, "", s.clock.Now()); err != nil {
			return err
		}
		_, err := s.act(ctx, Act{SessionID: h.Speech.SessionID, Kind: "approve", User: h.Speech.User, Name: h.Speech.Name, HeldID: id}, map[string]any{"held": id, "user": h.Speech.User})
		return err
	})
	if err != nil {
		return err
	}
	if err := s.appear(context.WithoutCancel(ctx), h); err != nil {
		s.log.Warn("an approved message could not be said and is tried again", "session_id", h.Speech.SessionID, "error", err.Error())
	}
	return nil
}

// appear says an approved message and notes where.
func (s *Service) appear(ctx context.Context, h Held) error {
	seq, err := s.Room.Say(ctx, h.Speech, h.ID)
	if err != nil {
		return err
	}
	s.Room.TellOne(h.Speech.SessionID, h.Speech.User, "moderated", map[string]any{"what": "approved", "held_id": h.ID, "id": h.Speech.ID, "seq": seq})
	return s.store.appeared(ctx, h.ID, seq)
}

// Reject keeps a held message from appearing; its author is told why.
func (s *Service) Reject(ctx context.Context, a web.Actor, id int64, reason string) (Held, error) {
	h, err := s.heldFor(ctx, a, id)
	if err != nil {
		return Held{}, err
	}
	if reason, err = needed("reason", reason, reasonLong); err != nil {
		return Held{}, err
	}
	var actID int64
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.decide(ctx, id, "waiting", "rejected", a.Name, reason, s.clock.Now()); err != nil {
			return err
		}
		act := Act{SessionID: h.Speech.SessionID, Kind: "reject", User: h.Speech.User, Name: h.Speech.Name, HeldID: id, Reason: reason}
		actID, err = s.act(ctx, act, map[string]any{"held": id, "user": h.Speech.User, "reason": reason})
		return err
	})
	if err != nil {
		return Held{}, err
	}
	told := map[string]any{"what": "rejected", "held_id": id, "id": h.Speech.ID, "reason": reason, "act_id": actID}
	s.Room.TellOne(h.Speech.SessionID, h.Speech.User, "moderated", told)
	return s.store.held(ctx, id)
}

// heldFor gives a held message to who may moderate its session.
func (s *Service) heldFor(ctx context.Context, a web.Actor, id int64) (Held, error) {
	h, err := s.store.held(ctx, id)
	if err != nil {
		return h, err
	}
	if s.Gate.MayModerate(ctx, h.Speech.SessionID, a) != nil {
		return Held{}, fault.Missing("held message")
	}
	return h, nil
}

// finish says what was approved but has not appeared (a crash, a bus that was away), and ends what waited too long; its
// authors are told.
func (s *Service) finish(ctx context.Context) error {
	now := s.clock.Now()
	late, err := s.store.unsaid(ctx, now.Add(-sayAgain))
	if err != nil {
		return err
	}
	var errs []error
	for _, h := range late {
		errs = append(errs, s.appearLate(ctx, h, now))
	}
	old, err := s.store.waitingSince(ctx, now.Add(-heldFor), expireBatch)
	if err != nil {
		return errors.Join(append(errs, err)...)
	}
	for _, h := range old {
		if err := s.store.decide(ctx, h.ID, "waiting", "expired", "", "", now); errors.Is(err, ErrDecided) {
			continue
		} else if err != nil {
			errs = append(errs, err)
			continue
		}
		s.Room.TellOne(h.Speech.SessionID, h.Speech.User, "moderated", map[string]any{"what": "expired", "held_id": h.ID, "id": h.Speech.ID})
	}
	return errors.Join(errs...)
}

// appearLate says a message that may have been said before: the log knows for two minutes, then the record does.
func (s *Service) appearLate(ctx context.Context, h Held, now time.Time) error {
	if now.Sub(h.DecidedAt) > sayLooks {
		said, err := s.Record.Spoken(ctx, Filter{SessionID: h.Speech.SessionID, Viewer: h.Speech.Viewer, From: h.At, Limit: 500})
		if err != nil {
			return err
		}
		for _, m := range said {
			if m.HeldID == h.ID {
				return s.store.appeared(ctx, h.ID, m.Seq)
			}
		}
	}
	return s.appear(ctx, h)
}
