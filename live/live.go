// Package live has the live sessions, the spine of the shop: when they are, who is on air, what stands on the shelf,
// what is being explained by whom, and in which state they are. Read this file first; states.go has the table of moves,
// shelf.go what is sold, pins.go what is explained, restraints.go which anchors are muted or cut, watch.go keeps the state
// true to the picture.
//
// It guarantees: a session has one state, changed by the table of moves only and kept with its time; a pin has one
// holder list from one moment to another; what a shelf says is what orders are priced by. It asks: Run must be running for
// interruptions to be noticed, and rooms are told after commit.
package live

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package.
var (
	ErrMove      = fault.New(fault.Conflict, "wrong-state", "the session's state does not allow this")
	ErrNotOnAir  = fault.New(fault.NotFound, "not-on-air", "this session is not on air")
	ErrNotYours  = fault.New(fault.Forbidden, "not-your-session", "you are not an anchor of this session")
	ErrCut       = fault.New(fault.Forbidden, "anchor-cut", "you were taken off this session's air; an operator or an assistant of the shop can restore you")
	ErrNoShelf   = fault.New(fault.Conflict, "not-on-shelf", "this product is not on the session's shelf")
	ErrUnchecked = fault.New(fault.Invalid, "not-checked", "wording and licences of this product have to be checked before it may be put on a shelf")
)

// Session is one live sale.
type Session struct {
	ID          int64
	Title       string
	Intro       string
	State       State
	StartsAt    time.Time // planned
	LiveAt      time.Time // t0; zero before
	EndedAt     time.Time // t1; zero before
	Hold        time.Duration
	Anchors     []string // account names in their order, 1 to 5
	OnAir       int      // anchors whose picture came, as last known
	CreatedBy   string
	Interrupted []Gap       // oldest first
	Restraints  []Restraint // in force
}

// Gap is a stretch without any anchor's picture; To is zero while it lasts.
type Gap struct{ From, To time.Time }

// Person is what this package knows of an account.
type Person struct {
	ID                             int64
	Name, DisplayName, Title, Unit string
	Role                           web.Role
}

// People gives accounts by sign-in name; one that is missing is an error that names it.
type People interface {
	ByNames(ctx context.Context, names []string) ([]Person, error)
	// PublishToken gives a token with which the anchor may publish in this session only.
	PublishToken(ctx context.Context, name string, sessionID int64) (string, error)
}

// Room tells the people in a session's room and counts them.
type Room interface {
	Post(ctx context.Context, sessionID int64, typ string, data any) error
	Viewers(sessionID int64) int
	CloseRoom(sessionID int64) // the session is over: nobody may speak any more
}

// Media knows whose picture comes, and does what the desk orders. All of it returns at once and may be repeated.
type Media interface {
	OnAir(sessionID int64) []string
	CloseSession(sessionID int64)
	Mute(sessionID int64, anchor string, muted bool) // drops the anchor's sound to everybody, or lets it through again
	Cut(sessionID int64, anchor string)              // ends the anchor's publishing
}

// Audit keeps what operators do; joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Config is what New needs besides the other nouns.
type Config struct {
	DB    *db.DB
	Clock clock.Clock
	Log   *slog.Logger // nil: slog.Default
}

// Needs are the other nouns.
type Needs struct {
	People People
	Goods  Goods
	Taken  Taken
	Room   Room
	Media  Media
	Audit  Audit
	// Promotions are the flash sales and struck-through prices that the shelf shows; nil: there are none.
	Promotions Promotions
}

// Service is the live noun.
type Service struct {
	Needs
	db    *db.DB
	store store
	clock clock.Clock
	log   *slog.Logger

	desk sync.Mutex // one order of the desk at a time, telling Media included

	mu      sync.Mutex // guards what follows
	stirred map[int64]bool
	changed map[int64]bool
	wake    chan struct{} // one token: stirred or changed has something
}

// New returns the service.
func New(c Config, n Needs) *Service {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Service{Needs: n, db: c.DB, store: store{c.DB}, clock: c.Clock, log: c.Log, stirred: map[int64]bool{}, changed: map[int64]bool{}, wake: make(chan struct{}, 1)}
}

