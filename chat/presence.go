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
	crowd   *crowd // of the room, told who comes and goes
}

func newPresence(c clock.Clock, facts *notebook, session int64, node string, all *crowd) presence {
	return presence{clock: c, facts: facts, session: session, node: node, stays: map[string]*stay{}, crowd: all}
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
	p.crowd.come(viewer)
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
	p.crowd.leave(viewer)
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
	likes int64 // of the session, since it began
	mine  int64 // of them, by members here since this room was opened
	fresh int64 // of these, not yet told to other nodes
	crowd *crowd
	doubt int      // how often the database is to be asked for likes that were missed
	told  [2]int64 // viewers and likes as the members know them
	at    time.Time
}

// doubtful: another node's likes before it was first heard of may be in its notebook, a second later in the database, which is
// asked so many times.
const doubtful = 5

func newTally(all *crowd) tally { return tally{crowd: all} }

func (t *tally) like(n int64) { t.likes += n; t.mine += n; t.fresh += n }

func (t *tally) viewers(own int) int64 { return int64(own) + t.crowd.elsewhere() }

// due says when the figures go out again, and whether there is anything to say.
func (t *tally) due(own int) (time.Time, bool) {
	return t.at.Add(tallyEvery), t.fresh > 0 || len(t.crowd.moved) > 0 || t.told != [2]int64{t.viewers(own), t.likes}
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

// tell gives what other nodes are to hear.
func (t *tally) tell() news {
	t.fresh = 0
	came, went := t.crowd.changes()
	return news{Likes: t.mine, Came: came, Went: went}
}

// tellAll gives everything that a node needs that knows nothing, in parts.
func (t *tally) tellAll() []news {
	t.fresh = 0
	clear(t.crowd.moved)
	parts := t.crowd.parts()
	all := make([]news, len(parts))
	for i, p := range parts {
		all[i] = news{Likes: t.mine, Came: p, Part: i, Parts: len(parts)}
	}
	return all
}

// hear takes another node's share.
func (t *tally) hear(n news, now time.Time) {
	likes, known := t.crowd.hear(n, now)
	t.likes += max(likes, 0)
	if !known {
		t.doubt = doubtful
	}
}

// correct takes what the database has of likes; it may lack the last second of them.
func (t *tally) correct(likes int64) { t.likes = max(t.likes, likes); t.doubt-- }

// forget drops nodes that have not been heard of.
func (t *tally) forget(now time.Time) { t.crowd.forget(now.Add(-3 * newsEvery)) }
