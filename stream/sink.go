package stream

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/stream/udp"
)

// sinkState is how far a sink is with its layer.
type sinkState int

const (
	idle     sinkState = iota // no layer
	waiting                   // for a key frame
	catching                  // sends the cached group of pictures; live packets are left to that
	live
)

// Pace of catching up: every paceEvery at least paceBytes, and more if the group would take over half a second.
const (
	paceEvery  = 5 * time.Millisecond
	paceBytes  = 8 << 10
	paceRounds = 100
	squeeze    = 16 // cached frames are shown this much faster, see sink.timestamp
)

// maxResend is how many packets a viewer gets again per second and m-line; more asks are not answered.
const maxResend = 1000

// sink is one sent m-line of a viewer. It takes a layer's packets and makes them one unbroken RTP stream of its own SSRC,
// whatever layer or publisher they come from. All of it is guarded by the viewer's lock.
type sink struct {
	v            *viewer
	id, streamID string
	kind         webrtc.RTPCodecType

	stream webrtc.TrackLocalWriter // of a PeerConnection; nil on a light line
	ssrc   uint32
	rtx    uint32 // SSRC of retransmissions, 0 = none
	codecs []webrtc.RTPCodecParameters

	layer  *layer
	ahead  *layer // the layer to go over to at its next key frame, nil if none
	state  sinkState
	pt     uint8
	rtxPT  uint8
	run    uint64 // first ext of this run: earlier ones are not ours
	from   uint64 // live: the ext from which live packets are sent (what came before was caught up with)
	next   uint64 // catching: the ext to send next
	pace   int    // catching: bytes per round
	offset uint64 // our number = ext - offset
	tsOff  uint32
	squash bool   // the run began with cached frames
	edgeTS uint32 // timestamp that was live when the run began

	started bool
	lastSeq uint64
	lastTS  uint32 // ours
	lastSrc uint32 // the layer's
	lastAt  int64
	rtxSeq  uint64
	packets uint32
	octets  uint32
	budget  int // resends left in this second
	out     outgoing
	number  [8]byte     // of a retransmission, and a descriptor after it
	vp8     *vp8Numbers // nil: another codec

	sent, bytes, nacks, resent, switches uint64
	waitingSince                         int64
	lost                                 uint32 // as the viewer reports
	lossNow                              uint8  // fraction of the last report, in 1/256
}

// Bind, Unbind, ID, RID, StreamID and Kind make a sink pion's TrackLocal. Bind only keeps what negotiation found.
func (k *sink) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	k.v.mu.Lock()
	defer k.v.mu.Unlock()
	codecs := c.CodecParameters()
	if len(codecs) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	k.stream = c.WriteStream()
	k.negotiated(codecs, uint32(c.SSRC()), uint32(c.SSRCRetransmission()))
	return codecs[0], nil
}

// Unbind ends sending.
func (k *sink) Unbind(webrtc.TrackLocalContext) error {
	k.v.mu.Lock()
	defer k.v.mu.Unlock()
	k.stream, k.codecs = nil, nil
	return nil
}

// ID is the track's id in the viewer's SDP.
func (k *sink) ID() string { return k.id }

// RID is empty: viewers get no simulcast.
func (k *sink) RID() string { return "" }

// StreamID is the media stream's id in the viewer's SDP.
func (k *sink) StreamID() string { return k.streamID }

// Kind is audio or video.
func (k *sink) Kind() webrtc.RTPCodecType { return k.kind }

func (k *sink) video() bool { return k.kind == webrtc.RTPCodecTypeVideo }

// shard is the fan-out worker of the sink's viewer.
func (k *sink) shard() int { return k.v.shard }

// negotiated keeps what the answer says.
func (k *sink) negotiated(codecs []webrtc.RTPCodecParameters, ssrc, rtx uint32) {
	k.codecs, k.ssrc, k.rtx, k.budget = codecs, ssrc, rtx, maxResend
}

// aim makes k send l: another layer of the same publisher from its next key frame on, so that nothing freezes; anything
// else from its last key frame in the cache, or from its next one. nil ends sending. It reports whether k has cached
// packets to catch up with, which is then the caller's to run (catchUp).
func (k *sink) aim(l *layer, now int64) bool {
	switch {
	case l == k.layer:
		k.drop(&k.ahead)
		return false
	case l != nil && l == k.ahead:
		return false
	case k.mayFollow(l, now):
		k.drop(&k.ahead)
		k.ahead = l
		l.add(k)
		l.askKey(now)
		return false
	}
	return k.attach(l, now)
}

// mayFollow: the picture goes on with the present layer until l has a key frame.
func (k *sink) mayFollow(l *layer, now int64) bool {
	return l != nil && k.video() && k.layer != nil && k.state == live && k.layer.owner == l.owner && k.layer.alive(now)
}

func (k *sink) drop(which **layer) {
	if *which != nil {
		(*which).remove(k)
		*which = nil
	}
}

