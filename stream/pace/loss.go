package pace

import "math"

const lossBuckets = 10 // of 100 ms

// losses counts what arrived and what did not over the last second, and a slower average.
type losses struct {
	gotten [lossBuckets]int32
	missed [lossBuckets]int32
	tick   int64 // the current bucket, in 100 ms of Unix time

	newGot, newLost int32 // since the last step
	slow            float64
	at              int64 // Unix ns of the last step

	// Loss that does not depend on our rate, as on bad radio: learned by lowering the rate and seeing no difference.
	inherent float64
	test     lossTest
}

// got counts an arrival; late takes back that it was counted as lost.
func (l *losses) got(late bool) {
	l.newGot++
	if late {
		l.newLost--
	}
}

func (l *losses) lost() { l.newLost++ }

// step closes a feedback: the counts go into the bucket of now, and into the average by their weight.
func (l *losses) step(now int64) {
	tick := now / (100 * milli)
	for i := max(l.tick+1, tick-lossBuckets+1); i <= tick; i++ {
		l.gotten[i%lossBuckets], l.missed[i%lossBuckets] = 0, 0
	}
	l.tick = max(l.tick, tick)
	k := l.tick % lossBuckets
	l.gotten[k] += l.newGot
	l.missed[k] += l.newLost
	if n := l.newGot + l.newLost; n > 0 {
		sample := min(max(float64(l.newLost)/float64(n), 0), 1)
		// About two seconds, or the 100 packets that a share of a few per cent needs, whichever is more.
		weight := min(1-math.Exp(-float64(min(now-l.at, second))/2e9), float64(n)/100)
		l.slow += weight * (sample - l.slow)
	}
	if l.slow < l.inherent { // it got better; forget within seconds
		l.inherent += (l.slow - l.inherent) * float64(min(now-l.at, second)) / 5e9
	}
	l.newGot, l.newLost, l.at = 0, 0, now
}

// share is the loss of the last second, 0-1.
func (l *losses) share() float64 {
	var got, missed int32
	for i := range lossBuckets {
		got += l.gotten[i]
		missed += l.missed[i]
	}
	if missed <= 0 || got+missed <= 0 {
		return 0
	}
	return float64(missed) / float64(max(got+missed, missed))
}

// lasting is the loss that the last second and the slower average agree on (one burst is no trend), without the
// inherent part: what a lower rate could mend.
func (l *losses) lasting() float64 {
	return max(min(l.share(), l.slow)-l.inherent, 0) / (1 - l.inherent)
}

// lossTest compares the loss before and after a reduction.
type lossTest struct {
	rate, loss float64 // before
	low        int64   // Unix ns since when less is sent; 0 = not yet
}

// began notes the loss at rate bit/s, which is about to be lowered; a test that is on goes on.
func (l *losses) began(rate float64) {
	if l.test.rate == 0 {
		l.test = lossTest{rate: rate, loss: l.slow}
	}
}

const (
	clearlyLess = 0.7 // of the rate before
	stillLost   = 0.6 // of the loss before
	testTime    = 2 * second
)

// learn ends the test once less has been sent for long enough; rate is what is sent now, in bit/s.
func (l *losses) learn(rate float64, now int64) {
	t := &l.test
	switch {
	case t.rate == 0:
	case rate > t.rate*clearlyLess:
		t.low = 0
	case t.low == 0:
		t.low = now
	case now-t.low > testTime:
		if l.slow > t.loss*stillLost {
			l.inherent = min(l.slow, 0.5)
		}
		*t = lossTest{}
	}
}

// told takes a receiver report's share as if it were 100 packets of now.
func (l *losses) told(share float64, now int64) {
	l.newLost = int32(share * 100)
	l.newGot = 100 - l.newLost
	l.step(now)
}
