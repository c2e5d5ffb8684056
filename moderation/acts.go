package moderation

import (
	"context"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Act is one thing that a moderator did, or the system by a rule. It is never changed but for who undid it.
type Act struct {
	ID        int64
	At        time.Time
	SessionID int64  // 0: everywhere
	Kind      string // remove, restore, mute, unmute, notice, ban, unban, silence, unsilence, controls, approve, reject
	User      string // public id of whom it was done to
	Name      string
	Epoch     string
	Seq       uint64 // of a message, 0: none
	HeldID    int64  // of a held message, 0: none
	Text      string // of a notice
	Reason    string
	Until     time.Time // zero: no end
	ByAccount int64     // 0: the system
	By        string    // sign-in name, for the crew; people concerned don't get it
	Undoes    int64     // the act that it undoes, 0: none
	UndoneBy  int64     // the act that undid it, 0: none
}

// Measure is what chat did in the room, to be remembered; see chat.Measure.
type Measure struct {
	SessionID int64
	Kind      string
	User      string
	Name      string
	Epoch     string
	Seq       uint64
	Text      string
	Reason    string
	Until     time.Time
}

const (
	undoWithin   = 10 * time.Minute
	banMinutes   = 525_600 // a year
	sweepMost    = 200
	sweepMinutes = 60
)

// rider goes with a context through the room's hands and back to Keep: what else belongs to the act's transaction.
type rider struct {
	undoes int64
	also   func(ctx context.Context) error
}

type riderKey struct{}

// Keep remembers what was done in a room; it joins the transaction in ctx and gives the act's number.
func (s *Service) Keep(ctx context.Context, m Measure) (int64, error) {
	a := Act{
		SessionID: m.SessionID, Kind: m.Kind, User: m.User, Name: m.Name, Epoch: m.Epoch, Seq: m.Seq, Text: m.Text, Reason: m.Reason, Until: m.Until,
	}
	return s.keep(ctx, a)
}

// keep writes an act and what rides with it, and tells the crew after the commit.
func (s *Service) keep(ctx context.Context, a Act) (int64, error) {
	actor := web.ActorFrom(ctx)
	a.At, a.ByAccount, a.By = s.clock.Now(), actor.AccountID, actor.Name
	ride, _ := ctx.Value(riderKey{}).(rider)
	a.Undoes = ride.undoes
	var err error
	if a.ID, err = s.store.addAct(ctx, a); err != nil {
		return 0, err
	}
	if a.Undoes != 0 {
		if err := s.store.markUndone(ctx, a.Undoes, a.ID); err != nil {
			return 0, err
		}
	}
	if ride.also != nil {
		if err := ride.also(ctx); err != nil {
			return 0, err
		}
	}
	if a.SessionID != 0 {
		db.AfterCommit(ctx, func() {
			s.Room.TellCrew(a.SessionID, "moderation", map[string]any{"what": "act", "act": viewAct(a)})
		})
	}
	return a.ID, nil
}

// act is keep with a line in the audit.
func (s *Service) act(ctx context.Context, a Act, detail any) (int64, error) {
	if err := s.Audit.Record(ctx, "moderation."+a.Kind, actSubject(a.SessionID), detail); err != nil {
		return 0, err
	}
	return s.keep(ctx, a)
}

func actSubject(sessionID int64) string {
	if sessionID == 0 {
		return "everywhere"
	}
	return fmt.Sprintf("session/%d", sessionID)
}

// Acts gives a session's acts, newest first, below an id (0: from the newest); of one person if user is not empty.
func (s *Service) Acts(ctx context.Context, a web.Actor, sessionID int64, user string, before int64, limit int) ([]Act, error) {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return nil, err
	}
	return s.store.acts(ctx, sessionID, user, before, limit)
}

// Remove takes a message down; the reason is needed.
func (s *Service) Remove(ctx context.Context, a web.Actor, sessionID int64, seq uint64, reason string) error {
	reason, err := needed("reason", reason, reasonLong)
	if err != nil {
		return err
	}
	return s.Hands.Remove(ctx, a, sessionID, seq, reason)
}

// Mute keeps somebody from speaking in a room; the reason is needed.
func (s *Service) Mute(ctx context.Context, a web.Actor, sessionID int64, user string, minutes int64, reason string) (time.Time, error) {
	reason, err := needed("reason", reason, reasonLong)
	if err != nil {
		return time.Time{}, err
	}
	return s.Hands.Mute(ctx, a, sessionID, user, minutes, reason)
}

// Ban is somebody who may not come in.
type Ban struct {
	SessionID int64 // 0: no room
	User      string
	Name      string
	Until     time.Time // zero: no end
	Reason    string
	By        string
	At        time.Time
}

// Ban keeps somebody out of a room, or out of all (staff only), and closes what is open. Minutes 0: without an end.
func (s *Service) Ban(ctx context.Context, a web.Actor, sessionID int64, user string, everywhere bool, minutes int64, reason string) (Ban, error) {
	if err := s.mayBan(ctx, a, sessionID, everywhere); err != nil {
		return Ban{}, err
	}
	reason, err := needed("reason", reason, reasonLong)
	if err != nil {
		return Ban{}, err
	}
	if minutes < 0 || minutes > banMinutes {
		return Ban{}, fault.Bad("minutes", fmt.Sprintf("must be 0 (without an end) to %d", banMinutes))
	}
	b := Ban{SessionID: sessionID, User: user, Reason: reason, By: a.Name, At: s.clock.Now()}
	viewer, name, err := s.Record.Person(ctx, sessionID, user)
	if err != nil && fault.KindOf(err) != fault.NotFound { // who never spoke here and is gone can be banned nevertheless
		return Ban{}, err
	}
	b.Name = name
	if minutes > 0 {
		b.Until = b.At.Add(time.Duration(minutes) * time.Minute)
	}
	if everywhere {
		b.SessionID = 0
	}
	var actID int64
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		detail := map[string]any{"user": user, "minutes": minutes, "reason": reason}
		if actID, err = s.act(ctx, Act{SessionID: b.SessionID, Kind: "ban", User: user, Name: b.Name, Reason: reason, Until: b.Until}, detail); err != nil {
			return err
		}
		return s.store.putBan(ctx, b)
	})
	if err != nil {
		return Ban{}, err
	}
	s.Room.TellOne(b.SessionID, user, "moderated", map[string]any{"what": "banned", "act_id": actID, "reason": reason, "until": when(b.Until), "everywhere": everywhere})
	err = s.announce(ctx, b.SessionID, false)
	s.Room.Eject(b.SessionID, user, viewer, closeReason("banned: "+reason))
	return b, err
}

