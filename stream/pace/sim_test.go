package pace

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
)

// The simulation: a publisher's three layers and sound, a sender that chooses by Allocate, a line, and a browser that writes
// feedback (pion's recorder, through the wire format). Time advances in steps of 1 ms; nothing is random but by seed.

const audioRate = 32_000

// link is the viewer's line. All times in ns.
type link struct {
	capacity float64 // bit/s
	base     int64   // one way
	limit    int64   // ns of queue, above which it drops
	loss     float64
	jitter   int64 // +- around base, without reordering
	dead     bool  // drops everything
	hold     int64 // nothing leaves the queue before this time
	drift    float64
	free     int64 // when the queue is empty
	lastOut  int64
	rng      *rand.Rand
}

// send gives when a packet arrives, by the true clock; false if it is lost. queue is how long it waited.
func (l *link) send(size int, now int64) (at, queue int64, ok bool) {
	start := max(l.free, now, l.hold)
	queue = start - now
	if l.dead || queue > l.limit {
		return 0, queue, false
	}
	l.free = start + int64(float64(size)*8e9/l.capacity)
	if l.rng.Float64() < l.loss {
		return 0, queue, false
	}
	at = l.free + l.base
	if l.jitter > 0 {
		at += l.jitter + int64(l.rng.Float64()*float64(2*l.jitter)) - l.jitter
	}
	l.lastOut = max(l.lastOut, at)
	return l.lastOut, queue, true
}

type inFlight struct {
	at  int64
	seq uint16
}

type delayed struct {
	at int64
	fb *rtcp.TransportLayerCC
}

// frames makes a layer's frames: 30 a second, a key frame of four times the size each two seconds, sizes +-20 %.
type frames struct {
	rank int
	rate float64
}

func (f frames) size(n int, rng *rand.Rand) int {
	avg := f.rate / 8 / 30 * 60 / 63
	if n%60 == 0 {
		avg *= 4
	}
	return int(avg * (0.8 + 0.4*rng.Float64()))
}

// world is one viewer.
type world struct {
	t     testing.TB
	e     *Estimator
	link  link
	rng   *rand.Rand
	now   int64
	seq   uint16
	frame int

	layers   []frames
	rank     int // forwarded
	target   int // chosen
	switchAt int64

	recorder   *twcc.Recorder
	flying     []inFlight
	feedback   []delayed
	muteFB     bool
	noTWCC     bool
	rrSent     int
	rrLost     int
	holdOnOver bool
	lazy       bool // calls Probe each 250 ms only, unless a probe is on
	noProbe    bool // does not call it any more

	// what the tests look at
	maxQueue  int64
	climbs    []int64 // when the rank rose
	falls     []int64
	overs     int
	lowestNow int // least rank since reset
	estLow    int
}

const t0 = int64(1_700_000_000_000_000_000)

func newWorld(t testing.TB, seed uint64, capacity float64) *world {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := &world{
		t: t, rng: rng, now: t0, seq: 65_000, recorder: twcc.NewRecorder(1),
		link:   link{capacity: capacity, base: 25e6, limit: 2e9, rng: rng},
		layers: []frames{{1, 150_000}, {2, 500_000}, {3, 2_500_000}},
		e:      New(1_000_000, t0), holdOnOver: true,
	}
	w.reset()
	return w
}

// reset begins a new span of observation.
func (w *world) reset() {
	w.maxQueue, w.climbs, w.falls, w.overs, w.lowestNow, w.estLow = 0, nil, nil, 0, 9, Highest
}

// run lets d pass.
func (w *world) run(d time.Duration) {
	for end := w.now + int64(d); w.now < end; w.now += milli {
		w.step((w.now - t0) / milli)
	}
}

// until lets time pass until ok, at most d; it gives how long it took.
func (w *world) until(d time.Duration, ok func() bool) time.Duration {
	begin := w.now
	for w.now-begin < int64(d) && !ok() {
		w.run(10 * time.Millisecond)
	}
	return time.Duration(w.now - begin)
}

