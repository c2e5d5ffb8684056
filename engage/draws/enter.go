package draws

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// entering is one account's wish to enter a draw.
type entering struct {
	session, draw, account int64
	user                   string // public id in the room
}

// Enter enters the actor into a draw and gives the ticket, the same one however often it is asked. The ticket says nothing about
// its holder; with it they find themselves in the proof.
func (s *Service) Enter(ctx context.Context, sessionID, id int64) (string, error) {
	a, err := s.stage.MayAct(ctx, sessionID)
	if err != nil {
		return "", err
	}
	if s.stage.Gate.MayModerate(ctx, sessionID, a) == nil {
		return "", ErrCrew
	}
	who, err := s.who(ctx, sessionID, id)
	if err != nil {
		return "", err
	}
	if who == Buyers {
		switch paid, err := s.sales.HasPaid(ctx, sessionID, a.AccountID); {
		case err != nil:
			return "", err
		case !paid:
			return "", ErrBuyers
		}
	}
	user, err := s.stage.Room.PublicID(ctx, a.Viewer)
	if err != nil {
		return "", err
	}
	return s.entries.Do(ctx, entering{sessionID, id, a.AccountID, user})
}

// who gives who may enter a draw. Terms never change, so they are read once: thousands come in the same seconds.
func (s *Service) who(ctx context.Context, sessionID, id int64) (Who, error) {
	s.mu.Lock()
	known, ok := s.known[[2]int64{sessionID, id}]
	s.mu.Unlock()
	if ok {
		return known, nil
	}
	known, err := s.store.who(ctx, sessionID, id)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= knownMost {
		clear(s.known)
	}
	s.known[[2]int64{sessionID, id}] = known
	return known, nil
}

// Ticket gives the ticket that an account has in a draw; fault.Missing("ticket") when it has none.
func (s *Service) Ticket(ctx context.Context, drawID, accountID int64) (string, error) {
	held, err := s.store.held(ctx, drawID, []int64{accountID})
	if err == nil && held[accountID] == "" {
		err = fault.Missing("ticket")
	}
	return held[accountID], err
}

// enterAll is the lane's work: one transaction for all that want to enter one draw.
func (s *Service) enterAll(ctx context.Context, batch []entering) ([]string, []error, error) {
	tickets, errs := make([]string, len(batch)), make([]error, len(batch))
	byDraw := map[int64][]int{}
	for i, e := range batch {
		byDraw[e.draw] = append(byDraw[e.draw], i)
	}
	for _, at := range byDraw {
		group := make([]entering, len(at))
		for k, i := range at {
			group[k] = batch[i]
		}
		held, refused := s.enterOne(ctx, group)
		for _, i := range at {
			if tickets[i] = held[batch[i].account]; tickets[i] == "" {
				errs[i] = refused
			}
		}
	}
	return tickets, errs, nil
}

// enterOne gives the tickets of those who are in, and why the others are not.
func (s *Service) enterOne(ctx context.Context, group []entering) (held map[int64]string, refused error) {
	err := s.stage.DB.Tx(ctx, func(ctx context.Context) error {
		d, err := s.store.lock(ctx, group[0].session, group[0].draw)
		if err != nil {
			return err
		}
		if held, err = s.store.held(ctx, d.ID, accounts(group)); err != nil {
			return err
		}
		now := s.stage.Now()
		if refused = d.mayEnter(now); refused != nil {
			return nil
		}
		rows := fresh(group, held, d.room(), now)
		refused = ErrFull // of those for whom there was no room
		for _, r := range rows {
			held[r.AccountID] = r.Ticket
		}
		s.stage.Stir(ctx, d.SessionID)
		return s.store.enter(ctx, rows)
	})
	if err != nil {
		return nil, err
	}
	return held, refused
}

func (d Draw) mayEnter(now time.Time) error {
	switch d.State(now) {
	case Open:
		return nil
	case Announced:
		return ErrNotOpen
	default:
		return ErrClosed
	}
}

// room is how many more may enter.
func (d Draw) room() int { return max(0, d.Terms.MostEntrants-int(d.Entrants)) }

func accounts(group []entering) []int64 {
	ids := make([]int64, len(group))
	for i, e := range group {
		ids[i] = e.account
	}
	return ids
}

// fresh makes the rows of those who are not in yet, in the order they came, for as many as there is room.
func fresh(group []entering, held map[int64]string, room int, now time.Time) []entryRow {
	var rows []entryRow
	seen := map[int64]bool{}
	for _, e := range group {
		if len(rows) == room {
			break
		}
		if held[e.account] != "" || seen[e.account] {
			continue
		}
		seen[e.account] = true
		rows = append(rows, entryRow{DrawID: e.draw, AccountID: e.account, Ticket: newTicket(), UserID: e.user, AtMs: db.Millis(now)})
	}
	return rows
}

func newTicket() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
