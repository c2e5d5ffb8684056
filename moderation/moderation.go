// Package moderation keeps the rooms fit to be in: it judges what is said before it is said (word lists, links, the same
// again, who may speak, how often), holds messages for a moderator's eye, bans, remembers every act with its reason, lets
// acts be undone and appealed, and shows moderators the record.
//
// What it guarantees: nobody is silenced without being told, with a reason and a way out: what is refused, held, removed,
// muted, banned or rejected reaches the person concerned, who may appeal; an appeal is decided by somebody else than who
// acted. Every act is a row with who, when and why. A change is effective on every node within a second, or, if the bus
// lost the word, within five. Judging reads memory only; a message that is held costs one row.
//
// What it asks: Gate, Room, Hands, Record, Standing and Audit, in plain values; Run must run. The rooms themselves, mutes and
// removed messages are chat's: it asks this package by its Guard.
package moderation

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/moderation/words"
)

// Faults of this package, beside fault.Missing of "act", "held message", "appeal", "list", "message" and "viewer".
var (
	ErrBanned     = fault.New(fault.Forbidden, "banned", "a moderator banned you from this room; you may appeal under /api/v1/me/moderation")
	ErrDecided    = fault.New(fault.Conflict, "decided", "this has been decided already; look at it again")
	ErrUndone     = fault.New(fault.Conflict, "undone", "this has been undone already")
	ErrNoUndo     = fault.New(fault.Conflict, "no-undo", "an act of this kind can't be undone")
	ErrTooLate    = fault.New(fault.Conflict, "too-late", "the time for this is over")
	ErrAppealed   = fault.New(fault.Conflict, "appealed", "an appeal against this has been made already")
	ErrNoAppeal   = fault.New(fault.Conflict, "no-appeal", "there is no appeal against an act of this kind")
	ErrSamePerson = fault.New(fault.Conflict, "same-person", "who acted can't decide the appeal against it; let a colleague do so")
	ErrFull       = fault.New(fault.Conflict, "full", "there are as many as there may be; remove some first")
)

// Gate says who may moderate a session, and that there is one.
type Gate interface {
	MayModerate(ctx context.Context, sessionID int64, a web.Actor) error
}

// Room is where things are said and told.
type Room interface {
	Say(ctx context.Context, s Speech, heldID int64) (seq uint64, err error) // once within two minutes, whatever is repeated
	Post(ctx context.Context, sessionID int64, typ string, data any) error
	TellCrew(sessionID int64, typ string, data any)
	TellOne(sessionID int64, user, typ string, data any)
	Eject(sessionID int64, user, viewer, reason string) // session 0: from all rooms; the viewer may be unknown
}

// Hands does to messages and people what only the room can. Each act comes back by Keep.
type Hands interface {
	Remove(ctx context.Context, a web.Actor, sessionID int64, seq uint64, reason string) error
	Restore(ctx context.Context, a web.Actor, sessionID int64, seq uint64, reason string) error
	Mute(ctx context.Context, a web.Actor, sessionID int64, user string, minutes int64, reason string) (time.Time, error)
	Unmute(ctx context.Context, a web.Actor, sessionID int64, user, reason string) error
}

// Record is what was said, for three years.
type Record interface {
	Message(ctx context.Context, sessionID int64, seq uint64) (Said, error)
	Spoken(ctx context.Context, f Filter) ([]Said, error)
	Around(ctx context.Context, sessionID int64, seq uint64, n int) ([]Said, error)
	Person(ctx context.Context, sessionID int64, user string) (viewer, name string, err error)
	PublicID(ctx context.Context, viewer string) (string, error)
}

// Standing is what a person is to the shop.
type Standing interface {
	Follows(ctx context.Context, viewer string) (bool, error)
	Bought(ctx context.Context, sessionID, accountID int64) (bool, error)
	Since(ctx context.Context, accountID int64) (time.Time, error)
}

// Audit keeps what moderators do; it joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Needs is what this package asks of others.
type Needs struct {
	Gate     Gate
	Room     Room
	Hands    Hands
	Record   Record
	Standing Standing
	Audit    Audit
}

// Config is what New needs besides. Database, bus and clock are required.
type Config struct {
	DB     *db.DB
	Bus    *bus.Bus
	Clock  clock.Clock
	Limits bool         // repeated texts and slow mode; off for load tests
	Log    *slog.Logger // nil: slog.Default
}

