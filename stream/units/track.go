package units

import (
	"time"

	"github.com/duoduopin/duoduopin/stream/feed"
)

// track puts one track's packets in order and joins them to units.
type track struct {
	parent *Assembler
	window Window

	run     int
	begun   bool
	next    uint64 // the sequence number that is due
	held    map[uint64]*feed.Packet
	newest  time.Time // capture of the newest packet that is held
	codec   depacketizer
	needKey bool // nothing before the next key frame can be decoded

	unit   *Unit // being joined
	size   int
	lastTS uint32
	ts     int64
	tsSeen bool
}

func (t *track) push(p *feed.Packet) {
	if !t.begun || p.Run != t.run {
		t.begin(p)
	}
	switch {
	case p.Ext < t.next:
		return // too late, or repeated
	case p.Ext == t.next:
		t.deliver(p)
		t.next++
	default:
		t.hold(p)
	}
	t.drain()
	for t.overdue() {
		t.giveUp()
		t.drain()
	}
}

// begin starts a run; what is left of the former one is of no use without its end.
func (t *track) begin(p *feed.Packet) {
	*t = track{
		parent: t.parent, window: t.window, run: p.Run, begun: true, next: p.Ext,
		held: map[uint64]*feed.Packet{}, needKey: p.Video, codec: newDepacketizer(p.Codec, p.FMTP),
	}
}

func (t *track) hold(p *feed.Packet) {
	c := *p
	t.held[p.Ext] = &c
	if p.At.After(t.newest) {
		t.newest = p.At
	}
}

func (t *track) drain() {
	for {
		p, ok := t.held[t.next]
		if !ok {
			return
		}
		delete(t.held, t.next)
		t.deliver(p)
		t.next++
	}
}

// overdue reports whether the gap before the first held packet has been waited for long enough.
func (t *track) overdue() bool {
	if len(t.held) == 0 {
		t.newest = time.Time{}
		return false
	}
	return len(t.held) > t.window.Packets || t.newest.Sub(t.held[t.first()].At) > t.window.Age
}

// first gives the lowest number that is held; at most Window.Packets are.
func (t *track) first() uint64 {
	low := ^uint64(0)
	for ext := range t.held {
		low = min(low, ext)
	}
	return low
}

func (t *track) giveUp() {
	t.parent.Lost++
	t.next = t.first()
	t.abandon()
}

// abandon drops the frame being joined, and with it all that builds on it.
func (t *track) abandon() {
	t.unit, t.size = nil, 0
	t.codec.reset()
	t.needKey = true
}

func (t *track) deliver(p *feed.Packet) {
	if t.unit != nil && p.TS != t.lastTS {
		t.finish() // the marker is missing: some publishers set none
	}
	t.clock(p.TS)
	if t.unit == nil {
		t.unit = &Unit{Video: p.Video, Codec: p.Codec, Rate: p.Rate, Run: p.Run, TS: t.ts, At: p.At, Key: p.Key || !p.Video}
	}
	t.size += len(p.Payload)
	if t.size > maxUnit || !t.codec.add(p.Payload) {
		t.abandon()
		return
	}
	if p.Marker || !p.Video {
		t.finish()
	}
}

// clock counts the timestamp's roll-overs in.
func (t *track) clock(ts uint32) {
	if t.tsSeen {
		t.ts += int64(int32(ts - t.lastTS)) //nolint:gosec // the cut is the point
	}
	t.lastTS, t.tsSeen = ts, true
}

func (t *track) finish() {
	u := t.unit
	t.unit, t.size = nil, 0
	if !t.codec.take(u) || (t.needKey && u.Video && !u.Key) {
		return
	}
	t.needKey = false
	t.parent.emit(u)
}
