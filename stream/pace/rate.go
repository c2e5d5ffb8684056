package pace

import (
	"math"
	"time"
)

// lid remembers at which rate the line was full: for a while only a probe leads above.
type lid struct {
	rate  float64
	until int64 // Unix ns
	wait  int64 // ns that the next one lasts
}

const (
	lidShort = 15 * second
	lidLong  = 60 * second
)

// put sets the lid; when the line was full again soon after the last one, it stays longer.
func (l *lid) put(rate float64, now int64) {
	switch {
	case now < l.until-l.wait+second: // still the same congestion
		l.rate = min(l.rate, rate)
		return
	case now < l.until+lidShort:
		l.wait = min(l.wait*2, lidLong)
	default:
		l.wait = lidShort
	}
	l.rate, l.until = rate, now+l.wait
}

// steer moves the estimate after a feedback: down when the line fills or loses, up slowly while nothing speaks against it.
func (e *Estimator) steer(now int64) {
	over := e.trend.full()
	if now-e.probe.called > forgotten {
		e.probe.abandon(now)
	}
	if e.probe.busy(now) {
		if over || e.trend.queue > e.probe.queue+maxProbeQueue {
			e.probe.fail(now) // what fills the line is the probe: ending that is enough
		}
		over = false
	}
	e.queueOver = over
	e.loss.learn(e.out.rate(longWindow), now)
	switch {
	case over:
		e.cut(now)
	case e.loss.lasting() > shedAbove:
		e.shed(now)
	case e.trend.under || e.loss.lasting() > growBelow || now-e.lastCut < second:
		e.lastGrow = now
	default:
		e.grow(now)
	}
	e.judge(now)
}

// cut goes below what arrives: the line is full, so that is what it carries.
func (e *Estimator) cut(now int64) {
	full := max(e.in.rate(shortWindow), e.in.rate(longWindow))
	e.lid.put(full, now)
	if now-e.lastCut < pauseAfter+1000*e.answer && full*retreat > e.rate*0.9 {
		return
	}
	e.probe.climbFailed(now)
	e.lower(full*retreat, now)
}

// shed goes down by half of the loss, but not below what arrives in spite of it, nor far below what is sent.
func (e *Estimator) shed(now int64) {
	if now-e.lastCut < pauseAfter+1000*e.answer {
		return
	}
	sending := e.out.rate(longWindow)
	e.loss.began(sending)
	e.probe.climbFailed(now)
	e.lower(max(e.rate*(1-e.loss.lasting()/2), e.in.rate(longWindow), sending*leastPart), now)
}

func (e *Estimator) lower(rate float64, now int64) {
	e.lastCut, e.lastGrow = now, now
	e.rate = min(e.rate, clamp(rate))
}

// grow lets the estimate grow by 8 % a second, up to 1.5 times what arrives, and not through the lid.
func (e *Estimator) grow(now int64) {
	dt := float64(min(max(now-e.lastGrow, 0), second)) / 1e9
	e.lastGrow = now
	top := beyond * min(e.in.rate(longWindow), e.usual)
	if now < e.lid.until {
		top = min(top, e.lid.rate*0.95)
	}
	e.rate = clamp(max(e.rate, min(e.rate*math.Pow(growth, dt), top)))
}

// reports is what receiver reports alone tell.
type reports struct {
	at   int64
	best time.Duration // least round trip
}

// byReport is the loss-based control for viewers without transport-wide feedback. There is no proof of what arrives, so
// growth is not bound by it; a reduction starts from what we really send.
func (e *Estimator) byReport(share float64, rtt time.Duration, now int64) {
	dt := float64(min(now-e.reports.at, 5*second)) / 1e9
	if e.reports.at == 0 {
		dt = 0
	}
	e.reports.at = now
	if rtt > 0 && (e.reports.best == 0 || rtt < e.reports.best) {
		e.reports.best = rtt
	}
	sending := e.out.rate(longWindow)
	queue := max(rtt-e.reports.best, 0)
	e.trend.queue = float64(queue.Microseconds()) / 1000
	e.loss.told(share, now)
	e.queueOver = rtt > 0 && queue > standing*time.Millisecond
	switch {
	case e.queueOver:
		e.lid.put(sending, now)
		e.lower(min(e.rate, sending)*retreat, now)
	case share > shedAbove:
		e.lid.put(sending, now)
		e.lower(min(e.rate, max(sending, Lowest))*(1-share/2), now)
	case share < growBelow:
		rate := e.rate * math.Pow(growth, dt)
		if now < e.lid.until {
			rate = min(rate, max(e.lid.rate*0.95, e.rate))
		}
		e.rate = clamp(rate)
		e.lastGrow = now
	}
}
