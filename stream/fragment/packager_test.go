package fragment_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"github.com/duoduopin/duoduopin/stream/feed"
	"github.com/duoduopin/duoduopin/stream/fragment"
	"github.com/duoduopin/duoduopin/stream/internal/tape"
	"github.com/duoduopin/duoduopin/stream/units"
)

var start = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// reel is a Sink that keeps everything.
type reel struct {
	formats   []fragment.Format
	inits     [][]byte
	fragments [][]fragment.Fragment
}

func (r *reel) Begin(f fragment.Format, head []byte, _ time.Time) {
	r.formats, r.inits, r.fragments = append(r.formats, f), append(r.inits, head), append(r.fragments, nil)
}

func (r *reel) Fragment(f fragment.Fragment) {
	n := len(r.fragments) - 1
	r.fragments[n] = append(r.fragments[n], f)
}

// machine is a Source whose one anchor goes through an Assembler and a Packager at once.
type machine struct {
	*tape.Source
	reel reel
	p    *fragment.Packager
	a    *units.Assembler
}

func (m *machine) Take(p *feed.Packet) {
	c := *p
	c.Payload = bytes.Clone(p.Payload)
	m.a.Push(&c)
}

func newMachine(a *tape.Anchor) *machine {
	m := &machine{Source: tape.New(start)}
	m.p = fragment.NewPackager(fragment.Policy{Part: 400 * time.Millisecond, Segment: time.Second, Max: 4 * time.Second}, &m.reel)
	m.a = units.NewAssembler(units.Window{Age: 100 * time.Millisecond, Packets: 64}, m.p.Add)
	m.Put("anna", a)
	m.Follow(1, "anna", m, true)
	return m
}

// read parses every fragment of one format and checks that each track is without holes; it gives each track's end in
// seconds.
func (r *reel) read(t *testing.T, n int) map[int]float64 {
	t.Helper()
	var in fmp4.Init
	if err := in.Unmarshal(bytes.NewReader(r.inits[n])); err != nil {
		t.Fatal("init:", err)
	}
	ends := map[int]uint64{}
	for i, f := range r.fragments[n] {
		var parts fmp4.Parts
		if err := parts.Unmarshal(f.Data); err != nil {
			t.Fatal(err)
		}
		for _, tr := range parts[0].Tracks {
			if was, ok := ends[tr.ID]; ok && was != tr.BaseTime {
				t.Errorf("format %d, fragment %d, track %d begins at %d, the one before ended at %d", n, i, tr.ID, tr.BaseTime, was)
			}
			ends[tr.ID] = tr.BaseTime
			for _, s := range tr.Samples {
				ends[tr.ID] += uint64(s.Duration)
			}
			if tr.ID == 1 && tr.Samples[0].IsNonSyncSample == f.Key {
				t.Errorf("format %d, fragment %d: key frame %t, but told %t", n, i, !tr.Samples[0].IsNonSyncSample, f.Key)
			}
		}
	}
	seconds := map[int]float64{}
	for _, tr := range in.Tracks {
		seconds[tr.ID] = float64(ends[tr.ID]) / float64(tr.TimeScale)
	}
	return seconds
}

func TestPackages(t *testing.T) {
	for _, row := range []struct {
		name   string
		anchor *tape.Anchor
		play   func(m *machine)
		want   string // per format: tracks' ends in whole tenths of a second
	}{
		{"picture and sound", &tape.Anchor{Codec: "h264"}, func(m *machine) { m.Play(10 * time.Second) }, "[1:10.0 2:10.0]"},
		{"picture alone", &tape.Anchor{Codec: "h264", Mute: true}, func(m *machine) { m.Play(10 * time.Second) }, "[1:10.0]"},
		{"sound alone", &tape.Anchor{}, func(m *machine) { m.Play(10 * time.Second) }, "[2:10.0]"},
		{"vp9", &tape.Anchor{Codec: "vp9"}, func(m *machine) { m.Play(4 * time.Second) }, "[1:4.0 2:4.0]"},
		{"av1", &tape.Anchor{Codec: "av1"}, func(m *machine) { m.Play(4 * time.Second) }, "[1:4.0 2:4.0]"},
		{"vp8: its sound", &tape.Anchor{Codec: "vp8"}, func(m *machine) { m.Play(4 * time.Second) }, "[2:4.0]"},
		{"a large picture from now on", &tape.Anchor{Codec: "h264"}, func(m *machine) {
			m.Play(4 * time.Second)
			m.Put("anna", &tape.Anchor{Codec: "h264", Large: true, Run: 1})
			m.Play(4 * time.Second)
		}, "[1:4.0 2:4.0][1:4.0 2:4.0]"},
		{"muted for 5 s: silence", &tape.Anchor{Codec: "h264"}, func(m *machine) {
			m.Play(2 * time.Second)
			m.Put("anna", &tape.Anchor{Codec: "h264", Mute: true, Run: 1})
			m.Play(5 * time.Second)
		}, "[1:2.0 2:2.0][1:5.0]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			m := newMachine(row.anchor)
			row.play(m)
			m.p.Flush()
			if m.p.Err() != nil {
				t.Fatal(m.p.Err())
			}
			got := ""
			for n := range m.reel.formats {
				ends := m.reel.read(t, n)
				s := ""
				for id := 1; id <= 2; id++ {
					if e, ok := ends[id]; ok {
						s += fmt.Sprintf(" %d:%.1f", id, e)
					}
				}
				got += "[" + s[1:] + "]"
			}
			if got != row.want {
				t.Errorf("got %s, want %s", got, row.want)
			}
		})
	}
}

func TestMuteBecomesSilence(t *testing.T) {
	a := &tape.Anchor{Codec: "h264"}
	m := newMachine(a)
	m.Play(2 * time.Second)
	a.Mute = true
	m.Play(5 * time.Second)
	a.Mute = false
	m.Play(3 * time.Second)
	m.p.Flush()
	ends := m.reel.read(t, 0)
	if len(m.reel.formats) != 1 || ends[1]-ends[2] > 0.1 {
		t.Errorf("%d formats, ends %v", len(m.reel.formats), ends)
	}
}

func TestLossLeavesNoBrokenFrames(t *testing.T) {
	n := 0
	a := &tape.Anchor{Codec: "h264", Drop: func(p *feed.Packet) bool { n++; return p.Video && n%97 == 0 }}
	m := newMachine(a)
	m.Play(20 * time.Second)
	m.p.Flush()
	ends := m.reel.read(t, 0)
	if m.a.Lost == 0 || ends[1] < 18 || ends[2] < 19.5 {
		t.Errorf("gaps given up %d, ends %v", m.a.Lost, ends)
	}
}

func TestPartsAndSegments(t *testing.T) {
	m := newMachine(&tape.Anchor{Codec: "h264"})
	m.Play(10 * time.Second)
	all := m.reel.fragments[0]
	for i, f := range all[:len(all)-1] {
		if f.Segment && !f.Key {
			t.Errorf("fragment %d begins a segment without a key frame", i)
		}
		if f.Duration > 400*time.Millisecond || (f.Duration < 340*time.Millisecond && !all[i+1].Segment) {
			t.Errorf("fragment %d takes %v", i, f.Duration)
		}
	}
}
