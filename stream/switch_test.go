package stream

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/stream/pace"
	"github.com/duoduopin/duoduopin/stream/udp"
)

// sentPacket is what a viewer's line was given.
type sentPacket struct {
	ssrc, ts uint32
	seq      uint64
	body     string
}

// notebook is a viewer's line that remembers.
type notebook struct{ sent []sentPacket }

func (n *notebook) rtp(_ *sink, o *outgoing, _ *udp.Batch) int {
	n.sent = append(n.sent, sentPacket{o.ssrc, o.ts, o.seq, string(o.payload)})
	return len(o.payload)
}

func (*notebook) rtcp([]rtcp.Packet) {}
func (*notebook) wide() bool         { return true }
func (*notebook) transport() string  { return "udp" }
func (*notebook) family() string     { return "ipv4" }

// simulcast is a publisher of two layers with clocks of their own, and one viewer.
func simulcast(t *testing.T) (high, low *layer, k *sink, w *worker, n *notebook) {
	t.Helper()
	socket, err := udp.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	count := &traffic{}
	fan := newFanout(socket, count)
	fan.workers = fan.workers[:1]
	p := &publisher{offset: &wallOffset{}}
	make := func(rid string) *layer {
		return newLayer(p, rid, codecH264, &senderClock{rate: 90000, offset: p.offset}, func() {}, fan, count)
	}
	n = &notebook{}
	v := &viewer{line: n, traffic: count, estimate: pace.New(startEstimate, 1)}
	k = &sink{v: v, kind: webrtc.RTPCodecTypeVideo}
	k.negotiated([]webrtc.RTPCodecParameters{{RTPCodecCapability: codecH264, PayloadType: 102}}, 1, 2)
	return make("f"), make("q"), k, fan.workers[0], n
}

// film writes a frame of one packet.
func film(l *layer, seq uint16, ts uint32, key bool, mark byte, at int64) {
	raw := make([]byte, 40)
	raw[0], raw[1], raw[12], raw[13] = 0x80, 96|0x80, 0x41, mark
	if key {
		raw[12] = 0x65
	}
	binary.BigEndian.PutUint16(raw[2:], seq)
	binary.BigEndian.PutUint32(raw[4:], ts)
	l.write(raw, at)
}

// A change of layer is one unbroken stream: numbers go on by one, times by the time between the frames' captures, and
// nothing is sent twice or left out in between.
func TestLayersChangeAtKeyFrames(t *testing.T) {
	high, low, k, w, n := simulcast(t)
	const frame = int64(time.Second / 30)
	start := int64(1e18)
	report := func(l *layer, ts uint32) {
		l.clock.report(&rtcp.SenderReport{NTPTime: toNTP(start), RTPTime: ts}, start+5e6)
	}
	report(high, 1000)
	report(low, 777_000)
	k.v.mu.Lock()
	k.attach(high, start)
	k.v.mu.Unlock()
	for i := range int64(20) {
		at := start + i*frame + 5e6
		film(high, uint16(65530+i), 1000+uint32(i*3000), i == 0, 'h', at)
		film(low, uint16(100+i), 777_000+uint32(i*3000), i == 0 || i == 12, 'l', at)
		if i == 9 {
			k.v.mu.Lock()
			k.aim(low, at)
			k.v.mu.Unlock()
		}
		pump(w)
	}
	if len(n.sent) < 19 || len(n.sent) > 21 {
		t.Fatalf("%d packets were sent, wanted one per frame", len(n.sent))
	}
	for i := 1; i < len(n.sent); i++ {
		a, b := n.sent[i-1], n.sent[i]
		if b.seq != a.seq+1 {
			t.Errorf("packet %d: number %d after %d", i, b.seq, a.seq)
		}
		passed, changed := int64(b.ts-a.ts), a.body[1] != b.body[1]
		if d := passed - 3000; !changed && d != 0 || changed && (d < -3000 || d > 100) {
			t.Errorf("packet %d: %d ticks after the one before (layer changed: %v)", i, passed, changed)
		}
	}
	if first, last := n.sent[0].body[1], n.sent[len(n.sent)-1].body[1]; first != 'h' || last != 'l' || k.switches != 1 {
		t.Errorf("from layer %c to %c with %d changes", first, last, k.switches)
	}
}

// A NACK names 16 bits; the packet before a roll-over of either side's numbers is still found.
func TestRetransmissionAfterRollOver(t *testing.T) {
	high, _, k, w, n := simulcast(t)
	k.v.mu.Lock()
	k.attach(high, 1)
	k.v.mu.Unlock()
	for i := range 10 {
		film(high, uint16(65531+i), uint32(i)*3000, i == 0, byte('a'+i), int64(i+1)*1e7)
		pump(w)
	}
	var scratch slot
	wanted := n.sent[7]
	k.v.mu.Lock()
	k.resend(uint16(wanted.seq), &scratch, nil, 2e9)
	k.v.mu.Unlock()
	if again := n.sent[len(n.sent)-1]; again.body != wanted.body || again.ts != wanted.ts {
		t.Errorf("asked for %q again, got %q", wanted.body[1], again.body[1])
	}
}

