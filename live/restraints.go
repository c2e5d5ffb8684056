package live

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Kind of a restraint.
type Kind string

// The kinds.
const (
	Muted Kind = "muted" // the anchor's sound goes to nobody
	Cut   Kind = "cut"   // the anchor may not publish
)

// Restraint is what the crew's desk has laid on an anchor of a session and not lifted yet. It outlives connections and
// restarts; the audit keeps those that were lifted.
type Restraint struct {
	Anchor string
	Kind   Kind
	By     string // account name
	At     time.Time
	Reason string
}

// Under reports whether an anchor is under a restraint of this kind.
func (x Session) Under(k Kind, anchor string) bool {
	return slices.ContainsFunc(x.Restraints, func(r Restraint) bool { return r.Kind == k && r.Anchor == anchor })
}

// Mute drops an anchor's sound to all viewers, or gives it back. Muting who is muted changes nothing. ErrMove after the end.
func (s *Service) Mute(ctx context.Context, id int64, anchor string, muted bool, reason string) (Session, error) {
	act, change := "anchor.unmute", s.lift
	if muted {
		act, change = "anchor.mute", s.lay
	}
	return s.order(ctx, id, act, Restraint{Anchor: anchor, Kind: Muted, Reason: reason}, change, func() { s.Media.Mute(id, anchor, muted) })
}

// Cut ends an anchor's publishing at once and refuses it from then on; the reason is needed. Cutting who is cut changes
// nothing, but ends what came through nevertheless. ErrMove after the end.
func (s *Service) Cut(ctx context.Context, id int64, anchor, reason string) (Session, error) {
	if strings.TrimSpace(reason) == "" {
		return Session{}, fault.Bad("reason", "is needed")
	}
	return s.order(ctx, id, "anchor.cut", Restraint{Anchor: anchor, Kind: Cut, Reason: reason}, s.lay, func() { s.Media.Cut(id, anchor) })
}

// Restore lets an anchor who was cut publish again; a mute stays. ErrMove after the end.
func (s *Service) Restore(ctx context.Context, id int64, anchor, reason string) (Session, error) {
	return s.order(ctx, id, "anchor.restore", Restraint{Anchor: anchor, Kind: Cut, Reason: reason}, s.lift, func() {})
}

// order is every wish of the desk: change lays or lifts a restraint and says whether it did, the audit joins its
// transaction, and obey follows the commit. One at a time, so that Media hears them in the order of the commits.
func (s *Service) order(ctx context.Context, id int64, act string, r Restraint, change func(context.Context, *Session, Restraint) (bool, error), obey func()) (Session, error) {
	reason, err := plain("reason", r.Reason, 200)
	if err != nil {
		return Session{}, err
	}
	r.Reason = reason
	s.desk.Lock()
	defer s.desk.Unlock()
	return s.change(ctx, id, func(ctx context.Context, x *Session) error {
		switch a := web.ActorFrom(ctx); {
		case a.SignedIn() && !a.Staff():
			return web.ErrForbidden
		case !slices.Contains(x.Anchors, r.Anchor):
			return fault.Missing("anchor")
		case x.State.Over():
			return ErrMove.Saying("this session is over")
		}
		db.AfterCommit(ctx, obey)
		changed, err := change(ctx, x, r)
		if err != nil || !changed {
			return err
		}
		return s.Audit.Record(ctx, act, ref(id), map[string]any{"anchor": r.Anchor, "reason": r.Reason})
	})
}

func (s *Service) lay(ctx context.Context, x *Session, r Restraint) (bool, error) {
	if x.Under(r.Kind, r.Anchor) {
		return false, nil
	}
	r.By, r.At = web.ActorFrom(ctx).Name, s.now()
	return true, s.store.addRestraint(ctx, x.ID, r)
}

func (s *Service) lift(ctx context.Context, x *Session, r Restraint) (bool, error) {
	if !x.Under(r.Kind, r.Anchor) {
		return false, nil
	}
	return true, s.store.endRestraint(ctx, x.ID, r)
}

// Muted gives a session's muted anchors, in their order. For stream, when an anchor connects and after a restart.
func (s *Service) Muted(ctx context.Context, id int64) ([]string, error) {
	x, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, n := range x.Anchors {
		if x.Under(Muted, n) {
			names = append(names, n)
		}
	}
	return names, nil
}

// enforce ends the publishing of anchors who are cut and came through nevertheless: MayPublish was asked a moment before.
func (s *Service) enforce(x Session) {
	for _, n := range s.Media.OnAir(x.ID) {
		if x.Under(Cut, n) {
			s.Media.Cut(x.ID, n)
		}
	}
}

// plain trims a text for people and refuses a long one, or one with control characters other than line breaks.
func plain(field, text string, most int) (string, error) {
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) > most || strings.ContainsFunc(text, func(r rune) bool { return unicode.IsControl(r) && r != '\n' }) {
		return "", fault.Bad(field, fmt.Sprintf("at most %d characters of plain text", most))
	}
	return text, nil
}
