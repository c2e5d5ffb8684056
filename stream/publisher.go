package stream

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"
)

// now is the time on the media path, in Unix ns. It measures and decides nothing that a shop would notice, so it is the
// machine's clock and not the injected one.
func now() int64 { return time.Now().UnixNano() }

// publisher is an anchor's connection.
type publisher struct {
	room   *room
	peer   *peer
	anchor string
	page   string // the program that publishes; empty if it does not say
	offset *wallOffset
	video  *track
	audio  *track

	started atomic.Bool
	muted   atomic.Bool
	level   audioLevel
	rate    meter

	followers atomic.Pointer[[]*follower]
}

func newPublisher(r *room, anchor string) *publisher {
	p := &publisher{
		room: r, anchor: anchor, offset: &wallOffset{},
		video: &track{kind: webrtc.RTPCodecTypeVideo}, audio: &track{kind: webrtc.RTPCodecTypeAudio},
	}
	p.muted.Store(r.s.house.isMuted(r.id, anchor))
	p.followers.Store(&[]*follower{})
	return p
}

func (p *publisher) prepare(peer *peer) error {
	p.peer = peer
	peer.pc.OnTrack(p.onTrack)
	return nil
}

func (p *publisher) connected() {}

func (p *publisher) left() { p.room.without(p) }

// onTrack is called by pion for every track, and for every layer of a simulcast, when its first packet has come.
func (p *publisher) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	codec := remote.Codec().RTPCodecCapability
	t, ask := p.audio, (func())(nil)
	if remote.Kind() == webrtc.RTPCodecTypeVideo {
		t, ask = p.video, p.keyRequest(remote, codec)
	}
	clock := &senderClock{rate: int64(codec.ClockRate), offset: p.offset}
	l := newLayer(p, remote.RID(), codec, clock, ask, p.room.s.fan, p.room.s.traffic)
	if asksAgain(codec) {
		p.follow(l, uint32(remote.SSRC()))
	}
	t.add(l)
	level := levelID(receiver)
	p.room.s.tasks.run(func() { p.read(remote, l, level) })
	p.room.s.tasks.run(func() { p.readReports(receiver, remote, l) })
}

// asksAgain reports whether the publisher answers NACKs for this codec.
func asksAgain(c webrtc.RTPCodecCapability) bool {
	return slices.ContainsFunc(c.RTCPFeedback, func(f webrtc.RTCPFeedback) bool { return f.Type == webrtc.TypeRTCPFBNACK && f.Parameter == "" })
}

// follow has a layer's missing packets asked for.
func (p *publisher) follow(l *layer, ssrc uint32) {
	l.gaps = newGaps()
	p.room.s.tasks.run(func() {
		l.gaps.chase(p.peer.done, func(seqs []uint16) { _ = p.peer.pc.WriteRTCP([]rtcp.Packet{nack(ssrc, seqs)}) })
	})
}

// levelID finds the header extension with the loudness (RFC 6464) of a track.
func levelID(receiver *webrtc.RTPReceiver) uint8 {
	for _, e := range receiver.GetParameters().HeaderExtensions {
		if e.URI == sdp.AudioLevelURI && e.ID > 0 && e.ID < 15 {
			return uint8(e.ID)
		}
	}
	return 0
}

// keyRequest makes the request for a key frame, as PLI or, for old gear, as FIR (RFC 4585, RFC 5104).
func (p *publisher) keyRequest(remote *webrtc.TrackRemote, c webrtc.RTPCodecCapability) func() {
	pli, fir := false, false
	for _, f := range c.RTCPFeedback {
		pli = pli || f.Parameter == "pli"
		fir = fir || f.Parameter == "fir"
	}
	ssrc, sequence := uint32(remote.SSRC()), uint8(0)
	return func() {
		var ask rtcp.Packet = &rtcp.PictureLossIndication{MediaSSRC: ssrc}
		if fir && !pli {
			sequence++
			ask = &rtcp.FullIntraRequest{MediaSSRC: ssrc, FIR: []rtcp.FIREntry{{SSRC: ssrc, SequenceNumber: sequence}}}
		}
		_ = p.peer.pc.WriteRTCP([]rtcp.Packet{ask})
	}
}

