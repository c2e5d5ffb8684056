package pace

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// three is a picture in three layers, sent at rank now.
func three(now int) Seat {
	return Seat{Layers: []Layer{{3, 2_500_000}, {1, 150_000}, {2, 500_000}}, Now: now, Most: 3}
}

func focused(s Seat) Seat { s.Focus = true; return s }

func TestAllocate(t *testing.T) {
	smooth, stopped, forced := three(0), three(3), three(0)
	smooth.Most, stopped.Stopped, forced.Most = 1, true, 0
	single := Seat{Layers: []Layer{{3, 2_500_000}}, Most: 1}
	unknown := Seat{Layers: []Layer{{1, 0}, {2, 0}, {3, 0}}, Most: 3}
	rows := []struct {
		name     string
		estimate int
		seats    []Seat
		overused bool
		ranks    []int
		next     int
	}{
		{"everything fits", 5_000_000, []Seat{three(0)}, false, []int{3}, 0},
		{"a step up needs headroom", 2_600_000, []Seat{three(2)}, false, []int{2}, 2_911_800},
		{"who is there may stay", 2_600_000, []Seat{three(3)}, false, []int{3}, 0},
		{"who does not fit falls", 2_500_000, []Seat{three(3)}, false, []int{2}, 2_911_800},
		{"two steps down at once", 300_000, []Seat{three(3)}, false, []int{1}, 611_800},
		{"no step up while overused", 5_000_000, []Seat{three(1)}, true, []int{1}, 611_800},
		{"the lowest goes on with half of it", 110_000, []Seat{three(1)}, false, []int{1}, 611_800},
		{"but not while overused", 110_000, []Seat{three(1)}, true, []int{0}, 144_500},
		{"sound alone", 60_000, []Seat{three(1)}, false, []int{0}, 144_500},
		{"a picture begins", 150_000, []Seat{three(0)}, false, []int{1}, 611_800},
		{"smooth", 5_000_000, []Seat{smooth}, false, []int{1}, 0},
		{"a choice below everything is the lowest", 5_000_000, []Seat{forced}, false, []int{1}, 0},
		{"stopped", 5_000_000, []Seat{stopped}, false, []int{0}, 0},
		{"one layer is always sent", 60_000, []Seat{single}, true, []int{3}, 0},
		{"no layers", 5_000_000, []Seat{{Most: 3}}, false, []int{0}, 0},
		{"layers not measured yet", 1_000_000, []Seat{unknown}, false, []int{2}, 2_911_800},
		{"the focused one first", 3_400_000, []Seat{three(0), focused(three(0))}, false, []int{1, 3}, 3_486_800},
		{"then the other", 6_500_000, []Seat{three(0), focused(three(0))}, false, []int{3, 3}, 0},
		{"equals share", 1_500_000, []Seat{three(0), three(0)}, false, []int{2, 2}, 3_486_800},
		{"others stay lowest in a crowd", 50_000_000, []Seat{three(3), three(3), focused(three(3)), three(3)}, false, []int{1, 1, 3, 1}, 0},
		{"everyone the lowest before anyone more", 500_000, []Seat{focused(three(0)), three(0), three(0)}, false, []int{1, 1, 1}, 956_800},
		{"the focused one keeps its picture longest", 150_000, []Seat{three(0), three(0), focused(three(0))}, false, []int{0, 0, 1}, 294_500},
		{"stopped ones are no crowd", 6_500_000, []Seat{three(0), focused(three(0)), stopped}, false, []int{3, 3, 0}, 0},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			ranks, next := Allocate(row.estimate, 32_000, row.seats, row.overused)
			if !slices.Equal(ranks, row.ranks) || next != row.next {
				t.Errorf("ranks %v, next %d; want %v, %d", ranks, next, row.ranks, row.next)
			}
		})
	}
}

// Ranks exist, respect choices, fit, and are settled: allocating again with what was given changes nothing.
func TestAllocateProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seats := rapid.SliceOfN(rapid.Custom(anySeat), 0, 6).Draw(t, "seats")
		estimate, audio := rapid.IntRange(Lowest, 20_000_000).Draw(t, "estimate"), rapid.IntRange(0, 200_000).Draw(t, "audio")
		ranks, next := Allocate(estimate, audio, seats, false)
		if next < 0 {
			t.Fatalf("next %d", next)
		}
		used, lowest := audio, audio
		for i, s := range seats {
			if ranks[i] != 0 {
				if s.Stopped || s.bitrate(ranks[i]) == 0 {
					t.Fatalf("seat %d: rank %d", i, ranks[i])
				}
				used += s.bitrate(ranks[i])
				low, _ := s.above(0)
				lowest += low.guess()
				if ranks[i] > max(s.Most, low.Rank) {
					t.Fatalf("seat %d: rank %d against its choice", i, ranks[i])
				}
			}
			seats[i].Now = ranks[i]
		}
		if used > max(estimate, lowest) {
			t.Fatalf("%d bit/s given of %d", used, estimate)
		}
		if again, _ := Allocate(estimate, audio, seats, false); !slices.Equal(again, ranks) {
			t.Fatalf("%v, then %v", ranks, again)
		}
	})
}

func anySeat(t *rapid.T) Seat {
	s := Seat{
		Now: rapid.IntRange(0, 3).Draw(t, "now"), Focus: rapid.Bool().Draw(t, "focus"),
		Most: rapid.IntRange(1, 3).Draw(t, "most"), Stopped: rapid.IntRange(0, 4).Draw(t, "stopped") == 0,
	}
	for rank := 1; rank <= 3; rank++ {
		if rapid.Bool().Draw(t, "has") {
			s.Layers = append(s.Layers, Layer{rank, rapid.IntRange(0, 5_000_000).Draw(t, "bitrate")})
		}
	}
	return s
}

func BenchmarkAppendRanks(b *testing.B) {
	seats := []Seat{focused(three(3)), three(1), three(1), three(1), three(1)}
	buf := make([]int, 0, len(seats))
	b.ReportAllocs()
	for b.Loop() {
		AppendRanks(buf[:0], 2_000_000, 5*32_000, seats, false)
	}
}