func (k *sink) attach(l *layer, now int64) bool {
	k.drop(&k.ahead)
	k.drop(&k.layer)
	k.state = idle
	if l == nil || !k.choose(l.codec) {
		return false
	}
	k.layer, k.state, k.waitingSince = l, waiting, now
	l.add(k)
	return k.fromCache(now)
}

// nudge is called now and then: a sink that still waits may have missed its key frame while it could not send.
func (k *sink) nudge(now int64) bool {
	if k.ahead != nil {
		k.ahead.askKey(now)
	}
	return k.layer != nil && k.state == waiting && k.fromCache(now)
}

// fromCache turns waiting into catching if the layer has a whole group of pictures, else asks for a key frame.
func (k *sink) fromCache(now int64) bool {
	if !k.layer.video() {
		return false // sound starts at once, with the next packet
	}
	g, ok := k.layer.cache.group(now)
	if !ok {
		k.layer.askKey(now)
		return false
	}
	k.state, k.next, k.pace = catching, g.from, max(paceBytes, g.bytes/paceRounds)
	k.begin(g.from, g.fromTS, g.headTS, k.elapsed(now))
	return true
}

// choose takes the payload types for the layer's codec; false if the viewer can't play it.
func (k *sink) choose(c webrtc.RTPCodecCapability) bool {
	best, ok := pickCodec(c, k.codecs)
	if !ok {
		return false
	}
	k.pt, k.rtxPT = uint8(best.PayloadType), uint8(rtxFor(best.PayloadType, k.codecs))
	if k.vp8 == nil && codecName(c.MimeType) == "vp8" {
		k.vp8 = &vp8Numbers{}
	}
	return true
}

// elapsed is the RTP time since the last packet was sent, at least one tick.
func (k *sink) elapsed(now int64) uint32 {
	return uint32(max(1, (now-k.lastAt)/1e3*int64(k.layer.codec.ClockRate)/1e6)) //nolint:gosec // wraps as RTP time does
}

// begin starts a run of the stream at packet ext with timestamp ts, while edge is the timestamp that is live and since the
// RTP time after the last packet: numbers and time go on from what was sent before.
func (k *sink) begin(ext uint64, ts, edge, since uint32) {
	seq, at := k.lastSeq+1, k.lastTS+since
	if !k.started {
		// RFC 3711, section 3.3.1: below 2^15, so that the receiver's first guess of the roll-over counter is right.
		seq, at, k.rtxSeq = uint64(1+rand.Uint32N(1<<14)), rand.Uint32(), uint64(rand.Uint32N(1<<14)) //nolint:gosec // not secrets
		k.started = true
	}
	k.run, k.from, k.offset = ext, ext, ext-seq
	if k.vp8 != nil {
		k.vp8.anew = true
	}
	k.squash, k.edgeTS, k.tsOff = edge != ts, edge, 0
	k.tsOff = at - k.timestamp(ts)
}

// timestamp gives the viewer's time of a packet. Cached frames come from up to some seconds ago and are sent at once; if
// they kept their times, the viewer would stay that far behind. So the time before the live edge is squeezed.
func (k *sink) timestamp(ts uint32) uint32 {
	if behind := int32(k.edgeTS - ts); k.squash && behind > 0 { //nolint:gosec // the sign is the point
		ts = k.edgeTS - uint32(behind)/squeeze //nolint:gosec // positive
	}
	return ts + k.tsOff
}

// forward sends live packets of l, unless this sink is elsewhere by now. Called by the viewer's worker only.
func (k *sink) forward(l *layer, packets []slot, b *udp.Batch, now int64) {
	k.v.mu.Lock()
	defer k.v.mu.Unlock()
	for i := range packets {
		s := &packets[i]
		if k.ahead == l && s.key && s.ext == l.cache.keyExt() {
			k.goOver(s)
		}
		if k.layer != l {
			continue
		}
		switch k.state {
		case live:
			if s.ext >= k.from && !k.holds() && k.send(s, b, now) && s.marker {
				k.underline(s, b, now)
			}
		case waiting:
			if !s.key {
				l.keyWanted.Store(true)
				continue
			}
			k.begin(s.ext, s.ts, s.ts, k.elapsed(now))
			if k.send(s, b, now) {
				k.state = live
			}
		case idle, catching:
		}
	}
}

// holds reports whether the line is filling up and a smaller layer is on its way: then the larger one would only lengthen
// the queue. What is left out is not counted as sent, so the viewer's stream stays unbroken.
func (k *sink) holds() bool {
	return k.ahead != nil && ridRank(k.ahead.rid) < ridRank(k.layer.rid) && k.v.estimate.Overused()
}

// goOver changes to the layer ahead, whose key frame begins with s. Both layers' times are those of one camera: the
// viewer's clock goes on by the time between the two frames' captures.
func (k *sink) goOver(s *slot) {
	from, to := k.layer, k.ahead
	if !k.choose(to.codec) {
		k.drop(&k.ahead)
		return
	}
	passed := to.clock.when(s.ts) - from.clock.when(k.lastSrc)
	if passed <= 0 || passed > int64(time.Second) {
		passed = int64(time.Millisecond)
	}
	from.remove(k)
	k.layer, k.ahead, k.state = to, nil, live
	k.switches++
	k.begin(s.ext, s.ts, s.ts, max(1, uint32(passed/1e3*to.clock.rate/1e6))) //nolint:gosec // under a second
}

