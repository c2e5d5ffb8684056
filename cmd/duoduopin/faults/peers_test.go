package faults

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// peer is an honest client on pion.
type peer struct {
	*webrtc.PeerConnection
	resource string
	video    atomic.Uint32 // SSRC of what is received
	packets  atomic.Int64  // of video
	lost     atomic.Int64  // holes in their sequence numbers, no repetition asked
}

// bare is a pion API without interceptors: nothing is asked again, so that what is lost is seen.
func bare() *webrtc.API {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		panic(err) // constant codecs
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
}

// from gives an HTTP client that calls from another loopback address, as another household would.
func from(address string) *http.Client {
	d := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DialContext: d.DialContext}}
}

// publish has an anchor send 30 frames a second of 1 Mbit/s until the test ends.
func (s *server) publish(t *testing.T) {
	t.Helper()
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}, "video", "anchor")
	must(t, err)
	_, err = pc.AddTrack(track)
	must(t, err)
	answer, _ := s.exchange(t, http.DefaultClient, "/whip", s.anchor, offer(t, pc))
	must(t, pc.SetRemoteDescription(answer))
	go film(t.Context(), track)
	eventually(t, 20*time.Second, "the anchor is on air", func() bool { return s.metric("duoduopin_stream_received_packets_total") > 0 })
}

// film writes a key frame each second and frames that depend on it.
func film(ctx context.Context, track *webrtc.TrackLocalStaticSample) {
	const fps, size = 30, 1_000_000 / 8 / 30
	tick := time.NewTicker(time.Second / fps)
	defer tick.Stop()
	unit := func(kind byte, n int) []byte { return append([]byte{0, 0, 0, 1, kind}, make([]byte, n)...) }
	for i := 0; ; i++ {
		frame := unit(0x41, size)
		if i%fps == 0 {
			frame = append(append(unit(0x67, 10), unit(0x68, 4)...), unit(0x65, size)...)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = track.WriteSample(media.Sample{Data: frame, Duration: time.Second / fps})
		}
	}
}

// watch connects a viewer who counts packets and holes; it is closed with the test, or before.
func (s *server) watch(t *testing.T, c *http.Client) *peer {
	t.Helper()
	p := viewer(t)
	answer, resource := s.exchange(t, c, "/whep", "", offer(t, p.PeerConnection))
	p.resource = resource
	must(t, p.SetRemoteDescription(answer))
	return p
}

func viewer(t *testing.T) *peer {
	t.Helper()
	pc, err := bare().NewPeerConnection(webrtc.Configuration{})
	must(t, err)
	t.Cleanup(func() { _ = pc.Close() })
	p := &peer{PeerConnection: pc}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		_, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly})
		must(t, err)
	}
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if track.Kind() == webrtc.RTPCodecTypeVideo {
			p.video.Store(uint32(track.SSRC()))
			p.count(track)
		}
	})
	return p
}

// count follows the sequence numbers (RFC 3550, section 5.1); what comes late fills its hole.
func (p *peer) count(track *webrtc.TrackRemote) {
	var next uint16
	for first := true; ; first = false {
		packet, _, err := track.ReadRTP()
		if err != nil {
			return
		}
		p.packets.Add(1)
		ahead := int16(packet.SequenceNumber - next) //nolint:gosec // distance on a circle
		switch {
		case first:
		case ahead < 0:
			p.lost.Add(-1)
			continue
		default:
			p.lost.Add(int64(ahead))
		}
		next = packet.SequenceNumber + 1
	}
}

// seeing waits for the first picture.
func (p *peer) seeing(t *testing.T) {
	t.Helper()
	eventually(t, 20*time.Second, "the viewer gets a picture", func() bool { return p.packets.Load() > 0 })
}

// leave ends the viewing as a page does.
func (s *server) leave(t *testing.T, p *peer) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, s.url+p.resource, nil)
	must(t, err)
	res, err := http.DefaultClient.Do(req)
	must(t, err)
	must(t, res.Body.Close())
	if res.StatusCode != http.StatusOK {
		t.Errorf("DELETE: %s", res.Status)
	}
	must(t, p.Close())
}

func offer(t *testing.T, pc *webrtc.PeerConnection) string {
	t.Helper()
	o, err := pc.CreateOffer(nil)
	must(t, err)
	gathered := webrtc.GatheringCompletePromise(pc)
	must(t, pc.SetLocalDescription(o))
	<-gathered
	return pc.LocalDescription().SDP
}

// exchange posts an offer and wants an answer.
func (s *server) exchange(t *testing.T, c *http.Client, path, token, sdp string) (webrtc.SessionDescription, string) {
	t.Helper()
	res, err := s.offer(t.Context(), c, path, token, sdp)
	must(t, err)
	if res.status != http.StatusCreated {
		t.Fatalf("POST %s: %d %s", path, res.status, res.body)
	}
	return webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: res.body}, res.location
}

type reply struct {
	status               int
	body, location, wait string // wait: Retry-After
}

// offer posts SDP, whatever comes of it.
func (s *server) offer(ctx context.Context, c *http.Client, path, token, sdp string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+s.path(path), strings.NewReader(sdp))
	if err != nil {
		return reply{}, err
	}
	req.Header.Set("Content-Type", "application/sdp")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := c.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return reply{}, fmt.Errorf("reading the answer: %w", err)
	}
	return reply{res.StatusCode, string(body), res.Header.Get("Location"), res.Header.Get("Retry-After")}, nil
}
