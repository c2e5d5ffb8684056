package main

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/moderation"
	"github.com/duoduopin/duoduopin/orders"
)

// newModeration joins moderation with the rooms, the accounts and the orders.
func newModeration(s *Settings, sh *shop, c clock.Clock) (*moderation.Service, error) {
	return moderation.New(moderation.Config{DB: sh.db, Bus: sh.bus, Clock: c, Limits: s.limited()}, moderation.Needs{
		Gate: gate{sh}, Room: rooms{sh}, Hands: sh.chat, Record: spoken{sh}, Standing: standing{sh}, Audit: sh.accounts,
	})
}

// guard gives chat who judges what is said.
type guard struct{ *shop }

func (g guard) Judge(ctx context.Context, s chat.Speech) (chat.Verdict, error) {
	v, err := g.moderation.Judge(ctx, moderation.Speech(s))
	return chat.Verdict(v), err
}

func (g guard) Enter(ctx context.Context, sessionID int64, a web.Actor, user string) (json.RawMessage, error) {
	return g.moderation.Enter(ctx, sessionID, a, user)
}

func (g guard) Keep(ctx context.Context, m chat.Measure) (int64, error) {
	return g.moderation.Keep(ctx, moderation.Measure(m))
}

// rooms gives moderation the rooms.
type rooms struct{ *shop }

func (r rooms) Say(ctx context.Context, s moderation.Speech, heldID int64) (uint64, error) {
	return r.chat.Say(ctx, chat.Speech(s), heldID)
}

func (r rooms) Post(ctx context.Context, sessionID int64, typ string, data any) error {
	return r.chat.Post(ctx, sessionID, typ, data)
}

func (r rooms) TellCrew(sessionID int64, typ string, data any) { r.chat.TellCrew(sessionID, typ, data) }

func (r rooms) TellOne(sessionID int64, user, typ string, data any) {
	r.chat.TellOne(sessionID, user, typ, data)
}

// Eject closes the sockets, and the picture on this node: what is open again is asked for anew, and refused where it must.
func (r rooms) Eject(sessionID int64, user, viewer, reason string) {
	r.chat.Eject(sessionID, user, reason)
	account, err := strconv.ParseInt(strings.TrimPrefix(viewer, "a:"), 10, 64)
	if err == nil && r.stream != nil {
		r.stream.Expel(account)
		r.edges.Expel(account)
	}
}

// watchers says who may publish and see picture: whoever live lets, but nobody who is banned.
type watchers struct{ *shop }

func (w watchers) MayPublish(ctx context.Context, sessionID int64, a web.Actor) (string, error) {
	return w.live.MayPublish(ctx, sessionID, a)
}

func (w watchers) MayWatch(ctx context.Context, sessionID int64, a web.Actor) error {
	if err := w.live.MayWatch(ctx, sessionID, a); err != nil {
		return err
	}
	banned, err := w.moderation.Banned(ctx, sessionID, a.Viewer)
	if err == nil && banned {
		return moderation.ErrBanned
	}
	return err
}

// spoken gives moderation the record of what was said.
type spoken struct{ *shop }

func (s spoken) Message(ctx context.Context, sessionID int64, seq uint64) (moderation.Said, error) {
	m, err := s.chat.Message(ctx, sessionID, seq)
	return moderation.Said(m), err
}

func (s spoken) Spoken(ctx context.Context, f moderation.Filter) ([]moderation.Said, error) {
	found, err := s.chat.Spoken(ctx, chat.SaidFilter{SessionID: f.SessionID, Viewer: f.Viewer, From: f.From, To: f.To, Before: (*chat.Place)(f.Before), Limit: f.Limit})
	return saidAll(found), err
}

func (s spoken) Around(ctx context.Context, sessionID int64, seq uint64, n int) ([]moderation.Said, error) {
	found, err := s.chat.Around(ctx, sessionID, seq, n)
	return saidAll(found), err
}

func (s spoken) Person(ctx context.Context, sessionID int64, user string) (viewer, name string, err error) {
	return s.chat.Person(ctx, sessionID, user)
}

func (s spoken) PublicID(ctx context.Context, viewer string) (string, error) {
	return s.chat.PublicID(ctx, viewer)
}

func saidAll(found []chat.Said) []moderation.Said {
	out := make([]moderation.Said, len(found))
	for i, m := range found {
		out[i] = moderation.Said(m)
	}
	return out
}

// standing gives moderation what a person is to the shop.
type standing struct{ *shop }

func (s standing) Follows(ctx context.Context, viewer string) (bool, error) {
	return s.chat.Follows(ctx, viewer)
}

// Bought reports whether an account has paid an order of the session, refunded since or not.
func (s standing) Bought(ctx context.Context, sessionID, accountID int64) (bool, error) {
	found, err := s.orders.List(ctx, web.Actor{AccountID: accountID, Role: web.Buyer}, orders.Filter{SessionID: sessionID, Mine: true, Limit: 50})
	for _, o := range found {
		if !o.PaidAt.IsZero() {
			return true, err
		}
	}
	return false, err
}

func (s standing) Since(ctx context.Context, accountID int64) (time.Time, error) {
	a, err := s.accounts.Get(ctx, accountID)
	return a.CreatedAt, err
}
