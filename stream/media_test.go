package stream

import (
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// unbroken checks that packets form one stream: no gap in the numbers, time never back, one SSRC.
func unbroken(t *testing.T, packets []*rtp.Packet) {
	t.Helper()
	for i := 1; i < len(packets); i++ {
		a, b := packets[i-1], packets[i]
		if b.SequenceNumber != a.SequenceNumber+1 {
			t.Fatalf("packet %d: number %d after %d", i, b.SequenceNumber, a.SequenceNumber)
		}
		if int32(b.Timestamp-a.Timestamp) < 0 {
			t.Fatalf("packet %d: time goes back by %d", i, a.Timestamp-b.Timestamp)
		}
		if a.SSRC != b.SSRC {
			t.Fatalf("packet %d: another SSRC", i)
		}
	}
}

func (sh *shop) diaryReads(want ...string) {
	sh.t.Helper()
	wait(sh.t, "diary "+strings.Join(want, ", "), func() bool { return slices.Equal(sh.seen.all(), want) })
}

func TestTwoViewersGetPictureAndSound(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	for range 2 {
		v := sh.watch(1, "", 1, clientOptions{})
		v.sees("zhao/video", 60)
		v.sees("zhao/audio", 10)
		video := v.got("zhao/video")
		unbroken(t, video)
		unbroken(t, v.got("zhao/audio"))
		if video[0].Payload[0] != 0x67 {
			t.Fatalf("the picture starts with NAL %x, not with a key frame", video[0].Payload[0])
		}
		if !video[2].Marker || video[1].Marker {
			t.Fatal("the frames' ends are lost")
		}
	}
	sh.diaryReads("up zhao")
}

func TestCodecsPassThrough(t *testing.T) {
	for _, mime := range []string{webrtc.MimeTypeVP8, webrtc.MimeTypeVP9, webrtc.MimeTypeAV1} {
		t.Run(codecName(mime), func(t *testing.T) {
			sh := open(t)
			sh.publish(1, "zhao", mime)
			v := sh.watch(1, "", 1, clientOptions{})
			v.sees("zhao/video", 30)
			if got := v.mime["zhao/video"]; !strings.EqualFold(got, mime) {
				t.Fatalf("got %s", got)
			}
			unbroken(t, v.got("zhao/video"))
		})
	}
}

func TestViewerStartsAtCachedKeyFrame(t *testing.T) {
	sh := open(t)
	cam := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	cam.mu.Lock()
	cam.frames = 0 // no further key frame comes by itself
	cam.mu.Unlock()
	first := sh.watch(1, "", 1, clientOptions{})
	first.sees("zhao/video", 60)
	asked := len(cam.plis)
	v := sh.watch(1, "", 1, clientOptions{})
	v.sees("zhao/video", 120)
	packets := v.got("zhao/video")
	unbroken(t, packets)
	if packets[0].Payload[0] != 0x67 {
		t.Fatalf("starts with NAL %x", packets[0].Payload[0])
	}
	if len(cam.plis) != asked {
		t.Fatal("the publisher was asked for a key frame though the cache had one")
	}
}

func TestViewerBeforePublisher(t *testing.T) {
	sh := open(t)
	v := sh.watch(1, "", 1, clientOptions{})
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v.sees("seat-1/video", 30)
	v.sees("seat-1/audio", 10)
	unbroken(t, v.got("seat-1/video"))
}

func TestPublisherLeavesAndReturns(t *testing.T) {
	sh := open(t)
	v := sh.watch(1, "", 1, clientOptions{})
	cam := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v.sees("seat-1/video", 30)
	cam.delete()
	cam.cut()
	sh.diaryReads("up zhao", "down zhao")
	if got := sh.s.OnAir(1); len(got) != 0 {
		t.Fatal(got)
	}
	time.Sleep(50 * time.Millisecond)
	cam = sh.publish(1, "zhao", webrtc.MimeTypeVP8)
	v.sees("seat-1/video", 30)
	v.sees("seat-1/audio", 10)
	sh.diaryReads("up zhao", "down zhao", "up zhao")
	packets := v.got("seat-1/video")
	unbroken(t, packets)
	if packets[0].PayloadType == packets[len(packets)-1].PayloadType {
		t.Fatal("the codec changed and the payload type did not")
	}
	cam.cut()
}

func TestPublisherVanishes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 10 s")
	}
	t.Parallel()
	sh := open(t)
	cam := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	sh.diaryReads("up zhao")
	start := time.Now()
	cam.cut()
	// Closing the socket without DTLS's goodbye is what a dead network looks like.
	cam.vanish()
	for len(sh.seen.all()) < 2 && time.Since(start) < 13*time.Second {
		time.Sleep(50 * time.Millisecond)
	}
	sh.diaryReads("up zhao", "down zhao")
	if took := time.Since(start); took > 12*time.Second {
		t.Fatalf("told after %v", took)
	}
}

