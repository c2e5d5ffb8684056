package chat

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWindow: nothing to speak of in a quiet or small room, more with members times events, up to 200 ms in a large one.
func TestWindow(t *testing.T) {
	for _, row := range []struct {
		members   int
		perSecond float64
		want      time.Duration
	}{
		{1, 1, 0},
		{20, 10, 2 * time.Millisecond},
		{199, 1000, 20 * time.Millisecond},
		{600, 1000, 35 * time.Millisecond},
		{1000, 2, 20 * time.Millisecond},
		{1000, 100, 50 * time.Millisecond},
		{5000, 1, 50 * time.Millisecond},
		{5000, 20, 200 * time.Millisecond},
		{100_000, 1000, 200 * time.Millisecond},
	} {
		if got := window(row.members, row.perSecond).Round(time.Millisecond); got != row.want {
			t.Errorf("%d members, %v/s: %v instead of %v", row.members, row.perSecond, got, row.want)
		}
	}
}

// TestPace: an event that comes after quiet goes at once; those that follow quickly wait for the window and go together.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		if p.due(5000).After(time.Now()) {
			t.Fatal("the first event waits")
		}
		p.sent(time.Now(), 1)
		for range 100 { // 20 events a second
			time.Sleep(max(time.Until(p.due(5000)), 50*time.Millisecond))
			p.sent(time.Now(), max(1, int(window(5000, p.rate)/(50*time.Millisecond))))
		}
		if got := window(5000, p.rate); got < windowMost*3/4 {
			t.Errorf("busy: %v at %v/s", got, p.rate)
		}
		if got := window(150, p.rate); got > windowSmall {
			t.Errorf("the same in a small room: %v", got)
		}
		time.Sleep(10 * time.Second)
		if p.due(5000).After(time.Now()) {
			t.Error("quiet again, and yet it waits")
		}
		p.sent(time.Now(), 1)
		if got := window(5000, p.rate); got > 30*time.Millisecond {
			t.Errorf("after quiet: %v at %v/s", got, p.rate)
		}
	})
}

// TestRing: the ring keeps the newest within its bounds, but drops nothing that has not been sent.
func TestRing(t *testing.T) {
	r := ring{first: 1}
	for range logLimit + 100 {
		r.push(entry{raw: []byte("x")}, 0)
	}
	if r.first != 1 || r.last() != logLimit+100 {
		t.Errorf("unsent ones were dropped: %d..%d", r.first, r.last())
	}
	r.push(entry{raw: []byte("x")}, r.last())
	if r.first != 102 || r.last() != logLimit+101 || r.at(101) != nil || r.at(102) == nil || r.at(r.last()+1) != nil {
		t.Errorf("%d..%d", r.first, r.last())
	}
	r.push(entry{raw: make([]byte, ringBytes)}, r.last())
	if len(r.all) > 2 || r.bytes > ringBytes+10 {
		t.Errorf("%d entries, %d bytes", len(r.all), r.bytes)
	}
}
