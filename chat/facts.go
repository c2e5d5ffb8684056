package chat

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Interval is one entry of a viewer's into a room and the time until it left. One who came back within 30 s never left;
// several sockets of one viewer are one.
type Interval struct {
	Viewer string
	From   time.Time
	To     time.Time // zero: still there
}

// Act is something that a viewer did.
type Act struct {
	Viewer    string
	Kind      string // chat, like, share, follow, click, exposure
	ProductID int64  // of click and exposure, else 0
	Count     int64  // the same within a minute is summed
	At        time.Time
}

// Presence gives who was in a session's room when, in the order of entering.
func (s *Service) Presence(ctx context.Context, sessionID int64) ([]Interval, error) {
	if err := s.settle(ctx, func(ctx context.Context) error { return s.facts.flush(ctx) }); err != nil {
		return nil, err
	}
	rows, err := s.store.stays(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	return entries(rows), nil
}

// entries makes one interval of stays of one viewer on several nodes: who is on two at once, or goes from one to the other
// within 30 s, came in once. Rows come in the order of entering.
func entries(rows []stayRow) []Interval {
	out := make([]Interval, 0, len(rows))
	type last struct {
		at   int // in out
		node string
	}
	newest := map[string]last{}
	for _, r := range rows {
		from, to := db.Time(r.FromMs), db.Time(r.ToMs)
		if l, ok := newest[r.Viewer]; ok && l.node != r.Node {
			if i := &out[l.at]; i.To.IsZero() || !from.After(i.To.Add(rejoinWithin)) {
				if to.IsZero() || !i.To.IsZero() && to.After(i.To) {
					i.To = to
				}
				newest[r.Viewer] = last{l.at, r.Node}
				continue
			}
		}
		newest[r.Viewer] = last{len(out), r.Node}
		out = append(out, Interval{Viewer: r.Viewer, From: from, To: to})
	}
	return out
}

// Activity gives what viewers did in a session's room, in the order of time. Chat comes from the record, one by one.
func (s *Service) Activity(ctx context.Context, sessionID int64) ([]Act, error) {
	err := s.settle(ctx, func(ctx context.Context) error {
		if err := s.facts.flush(ctx); err != nil {
			return err
		}
		if err := s.record.copyMarked(ctx, sessionID); err != nil { // the log may be away: the record has all but the last seconds
			s.log.Warn("a room's record could not be completed for its report", "session_id", sessionID, "error", err.Error())
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	rows, err := s.store.acts(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	spoken, err := s.store.spoken(ctx, sessionID)
	if err != nil {
		return nil, err
	}
	out := make([]Act, 0, len(rows)+len(spoken))
	for _, r := range rows {
		out = append(out, Act{Viewer: r.Viewer, Kind: r.Kind, ProductID: r.ProductID, Count: r.Count, At: db.Time(r.AtMs)})
	}
	for _, r := range spoken {
		out = append(out, Act{Viewer: r.Viewer, Kind: "chat", Count: 1, At: db.Time(r.AtMs)})
	}
	slices.SortStableFunc(out, func(a, b Act) int { return a.At.Compare(b.At) })
	return out, nil
}

// settle writes what is known before facts are read, but never inside somebody's transaction: it may be rolled back, and
// what was written from memory would be lost with it.
func (s *Service) settle(ctx context.Context, write func(context.Context) error) error {
	if db.InTx(ctx) {
		return nil
	}
	return write(ctx)
}

// ImportFacts adds facts from elsewhere, such as the demo shop's. What is imported twice counts twice.
func (s *Service) ImportFacts(ctx context.Context, sessionID int64, stays []Interval, acts []Act) error {
	n := newNotebook(s.store, s.db)
	for _, i := range stays {
		seen := i.To
		if seen.IsZero() {
			seen = i.From
		}
		n.stay(stayRow{ID: newID(), SessionID: sessionID, Viewer: i.Viewer, FromMs: db.Millis(i.From), ToMs: db.Millis(seen), LastSeenMs: db.Millis(seen)})
	}
	for _, a := range acts {
		n.act(sessionID, a)
	}
	return n.flush(ctx)
}

// notebook collects facts in memory between two writings. A crash loses what was not written: a second of them.
type notebook struct {
	store store
	db    *db.DB

	writing sync.Mutex // one flush after the other, so that a stay's states keep their order

	mu    sync.Mutex // guards what follows
	stays map[int64]stayRow
	acts  map[actKey]actRow
	lost  int // acts not kept because the database was away for long
}

// notesMost bounds the acts in memory; beyond it, while the database is away, new ones are dropped. Stays are bounded by
// the sockets.
const notesMost = 200_000

type actKey struct {
	session, minute, product int64
	viewer, kind             string
}

func newNotebook(st store, d *db.DB) *notebook {
	return &notebook{store: st, db: d, stays: map[int64]stayRow{}, acts: map[actKey]actRow{}}
}

// stay notes the present state of a stay.
func (n *notebook) stay(row stayRow) { n.mu.Lock(); n.stays[row.ID] = row; n.mu.Unlock() }

// act notes that a viewer did something.
func (n *notebook) act(session int64, a Act) {
	minute := a.At.Unix() / 60
	row := actRow{SessionID: session, Minute: minute, Viewer: a.Viewer, Kind: a.Kind, ProductID: a.ProductID, Count: max(a.Count, 1), AtMs: db.Millis(a.At)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.add(row)
}

// add sums an act with the same of its minute. Call with mu held.
func (n *notebook) add(row actRow) {
	key := actKey{row.SessionID, row.Minute, row.ProductID, row.Viewer, row.Kind}
	have, ok := n.acts[key]
	switch {
	case ok:
		have.Count += row.Count
		have.AtMs = min(have.AtMs, row.AtMs)
		n.acts[key] = have
	case len(n.acts) >= notesMost:
		n.lost++
	default:
		n.acts[key] = row
	}
}

// flush writes what has been noted; what can't be written stays noted.
func (n *notebook) flush(ctx context.Context) error {
	n.writing.Lock()
	defer n.writing.Unlock()
	n.mu.Lock()
	stays, acts := n.stays, n.acts
	n.stays, n.acts = map[int64]stayRow{}, map[actKey]actRow{}
	n.mu.Unlock()
	if len(stays) == 0 && len(acts) == 0 {
		return nil
	}
	err := n.store.write(ctx, values(stays), values(acts))
	if err == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, row := range stays {
		if _, newer := n.stays[id]; !newer {
			n.stays[id] = row
		}
	}
	for _, row := range acts {
		n.add(row)
	}
	return err
}

func values[K comparable, V any](m map[K]V) []V {
	out := make([]V, 0, len(m))
	for _, v := range m {
		out = append(out, v)
	}
	return out
}
