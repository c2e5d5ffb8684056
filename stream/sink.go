package stream

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// rtpWriter sends one packet to one viewer: a PeerConnection's write stream today, a lighter transport later. It keeps
// neither header nor payload. It returns 0 bytes without an error while the connection can't send yet.
type rtpWriter interface {
	WriteRTP(header *rtp.Header, payload []byte) (int, error)
}

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

// maxResend is how many packets a viewer gets again per second; more asks are not answered.
const maxResend = 1000

// sink is one sent m-line of a viewer. It takes a layer's packets and makes them one unbroken RTP stream of its own SSRC,
// whatever layer or publisher they come from. Its lock covers this viewer alone.
type sink struct {
	id, streamID string
	kind         webrtc.RTPCodecType
	traffic      *traffic

	mu     sync.Mutex
	out    rtpWriter // nil until negotiated
	ssrc   uint32
	rtx    uint32 // SSRC of retransmissions, 0 = none
	codecs []webrtc.RTPCodecParameters

	layer  *layer
	state  sinkState
	pt     uint8
	rtxPT  uint8
	run    uint64 // first ext of this run: earlier ones are not ours
	from   uint64 // live: the ext from which live packets are sent (what came before was caught up with)
	next   uint64 // catching: the ext to send next
	pace   int    // catching: bytes per round
	seqOff uint16
	tsOff  uint32
	squash bool   // the run began with cached frames, up to squashTo
	keyTS  uint32 // timestamp at which the run began
	edgeTS uint32 // timestamp that was live when the run began

	started bool
	lastSeq uint16
	lastTS  uint32
	lastAt  int64
	rtxSeq  uint16
	packets uint32
	octets  uint32
	budget  int // resends left in this second

	header  rtp.Header
	scratch slot
	again   [maxPayload + 2]byte

	sent, resent atomic.Uint64
	lost         atomic.Uint32 // as the viewer reports
	rttNs        atomic.Int64
}

// Bind, Unbind, ID, RID, StreamID and Kind make a sink pion's TrackLocal. Bind only keeps what negotiation found.
func (k *sink) Bind(c webrtc.TrackLocalContext) (webrtc.RTPCodecParameters, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.codecs = c.CodecParameters()
	if len(k.codecs) == 0 {
		return webrtc.RTPCodecParameters{}, webrtc.ErrUnsupportedCodec
	}
	k.budget = maxResend
	k.out, k.ssrc, k.rtx = c.WriteStream(), uint32(c.SSRC()), uint32(c.SSRCRetransmission())
	return k.codecs[0], nil
}

// Unbind ends sending.
func (k *sink) Unbind(webrtc.TrackLocalContext) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.out = nil
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

// attach makes k send l from its last key frame, or from the next one; nil ends sending. It reports whether k has
// cached packets to catch up with, which is then the caller's to run (catchUp).
func (k *sink) attach(l *layer, now int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.layer == l {
		return false
	}
	if k.layer != nil {
		k.layer.remove(k)
	}
	k.layer, k.state = nil, idle
	if l == nil || k.out == nil || !k.choose(l.codec) {
		return false
	}
	k.layer, k.state = l, waiting
	l.add(k)
	return k.fromCache(now)
}

// nudge is called now and then: a sink that still waits may have missed its key frame while it could not send.
func (k *sink) nudge(now int64) (*layer, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.layer, k.layer != nil && k.state == waiting && k.fromCache(now)
}

// fromCache turns waiting into catching if the layer has a whole group of pictures, else asks for a key frame.
func (k *sink) fromCache(now int64) bool {
	if k.layer.requestKey == nil {
		return false // sound starts at once, with the next packet
	}
	g, ok := k.layer.cache.group(now)
	if !ok {
		k.layer.askKey(now)
		return false
	}
	k.state, k.next, k.pace = catching, g.from, max(paceBytes, g.bytes/paceRounds)
	k.begin(g.from, g.fromTS, g.headTS, now)
	return true
}

// choose takes the payload types for the layer's codec; false if the viewer can't play it.
func (k *sink) choose(c webrtc.RTPCodecCapability) bool {
	best, ok := pickCodec(c, k.codecs)
	if !ok {
		return false
	}
	k.pt, k.rtxPT = uint8(best.PayloadType), uint8(rtxFor(best.PayloadType, k.codecs))
	return true
}