const (
	changedSubject = "duoduopin.moderation.changed"
	lookEvery      = 5 * time.Second // rules are read again, in case the bus lost the word
	noteEvery      = time.Second     // the crew is told at most this often of what comes in storms
	deskIdle       = 10 * time.Minute
)

// Service is moderation of all rooms in this process.
type Service struct {
	Needs
	db     *db.DB
	store  store
	bus    *bus.Bus
	clock  clock.Clock
	log    *slog.Logger
	limits bool
	folder *words.Folder
	node   string

	mu    sync.Mutex // guards what follows
	desks map[int64]*desk
	house *lexicon // the installation's lists, nil until read
}

// New returns the service. It judges at once; while Run runs it hears of other nodes' changes.
func New(c Config, n Needs) (*Service, error) {
	if c.DB == nil || c.Bus == nil || c.Clock == nil || n.Gate == nil || n.Room == nil || n.Hands == nil || n.Record == nil || n.Standing == nil || n.Audit == nil {
		return nil, errors.New("moderation: database, bus, clock and all needs are required")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Service{
		Needs: n, db: c.DB, store: store{c.DB}, bus: c.Bus, clock: c.Clock, log: c.Log, limits: c.Limits, folder: words.NewFolder(),
		node: rand.Text()[:12], desks: map[int64]*desk{},
	}, nil
}

// changed is what nodes tell each other: the rules of a session, or of all with 0, are others now.
type changed struct {
	Node    string `json:"node"`
	Session int64  `json:"session"`
	Lists   bool   `json:"lists"`
}

// Run hears other nodes' changes, looks for those that it did not hear of, tells the crews what comes in storms, and
// finishes what a crash left half done. It returns when ctx has ended.
func (s *Service) Run(ctx context.Context) error {
	hear := make(chan *nats.Msg, 256) // when full, word is lost: rules are read again every five seconds
	sub, err := s.bus.Conn().ChanSubscribe(changedSubject, hear)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	look, note := time.NewTicker(lookEvery), time.NewTicker(noteEvery)
	defer look.Stop()
	defer note.Stop()
	failing := false
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case m := <-hear:
			err = s.hear(ctx, m.Data)
		case <-look.C:
			err = errors.Join(s.lookAgain(ctx), s.finish(ctx))
		case <-note.C:
			s.tellStorms()
		}
		if ctx.Err() == nil && (err != nil) != failing {
			failing = err != nil
			s.log.Warn("moderation's work in the background", "failing", failing, "error", err)
		}
	}
}

func (s *Service) hear(ctx context.Context, raw []byte) error {
	var c changed
	if json.Unmarshal(raw, &c) != nil || c.Node == s.node {
		return nil
	}
	return s.reread(ctx, c)
}

// announce makes this node and the others read a session's rules again.
func (s *Service) announce(ctx context.Context, sessionID int64, lists bool) error {
	c := changed{Node: s.node, Session: sessionID, Lists: lists}
	raw, err := json.Marshal(c)
	if err != nil {
		return err
	}
	_ = s.bus.Conn().Publish(changedSubject, raw) // best effort: they look every five seconds
	return s.reread(context.WithoutCancel(ctx), c)
}

// reread brings what is in memory up to date.
func (s *Service) reread(ctx context.Context, c changed) error {
	if c.Lists && c.Session == 0 {
		if err := s.readHouse(ctx); err != nil {
			return err
		}
	}
	var errs []error
	for _, d := range s.openDesks() {
		if c.Session == 0 || d.session == c.Session {
			errs = append(errs, s.read(ctx, d))
		}
	}
	return errors.Join(errs...)
}

// lookAgain rereads everything and forgets desks that nobody has asked for long.
func (s *Service) lookAgain(ctx context.Context) error {
	now := s.clock.Now()
	s.mu.Lock()
	for id, d := range s.desks {
		if d.idle(now) > deskIdle {
			delete(s.desks, id)
		}
	}
	s.mu.Unlock()
	return s.reread(ctx, changed{Lists: true})
}

func (s *Service) openDesks() []*desk {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*desk, 0, len(s.desks))
	for _, d := range s.desks {
		all = append(all, d)
	}
	return all
}
