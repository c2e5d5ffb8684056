// Package pace says how much a viewer's line carries, and who gets which layer of the picture.
//
// An [Estimator] belongs to one viewer. It learns the line from what the viewer's browser reports of each packet
// (transport-wide feedback): when packets take longer and longer, a queue is growing somewhere and the line is full; when
// many are lost, it is full or bad. The ideas are those of Google's congestion control (draft-ietf-rmcat-gcc-02), fitted
// to a sender that can't choose its rate freely but only among layers. Such a sender mostly sends less than the line
// carries, so silence proves nothing: the estimate never falls for want of traffic, never grows beyond 1.5 times what was
// seen to arrive, and what lies above is found out by short probes ([Estimator.Probe]).
//
// [Allocate] is the pure function from an estimate to layers.
//
// Nothing here starts goroutines, opens sockets or looks at a clock: time is what the caller says, in Unix nanoseconds.
// An Estimator is not safe for concurrent use; call it under the viewer's lock. The caller's rounds look like this:
//
//	every packet with a transport-wide number:  e.Sent(seq, size, now)
//	every RTCP from the viewer:                 e.Feedback / e.Report / e.REMB
//	every 10-50 ms:                             ranks, next := Allocate(e.Bitrate(), audio, seats, e.Overused())
//	                                            send e.Probe(next, now) bytes of padding or old packets over RTX
package pace

import (
	"time"

	"github.com/pion/rtcp"
)

// The estimate stays within these, in bit/s.
const (
	Lowest  = 50_000
	Highest = 50_000_000
)

const (
	growth      = 1.08 // per second, while nothing speaks against it
	beyond      = 1.5  // the estimate may grow to this many times what arrives
	retreat     = 0.85 // of what arrives, when the line fills
	shedAbove   = 0.10 // loss above which the rate goes down
	leastPart   = 0.75 // of what is sent: loss alone lowers the rate to no less
	growBelow   = 0.02 // loss below which it may grow
	standing    = 250  // ms of queue that are too much even if they grow no more
	second      = int64(time.Second)
	milli       = int64(time.Millisecond)
	pauseAfter  = 300 * milli // between two reductions: time for the first to show
	silentAfter = second      // without feedback, although we send
	rembHolds   = 10 * second
	usualTime   = 2 * second
	fbHolds     = 5 * second // how long reports are second to transport-wide feedback
)

// Estimator estimates the bitrate that one viewer's line carries. Make it with New.
type Estimator struct {
	rate  float64 // bit/s
	born  int64   // Unix ns of New; all µs below count from here
	ring  [ringSize]sent
	out   meter // what we send, by our clock
	in    meter // what arrives, by the viewer's clock
	clock viewerClock
	trend trend
	loss  losses
	probe probe

	queueOver bool    // over as the rate control sees it, for Overused
	usual     float64 // bit/s that arrive, over seconds: a key frame is no proof
	lid       lid     // where the line was full lately
	lastFB    int64   // Unix ns of the last feedback; 0 = never
	lastSent  int64
	lastCut   int64 // last reduction
	lastGrow  int64
	lastQuiet int64 // last reduction for silence
	reports   reports
	rtt       time.Duration
	heard     int64 // µs: when the newest packet that arrived was sent
	answer    int64 // µs from a packet's sending to its feedback, at best; follows slowly when that grows
	remb      float64
	rembAt    int64
}

// New begins an estimate at start bit/s, which is a guess: about 1 Mbit/s suits most lines.
func New(start int, now int64) *Estimator {
	e := &Estimator{rate: clamp(float64(start)), born: now, lastGrow: now, lastSent: now}
	e.trend.reset()
	e.probe.notBefore = now + firstProbe
	return e
}

// Bitrate is the estimate in bit/s, between Lowest and Highest.
func (e *Estimator) Bitrate() int {
	if e.rembAt != 0 && e.remb < e.rate {
		return int(clamp(e.remb))
	}
	return int(e.rate)
}

// Overused says that the line is filling now: packets queue up faster than they leave. Go down a layer at once, and
// while the key frame of the lower layer has not come, hold the picture rather than send on the old layer.
func (e *Estimator) Overused() bool { return e.queueOver }

