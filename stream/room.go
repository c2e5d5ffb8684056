package stream

import (
	"slices"
	"sync"
)

// room is one live session's media: who publishes, who watches, and who gets what. Its lock is for coming and going only;
// no packet passes under it.
type room struct {
	s       *Service
	id      int64
	members int // publishers and viewers; the Service's to guard

	mu         sync.Mutex
	seats      []string // anchors in the order in which they first appeared
	live       map[string]*publisher
	publishers map[*publisher]int64 // all, also those without media yet; value: account
	viewers    map[*viewer]bool
	followers  map[*follower]bool
	replaced   map[string]bool // programs from which another has taken over
	speaker    speaker
	told       Layout // as the observer was told last
	toldAt     int64
}

func newRoom(s *Service, id int64) *room {
	return &room{s: s, id: id, live: map[string]*publisher{}, publishers: map[*publisher]int64{}, viewers: map[*viewer]bool{}, followers: map[*follower]bool{}}
}

// admit lets p be set up: nobody else publishes as this anchor, though the same account may, and will be replaced.
func (r *room) admit(p *publisher, account int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.page != "" && r.replaced[p.page] {
		return ErrReplaced
	}
	for other, owner := range r.publishers {
		if other.anchor == p.anchor && owner != account {
			return ErrTaken
		}
	}
	r.publishers[p] = account
	return nil
}

// wentLive is called at a publisher's first packet: from now on it is the anchor. Who was it before is closed, so that
// the picture never stops in between.
func (r *room) wentLive(p *publisher) {
	r.mu.Lock()
	if _, here := r.publishers[p]; !here {
		r.mu.Unlock()
		return
	}
	before := r.live[p.anchor]
	r.live[p.anchor] = p
	if before != nil && before.page != "" && before.page != p.page {
		r.replace(before.page)
	}
	if !slices.Contains(r.seats, p.anchor) {
		r.seats = append(r.seats, p.anchor)
	}
	r.seatAll()
	r.mu.Unlock()
	r.s.markDirty(r.id)
	if before != nil && before != p {
		before.peer.close()
	}
}

// maxReplaced bounds what a room remembers of programs that were taken over from; beyond it all is forgotten.
const maxReplaced = 256

func (r *room) replace(page string) {
	if r.replaced == nil || len(r.replaced) >= maxReplaced {
		r.replaced = map[string]bool{}
	}
	r.replaced[page] = true
}

// tracksChanged is called when a publisher has a new layer.
func (r *room) tracksChanged() { r.mu.Lock(); defer r.mu.Unlock(); r.seatAll() }

// without removes a publisher.
func (r *room) without(p *publisher) {
	r.mu.Lock()
	delete(r.publishers, p)
	was := r.live[p.anchor] == p
	if was {
		delete(r.live, p.anchor)
		r.seatAll()
	}
	r.mu.Unlock()
	if was {
		r.s.markDirty(r.id)
	}
}

// welcome takes a viewer whose connection is up.
func (r *room) welcome(v *viewer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v.peer.gone() {
		return
	}
	r.viewers[v] = true
	v.sit(r.order(), r.live, r.speaker.name, now())
}

// farewell removes a viewer and ends what it was sent.
func (r *room) farewell(v *viewer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.viewers, v)
	v.sit(nil, nil, "", now())
}

// onAir gives the anchors on air.
func (r *room) onAir() []string { r.mu.Lock(); defer r.mu.Unlock(); return r.order() }

// order gives the anchors on air in the order of their seats.
func (r *room) order() []string {
	var names []string
	for _, a := range r.seats {
		if r.live[a] != nil {
			names = append(names, a)
		}
	}
	return names
}

// seen is every anchor who was on air since the room opened or is about to be: those on air first.
func (r *room) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := append(r.order(), r.seats...)
	for p := range r.publishers {
		names = append(names, p.anchor)
	}
	return names
}

// seatAll gives every viewer what is on air now.
func (r *room) seatAll() {
	t, order := now(), r.order()
	for v := range r.viewers {
		v.sit(order, r.live, r.speaker.name, t)
	}
	r.followAll()
}

// reseat does so for one viewer, whose choice or line has changed.
func (r *room) reseat(v *viewer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.viewers[v] {
		v.sit(r.order(), r.live, r.speaker.name, now())
	}
}

// people gives copies of who is here.
func (r *room) people() ([]*publisher, []*viewer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ps []*publisher
	for _, a := range r.order() {
		ps = append(ps, r.live[a])
	}
	vs := make([]*viewer, 0, len(r.viewers))
	for v := range r.viewers {
		vs = append(vs, v)
	}
	return ps, vs
}

// tick is the room's share of the housekeeping.
func (r *room) tick(now int64, report bool) {
	publishers, viewers := r.people()
	for _, p := range publishers {
		p.tick(now, report)
	}
	if len(publishers) > 0 {
		r.mu.Lock()
		r.speaker.listen(r.order(), r.live, now)
		r.seatAll()
		r.mu.Unlock()
	}
	for _, v := range viewers {
		v.tick(now, report)
	}
}
