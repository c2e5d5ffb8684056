package pace

import "math"

// A probe has two parts. First a train: some packets at once, whose spread on arrival shows the line's rate at the cost
// of little queue. If they came at 0.6 times the wanted rate or better, a run follows: for 400 ms we send 1.1 times what is wanted.
// Only what arrived of a run is proof.
const (
	firstProbe    = second / 2
	trainTime     = 0.020 // s at the wanted rate
	trainLeast    = 3_000 // bytes
	trainMost     = 16_000
	runTime       = 400 * milli
	runOver       = 1.1
	passTrain     = 0.6
	passRun       = 0.9
	maxProbeQueue = 60.0 // ms that a probe may add to the queue
	settled       = 60.0 // ms of queue above which no probe begins
	wary          = 0.12 // loss above which no probe begins
	calm          = 2 * second
	maxUnheard    = 150_000 // µs without news beyond the usual: a queue may be growing unseen
	drains        = second / 2
	trainAgain    = 4 * second // after a train that failed, then longer
	trainAgainMax = 7 * second
	runAgain      = 15 * second // after a run or a climb that failed, then longer
	runAgainMax   = 60 * second
	forgotten     = second      // a probe whose caller does not call any more
	climbing      = 15 * second // a climb that fails within this was the probe's error
)

type stage uint8

const (
	idle  stage = iota
	train       // asked for; the packets are being sent
	trainWait
	run
	runWait
)

// probe is the state of the search for more.
type probe struct {
	stage     stage
	marking   bool   // packets sent now belong to it
	last      uint16 // newest packet of it
	want      float64
	began     int64 // Unix ns, of this stage
	tick      int64 // last call while running; 0 = the run waits for the first
	called    int64 // last call at all
	owed      float64
	bytes     int // sent since the last call, media too
	sent, got int // packets
	first     struct{ sent, recv int64 }
	end       struct{ sent, recv int64 }
	arrivedB  int     // bytes that arrived after the first packet
	queue     float64 // ms, when it began
	notBefore int64
	afterEnd  int64 // Unix ns until when its own queue drains
	waitTrain int64 // back-off, ns
	waitRun   int64
	passedAt  int64
}

// Probe says how many bytes of padding or repeated packets (over RTX, with transport-wide numbers) to send in this tick
// so that it becomes known whether the line carries want bit/s; 0 = none. As long as Probing says so it is to be called
// every 10-50 ms, else as often as the caller likes; a want of 0 gives a probe up. It asks for at most 16 KB at once and 0.4 s at 1.1 times want, never while the line is full or loses, and
// waits 4-7 s after a first sign of failure, 15-60 s after a later one. All packets given to Sent between two
// calls while a probe is on count as part of it.
func (e *Estimator) Probe(want int, now int64) int {
	e.expire(now)
	p := &e.probe
	p.called = now
	if want <= 0 {
		p.abandon(now)
	}
	switch p.stage {
	case idle:
		return e.tryTrain(float64(min(want, Highest)), now)
	case train:
		p.to(trainWait, now)
	case run:
		return p.running(now)
	case trainWait, runWait:
		if now-p.began > 2*second { // no feedback about it
			p.fail(now)
		}
	}
	return 0
}

// Probing says that a probe is on: it goes on even when there is nothing to send in this tick, so keep calling Probe.
func (e *Estimator) Probing() bool { return e.probe.stage != idle }

// Probed names packets that were sent for the probe outside of the tick that asked for them; optional.
func (e *Estimator) Probed(seqFirst, seqLast uint16) {
	if e.probe.stage == idle || seqLast-seqFirst >= ringSize {
		return
	}
	for seq := seqFirst; seq != seqLast+1; seq++ {
		if s := e.find(seq); s != nil && s.note&(probing|acked) == 0 {
			s.note |= probing
			e.probe.sent++
			e.probe.last = seq
		}
	}
}

// to enters a stage.
func (p *probe) to(s stage, now int64) {
	p.stage, p.began, p.tick = s, now, now
	p.marking = s == train || s == run
	if p.marking {
		p.owed, p.bytes, p.sent, p.got, p.arrivedB = 0, 0, 0, 0, 0
	}
}

func (e *Estimator) tryTrain(want float64, now int64) int {
	p := &e.probe
	if want <= e.rate || now < p.notBefore || !e.steady(now) {
		return 0
	}
	p.want, p.queue = want, e.trend.queue
	p.to(train, now)
	return int(min(max(want/8*trainTime, trainLeast), trainMost))
}

