package stream

import (
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/stream/pace"
)

// Quality is what a viewer chose of the picture.
type Quality string

// The qualities: as the line carries, the smallest, the best that the line carries. Congestion wins over every choice.
const (
	Auto   Quality = "auto"
	Smooth Quality = "smooth"
	Clear  Quality = "clear"
)

// Choice is what a viewer wants to get.
type Choice struct {
	Quality Quality
	Video   bool   // false: a hidden page, sound only
	Focus   string // the anchor shown large; empty: who speaks
}

// Change is what of a Choice a viewer changes; nil leaves a field as it is.
type Change struct {
	Quality *Quality
	Video   *bool
	Focus   *string
}

// choose changes what v gets, at once.
func (v *viewer) choose(c Change) (Choice, error) {
	if c.Quality != nil && !slices.Contains([]Quality{Auto, Smooth, Clear}, *c.Quality) {
		return Choice{}, fault.Bad("quality", "must be auto, smooth or clear")
	}
	if c.Focus != nil && len(*c.Focus) > 64 {
		return Choice{}, fault.Bad("focus", "must be an anchor's name")
	}
	v.mu.Lock()
	if c.Quality != nil {
		v.choice.Quality = *c.Quality
	}
	if c.Video != nil {
		v.choice.Video = *c.Video
	}
	if c.Focus != nil {
		v.choice.Focus = *c.Focus
	}
	after := v.choice
	v.mu.Unlock()
	v.room.reseat(v)
	return after, nil
}

// sit gives each anchor on air a seat and each seat what its anchor sends and the line carries. The room calls it, under
// its lock; speaker is who is heard most.
func (v *viewer) sit(onAir []string, on map[string]*publisher, speaker string, now int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.except != "" {
		onAir = slices.DeleteFunc(slices.Clone(onAir), func(a string) bool { return a == v.except })
	}
	assign(v.seats, onAir)
	v.allocate(onAir, on, speaker, now)
	for _, t := range v.seats {
		var video, audio *layer
		if p := on[t.anchor]; p != nil && slices.Contains(onAir, t.anchor) {
			audio = p.audio.best(now)
			if t.rank > 0 {
				video = p.video.upTo(now, t.rank)
			}
		}
		v.point(t.video, video, now)
		v.point(t.audio, audio, now)
	}
}

func (v *viewer) point(k *sink, l *layer, now int64) {
	if k != nil && k.aim(l, now) {
		v.catchUp(k)
	}
}

// allocate shares the line among the seats (pace.Allocate says by which rules).
func (v *viewer) allocate(onAir []string, on map[string]*publisher, speaker string, now int64) {
	if v.whole {
		for _, t := range v.seats {
			t.rank = topRank
		}
		return
	}
	focus := v.choice.Focus
	if !slices.Contains(onAir, focus) {
		focus = speaker
	}
	if !slices.Contains(onAir, focus) && len(onAir) > 0 {
		focus = onAir[0]
	}
	seats, whose, audio := make([]pace.Seat, 0, len(v.seats)), make([]*seat, 0, len(v.seats)), 0
	for _, t := range v.seats {
		p := on[t.anchor]
		if p == nil {
			continue
		}
		if l := p.audio.best(now); l != nil && t.audio != nil {
			audio += l.bitrate(now)
		}
		if t.video != nil {
			seats = append(seats, v.bid(t, p, t.anchor == focus, now))
			whose = append(whose, t)
		}
	}
	ranks, next := pace.Allocate(v.estimate.Bitrate(), audio, seats, v.estimate.Overused())
	for i, t := range whose {
		t.rank = ranks[i]
	}
	v.want = next
}

// bid is what a seat could get.
func (v *viewer) bid(t *seat, p *publisher, focus bool, now int64) pace.Seat {
	s := pace.Seat{Focus: focus, Most: topRank, Stopped: !v.choice.Video}
	if v.choice.Quality == Smooth {
		s.Most = 1
	}
	if t.video.layer != nil {
		s.Now = ridRank(t.video.layer.rid)
	}
	layers := p.video.all()
	for _, l := range layers {
		if len(layers) == 1 || l.alive(now) {
			s.Layers = append(s.Layers, pace.Layer{Rank: ridRank(l.rid), Bitrate: l.bitrate(now)})
		}
	}
	return s
}

// assign finds a seat for every anchor on air who has none: one that nobody has, else one whose anchor is away.
func assign(seats []*seat, onAir []string) {
	for _, a := range onAir {
		if slices.ContainsFunc(seats, func(t *seat) bool { return t.anchor == a }) {
			continue
		}
		free := slices.IndexFunc(seats, func(t *seat) bool { return t.anchor == "" })
		if free < 0 {
			free = slices.IndexFunc(seats, func(t *seat) bool { return !slices.Contains(onAir, t.anchor) })
		}
		if free >= 0 {
			seats[free].anchor = a
		}
	}
}

// probeEvery is how often a probe under way sends its next piece.
const probeEvery = 20 * time.Millisecond

// probe finds out whether the line carries the next step up, by sending what was sent before once more.
func (v *viewer) probe(now int64) {
	if v.probing || v.line == nil || !v.line.wide() {
		return
	}
	bytes := v.estimate.Probe(v.want, now)
	if bytes == 0 && !v.estimate.Probing() {
		return
	}
	v.probing = true
	v.room.s.tasks.run(func() { v.probeOn(bytes) })
}

// probeOn sends the pieces of a probe until the estimator wants no more.
func (v *viewer) probeOn(bytes int) {
	t := time.NewTicker(probeEvery)
	defer t.Stop()
	var scratch slot
	for more := true; more; {
		b := v.room.s.fan.borrow()
		v.mu.Lock()
		v.pad(bytes, func(k *sink, n int) int { return k.probe(n, &scratch, b, now()) })
		v.mu.Unlock()
		v.room.s.fan.giveBack(b)
		select {
		case <-v.peer.done:
			return
		case <-t.C:
		}
		v.mu.Lock()
		bytes = v.estimate.Probe(v.want, now())
		more = bytes > 0 || v.estimate.Probing()
		v.probing = more
		v.mu.Unlock()
	}
}

// pad spreads bytes over the pictures that are being sent.
func (v *viewer) pad(bytes int, send func(k *sink, bytes int) int) {
	first := v.number
	for _, t := range v.seats {
		if t.video != nil && bytes > 0 {
			bytes -= send(t.video, bytes)
		}
	}
	if v.number != first {
		v.estimate.Probed(first, v.number-1)
	}
}