func TestSameAnchorTakesOver(t *testing.T) {
	sh := open(t)
	v := sh.watch(1, "", 1, clientOptions{})
	old := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v.sees("seat-1/video", 30)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	wait(t, "end of the old one", func() bool { return old.pc.ConnectionState() != webrtc.PeerConnectionStateConnected })
	v.sees("seat-1/video", 30)
	unbroken(t, v.got("seat-1/video"))
	sh.diaryReads("up zhao")
	if r := sh.do("DELETE", old.location, "zhao", ""); r.status != 404 {
		t.Fatalf("the old resource answers %d", r.status)
	}
}

// Two pages of one anchor do not take him from each other in turn: who was taken over from stays refused, a new page is not.
func TestNoTugOfWar(t *testing.T) {
	sh := open(t)
	endpoint := "/api/v1/sessions/1/whip?page="
	first := sh.publishTo(endpoint+"first", "zhao", webrtc.MimeTypeH264)
	v := sh.watch(1, "", 1, clientOptions{})
	v.sees("zhao/video", 10)
	sh.publishTo(endpoint+"second", "zhao", webrtc.MimeTypeH264)
	wait(t, "the first is closed", func() bool {
		return sh.do("PATCH", first.location, "zhao", "x", "Content-Type", "application/trickle-ice-sdpfrag").status == 404
	})
	again := newClient(sh, "zhao", clientOptions{})
	if _, err := again.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly}); err != nil {
		t.Fatal(err)
	}
	if r := sh.do("POST", endpoint+"first", "zhao", again.offer(), "Content-Type", "application/sdp"); r.status != 409 || !strings.Contains(r.body, "taken-over") {
		t.Errorf("the first page comes back: %d %s", r.status, r.body)
	}
	sh.publishTo(endpoint+"third", "zhao", webrtc.MimeTypeH264)
	v.sees("zhao/video", 30)
}

func TestOtherAccountIsRefused(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	c := newClient(sh, "zhao-desk", clientOptions{})
	track, _ := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "v", "s")
	_, _ = c.pc.AddTransceiverFromTrack(track, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionSendonly})
	r := sh.do("POST", "/api/v1/sessions/1/whip", "zhao-desk", c.offer(), "Content-Type", "application/sdp")
	if r.status != 409 || !strings.Contains(r.body, "/anchor-taken") {
		t.Fatalf("%d %s", r.status, r.body)
	}
}

func TestSeveralAnchors(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	second := sh.publish(1, "qian", webrtc.MimeTypeVP8)
	wait(t, "both on air", func() bool { return len(sh.s.OnAir(1)) == 2 })
	three, one := sh.watch(1, "", 3, clientOptions{}), sh.watch(1, "", 1, clientOptions{})
	for _, name := range []string{"zhao/video", "zhao/audio", "qian/video", "qian/audio"} {
		three.sees(name, 10)
	}
	one.sees("zhao/video", 10)
	if len(one.got("qian/video")) > 0 {
		t.Fatal("one seat, two anchors")
	}
	sh.publish(1, "sun", webrtc.MimeTypeH264)
	three.sees("seat-3/video", 10)
	second.delete()
	wait(t, "qian gone", func() bool { return len(sh.s.OnAir(1)) == 2 })
	three.sees("zhao/video", 10)
}

