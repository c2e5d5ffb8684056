// Package fragment writes access units as fragmented MP4 (ISO/IEC 14496-12): an init segment that says what is in it, and
// fragments that each play after it. Recording and HLS both are a Packager with a Sink of their own. Nothing is
// transcoded; H.264, VP9, AV1 and Opus fit, VP8 does not.
package fragment

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4/seekablebuffer"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4"

	"github.com/duoduopin/duoduopin/stream/units"
)

// Track ids and time scales, in ticks per second.
const (
	videoID    = 1
	audioID    = 2
	videoScale = 90_000
	audioScale = 48_000
)

// Format is the tracks that a run of fragments has; nil: there is none.
type Format struct {
	Video, Audio mp4.Codec
}

// Init gives the init segment (ftyp and moov).
func (f Format) Init() ([]byte, error) {
	var in fmp4.Init
	if f.Video != nil {
		in.Tracks = append(in.Tracks, &fmp4.InitTrack{ID: videoID, TimeScale: videoScale, Codec: f.Video})
	}
	if f.Audio != nil {
		in.Tracks = append(in.Tracks, &fmp4.InitTrack{ID: audioID, TimeScale: audioScale, Codec: f.Audio})
	}
	var b seekablebuffer.Buffer
	if err := in.Marshal(&b); err != nil {
		return nil, fmt.Errorf("init segment: %w", err)
	}
	return b.Bytes(), nil
}

// Codecs gives the format as the codecs parameter of RFC 6381, for H.264 and Opus.
func (f Format) Codecs() string {
	var all []string
	if c, ok := f.Video.(*mp4.CodecH264); ok {
		all = append(all, fmt.Sprintf("avc1.%02x%02x%02x", c.SPS[1], c.SPS[2], c.SPS[3]))
	}
	if f.Audio != nil {
		all = append(all, "opus")
	}
	return strings.Join(all, ",")
}

// sameVideo reports whether two video codecs have the same parameters, so that one init segment serves both.
func sameVideo(a, b mp4.Codec) bool {
	switch x := a.(type) {
	case *mp4.CodecH264:
		y, ok := b.(*mp4.CodecH264)
		return ok && bytes.Equal(x.SPS, y.SPS) && bytes.Equal(x.PPS, y.PPS)
	case *mp4.CodecVP9:
		y, ok := b.(*mp4.CodecVP9)
		return ok && *x == *y
	case *mp4.CodecAV1:
		y, ok := b.(*mp4.CodecAV1)
		return ok && bytes.Equal(x.SequenceHeader, y.SequenceHeader)
	}
	return b == nil
}

// Fits reports whether MP4 has a place for a codec's pictures.
func Fits(codec string) bool { return codec == "h264" || codec == "vp9" || codec == "av1" }

// videoCodec reads a key frame's parameters; nil if they are not all there.
func videoCodec(u *units.Unit) mp4.Codec {
	switch u.Codec {
	case "h264":
		if len(u.SPS) < 4 || len(u.PPS) == 0 {
			return nil
		}
		return checked(&mp4.CodecH264{SPS: u.SPS, PPS: u.PPS})
	case "vp9":
		var h vp9.Header
		if h.Unmarshal(u.Parts[0]) != nil || h.NonKeyFrame || h.ColorConfig == nil || h.FrameSize == nil {
			return nil
		}
		return checked(&mp4.CodecVP9{
			Width: h.Width(), Height: h.Height(), Profile: h.Profile, BitDepth: h.ColorConfig.BitDepth,
			ChromaSubsampling: h.ChromaSubsampling(), ColorRange: h.ColorConfig.ColorRange,
		})
	case "av1":
		for _, obu := range u.Parts {
			var h av1.OBUHeader
			if h.Unmarshal(obu) == nil && h.Type == av1.OBUTypeSequenceHeader {
				return checked(&mp4.CodecAV1{SequenceHeader: obu})
			}
		}
	}
	return nil
}

// checked refuses parameters of which no init segment can be made: they are a stranger's bytes.
func checked(c mp4.Codec) mp4.Codec {
	if _, err := (Format{Video: c}).Init(); err != nil {
		return nil
	}
	return c
}

// sample gives a video unit's payload as MP4 has it.
func sample(u *units.Unit) ([]byte, error) {
	switch u.Codec {
	case "h264":
		out := make([]byte, 0, u.Size()+4*len(u.Parts))
		for _, nal := range u.Parts {
			n := len(nal)
			out = append(out, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
			out = append(out, nal...)
		}
		return out, nil
	case "av1":
		return av1.Bitstream(u.Parts).Marshal()
	}
	return u.Parts[0], nil
}
