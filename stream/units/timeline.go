package units

import "time"

// Bounds of a Timeline's corrections.
const (
	maxError  = time.Second           // beyond it the RTP clock has jumped
	tolerance = 20 * time.Millisecond // of the mean error, before anything is done
	step      = time.Millisecond      // by which a unit is moved at most
)

// Timeline places one track's units on the wall clock: evenly, as their RTP timestamps say, and pulled slowly towards the
// capture times, so that an hour of picture and sound stays together though their clocks differ.
type Timeline struct {
	run  int
	set  bool
	base time.Time
	ts   int64 // RTP time at base
	mean time.Duration
}

// Place gives the moment of u.
func (t *Timeline) Place(u *Unit) time.Time {
	at := t.base.Add(rtpTime(u.TS-t.ts, u.Rate))
	off := u.At.Sub(at)
	if !t.set || u.Run != t.run || off.Abs() > maxError {
		*t = Timeline{run: u.Run, set: true, base: u.At, ts: u.TS}
		return u.At
	}
	t.mean += (off - t.mean) / 64
	if t.mean.Abs() > tolerance {
		d := max(-step, min(step, t.mean))
		t.mean -= d
		t.base = t.base.Add(d)
		at = at.Add(d)
	}
	return at
}

// rtpTime turns ticks of an RTP clock into a duration without overflowing.
func rtpTime(ticks int64, rate int) time.Duration {
	r := int64(rate)
	if r <= 0 {
		return 0
	}
	return time.Duration(ticks/r)*time.Second + time.Duration(ticks%r)*time.Second/time.Duration(r)
}
