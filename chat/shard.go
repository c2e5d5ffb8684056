package chat

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/chat/socket"
)

// How frames reach members. A room's members are parted over the shards, one a core; a shard writes to its part of one
// room, some at a time in turn with other rooms', so that a small room does not wait for a large one. Frames of one room
// reach a member in their order, because a part's frames wait in one line.
const (
	turnOf     = 256 // members that a room is given to before the next one's turn
	smallRoom  = 64  // members that the room's own goroutine writes to: nothing is handed over
	framesMost = 2   // frames of a room under way on a shard; beyond it the room waits, and its window grows by itself
)

// seat is a member's place among those of its room.
type seat struct{ part, index int }

// part is a room's members on one shard. What is being written to is a lent list, which is never changed: who enters stands
// behind its end, and when somebody leaves there is a new one.
type part struct {
	all  []*member
	lent bool
}

func (p *part) add(m *member, number int) {
	m.seat = seat{number, len(p.all)}
	p.all = append(p.all, m)
}

func (p *part) remove(m *member) {
	if p.lent {
		p.all, p.lent = slices.Clone(p.all), false
	}
	last := len(p.all) - 1
	p.all[m.seat.index] = p.all[last]
	p.all[m.seat.index].seat.index = m.seat.index
	p.all[last] = nil
	p.all = p.all[:last]
}

// lend gives the list as it is now.
func (p *part) lend() []*member {
	p.lent = true
	return p.all[:len(p.all):len(p.all)]
}

// parcel is one frame for a list of members.
type parcel struct {
	frame   socket.Frame
	members []*member
}

// deliver writes to up to `most` members and gives those who are left.
func (p parcel) deliver(most int, now time.Time) []*member {
	n := min(most, len(p.members))
	for _, m := range p.members[:n] {
		m.conn.Send(p.frame, now)
	}
	return p.members[n:]
}

// lane is the frames of one room that wait for one shard.
type lane struct {
	parcels []parcel
	done    func() // told after each
	queued  bool
}

// shard writes to its parts of all rooms.
type shard struct {
	wake chan struct{} // one token: there is something

	mu    sync.Mutex // guards turns and the lanes
	turns []*lane    // those with something, by turn
}

func newShards(n int) []*shard {
	all := make([]*shard, n)
	for i := range all {
		all[i] = &shard{wake: make(chan struct{}, 1)}
	}
	return all
}

// hand puts a parcel into a lane.
func (s *shard) hand(l *lane, p parcel) {
	s.mu.Lock()
	l.parcels = append(l.parcels, p)
	if !l.queued {
		l.queued = true
		s.turns = append(s.turns, l)
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// waiting counts the parcels of a lane, the one being written included.
func (s *shard) waiting(l *lane) int { s.mu.Lock(); defer s.mu.Unlock(); return len(l.parcels) }

// run writes until ctx ends.
func (s *shard) run(ctx context.Context) {
	for {
		if s.turn(time.Now()) {
			if ctx.Err() != nil {
				return
			}
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
	}
}

// turn gives one room its turn; false when no room has anything.
func (s *shard) turn(now time.Time) bool {
	s.mu.Lock()
	if len(s.turns) == 0 {
		s.mu.Unlock()
		return false
	}
	l := s.turns[0]
	s.turns = s.turns[1:]
	p := l.parcels[0]
	s.mu.Unlock()

	left := p.deliver(turnOf, now)

	s.mu.Lock()
	if len(left) > 0 {
		l.parcels[0].members = left
	} else {
		l.parcels = slices.Delete(l.parcels, 0, 1)
	}
	if l.queued = len(l.parcels) > 0; l.queued {
		s.turns = append(s.turns, l)
	}
	s.mu.Unlock()
	if len(left) == 0 {
		l.done()
	}
	return true
}
