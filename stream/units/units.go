// Package units turns an anchor's RTP packets into access units: whole video frames and sound packets, in order. Packets
// may come late; a gap is given up after a while, and the picture then goes on at the next key frame, so that nothing that
// leaves here refers to a frame that was lost.
//
// A Queue takes the packets on the media path without ever waiting; an Assembler, in the goroutine that drains the queue,
// does the rest. Neither knows a wall clock: age is measured by the packets' own capture times.
package units

import (
	"time"

	"github.com/duoduopin/duoduopin/stream/feed"
)

// Unit is one video frame or one packet of sound.
type Unit struct {
	Video bool
	Codec string // as in feed.Packet
	Rate  int    // RTP clock, in Hz
	Run   int
	TS    int64     // RTP timestamp with roll-overs counted in; begins anew with each run
	At    time.Time // capture time of its first packet
	Key   bool      // a decoder can start here; always so for sound
	// Parts are H.264's NAL units, AV1's OBUs without size fields, else the one frame. They stay valid.
	Parts [][]byte
	// SPS and PPS are H.264's parameter sets as they stand at this unit, empty for other codecs.
	SPS, PPS []byte
}

// Size gives the unit's bytes.
func (u *Unit) Size() int {
	n := 0
	for _, p := range u.Parts {
		n += len(p)
	}
	return n
}

// Window says how long a gap is waited for: whichever bound is met first.
type Window struct {
	Age     time.Duration // between the capture of the oldest waiting packet and the newest
	Packets int
}

// maxUnit bounds a frame's bytes; a larger one is dropped.
const maxUnit = 8 << 20

// Assembler makes units of packets. It is not safe for concurrent use.
type Assembler struct {
	emit         func(*Unit)
	video, sound *track

	// Lost counts the gaps that were given up.
	Lost uint64
}

// NewAssembler gives every whole unit to emit, in each track's order.
func NewAssembler(w Window, emit func(*Unit)) *Assembler {
	a := &Assembler{emit: emit}
	a.video = &track{window: w, parent: a}
	a.sound = &track{window: w, parent: a}
	return a
}

// Push takes one packet and keeps its payload.
func (a *Assembler) Push(p *feed.Packet) {
	if p.Video {
		a.video.push(p)
		return
	}
	a.sound.push(p)
}
