package stream

import (
	"slices"
	"sync/atomic"
	"time"
)

// Layout is who is on air in a room, in the order of their seats, and who speaks; for the pages.
type Layout struct {
	Anchors []LayoutAnchor `json:"anchors"`
	Speaker string         `json:"speaker"` // empty: nobody in particular
}

// LayoutAnchor is one anchor on air.
type LayoutAnchor struct {
	Anchor   string `json:"anchor"`
	OnAir    bool   `json:"on_air"`
	Muted    bool   `json:"muted"`
	Speaking bool   `json:"speaking"`
	LevelDB  int    `json:"level_db"` // dBov, -127 (silence) to 0, in steps of 6 so that a room is not told of every breath
}

// Levels in dBov.
const (
	silence   = -127
	audible   = -45 // louder than a quiet room
	clearer   = 6   // dB by which another has to be louder to become the speaker
	speakFor  = 2 * time.Second
	quietFor  = 800 * time.Millisecond // a level older than that is silence
	levelStep = 6
)

// audioLevel follows a publisher's loudness by the RTP header extension that browsers send (RFC 6464): fast up, slow
// down. One goroutine writes, any reads.
type audioLevel struct {
	db atomic.Int64 // times 16
	at atomic.Int64
}

func (a *audioLevel) silence() { a.at.Store(0) }

// hear reads the level out of an RTP packet; id is that of the extension, 0 = none.
func (a *audioLevel) hear(raw []byte, id uint8, now int64) {
	v, ok := extension(raw, id)
	if id == 0 || !ok || len(v) == 0 {
		return
	}
	level := -int64(v[0]&0x7f) * 16
	if before := a.db.Load(); level < before && a.at.Load() != 0 {
		level = before + (level-before)/16
	}
	a.db.Store(level)
	a.at.Store(now)
}

// get gives the level in dBov.
func (a *audioLevel) get(now int64) int {
	if at := a.at.Load(); at == 0 || now-at > int64(quietFor) {
		return silence
	}
	return int(a.db.Load() / 16)
}

// speaker says who speaks in a room: calm, so that the picture does not jump at a cough.
type speaker struct {
	name  string
	since int64
}

// listen chooses the speaker among those on air.
func (s *speaker) listen(order []string, on map[string]*publisher, now int64) {
	level := func(a string) int {
		if p := on[a]; p != nil {
			return p.level.get(now)
		}
		return silence
	}
	if !slices.Contains(order, s.name) {
		s.name, s.since = "", 0
	}
	best := s.name
	for _, a := range order {
		if level(a) > audible && (best == "" || level(a) >= level(best)+clearer) {
			best = a
		}
	}
	if best != s.name && now-s.since >= int64(speakFor) {
		s.name, s.since = best, now
	}
}

// layout gives who is on air and whether that is news, at most twice a second.
func (r *room) layout(now int64) (Layout, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now-r.toldAt < int64(500*time.Millisecond) {
		return Layout{}, false
	}
	l := Layout{Anchors: []LayoutAnchor{}, Speaker: r.speaker.name}
	for _, a := range r.order() {
		p := r.live[a]
		db := p.level.get(now)
		l.Anchors = append(l.Anchors, LayoutAnchor{
			Anchor: a, OnAir: true, Muted: p.muted.Load(), Speaking: db > audible, LevelDB: max(silence, db/levelStep*levelStep),
		})
	}
	if l.Speaker == r.told.Speaker && slices.Equal(l.Anchors, r.told.Anchors) {
		return Layout{}, false
	}
	r.told, r.toldAt = l, now
	return l, true
}

// mute changes whether an anchor's sound goes out.
func (r *room) mute(anchor string, muted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for p := range r.publishers {
		if p.anchor == anchor {
			p.muted.Store(muted)
		}
	}
}