// closeReason cuts a text to what a close frame may carry: 123 bytes (RFC 6455, section 5.5).
func closeReason(text string) string {
	for i := range text {
		if i > 110 {
			return text[:i] + "..."
		}
	}
	return text
}

func (s *Service) mayBan(ctx context.Context, a web.Actor, sessionID int64, everywhere bool) error {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return err
	}
	if everywhere && !a.Staff() {
		return web.ErrForbidden.Saying("only operators and assistants ban from all rooms")
	}
	return nil
}

// Unban lets somebody in again.
func (s *Service) Unban(ctx context.Context, a web.Actor, sessionID int64, user string, everywhere bool, reason string) error {
	if err := s.mayBan(ctx, a, sessionID, everywhere); err != nil {
		return err
	}
	if everywhere {
		sessionID = 0
	}
	return s.unban(ctx, sessionID, user, reason)
}

func (s *Service) unban(ctx context.Context, sessionID int64, user, reason string) error {
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.dropBan(ctx, sessionID, user); err != nil {
			return err
		}
		_, err := s.act(ctx, Act{SessionID: sessionID, Kind: "unban", User: user, Reason: reason}, map[string]any{"user": user, "reason": reason})
		return err
	})
	if err != nil {
		return err
	}
	return s.announce(ctx, sessionID, false)
}

// Bans gives who may not come into a room, those of all rooms included.
func (s *Service) Bans(ctx context.Context, a web.Actor, sessionID int64) ([]Ban, error) {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return nil, err
	}
	return s.store.banList(ctx, sessionID, s.clock.Now())
}

// Undo takes an act back, within ten minutes; later, appeals and the contrary act are the ways. An undo is an act too.
func (s *Service) Undo(ctx context.Context, a web.Actor, actID int64, reason string) error {
	act, err := s.actFor(ctx, a, actID)
	if err != nil {
		return err
	}
	if s.clock.Now().Sub(act.At) > undoWithin {
		return ErrTooLate.Saying("an act can be undone for ten minutes; lift it, or wait for an appeal")
	}
	return s.reverse(ctx, a, act, reason, nil)
}

// actFor gives an act to who may moderate where it was done.
func (s *Service) actFor(ctx context.Context, a web.Actor, id int64) (Act, error) {
	act, err := s.store.act(ctx, id)
	if err != nil {
		return act, err
	}
	if act.SessionID == 0 && !a.Staff() || act.SessionID != 0 && s.Gate.MayModerate(ctx, act.SessionID, a) != nil {
		return Act{}, fault.Missing("act")
	}
	return act, nil
}

// reverse does the contrary of an act, with what else belongs into its transaction.
func (s *Service) reverse(ctx context.Context, a web.Actor, act Act, reason string, also func(context.Context) error) error {
	if act.UndoneBy != 0 {
		return ErrUndone
	}
	ctx = context.WithValue(ctx, riderKey{}, rider{undoes: act.ID, also: also})
	switch act.Kind {
	case "remove":
		return s.Hands.Restore(ctx, a, act.SessionID, act.Seq, reason)
	case "mute":
		return s.Hands.Unmute(ctx, a, act.SessionID, act.User, reason)
	case "ban":
		return s.unban(ctx, act.SessionID, act.User, reason)
	case "reject":
		return s.approve(ctx, a, act.HeldID, "rejected")
	}
	return ErrNoUndo
}

// Sweep removes what was said like one message lately: a raid's texts, whatever numbers, signs or disguises they carry.
func (s *Service) Sweep(ctx context.Context, a web.Actor, sessionID int64, seq uint64, minutes int, reason string) ([]uint64, error) {
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return nil, err
	}
	reason, err := needed("reason", reason, reasonLong)
	if err != nil {
		return nil, err
	}
	one, err := s.Record.Message(ctx, sessionID, seq)
	if err != nil {
		return nil, err
	}
	like := s.alike(one.Text)
	said, err := s.Record.Spoken(ctx, Filter{SessionID: sessionID, From: s.clock.Now().Add(-time.Duration(min(max(minutes, 1), sweepMinutes)) * time.Minute), Limit: 2000})
	if err != nil {
		return nil, err
	}
	gone, err := s.store.removed(ctx, said)
	if err != nil {
		return nil, err
	}
	var swept []uint64
	for _, m := range said {
		if len(swept) == sweepMost || m.Epoch != one.Epoch || gone[m.key()] || s.alike(m.Text) != like {
			continue
		}
		if err := s.Hands.Remove(ctx, a, sessionID, m.Seq, reason); err != nil {
			return swept, err
		}
		swept = append(swept, m.Seq)
	}
	return swept, nil
}

// alike names what a text says, without numbers and disguises.
func (s *Service) alike(text string) string {
	if core := s.folder.Core(text); core != "" {
		return core
	}
	return text
}

func when(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
