package stream

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

const ms = int64(time.Millisecond)

// asked gives what is asked for at each of the moments, in ms.
func asked(g *gaps, at ...int64) [][]uint16 {
	all := make([][]uint16, 0, len(at))
	for _, t := range at {
		seqs, _ := g.due(t*ms, nil)
		all = append(all, seqs)
	}
	return all
}

func TestGapIsAskedForAfterReordering(t *testing.T) {
	g := newGaps()
	g.arrived(100, 0)
	g.arrived(102, 5*ms)
	got := asked(g, 6, 14, 15, 20, 165, 500)
	if want := [][]uint16{nil, nil, {101}, nil, {101}, {101}}; !slices.EqualFunc(got, want, slices.Equal[[]uint16]) {
		t.Fatalf("asked %v, want %v", got, want)
	}
}

func TestWhatComesIsNotAskedForAgain(t *testing.T) {
	g := newGaps()
	g.arrived(100, 0)
	g.arrived(104, ms)
	asked(g, 11)
	g.arrived(102, 15*ms)
	got, idle := g.due(200*ms, nil)
	if !slices.Equal(got, []uint16{101, 103}) || idle {
		t.Fatalf("asked %v, idle %v", got, idle)
	}
	g.arrived(101, 201*ms)
	g.arrived(103, 201*ms)
	if got, idle := g.due(900*ms, nil); len(got) > 0 || !idle {
		t.Fatalf("asked %v, idle %v after all had come", got, idle)
	}
}

// An answer that took 4 ms says that the next one need not be waited for much longer.
func TestAnswersAreLearned(t *testing.T) {
	g := newGaps()
	g.arrived(100, 0)
	for i := range int64(20) {
		at := i * 100 * ms
		ext := g.head
		g.arrived(ext+2, at)
		g.due(at+10*ms, nil)
		g.arrived(ext+1, at+14*ms)
	}
	if g.answer > 10*ms || g.answer < 4*ms {
		t.Fatalf("an answer is taken to need %v", time.Duration(g.answer))
	}
	last := g.head
	g.arrived(last+2, 3000*ms)
	if got := asked(g, 3010, 3029, 3030); len(got[0]) != 1 || len(got[1]) != 0 || len(got[2]) != 1 {
		t.Fatalf("asked %v", got)
	}
}

func TestLongGapIsGivenUp(t *testing.T) {
	rows := []struct {
		name     string
		lost     uint64
		silent   int64
		hopeless bool
	}{
		{"a burst", 100, 400 * ms, false},
		{"too many", mostMissing + 1, 20 * ms, true},
		{"five seconds of a thin layer", 50, 5000 * ms, true},
		{"a still picture's one packet", 1, 5000 * ms, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			g := newGaps()
			g.arrived(10, 0)
			if got := g.arrived(10+row.lost+1, row.silent); got != row.hopeless {
				t.Fatalf("hopeless %v, want %v", got, row.hopeless)
			}
			if seqs, _ := g.due(row.silent+mayReorder, nil); (len(seqs) == 0) != row.hopeless {
				t.Fatalf("asked for %d packets", len(seqs))
			}
		})
	}
}

// However packets come, none is asked for more often than allowed, none that came is asked for, and the list ends empty.
func TestGapsEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, asks, came := newGaps(), map[uint16]int{}, map[uint16]bool{}
		at, ext := int64(0), uint64(1<<32)
		steps := rapid.SliceOfN(rapid.IntRange(0, 40), 1, 200).Draw(t, "lost before each packet")
		for i, lost := range steps {
			at += int64(rapid.IntRange(0, 30).Draw(t, "ms")) * ms
			ext += uint64(lost/10) + 1
			arrive := ext
			if lost%10 == 9 && i > 3 { // one that was missing
				arrive = ext - 3
			}
			g.arrived(arrive, at)
			came[uint16(arrive)] = true
			seqs, _ := g.due(at, nil)
			for _, s := range seqs {
				asks[s]++
				if came[s] || asks[s] > mostAsks {
					t.Fatalf("%d asked for %d times, came: %v", s, asks[s], came[s])
				}
			}
			if len(g.missing) > mostMissing {
				t.Fatalf("%d on the list", len(g.missing))
			}
		}
		if _, idle := g.due(at+missingFor+1, nil); !idle {
			t.Fatal("old gaps stay")
		}
	})
}

func TestChaseSleepsUntilNeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, done, all := newGaps(), make(chan struct{}), make(chan []uint16, 10)
		over := make(chan struct{})
		go func() { g.chase(done, func(s []uint16) { all <- slices.Clone(s) }); close(over) }()
		g.arrived(1, now())
		g.arrived(3, now())
		if got := <-all; !slices.Equal(got, []uint16{2}) {
			t.Fatalf("asked %v", got)
		}
		g.arrived(2, now())
		time.Sleep(time.Hour) // of the bubble
		if len(all) > 0 {
			t.Fatalf("asked %v though nothing is missed", <-all)
		}
		close(done)
		<-over
	})
}