// begin starts a run of the stream at packet ext with timestamp ts, while edge is the timestamp that is live: numbers and
// time go on from what was sent before.
func (k *sink) begin(ext uint64, ts, edge uint32, now int64) {
	seq, at := k.lastSeq+1, k.lastTS
	if k.started {
		at += uint32(max(1, (now-k.lastAt)/1e3*int64(k.layer.codec.ClockRate)/1e6)) //nolint:gosec // wraps as RTP time does
	} else {
		seq, at, k.rtxSeq = uint16(rand.Uint32()), rand.Uint32(), uint16(rand.Uint32()) //nolint:gosec // not secrets
		k.started = true
	}
	k.run, k.from, k.seqOff = ext, ext, seq-uint16(ext) //nolint:gosec // the cut is the point
	k.squash, k.keyTS, k.edgeTS, k.tsOff = edge != ts, ts, edge, 0
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

// forward sends a live packet of l, unless this sink is elsewhere by now.
func (k *sink) forward(l *layer, s *slot, now int64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.layer != l {
		return
	}
	switch k.state {
	case live:
		if s.ext >= k.from {
			k.send(s, now)
		}
	case waiting:
		if !s.key {
			l.keyWanted.Store(true)
			return
		}
		k.begin(s.ext, s.ts, s.ts, now)
		if k.send(s, now) {
			k.state = live
		}
	case idle, catching:
	}
}

// send writes one packet; false if the connection can't send yet.
func (k *sink) send(s *slot, now int64) bool {
	if k.out == nil {
		return false
	}
	h := &k.header
	h.Version, h.Marker, h.PayloadType, h.SSRC = 2, s.marker, k.pt, k.ssrc
	h.SequenceNumber, h.Timestamp = uint16(s.ext)+k.seqOff, k.timestamp(s.ts) //nolint:gosec // the cut is the point
	n, err := k.out.WriteRTP(h, s.data[:s.size])
	if err != nil {
		k.traffic.sendErrors.Add(1)
		return true
	}
	if n == 0 {
		return false
	}
	if d := int16(h.SequenceNumber - k.lastSeq); d > 0 || k.packets == 0 { //nolint:gosec // the sign is the point
		k.lastSeq, k.lastTS, k.lastAt = h.SequenceNumber, h.Timestamp, now
	}
	k.packets++
	k.octets += uint32(s.size) //nolint:gosec // never negative
	k.sent.Add(1)
	k.traffic.packetsOut.Add(1)
	k.traffic.bytesOut.Add(uint64(s.size)) //nolint:gosec // never negative
	return true
}

// catchRound sends the next piece of the cached group and reports whether there is more to do.
func (k *sink) catchRound(l *layer, now int64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.layer != l || k.state != catching || k.out == nil {
		return false
	}
	for left := k.pace; left > 0; k.next++ {
		if k.next > l.cache.newest() {
			k.state, k.from = live, k.next
			return false
		}
		if !l.cache.get(k.next, &k.scratch) {
			continue // lost on the way to us: the gap stays, and is asked for
		}
		if !k.send(&k.scratch, now) {
			return true
		}
		left -= k.scratch.size
	}
	return true
}

// resend answers a NACK from the layer's cache, by RTX (RFC 4588) if the viewer negotiated it.
func (k *sink) resend(seq uint16) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.traffic.nacks.Add(1)
	if k.layer == nil || k.out == nil || k.budget <= 0 || !k.layer.cache.find(seq-k.seqOff, &k.scratch) {
		return
	}
	s := &k.scratch
	if s.ext < k.run {
		return
	}
	k.budget--
	h := &k.header
	h.Version, h.Marker, h.Timestamp = 2, s.marker, k.timestamp(s.ts)
	if k.rtx == 0 || k.rtxPT == 0 {
		h.PayloadType, h.SSRC, h.SequenceNumber = k.pt, k.ssrc, seq
		_, _ = k.out.WriteRTP(h, s.data[:s.size])
	} else {
		k.rtxSeq++
		h.PayloadType, h.SSRC, h.SequenceNumber = k.rtxPT, k.rtx, k.rtxSeq
		binary.BigEndian.PutUint16(k.again[:], seq)
		n := copy(k.again[2:], s.data[:s.size])
		_, _ = k.out.WriteRTP(h, k.again[:2+n])
	}
	k.resent.Add(1)
	k.traffic.resent.Add(1)
}

// senderReport gives the report of this second, nil if nothing was sent; it also renews the resend budget.
func (k *sink) senderReport(now int64) *rtcp.SenderReport {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.budget = maxResend
	if k.layer == nil || k.state != live || k.packets == 0 {
		return nil
	}
	return &rtcp.SenderReport{
		SSRC: k.ssrc, NTPTime: toNTP(now), RTPTime: k.layer.clock.at(now) + k.tsOff,
		PacketCount: k.packets, OctetCount: k.octets,
	}
}

// askKey passes on that this viewer lost the picture.
func (k *sink) askKey(now int64) {
	k.mu.Lock()
	l := k.layer
	k.mu.Unlock()
	if l != nil {
		l.askKey(now)
	}
}

// reported takes what the viewer says of its reception: packets lost, and the round trip if it echoes a report of ours.
func (k *sink) reported(r rtcp.ReceptionReport, now int64) {
	k.mu.Lock()
	mine := r.SSRC == k.ssrc
	k.mu.Unlock()
	if !mine {
		return
	}
	k.lost.Store(r.TotalLost)
	if r.LastSenderReport != 0 {
		rtt := uint32(toNTP(now)>>16) - r.LastSenderReport - r.Delay //nolint:gosec // middle 32 bits, RFC 3550 section 6.4.1
		if int32(rtt) > 0 {                                          //nolint:gosec // the sign is the point
			k.rttNs.Store(int64(rtt) * 1e9 >> 16)
		}
	}
}
