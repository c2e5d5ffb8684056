package load

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/webrtc/v4"
	"github.com/pion/webrtc/v4/pkg/media"
)

// MediaOptions say how much picture goes to how many.
type MediaOptions struct {
	Viewers int
	Bitrate int // bit/s
	Time    time.Duration
}

// MediaResult is what forwarding cost.
type MediaResult struct {
	Viewers           int     `json:"viewers"`
	Connected         int     `json:"connected"`
	Bitrate           int     `json:"bitrate"`
	Seconds           float64 `json:"seconds"`
	Packets           float64 `json:"packets_forwarded"`
	CPUPerMillion     float64 `json:"cpu_seconds_per_million_packets"`
	BaselinePerM      float64 `json:"baseline_cpu_seconds_per_million_udp_writes"`
	Ratio             float64 `json:"ratio_to_baseline"`
	ReceivedShare     float64 `json:"received_share"`
	FirstFrameMsP50   float64 `json:"first_frame_ms_p50"`
	FirstFrameMsP95   float64 `json:"first_frame_ms_p95"`
	MemoryPerViewerMB float64 `json:"memory_per_viewer_mb"`
}

const packetSize = 1200

// Media publishes H.264 and has viewers receive it.
func Media(ctx context.Context, t *Target, o MediaOptions) (MediaResult, error) {
	r := MediaResult{Viewers: o.Viewers, Bitrate: o.Bitrate}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	api := receiver()
	if err := publish(ctx, t, o.Bitrate); err != nil {
		return r, fmt.Errorf("publisher: %w", err)
	}
	memory := t.rss()
	var received atomic.Int64
	var first durations
	var pcs []*webrtc.PeerConnection
	defer func() {
		for _, pc := range pcs {
			_ = pc.Close()
		}
	}()
	for i := range o.Viewers {
		pc, err := view(ctx, t, api, &received, &first)
		if err != nil {
			return r, fmt.Errorf("viewer %d: %w", i+1, err)
		}
		pcs = append(pcs, pc)
	}
	if err := settle(ctx, func() bool { return first.count() >= o.Viewers }); err != nil {
		return r, err
	}
	r.MemoryPerViewerMB = round(float64(t.rss()-memory) / float64(max(1, o.Viewers)) / (1 << 20))
	err := r.measure(ctx, t, o.Time, &received)
	r.Connected, r.FirstFrameMsP50, r.FirstFrameMsP95 = first.count(), first.ms(.5), first.ms(.95)
	if err != nil {
		return r, err
	}
	cancel()
	if r.BaselinePerM, err = udpBaseline(o.Viewers); err != nil {
		return r, err
	}
	r.Ratio = ratio(r.CPUPerMillion, r.BaselinePerM)
	return r, nil
}

func (r *MediaResult) measure(ctx context.Context, t *Target, d time.Duration, received *atomic.Int64) error {
	const sent = "duoduopin_stream_sent_packets_total"
	cpu0, err := t.cpu()
	if err != nil {
		return err
	}
	packets0, err := t.metric(ctx, sent)
	if err != nil {
		return err
	}
	got0, start := received.Load(), time.Now()
	if err := wait(ctx, d); err != nil {
		return err
	}
	packets1, err1 := t.metric(ctx, sent)
	cpu1, err2 := t.cpu()
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	r.Seconds, r.Packets = round(time.Since(start).Seconds()), packets1-packets0
	r.CPUPerMillion = perMillion(cpu1-cpu0, r.Packets)
	r.ReceivedShare = ratio(float64(received.Load()-got0), r.Packets)
	return nil
}

// settle waits until ok, at most 30 s.
func settle(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return errors.New("not everybody got a picture within 30 s")
		case <-tick.C:
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// receiver is a pion API as light as can be: no interceptors, so that the clients take little of the shared machine.
func receiver() *webrtc.API {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		panic(err) // constant codecs
	}
	return webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithInterceptorRegistry(&interceptor.Registry{}))
}

func view(ctx context.Context, t *Target, api *webrtc.API, received *atomic.Int64, first *durations) (*webrtc.PeerConnection, error) {
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return nil, err
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
			return nil, errors.Join(err, pc.Close())
		}
	}
	start := time.Now()
	var once sync.Once
	pc.OnTrack(func(track *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		buf := make([]byte, 1500)
		for {
			if _, _, err := track.Read(buf); err != nil {
				return
			}
			received.Add(1)
			if track.Kind() == webrtc.RTPCodecTypeVideo {
				once.Do(func() { first.add(time.Since(start)) })
			}
		}
	})
	return pc, errors.Join(negotiate(ctx, t, pc, t.path("/whep"), ""))
}

func publish(ctx context.Context, t *Target, bitrate int) error {
	pc, err := webrtc.NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = pc.Close() })
	track, err := webrtc.NewTrackLocalStaticSample(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}, "video", "load")
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

// film writes 30 frames a second, a key frame each second.
func film(ctx context.Context, track *webrtc.TrackLocalStaticSample, bitrate int) {
	const fps = 30
	tick := time.NewTicker(time.Second / fps)
	defer tick.Stop()
	size := bitrate / 8 / fps
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_ = track.WriteSample(media.Sample{Data: frame(i%fps == 0, size), Duration: time.Second / fps})
		}
	}
}

// frame is one access unit in Annex B: parameter sets and an IDR slice, or a slice that depends on it.
func frame(key bool, size int) []byte {
	unit := func(kind byte, n int) []byte { return append([]byte{0, 0, 0, 1, kind}, make([]byte, n)...) }
	if key {
		return append(append(unit(0x67, 10), unit(0x68, 4)...), unit(0x65, size)...)
	}
	return unit(0x41, size)
}

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
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.URL+path, strings.NewReader(pc.LocalDescription().SDP))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/sdp")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	status, answer, err := do(http.DefaultClient, req)
	if err != nil {
		return err
	}
	if status != http.StatusCreated {
		return fmt.Errorf("POST %s: %d %s", path, status, answer)
	}
	return pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: string(answer)})
}

// udpBaseline is the floor: one loop that writes packets of the same size to as many sockets, without any media in it.
func udpBaseline(viewers int) (float64, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	to := make([]*net.UDPAddr, max(1, viewers))
	for i := range to {
		sink, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return 0, err
		}
		defer sink.Close() //nolint:gocritic,revive // they live until the loop is over
		to[i] = sink.LocalAddr().(*net.UDPAddr)
	}
	packet := make([]byte, packetSize)
	const n = 200_000
	before := ownCPU()
	for i := range n {
		if _, err := conn.WriteToUDP(packet, to[i%len(to)]); err != nil {
			return 0, err
		}
	}
	return perMillion(ownCPU()-before, n), nil
}
