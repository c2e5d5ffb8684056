package stream

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/stream/pace"
	"github.com/duoduopin/duoduopin/stream/udp"
)

// startEstimate is what a viewer's line is taken to carry before it has shown anything, in bit/s: enough for a usual
// stream to begin sharp. What it can't carry is known within a second or two.
const startEstimate = 3_500_000

// viewer is somebody watching: as many seats as the offer has m-lines for. Its one lock covers this viewer alone; the
// room's lock is taken before it, a layer's and a cache's after it.
type viewer struct {
	room    *room
	peer    *peer
	name    string // public, short: in figures, never a right to anything
	shard   int    // its fan-out worker
	except  string // the anchor who watches the others (talkback), not himself
	whole   bool   // an edge that pulls the room: the best of every anchor, its line has to carry it
	traffic *traffic

	mu       sync.Mutex
	line     line
	seats    []*seat
	estimate *pace.Estimator
	number   uint16 // transport-wide, of the next packet
	choice   Choice
	want     int // bit/s of the next step up, 0 = none
	probing  bool
	rttNs    int64
	sent     uint64 // bytes on the wire
	rate     meter
	history  history
}

// seat is the place of one anchor in a viewer's connection: one video and one audio m-line, either of which may be
// missing. A seat keeps its anchor while that one is away, unless another on air has none.
type seat struct {
	anchor string // empty: nobody's yet
	rank   int    // highest layer that the line carries; 0 = no picture
	video  *sink
	audio  *sink
}

// sinks gives the m-lines that are there.
func (t *seat) sinks() []*sink {
	return slices.DeleteFunc([]*sink{t.video, t.audio}, func(k *sink) bool { return k == nil })
}

// newViewer lays out the seats: first for the anchors on air, then for those known, then unnamed.
func newViewer(r *room, o *offer, roster []string, except string) *viewer {
	v := &viewer{
		room: r, name: r.s.nextName(), shard: r.s.nextShard(), except: except, traffic: r.s.traffic,
		estimate: pace.New(startEstimate, now()), choice: Choice{Quality: Auto, Video: true},
	}
	others := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(a string) bool { return a == except })
	}
	names := expected(others(r.seen()), others(r.onAir()), others(roster), max(o.video, o.audio))
	for i := range max(o.video, o.audio) {
		t, stream := &seat{anchor: names[i], rank: topRank}, names[i]
		if stream == "" {
			stream = fmt.Sprintf("seat-%d", i+1)
		}
		stream = token(stream)
		if i < o.video {
			t.video = &sink{v: v, id: stream + "-video", streamID: stream, kind: webrtc.RTPCodecTypeVideo}
		}
		if i < o.audio {
			t.audio = &sink{v: v, id: stream + "-audio", streamID: stream, kind: webrtc.RTPCodecTypeAudio}
		}
		v.seats = append(v.seats, t)
	}
	return v
}

// expected names n seats. If all anchors of the roster fit, it is their order; if not, those on air come first.
func expected(seen, onAir, roster []string, n int) []string {
	all := slices.Concat(roster, seen)
	if len(roster) > n || len(roster) == 0 {
		all = slices.Concat(onAir, seen, roster)
	}
	names := make([]string, 0, n)
	for _, a := range all {
		if len(names) < n && !slices.Contains(names, a) {
			names = append(names, a)
		}
	}
	for len(names) < n {
		names = append(names, "")
	}
	return names
}

// token makes a name fit for an msid (RFC 8830: at most 64 of the token characters); what does not fit is hex.
func token(name string) string {
	odd := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_.+!", r)
	}
	if strings.ContainsFunc(name, odd) {
		name = "x-" + hex.EncodeToString([]byte(name))
	}
	return name[:min(len(name), 56)]
}

// sinks gives all m-lines of one kind, in the order of the seats.
func (v *viewer) sinks(kind webrtc.RTPCodecType) []*sink {
	var all []*sink
	for _, t := range v.seats {
		for _, k := range t.sinks() {
			if k.kind == kind {
				all = append(all, k)
			}
		}
	}
	return all
}