func TestRosterNamesSeats(t *testing.T) {
	sh := open(t, func(c *Config) {
		c.Roster = func(_ ctx, _ int64) ([]string, error) { return []string{"zhao", "qian"}, nil }
	})
	v := sh.watch(1, "", 2, clientOptions{})
	one := sh.watch(1, "", 1, clientOptions{})
	sh.publish(1, "qian", webrtc.MimeTypeH264)
	v.sees("qian/video", 10)
	// The only seat was laid out for zhao; qian is first on air and gets it.
	one.sees("zhao/video", 10)
}

func TestViewerByTCP(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v := sh.watch(1, "", 1, clientOptions{tcp: true})
	v.sees("zhao/video", 30)
	if st := sh.s.Stats(1); st.ViewersByTransport["tcp"] != 1 {
		t.Fatalf("%+v", st)
	}
}

func TestNACKIsAnsweredFromTheCache(t *testing.T) {
	sh := open(t)
	cam := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v := sh.watch(1, "", 1, clientOptions{})
	v.sees("zhao/video", 30)
	before := v.got("zhao/video")
	want := before[len(before)-5]
	nack := &rtcp.TransportLayerNack{MediaSSRC: want.SSRC, Nacks: rtcp.NackPairsFromSequenceNumbers([]uint16{want.SequenceNumber})}
	again := func() bool { // pion unwraps RTX, so the packet comes a second time
		n := 0
		for _, p := range v.got("zhao/video") {
			if p.SequenceNumber == want.SequenceNumber && p.Timestamp == want.Timestamp && slices.Equal(p.Payload, want.Payload) {
				n++
			}
		}
		return n == 2
	}
	if err := v.pc.WriteRTCP([]rtcp.Packet{nack}); err != nil {
		t.Fatal(err)
	}
	wait(t, "retransmission", again)
	if len(cam.plis) > 1 || sh.s.traffic.resent.Load() != 1 {
		t.Fatalf("%d PLIs, %d resent", len(cam.plis), sh.s.traffic.resent.Load())
	}
}

func TestPLIsAreMerged(t *testing.T) {
	sh := open(t)
	cam := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v := sh.watch(1, "", 1, clientOptions{})
	v.sees("zhao/video", 3)
	before := len(cam.plis)
	ssrc := v.got("zhao/video")[0].SSRC
	for range 50 {
		_ = v.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: ssrc}})
	}
	wait(t, "a PLI", func() bool { return len(cam.plis) > before })
	time.Sleep(100 * time.Millisecond)
	if got := len(cam.plis) - before; got > 2 {
		t.Fatalf("50 requests became %d", got)
	}
}

func TestLossTowardsUsIsAskedForAgain(t *testing.T) {
	sh := open(t)
	cam := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v := sh.watch(1, "", 1, clientOptions{})
	cam.mu.Lock()
	cam.lose = func(seq uint16) bool { return seq%50 == 7 }
	cam.mu.Unlock()
	v.sees("zhao/video", 150)
	if st := sh.s.Stats(1); st.Publishers[0].Lost == 0 {
		t.Fatalf("%+v", st)
	}
}

func TestICERestart(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v := sh.watch(1, "", 1, clientOptions{})
	v.sees("zhao/video", 10)
	o, err := v.pc.CreateOffer(&webrtc.OfferOptions{ICERestart: true})
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(v.pc)
	if err := v.pc.SetLocalDescription(o); err != nil {
		t.Fatal(err)
	}
	<-gathered
	frag := fragmentLines(v.pc.LocalDescription().SDP)
	r := sh.do("PATCH", v.location, "", frag, "Content-Type", typeFragment, "If-Match", `"*"`)
	if r.status != 200 || r.header.Get("ETag") == v.etag || r.header.Get("ETag") == "" || r.header.Get("Content-Type") != typeFragment {
		t.Fatalf("%d %v %s", r.status, r.header, r.body)
	}
	if err := v.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: withICE(v.answer, r.body)}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	wait(t, "reconnection", func() bool { return v.pc.ICEConnectionState() == webrtc.ICEConnectionStateConnected })
	v.sees("zhao/video", 60)
	if r := sh.do("PATCH", v.location, "", frag, "Content-Type", typeFragment, "If-Match", v.etag); r.status != 412 {
		t.Fatalf("the old ETag still holds: %d", r.status)
	}
}

