// Package feed is what a recorder, an HLS muxer or another process takes from a live room: an anchor's packets as they
// came from the publisher, in plain values. Package stream gives it, those packages take it.
package feed

import "time"

// Packet is one RTP packet of an anchor's track (RFC 3550), without header extensions and padding.
type Packet struct {
	Video   bool   // else sound
	Codec   string // "h264", "vp8", "vp9", "av1", "opus"
	FMTP    string // the publisher's format parameters, such as "profile-level-id=42e01f;packetization-mode=1"
	Rate    int    // RTP clock, in Hz
	Run     int    // counts the publisher's connections and layers: when it changes, Ext, TS and codec begin anew
	Ext     uint64 // sequence number with roll-overs counted in; a repeated packet may come late, never twice
	TS      uint32
	Marker  bool
	Key     bool      // first packet of a key frame
	At      time.Time // when it was captured, by our clock
	Payload []byte    // valid during the call only
}

// Taker takes packets. It must not block: it is called on the media path.
type Taker interface{ Take(p *Packet) }

// Source gives the packets of live sessions.
type Source interface {
	// Follow gives t every packet of an anchor from now on, picture (the best layer) and sound, over the anchor's coming
	// and going, until stop is called. Calls of Take come one after another. With want true a key frame is asked of the
	// publisher at least every two seconds, so that segments can begin.
	Follow(session int64, anchor string, t Taker, want bool) (stop func())
	// OnAir gives the anchors of a session whose media is coming in, in the order in which they first appeared.
	OnAir(session int64) []string
}
