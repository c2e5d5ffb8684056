package stream

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/stream/light"
	"github.com/duoduopin/duoduopin/stream/udp"
)

// traffic counts what goes through this process.
type traffic struct {
	packetsIn, bytesIn, packetsOut, bytesOut atomic.Uint64
	nacks, resent, plis                      atomic.Uint64
	sendErrors, malformed                    atomic.Uint64
	timeouts, restarts, overruns             atomic.Uint64
}

// register offers the counters to Prometheus.
func (s *Service) register(to prometheus.Registerer) {
	counter := func(name, help string, v *atomic.Uint64) {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "duoduopin_stream_" + name, Help: help},
			func() float64 { return float64(v.Load()) }))
	}
	gauge := func(name, help string, v func() int) {
		to.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "duoduopin_stream_" + name, Help: help},
			func() float64 { return float64(v()) }))
	}
	t := s.traffic
	counter("received_packets_total", "RTP packets from publishers.", &t.packetsIn)
	counter("received_bytes_total", "RTP payload bytes from publishers.", &t.bytesIn)
	counter("sent_packets_total", "RTP packets to viewers, without repetitions.", &t.packetsOut)
	counter("sent_bytes_total", "RTP payload bytes to viewers, without repetitions.", &t.bytesOut)
	counter("nacked_packets_total", "Packets that viewers asked for again.", &t.nacks)
	counter("resent_packets_total", "Packets sent again from the cache.", &t.resent)
	counter("key_requests_total", "Key frames asked of publishers.", &t.plis)
	counter("send_errors_total", "RTP packets that could not be sent.", &t.sendErrors)
	counter("malformed_packets_total", "RTP and RTCP packets that could not be read.", &t.malformed)
	counter("handshake_timeouts_total", "Connections given up before they were up.", &t.timeouts)
	counter("ice_restarts_total", "ICE restarts by PATCH.", &t.restarts)
	counter("overrun_packets_total", "Packets dropped before the viewers because the machine could not keep up.", &t.overruns)
	udpCounter := func(name, help string, of func(udp.Counters) uint64) {
		to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "duoduopin_stream_" + name, Help: help},
			func() float64 { return float64(of(s.ports.socket.Counters())) }))
	}
	udpCounter("socket_errors_total", "Datagrams that the system did not take.", func(c udp.Counters) uint64 { return c.Failed + c.Dropped })
	udpCounter("socket_sent_total", "Datagrams sent.", func(c udp.Counters) uint64 { return c.Sent })
	udpCounter("socket_send_calls_total", "System calls that sent them.", func(c udp.Counters) uint64 { return c.SendCalls })
	udpCounter("socket_received_total", "Datagrams received.", func(c udp.Counters) uint64 { return c.Received })
	stunned := func(of func(light.Counts) uint64) func() float64 {
		return func() float64 { return float64(of(s.light.Counts())) }
	}
	to.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "duoduopin_stream_stun_refused_total", Help: "ICE checks that were not authenticated."},
		stunned(func(c light.Counts) uint64 { return c.Refused })))
	gauge("handshakes", "Connections being set up.", s.door.waiting)
	gauge("rooms", "Sessions with somebody connected.", func() int { return len(s.allRooms()) })
	gauge("publishers", "Publishers connected.", func() int { return s.count(publishing) })
	gauge("viewers", "Viewers connected.", func() int { return s.count(playing) })
}

func (s *Service) count(d direction) int {
	n := 0
	for _, p := range s.allPeers() {
		if p.direction == d && p.up.Load() {
			n++
		}
	}
	return n
}

// Stats is a session's media at this moment.
type Stats struct {
	Publishers         []PublisherStats `json:"publishers" nullable:"false"`
	Viewers            int              `json:"viewers"`
	ViewersByTransport map[string]int   `json:"viewers_by_transport" doc:"Viewers by the way they are reached: udp, tcp, pc (a PeerConnection)."`
	ViewersByLayer     map[string]int   `json:"viewers_by_layer" doc:"Pictures sent, by simulcast layer; the empty name without simulcast."`
	BitrateOut         int64            `json:"bitrate_out" doc:"bit/s to all viewers, over the last second."`
	LossOut            *float64         `json:"loss_out" doc:"Share of packets that viewers lost, of the last reports; null before any."`
	RTTMsP50           *float64         `json:"rtt_ms_p50" doc:"Median round trip to the viewers; null before any is known."`
}

