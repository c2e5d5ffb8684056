package live

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/web"
)

// State is where a session stands in its life.
type State string

// The states.
const (
	Scheduled   State = "scheduled"
	Rehearsing  State = "rehearsing"  // anchors connect, only the crew sees it
	Live        State = "live"        // the room is open and sells
	Interrupted State = "interrupted" // as live, but no anchor's picture comes
	Ended       State = "ended"
	Cancelled   State = "cancelled"
)

// Open reports whether the room is open: people watch and buy.
func (s State) Open() bool { return s == Live || s == Interrupted }

// Over reports whether nothing more happens.
func (s State) Over() bool { return s == Ended || s == Cancelled }

// Move is one line of the table of allowed moves.
type Move struct {
	From, To State
	When     string
}

// Moves is the one table of allowed moves; whatever is not in it is refused. A fresh copy each time.
func Moves() []Move {
	return []Move{
		{Scheduled, Rehearsing, "an anchor connects, or a rehearsal is started"},
		{Scheduled, Live, "the session is started"},
		{Scheduled, Cancelled, "the operator cancels"},
		{Rehearsing, Live, "the session is started"},
		{Rehearsing, Scheduled, "the rehearsal is over"},
		{Rehearsing, Cancelled, "the operator cancels"},
		{Live, Interrupted, "the last anchor's picture is gone"},
		{Live, Ended, "the session is ended"},
		{Interrupted, Live, "an anchor's picture is back"},
		{Interrupted, Ended, "the session is ended"},
	}
}

// MovesText is the table as Markdown, for ARCHITECTURE.md.
func MovesText() string {
	var b strings.Builder
	b.WriteString("| from | to | when |\n|---|---|---|\n")
	for _, m := range Moves() {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.From, m.To, m.When)
	}
	return b.String()
}

// May reports whether a session may go from one state to the other.
func May(from, to State) bool {
	return slices.ContainsFunc(Moves(), func(m Move) bool { return m.From == from && m.To == to })
}

// Rehearse lets the crew practise; only they see it.
func (s *Service) Rehearse(ctx context.Context, id int64) (Session, error) {
	return s.turn(ctx, id, Rehearsing)
}

// Start opens the room. Starting what is on air is fine.
func (s *Service) Start(ctx context.Context, id int64) (Session, error) {
	return s.turn(ctx, id, Live)
}

// End closes the room, every pin and every connection. Ending twice is fine.
func (s *Service) End(ctx context.Context, id int64) (Session, error) { return s.turn(ctx, id, Ended) }

// Cancel calls a session off before it was on air.
func (s *Service) Cancel(ctx context.Context, id int64) (Session, error) {
	return s.turn(ctx, id, Cancelled)
}

// turn is every wish of a person to move a session on; the crew's anchors may do it for their own session.
func (s *Service) turn(ctx context.Context, id int64, to State) (Session, error) {
	return s.change(ctx, id, func(ctx context.Context, x *Session) error {
		if a := web.ActorFrom(ctx); a.SignedIn() && !a.Is(web.Operator) && !x.IsAnchor(a) {
			return ErrNotYours
		}
		if x.State == to || (to == Live && x.State == Interrupted) {
			return nil
		}
		before := x.State
		if err := s.move(ctx, x, to); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "session."+verb(to), ref(id), map[string]any{"from": before})
	})
}

func verb(to State) string {
	switch to {
	case Live:
		return "start"
	case Ended:
		return "end"
	case Cancelled:
		return "cancel"
	case Rehearsing:
		return "rehearse"
	case Scheduled, Interrupted:
	}
	return string(to)
}

// move is the only way to another state: the table decides, what belongs to the state follows, the room is told.
func (s *Service) move(ctx context.Context, x *Session, to State) error {
	if !May(x.State, to) {
		return ErrMove.Saying(fmt.Sprintf("a session that is %s can't become %s", x.State, to))
	}
	now, from := s.now(), x.State
	x.State = to
	switch {
	case to == Live && from != Interrupted:
		x.LiveAt, x.OnAir = now, len(s.Media.OnAir(x.ID))
		if err := s.store.endPins(ctx, x.ID, now); err != nil { // those of the rehearsal
			return err
		}
	case to == Live:
		if err := s.store.endGap(ctx, x.ID, now); err != nil {
			return err
		}
	case to == Interrupted:
		if err := s.store.addGap(ctx, x.ID, now); err != nil {
			return err
		}
	case to.Over():
		x.EndedAt = now
		if err := s.close(ctx, x.ID, now); err != nil {
			return err
		}
	}
	if err := s.store.save(ctx, *x); err != nil {
		return err
	}
	if shown := x.Shown(web.Actor{}); shown != (Session{State: from}).Shown(web.Actor{}) {
		s.tell(ctx, x.ID, "session", map[string]any{"state": shown})
	}
	return s.store.addState(ctx, x.ID, to, now, web.ActorFrom(ctx).Name)
}

// close ends what lives in a session; its connections end after commit.
func (s *Service) close(ctx context.Context, id int64, now time.Time) error {
	if err := s.store.endPins(ctx, id, now); err != nil {
		return err
	}
	if err := s.store.endGap(ctx, id, now); err != nil {
		return err
	}
	db.AfterCommit(ctx, func() {
		s.Media.CloseSession(id)
		s.Room.CloseRoom(id)
	})
	return nil
}

func (s *Service) now() time.Time { return s.clock.Now().Truncate(time.Millisecond) }
