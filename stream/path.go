package stream

import (
	"cmp"
	"slices"
	"time"
)

// Path is one viewer's way from the anchors' packets to his line: what he gets, and why it may be bad.
type Path struct {
	Viewer     string         `json:"viewer" doc:"Public short name; no right to anything."`
	Account    int64          `json:"account,omitempty"`
	Transport  string         `json:"transport" doc:"udp, tcp, or pc (a PeerConnection); empty while there is no way."`
	Family     string         `json:"address_kind" doc:"ipv4 or ipv6."`
	Since      time.Time      `json:"since"`
	Quality    Quality        `json:"quality"`
	Video      bool           `json:"video" doc:"False: the page is hidden or asked for sound only."`
	Estimate   int            `json:"estimate" doc:"bit/s that the line is taken to carry."`
	Bitrate    int64          `json:"bitrate" doc:"bit/s sent over the last second."`
	Loss       float64        `json:"loss" doc:"Share of packets lost, 0 to 1."`
	RTTMs      *float64       `json:"rtt_ms" doc:"Null while not known."`
	QueueMs    float64        `json:"queue_ms" doc:"How long packets wait on the way, as feedback shows."`
	Layer      string         `json:"layer" doc:"Of the first picture."`
	NACKs      uint64         `json:"nacks"`
	Resent     uint64         `json:"resent"`
	Seats      []SeatPath     `json:"seats" nullable:"false"`
	Why        []string       `json:"why" nullable:"false" doc:"Causes, worst first; ok when there is none."`
	History    []HistoryPoint `json:"history,omitempty" doc:"One a second, the last two minutes."`
	focusState sinkState
}

// SeatPath is one anchor's place in a viewer's connection.
type SeatPath struct {
	Anchor string    `json:"anchor"`
	Video  *SinkPath `json:"video"`
	Audio  *SinkPath `json:"audio"`
}

// SinkPath is one m-line.
type SinkPath struct {
	Layer    string `json:"layer"`
	Wanted   string `json:"wanted,omitempty" doc:"The layer it goes over to at the next key frame."`
	State    string `json:"state" doc:"idle, waiting (for a key frame), catching (up), live."`
	Packets  uint64 `json:"packets"`
	Bytes    uint64 `json:"bytes"`
	Lost     uint32 `json:"lost" doc:"As the viewer reports."`
	Resent   uint64 `json:"resent"`
	Switches uint64 `json:"switches"`
}

// HistoryPoint is one second of a viewer's line.
type HistoryPoint struct {
	At       time.Time `json:"at"`
	Estimate int       `json:"estimate"`
	Bitrate  int64     `json:"bitrate"`
	Loss     float64   `json:"loss"`
	RTTMs    float64   `json:"rtt_ms"`
	Rank     int       `json:"rank" doc:"3 best layer to 1 lowest, 0 no picture."`
}

// historyLength is in seconds.
const historyLength = 120

// history is the ring of a viewer's last two minutes.
type history struct {
	points []HistoryPoint
	next   int
}

func (h *history) add(v *viewer, now int64) {
	st, rank := v.estimate.Stats(), 0
	if len(v.seats) > 0 {
		rank = v.seats[0].rank
	}
	p := HistoryPoint{At: time.Unix(0, now).UTC().Truncate(time.Millisecond), Estimate: st.Estimate, Bitrate: v.rate.bitrate.Load(), Loss: v.loss(), RTTMs: float64(v.rttNs) / 1e6, Rank: rank}
	if len(h.points) < historyLength {
		h.points = append(h.points, p)
		return
	}
	h.points[h.next] = p
	h.next = (h.next + 1) % historyLength
}

func (h *history) all() []HistoryPoint { return slices.Concat(h.points[h.next:], h.points[:h.next]) }

// loss is the worst share that the viewer's last reports, or his transport-wide feedback, show.
func (v *viewer) loss() float64 {
	worst := v.estimate.Stats().Loss
	for _, t := range v.seats {
		for _, k := range []*sink{t.video, t.audio} {
			if k != nil {
				worst = max(worst, float64(k.lossNow)/256)
			}
		}
	}
	return worst
}

