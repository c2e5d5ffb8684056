package stream

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

// keyEvery is the least time between two requests for a key frame of one layer, however many viewers ask.
const keyEvery = time.Second

// togetherFor is how long packets may wait for the rest of their frame; looked at when the next one comes.
const togetherFor = int64(3 * time.Millisecond)

// layer is one encoding of a publisher's track (the only one, or one of a simulcast) and everybody who gets it.
//
// write is called by one goroutine, the reader of the publisher's track. It collects a frame's packets and gives them to
// the fan-out's workers; nothing is allocated and no lock held across viewers.
type layer struct {
	rid   string // empty without simulcast
	codec webrtc.RTPCodecCapability
	name  string // codec in short, such as "h264"
	owner *publisher
	clock *senderClock
	cache *cache
	gaps  *gaps // nil: the publisher repeats nothing
	isKey func([]byte) bool
	fan   *fanout

	requestKey func() // asks the publisher for a key frame; nil for audio
	keyAsked   atomic.Int64
	keyWanted  atomic.Bool // a request was held back, or its key frame has not come yet

	pending  [maxTogether]uint64 // write's own: packets of the frame that is coming in
	count    int
	since    int64
	frameTS  uint32
	anyFrame bool

	mu     sync.Mutex // guards changes of shards
	shards atomic.Pointer[[][]*sink]

	packets, bytes, plis, frames atomic.Uint64
	first, lastAt, keyAt         atomic.Int64 // Unix ns of the first and latest packet and of the latest key frame
	firstExt                     atomic.Uint64
	jitter                       atomic.Int64  // ns, RFC 3550 section 6.4.1
	size                         atomic.Uint64 // width << 32 | height, as the last key frame said
	rate                         meter
	frameRate                    meter
	traffic                      *traffic
}

func newLayer(owner *publisher, rid string, codec webrtc.RTPCodecCapability, clock *senderClock, requestKey func(), f *fanout, t *traffic) *layer {
	name := codecName(codec.MimeType)
	l := &layer{
		owner: owner, rid: rid, codec: codec, name: name, clock: clock, cache: newCache(audioSlots), fan: f,
		isKey: startsKeyFrame(name), requestKey: requestKey, traffic: t,
	}
	if requestKey != nil {
		l.cache = newCache(videoSlots)
	}
	shards := make([][]*sink, len(f.workers))
	l.shards.Store(&shards)
	return l
}

func (l *layer) video() bool { return l.requestKey != nil }

// write takes one RTP packet from the publisher: keeps it and, when its frame is whole, sends it. now is in Unix ns. It
// gives the packet's slot, nil if the packet is no use.
func (l *layer) write(raw []byte, now int64) *slot {
	p, ok := parsePacket(raw)
	if !ok {
		l.traffic.malformed.Add(1)
		return nil
	}
	s := l.cache.put(&p, l.isKey(p.payload), now)
	if s == nil {
		return nil
	}
	if l.gaps != nil && l.gaps.arrived(s.ext, now) && l.video() {
		l.keyAsked.Store(0) // what was asked for during the gap was lost like all else
		l.askKey(now)
	}
	l.note(s, now)
	l.collect(s, now)
	return s
}

// collect gathers what leaves together: a frame, or what came of it in 3 ms, or one packet of sound.
func (l *layer) collect(s *slot, now int64) {
	if l.count == 0 {
		l.since = now
	}
	l.pending[l.count] = s.ext
	l.count++
	late := s.ext != l.cache.head
	if s.marker || late || !l.video() || l.count == maxTogether || now-l.since >= togetherFor {
		l.fan.push(l, l.pending[:l.count])
		l.count = 0
	}
}

func (l *layer) note(s *slot, now int64) {
	l.packets.Add(1)
	l.bytes.Add(uint64(s.size)) //nolint:gosec // never negative
	l.traffic.packetsIn.Add(1)
	l.traffic.bytesIn.Add(uint64(s.size)) //nolint:gosec // never negative
	if l.first.Load() == 0 {
		l.first.Store(now)
		l.firstExt.Store(s.ext)
	}
	l.tremble(s.ts, now)
	l.lastAt.Store(now)
	l.clock.arrived(s.ts, now)
	if s.ts != l.frameTS || !l.anyFrame {
		l.frameTS, l.anyFrame = s.ts, true
		l.frames.Add(1)
	}
	if s.key {
		l.keyWanted.Store(false)
		l.keyAt.Store(now)
		if w, h := pictureSize(l.name, s.data[:s.size]); w > 0 {
			l.size.Store(uint64(w)<<32 | uint64(h)) //nolint:gosec // 16 bits each
		}
	}
}

