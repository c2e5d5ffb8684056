// Package records keeps what was said in the rooms for as long as the law asks, and no longer: it moves old months from the
// database into compressed files, deletes what is older than three years, keeps what a legal hold claims, takes a person
// out who asks to be forgotten, and gives a session's record out, with a note of who took it.
//
// What it guarantees: nothing younger than the term is deleted, and nothing under a hold that was there when the deletion
// began; both are decided in the transaction that deletes. An event is in the database or in one file, never in none, also
// after a crash. A forgotten person's name and words are gone from the log, the rooms, the database and the files, while the
// events stay, so that seq stays dense and the figures true. Only one process works at a time: a lease says which.
//
// What it does not: recordings of picture and sound, orders and accounts have their own keepers.
//
// What it asks: the rooms' record (Log), and for forgetting also the rooms themselves (Rooms); a Vault for the files. Run must
// run for anything to happen by itself.
package records

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package, beside fault.Missing("session"), ("hold") and ("account").
var (
	ErrBusy = fault.New(fault.Conflict, "records-busy", "another process is working on the records; try again in a few minutes")
	// ErrNoRooms: only the server can reach the rooms' logs.
	ErrNoRooms = fault.New(fault.Conflict, "records-server", "forgetting is done by the running server, within a minute of being asked for")

	// ErrMissing is the Vault's answer when there is no such file.
	ErrMissing = errors.New("no such file of records")
	errFile    = errors.New("a file of records is not what was written")
)

// Event is one event of a room, as it is kept.
type Event struct {
	Session int64
	Epoch   string // of the room's log; a position is (session, epoch, seq)
	Seq     int64
	Type    string
	At      time.Time
	Viewer  string // who said it; empty: the server
	Account int64  // likewise; 0: the server
	Body    []byte // JSON object, as the room got it
}

// Forgotten is what the rooms have done.
type Forgotten struct {
	Blanked int // events of the database whose name or words are gone
	Spared  int // events that had to stay
	Erased  int // events taken out of logs
}

// Log is the rooms' record in the database. Drop joins the transaction in ctx.
type Log interface {
	Sessions(ctx context.Context, before time.Time) ([]int64, error)
	Each(ctx context.Context, session int64, from, to time.Time, yield func([]Event) error) error
	Drop(ctx context.Context, events []Event) error
	Person(ctx context.Context, account int64) (string, error)
	Redact(body []byte, person string) ([]byte, bool)
	People(body []byte) []string
}

// Rooms can make the rooms forget, and what of them is in the database.
type Rooms interface {
	Forget(ctx context.Context, account int64, spare func(Event) bool) (Forgotten, error)
}

// Shop knows sessions and accounts; what there is not is fault.Missing.
type Shop interface {
	Session(ctx context.Context, id int64) error
	Account(ctx context.Context, name string) (int64, error)
}

// Audit keeps who did what; it joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Terms, in months. They may be longer, not shorter.
const (
	KeepMonths    = 36 // a live sale's records
	ArchiveMonths = 36 // in the database, where moderators search them, before they go into files
)

// Config is what New needs. DB, Clock, Vault, Log, Shop and Audit are required.
type Config struct {
	DB      *db.DB
	Clock   clock.Clock
	Vault   Vault
	Log     Log
	Rooms   Rooms // nil in a command: nothing is forgotten
	Shop    Shop
	Audit   Audit
	Keep    int // months; 0: KeepMonths
	Archive int // months; 0: ArchiveMonths
	Logger  *slog.Logger
}

// Service is the keeper.
type Service struct {
	cfg    Config
	store  store
	worker string        // names this process in the lease
	poke   chan struct{} // one token: look at once what is to be done
}

// New returns the keeper, or says which term is too short.
func New(c Config) (*Service, error) {
	if c.DB == nil || c.Clock == nil || c.Vault == nil || c.Log == nil || c.Shop == nil || c.Audit == nil {
		return nil, errors.New("records: database, clock, vault, log, shop and audit are required")
	}
	if c.Keep == 0 {
		c.Keep = KeepMonths
	}
	if c.Archive == 0 {
		c.Archive = ArchiveMonths
	}
	if c.Keep < KeepMonths {
		return nil, fmt.Errorf("records of a live sale are kept for %d months at least, not %d", KeepMonths, c.Keep)
	}
	if c.Archive < 1 {
		return nil, fmt.Errorf("records stay in the database for 1 month at least, not %d", c.Archive)
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Service{cfg: c, store: store{c.DB}, worker: rand.Text()[:12], poke: make(chan struct{}, 1)}, nil
}

// cutoff is the moment before which records are over their term.
func (s *Service) cutoff() time.Time { return s.cfg.Clock.Now().UTC().AddDate(0, -s.cfg.Keep, 0) }

// archiveBefore is the beginning of the oldest month that stays in the database. Months are those of UTC.
func (s *Service) archiveBefore() time.Time {
	now := s.cfg.Clock.Now().UTC()
	return time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, -s.cfg.Archive, 0)
}

func monthOf(t time.Time) string { return t.UTC().Format("2006-01") }

