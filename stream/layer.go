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

// layer is one encoding of a publisher's track (the only one, or one of a simulcast) and everybody who gets it.
//
// write is the hot path: it is called by one goroutine, the reader of the publisher's track, allocates nothing and holds
// no lock across viewers; each sink has its own. BenchmarkForward measures it, TestForwardAllocatesNothing guards it.
type layer struct {
	rid   string // empty without simulcast
	codec webrtc.RTPCodecCapability
	name  string // codec in short, such as "h264"
	clock *senderClock
	cache *cache
	isKey func([]byte) bool

	requestKey func() // asks the publisher for a key frame; nil for audio
	keyAsked   atomic.Int64
	keyWanted  atomic.Bool // a request was held back, or its key frame has not come yet

	mu    sync.Mutex // guards changes of sinks
	sinks atomic.Pointer[[]*sink]

	packets, bytes, plis atomic.Uint64
	first, lastAt        atomic.Int64 // Unix ns of the first and latest packet
	firstExt             atomic.Uint64
	traffic              *traffic
}

func newLayer(rid string, codec webrtc.RTPCodecCapability, clock *senderClock, requestKey func(), t *traffic) *layer {
	name := codecName(codec.MimeType)
	l := &layer{
		rid: rid, codec: codec, name: name, clock: clock, cache: newCache(audioSlots),
		isKey: startsKeyFrame(name), requestKey: requestKey, traffic: t,
	}
	if requestKey != nil {
		l.cache = newCache(videoSlots)
	}
	l.sinks.Store(&[]*sink{})
	return l
}

// write takes one RTP packet from the publisher: keeps it and gives it to every sink. now is in Unix ns.
func (l *layer) write(raw []byte, now int64) {
	p, ok := parsePacket(raw)
	if !ok {
		l.traffic.malformed.Add(1)
		return
	}
	s := l.cache.put(&p, l.isKey(p.payload), now)
	if s == nil {
		return
	}
	l.note(s, now)
	for _, k := range *l.sinks.Load() {
		k.forward(l, s, now)
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
	l.lastAt.Store(now)
	l.clock.arrived(s.ts, now)
	if s.key {
		l.keyWanted.Store(false)
	}
}

// add gives k every packet from now on.
func (l *layer) add(k *sink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := append(slices.Clone(*l.sinks.Load()), k)
	l.sinks.Store(&next)
}

// remove stops that.
func (l *layer) remove(k *sink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	next := slices.DeleteFunc(slices.Clone(*l.sinks.Load()), func(o *sink) bool { return o == k })
	l.sinks.Store(&next)
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

// track is what a publisher sends of one kind: its layers. Viewers get the best layer that is alive.
type track struct {
	kind webrtc.RTPCodecType

	mu     sync.Mutex
	layers []*layer
}

// aliveFor: a simulcast layer that was silent for longer is not chosen (browsers stop the upper ones on a thin line).
const aliveFor = 1500 * time.Millisecond

func (t *track) add(l *layer) { t.mu.Lock(); t.layers = append(t.layers, l); t.mu.Unlock() }

// all gives a copy of the layers.
func (t *track) all() []*layer { t.mu.Lock(); defer t.mu.Unlock(); return slices.Clone(t.layers) }

// best gives the highest layer alive at now, else the highest; nil if there is none yet.
func (t *track) best(now int64) *layer {
	var best *layer
	alive := func(l *layer) bool { return now-l.lastAt.Load() < int64(aliveFor) }
	for _, l := range t.all() {
		switch {
		case best == nil, alive(l) && !alive(best):
			best = l
		case alive(l) == alive(best) && ridRank(l.rid) > ridRank(best.rid):
			best = l
		}
	}
	return best
}

// ridRank orders the usual names of simulcast layers; the names are the client's own (RFC 8853 gives none).
func ridRank(rid string) int {
	switch rid {
	case "f", "h2", "high", "hi", "2":
		return 3
	case "h", "m", "mid", "medium", "1":
		return 2
	}
	return 1
}
