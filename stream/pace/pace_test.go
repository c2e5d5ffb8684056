package pace

import (
	"fmt"
	"testing"
	"time"
)

const top, middle, bottom = 3, 2, 1

func (w *world) at(rank int) func() bool { return func() bool { return w.rank == rank } }

// each runs a simulation with several seeds.
func each(t *testing.T, capacity float64, f func(t *testing.T, w *world)) {
	t.Helper()
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed%d", seed), func(t *testing.T) { f(t, newWorld(t, seed, capacity)) })
	}
}

// atTop brings a viewer to the top layer.
func (w *world) atTop(t *testing.T) {
	t.Helper()
	if took := w.until(10*time.Second, w.at(top)); w.rank != top {
		t.Fatalf("not on the top layer after %v", took)
	}
	w.run(5 * time.Second)
	w.reset()
}

func (w *world) failedClimbs() int { return min(len(w.climbs), len(w.falls)) }

func ms(ns int64) int64 { return ns / milli }

func TestGoodLineReachesTheTop(t *testing.T) {
	each(t, 10e6, func(t *testing.T, w *world) {
		took := w.until(10*time.Second, w.at(top))
		t.Logf("top after %v", took)
		if took > 3*time.Second {
			t.Errorf("the top layer took %v", took)
		}
		w.run(60 * time.Second)
		if len(w.falls) > 0 {
			t.Errorf("fell %d times", len(w.falls))
		}
	})
}

func TestNarrowFromTheStart(t *testing.T) {
	each(t, 800e3, func(t *testing.T, w *world) {
		w.rank, w.target = top, top
		took := w.until(10*time.Second, func() bool { return w.rank < top })
		w.run(60 * time.Second)
		t.Logf("off the top after %v, queue %d ms, then %d climbs, %d falls, rank %d", took, ms(w.maxQueue), len(w.climbs), len(w.falls), w.rank)
	})
}

func TestLineBecomesNarrowAndWideAgain(t *testing.T) {
	each(t, 5e6, func(t *testing.T, w *world) {
		w.atTop(t)
		w.link.capacity = 800e3
		took := w.until(10*time.Second, func() bool { return w.rank < top })
		w.run(10 * time.Second)
		first := w.maxQueue
		w.reset()
		w.run(60 * time.Second)
		t.Logf("off the top after %v, queue %d ms; later queue %d ms, %d climbs, %d falls, rank %d", took, ms(first), ms(w.maxQueue), len(w.climbs), len(w.falls), w.rank)
		w.link.capacity = 5e6
		took = w.until(20*time.Second, w.at(top))
		t.Logf("top again after %v", took)
	})
}

func TestRandomLoss(t *testing.T) {
	for _, loss := range []float64{0.01, 0.02, 0.05, 0.10, 0.20} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			each(t, 10e6, func(t *testing.T, w *world) {
				w.atTop(t)
				w.link.loss = loss
				w.run(60 * time.Second)
				t.Logf("lowest %d, now %d, estimate least %dk, falls %d", w.lowestNow, w.rank, w.estLow/1000, len(w.falls))
			})
			each(t, 10e6, func(t *testing.T, w *world) {
				w.link.loss = loss
				w.run(5 * time.Second)
				w.reset()
				w.run(60 * time.Second)
				t.Logf("from start: lowest %d, now %d, estimate least %dk, falls %d", w.lowestNow, w.rank, w.estLow/1000, len(w.falls))
			})
		})
	}
}

func TestJitter(t *testing.T) {
	each(t, 10e6, func(t *testing.T, w *world) {
		w.link.jitter = 15 * milli
		took := w.until(20*time.Second, w.at(top))
		w.run(60 * time.Second)
		t.Logf("top after %v, overs %d, falls %d", took, w.overs, len(w.falls))
	})
}

func TestOutage(t *testing.T) {
	for _, dead := range []bool{true, false} {
		each(t, 5e6, func(t *testing.T, w *world) {
			w.atTop(t)
			if dead {
				w.link.dead = true
			} else {
				w.link.hold = w.now + 200*milli
			}
			w.run(200 * time.Millisecond)
			w.link.dead = false
			w.run(1 * time.Second)
			took := w.until(10*time.Second, func() bool { return w.rank == top && !w.e.Overused() })
			t.Logf("dead %v: lowest %d, recovered after %v, falls %d", dead, w.lowestNow, took+time.Second, len(w.falls))
		})
	}
}

func TestDrift(t *testing.T) {
	for _, drift := range []float64{100e-6, -100e-6} {
		each(t, 10e6, func(t *testing.T, w *world) {
			w.link.drift = drift
			w.atTop(t)
			w.run(120 * time.Second)
			t.Logf("falls %d overs %d queue %f", len(w.falls), w.overs, w.e.Stats().Queue)
		})
	}
}

func TestFeedbackLost(t *testing.T) {
	each(t, 10e6, func(t *testing.T, w *world) {
		w.atTop(t)
		was := w.e.Bitrate()
		w.muteFB = true
		w.run(2 * time.Second)
		t.Logf("%dk -> %dk", was/1000, w.e.Bitrate()/1000)
		w.muteFB = false
		took := w.until(10*time.Second, w.at(top))
		w.run(time.Second)
		took += w.until(10*time.Second, w.at(top))
		t.Logf("back after %v lowest %d", took, w.lowestNow)
	})
}
func TestCapacities(t *testing.T) {
	for _, c := range []float64{100e3, 150e3, 200e3, 250e3, 400e3, 560e3, 650e3, 1e6, 1.5e6, 2e6, 2.5e6, 2.7e6, 3e6, 3.5e6} {
		each(t, c, func(t *testing.T, w *world) {
			w.run(5 * time.Second)
			f := w.maxQueue
			w.reset()
			w.run(60 * time.Second)
			t.Logf("%gk queue first %d then %d climbs %d falls %d lowest %d now %d est %dk pad %dk", c/1e3, ms(f), ms(w.maxQueue), len(w.climbs), len(w.falls), w.lowestNow, w.rank, w.e.Bitrate()/1000, w.padding/1000)
		})
	}
}