// Plan is what an operator writes of a session; nil leaves a field as it is.
type Plan struct {
	Title, Intro *string
	StartsAt     *time.Time
	HoldMinutes  *int
	Anchors      []string    // nil: as they are
	Shelf        []ShelfItem // only when creating; later SetShelf
}

// MaxAnchors a session may have.
const MaxAnchors = 5

// Create schedules a session.
func (s *Service) Create(ctx context.Context, p Plan) (Session, error) {
	x := Session{State: Scheduled, CreatedBy: web.ActorFrom(ctx).Name}
	if p.StartsAt == nil {
		return Session{}, fault.Bad("starts_at", "is needed")
	}
	if p.Anchors == nil {
		return Session{}, fault.Bad("anchors", "a session needs 1 to 5 anchors")
	}
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.apply(ctx, &x, p); err != nil {
			return err
		}
		if err := s.store.add(ctx, &x, s.clock.Now()); err != nil {
			return err
		}
		if err := s.setShelf(ctx, x.ID, p.Shelf, "shelf"); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "session.create", ref(x.ID), map[string]any{"title": x.Title, "anchors": x.Anchors})
	})
	return x, err
}

// Change edits a session that has not ended; anchors and time only before it is on air.
func (s *Service) Change(ctx context.Context, id int64, p Plan) (Session, error) {
	return s.change(ctx, id, func(ctx context.Context, x *Session) error {
		if x.State.Over() || (x.State.Open() && (p.Anchors != nil || p.StartsAt != nil)) {
			return ErrMove.Saying("time and anchors can be changed before the session is on air, title and text until it has ended")
		}
		if err := s.apply(ctx, x, p); err != nil {
			return err
		}
		if err := s.store.save(ctx, *x); err != nil {
			return err
		}
		return s.Audit.Record(ctx, "session.change", ref(id), map[string]any{"title": x.Title, "anchors": x.Anchors})
	})
}

func (s *Service) apply(ctx context.Context, x *Session, p Plan) error {
	for _, f := range []struct {
		name      string
		to, value *string
		max       int
	}{{"title", &x.Title, p.Title, 60}, {"intro", &x.Intro, p.Intro, 1000}} {
		if f.value == nil {
			continue
		}
		text, err := plain(f.name, *f.value, f.max)
		if err != nil {
			return err
		}
		*f.to = text
	}
	if x.Title == "" {
		return fault.Bad("title", "is needed")
	}
	if p.StartsAt != nil {
		if y := p.StartsAt.Year(); y < 2020 || y > 2100 {
			return fault.Bad("starts_at", "is not a time of this century")
		}
		x.StartsAt = p.StartsAt.UTC().Truncate(time.Millisecond)
	}
	if p.HoldMinutes != nil {
		if *p.HoldMinutes < 0 || *p.HoldMinutes > 24*60 {
			return fault.Bad("hold_minutes", "must be 0 (the shop's default) to 1440")
		}
		x.Hold = time.Duration(*p.HoldMinutes) * time.Minute
	}
	if p.Anchors == nil {
		return nil
	}
	return s.cast(ctx, x, p.Anchors)
}

// cast sets the anchors: 1 to 5 different people with the role.
func (s *Service) cast(ctx context.Context, x *Session, names []string) error {
	if len(names) < 1 || len(names) > MaxAnchors {
		return fault.Bad("anchors", "a session needs 1 to 5 anchors")
	}
	people, err := s.People.ByNames(ctx, names)
	if fault.KindOf(err) == fault.NotFound {
		return fault.Bad("anchors", err.Error()).Because(err)
	}
	if err != nil {
		return err
	}
	x.Anchors = make([]string, len(people))
	for i, p := range people {
		at := fmt.Sprintf("anchors[%d]", i)
		if p.Role != web.Anchor {
			return fault.Bad(at, p.Name+" is not an anchor; give the account that role first")
		}
		if slices.Contains(x.Anchors[:i], p.Name) {
			return fault.Bad(at, p.Name+" is named twice")
		}
		x.Anchors[i] = p.Name
	}
	return nil
}

