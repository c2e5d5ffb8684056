package pace

import "math"

// Layer is a quality in which a picture comes from the publisher.
type Layer struct {
	Rank    int // 3 = best (f), 2 = h, 1 = q
	Bitrate int // bit/s as measured now; 0 = not known yet
}

// Seat is a picture that a viewer watches.
type Seat struct {
	Layers  []Layer // in any order
	Now     int     // rank in use, 0 = none
	Focus   bool    // shown large
	Most    int     // highest rank that the viewer chose: smooth = 1, clear and auto = 3
	Stopped bool    // hidden or paused: gets no picture
}

const (
	headroom = 1.15 // to climb, the estimate must be this much above the need
	keepPart = 0.5  // the lowest layer goes on down to this part of its bitrate...
	takePart = 0.75 // ...and begins from this part
	crowd    = 3    // from this many seats on, only the focused one gets more than the lowest layer
)

// Allocate gives each seat the rank that it shall get, 0 for no picture, when the line carries estimate bit/s and audio
// takes audio bit/s. next is the bit/s that the line would have to carry, headroom included, for the next step up: what
// to probe for; 0 if there is none.
//
// Audio comes first and is never given up. Then every seat gets its lowest layer, the focused one first, before anyone
// gets a better one; then the focused seat rises as far as it can, then the others, if there are fewer than three. A
// step up needs 15 % headroom and is not taken while overused; a step down is taken when the estimate is below the
// bitrate. The lowest layer is given up when not even half of it fits, or when it does not fit and the line is
// overused: a bad picture is better than none, but none is better than broken sound. A picture with one layer only is always sent: there is nothing to choose.
//
// A viewer's choice bounds from above only. "Clear" does not mean "best or nothing": congestion wins, because what does
// not fit through the line can't be clear.
func Allocate(estimate, audio int, seats []Seat, overused bool) (ranks []int, next int) {
	return AppendRanks(make([]int, 0, len(seats)), estimate, audio, seats, overused)
}

// AppendRanks is Allocate without allocation: the ranks are appended to dst.
func AppendRanks(dst []int, estimate, audio int, seats []Seat, overused bool) (ranks []int, next int) {
	from := len(dst)
	dst = append(dst, make([]int, len(seats))...)
	a := allocation{left: float64(estimate), used: float64(max(audio, 0)), seats: seats, ranks: dst[from:], frozen: overused}
	a.lowest()
	a.better()
	return dst, int(a.next)
}

// allocation is one round of Allocate.
type allocation struct {
	left   float64 // the estimate
	used   float64 // by audio and the layers given so far
	next   float64
	frozen bool // no steps up
	seats  []Seat
	ranks  []int
}

// lowest gives each seat its lowest layer, the focused ones first.
func (a *allocation) lowest() {
	for _, focus := range [2]bool{true, false} {
		for i := range a.seats {
			if s := &a.seats[i]; s.Focus == focus && !s.Stopped {
				a.seat(i, s)
			}
		}
	}
}

// seat gives one seat its lowest layer, if it is to be had.
func (a *allocation) seat(i int, s *Seat) {
	l, ok := s.above(0)
	if !ok {
		return
	}
	need := float64(l.guess())
	part := takePart
	switch {
	case a.frozen:
		part = 1 // what does not fit delays the sound
	case s.Now > 0:
		part = keepPart
	}
	if len(s.Layers) > 1 && a.used+need*part > a.left {
		a.ask(a.used + need*takePart)
		return
	}
	a.used += need
	a.ranks[i] = l.Rank
}

// better lets the focused seat rise as far as it goes, then the others if they are few.
func (a *allocation) better() {
	watched := 0
	for i := range a.ranks {
		if a.ranks[i] > 0 {
			watched++
		}
	}
	a.rise(true)
	if watched < crowd {
		a.rise(false)
	}
}

// rise lets the seats with this focus rise step by step in turns, so that equals share.
func (a *allocation) rise(focus bool) {
	for rose := true; rose; {
		rose = false
		for i := range a.seats {
			if s := &a.seats[i]; s.Focus == focus && a.ranks[i] > 0 {
				rose = a.step(i, s) || rose
			}
		}
	}
}

// step takes one seat one layer up, if the line carries it.
func (a *allocation) step(i int, s *Seat) bool {
	l, ok := s.above(a.ranks[i])
	if !ok {
		return false
	}
	used := a.used - float64(s.bitrate(a.ranks[i])) + float64(l.guess())
	need, climb := used, l.Rank > s.Now
	if climb {
		need *= headroom
	}
	if need > a.left || (climb && a.frozen) {
		a.ask(used * headroom)
		return false
	}
	a.used, a.ranks[i] = used, l.Rank
	return true
}

// ask notes what the first step that was not to be had would need.
func (a *allocation) ask(need float64) {
	if a.next == 0 {
		a.next = math.Ceil(need)
	}
}

// above is the lowest layer over rank that the viewer's choice allows. If the choice allows none at all, the lowest that
// there is: a picture with one layer is sent to who chose "smooth", too.
func (s *Seat) above(rank int) (Layer, bool) {
	var best Layer
	for _, l := range s.Layers {
		if l.Rank > rank && (best.Rank == 0 || l.Rank < best.Rank) {
			best = l
		}
	}
	return best, best.Rank > 0 && (rank == 0 || best.Rank <= s.Most)
}

// bitrate is what the seat's layer of this rank takes, in bit/s.
func (s *Seat) bitrate(rank int) int {
	for _, l := range s.Layers {
		if l.Rank == rank {
			return l.guess()
		}
	}
	return 0
}

// guess is the layer's bitrate, or what its rank usually takes as long as it is not known.
func (l Layer) guess() int {
	switch {
	case l.Bitrate > 0:
		return l.Bitrate
	case l.Rank <= 1:
		return 150_000
	case l.Rank == 2:
		return 500_000
	}
	return 2_500_000
}
