package stream

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

// viewer is somebody watching: as many seats as the offer has m-lines for.
type viewer struct {
	room  *room
	peer  *peer
	seats []*seat
}

// seat is the place of one anchor in a viewer's connection: one video and one audio m-line, either of which may be
// missing. A seat keeps its anchor while that one is away, unless another on air has none.
type seat struct {
	anchor string // empty: nobody's yet
	video  *sink
	audio  *sink
}

// sinks gives the m-lines that are there.
func (t *seat) sinks() []*sink {
	return slices.DeleteFunc([]*sink{t.video, t.audio}, func(k *sink) bool { return k == nil })
}

// newViewer lays out the seats: first for the anchors on air, then for those known, then unnamed.
func newViewer(r *room, o *offer, roster []string) *viewer {
	v := &viewer{room: r}
	names := expected(r.seen(), r.onAir(), roster, max(o.video, o.audio))
	for i := range max(o.video, o.audio) {
		t, stream := &seat{anchor: names[i]}, names[i]
		if stream == "" {
			stream = fmt.Sprintf("seat-%d", i+1)
		}
		stream = token(stream)
		if i < o.video {
			t.video = &sink{id: stream + "-video", streamID: stream, kind: webrtc.RTPCodecTypeVideo, traffic: r.s.traffic}
		}
		if i < o.audio {
			t.audio = &sink{id: stream + "-audio", streamID: stream, kind: webrtc.RTPCodecTypeAudio, traffic: r.s.traffic}
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

func (v *viewer) prepare(p *peer) error {
	v.peer = p
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		for _, t := range v.seats {
			for _, k := range t.sinks() {
				if k.kind != kind {
					continue
				}
				if err := v.addSink(k); err != nil {
					return err
				}
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
	v.room.s.tasks.run(func() { v.readFeedback(t.Sender(), k) })
	return nil
}

func (v *viewer) connected() { v.room.welcome(v) }

func (v *viewer) left() { v.room.farewell(v) }

// sit gives each anchor on air a seat and each seat what its anchor sends. The room calls it, under its lock.
func (v *viewer) sit(onAir []string, feeds map[string]feed, now int64) {
	assign(v.seats, onAir)
	for _, t := range v.seats {
		f := feeds[t.anchor]
		for _, k := range t.sinks() {
			l := f.of(k.kind)
			if k.attach(l, now) {
				v.catchUp(k, l)
			}
		}
	}
}

// assign finds a seat for every anchor on air who has none: one that nobody has, else one whose anchor is away.
func assign(seats []*seat, onAir []string) {
	for _, a := range onAir {
		if slices.ContainsFunc(seats, func(t *seat) bool { return t.anchor == a }) {
			continue
		}
		free := slices.IndexFunc(seats, func(t *seat) bool { return t.anchor == "" })
		if free < 0 {
			free = slices.IndexFunc(seats, func(t *seat) bool { return !slices.Contains(onAir, t.anchor) })
		}
		if free >= 0 {
			seats[free].anchor = a
		}
	}
}

// catchUp sends the cached group of pictures in small pieces, until the sink is live.
func (v *viewer) catchUp(k *sink, l *layer) {
	v.room.s.tasks.run(func() {
		t := time.NewTicker(paceEvery)
		defer t.Stop()
		for k.catchRound(l, now()) {
			select {
			case <-v.peer.done:
				return
			case <-t.C:
			}
		}
	})
}

// readFeedback answers what the viewer reports about k, until the connection ends.
func (v *viewer) readFeedback(sender *webrtc.RTPSender, k *sink) {
	buf := make([]byte, 1500)
	for {
		n, _, err := sender.Read(buf)
		if err != nil {
			return
		}
		packets, err := rtcp.Unmarshal(buf[:n])
		if err != nil {
			v.room.s.traffic.malformed.Add(1)
			continue
		}
		for _, p := range packets {
			k.feedback(p, now())
		}
	}
}

// feedback takes one RTCP packet from the viewer.
func (k *sink) feedback(p rtcp.Packet, now int64) {
	switch p := p.(type) {
	case *rtcp.TransportLayerNack:
		if !k.isSSRC(p.MediaSSRC) {
			return
		}
		for _, pair := range p.Nacks {
			pair.Range(func(seq uint16) bool { k.resend(seq); return true })
		}
	case *rtcp.PictureLossIndication:
		if k.isSSRC(p.MediaSSRC) {
			k.askKey(now)
		}
	case *rtcp.FullIntraRequest:
		for _, e := range p.FIR {
			if k.isSSRC(e.SSRC) {
				k.askKey(now)
			}
		}
	case *rtcp.ReceiverReport:
		for _, r := range p.Reports {
			k.reported(r, now)
		}
	}
}

func (k *sink) isSSRC(ssrc uint32) bool { k.mu.Lock(); defer k.mu.Unlock(); return k.ssrc == ssrc }

// tick sends this second's sender reports and helps sinks that still wait.
func (v *viewer) tick(now int64, report bool) {
	var reports []rtcp.Packet
	for _, t := range v.seats {
		for _, k := range t.sinks() {
			if l, more := k.nudge(now); more {
				v.catchUp(k, l)
			}
			if !report {
				continue
			}
			if sr := k.senderReport(now); sr != nil {
				reports = append(reports, sr)
			}
		}
	}
	if len(reports) > 0 {
		_ = v.peer.pc.WriteRTCP(reports)
	}
}
