package pace

import (
	"fmt"
	"math"
	"testing"
	"time"
	"unsafe"

	"github.com/pion/rtcp"
	"pgregory.net/rapid"
)

const top, middle, bottom = 3, 2, 1

// each runs a simulation on a line of capacity bit/s with several seeds.
func each(t *testing.T, capacity float64, f func(t *testing.T, w *world)) {
	t.Helper()
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { f(t, newWorld(t, seed, capacity)) })
	}
}

func (w *world) at(rank int) func() bool { return func() bool { return w.rank == rank } }

func (w *world) below(rank int) func() bool { return func() bool { return w.rank < rank } }

// atTop brings a viewer to the top layer and lets it rest there.
func (w *world) atTop(t *testing.T) {
	t.Helper()
	if w.until(10*time.Second, w.at(top)); w.rank != top {
		t.Fatalf("never on the top layer: %+v", w.e.Stats())
	}
	w.run(5 * time.Second)
	w.reset()
}

// want fails the test if what was measured is over the bound.
func want[T int | int64 | float64 | time.Duration](t *testing.T, what string, got, most T) {
	t.Helper()
	t.Logf("%s: %v (at most %v)", what, got, most)
	if got > most {
		t.Errorf("%s: %v, want at most %v", what, got, most)
	}
}

func TestGoodLineGetsTheBestLayerSoonAndKeepsIt(t *testing.T) {
	each(t, 10e6, func(t *testing.T, w *world) {
		want(t, "until the top layer", w.until(10*time.Second, w.at(top)), 2*time.Second)
		w.run(60 * time.Second)
		want(t, "falls", len(w.falls), 0)
		want(t, "estimate beyond 1.7 times of what arrives", float64(w.e.Bitrate()), 1.7*2_532_000)
	})
}

func TestLineBecomesNarrowAndWideAgain(t *testing.T) {
	each(t, 5e6, func(t *testing.T, w *world) {
		w.atTop(t)
		w.link.capacity = 800e3
		want(t, "off the top layer", w.until(10*time.Second, w.below(top)), 2*time.Second)
		w.run(10 * time.Second)
		want(t, "queue", w.maxQueue/milli, 1000)
		w.reset()
		w.run(60 * time.Second)
		if w.rank != middle || w.lowestNow != middle {
			t.Errorf("did not settle on the middle layer: on %d, lowest %d", w.rank, w.lowestNow)
		}
		want(t, "failed climbs in a minute", len(w.climbs), 4)
		want(t, "queue once settled", w.maxQueue/milli, 300)
		w.link.capacity = 5e6
		want(t, "top layer again", w.until(20*time.Second, w.at(top)), 10*time.Second)
	})
}

// A start with a guess that is much too high.
func TestNarrowFromTheStart(t *testing.T) {
	each(t, 800e3, func(t *testing.T, w *world) {
		w.e = New(5_000_000, w.now)
		w.until(time.Second, w.at(top))
		want(t, "off the top layer", w.until(10*time.Second, w.below(top)), 2*time.Second)
		w.run(5 * time.Second)
		want(t, "queue", w.maxQueue/milli, 1000)
		w.reset()
		w.run(60 * time.Second)
		want(t, "failed climbs in a minute", len(w.climbs), 4)
		want(t, "queue once settled", w.maxQueue/milli, 300)
	})
}

// Whatever the line carries, the queue stays short once the layer is found, and layers don't flap.
func TestAnyCapacity(t *testing.T) {
	for _, capacity := range []float64{150e3, 250e3, 400e3, 560e3, 650e3, 1e6, 1.5e6, 2e6, 2.5e6, 2.7e6, 3e6, 3.5e6} {
		t.Run(fmt.Sprintf("%g kbit/s", capacity/1e3), func(t *testing.T) {
			each(t, capacity, func(t *testing.T, w *world) {
				w.run(10 * time.Second)
				w.reset()
				w.run(60 * time.Second)
				want(t, "queue", w.maxQueue/milli, 300)
				want(t, "climbs in a minute", len(w.climbs), 4)
				want(t, "falls in a minute", len(w.falls), 4)
			})
		})
	}
}

