package reports

import (
	"sort"
	"time"
)

// attendance is who was there: P(t), the distinct viewers connected, over [t0, t1].
type attendance struct {
	viewers map[string]bool
	uv, pv  int64
	peak    int64
	average *float64
	watched time.Duration // the integral of P(t)
	onAir   time.Duration // [t0, t1] without interruptions
	peaks   []int64       // highest P(t) of each minute, interruptions included
	entries []int64
	leaves  []int64
}

// attend computes the attendance. Several visits of one viewer at the same time count once; the highest P(t) of a minute
// counts for the part of the minute that was on air.
func attend(visits []Visit, gaps []Span, w Span) attendance {
	a := attendance{viewers: map[string]bool{}}
	n := minutesOf(w)
	a.peaks, a.entries, a.leaves = make([]int64, n), make([]int64, n), make([]int64, n)
	stays := map[string][]Span{}
	for _, v := range visits {
		s, ok := w.clip(v.Span)
		if !ok {
			continue
		}
		a.pv++
		a.entries[w.minute(s.From)]++
		if !v.To.IsZero() && v.To.Before(w.To) {
			a.leaves[w.minute(v.To)]++
		}
		stays[v.Viewer] = append(stays[v.Viewer], s)
	}
	var merged []Span
	for viewer, s := range stays {
		a.viewers[viewer] = true
		merged = append(merged, union(s)...)
	}
	a.uv = int64(len(stays))
	off := interruptions(gaps, w)
	a.onAir = w.To.Sub(w.From) - length(off)
	for _, s := range merged {
		a.watched += s.To.Sub(s.From)
	}
	a.count(merged, off, w)
	return a
}

// union merges overlapping and touching stretches.
func union(s []Span) []Span {
	sort.Slice(s, func(i, j int) bool { return s[i].From.Before(s[j].From) })
	out := s[:0:0]
	for _, x := range s {
		if n := len(out); n > 0 && !x.From.After(out[n-1].To) {
			if x.To.After(out[n-1].To) {
				out[n-1].To = x.To
			}
			continue
		}
		out = append(out, x)
	}
	return out
}

func interruptions(gaps []Span, w Span) []Span {
	var off []Span
	for _, g := range gaps {
		if s, ok := w.clip(g); ok {
			off = append(off, s)
		}
	}
	return union(off)
}

func length(s []Span) time.Duration {
	var d time.Duration
	for _, x := range s {
		d += x.To.Sub(x.From)
	}
	return d
}

// change is a moment at which P(t) or being on air changes.
type change struct {
	at      time.Time
	online  int64
	off, on bool
}

// count sweeps over the changes and keeps the highest P(t) of the session and of each minute.
func (a *attendance) count(stays, off []Span, w Span) {
	changes := make([]change, 0, 2*len(stays)+2*len(off)+len(a.peaks))
	for _, s := range stays {
		changes = append(changes, change{at: s.From, online: 1}, change{at: s.To, online: -1})
	}
	for _, s := range off {
		changes = append(changes, change{at: s.From, off: true}, change{at: s.To, on: true})
	}
	for i := range a.peaks {
		changes = append(changes, change{at: w.From.Add(time.Duration(i) * time.Minute)})
	}
	// At one moment those who leave go first: somebody who comes as another one goes is no second viewer.
	sort.SliceStable(changes, func(i, j int) bool {
		if !changes[i].at.Equal(changes[j].at) {
			return changes[i].at.Before(changes[j].at)
		}
		return changes[i].online < changes[j].online
	})
	airPeaks, air := make([]int64, len(a.peaks)), make([]time.Duration, len(a.peaks))
	var online int64
	onAir := true
	for i, c := range changes {
		online += c.online
		if c.off {
			onAir = false
		}
		if c.on {
			onAir = true
		}
		end := w.To
		if i+1 < len(changes) {
			end = changes[i+1].at
		}
		if !end.After(c.at) {
			continue
		}
		m := w.minute(c.at)
		a.peak, a.peaks[m] = max(a.peak, online), max(a.peaks[m], online)
		if onAir {
			airPeaks[m] = max(airPeaks[m], online)
			air[m] += end.Sub(c.at)
		}
	}
	a.average = averageOnline(airPeaks, air)
}

// averageOnline is the ACU: each minute's highest P(t), weighed by the part of the minute that was on air.
func averageOnline(peaks []int64, air []time.Duration) *float64 {
	var sum, all float64
	for i, p := range peaks {
		sum += float64(p) * air[i].Minutes()
		all += air[i].Minutes()
	}
	if all == 0 {
		return nil
	}
	v := sum / all
	return &v
}

// minutesOf counts the minutes of w, a begun one too.
func minutesOf(w Span) int {
	return max(1, int((w.To.Sub(w.From)+time.Minute-1)/time.Minute))
}

// minute gives the index of the minute of t; t1 itself belongs to the last one.
func (w Span) minute(t time.Time) int {
	return max(0, min(int(t.Sub(w.From)/time.Minute), minutesOf(w)-1))
}

func minutes(f Facts, w Span, orders []Order, a attendance) []Minute {
	out := make([]Minute, minutesOf(w))
	for i := range out {
		out[i] = Minute{At: w.From.Add(time.Duration(i) * time.Minute), Online: a.peaks[i], Entries: a.entries[i], Leaves: a.leaves[i]}
	}
	for _, act := range f.Acts {
		if !w.has(act.At) {
			continue
		}
		m := &out[w.minute(act.At)]
		switch act.Kind {
		case "chat":
			m.Chat += act.Count
		case "like":
			m.Likes += act.Count
		case "click":
			m.Clicks += act.Count
		}
	}
	for _, o := range orders {
		m := &out[w.minute(o.CreatedAt)]
		m.Orders++
		if o.paid() {
			m.PaidOrder++
			m.PaidFen += o.PaidFen
		}
	}
	return out
}
