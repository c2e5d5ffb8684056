package units

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/stream/feed"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// picture is a one-packet frame number n: a key frame every ten.
func picture(n int) feed.Packet {
	p := feed.Packet{Video: true, Codec: "h264", Rate: 90000, Ext: uint64(1000 + n), TS: uint32(n * 3000), Marker: true, At: start.Add(time.Duration(n) * 33 * time.Millisecond)}
	p.Payload = []byte{0x61, byte(n)}
	if n%10 == 0 {
		p.Key = true
		p.Payload = []byte{24, 0, 4, 0x67, 1, 2, 3, 0, 2, 0x68, 9, 0, 2, 0x65, byte(n)}
	}
	return p
}

func TestOrder(t *testing.T) {
	for _, row := range []struct {
		name string
		send []int
		want string // frames; K before key frames
		lost uint64
	}{
		{"in order", []int{0, 1, 2, 3}, "K0 1 2 3", 0},
		{"begins within a group", []int{7, 8, 9, 10, 11}, "K10 11", 0},
		{"two changed places", []int{0, 2, 1, 3}, "K0 1 2 3", 0},
		{"repeated", []int{0, 1, 1, 0, 2}, "K0 1 2", 0},
		{"one comes late, still in time", []int{0, 1, 3, 4, 2, 5}, "K0 1 2 3 4 5", 0},
		{"one never comes: on at the next key frame", []int{0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, "K0 1 K10 11 12", 1},
		{"and comes when nobody waits any more", []int{0, 1, 3, 4, 5, 6, 7, 2, 8, 9, 10, 11}, "K0 1 K10 11", 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			var got []string
			a := NewAssembler(Window{Age: 100 * time.Millisecond, Packets: 64}, func(u *Unit) {
				last := u.Parts[len(u.Parts)-1]
				got = append(got, strings.Repeat("K", len(u.Parts)/3)+fmt.Sprint(last[1]))
				if u.Key != (len(u.Parts) == 3) || len(u.SPS) != 4 || len(u.PPS) != 2 {
					t.Errorf("unit %+v", u)
				}
			})
			for _, n := range row.send {
				p := picture(n)
				a.Push(&p)
			}
			if s := strings.Join(got, " "); s != row.want || a.Lost != row.lost {
				t.Errorf("got %s with %d gaps, want %s with %d", s, a.Lost, row.want, row.lost)
			}
		})
	}
}

// TestShuffled: whatever order packets come in, within the window nothing is lost.
func TestShuffled(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want, a := 0, NewAssembler(Window{Age: time.Hour, Packets: 64}, nil)
		a.emit = func(u *Unit) {
			if last := u.Parts[len(u.Parts)-1]; int(last[1]) != want {
				t.Fatalf("got %d, want %d", last[1], want)
			}
			want++
		}
		p := picture(0)
		a.Push(&p)
		for block := 1; block < 200; block += 20 {
			order := make([]int, min(20, 200-block))
			for i := range order {
				order[i] = block + i
			}
			for _, n := range rapid.Permutation(order).Draw(t, "order") {
				p := picture(n)
				a.Push(&p)
			}
		}
		if want != 200 {
			t.Fatalf("%d frames", want)
		}
	})
}

func TestClockRollsOver(t *testing.T) {
	var ts []int64
	a := NewAssembler(Window{Packets: 8, Age: time.Second}, func(u *Unit) { ts = append(ts, u.TS) })
	for i := range 4 {
		a.Push(&feed.Packet{Codec: "opus", Rate: 48000, Ext: uint64(i), TS: uint32(1<<32 - 1920 + i*960), At: start, Payload: []byte{1}})
	}
	if fmt.Sprint(ts) != "[0 960 1920 2880]" {
		t.Error(ts)
	}
}

