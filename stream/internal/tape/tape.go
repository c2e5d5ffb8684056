// Package tape plays a short film as an anchor's packets: a feed.Source for the tests of what takes from one. Time passes
// only when Play is called.
package tape

import (
	"embed"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"

	"github.com/duoduopin/duoduopin/stream/feed"
)

//go:embed testdata
var films embed.FS //nolint:gochecknoglobals // embedded files

// Rates of the films.
const (
	frameTime = 40 * time.Millisecond
	soundTime = 20 * time.Millisecond
)

// Anchor is one publisher, whose settings may be changed between two calls of Play.
type Anchor struct {
	Codec string // "h264", "vp9", "av1", "vp8" (whose frames are nonsense), "" for sound alone
	Large bool   // the other H.264 film: 320x180 instead of 160x90
	Mute  bool   // no packets of sound
	Run   int
	FMTP  string
	Drop  func(p *feed.Packet) bool // packets that get lost

	played time.Duration
	ext    [2]uint64 // of sound and picture
	frame  int
	takers []*taker
}

type taker struct{ feed.Taker }

// Source plays any number of anchors, all in session 1.
type Source struct {
	mu      sync.Mutex
	start   time.Time
	anchors map[string]*Anchor
	order   []string
	asked   int // times that somebody wanted key frames
}

// New returns a Source whose first moment is start.
func New(start time.Time) *Source { return &Source{start: start, anchors: map[string]*Anchor{}} }

// Put makes an anchor be on air.
func (s *Source) Put(name string, a *Anchor) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.anchors[name]; old != nil {
		a.takers = old.takers
		a.played = old.played
	}
	s.anchors[name] = a
	if !slices.Contains(s.order, name) {
		s.order = append(s.order, name)
	}
}

// Leave takes an anchor off air; who follows hears of nothing, and goes on when there is something again.
func (s *Source) Leave(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order = slices.DeleteFunc(s.order, func(n string) bool { return n == name })
}

// Follow implements feed.Source.
func (s *Source) Follow(session int64, anchor string, t feed.Taker, want bool) (stop func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session != 1 {
		return func() {}
	}
	if want {
		s.asked++
	}
	a := s.anchors[anchor]
	if a == nil {
		a = &Anchor{}
		s.anchors[anchor] = a
	}
	me := &taker{t}
	a.takers = append(a.takers, me)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		now := s.anchors[anchor]
		now.takers = slices.DeleteFunc(now.takers, func(x *taker) bool { return x == me })
	}
}

// OnAir implements feed.Source.
func (s *Source) OnAir(session int64) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if session != 1 {
		return nil
	}
	return slices.Clone(s.order)
}

// Takers gives how many follow an anchor.
func (s *Source) Takers(anchor string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.anchors[anchor]; a != nil {
		return len(a.takers)
	}
	return 0
}

// Play sends d of every anchor who is on air.
func (s *Source) Play(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.order {
		a := s.anchors[name]
		for end := a.played + d; a.played < end; a.played += soundTime {
			a.step(s.start.Add(a.played))
		}
	}
}

func (a *Anchor) step(at time.Time) {
	if a.Codec != "" && a.played%frameTime == 0 {
		a.picture(at)
	}
	if !a.Mute {
		all := sounds()
		i := int(a.played / soundTime)
		a.send(false, &feed.Packet{Codec: "opus", Rate: 48000, TS: uint32(i * 960), Marker: i == 0, At: at, Payload: all[i%len(all)]}) //nolint:gosec // test
	}
}

func (a *Anchor) picture(at time.Time) {
	all := a.film()
	n := a.frame % len(all)
	a.frame++
	payloads := a.payloader().Payload(1200, all[n].data)
	for i, p := range payloads {
		a.send(true, &feed.Packet{
			Codec: a.Codec, FMTP: a.FMTP, Rate: 90000, TS: uint32(a.played / time.Millisecond * 90), At: at, //nolint:gosec // test
			Marker: i == len(payloads)-1, Key: i == 0 && all[n].key, Payload: p,
		})
	}
}

func (a *Anchor) send(video bool, p *feed.Packet) {
	track := 0
	if video {
		track = 1
	}
	p.Video, p.Run, p.Ext = video, a.Run, a.ext[track]
	a.ext[track]++
	if a.Drop != nil && a.Drop(p) {
		return
	}
	for _, t := range a.takers {
		t.Take(p)
	}
}

func (a *Anchor) payloader() rtp.Payloader {
	switch a.Codec {
	case "vp8":
		return &codecs.VP8Payloader{}
	case "vp9":
		return &codecs.VP9Payloader{}
	case "av1":
		return &codecs.AV1Payloader{}
	}
	return &codecs.H264Payloader{}
}

type picture struct {
	data []byte
	key  bool
}

func (a *Anchor) film() []picture {
	switch {
	case a.Codec == "vp9", a.Codec == "av1":
		return ivf("testdata/bars-" + a.Codec + ".ivf")
	case a.Codec == "vp8":
		return []picture{{data: make([]byte, 100), key: true}}
	case a.Large:
		return annexB("testdata/large.h264")
	}
	return annexB("testdata/bars.h264")
}

func read(name string) []byte {
	b, err := films.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}

// annexB splits a film into frames: what ends with a slice.
func annexB(name string) []picture {
	var all []picture
	var now picture
	for _, nal := range strings.Split(strings.ReplaceAll(string(read(name)), "\x00\x00\x00\x01", "\x00\x00\x01"), "\x00\x00\x01")[1:] {
		now.data = append(now.data, "\x00\x00\x00\x01"+nal...)
		switch nal[0] & 0x1f {
		case 5:
			now.key = true
			fallthrough
		case 1:
			all = append(all, now)
			now = picture{}
		}
	}
	return all
}

func ivf(name string) []picture {
	b := read(name)[32:]
	var all []picture
	for len(b) >= 12 {
		n := int(binary.LittleEndian.Uint32(b))
		all = append(all, picture{data: b[12 : 12+n], key: len(all) == 0})
		b = b[12+n:]
	}
	return all
}

func sounds() [][]byte {
	b := read("testdata/tone.opus")
	var all [][]byte
	for len(b) >= 2 {
		n := int(binary.BigEndian.Uint16(b))
		all = append(all, b[2:2+n])
		b = b[2+n:]
	}
	return all
}
