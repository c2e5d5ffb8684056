package stream

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// offerOf makes a real client's offer.
func offerOf(t testing.TB, d direction, video, audio int) string {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	defer pc.Close()
	way := webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}
	if d == publishing {
		way.Direction = webrtc.RTPTransceiverDirectionSendonly
	}
	for range video {
		if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, way); err != nil {
			t.Fatal(err)
		}
	}
	for range audio {
		if _, err := pc.AddTransceiverFromKind(webrtc.RTPCodecTypeAudio, way); err != nil {
			t.Fatal(err)
		}
	}
	o, err := pc.CreateOffer(nil)
	if err != nil {
		t.Fatal(err)
	}
	return o.SDP
}

func TestOffers(t *testing.T) {
	whip, whep := offerOf(t, publishing, 1, 1), offerOf(t, playing, 5, 5)
	line := func(sdp, with string) string { return strings.Replace(sdp, "a=ice-ufrag:", with+"\r\na=ice-ufrag:", 1) }
	for name, row := range map[string]struct {
		sdp  string
		d    direction
		fine bool
	}{
		"publisher":              {whip, publishing, true},
		"viewer of five":         {whep, playing, true},
		"viewer who publishes":   {whep, publishing, false},
		"publisher who watches":  {whip, playing, false},
		"nothing":                {"", publishing, false},
		"not SDP":                {"hello", publishing, false},
		"no media":               {"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n", publishing, false},
		"no credentials":         {strings.ReplaceAll(whip, "a=ice-ufrag:", "a=x-ufrag:"), publishing, false},
		"no fingerprint":         {strings.ReplaceAll(whip, "a=fingerprint:", "a=x:"), publishing, false},
		"no codec of ours":       {strings.NewReplacer("H264", "XX", "VP8", "XX", "VP9", "XX", "AV1", "XX", "H265", "XX", "opus", "XX", "PCMU", "XX", "PCMA", "XX", "G722", "XX").Replace(whip), publishing, false},
		"a thousand m-lines":     {whip + strings.Repeat("m=video 9 UDP/TLS/RTP/SAVPF 96\r\n", 1000), publishing, false},
		"thirty-three addresses": {line(whip, strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", 33)), publishing, false},
		"a line of 10 MB":        {line(whip, "a=x:"+strings.Repeat("x", 10<<20)), publishing, false},
		"ten thousand lines":     {line(whip, strings.Repeat("a=x:y\r\n", 10_000)), publishing, false},
	} {
		start := time.Now()
		_, err := parseOffer([]byte(row.sdp), row.d)
		if row.fine != (err == nil) || (err != nil && !errors.Is(err, ErrOffer)) {
			t.Errorf("%s: %v", name, err)
		}
		t.Logf("%s: %v in %v", name, err, time.Since(start))
	}
}

func TestFragments(t *testing.T) {
	ufrag, pwd := "a=ice-ufrag:abcd\r\n", "a=ice-pwd:"+strings.Repeat("p", 22)+"\r\n"
	for body, fine := range map[string]bool{
		ufrag + pwd + "a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n": true,
		"a=end-of-candidates\r\n":                                      true,
		ufrag:                                                          false,
		pwd:                                                            false,
		"":                                                             false,
		"hello":                                                        false,
		"a=ice-ufrag:a b\r\n" + pwd:                                    false,
		strings.Repeat("a=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n", 33): false,
	} {
		if _, err := parseFragment([]byte(body)); fine != (err == nil) {
			t.Errorf("%.60q: %v", body, err)
		}
	}
}

func FuzzParseOffer(f *testing.F) {
	f.Add([]byte(offerOf(f, publishing, 1, 1)), true)
	f.Add([]byte(offerOf(f, playing, 2, 2)), false)
	f.Add([]byte("v=0\r\nm=video 9 X 96\r\n"), true)
	f.Fuzz(func(t *testing.T, body []byte, whip bool) {
		d := playing
		if whip {
			d = publishing
		}
		o, err := parseOffer(body, d)
		if err != nil {
			return
		}
		if len(body) > maxBody || o.video+o.audio == 0 || o.video+o.audio > maxPlayed || o.ufrag == "" {
			t.Fatalf("accepted: %+v", o)
		}
		if _, err := o.text(); err != nil {
			t.Fatalf("accepted and can't be written: %v", err)
		}
	})
}

func FuzzParseFragment(f *testing.F) {
	f.Add([]byte("a=ice-ufrag:abcd\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		if fr, err := parseFragment(body); err == nil && len(fr.candidates) > maxCandidates {
			t.Fatal("too many candidates were accepted")
		}
	})
}

func FuzzPacket(f *testing.F) {
	f.Add([]byte{0x80, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x65, 1, 2}, uint8(0))
	f.Add([]byte{0xb0, 96, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0xbe, 0xde, 0, 0, 0x18, 0, 4, 1}, uint8(1))
	kinds := []string{"h264", "vp8", "vp9", "av1", "opus"}
	f.Fuzz(func(t *testing.T, raw []byte, kind uint8) {
		p, ok := parsePacket(raw)
		if !ok {
			return
		}
		if len(p.payload) > maxPayload {
			t.Fatal("too large a payload was accepted")
		}
		startsKeyFrame(kinds[int(kind)%len(kinds)])(p.payload)
		var theirs rtp.Packet
		if err := theirs.Unmarshal(raw); err == nil && string(theirs.Payload) != string(p.payload) && len(theirs.Payload) <= maxPayload {
			t.Fatalf("payload %x, pion reads %x", p.payload, theirs.Payload)
		}
	})
}

func TestCandidateText(t *testing.T) {
	for s, fine := range map[string]bool{"": true, "abcd": true, "abc": false, "ab+/": true, "ab c": false, "ab\ncd": false, strings.Repeat("a", 257): false} {
		if iceText(s, 4) != fine {
			t.Errorf("%.20q", s)
		}
	}
}
