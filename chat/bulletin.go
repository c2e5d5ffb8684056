package chat

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"
)

// toldKept is how long a session's bulletin is kept after the last telling.
const toldKept = 24 * time.Hour

// bulletin is what rooms were told from outside that is not kept in their logs: the newest event of each type, by session.
// It stands beside the rooms because those come and go with their members. Bounded by the shop's own doing: a few types,
// and the sessions that were told something in the last 24 hours. Its lock may be taken under a room's.
type bulletin struct {
	mu  sync.Mutex
	all map[int64]map[string]told
}

// told is one event as it goes out.
type told struct {
	raw   []byte
	at    time.Time // of the event
	node  string    // which told it
	heard time.Time // the last time
}

func newBulletin() *bulletin { return &bulletin{all: map[int64]map[string]told{}} }

// put replaces the event of its type. What another node repeats, or told before the one that is here, changes nothing.
func (b *bulletin) put(session int64, typ string, e told, own bool) (fresh bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was, known := b.all[session][typ]
	switch {
	case own || !known:
	case was.node == e.node && bytes.Equal(was.raw, e.raw):
		was.heard = e.heard
		b.all[session][typ] = was
		return false
	case e.at.Before(was.at), e.at.Equal(was.at) && was.node != e.node:
		return false
	}
	if b.all[session] == nil {
		b.all[session] = map[string]told{}
	}
	b.all[session][typ] = e
	return true
}

// types lists the types of event that a session was told, sorted.
func (b *bulletin) types(session int64) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.all[session]))
}

// newest gives a session's events of these types; those that are not here any more are left out.
func (b *bulletin) newest(session int64, types []string) [][]byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out [][]byte
	for _, t := range types {
		if e, ok := b.all[session][t]; ok {
			out = append(out, e.raw)
		}
	}
	return out
}

// by gives what a node has told, to be repeated to the others.
func (b *bulletin) by(node string) []news {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []news
	for id, sheet := range b.all {
		for _, e := range sheet {
			if e.node == node {
				out = append(out, news{Node: node, Session: id, Event: e.raw})
			}
		}
	}
	return out
}

// sweep drops what this node has not told for a day, and what others have stopped repeating: they are gone.
func (b *bulletin) sweep(node string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for id, sheet := range b.all {
		maps.DeleteFunc(sheet, func(_ string, e told) bool {
			return now.Sub(e.heard) > toldKept || e.node != node && now.Sub(e.heard) > 3*newsEvery
		})
		if len(sheet) == 0 {
			delete(b.all, id)
		}
	}
}

func (b *bulletin) forget(session int64) { b.mu.Lock(); delete(b.all, session); b.mu.Unlock() }

// Tell gives the members of a session's room, on all nodes, an event that is not kept: the fields of data, a JSON object,
// stand beside type and at. Only the newest of a type counts: what follows within a window replaces it, and who comes later
// gets it after history. Before the room is open only the crew does: a rehearsal is nobody else's business. Nobody needs to
// be in the room. It returns at once and may be called from anywhere; data that is no event is logged and dropped.
func (s *Service) Tell(sessionID int64, typ string, data any) {
	at := s.clock.Now().Truncate(time.Millisecond)
	raw, err := compose(typ, at, data)
	if err == nil && len(raw) > logMessage {
		err = errEventSize
	}
	if err != nil {
		s.log.Error("what a room was to be told is no event", "event", typ, "error", err.Error())
		return
	}
	s.post(sessionID, typ, told{raw, at, s.node, time.Now()})
	s.announceTold(news{Node: s.node, Session: sessionID, Event: raw})
}

// post puts an event up and lets the room send it, if there is a room.
func (s *Service) post(sessionID int64, typ string, e told) {
	if !s.bulletin.put(sessionID, typ, e, e.node == s.node) {
		return
	}
	if r := s.room(sessionID); r != nil {
		r.refresh(typ)
	}
}

// hearTold takes what another node has told.
func (s *Service) hearTold(n news) {
	var h head
	if json.Unmarshal(n.Event, &h) == nil && h.Type != "" {
		s.post(n.Session, h.Type, told{n.Event, h.At, n.Node, time.Now()})
	}
}

// keepTold forgets what is old and repeats to the other nodes what they may have missed.
func (s *Service) keepTold(now time.Time) {
	s.bulletin.sweep(s.node, now)
	for _, n := range s.bulletin.by(s.node) {
		s.announceTold(n)
	}
}

// refresh says that there is something new of a type on the bulletin.
func (r *room) refresh(typ string) {
	r.mu.Lock()
	r.mark(typ)
	r.mu.Unlock()
	r.poke()
}

// mark is refresh with mu held.
func (r *room) mark(types ...string) {
	for _, t := range types {
		if !slices.Contains(r.fresh, t) {
			r.fresh = append(r.fresh, t)
		}
	}
}

// takeTold gives what is new on the bulletin. Call with mu held.
func (r *room) takeTold() [][]byte {
	events := r.svc.bulletin.newest(r.id, r.fresh)
	r.fresh = nil
	return events
}

// toldTo gives what a member who comes in gets of the bulletin. Call with mu held.
func (r *room) toldTo(m *member) [][]byte {
	if !isOpen(r.about.State) && !m.backstage {
		return nil
	}
	return r.svc.bulletin.newest(r.id, r.svc.bulletin.types(r.id))
}

// backstage lists those members who may know of a rehearsal. Call with mu held.
func (r *room) backstage() []*member {
	var crew []*member
	for _, p := range r.parts {
		for _, m := range p.all {
			if m.backstage {
				crew = append(crew, m)
			}
		}
	}
	return crew
}
