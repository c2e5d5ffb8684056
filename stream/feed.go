package stream

import (
	"slices"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/stream/feed"
)

// keyForFollowers is how often those who cut the stream into segments get a key frame.
const keyForFollowers = 2 * time.Second

// follower takes an anchor's packets for a recorder or muxer: the best picture layer, changed at key frames only, and the
// sound. Its lock makes the calls of Take come one after another.
type follower struct {
	anchor string
	taker  feed.Taker
	want   bool

	mu    sync.Mutex
	run   int
	video *layer
	audio *layer
	over  bool
	p     feed.Packet
}

// Follow implements feed.Source.
func (s *Service) Follow(session int64, anchor string, t feed.Taker, want bool) (stop func()) {
	f := &follower{anchor: anchor, taker: t, want: want}
	r := s.enter(session)
	r.mu.Lock()
	r.followers[f] = true
	r.followAll()
	r.mu.Unlock()
	return sync.OnceFunc(func() {
		f.mu.Lock()
		f.over = true
		f.mu.Unlock()
		r.mu.Lock()
		delete(r.followers, f)
		r.followAll()
		r.mu.Unlock()
		s.exit(r)
	})
}

// followAll gives every publisher on air its followers, and asks for the key frames they need.
func (r *room) followAll() {
	for a, p := range r.live {
		var mine []*follower
		for f := range r.followers {
			if f.anchor == a {
				mine = append(mine, f)
			}
		}
		if before := *p.followers.Load(); len(mine) != len(before) || !sameFollowers(mine, before) {
			p.followers.Store(&mine)
		}
		t := now()
		if l := p.video.best(t); l != nil && slices.ContainsFunc(mine, func(f *follower) bool { return f.want }) && t-l.keyAt.Load() > int64(keyForFollowers) {
			l.askKey(t)
		}
	}
}

func sameFollowers(a, b []*follower) bool {
	for _, f := range a {
		if !slices.Contains(b, f) {
			return false
		}
	}
	return true
}

// take hands one packet on, if it is of the layer that is followed.
func (f *follower) take(p *publisher, l *layer, s *slot) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || !f.follows(p, l, s) {
		return
	}
	f.p = feed.Packet{
		Video: l.video(), Codec: l.name, FMTP: l.codec.SDPFmtpLine, Rate: int(l.codec.ClockRate), Run: f.run, Ext: s.ext, TS: s.ts, Marker: s.marker,
		Key: s.key, At: time.Unix(0, l.clock.when(s.ts)), Payload: s.data[:s.size],
	}
	f.taker.Take(&f.p)
}

// follows changes over to a better layer, or to another publisher's, at its key frame.
func (f *follower) follows(p *publisher, l *layer, s *slot) bool {
	which := &f.audio
	if l.video() {
		which = &f.video
		if *which != l && (!s.key || !f.better(l, now())) {
			return false
		}
	}
	if *which != l {
		if l.video() || f.video == nil || f.video.owner != p {
			f.run++
		}
		*which = l
	}
	return true
}

func (f *follower) better(l *layer, now int64) bool {
	v := f.video
	return v == nil || v.owner != l.owner || !v.alive(now) || ridRank(l.rid) > ridRank(v.rid)
}