func (w *world) step(ms int64) {
	if ms%20 == 3 {
		w.send(int(audioRate / 8 / 50))
	}
	if ms*30/1000 != (ms-1)*30/1000 {
		w.video()
	}
	if ms%20 == 0 {
		w.choose()
	}
	w.receive(ms)
}

// video sends the current frame of the layer in use, or completes a switch: the key frame comes 200 ms after it was asked.
func (w *world) video() {
	w.frame++
	if w.target != w.rank && w.now >= w.switchAt {
		if w.target > w.rank {
			w.climbs = append(w.climbs, w.now)
		} else {
			w.falls = append(w.falls, w.now)
		}
		w.rank = w.target
		w.burst(4)
		return
	}
	if w.holdOnOver && w.target < w.rank && w.e.Overused() {
		return // the picture is held until the lower layer's key frame
	}
	w.burst(1)
}

func (w *world) burst(times int) {
	for _, l := range w.layers {
		if l.rank != w.rank {
			continue
		}
		for size := times * l.size(w.frame, w.rng); size > 0; size -= 1200 {
			w.send(min(size, 1200))
		}
	}
}

func (w *world) send(size int) {
	w.e.Sent(w.seq, size, w.now)
	at, queue, ok := w.link.send(size, w.now)
	w.maxQueue = max(w.maxQueue, queue)
	w.rrSent++
	if ok {
		w.flying = append(w.flying, inFlight{at, w.seq})
	} else {
		w.rrLost++
	}
	w.seq++
}

// choose is the caller's tick.
func (w *world) choose() {
	seat := Seat{Now: w.rank, Focus: true, Most: 3}
	for _, l := range w.layers {
		seat.Layers = append(seat.Layers, Layer{l.rank, int(l.rate)})
	}
	over := w.e.Overused()
	if over {
		w.overs++
	}
	ranks, next := Allocate(w.e.Bitrate(), audioRate, []Seat{seat}, over)
	if ranks[0] != w.target {
		if ranks[0] != w.rank {
			w.switchAt = w.now + 200*milli
		}
		w.target = ranks[0]
	}
	w.probe(next)
	w.lowestNow = min(w.lowestNow, w.rank)
	w.estLow = min(w.estLow, w.e.Bitrate())
}

// probe sends what the estimator asks for.
func (w *world) probe(next int) {
	if w.noProbe || (w.lazy && !w.e.Probing() && (w.now-t0)/milli%250 >= 20) {
		return
	}
	for n := w.e.Probe(next, w.now); n > 0; n -= 1200 {
		w.send(min(max(n, 100), 1200))
	}
}

// receive is the browser: feedback each 60 ms, a receiver report each second; both take the base delay back.
func (w *world) receive(ms int64) {
	for len(w.flying) > 0 && w.flying[0].at <= w.now {
		at := (w.flying[0].at - t0) / 1000
		at += int64(float64(at) * w.link.drift)
		w.recorder.Record(2, w.flying[0].seq, at+5_000_000)
		w.flying = w.flying[1:]
	}
	if ms%60 == 0 && !w.noTWCC {
		w.write()
	}
	if ms%1000 == 500 && w.rrSent > 0 {
		w.e.Report(uint8(min(w.rrLost*256/w.rrSent, 255)), time.Duration(2*w.link.base+max(w.link.free-w.now, 0)), w.now)
		w.rrSent, w.rrLost = 0, 0
	}
	for len(w.feedback) > 0 && w.feedback[0].at <= w.now {
		w.e.Feedback(w.feedback[0].fb, w.now)
		w.feedback = w.feedback[1:]
	}
}

func (w *world) write() {
	for _, p := range w.recorder.BuildFeedbackPacket() {
		raw, err := p.Marshal()
		if err != nil {
			w.t.Fatal(err)
		}
		fb := new(rtcp.TransportLayerCC)
		if err := fb.Unmarshal(raw); err != nil {
			w.t.Fatal(err)
		}
		if !w.muteFB {
			w.feedback = append(w.feedback, delayed{w.now + w.link.base, fb})
		}
	}
}