// steady says whether the line is calm enough for a probe.
func (e *Estimator) steady(now int64) bool {
	fresh := e.lastFB != 0 && now-e.lastFB < second/2
	bounded := e.rembAt != 0 && e.remb < e.rate
	waiting := e.unheard(now) > e.answer+maxUnheard
	return fresh && !bounded && !waiting && !e.trend.full() && e.trend.queue < settled && e.loss.lasting() < wary && now-e.lastCut > calm
}

// running gives the bytes that this tick of a run lacks; media counts.
func (p *probe) running(now int64) int {
	if p.tick == 0 {
		p.to(run, now)
		p.tick = now - 20*milli
	}
	dt := float64(min(now-p.tick, 50*milli)) / 1e9
	p.owed += p.want*runOver/8*dt - float64(p.bytes)
	p.bytes, p.tick = 0, now
	if now-p.began >= runTime {
		p.to(runWait, now)
		return 0
	}
	if p.owed < 300 {
		return 0
	}
	return int(p.owed)
}

// arrived takes a packet of the probe; times in µs.
func (p *probe) arrived(at, recv int64, size int) {
	p.got++
	if p.got == 1 {
		p.first.sent, p.first.recv = at, recv
		p.end = p.first
		return
	}
	p.arrivedB += size
	p.first.sent, p.first.recv = min(p.first.sent, at), min(p.first.recv, recv)
	p.end.sent, p.end.recv = max(p.end.sent, at), max(p.end.recv, recv)
}

// rate is bit/s at which its packets went or came, whichever was slower.
func (p *probe) rate() float64 {
	span := max(p.end.recv-p.first.recv, p.end.sent-p.first.sent)
	if p.got < 3 {
		return 0
	}
	return min(float64(p.arrivedB)*8e6/float64(max(span, 1)), math.MaxInt32)
}

// busy says that a probe is on or its queue is still draining.
func (p *probe) busy(now int64) bool {
	return p.stage != idle || now < p.afterEnd
}

// judge decides about a part of the probe as soon as all of it is reported.
func (e *Estimator) judge(now int64) {
	p := &e.probe
	if p.stage != trainWait && p.stage != runWait {
		return
	}
	if s := e.find(p.last); p.sent == 0 || (s != nil && s.note&(acked|lost) == 0) {
		return
	}
	lostToo := float64(p.sent-p.got) > float64(p.sent)*(e.loss.slow+0.1)+1
	switch rate := p.rate() / (1 - min(e.loss.slow, 0.5)); {
	case lostToo:
		p.fail(now)
	case p.stage == trainWait && rate >= p.want*passTrain:
		p.to(run, now)
		p.tick, p.marking = 0, false
	case p.stage == runWait && rate >= p.want*passRun:
		e.proven(now)
	default:
		p.fail(now)
	}
}

// proven raises the estimate to what a run has shown.
func (e *Estimator) proven(now int64) {
	p := &e.probe
	p.to(idle, now)
	p.waitTrain, p.passedAt = 0, now
	p.notBefore = now + second
	e.rate = clamp(max(e.rate, p.want, min(p.rate(), p.want*runOver)))
	e.lid.until = min(e.lid.until, now)
	e.lastGrow = now
}

// fail ends the probe and puts off the next one: briefly after a train, longer after a run.
func (p *probe) fail(now int64) {
	switch p.stage {
	case idle:
		return
	case train, trainWait:
		p.waitTrain = min(max(p.waitTrain*3/2, trainAgain), trainAgainMax)
		p.notBefore = now + p.waitTrain
	case run, runWait:
		p.waitRun = min(max(p.waitRun*2, runAgain), runAgainMax)
		p.notBefore = now + p.waitRun
	}
	p.to(idle, now)
	p.afterEnd = now + drains
}

// abandon ends a probe without a verdict.
func (p *probe) abandon(now int64) {
	if p.stage == idle {
		return
	}
	p.to(idle, now)
	p.notBefore, p.afterEnd = now+second, now+drains
}

// climbFailed tells the probe that the line became full: if that is soon after it passed, it erred.
func (p *probe) climbFailed(now int64) {
	if p.passedAt == 0 || now-p.passedAt > climbing {
		return
	}
	p.passedAt = 0
	p.waitRun = min(max(p.waitRun*2, runAgain), runAgainMax)
	p.notBefore = now + p.waitRun
}
