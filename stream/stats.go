package stream

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// traffic counts what goes through this process.
type traffic struct {
	packetsIn, bytesIn, packetsOut, bytesOut atomic.Uint64
	nacks, resent, plis                      atomic.Uint64
	sendErrors, malformed                    atomic.Uint64
	timeouts, restarts                       atomic.Uint64
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
	counter("socket_errors_total", "Datagrams that the system did not take.", &s.ports.socket.failed)
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
	ViewersByTransport map[string]int   `json:"viewers_by_transport" doc:"Viewers by the way they are reached: udp, tcp."`
}

// PublisherStats is one anchor on air.
type PublisherStats struct {
	Anchor     string    `json:"anchor"`
	CodecVideo string    `json:"codec_video" doc:"Such as h264; empty without video."`
	CodecAudio string    `json:"codec_audio"`
	Bitrate    int64     `json:"bitrate" doc:"bit/s over the last second, video and audio."`
	Packets    uint64    `json:"packets"`
	Lost       uint64    `json:"lost" doc:"Packets that never came."`
	PLIs       uint64    `json:"plis" doc:"Key frames asked for."`
	Since      time.Time `json:"since"`
}

// Stats gives a session's media; zero values when nobody is there.
func (s *Service) Stats(id int64) Stats {
	st := Stats{Publishers: []PublisherStats{}, ViewersByTransport: map[string]int{}}
	r := s.room(id)
	if r == nil {
		return st
	}
	publishers, viewers := r.people()
	for _, p := range publishers {
		st.Publishers = append(st.Publishers, p.stats())
	}
	st.Viewers = len(viewers)
	for _, v := range viewers {
		if t := v.peer.transport(); t != "" {
			st.ViewersByTransport[t]++
		}
	}
	return st
}

func (p *publisher) stats() PublisherStats {
	st := PublisherStats{
		Anchor: p.anchor, Since: p.peer.since, Bitrate: p.rate.bitrate.Load(),
		Packets: p.sum(func(l *layer) uint64 { return l.packets.Load() }),
		Lost:    p.sum((*layer).lost),
		PLIs:    p.sum(func(l *layer) uint64 { return l.plis.Load() }),
	}
	t := now()
	if l := p.video.best(t); l != nil {
		st.CodecVideo = l.name
	}
	if l := p.audio.best(t); l != nil {
		st.CodecAudio = l.name
	}
	return st
}
