package moderation

import (
	"context"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Appeal is what a person says against an act, and what came of it.
type Appeal struct {
	ID        int64
	ActID     int64
	SessionID int64
	User      string
	Name      string
	Text      string
	At        time.Time
	State     string // open, upheld, overturned, withdrawn
	DecidedBy string // for the crew
	DecidedAt time.Time
	Answer    string
}

// The states of an appeal. It is decided once.
const (
	AppealOpen       = "open"
	AppealUpheld     = "upheld"     // the act stands
	AppealOverturned = "overturned" // the act was undone
	AppealWithdrawn  = "withdrawn"
)

const (
	appealWithin = 30 * 24 * time.Hour
	appealLong   = 500
)

// Mine gives what was done to the person who asks, newest first, with the appeals made against it.
func (s *Service) Mine(ctx context.Context, a web.Actor, before int64, limit int) ([]Act, map[int64]Appeal, error) {
	user, err := s.Record.PublicID(ctx, a.Viewer)
	if err != nil {
		return nil, nil, err
	}
	acts, err := s.store.actsOn(ctx, user, before, limit)
	if err != nil {
		return nil, nil, err
	}
	appeals, err := s.store.appealsAgainst(ctx, acts)
	return acts, appeals, err
}

// mine gives an act that was done to the person who asks.
func (s *Service) mine(ctx context.Context, a web.Actor, actID int64) (Act, error) {
	user, err := s.Record.PublicID(ctx, a.Viewer)
	if err != nil {
		return Act{}, err
	}
	act, err := s.store.act(ctx, actID)
	if err != nil {
		return act, err
	}
	if act.User != user || !slices.Contains(toldKinds(), act.Kind) {
		return Act{}, fault.Missing("act")
	}
	return act, nil
}

// toldKinds are the acts that concern a person.
func toldKinds() []string {
	return []string{"remove", "restore", "mute", "unmute", "ban", "unban", "approve", "reject"}
}

// Appeal says something against an act that was done to oneself: a message removed or rejected, a mute, a ban. Once, within
// 30 days.
func (s *Service) Appeal(ctx context.Context, a web.Actor, actID int64, text string) (Appeal, error) {
	act, err := s.mine(ctx, a, actID)
	if err != nil {
		return Appeal{}, err
	}
	if text, err = needed("text", text, appealLong); err != nil {
		return Appeal{}, err
	}
	switch now := s.clock.Now(); {
	case !slices.Contains([]string{"remove", "mute", "ban", "reject"}, act.Kind):
		return Appeal{}, ErrNoAppeal
	case act.UndoneBy != 0:
		return Appeal{}, ErrUndone
	case now.Sub(act.At) > appealWithin:
		return Appeal{}, ErrTooLate.Saying("an appeal can be made for 30 days")
	}
	p := Appeal{ActID: actID, SessionID: act.SessionID, User: act.User, Name: a.DisplayName, Text: text, At: s.clock.Now(), State: AppealOpen}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if p.ID, err = s.store.addAppeal(ctx, p); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "moderation.appeal", actSubject(act.SessionID), map[string]any{"act": actID, "appeal": p.ID})
	})
	if err != nil {
		return Appeal{}, err
	}
	if p.SessionID != 0 {
		s.Room.TellCrew(p.SessionID, "moderation", map[string]any{"what": "appeal", "appeal": viewAppeal(p)})
	}
	return p, nil
}

// Withdraw takes one's own open appeal back.
func (s *Service) Withdraw(ctx context.Context, a web.Actor, actID int64) error {
	act, err := s.mine(ctx, a, actID)
	if err != nil {
		return err
	}
	p, err := s.store.appealAgainst(ctx, act.ID)
	if err != nil {
		return err
	}
	return s.store.decideAppeal(ctx, p.ID, AppealWithdrawn, "", "", s.clock.Now())
}

// Appeals gives the appeals of a session (0: of all, for staff), oldest first, above an id; of a state if not empty.
func (s *Service) Appeals(ctx context.Context, a web.Actor, sessionID int64, state string, after int64, limit int) ([]Appeal, error) {
	if err := s.mayRead(ctx, a, sessionID); err != nil {
		return nil, err
	}
	return s.store.appeals(ctx, sessionID, state, after, limit)
}

// AppealCase is what the one who decides looks at.
type AppealCase struct {
	Appeal Appeal
	Act    Act
	Text   string // of the message that was removed or rejected; that it was read is in the audit
}

// AppealCase gives an appeal with the act and the text in question, which is shown to nobody else any more.
func (s *Service) AppealCase(ctx context.Context, a web.Actor, id int64) (AppealCase, error) {
	p, err := s.store.appeal(ctx, id)
	if err != nil {
		return AppealCase{}, err
	}
	act, err := s.actFor(ctx, a, p.ActID)
	if err != nil {
		return AppealCase{}, fault.Missing("appeal")
	}
	text, err := s.textOf(ctx, act)
	if err != nil {
		return AppealCase{}, err
	}
	if text != "" {
		if err := s.Audit.Record(ctx, "moderation.read-removed", actSubject(act.SessionID), map[string]any{"appeal": id, "seq": act.Seq, "held": act.HeldID}); err != nil {
			return AppealCase{}, err
		}
	}
	return AppealCase{p, act, text}, nil
}

// textOf gives the text that an act was about.
func (s *Service) textOf(ctx context.Context, act Act) (string, error) {
	switch {
	case act.HeldID != 0:
		h, err := s.store.held(ctx, act.HeldID)
		return h.Speech.Text, err
	case act.Seq != 0:
		m, err := s.Record.Message(ctx, act.SessionID, act.Seq)
		return m.Text, err
	}
	return "", nil
}

// Decide answers an appeal: uphold leaves the act, else it is undone. Not by who acted. The person is told.
func (s *Service) Decide(ctx context.Context, a web.Actor, id int64, uphold bool, answer string) (Appeal, error) {
	p, err := s.store.appeal(ctx, id)
	if err != nil {
		return p, err
	}
	act, err := s.actFor(ctx, a, p.ActID)
	if err != nil {
		return Appeal{}, fault.Missing("appeal")
	}
	if answer, err = needed("answer", answer, appealLong); err != nil {
		return Appeal{}, err
	}
	if act.ByAccount == a.AccountID {
		return Appeal{}, ErrSamePerson
	}
	state := AppealOverturned
	if uphold {
		state = AppealUpheld
	}
	settle := func(ctx context.Context) error {
		if err := s.store.decideAppeal(ctx, id, state, a.Name, answer, s.clock.Now()); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "moderation.appeal-"+state, actSubject(act.SessionID), map[string]any{"act": act.ID, "appeal": id, "answer": answer})
	}
	if uphold || act.UndoneBy != 0 {
		err = s.db.Tx(ctx, settle)
	} else {
		err = s.reverse(ctx, a, act, answer, settle)
	}
	if err != nil {
		return Appeal{}, err
	}
	s.Room.TellOne(act.SessionID, act.User, "moderated", map[string]any{"what": "appeal", "act_id": act.ID, "state": state, "answer": answer})
	return s.store.appeal(ctx, id)
}