// read takes packets until the connection ends. level is the id of the header extension with the loudness, 0 = none.
func (p *publisher) read(remote *webrtc.TrackRemote, l *layer, level uint8) {
	buf := make([]byte, 1500)
	for first := true; ; first = false {
		n, _, err := remote.Read(buf)
		if err != nil {
			return
		}
		p.take(l, buf[:n], level, now())
		if first {
			p.arrived()
		}
	}
}

// take is the path of every packet from the publisher. The sound of who is muted ends here.
func (p *publisher) take(l *layer, raw []byte, level uint8, now int64) {
	if !l.video() {
		if p.muted.Load() {
			p.level.silence()
			raw = hush(raw)
		} else {
			p.level.hear(raw, level, now)
		}
	}
	if s := l.write(raw, now); s != nil {
		for _, f := range *p.followers.Load() {
			f.take(p, l, s)
		}
	}
}

// hush puts 20 ms of Opus silence (RFC 6716, section 3.1: CELT, one empty frame) in place of a packet's sound, in its own
// buffer: the stream stays unbroken, and what was said is nowhere.
func hush(raw []byte) []byte {
	if len(raw) < headerSize+3 {
		return raw[:0]
	}
	raw[0] = 0x80 // no extension, padding or sources any more
	return append(raw[:headerSize], 0xf8, 0xff, 0xfe)
}

// arrived tells the room of the publisher's first packet, or of a further layer.
func (p *publisher) arrived() {
	if p.started.CompareAndSwap(false, true) {
		p.room.wentLive(p)
		return
	}
	p.room.tracksChanged()
}

// readReports takes the sender reports of a layer.
func (p *publisher) readReports(receiver *webrtc.RTPReceiver, remote *webrtc.TrackRemote, l *layer) {
	buf := make([]byte, 1500)
	for {
		n, err := readRTCP(receiver, remote.RID(), buf)
		if err != nil {
			return
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			p.room.s.traffic.malformed.Add(1)
			continue
		}
		for _, pkt := range packets {
			if sr, ok := pkt.(*rtcp.SenderReport); ok && sr.SSRC == uint32(remote.SSRC()) {
				l.clock.report(sr, now())
			}
		}
	}
}

func readRTCP(receiver *webrtc.RTPReceiver, rid string, buf []byte) (int, error) {
	if rid == "" {
		n, _, err := receiver.Read(buf)
		return n, err
	}
	n, _, err := receiver.ReadSimulcast(buf, rid)
	return n, err
}

// tick repeats requests for key frames and measures.
func (p *publisher) tick(now int64, report bool) {
	for _, l := range p.video.all() {
		l.tick(now)
	}
	if report {
		for _, t := range []*track{p.video, p.audio} {
			for _, l := range t.all() {
				l.measure(now)
			}
		}
		p.rate.measure(p.sum(func(l *layer) uint64 { return l.bytes.Load() }), now)
	}
}

func (p *publisher) sum(of func(*layer) uint64) uint64 {
	var total uint64
	for _, t := range []*track{p.video, p.audio} {
		for _, l := range t.all() {
			total += of(l)
		}
	}
	return total
}

// meter turns a growing number of bytes into a bit rate.
type meter struct {
	bytes   uint64
	at      int64
	bitrate atomic.Int64 // bit/s
}

func (m *meter) measure(bytes uint64, now int64) {
	if ms := (now - m.at) / 1e6; m.at != 0 && ms > 0 {
		m.bitrate.Store(int64(bytes-m.bytes) * 8000 / ms) //nolint:gosec // far below the limit
	}
	m.bytes, m.at = bytes, now
}
