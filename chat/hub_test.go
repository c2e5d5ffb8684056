package chat

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestWindow: the window grows with members times events, between its bounds.
func TestWindow(t *testing.T) {
	for _, row := range []struct {
		members   int
		perSecond float64
		want      time.Duration
	}{
		{1, 1, 50 * time.Millisecond},
		{200, 10, 51 * time.Millisecond},
		{5000, 20, 125 * time.Millisecond},
		{5000, 100, 200 * time.Millisecond},
		{100_000, 1000, 200 * time.Millisecond},
	} {
		if got := window(row.members, row.perSecond); got.Round(time.Millisecond) > row.want+time.Millisecond || got < row.want-time.Millisecond {
			t.Errorf("%d members, %v/s: %v instead of %v", row.members, row.perSecond, got, row.want)
		}
	}
}

// TestPace: an event that comes after quiet goes at once; those that follow wait for the window and go together.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p pace
		if p.due(10).After(time.Now()) {
			t.Fatal("the first event waits")
		}
		p.sent(time.Now(), 1)
		time.Sleep(5 * time.Millisecond)
		wait := time.Until(p.due(10))
		if wait < 40*time.Millisecond || wait > 50*time.Millisecond {
			t.Fatalf("the second waits %v", wait)
		}
		for range 100 { // 100 frames of 50 events: a busy room
			time.Sleep(max(time.Until(p.due(5000)), time.Millisecond))
			p.sent(time.Now(), 50)
		}
		if got := window(5000, p.rate); got != windowMost {
			t.Errorf("busy: %v at %v/s", got, p.rate)
		}
		time.Sleep(10 * time.Second)
		if p.due(5000).After(time.Now()) {
			t.Error("quiet again, and yet it waits")
		}
		p.sent(time.Now(), 1)
		if got := window(100, p.rate); got > 60*time.Millisecond {
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

// TestOutbox: 256 KiB or 5 s cut; what was given on joining does not count.
func TestOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		big := &frame{size: 100 << 10}
		o := newOutbox(func() {}, new(atomic.Int64))
		o.preload(big, big, big, big)
		now := time.Now()
		for range 2 {
			if !o.push(big, now) {
				t.Fatal("cut too early")
			}
		}
		if o.push(big, now) || o.bye == nil || o.bye.code != codeSlow || len(o.queue) != 0 {
			t.Error("not cut by bytes")
		}
		o = newOutbox(func() {}, new(atomic.Int64))
		o.push(&frame{size: 1}, time.Now())
		time.Sleep(unsentLong + time.Millisecond)
		if o.push(&frame{size: 1}, time.Now()) {
			t.Error("not cut by time")
		}
	})
}