func TestFragmentedNAL(t *testing.T) {
	var got *Unit
	a := NewAssembler(Window{Packets: 8, Age: time.Second}, func(u *Unit) { got = u })
	for i, payload := range [][]byte{{0x67, 1, 2, 3}, {0x68, 1}, {0x7c, 0x85, 1, 2}, {0x7c, 0x05, 3}, {0x7c, 0x45, 4}} {
		a.Push(&feed.Packet{Video: true, Codec: "h264", Rate: 90000, Ext: uint64(i), Marker: i == 4, At: start, Payload: payload})
	}
	if got == nil || !bytes.Equal(got.Parts[2], []byte{0x65, 1, 2, 3, 4}) || !got.Key {
		t.Errorf("%+v", got)
	}
}

func TestParametersFromTheOffer(t *testing.T) {
	var got *Unit
	a := NewAssembler(Window{Packets: 8, Age: time.Second}, func(u *Unit) { got = u })
	a.Push(&feed.Packet{Video: true, Codec: "h264", FMTP: "packetization-mode=1; sprop-parameter-sets=Z0IACpZTBYmI,aMljiA==", Rate: 90000, Marker: true, At: start, Payload: []byte{0x65, 1}})
	if got == nil || len(got.SPS) != 9 || len(got.PPS) != 4 {
		t.Errorf("%+v", got)
	}
}

// TestTimelinesStayTogether: two clocks that differ by 100 ppm, capture times that tremble by 5 ms, ten hours.
func TestTimelinesStayTogether(t *testing.T) {
	var l Timeline
	worst := time.Duration(0)
	for i := range 10 * 3600 * 25 {
		real := start.Add(time.Duration(i) * 40 * time.Millisecond)
		u := &Unit{Rate: 90000, TS: int64(i)*3600 + int64(i)*36/100, At: real.Add(time.Duration(i%11-5) * time.Millisecond)}
		worst = max(worst, l.Place(u).Sub(real).Abs())
	}
	if worst > 40*time.Millisecond {
		t.Errorf("off by %v", worst)
	}
}

func TestQueueDropsToTheNextKeyFrame(t *testing.T) {
	q := NewQueue()
	for i := range maxQueuedCount + 500 {
		p := picture(i)
		q.Take(&p)
	}
	all, err := q.Next(context.Background())
	if err != nil || len(all) != maxQueuedCount || q.Dropped() != 500 {
		t.Fatalf("%d packets, %d dropped, %v", len(all), q.Dropped(), err)
	}
	for i := maxQueuedCount + 501; i < maxQueuedCount+530; i++ {
		p := picture(i)
		q.Take(&p)
	}
	all, _ = q.Next(context.Background())
	if len(all) == 0 || !all[0].Key {
		t.Errorf("goes on with %+v", all)
	}
	if n := testing.AllocsPerRun(1000, func() { p := picture(10); q.put(&p); q.packets, q.bytes = q.packets[:0], 0 }); n > 2 {
		t.Errorf("%v allocations a packet", n) // the test's own packet among them
	}
}

func FuzzAssembler(f *testing.F) {
	for n := range 11 {
		p := picture(n)
		f.Add(p.Payload, uint8(n), true)
	}
	for _, codec := range []uint8{1, 2, 3, 4} {
		f.Add([]byte{0x90, 0x80, 1, 2, 3}, codec, false)
	}
	f.Fuzz(func(t *testing.T, payload []byte, n uint8, marker bool) {
		codec := []string{"h264", "vp8", "vp9", "av1", "opus"}[n%5]
		a := NewAssembler(Window{Packets: 8, Age: time.Second}, func(u *Unit) {
			if u.Size() == 0 || (u.Codec == "h264" && u.Size() > 2*len(payload)+2) {
				t.Errorf("%d bytes of %d", u.Size(), len(payload))
			}
		})
		for i, b := range [][]byte{payload, payload[len(payload)/2:]} {
			a.Push(&feed.Packet{Video: codec != "opus", Codec: codec, Rate: 90000, Ext: uint64(i), TS: uint32(n), Marker: marker || i == 1, Key: true, At: start, Payload: b})
		}
	})
}
