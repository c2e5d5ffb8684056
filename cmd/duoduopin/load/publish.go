package load

import (
	"context"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	packetSize  = 1200 // bytes of an RTP packet with its header, before encryption
	payloadSize = packetSize - 12
	fps         = 30
	keyEvery    = 2 * fps // frames
	keyWeight   = 5       // a key frame is so many times the mean frame
	stampSize   = 8       // bytes at a payload's end: when it was sent, ns of this process's clock
)

// publish has a pion client send H.264 by WHIP until ctx ends.
func publish(ctx context.Context, t *Target, bitrate int) error {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = pc.Close() })
	video := webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeH264, ClockRate: 90000, SDPFmtpLine: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
	}
	track, err := webrtc.NewTrackLocalStaticRTP(video, "video", "load")
	if err != nil {
		return err
	}
	sender, err := pc.AddTrack(track)
	if err != nil {
		return err
	}
	go func() { // ends with the connection
		buf := make([]byte, 1500)
		for {
			if _, _, err := sender.Read(buf); err != nil {
				return
			}
		}
	}()
	if err := negotiate(ctx, t, pc, t.path("/whip"), t.Anchor); err != nil {
		return err
	}
	go film(ctx, track, bitrate) // ends with ctx
	return nil
}

// film writes 30 frames a second, a key frame every 2 s.
func film(ctx context.Context, track *webrtc.TrackLocalStaticRTP, bitrate int) {
	tick := time.NewTicker(time.Second / fps)
	defer tick.Stop()
	c := camera{mean: bitrate / 8 / fps}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			for _, p := range c.frame() {
				_ = track.WriteRTP(p) // the server is busy or gone: it is seen as loss
			}
		}
	}
}

// camera makes packets of a picture that nobody could decode, in the form of H.264 (RFC 6184).
type camera struct {
	mean   int // bytes of the mean frame
	number int // of the next frame
	seq    uint16
}

// frame gives the packets of the next frame.
func (c *camera) frame() []*rtp.Packet {
	key := c.number%keyEvery == 0
	size := c.mean * (keyEvery - keyWeight) / (keyEvery - 1)
	var out []*rtp.Packet
	if key {
		size = c.mean * keyWeight
		out = append(out, c.packet(parameterSets(), false))
	}
	const head = 2 // FU indicator and header
	n := max(2, (size+payloadSize-1)/payloadSize)
	for i := range n {
		p := make([]byte, max(head+1+stampSize, min(payloadSize, size-i*payloadSize)))
		p[0], p[1] = 0x7c, 1 // FU-A of a slice
		if key {
			p[1] = 5 // of an IDR picture
		}
		switch i {
		case 0:
			p[1] |= 0x80
		case n - 1:
			p[1] |= 0x40
		}
		for j := head; j < len(p); j++ {
			p[j] = 0xaa
		}
		out = append(out, c.packet(p, i == n-1))
	}
	c.number++
	return out
}

func (c *camera) packet(payload []byte, last bool) *rtp.Packet {
	if len(payload) > stampSize+3 {
		stamp(payload, time.Now())
	}
	c.seq++
	return &rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: last, SequenceNumber: c.seq, Timestamp: uint32(c.number) * (90000 / fps)}, //nolint:gosec // wraps on purpose
		Payload: payload,
	}
}

// parameterSets is a STAP-A with the sets of a 1280x720 baseline picture, and a filler unit that has room for the stamp.
func parameterSets() []byte {
	out := []byte{0x78}
	for _, unit := range [][]byte{
		{0x67, 0x42, 0xc0, 0x1f, 0xd9, 0x00, 0x50, 0x05, 0xbb, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x83, 0x24, 0x80},
		{0x68, 0xcb, 0x83, 0xcb, 0x20},
		append([]byte{0x0c}, make([]byte, stampSize)...),
	} {
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(unit))), unit...) //nolint:gosec // short
	}
	return out
}

func stamp(payload []byte, at time.Time) {
	binary.BigEndian.PutUint64(payload[len(payload)-stampSize:], uint64(at.UnixNano())) //nolint:gosec // after 1970
}

// age says how long ago a payload was stamped; false when it is too short to have a stamp.
func age(payload []byte, now time.Time) (time.Duration, bool) {
	if len(payload) < stampSize {
		return 0, false
	}
	return time.Duration(now.UnixNano() - int64(binary.BigEndian.Uint64(payload[len(payload)-stampSize:]))), true //nolint:gosec // fits until 2262
}

// negotiate offers by WHIP or WHEP.
func negotiate(ctx context.Context, t *Target, pc *webrtc.PeerConnection, path, token string) error {
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return err
	}
	<-gathered
	_, answer, err := t.offer(ctx, path, token, pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	return pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer})
}

// offer posts an SDP and gives the resource's URL and the answer.
func (t *Target) offer(ctx context.Context, path, token, sdp string) (resource, answer string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL+path, strings.NewReader(sdp))
	if err != nil {
		return "", "", err
	}
	req.Header.Set("Content-Type", "application/sdp")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	status, resource, body, err := exchange(http.DefaultClient, req)
	if err != nil {
		return "", "", err
	}
	if status != http.StatusCreated || resource == "" {
		return "", "", fmt.Errorf("POST %s: %d %s", path, status, body)
	}
	return resource, string(body), nil
}

// drop ends a WHIP or WHEP resource.
func (t *Target) drop(ctx context.Context, resource string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, resource, nil)
	if err != nil {
		return err
	}
	_, _, err = do(http.DefaultClient, req)
	return err
}