func TestLossWithoutCongestion(t *testing.T) {
	rows := []struct {
		loss   float64
		lowest int // least layer in a minute
		end    int // after a minute
	}{{0.01, top, top}, {0.02, top, top}, {0.05, middle, middle}, {0.10, bottom, middle}, {0.20, bottom, bottom}}
	for _, row := range rows {
		t.Run(fmt.Sprint(row.loss), func(t *testing.T) {
			each(t, 10e6, func(t *testing.T, w *world) {
				w.atTop(t)
				w.link.loss = row.loss
				w.run(60 * time.Second)
				if t.Logf("lowest %d, at last %d", w.lowestNow, w.rank); w.lowestNow < row.lowest || w.rank < row.end {
					t.Errorf("lowest layer %d, at last %d", w.lowestNow, w.rank)
				}
			})
		})
	}
}

// The same when the line is so from the first packet on.
func TestLossFromTheStart(t *testing.T) {
	for _, loss := range []float64{0.02, 0.05, 0.10, 0.20} {
		t.Run(fmt.Sprint(loss), func(t *testing.T) {
			each(t, 10e6, func(t *testing.T, w *world) {
				w.link.loss = loss
				w.run(5 * time.Second)
				w.reset()
				w.run(60 * time.Second)
				if t.Logf("lowest %d, at last %d", w.lowestNow, w.rank); w.lowestNow < bottom || w.rank < middle {
					t.Errorf("lowest layer %d, at last %d", w.lowestNow, w.rank)
				}
			})
		})
	}
}

// A line that drops instead of queueing: only loss tells.
func TestPolicedLine(t *testing.T) {
	each(t, 1.2e6, func(t *testing.T, w *world) {
		w.e = New(5_000_000, w.now)
		w.link.limit = 50 * milli
		w.until(time.Second, w.at(top))
		want(t, "off the top layer", w.until(10*time.Second, w.below(top)), 5*time.Second)
		w.reset()
		w.run(60 * time.Second)
		want(t, "climbs in a minute", len(w.climbs), 4)
		if w.rank != middle {
			t.Errorf("on layer %d", w.rank)
		}
	})
}

func TestJitterIsNoCongestion(t *testing.T) {
	each(t, 10e6, func(t *testing.T, w *world) {
		w.link.jitter = 15 * milli
		want(t, "until the top layer", w.until(20*time.Second, w.at(top)), 5*time.Second)
		w.reset()
		w.run(60 * time.Second)
		want(t, "times overused", w.overs, 0)
		want(t, "falls", len(w.falls), 0)
	})
}

func TestShortOutage(t *testing.T) {
	for _, lost := range []bool{true, false} {
		t.Run(fmt.Sprintf("lost %v", lost), func(t *testing.T) {
			each(t, 5e6, func(t *testing.T, w *world) {
				w.atTop(t)
				if w.link.dead = lost; !lost {
					w.link.hold = w.now + 200*milli
				}
				w.run(200 * time.Millisecond)
				w.link.dead = false
				w.run(2 * time.Second)
				w.until(800*time.Millisecond, w.at(top))
				w.lowestNow = 9
				w.run(5 * time.Second)
				if w.lowestNow != top || w.e.Overused() {
					t.Errorf("not recovered: %d, %+v", w.lowestNow, w.e.Stats())
				}
			})
		})
	}
}

func TestDriftingClock(t *testing.T) {
	for _, drift := range []float64{100e-6, -100e-6} {
		each(t, 10e6, func(t *testing.T, w *world) {
			w.link.drift = drift
			w.atTop(t)
			w.run(120 * time.Second)
			want(t, "falls", len(w.falls), 0)
			want(t, "times overused", w.overs, 0)
			want(t, "queue", w.e.Stats().Queue, 10)
		})
	}
}

func TestFeedbackLostForTwoSeconds(t *testing.T) {
	each(t, 10e6, func(t *testing.T, w *world) {
		w.atTop(t)
		before := w.e.Bitrate()
		w.muteFB = true
		w.run(2 * time.Second)
		want(t, "estimate", w.e.Bitrate(), before*4/5)
		if s := w.e.Stats().State; s != "silent" {
			t.Errorf("state %q", s)
		}
		w.muteFB = false
		w.run(time.Second)
		want(t, "top layer again", w.until(10*time.Second, w.at(top)), 5*time.Second)
	})
}

