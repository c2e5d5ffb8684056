package hls

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4"
)

// playlist writes the media playlist as it now stands (RFC 8216bis, section 4.4). c.mu must be held.
func (c *channel) playlist() []byte {
	var b strings.Builder
	all := c.segments
	discontinuities := c.lost
	for len(all)-1 > listed {
		if all[0].cut {
			discontinuities++
		}
		all = all[1:]
	}
	longest, longestPart := longest(all)
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:10\n#EXT-X-TARGETDURATION:%.0f\n", longest.Seconds())
	fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=%.3f\n", (3 * longestPart).Seconds())
	fmt.Fprintf(&b, "#EXT-X-PART-INF:PART-TARGET=%.3f\n", longestPart.Seconds())
	fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", all[0].seq, discontinuities)
	init := ""
	for i, s := range all {
		if s.cut {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if s.init != init {
			init = s.init
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=\"%s\"\n", init)
		}
		writeSegment(&b, s, len(all)-i <= 3, i == len(all)-1)
	}
	fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s\"\n", c.hint())
	return []byte(b.String())
}

// longest gives the target durations: ours, unless a picture stood still for so long that a segment or part is longer.
func longest(all []*segment) (whole, piece time.Duration) {
	whole, piece = target, partTime
	for _, s := range all {
		whole = max(whole, s.duration)
		for _, p := range s.parts {
			piece = max(piece, p.duration)
		}
	}
	return whole, piece
}

// writeSegment writes one segment: with its parts near the live edge, without a name while it is being written.
func writeSegment(b *strings.Builder, s *segment, parts, open bool) {
	fmt.Fprintf(b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", s.at.UTC().Format("2006-01-02T15:04:05.000Z"))
	if parts {
		for _, p := range s.parts {
			independent := ""
			if p.key {
				independent = ",INDEPENDENT=YES"
			}
			fmt.Fprintf(b, "#EXT-X-PART:DURATION=%.5f,URI=\"%s\"%s\n", p.duration.Seconds(), p.name, independent)
		}
	}
	if !open {
		fmt.Fprintf(b, "#EXTINF:%.5f,\n%s\n", s.duration.Seconds(), s.name)
	}
}

// multivariant writes the playlist that names the codecs and, relative to dir, the media playlist. c.mu must be held.
func (c *channel) multivariant(dir string) []byte {
	var b strings.Builder
	b.WriteString("#EXTM3U\n#EXT-X-VERSION:10\n")
	peak, mean := c.bandwidth()
	fmt.Fprintf(&b, "#EXT-X-STREAM-INF:BANDWIDTH=%d,AVERAGE-BANDWIDTH=%d,CODECS=\"%s\"", peak, mean, c.format.Codecs())
	if v, ok := c.format.Video.(*mp4.CodecH264); ok {
		var sps h264.SPS
		if sps.Unmarshal(v.SPS) == nil {
			fmt.Fprintf(&b, ",RESOLUTION=%dx%d", sps.Width(), sps.Height())
		}
	}
	if dir != "" {
		dir = url.PathEscape(dir) + "/"
	}
	fmt.Fprintf(&b, "\n%slive.m3u8\n", dir)
	return []byte(b.String())
}

// bandwidth gives the highest and the mean bit rate of the whole segments, in bit/s.
func (c *channel) bandwidth() (peak, mean int) {
	size, took := 0, time.Duration(0)
	for _, s := range c.segments[:c.whole()] {
		if s.duration > 0 {
			peak = max(peak, rate(s.whole.size, s.duration))
		}
		size, took = size+s.whole.size, took+s.duration
	}
	return max(peak, 1), max(rate(size, took), 1)
}

func rate(bytes int, d time.Duration) int {
	if d <= 0 {
		return 0
	}
	return int(float64(bytes) * 8 / d.Seconds())
}
