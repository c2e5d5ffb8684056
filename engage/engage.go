// Package engage is the life of a room beside chat: what its packages have in common. Each of them is a noun of its own:
//
//	engage/board      the welcome line and the pinned notice
//	engage/questions  questions to the anchor
//	engage/polls      a vote among two to six answers
//	engage/draws      lucky draws that anybody can recompute
//	engage/banners    "just bought", with the buyer's consent
//
// They share a Stage: how to reach the room, the time, the database. It tells a room in two ways. A kept event (Post) is a row of
// an outbox in the transaction that makes it true, and is told after the commit, at least once. What stands in a room (Stand) is
// read from the rows again and again and told as a fleeting event when it has changed: to everybody, to who comes later, on
// every node, and never more often than its pace, whatever the number of votes or nodes.
//
// It asks: Run must be running for rooms to be told.
package engage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults that all packages here share.
var (
	ErrOver        = fault.New(fault.Conflict, "session-over", "this session is over")
	ErrUnavailable = fault.New(fault.Unavailable, "unavailable", "this can't be written at this moment; try again in a few seconds").RetryAfter(2 * time.Second)
)

// Gate says who may do what in a session. A session that does not exist or may not be seen is fault.Missing("session").
type Gate interface {
	// MayWatch gives the state that the actor may see: scheduled, rehearsing, live, interrupted, ended, cancelled.
	MayWatch(ctx context.Context, sessionID int64, a web.Actor) (state string, err error)
	// MayModerate lets the session's crew through: staff and its own anchors.
	MayModerate(ctx context.Context, sessionID int64, a web.Actor) error
	// MaySay lets through what the room's rules let this person say, and refuses with a fault that may be shown.
	MaySay(ctx context.Context, sessionID int64, a web.Actor, text string) error
}

// Room reaches the people in the sessions' rooms.
type Room interface {
	// Post puts a kept event into the room's log.
	Post(ctx context.Context, sessionID int64, typ string, data any) error
	// Tell gives the room a fleeting event, the newest of its type also to who comes later.
	Tell(sessionID int64, typ string, data any)
	// Occupied lists the sessions whose rooms are open on this node.
	Occupied() []int64
	// PublicID is how the room knows a viewer.
	PublicID(ctx context.Context, viewer string) (string, error)
}

// Audit keeps what the crew does; it joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Config is what a Stage is made of. All but Limits and Log are required.
type Config struct {
	DB     *db.DB
	Clock  clock.Clock
	Gate   Gate
	Room   Room
	Audit  Audit
	Limits bool         // rates per person
	Log    *slog.Logger // nil: slog.Default
}

// Stage is what the packages of this noun share. It must not be copied.
type Stage struct {
	Config
	store  store
	wake   chan struct{} // one token: there is something to tell
	worker string        // names this process in leases

	acts *web.Limiter // of a person, whatever it is

	standing []Standing                    // set before Run
	chores   []func(context.Context) error // likewise

	mu      sync.Mutex // guards what follows
	stirred map[int64]bool
	told    map[sheetKey]told // by the round alone
}

// New returns a stage.
func New(c Config) (*Stage, error) {
	if c.DB == nil || c.Clock == nil || c.Gate == nil || c.Room == nil || c.Audit == nil {
		return nil, errors.New("engage: database, clock, gate, room and audit are required")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Stage{Config: c, store: store{c.DB}, wake: make(chan struct{}, 1), worker: newWorker(), stirred: map[int64]bool{}, told: map[sheetKey]told{}}
	if c.Limits {
		s.acts = web.NewLimiter(c.Clock, time.Second, 10)
	}
	return s, nil
}

// MayAct lets somebody who is signed in act in a session that is not over, once a second and ten times in a row.
func (s *Stage) MayAct(ctx context.Context, sessionID int64) (web.Actor, error) {
	a := web.ActorFrom(ctx)
	if !a.SignedIn() {
		return a, web.ErrSignIn
	}
	if err := s.acts.Allow(a.Viewer); err != nil {
		return a, err
	}
	state, err := s.Gate.MayWatch(ctx, sessionID, a)
	if err == nil && Over(state) {
		err = ErrOver
	}
	return a, err
}

// MayRun lets the crew run things in a session that is not over.
func (s *Stage) MayRun(ctx context.Context, sessionID int64) error {
	a := web.ActorFrom(ctx)
	if err := s.Gate.MayModerate(ctx, sessionID, a); err != nil {
		return err
	}
	state, err := s.Gate.MayWatch(ctx, sessionID, a)
	if err == nil && Over(state) {
		err = ErrOver
	}
	return err
}

// MaySee lets through who may watch the session.
func (s *Stage) MaySee(ctx context.Context, sessionID int64) error {
	_, err := s.Gate.MayWatch(ctx, sessionID, web.ActorFrom(ctx))
	return err
}

// Over reports whether a session's state is one of an end.
func Over(state string) bool { return state == "ended" || state == "cancelled" }

// Now is the time as rows keep it: whole milliseconds.
func (s *Stage) Now() time.Time { return s.Clock.Now().Truncate(time.Millisecond) }

// Subject names a session in the audit.
func Subject(sessionID int64) string { return fmt.Sprintf("session/%d", sessionID) }

// Post has the room told a kept event once the transaction in ctx is committed. A crash in between tells it later; one right
// after telling may tell it twice, so events carry ids.
func (s *Stage) Post(ctx context.Context, sessionID int64, typ string, data any) error {
	raw, err := json.Marshal(data)
	if err != nil {
		return err
	}
	if err := s.store.addOutbox(ctx, outboxRow{SessionID: sessionID, Type: typ, Data: string(raw), CreatedMs: db.Millis(s.Now())}); err != nil {
		return err
	}
	s.Stir(ctx, sessionID)
	return nil
}

// Line makes one plain line of a text: white space becomes a blank, control characters and those that turn or hide what follows
// are dropped. It refuses fewer than least and more than most characters.
func Line(field, text string, least, most int) (string, error) {
	text = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069, r == 0x200b, r == 0xfeff, r == 0x200e, r == 0x200f, r == 0x2060:
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "")))
	if n := utf8.RuneCountInString(text); n < least || n > most {
		return "", fault.Bad(field, fmt.Sprintf("must have %d to %d characters, has %d", least, most, n))
	}
	return text, nil
}