// Loss is the share of packets that don't arrive, 0-1, over about the last two seconds.
func (e *Estimator) Loss() float64 { return e.loss.slow }

// Report takes a receiver report's fraction lost (RFC 3550, section 6.4.1: of 256) and the round trip, 0 if not known.
// For a viewer without transport-wide feedback it is the only signal; for the others only the round trip counts.
func (e *Estimator) Report(lost uint8, rtt time.Duration, now int64) {
	if rtt > 0 {
		e.rtt = rtt
	}
	e.expire(now)
	if e.lastFB != 0 && now-e.lastFB < fbHolds {
		return
	}
	e.byReport(float64(lost)/256, rtt, now)
}

// REMB takes the viewer's own estimate in bit/s (draft-alvestrand-rmcat-remb): an upper bound for 10 s.
func (e *Estimator) REMB(bitrate int, now int64) {
	e.remb, e.rembAt = float64(bitrate), now
	e.expire(now)
}

// expire does what the passing of time asks for: an old bound goes, silence makes careful.
func (e *Estimator) expire(now int64) {
	if e.rembAt != 0 && now-e.rembAt > rembHolds {
		e.rembAt = 0
	}
	silent := e.lastFB != 0 && now-e.lastFB > silentAfter+int64(e.rtt)
	if !silent || e.lastSent < e.lastFB || now-e.lastFB > 10*second || now-e.lastQuiet < second/2 {
		return
	}
	e.lastQuiet = now
	e.rate = clamp(e.rate * 0.8)
	e.queueOver = false // not known any more
	e.probe.fail(now)
}

// Stats is what is known of a viewer's line, for operators.
type Stats struct {
	Estimate int           // bit/s
	Received int           // bit/s that arrive, over the last half second
	Loss     float64       // share of packets in the last second, 0-1
	RTT      time.Duration // 0 = not known
	Queue    float64       // ms that packets wait in queues on the way
	State    string        // "hold", "grow", "full", "losing", "probe", "silent", "reports"
}

// timeAnswer keeps the least time from a packet to its feedback.
func (e *Estimator) timeAnswer(now int64) {
	took := e.unheard(now)
	if e.answer == 0 || took < e.answer {
		e.answer = took
		return
	}
	e.answer += (took - e.answer) / 100
}

// unheard is the µs since the newest packet known to have arrived was sent.
func (e *Estimator) unheard(now int64) int64 { return (now-e.born)/1000 - e.heard }

// Stats gives the state as of the last feedback.
func (e *Estimator) Stats() Stats {
	return Stats{
		Estimate: e.Bitrate(), Received: int(e.in.rate(longWindow)), Loss: e.loss.share(),
		RTT: e.trip(), Queue: e.trend.queue, State: e.state(),
	}
}

// trip is the round trip of the last report, or what feedback shows of it.
func (e *Estimator) trip() time.Duration {
	if e.rtt > 0 {
		return e.rtt
	}
	return time.Duration(e.answer) * time.Microsecond
}

func (e *Estimator) state() string {
	switch {
	case e.lastFB == 0:
		return "reports"
	case e.lastQuiet > e.lastFB:
		return "silent"
	case e.queueOver:
		return "full"
	case e.loss.lasting() > shedAbove:
		return "losing"
	case e.probe.stage != idle:
		return "probe"
	case e.loss.lasting() > growBelow || e.lastGrow-e.lastCut < second:
		return "hold"
	}
	return "grow"
}

func clamp(rate float64) float64 {
	if !(rate > Lowest) { // also for NaN
		return Lowest
	}
	return min(rate, Highest)
}

// Feedback takes a transport-wide feedback packet (draft-holmer-rmcat-transport-wide-cc-extensions-01). Late, repeated
// and malformed ones do no harm. It allocates nothing.
func (e *Estimator) Feedback(fb *rtcp.TransportLayerCC, now int64) {
	if fb == nil {
		return
	}
	e.expire(now)
	if !e.read(fb, now) {
		return
	}
	e.timeAnswer(now)
	e.loss.step(now)
	e.usual += (e.in.rate(longWindow) - e.usual) * float64(min(max(now-e.lastFB, 0), usualTime)) / float64(usualTime)
	e.lastFB = now
	e.steer(now)
}