// tremble follows the jitter of arrivals, frame by frame.
func (l *layer) tremble(ts uint32, now int64) {
	last := l.lastAt.Load()
	if last == 0 || !l.anyFrame || ts == l.frameTS {
		return
	}
	d := now - last - int64(int32(ts-l.frameTS))*1e6/max(1, l.clock.rate)*1e3 //nolint:gosec // the sign is the point
	j := l.jitter.Load()
	l.jitter.Store(j + (max(d, -d)-j)/16)
}

// add gives k every packet from now on.
func (l *layer) add(k *sink) {
	l.change(k.shard(), func(sinks []*sink) []*sink {
		if slices.Contains(sinks, k) {
			return sinks
		}
		return append(slices.Clone(sinks), k)
	})
}

// remove stops that.
func (l *layer) remove(k *sink) {
	l.change(k.shard(), func(sinks []*sink) []*sink {
		return slices.DeleteFunc(slices.Clone(sinks), func(o *sink) bool { return o == k })
	})
}

func (l *layer) change(shard int, with func([]*sink) []*sink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := slices.Clone(*l.shards.Load())
	next[shard] = with(next[shard])
	l.shards.Store(&next)
}

// viewers counts who gets this layer.
func (l *layer) viewers() int {
	n := 0
	for _, sinks := range *l.shards.Load() {
		n += len(sinks)
	}
	return n
}

// askKey asks the publisher for a key frame, at most once a second; a request held back is repeated by tick.
func (l *layer) askKey(now int64) {
	if l.requestKey == nil {
		return
	}
	l.keyWanted.Store(true)
	last := l.keyAsked.Load()
	if now-last < int64(keyEvery) || !l.keyAsked.CompareAndSwap(last, now) {
		return
	}
	l.plis.Add(1)
	l.traffic.plis.Add(1)
	l.requestKey()
}

// tick repeats the request for a key frame that has not come.
func (l *layer) tick(now int64) {
	if l.keyWanted.Load() {
		l.askKey(now)
	}
}

// measure renews the bit rate and frame rate, once a second.
func (l *layer) measure(now int64) {
	l.rate.measure(l.bytes.Load(), now)
	l.frameRate.measure(l.frames.Load(), now)
}

// bitrate in bit/s over the last second; before one is over, over the time so far.
func (l *layer) bitrate(now int64) int {
	if r := l.rate.bitrate.Load(); r > 0 {
		return int(r)
	}
	if ms := (now - l.first.Load()) / 1e6; l.first.Load() != 0 && ms >= 200 {
		return int(l.bytes.Load()) * 8000 / int(ms) //nolint:gosec // far below the limit
	}
	return 0
}

// alive reports whether packets came lately: browsers stop the upper layers on a thin line.
func (l *layer) alive(now int64) bool { return now-l.lastAt.Load() < int64(aliveFor) }

// lost counts the packets that should have come and did not.
func (l *layer) lost() uint64 {
	got, head := l.packets.Load(), l.cache.newest()
	if got == 0 {
		return 0
	}
	if want := head - l.firstExt.Load() + 1; want > got {
		return want - got
	}
	return 0
}

// track is what a publisher sends of one kind: its layers.
type track struct {
	kind webrtc.RTPCodecType

	mu     sync.Mutex
	layers []*layer
}

// aliveFor: a simulcast layer that was silent for longer is not chosen.
const aliveFor = 1500 * time.Millisecond

func (t *track) add(l *layer) { t.mu.Lock(); t.layers = append(t.layers, l); t.mu.Unlock() }

// all gives a copy of the layers.
func (t *track) all() []*layer { t.mu.Lock(); defer t.mu.Unlock(); return slices.Clone(t.layers) }

// best gives the highest layer alive at now, else the highest; nil if there is none yet.
func (t *track) best(now int64) *layer { return t.upTo(now, topRank) }

// upTo gives the highest layer alive at now that is not above rank, else the lowest alive, else any; nil if there is none
// yet.
func (t *track) upTo(now int64, rank int) *layer {
	var best *layer
	for _, l := range t.all() {
		if best == nil || nearer(l, best, now, rank) {
			best = l
		}
	}
	return best
}

func nearer(a, b *layer, now int64, rank int) bool {
	x, y := ridRank(a.rid), ridRank(b.rid)
	switch {
	case a.alive(now) != b.alive(now):
		return a.alive(now)
	case (x <= rank) != (y <= rank):
		return x <= rank
	case x <= rank:
		return x > y
	}
	return x < y
}

// topRank is the best layer's rank.
const topRank = 3

// ridRank orders the usual names of simulcast layers; the names are the client's own (RFC 8853 gives none). Without
// simulcast there is one layer, which is the best.
func ridRank(rid string) int {
	switch rid {
	case "", "f", "h2", "high", "hi", "2":
		return topRank
	case "h", "m", "mid", "medium", "1":
		return 2
	}
	return 1
}