// Get gives a session.
func (s *Service) Get(ctx context.Context, id int64) (Session, error) { return s.store.get(ctx, id) }

// Filter says which sessions a list holds.
type Filter struct {
	States []State
	Anchor string // only where this one is an anchor
	After  int64  // id of the former page's last
	Limit  int
}

// List gives sessions, the latest start first.
func (s *Service) List(ctx context.Context, f Filter) ([]Session, error) { return s.store.list(ctx, f) }

// Shown is the state that somebody may see: rehearsals are nobody's business but the crew's.
func (x Session) Shown(a web.Actor) State {
	if x.State == Rehearsing && !x.Crew(a) {
		return Scheduled
	}
	return x.State
}

// Crew reports whether a works in this session: staff, or one of its anchors.
func (x Session) Crew(a web.Actor) bool { return a.Staff() || x.IsAnchor(a) }

// IsAnchor reports whether a is one of the session's anchors.
func (x Session) IsAnchor(a web.Actor) bool {
	return a.Role == web.Anchor && slices.Contains(x.Anchors, a.Name)
}

// MayPublish gives the name of the anchor as whom a may publish: a's own, in a session that is not over, unless the
// desk has cut it.
func (s *Service) MayPublish(ctx context.Context, id int64, a web.Actor) (string, error) {
	x, err := s.Get(ctx, id)
	if err != nil {
		return "", err
	}
	switch {
	case !x.IsAnchor(a):
		return "", ErrNotYours
	case a.Scope != "" && a.Scope != fmt.Sprintf("publish:%d", id):
		return "", web.ErrScope
	case x.State.Over():
		return "", ErrMove.Saying("this session is over")
	case x.Under(Cut, a.Name):
		return "", ErrCut
	}
	return a.Name, nil
}

// MayWatch lets everybody see what is on air, and the crew a rehearsal.
func (s *Service) MayWatch(ctx context.Context, id int64, a web.Actor) error {
	x, err := s.Get(ctx, id)
	if err != nil {
		return err
	}
	if x.State.Open() || (!x.State.Over() && x.Crew(a)) {
		return nil
	}
	return ErrNotOnAir
}

// MayModerate lets the crew moderate the room.
func (s *Service) MayModerate(ctx context.Context, id int64, a web.Actor) error {
	x, err := s.Get(ctx, id)
	if err == nil && !x.Crew(a) {
		return ErrNotYours
	}
	return err
}

// MayRead lets operators and the session's own anchors read its report.
func (s *Service) MayRead(ctx context.Context, id int64, a web.Actor) error {
	x, err := s.Get(ctx, id)
	if err == nil && !a.Is(web.Operator) && !x.IsAnchor(a) {
		return ErrNotYours
	}
	return err
}

// change loads a session, locked, lets fn change it, and gives it as it then stands.
func (s *Service) change(ctx context.Context, id int64, fn func(context.Context, *Session) error) (Session, error) {
	var after Session
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		x, err := s.store.lock(ctx, id)
		if err != nil {
			return err
		}
		if err := fn(ctx, &x); err != nil {
			return err
		}
		after, err = s.store.get(ctx, id)
		return err
	})
	return after, err
}

// tell posts to the room once the transaction in ctx has been committed. A room that can't be told is logged: pages read
// the truth again when they reconnect.
func (s *Service) tell(ctx context.Context, id int64, typ string, data any) {
	db.AfterCommit(ctx, func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := s.Room.Post(ctx, id, typ, data); err != nil {
			s.log.Warn("a room could not be told", "session", id, "event", typ, "error", err)
		}
	})
}

func ref(id int64) string { return fmt.Sprintf("session/%d", id) }

// OnAirBefore gives sessions that have been on air, those with the latest start of broadcast before a moment first; the
// zero time means all.
func (s *Service) OnAirBefore(ctx context.Context, before time.Time, limit int) ([]Session, error) {
	return s.store.onAirBefore(ctx, before, limit)
}