func TestLongRoundTrip(t *testing.T) {
	each(t, 5e6, func(t *testing.T, w *world) {
		w.link.base = 150 * milli
		want(t, "until the top layer", w.until(20*time.Second, w.at(top)), 5*time.Second)
		w.run(30 * time.Second)
		want(t, "falls", len(w.falls), 0)
	})
}

// Without transport-wide feedback receiver reports alone lead.
func TestReportsOnly(t *testing.T) {
	each(t, 5e6, func(t *testing.T, w *world) {
		w.noTWCC = true
		want(t, "until the top layer", w.until(60*time.Second, w.at(top)), 20*time.Second)
		w.link.capacity = 800e3
		want(t, "off the top layer", w.until(20*time.Second, w.below(top)), 5*time.Second)
	})
}

func TestREMBBoundsAndExpires(t *testing.T) {
	e := New(1_000_000, t0)
	e.REMB(300_000, t0)
	if e.Bitrate() != 300_000 {
		t.Errorf("%d with a bound of 300,000", e.Bitrate())
	}
	e.REMB(0, t0)
	if e.Bitrate() != Lowest {
		t.Errorf("%d with a bound of 0", e.Bitrate())
	}
	e.Report(0, 0, t0+int64(11*time.Second))
	if e.Bitrate() < 1_000_000 {
		t.Errorf("%d although the bound is old", e.Bitrate())
	}
}

func TestProbeByACallerWithASlowTick(t *testing.T) {
	each(t, 10e6, func(t *testing.T, w *world) {
		w.lazy = true
		want(t, "until the top layer", w.until(20*time.Second, w.at(top)), 3*time.Second)
	})
}

// A probe whose caller went away must not hide that the line fills.
func TestForgottenProbe(t *testing.T) {
	each(t, 3e6, func(t *testing.T, w *world) {
		w.until(5*time.Second, w.e.Probing)
		w.noProbe = true
		w.rank, w.target = middle, middle
		w.link.capacity = 400e3
		w.until(10*time.Second, w.below(middle))
		if w.rank != bottom || w.e.Probing() {
			t.Errorf("on layer %d, probing %v", w.rank, w.e.Probing())
		}
	})
}

func TestProbeIsBounded(t *testing.T) {
	w := newWorld(t, 1, 10e6)
	w.run(400 * time.Millisecond)
	sum, began := 0, w.now
	for w.now < began+3*second {
		w.now += 20 * milli
		n := w.e.Probe(2_900_000, w.now) // asked for, never answered
		if sum += n; n > trainMost {
			t.Errorf("%d bytes at once", n)
		}
	}
	if sum == 0 || sum > trainMost {
		t.Errorf("%d bytes in all", sum)
	}
	if e := New(1_000_000, t0); e.Probe(5_000_000, t0+5*second) != 0 {
		t.Error("a probe without any feedback")
	}
}

// A viewer that lies, repeats itself and sends nonsense moves only its own estimate, within bounds.
func TestAnyFeedbackStaysInBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := t0
		e := New(rapid.IntRange(-1, 1<<40).Draw(t, "start"), now)
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += rapid.Int64Range(-milli, 2*second).Draw(t, "dt")
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0, 1:
				for n, seq := rapid.IntRange(1, 60).Draw(t, "n"), rapid.Uint16().Draw(t, "seq"); n > 0; n-- {
					e.Sent(seq+uint16(n), rapid.IntRange(-1, 9000).Draw(t, "size"), now)
				}
			case 2, 3:
				e.Feedback(anyFeedback(t), now)
			case 4:
				e.Report(rapid.Uint8().Draw(t, "lost"), time.Duration(rapid.Int64().Draw(t, "rtt")), now)
				e.REMB(rapid.Int().Draw(t, "remb"), now)
			case 5:
				if n := e.Probe(rapid.Int().Draw(t, "want"), now); n < 0 || n > 500_000 {
					t.Fatalf("probe of %d bytes", n)
				}
				e.Probed(rapid.Uint16().Draw(t, "first"), rapid.Uint16().Draw(t, "last"))
			}
			checkBounds(t, e)
		}
	})
}