// Sound and picture of one anchor have clocks that drift against ours and against each other's readings; reports come late
// by chance. What a viewer reckons from our reports keeps them together to under 40 ms for ten minutes.
func TestSoundAndPictureStayTogether(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	offset := &wallOffset{}
	video, audio := &senderClock{rate: 90000, offset: offset}, &senderClock{rate: 48000, offset: offset}
	const drift = 150e-6 // of the publisher's clock
	base := int64(1_700_000_000e9)
	theirs := func(ours int64) int64 { return base - 3e9 + int64(float64(ours-base)*(1+drift)) }
	ts := func(theirs, rate int64) uint32 { return uint32((theirs - base + 10e9) / 1000 * rate / 1_000_000) }
	worst := time.Duration(0)
	for ms := int64(0); ms < 600_000; ms += 500 {
		ours := base + ms*1e6
		late := int64(rng.IntN(60)) * 1e6
		c, rate := video, int64(90000)
		if ms%1000 != 0 {
			c, rate = audio, 48000
		}
		c.report(&rtcp.SenderReport{NTPTime: toNTP(theirs(ours)), RTPTime: ts(theirs(ours), rate)}, ours+late)
		if ms < 2000 {
			continue
		}
		// A moment in front of the camera, as the viewer places picture and sound of it by the reports we would send now.
		moment := theirs(ours - 50e6)
		place := func(c *senderClock, rate int64) int64 {
			now := ours + 100e6
			return now + int64(int32(ts(moment, rate)-c.at(now)))*1_000_000/rate*1000
		}
		apart := time.Duration(place(video, 90000) - place(audio, 48000)).Abs()
		worst = max(worst, apart)
	}
	if worst > 40*time.Millisecond {
		t.Errorf("sound and picture are up to %v apart", worst)
	}
	t.Logf("at most %v apart", worst)
}

func TestHush(t *testing.T) {
	raw := append([]byte{0x90, 111, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0x10, 0x20, 0, 0}, []byte("a secret")...)
	p, ok := parsePacket(hush(raw))
	if !ok || string(p.payload) != "\xf8\xff\xfe" || p.seq != 9 || p.ts != 8 {
		t.Errorf("%+v %v", p, ok)
	}
	if len(hush([]byte{0x80, 1})) != 0 {
		t.Error("a torn packet was taken for one")
	}
}

func TestSpeakerIsCalm(t *testing.T) {
	a, b := &publisher{anchor: "a"}, &publisher{anchor: "b"}
	on, order := map[string]*publisher{"a": a, "b": b}, []string{"a", "b"}
	level := func(p *publisher, db uint8, at int64) {
		p.level.silence()
		p.level.hear([]byte{0x90, 111, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0x10, db, 0, 0}, 1, at)
	}
	s, at := &speaker{}, int64(1e12)
	for _, step := range []struct {
		a, b  uint8 // -dBov
		after time.Duration
		want  string
	}{
		{127, 127, time.Second, ""},
		{30, 60, 3 * time.Second, "a"},
		{30, 27, 3 * time.Second, "a"},        // hardly louder
		{60, 20, 3 * time.Second, "b"},        //
		{20, 60, 500 * time.Millisecond, "b"}, // too soon
		{20, 60, 2 * time.Second, "a"},
		{127, 127, 3 * time.Second, "a"}, // silence keeps who spoke last
	} {
		at += int64(step.after)
		level(a, step.a, at)
		level(b, step.b, at)
		if s.listen(order, on, at); s.name != step.want {
			t.Errorf("a %d, b %d: %q speaks, wanted %q", step.a, step.b, s.name, step.want)
		}
	}
	if s.listen([]string{"b"}, on, at+int64(3*time.Second)); s.name == "a" {
		t.Error("who left still speaks")
	}
}

func FuzzExtension(f *testing.F) {
	f.Add([]byte{0x90, 111, 0, 9, 0, 0, 0, 8, 0, 0, 0, 7, 0xbe, 0xde, 0, 1, 0x10, 0x20, 0, 0}, uint8(1))
	f.Fuzz(func(t *testing.T, raw []byte, id uint8) {
		if v, ok := extension(raw, id); ok && (len(v) == 0 || len(v) > 16) {
			t.Errorf("%d bytes", len(v))
		}
	})
}

// Who leaves, or stops the picture, is off the layer's lists at once.
func TestAimAtNothingDetaches(t *testing.T) {
	high, low, k, _, _ := simulcast(t)
	k.v.mu.Lock()
	defer k.v.mu.Unlock()
	k.attach(high, 1)
	if k.aim(nil, 2); high.viewers() != 0 || k.state != idle || k.layer != nil {
		t.Errorf("still on the layer: %d viewers, %v", high.viewers(), k.state)
	}
	k.attach(high, 3)
	k.state = live
	high.lastAt.Store(now())
	k.aim(low, now())
	if k.aim(nil, now()); high.viewers() != 0 || low.viewers() != 0 {
		t.Errorf("%d and %d viewers are left", high.viewers(), low.viewers())
	}
}