// path gives the viewer's way as it is now, without its history.
func (v *viewer) path() Path {
	v.mu.Lock()
	defer v.mu.Unlock()
	st := v.estimate.Stats()
	p := Path{
		Viewer: v.name, Account: v.peer.owner, Since: v.peer.since, Quality: v.choice.Quality, Video: v.choice.Video, Estimate: st.Estimate,
		Bitrate: v.rate.bitrate.Load(), Loss: v.loss(), QueueMs: st.Queue, Seats: []SeatPath{},
	}
	if v.line != nil {
		p.Transport, p.Family = v.line.transport(), v.line.family()
	}
	if v.rttNs > 0 {
		ms := float64(v.rttNs) / 1e6
		p.RTTMs = &ms
	}
	for i, t := range v.seats {
		s := SeatPath{Anchor: t.anchor, Video: t.video.path(), Audio: t.audio.path()}
		for _, k := range t.sinks() {
			p.NACKs += k.nacks
			p.Resent += k.resent
		}
		if i == 0 && s.Video != nil {
			p.Layer, p.focusState = s.Video.Layer, t.video.state
		}
		p.Seats = append(p.Seats, s)
	}
	p.Why = p.causes(v.published())
	return p
}

// published reports whether the first seat's anchor sends a picture, and the share he loses on the way to us.
func (v *viewer) published() (picture bool, loss float64) {
	for _, t := range v.seats {
		if t.video == nil || t.video.layer == nil {
			continue
		}
		l := t.video.layer
		got, lost := l.packets.Load(), l.lost()
		return l.alive(now()), float64(lost) / float64(max(1, got+lost))
	}
	return false, 0
}

// causes names why it may be bad; the thresholds are ours.
func (p *Path) causes(picture bool, publisherLoss float64) []string {
	why := []string{}
	add := func(bad bool, code string) {
		if bad {
			why = append(why, code)
		}
	}
	add(p.Transport == "", "no-way")
	add(!picture && p.Video, "no-publisher-picture")
	add(p.focusState == waiting, "waiting-for-key-frame")
	add(publisherLoss > 0.02, "publisher-loss")
	add(p.Loss > 0.05, "high-loss")
	add(p.Estimate < 600_000, "low-estimate")
	add(p.RTTMs != nil && *p.RTTMs > 300, "high-rtt")
	add(p.QueueMs > 200, "queue")
	add(p.Transport == "tcp", "tcp")
	add(p.Quality == Smooth, "chose-smooth")
	add(!p.Video, "video-stopped")
	add(len(why) == 0, "ok")
	return why
}

func (s sinkState) String() string {
	return [...]string{"idle", "waiting", "catching", "live"}[s]
}

func (k *sink) path() *SinkPath {
	if k == nil {
		return nil
	}
	p := &SinkPath{State: k.state.String(), Packets: k.sent, Bytes: k.bytes, Lost: k.lost, Resent: k.resent, Switches: k.switches}
	if k.layer != nil {
		p.Layer = k.layer.rid
	}
	if k.ahead != nil {
		p.Wanted = k.ahead.rid
	}
	return p
}

// Paths gives the viewers of a session, worst first.
func (s *Service) Paths(id int64) []Path {
	r := s.room(id)
	if r == nil {
		return nil
	}
	_, viewers := r.people()
	all := make([]Path, len(viewers))
	for i, v := range viewers {
		all[i] = v.path()
	}
	slices.SortFunc(all, func(a, b Path) int {
		return cmp.Or(cmp.Compare(b.Loss, a.Loss), cmp.Compare(a.Estimate, b.Estimate), cmp.Compare(a.Viewer, b.Viewer))
	})
	return all
}

// PathOf gives one viewer's path with its history; false if nobody has that name.
func (s *Service) PathOf(id int64, name string) (Path, bool) {
	r := s.room(id)
	if r == nil {
		return Path{}, false
	}
	_, viewers := r.people()
	at := slices.IndexFunc(viewers, func(v *viewer) bool { return v.name == name })
	if at < 0 {
		return Path{}, false
	}
	p := viewers[at].path()
	viewers[at].mu.Lock()
	p.History = viewers[at].history.all()
	viewers[at].mu.Unlock()
	return p, true
}
