package fragment

import (
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"github.com/duoduopin/duoduopin/stream/units"
)

// lane is one track's samples on their way into a fragment. All times are ticks of the track since the origin.
type lane struct {
	id      int
	scale   int64
	line    units.Timeline
	samples []*fmp4.Sample // whole ones, not yet cut
	base    int64          // where the first of them begins
	pending *fmp4.Sample   // the newest; it lasts until the next begins
	at      int64          // where pending begins, without one: where the next may begin
	last    int64          // how long the sample before pending took
}

// ticks gives the time of t since origin.
func (l *lane) ticks(origin, t time.Time) int64 {
	d := t.Sub(origin)
	sec, rest := d/time.Second, d%time.Second
	return int64(sec)*l.scale + int64(rest)*l.scale/int64(time.Second)
}

// time is the opposite of ticks.
func (l *lane) time(ticks int64) time.Duration {
	return time.Duration(ticks/l.scale)*time.Second + time.Duration(ticks%l.scale)*time.Second/time.Duration(l.scale)
}

// add puts a sample at time at, which ends the one before.
func (l *lane) add(at int64, s *fmp4.Sample) {
	if l.pending != nil {
		at = max(at, l.at+1)
		l.close(at)
	} else if len(l.samples) == 0 {
		l.base = max(at, l.at)
		at = l.base
	}
	l.pending, l.at = s, at
}

// close ends the pending sample at time end.
func (l *lane) close(end int64) {
	l.last = end - l.at
	l.pending.Duration = uint32(l.last) //nolint:gosec // at most seconds
	l.samples = append(l.samples, l.pending)
	l.pending, l.at = nil, end
}

// cut gives the whole samples as a track of a fragment; nil if there are none.
func (l *lane) cut() *fmp4.PartTrack {
	if len(l.samples) == 0 {
		return nil
	}
	t := &fmp4.PartTrack{ID: l.id, BaseTime: uint64(l.base), Samples: l.samples} //nolint:gosec // never negative
	l.samples, l.base = nil, l.at
	return t
}

// Sound that is missing: how long a hole may be before it is filled, and how far behind the picture sound may be when a
// fragment is cut before silence takes its place.
const (
	hole      = audioScale * 60 / 1000
	behind    = audioScale * 600 / 1000
	leaveOpen = audioScale * 200 / 1000
	frame     = audioScale * 20 / 1000
)

// addSound is add for a packet of Opus: a hole before it becomes silence, because players stop where a track has a hole.
func (l *lane) addSound(at int64, packet []byte) {
	if at < l.at {
		if l.pending == nil && l.at-at > hole {
			return // silence stands there already
		}
		at = l.at
	}
	if l.pending != nil {
		if long := opus.PacketDuration2(l.pending.Payload); long > 0 && at-l.at-long > hole {
			l.fill(at)
		}
	} else if l.at > 0 { // silence stands before it
		if at-l.at > hole {
			l.fill(at)
		}
		at = l.at
	}
	l.add(at, &fmp4.Sample{Payload: packet})
}

// fill puts silence after the pending packet, up to nearly end. It needs something before it: the first sound just begins
// where it begins.
func (l *lane) fill(end int64) {
	if l.pending != nil {
		long := opus.PacketDuration2(l.pending.Payload)
		if long <= 0 {
			long = frame
		}
		l.close(l.at + long)
	}
	for l.at+2*frame <= end {
		l.add(l.at, &fmp4.Sample{Payload: silence()})
		l.close(l.at + frame)
	}
	if len(l.samples) > 0 && l.at < end { // the rest: the last one takes it
		rest := end - l.at
		l.samples[len(l.samples)-1].Duration += uint32(rest) //nolint:gosec // less than 40 ms
		l.at = end
	}
}

// catchUp fills with silence what sound is behind the picture's end, unless it is only late.
func (l *lane) catchUp(end int64) {
	now := l.at
	if l.pending != nil {
		now += opus.PacketDuration2(l.pending.Payload)
	}
	if end-now > behind {
		l.fill(end - leaveOpen)
	}
}

// silence is 20 ms of nothing (RFC 6716, section 3.1: CELT, full band, stereo, one frame).
func silence() []byte { return []byte{0xfc, 0xff, 0xfe} }