// Hold is a legal hold: what matches all that it names is neither deleted nor blanked until it is released.
type Hold struct {
	ID       int64
	Session  int64     // 0: any
	Account  int64     // 0: anybody
	Person   string    // public id of the account
	From, To time.Time // zero: open
	Reason   string
	By       string
	At       time.Time
	Released time.Time // zero: in force
	FreedBy  string
}

// Covers reports whether the hold claims an event: by the session, by the person who said it or is named in it, by the time.
func (h Hold) Covers(e Event) bool {
	switch {
	case !h.Released.IsZero(),
		h.Session != 0 && h.Session != e.Session,
		!h.From.IsZero() && e.At.Before(h.From),
		!h.To.IsZero() && !e.At.Before(h.To):
		return false
	}
	return h.Account == 0 || h.Account == e.Account || h.Person != "" && strings.Contains(string(e.Body), `"`+h.Person+`"`)
}

// held reports whether one of the holds claims an event.
func held(holds []Hold, e Event) bool {
	return slices.ContainsFunc(holds, func(h Hold) bool { return h.Covers(e) })
}

// Hold puts a legal hold on a session, a person, a stretch of time, or what they have in common. From now on nothing of it
// goes, also if a deletion is under way.
func (s *Service) Hold(ctx context.Context, h Hold) (Hold, error) {
	h.Reason = strings.TrimSpace(h.Reason)
	switch {
	case h.Reason == "":
		return h, fault.Bad("reason", "say which case the hold is for")
	case h.Session == 0 && h.Account == 0 && h.From.IsZero() && h.To.IsZero():
		return h, fault.Bad("session_id", "name a session, an account or a time: a hold on everything is none")
	case !h.From.IsZero() && !h.To.IsZero() && !h.From.Before(h.To):
		return h, fault.Bad("to", "must be after from")
	}
	if h.Session != 0 {
		if err := s.cfg.Shop.Session(ctx, h.Session); err != nil {
			return h, err
		}
	}
	if h.Account != 0 {
		var err error
		if h.Person, err = s.cfg.Log.Person(ctx, h.Account); err != nil {
			return h, err
		}
	}
	h.At, h.By = s.cfg.Clock.Now(), who(ctx)
	err := s.cfg.DB.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.turn(ctx); err != nil { // waits for a deletion's transaction, and the next one sees the hold
			return err
		}
		var err error
		if h.ID, err = s.store.addHold(ctx, h); err != nil {
			return err
		}
		return s.cfg.Audit.Record(ctx, "records.hold", fmt.Sprintf("hold/%d", h.ID), map[string]any{"session": h.Session, "account": h.Account, "reason": h.Reason})
	})
	return h, err
}

// Release ends a hold; what it kept goes when its time comes.
func (s *Service) Release(ctx context.Context, id int64) (Hold, error) {
	err := s.cfg.DB.Tx(ctx, func(ctx context.Context) error {
		if err := s.store.release(ctx, id, who(ctx), s.cfg.Clock.Now()); err != nil {
			return err
		}
		return s.cfg.Audit.Record(ctx, "records.release", fmt.Sprintf("hold/%d", id), nil)
	})
	if err != nil {
		return Hold{}, err
	}
	s.wake()
	return s.store.hold(ctx, id)
}

// Holds lists holds, newest first, below an id (0: from the newest).
func (s *Service) Holds(ctx context.Context, below int64, limit int) ([]Hold, error) {
	return s.store.holds(ctx, below, limit)
}

// Erasure is somebody's wish to be forgotten.
type Erasure struct {
	ID      int64
	Account int64
	Person  string // public id
	Reason  string
	By      string
	At      time.Time
	Done    time.Time // zero: not yet, or something is held
	Tried   time.Time
	Blanked int64
	Held    int64 // events that a hold keeps as they are; they follow when it is released
}

// Forget notes that a person is to be forgotten; the server does it within a minute.
func (s *Service) Forget(ctx context.Context, account int64, reason string) (Erasure, error) {
	person, err := s.cfg.Log.Person(ctx, account)
	if err != nil {
		return Erasure{}, err
	}
	e := Erasure{Account: account, Person: person, Reason: strings.TrimSpace(reason), By: who(ctx), At: s.cfg.Clock.Now()}
	if e.Reason == "" {
		return e, fault.Bad("reason", "say who asked for it and when")
	}
	err = s.cfg.DB.Tx(ctx, func(ctx context.Context) error {
		if e.ID, err = s.store.addErasure(ctx, e); err != nil {
			return err
		}
		return s.cfg.Audit.Record(ctx, "records.forget", fmt.Sprintf("account/%d", account), map[string]any{"reason": e.Reason})
	})
	s.wake()
	return e, err
}

// Erasures lists wishes to be forgotten, newest first, below an id (0: from the newest).
func (s *Service) Erasures(ctx context.Context, below int64, limit int) ([]Erasure, error) {
	return s.store.erasures(ctx, below, limit)
}

func who(ctx context.Context) string {
	if a := web.ActorFrom(ctx); a.SignedIn() {
		return a.Name
	}
	return "system"
}

func (s *Service) wake() {
	select {
	case s.poke <- struct{}{}:
	default:
	}
}