// PublisherStats is one anchor on air.
type PublisherStats struct {
	Anchor     string       `json:"anchor"`
	CodecVideo string       `json:"codec_video" doc:"Such as h264; empty without video."`
	CodecAudio string       `json:"codec_audio"`
	Bitrate    int64        `json:"bitrate" doc:"bit/s over the last second, video and audio."`
	Packets    uint64       `json:"packets"`
	Lost       uint64       `json:"lost" doc:"Packets that never came."`
	PLIs       uint64       `json:"plis" doc:"Key frames asked for."`
	Since      time.Time    `json:"since"`
	Muted      bool         `json:"muted"`
	LevelDB    int          `json:"level_db" doc:"Loudness in dBov, -127 (silence) to 0."`
	Speaking   bool         `json:"speaking"`
	Layers     []LayerStats `json:"layers" nullable:"false"`
}

// LayerStats is one encoding of an anchor's picture or sound.
type LayerStats struct {
	RID     string `json:"rid" doc:"Simulcast name; empty without simulcast."`
	Kind    string `json:"kind"`
	Codec   string `json:"codec"`
	Width   int    `json:"width" doc:"0 if the codec does not say."`
	Height  int    `json:"height"`
	FPS     int    `json:"fps"`
	Bitrate int    `json:"bitrate"`
	Packets uint64 `json:"packets"`
	Lost    uint64 `json:"lost"`
	PLIs    uint64 `json:"plis"`
	Viewers int    `json:"viewers"`
	Alive   bool   `json:"alive"`
}

// Stats gives a session's media; zero values when nobody is there.
func (s *Service) Stats(id int64) Stats {
	st := Stats{Publishers: []PublisherStats{}, ViewersByTransport: map[string]int{}, ViewersByLayer: map[string]int{}}
	r := s.room(id)
	if r == nil {
		return st
	}
	publishers, viewers := r.people()
	for _, p := range publishers {
		st.Publishers = append(st.Publishers, p.stats())
	}
	st.Viewers = len(viewers)
	var loss, rtts []float64
	for _, v := range viewers {
		p := v.path()
		if p.Transport != "" {
			st.ViewersByTransport[p.Transport]++
		}
		for _, t := range p.Seats {
			if t.Video != nil && t.Video.State != "idle" {
				st.ViewersByLayer[t.Video.Layer]++
			}
		}
		st.BitrateOut += p.Bitrate
		loss = append(loss, p.Loss)
		if p.RTTMs != nil {
			rtts = append(rtts, *p.RTTMs)
		}
	}
	st.LossOut, st.RTTMsP50 = mean(loss), median(rtts)
	return st
}

func mean(all []float64) *float64 {
	if len(all) == 0 {
		return nil
	}
	sum := 0.0
	for _, v := range all {
		sum += v
	}
	sum /= float64(len(all))
	return &sum
}

func median(all []float64) *float64 {
	if len(all) == 0 {
		return nil
	}
	slices.Sort(all)
	return &all[len(all)/2]
}

func (p *publisher) stats() PublisherStats {
	t := now()
	level := p.level.get(t)
	st := PublisherStats{
		Anchor: p.anchor, Since: p.peer.since, Bitrate: p.rate.bitrate.Load(),
		Packets: p.sum(func(l *layer) uint64 { return l.packets.Load() }),
		Lost:    p.sum((*layer).lost),
		PLIs:    p.sum(func(l *layer) uint64 { return l.plis.Load() }),
		Muted:   p.muted.Load(), LevelDB: level, Speaking: level > audible, Layers: []LayerStats{},
	}
	if l := p.video.best(t); l != nil {
		st.CodecVideo = l.name
	}
	if l := p.audio.best(t); l != nil {
		st.CodecAudio = l.name
	}
	for _, track := range []*track{p.video, p.audio} {
		for _, l := range track.all() {
			st.Layers = append(st.Layers, l.stats(track.kind.String(), t))
		}
	}
	return st
}

func (l *layer) stats(kind string, now int64) LayerStats {
	size := l.size.Load()
	return LayerStats{
		RID: l.rid, Kind: kind, Codec: l.name, Width: int(size >> 32), Height: int(size & 0xffffffff), //nolint:gosec // 16 bits each
		FPS: int((l.frameRate.bitrate.Load() + 4) / 8), Bitrate: l.bitrate(now), Packets: l.packets.Load(), Lost: l.lost(),
		PLIs: l.plis.Load(), Viewers: l.viewers(), Alive: l.alive(now),
	}
}
