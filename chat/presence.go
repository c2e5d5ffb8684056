package chat

import (
	"math/rand/v2"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
)

// rejoinWithin: one who comes back this soon never left.
const rejoinWithin = 30 * time.Second

// stay is one viewer's time in one room: open while at least one socket is.
type stay struct {
	row     stayRow
	sockets int
}

// newID gives a stay its id: by chance, so that nothing has to be asked.
func newID() int64 { return rand.Int64() }

// presence is who is in a room on this node. Its owner's lock guards it; what changes goes into the notebook.
type presence struct {
	clock   clock.Clock
	facts   *notebook
	session int64
	node    string
	stays   map[string]*stay // by viewer
	here    int              // stays with a socket
	ended   bool
}

func newPresence(c clock.Clock, facts *notebook, session int64, node string) presence {
	return presence{clock: c, facts: facts, session: session, node: node, stays: map[string]*stay{}}
}

// recall takes stays that ended a moment ago, before a restart.
func (p *presence) recall(rows []stayRow) {
	for _, row := range rows {
		p.stays[row.Viewer] = &stay{row: row}
	}
}

// arrive counts a socket of a viewer's.
func (p *presence) arrive(viewer string) {
	now := p.clock.Now()
	st := p.stays[viewer]
	switch {
	case st != nil && st.sockets > 0:
		st.sockets++
		return
	case st == nil || now.Sub(db.Time(st.row.ToMs)) > rejoinWithin:
		st = &stay{row: stayRow{ID: newID(), SessionID: p.session, Viewer: viewer, FromMs: db.Millis(now)}}
		p.stays[viewer] = st
	}
	st.sockets, st.row.ToMs, st.row.LastSeenMs, st.row.Node = 1, 0, db.Millis(now), p.node
	p.here++
	p.note(st)
}

// depart counts a socket less; the last one ends the stay, for now.
func (p *presence) depart(viewer string) {
	st := p.stays[viewer]
	if st == nil || st.sockets == 0 {
		return
	}
	if st.sockets--; st.sockets > 0 {
		return
	}
	p.here--
	p.close(st, p.clock.Now())
}

func (p *presence) close(st *stay, now time.Time) {
	st.row.ToMs, st.row.LastSeenMs = db.Millis(now), db.Millis(now)
	p.note(st)
}

// note writes a stay down, unless the session is over.
func (p *presence) note(st *stay) {
	if !p.ended {
		p.facts.stay(st.row)
	}
}

// end closes every stay for good; sockets may stay, they are still counted.
func (p *presence) end(now time.Time) {
	if p.ended {
		return
	}
	for _, st := range p.stays {
		if st.sockets > 0 {
			p.close(st, now)
		}
	}
	p.ended = true
}

// sweep forgets who left too long ago to come back.
func (p *presence) sweep(now time.Time) {
	for viewer, st := range p.stays {
		if st.sockets == 0 && now.Sub(db.Time(st.row.ToMs)) > rejoinWithin {
			delete(p.stays, viewer)
		}
	}
}

// count gives the distinct viewers here.
func (p *presence) count() int { return p.here }

// tally is a room's fleeting figures, this node's and the others'. Its owner's lock guards it.
type tally struct {
	likes  int64 // of the session, since it began
	fresh  int64 // of them, not yet told to other nodes
	others map[string]remote
	told   [2]int64 // viewers and likes as the members know them
	at     time.Time
}

// remote is another node's share of a room.
type remote struct {
	viewers int64
	at      time.Time
}

func newTally() tally { return tally{others: map[string]remote{}} }

func (t *tally) like(n int64) { t.likes += n; t.fresh += n }

func (t *tally) viewers(own int) int64 {
	n := int64(own)
	for _, o := range t.others {
		n += o.viewers
	}
	return n
}

// due says when the figures go out again, and whether there is anything to say.
func (t *tally) due(own int) (time.Time, bool) {
	return t.at.Add(tallyEvery), t.fresh > 0 || t.told != [2]int64{t.viewers(own), t.likes}
}

// now gives both figures.
func (t *tally) now(own int, at string) [][]byte {
	return [][]byte{encode(counted{"viewers", t.viewers(own), at}), encode(counted{"likes", t.likes, at})}
}

// take gives what has changed since it was last told.
func (t *tally) take(now time.Time, own int, at string) [][]byte {
	all, news := t.now(own, at), [2]int64{t.viewers(own), t.likes}
	var out [][]byte
	for i := range all {
		if news[i] != t.told[i] {
			out = append(out, all[i])
		}
	}
	t.told, t.at = news, now
	return out
}

// takeNew gives the likes that other nodes have not heard of.
func (t *tally) takeNew() int64 { n := t.fresh; t.fresh = 0; return n }

// hear takes another node's share.
func (t *tally) hear(node string, viewers, likes int64, now time.Time) {
	t.others[node] = remote{viewers, now}
	t.likes += likes
}

// forget drops nodes that have not been heard of.
func (t *tally) forget(now time.Time) {
	for node, o := range t.others {
		if now.Sub(o.at) > 3*newsEvery {
			delete(t.others, node)
		}
	}
}
