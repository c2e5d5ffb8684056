// Package engagetest has the surroundings of a stage for tests: rooms that remember what they were told, a programme of
// sessions, people. Databases come from internal/testshop.
package engagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Evening is when a town's clock starts.
func Evening() time.Time { return time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC) }

// Show is a session that is live; another one is Ended.
const (
	Show  = 7
	Ended = 8
)

// ErrMuted is what somebody named "mute" hears when they speak.
var ErrMuted = fault.New(fault.Forbidden, "muted", "you are muted")

// Event is one that a room was told.
type Event struct {
	Session int64
	Type    string
	Data    map[string]any
	Kept    bool
}

// Town is everything around a stage. It satisfies engage.Gate, Room and Audit.
type Town struct {
	Clock *clock.Manual

	mu     sync.Mutex
	states map[int64]string
	events []Event
	acts   []string
	down   bool
	empty  bool
}

// New returns a town whose rooms are all occupied.
func New() *Town {
	return &Town{Clock: clock.NewManual(Evening()), states: map[int64]string{Show: "live", Ended: "ended"}}
}

// Stage gives a stage in this town.
func (w *Town) Stage(t testing.TB, d *db.DB) *engage.Stage {
	t.Helper()
	s, err := engage.New(engage.Config{DB: d, Clock: w.Clock, Gate: w, Room: w, Audit: w, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// As gives a context in which an account acts; names and ids follow from the role and the number.
func As(ctx context.Context, role web.Role, n int64) context.Context {
	base := map[web.Role]int64{web.Buyer: 0, web.Anchor: 1_000_000, web.Assistant: 2_000_000, web.Operator: 3_000_000}[role]
	name := fmt.Sprintf("%s%d", role, n)
	return web.WithActor(ctx, web.Actor{AccountID: base + n, Name: name, DisplayName: "王" + name, Role: role, Viewer: fmt.Sprintf("a:%d", base+n)})
}

// MayWatch implements engage.Gate.
func (w *Town) MayWatch(_ context.Context, id int64, _ web.Actor) (string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.states[id] == "" {
		return "", fault.Missing("session")
	}
	return w.states[id], nil
}

// MayModerate implements engage.Gate: staff, and every anchor.
func (w *Town) MayModerate(ctx context.Context, id int64, a web.Actor) error {
	if _, err := w.MayWatch(ctx, id, a); err != nil {
		return err
	}
	if a.Staff() || a.Role == web.Anchor {
		return nil
	}
	return web.ErrForbidden
}

// MaySay implements engage.Gate: buyer 666 is muted.
func (w *Town) MaySay(_ context.Context, _ int64, a web.Actor, _ string) error {
	if a.AccountID == 666 {
		return ErrMuted
	}
	return nil
}

// Post implements engage.Room.
func (w *Town) Post(_ context.Context, id int64, typ string, data any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return engage.ErrUnavailable
	}
	w.events = append(w.events, Event{id, typ, fields(data), true})
	return nil
}

// Tell implements engage.Room.
func (w *Town) Tell(id int64, typ string, data any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, Event{id, typ, fields(data), false})
}

func fields(data any) map[string]any {
	raw, err := json.Marshal(data)
	var m map[string]any
	if err == nil {
		err = json.Unmarshal(raw, &m)
	}
	if err != nil {
		panic(err) // no event: the test is wrong
	}
	return m
}

// Occupied implements engage.Room.
func (w *Town) Occupied() []int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.empty {
		return nil
	}
	return []int64{Show}
}

// PublicID implements engage.Room.
func (w *Town) PublicID(_ context.Context, viewer string) (string, error) { return "id-" + viewer, nil }

// Record implements engage.Audit.
func (w *Town) Record(_ context.Context, action, _ string, _ any) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.acts = append(w.acts, action)
	return nil
}

// Break makes rooms unreachable, or reachable again; Leave empties them.
func (w *Town) Break(down bool) { w.mu.Lock(); w.down = down; w.mu.Unlock() }

// Leave empties the rooms of this node, or fills them.
func (w *Town) Leave(empty bool) { w.mu.Lock(); w.empty = empty; w.mu.Unlock() }

// Set changes a session's state.
func (w *Town) Set(id int64, state string) { w.mu.Lock(); w.states[id] = state; w.mu.Unlock() }

// Heard gives the events of a type that rooms were told, and forgets all.
func (w *Town) Heard(typ string) []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := slices.DeleteFunc(w.events, func(e Event) bool { return e.Type != typ })
	w.events = nil
	return found
}

// Acts gives what the audit has heard, and forgets it.
func (w *Town) Acts() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	acts := w.acts
	w.acts = nil
	return acts
}

// Round has a stage tell its rooms, after a second has passed.
func (w *Town) Round(t testing.TB, s *engage.Stage) {
	t.Helper()
	w.Clock.Advance(time.Second)
	if err := s.Round(t.Context()); err != nil {
		t.Fatal(err)
	}
}