// fragmentLines cuts the ICE lines of the first m-section out of an SDP.
func fragmentLines(sdp string) string {
	var b strings.Builder
	media := 0
	for line := range strings.Lines(sdp) {
		if strings.HasPrefix(line, "m=") {
			media++
		}
		for _, p := range []string{"a=ice-", "a=candidate:", "a=mid:", "m="} {
			if media == 1 && strings.HasPrefix(line, p) {
				b.WriteString(line)
			}
		}
	}
	return b.String()
}

// withICE puts a fragment's credentials and candidates into an older answer, as a WHEP player does.
func withICE(answer, frag string) string {
	var b strings.Builder
	lines := map[string]string{}
	var candidates string
	for line := range strings.Lines(frag) {
		switch key, _, _ := strings.Cut(line, ":"); key {
		case "a=ice-ufrag", "a=ice-pwd":
			lines[key] = line
		case "a=candidate":
			candidates += line
		}
	}
	first := true
	for line := range strings.Lines(answer) {
		key, _, _ := strings.Cut(line, ":")
		switch {
		case lines[key] != "":
			b.WriteString(lines[key])
			if key == "a=ice-pwd" && first {
				b.WriteString(candidates)
				first = false
			}
		case key == "a=candidate", strings.HasPrefix(line, "a=end-of-candidates"):
		default:
			b.WriteString(line)
		}
	}
	return b.String()
}

func TestUnfinishedHandshakeEnds(t *testing.T) {
	sh := open(t, func(c *Config) { c.handshake = 100 * time.Millisecond })
	c := newClient(sh, "", clientOptions{})
	_, _ = c.pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
	r := sh.do("POST", "/api/v1/sessions/1/whep", "", c.offer(), "Content-Type", typeSDP)
	if r.status != 201 {
		t.Fatal(r.status, r.body)
	}
	wait(t, "the resource's end", func() bool { return sh.do("DELETE", r.header.Get("Location"), "", "").status == 404 })
	if n := sh.s.door.waiting(); n != 0 {
		t.Fatalf("%d still at the door", n)
	}
}

func TestCloseSession(t *testing.T) {
	sh := open(t)
	cam := sh.publish(1, "zhao", webrtc.MimeTypeH264)
	v := sh.watch(1, "", 1, clientOptions{})
	v.sees("zhao/video", 3)
	sh.s.CloseSession(1)
	for _, pc := range []*webrtc.PeerConnection{cam.pc, v.pc} {
		wait(t, "end", func() bool { return pc.ConnectionState() != webrtc.PeerConnectionStateConnected })
	}
	sh.diaryReads("up zhao", "down zhao")
	if sh.s.room(1) != nil {
		t.Fatal("the room is still there")
	}
}

func TestJoinAndLeaveCostNothing(t *testing.T) {
	sh := open(t)
	sh.publish(1, "zhao", webrtc.MimeTypeH264)
	once := func() {
		v := sh.watch(1, "", 1, clientOptions{})
		v.sees("zhao/video", 1)
		v.delete()
		_ = v.pc.Close()
		_ = v.mux.Close() // the test's own socket
	}
	once()
	settle := func() int {
		http := 0
		for range 40 {
			time.Sleep(25 * time.Millisecond)
			if n := runtime.NumGoroutine(); n == http {
				break
			} else {
				http = n
			}
		}
		return runtime.NumGoroutine()
	}
	before := settle()
	for range 100 {
		once()
	}
	wait(t, "the goroutines' end", func() bool { return settle() <= before+3 })
}

func TestHandshakeChoosesGCM(t *testing.T) {
	sh := open(t)
	v := sh.watch(1, "", 1, clientOptions{})
	if !strings.Contains(v.answer, "a=setup:passive") {
		t.Fatal("we are not the DTLS server")
	}
}
