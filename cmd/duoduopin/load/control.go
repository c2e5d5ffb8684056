package load

import (
	"context"
	"errors"
	"sync"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
)

// control is a viewer that is a whole pion client: what it gets, the light ones must get too.
type control struct {
	pc    *webrtc.PeerConnection
	mu    sync.Mutex
	track track
}

func newControl(ctx context.Context, t *Target) (*control, error) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	c := &control{pc: pc}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return nil, errors.Join(err, pc.Close())
		}
	}
	pc.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		if remote.Kind() == webrtc.RTPCodecTypeVideo {
			c.read(remote)
		}
	})
	if err := negotiate(ctx, t, pc, t.path("/whep"), ""); err != nil {
		return nil, errors.Join(err, pc.Close())
	}
	return c, nil
}

// read counts until the track ends.
func (c *control) read(remote *webrtc.TrackRemote) {
	for {
		p, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.track.take(p.SequenceNumber)
		c.mu.Unlock()
	}
}

// tally gives packets received and expected.
func (c *control) tally() (received, expected int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.track.received, c.track.expected()
}

func (c *control) close() error { return c.pc.Close() }