func (v *viewer) prepare(p *peer) error {
	v.peer = p
	if p.pc == nil {
		return nil
	}
	v.line = &pcLine{pc: p.pc}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		for _, k := range v.sinks(kind) {
			if err := v.addSink(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// addSink makes k the next m-line of its kind: pion takes transceivers in the order in which they were added.
func (v *viewer) addSink(k *sink) error {
	t, err := v.peer.pc.AddTransceiverFromTrack(k, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	if err != nil {
		return err
	}
	v.room.s.tasks.run(func() { v.readFeedback(t.Sender()) })
	return nil
}

func (v *viewer) connected() { v.room.welcome(v) }

func (v *viewer) left() { v.room.farewell(v) }

// readFeedback takes what a PeerConnection's viewer reports of one m-line, until the connection ends.
func (v *viewer) readFeedback(sender *webrtc.RTPSender) {
	buf := make([]byte, 1500)
	for {
		n, _, err := sender.Read(buf)
		if err != nil {
			return
		}
		v.feedback(buf[:n])
	}
}

// write sends one packet of k; false if the connection can't send yet. The hot path: v's lock is held.
func (v *viewer) write(k *sink, o *outgoing, b *udp.Batch, now int64) bool {
	if v.line == nil {
		return false
	}
	o.wide = v.number
	n := v.line.rtp(k, o, b)
	if n == 0 {
		return false
	}
	if v.line.wide() {
		v.estimate.Sent(v.number, n, now)
		v.number++
	}
	v.sent += uint64(n) //nolint:gosec // never negative
	v.traffic.packetsOut.Add(1)
	v.traffic.bytesOut.Add(uint64(len(o.payload)))
	return true
}

// feedback takes one compound RTCP packet from the viewer.
func (v *viewer) feedback(raw []byte) {
	packets, err := rtcp.Unmarshal(raw)
	if err != nil {
		v.traffic.malformed.Add(1)
		return
	}
	t := now()
	var batch *udp.Batch
	v.mu.Lock()
	overused := v.estimate.Overused()
	for _, p := range packets {
		if n, ok := p.(*rtcp.TransportLayerNack); ok {
			if batch == nil {
				batch = v.room.s.fan.borrow()
			}
			v.repeat(n, batch, t)
			continue
		}
		v.heard(p, t)
	}
	worse := !overused && v.estimate.Overused()
	v.mu.Unlock()
	if batch != nil {
		v.room.s.fan.giveBack(batch)
	}
	if worse {
		v.room.s.tasks.run(func() { v.room.reseat(v) }) // not here: the room's lock comes before the viewer's
	}
}

func (v *viewer) repeat(n *rtcp.TransportLayerNack, b *udp.Batch, now int64) {
	k := v.bySSRC(n.MediaSSRC)
	if k == nil {
		return
	}
	var scratch slot
	for _, pair := range n.Nacks {
		pair.Range(func(seq uint16) bool { k.resend(seq, &scratch, b, now); return true })
	}
}

func (v *viewer) bySSRC(ssrc uint32) *sink {
	for _, t := range v.seats {
		for _, k := range []*sink{t.video, t.audio} {
			if k != nil && k.ssrc == ssrc {
				return k
			}
		}
	}
	return nil
}

// heard takes one report of the viewer's but a NACK.
func (v *viewer) heard(p rtcp.Packet, now int64) {
	switch p := p.(type) {
	case *rtcp.TransportLayerCC:
		v.estimate.Feedback(p, now)
	case *rtcp.ReceiverEstimatedMaximumBitrate:
		v.estimate.REMB(int(p.Bitrate), now)
	case *rtcp.PictureLossIndication:
		v.askKey(p.MediaSSRC, now)
	case *rtcp.FullIntraRequest:
		for _, e := range p.FIR {
			v.askKey(e.SSRC, now)
		}
	case *rtcp.ReceiverReport:
		for _, r := range p.Reports {
			v.reported(r, now)
		}
	}
}

// askKey passes on that this viewer lost the picture.
func (v *viewer) askKey(ssrc uint32, now int64) {
	if k := v.bySSRC(ssrc); k != nil && k.layer != nil {
		k.layer.askKey(now)
	}
}

// reported takes what the viewer says of its reception: packets lost, and the round trip if it echoes a report of ours.
func (v *viewer) reported(r rtcp.ReceptionReport, now int64) {
	k := v.bySSRC(r.SSRC)
	if k == nil {
		return
	}
	k.lost, k.lossNow = r.TotalLost, r.FractionLost
	if r.LastSenderReport != 0 {
		rtt := uint32(toNTP(now)>>16) - r.LastSenderReport - r.Delay //nolint:gosec // middle 32 bits, RFC 3550 section 6.4.1
		if int32(rtt) > 0 {                                          //nolint:gosec // the sign is the point
			v.rttNs = int64(rtt) * 1e9 >> 16
		}
	}
	if k.video() {
		v.estimate.Report(r.FractionLost, time.Duration(v.rttNs), now)
	}
}

// catchUp sends the cached group of pictures in small pieces, until the sink is live.
func (v *viewer) catchUp(k *sink) {
	s := v.room.s
	s.tasks.run(func() {
		t := time.NewTicker(paceEvery)
		defer t.Stop()
		var scratch slot
		for {
			b := s.fan.borrow()
			v.mu.Lock()
			more := k.catchRound(&scratch, b, now())
			v.mu.Unlock()
			s.fan.giveBack(b)
			if !more {
				return
			}
			select {
			case <-v.peer.done:
				return
			case <-t.C:
			}
		}
	})
}

// tick sends this second's sender reports, helps sinks that still wait, and looks whether the line carries more. It is
// called after the room has seated everybody.
func (v *viewer) tick(now int64, report bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	var reports []rtcp.Packet
	for _, t := range v.seats {
		for _, k := range t.sinks() {
			if k.nudge(now) {
				v.catchUp(k)
			}
			if !report {
				continue
			}
			if sr := k.senderReport(now); sr != nil {
				reports = append(reports, sr)
			}
		}
	}
	v.probe(now)
	if !report || v.line == nil {
		return
	}
	v.rate.measure(v.sent, now)
	v.history.add(v, now)
	if len(reports) > 0 {
		v.line.rtcp(reports)
	}
}