func anyFeedback(t *rapid.T) *rtcp.TransportLayerCC {
	fb := &rtcp.TransportLayerCC{
		BaseSequenceNumber: rapid.Uint16().Draw(t, "base"), PacketStatusCount: rapid.Uint16Range(0, 300).Draw(t, "count"),
		ReferenceTime: rapid.Uint32().Draw(t, "ref"),
	}
	for range rapid.IntRange(0, 10).Draw(t, "chunks") {
		if rapid.Bool().Draw(t, "run") {
			fb.PacketChunks = append(fb.PacketChunks, &rtcp.RunLengthChunk{PacketStatusSymbol: rapid.Uint16Range(0, 3).Draw(t, "symbol"), RunLength: rapid.Uint16Range(0, 8191).Draw(t, "length")})
		} else {
			fb.PacketChunks = append(fb.PacketChunks, &rtcp.StatusVectorChunk{SymbolList: rapid.SliceOfN(rapid.Uint16Range(0, 3), 0, 14).Draw(t, "symbols")})
		}
	}
	for range rapid.IntRange(0, 100).Draw(t, "deltas") {
		fb.RecvDeltas = append(fb.RecvDeltas, &rtcp.RecvDelta{Delta: rapid.Int64Range(-8_192_000, 8_191_750).Draw(t, "delta")})
	}
	return fb
}

type failer interface{ Fatalf(string, ...any) }

func checkBounds(t failer, e *Estimator) {
	s := e.Stats()
	if b := e.Bitrate(); b < Lowest || b > Highest {
		t.Fatalf("estimate %d", b)
	}
	if math.IsNaN(e.rate) || math.IsNaN(s.Loss) || math.IsNaN(s.Queue) || s.Loss < 0 || s.Loss > 1 {
		t.Fatalf("%+v", s)
	}
}

// FuzzFeedback feeds what comes from the wire.
func FuzzFeedback(f *testing.F) {
	fb := rtcp.TransportLayerCC{
		Header:            rtcp.Header{Count: rtcp.FormatTCC, Type: rtcp.TypeTransportSpecificFeedback, Length: 5},
		PacketStatusCount: 2, PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: 1, RunLength: 2}},
		RecvDeltas: []*rtcp.RecvDelta{{Type: 1, Delta: 250}, {Type: 1, Delta: 500}},
	}
	if raw, err := fb.Marshal(); err == nil {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var fb rtcp.TransportLayerCC
		if fb.Unmarshal(raw) != nil {
			return
		}
		e := New(1_000_000, t0)
		for seq := range uint16(200) {
			e.Sent(seq, 1200, t0+int64(seq)*milli)
		}
		for i := range int64(3) {
			e.Feedback(&fb, t0+300*milli+i*50*milli)
			checkBounds(t, e)
		}
	})
}

func TestMemoryPerViewer(t *testing.T) {
	want(t, "bytes", int(unsafe.Sizeof(Estimator{})), 10<<10)
}

func TestSentAllocatesNothing(t *testing.T) {
	e, seq := New(1_000_000, t0), uint16(0)
	allocs := testing.AllocsPerRun(1000, func() {
		seq++
		e.Sent(seq, 1200, t0+int64(seq)*milli)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per packet", allocs)
	}
}

// BenchmarkSent is the price of the estimate per forwarded packet.
func BenchmarkSent(b *testing.B) {
	e := New(1_000_000, t0)
	b.ReportAllocs()
	for i := range b.N {
		e.Sent(uint16(i), 1200, t0+int64(i)*3*milli)
	}
}

// BenchmarkFeedback is a feedback of 50 packets, with their Sent.
func BenchmarkFeedback(b *testing.B) {
	e, now, seq := New(1_000_000, t0), t0, uint16(0)
	fb := &rtcp.TransportLayerCC{PacketStatusCount: 50, PacketChunks: []rtcp.PacketStatusChunk{&rtcp.RunLengthChunk{PacketStatusSymbol: 1, RunLength: 50}}}
	for range 50 {
		fb.RecvDeltas = append(fb.RecvDeltas, &rtcp.RecvDelta{Type: 1, Delta: 1250})
	}
	b.ReportAllocs()
	for b.Loop() {
		fb.BaseSequenceNumber = seq
		for range 50 {
			e.Sent(seq, 1200, now)
			seq++
			now += 1_280_000
		}
		fb.ReferenceTime++
		e.Feedback(fb, now)
	}
}
