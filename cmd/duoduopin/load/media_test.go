package load

import (
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/sdp/v3"
)

const answerText = `v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=fingerprint:sha-256 ab:cd:EF
a=group:BUNDLE 0 1
m=video 9 UDP/TLS/RTP/SAVPF 102 103
c=IN IP4 0.0.0.0
a=setup:passive
a=mid:0
a=ice-ufrag:theirs
a=ice-pwd:secretsecretsecretsecret
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4/sendonly urn:ietf:params:rtp-hdrext:sdes:mid
a=candidate:1 1 tcp 1671430143 127.0.0.1 7001 typ host tcptype passive
a=candidate:2 1 udp 1694498815 203.0.113.9 7002 typ srflx raddr 0.0.0.0 rport 0
a=candidate:3 1 udp 2130706431 127.0.0.1 7003 typ host ufrag theirs
a=candidate:4 1 udp 2130706431 ::1 7004 typ host
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=mid:1
a=ice-ufrag:theirs
a=ice-pwd:secretsecretsecretsecret
`

func crlf(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestParseAnswer(t *testing.T) {
	a, err := parseAnswer(crlf(answerText))
	want := answer{credentials{"theirs", "secretsecretsecretsecret"}, "AB:CD:EF", netip.MustParseAddrPort("127.0.0.1:7003"), 3}
	if err != nil || a != want {
		t.Errorf("%+v, %v", a, err)
	}
	for without, says := range map[string]string{"a=ice-pwd": "credentials", "a=fingerprint": "fingerprint", "a=candidate": "candidate"} {
		var kept []string
		for _, l := range strings.Split(answerText, "\n") {
			if !strings.HasPrefix(l, without) {
				kept = append(kept, l)
			}
		}
		if _, err := parseAnswer(crlf(strings.Join(kept, "\n"))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("without %s: %v", without, err)
		}
	}
	six := strings.Replace(answerText, "a=candidate:3", "a=candidate:3x", 1)
	six = strings.Replace(six, "127.0.0.1 7003", "127.0.0.1 x", 1)
	if a, err := parseAnswer(crlf(six)); err != nil || a.server != netip.MustParseAddrPort("[::1]:7004") {
		t.Errorf("IPv6: %+v, %v", a, err)
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add(crlf(answerText))
	f.Add("v=0\r\n")
	f.Fuzz(func(t *testing.T, text string) {
		if a, err := parseAnswer(text); err == nil && (a.ufrag == "" || a.fingerprint == "" || !a.server.IsValid()) {
			t.Errorf("an incomplete answer was taken: %+v", a)
		}
	})
}

func TestOfferIsSDP(t *testing.T) {
	var desc sdp.SessionDescription
	if err := desc.UnmarshalString(offer(newCredentials(), "AA:BB")); err != nil || len(desc.MediaDescriptions) != 2 {
		t.Fatal(err)
	}
	if a, b := newCredentials(), newCredentials(); a == b || len(a.ufrag) < 4 || len(a.pwd) < 22 {
		t.Errorf("credentials %v %v", a, b)
	}
}

func TestParseRTP(t *testing.T) {
	h := rtp.Header{Version: 2, Marker: true, PayloadType: ptVideo, SequenceNumber: 65535, Timestamp: 7, SSRC: 9, CSRC: []uint32{1}}
	for id, value := range map[uint8][]byte{4: []byte("0"), 3: {1, 2}, 5: []byte("abc")} {
		if err := h.SetExtension(id, value); err != nil {
			t.Fatal(err)
		}
	}
	b, err := (&rtp.Packet{Header: h, Payload: []byte("payload")}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseRTP(b, 3)
	want := rtpHeader{pt: ptVideo, marker: true, seq: 65535, time: 7, ssrc: 9, size: h.MarshalSize(), twcc: 0x0102, hasCC: true}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	for _, id := range []uint8{0, 4, 6} {
		if got, err := parseRTP(b, id); err != nil || got.hasCC {
			t.Errorf("extension %d: %+v, %v", id, got, err)
		}
	}
	for n := range h.MarshalSize() {
		if _, err := parseRTP(b[:n], 3); err == nil {
			t.Errorf("the first %d bytes passed for a header", n)
		}
	}
}

func FuzzParseRTP(f *testing.F) {
	f.Add([]byte{0x90, 102, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0xbe, 0xde, 0, 1, 0x31, 0, 1, 0}, uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, id uint8) {
		if h, err := parseRTP(b, id); err == nil && h.size > len(b) {
			t.Errorf("a header of %d bytes in %d", h.size, len(b))
		}
	})
}

func TestTrackCountsGaps(t *testing.T) {
	tr := track{ssrc: 5}
	for _, seq := range []uint16{65533, 65534, 1, 0, 2, 2, 4} { // 65535 and 3 missing, one late, one twice
		tr.take(seq)
	}
	if tr.expected() != 8 || tr.received != 7 {
		t.Errorf("expected %d, received %d", tr.expected(), tr.received)
	}
	now := time.Unix(100, 0)
	tr.report.middle, tr.report.at = 77, now.Add(-500*time.Millisecond)
	got := tr.receptionReport(now)
	if want := (rtcp.ReceptionReport{SSRC: 5, FractionLost: 32, TotalLost: 1, LastSequenceNumber: 65536 + 4, LastSenderReport: 77, Delay: 32768}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	tr.take(5)
	if got := tr.receptionReport(now); got.FractionLost != 0 || got.TotalLost != 1 {
		t.Errorf("nothing was lost since: %+v", got)
	}
}

// What a viewer says about arrival must be what a sender understands.
func TestFeedbackNamesWhatArrived(t *testing.T) {
	r := twcc.NewRecorder(ownSSRC)
	at := time.Unix(1000, 0)
	for i, seq := range []uint16{65534, 65535, 1} { // 0 is missing
		r.Record(9, seq, at.Add(time.Duration(i)*time.Millisecond).UnixMicro())
	}
	raw, err := rtcp.Marshal(r.BuildFeedbackPacket())
	if err != nil {
		t.Fatal(err)
	}
	all, err := rtcp.Unmarshal(raw)
	if err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	f, ok := all[0].(*rtcp.TransportLayerCC)
	if !ok || f.BaseSequenceNumber != 65534 || f.PacketStatusCount != 4 || len(f.RecvDeltas) != 3 {
		t.Errorf("%+v", all[0])
	}
}

func TestCameraAndPicture(t *testing.T) {
	c := camera{mean: 2_500_000 / 8 / fps}
	bytes, keys := 0, 0
	var p picture
	for i := range 2 * keyEvery {
		frame := c.frame()
		whole := 0
		for j, packet := range frame {
			if n := packet.MarshalSize(); n > packetSize {
				t.Fatalf("a packet of %d bytes", n)
			}
			bytes += len(packet.Payload)
			if packet.Marker != (j == len(frame)-1) {
				t.Fatalf("frame %d, packet %d of %d: marker %v", i, j, len(frame), packet.Marker)
			}
			if d, ok := age(packet.Payload, time.Now()); !ok || d < 0 || d > time.Hour {
				t.Fatalf("frame %d, packet %d is %v old", i, j, d)
			}
			h := rtpHeader{marker: packet.Marker, seq: packet.SequenceNumber, time: packet.Timestamp}
			if p.take(h, packet.Payload) {
				whole++
				p.collecting = false
			}
		}
		keys += whole
		if want := i%keyEvery == 0; (whole == 1) != want {
			t.Errorf("frame %d: %d key frames", i, whole)
		}
	}
	if want := 2_500_000 / 8 * 4; bytes < want*95/100 || bytes > want*105/100 {
		t.Errorf("%d bytes in 4 s, want about %d", bytes, want)
	}
	if keys != 2 {
		t.Errorf("%d key frames", keys)
	}
}

func TestPictureWithAGapIsNone(t *testing.T) {
	c := camera{mean: 10_000}
	var p picture
	for i, packet := range c.frame() {
		if i == 3 {
			continue
		}
		if p.take(rtpHeader{marker: packet.Marker, seq: packet.SequenceNumber, time: packet.Timestamp}, packet.Payload) {
			t.Error("a key frame with a hole was taken for a whole one")
		}
	}
}

func TestParameterSetsSplit(t *testing.T) {
	b, kinds := parameterSets()[1:], []byte{}
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint16(b))
		kinds = append(kinds, b[2]&0x1f)
		b = b[2+n:]
	}
	if !reflect.DeepEqual(kinds, []byte{7, 8, 12}) {
		t.Errorf("units %v", kinds)
	}
}
