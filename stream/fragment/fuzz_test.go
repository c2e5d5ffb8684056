package fragment_test

import (
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"github.com/duoduopin/duoduopin/stream/fragment"
	"github.com/duoduopin/duoduopin/stream/units"
)

// check is a Sink that parses what comes.
type check struct{ t *testing.T }

func (check) Begin(fragment.Format, []byte, time.Time) {}

func (c check) Fragment(f fragment.Fragment) {
	var p fmp4.Parts
	if err := p.Unmarshal(f.Data); err != nil {
		c.t.Error(err)
	}
}

// FuzzPackager gives strangers' parameter sets, frames, sound and times to a Packager.
func FuzzPackager(f *testing.F) {
	f.Add([]byte{0x67, 0x42, 0xc0, 0x0b, 0xda, 0x0a, 0x1c, 0xb0, 0x16, 0xe8}, []byte{0x68, 0xce, 0x3c, 0x80}, []byte{0x65, 1, 2}, int64(3600), uint8(0))
	f.Add([]byte{}, []byte{}, []byte{0x82, 0x49, 0x83, 0x42, 0, 9, 0xf0, 5, 0x90}, int64(-1), uint8(1))
	f.Add([]byte{}, []byte{}, []byte{0x0a, 0x0b, 0, 0, 0}, int64(1)<<40, uint8(2))
	f.Fuzz(func(t *testing.T, sps, pps, data []byte, step int64, kind uint8) {
		if len(data) == 0 {
			return // an Assembler gives none
		}
		p := fragment.NewPackager(fragment.Policy{Part: 400 * time.Millisecond, Segment: time.Second, Max: 4 * time.Second}, check{t})
		codec := []string{"h264", "vp9", "av1"}[kind%3]
		at := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
		for i := range int64(40) {
			at = at.Add(40 * time.Millisecond)
			p.Add(&units.Unit{Video: true, Codec: codec, Rate: 90000, TS: i * step, At: at, Key: i%10 == 0, Parts: [][]byte{data}, SPS: sps, PPS: pps})
			p.Add(&units.Unit{Codec: "opus", Rate: 48000, TS: i * step, At: at, Key: true, Parts: [][]byte{data}})
		}
		p.Flush()
	})
}