// send writes one packet; false if the connection can't send yet.
func (k *sink) send(s *slot, b *udp.Batch, now int64) bool {
	o := &k.out
	o.pt, o.marker, o.ssrc, o.seq, o.ts = k.pt, s.marker, k.ssrc, s.ext-k.offset, k.timestamp(s.ts)
	o.prefix, o.payload = k.numbered(s, true)
	if !k.v.write(k, o, b, now) {
		return false
	}
	if o.seq > k.lastSeq || k.packets == 0 {
		k.lastSeq, k.lastTS, k.lastSrc, k.lastAt = o.seq, o.ts, s.ts, now
	}
	k.packets++
	k.octets += uint32(s.size) //nolint:gosec // never negative
	k.sent++
	k.bytes += uint64(s.size) //nolint:gosec // never negative
	return true
}

// catchRound sends the next piece of the cached group and reports whether there is more to do.
func (k *sink) catchRound(scratch *slot, b *udp.Batch, now int64) bool {
	if k.layer == nil || k.state != catching {
		return false
	}
	for left := k.pace; left > 0; k.next++ {
		if k.next > k.layer.cache.newest() {
			k.state, k.from = live, k.next
			return false
		}
		if !k.layer.cache.get(k.next, scratch) {
			continue // lost on the way to us: the gap stays, and is asked for
		}
		if !k.send(scratch, b, now) {
			return true
		}
		left -= scratch.size
	}
	return true
}

// resend answers a NACK from the layer's cache, by RTX (RFC 4588) if the viewer negotiated it.
func (k *sink) resend(seq uint16, scratch *slot, b *udp.Batch, now int64) {
	k.nacks++
	k.v.traffic.nacks.Add(1)
	if k.layer == nil || k.state == idle || k.budget <= 0 {
		return
	}
	ours := k.lastSeq + uint64(int64(int16(seq-uint16(k.lastSeq)))) //nolint:gosec // the cut is the point
	ext := ours + k.offset
	if ext < k.run || !k.layer.cache.get(ext, scratch) {
		return
	}
	k.budget--
	for range k.v.copies() {
		k.again(scratch, ours, b, now)
		k.resent++
		k.v.traffic.resent.Add(1)
	}
}

// numbered gives a packet's payload in two parts, the first with the picture numbers of this viewer; fresh: for the first
// time.
func (k *sink) numbered(s *slot, fresh bool) (head, rest []byte) {
	if k.vp8 == nil || k.layer == nil || k.layer.name != "vp8" {
		return nil, s.data[:s.size]
	}
	return k.vp8.rewrite(s.data[:s.size], fresh)
}

// again sends a packet another time: by RTX, else as it was.
func (k *sink) again(s *slot, ours uint64, b *udp.Batch, now int64) bool {
	o := &k.out
	o.marker, o.ts = s.marker, k.timestamp(s.ts)
	o.prefix, o.payload = k.numbered(s, false)
	if k.rtx == 0 || k.rtxPT == 0 {
		o.pt, o.ssrc, o.seq = k.pt, k.ssrc, ours
	} else {
		k.rtxSeq++
		o.pt, o.ssrc, o.seq = k.rtxPT, k.rtx, k.rtxSeq
		binary.BigEndian.PutUint16(k.number[:], uint16(ours)) //nolint:gosec // the cut is the point
		o.prefix = k.number[:2+copy(k.number[2:], o.prefix)]
	}
	return k.v.write(k, o, b, now)
}

// probe sends the latest packets again by RTX, at least so many bytes, to find out whether the line carries more; it
// gives the bytes sent. Without RTX there is nothing a viewer would not mistake for news.
func (k *sink) probe(bytes int, scratch *slot, b *udp.Batch, now int64) int {
	if k.state != live || k.rtx == 0 || k.rtxPT == 0 {
		return 0
	}
	done := 0
	for ext := k.layer.cache.newest(); done < bytes && ext > k.run && ext+64 > k.layer.cache.newest(); ext-- {
		if k.layer.cache.get(ext, scratch) && k.again(scratch, ext-k.offset, b, now) {
			done += scratch.size
		}
	}
	return done
}

// senderReport gives the report of this second, nil if nothing was sent; it also renews the resend budget.
func (k *sink) senderReport(now int64) *rtcp.SenderReport {
	k.budget = maxResend
	if k.layer == nil || k.state != live || k.packets == 0 {
		return nil
	}
	return &rtcp.SenderReport{
		SSRC: k.ssrc, NTPTime: toNTP(now), RTPTime: k.layer.clock.at(now) + k.tsOff,
		PacketCount: k.packets, OctetCount: k.octets,
	}
}
