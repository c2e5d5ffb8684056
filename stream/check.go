package stream

import (
	"context"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// checkTime is how long a device and network check may last.
const checkTime = time.Minute

// What a line must do for a show; ours. Bit rates in bit/s, loss as a share.
const (
	goodBitrate, fairBitrate = 1_200_000, 500_000
	goodLoss, fairLoss       = 0.02, 0.06
	goodRTT, fairRTT         = 200 * time.Millisecond, 400 * time.Millisecond
)

// Check is what came of a publisher who publishes to nobody, to see whether his line will do.
type Check struct {
	Seconds  float64     `json:"seconds" doc:"Since the first packet."`
	Bitrate  int64       `json:"bitrate" doc:"bit/s received over the last second."`
	Loss     float64     `json:"loss" doc:"Share of packets that never came."`
	JitterMs float64     `json:"jitter_ms" doc:"RFC 3550, section 6.4.1."`
	RTTMs    *float64    `json:"rtt_ms" doc:"Of the ICE checks; null while not known."`
	Video    *CheckVideo `json:"video" doc:"Null while none came."`
	Audio    bool        `json:"audio"`
	Verdict  string      `json:"verdict" enum:"good,fair,poor"`
	Causes   []string    `json:"causes" nullable:"false" doc:"bitrate-low, loss, rtt, no-video, no-audio."`
}

// CheckVideo is the picture of a check.
type CheckVideo struct {
	Width  int `json:"width"`
	Height int `json:"height"`
	FPS    int `json:"fps"`
}

// startCheck sets up a publisher in a room of its own, which no session has: its id is negative.
func (s *Service) startCheck(ctx context.Context, a web.Actor, body []byte) (*Answer, error) {
	o, err := parseOffer(body, publishing)
	if err != nil {
		return nil, err
	}
	r := s.enter(-s.checks.Add(1))
	p := newPublisher(r, a.Name)
	if err := r.admit(p, a.AccountID); err != nil {
		s.exit(r)
		return nil, err
	}
	answer, err := s.connect(ctx, o, publishing, r, a, p)
	if err == nil {
		end := time.AfterFunc(checkTime, p.peer.close)
		s.tasks.run(func() { <-p.peer.done; end.Stop() })
	}
	return answer, err
}

// findCheck gives the caller's own check.
func (s *Service) findCheck(id string, a web.Actor) (*publisher, error) {
	s.mu.Lock()
	p, ok := s.peers[id]
	s.mu.Unlock()
	if !ok || p.session >= 0 || p.owner != a.AccountID {
		return nil, fault.Missing("check")
	}
	return p.role.(*publisher), nil //nolint:forcetypeassert,errcheck // rooms of checks have no viewers
}

// check gives what came so far.
func (p *publisher) check(now int64) Check {
	c := Check{Bitrate: p.rate.bitrate.Load(), RTTMs: roundTrip(p.peer.pc)}
	got := p.sum(func(l *layer) uint64 { return l.packets.Load() })
	lost := p.sum((*layer).lost)
	c.Loss = float64(lost) / float64(max(1, got+lost))
	if l := p.video.best(now); l != nil {
		st := l.stats("video", now)
		c.Video = &CheckVideo{Width: st.Width, Height: st.Height, FPS: st.FPS}
		c.Seconds = float64(now-l.first.Load()) / 1e9
		c.JitterMs = float64(l.jitter.Load()) / 1e6
	}
	if l := p.audio.best(now); l != nil {
		c.Audio = true
		c.Seconds = max(c.Seconds, float64(now-l.first.Load())/1e9)
		c.JitterMs = float64(l.jitter.Load()) / 1e6
	}
	c.judge()
	return c
}

// judge says whether it will do, and what does not.
func (c *Check) judge() {
	rtt := time.Duration(0)
	if c.RTTMs != nil {
		rtt = time.Duration(*c.RTTMs * 1e6)
	}
	c.Causes = []string{}
	bad := func(yes bool, cause string) {
		if yes {
			c.Causes = append(c.Causes, cause)
		}
	}
	bad(c.Bitrate < goodBitrate, "bitrate-low")
	bad(c.Loss > goodLoss, "loss")
	bad(rtt > goodRTT, "rtt")
	bad(c.Video == nil, "no-video")
	bad(!c.Audio, "no-audio")
	switch {
	case len(c.Causes) == 0:
		c.Verdict = "good"
	case c.Bitrate >= fairBitrate && c.Loss <= fairLoss && rtt <= fairRTT && c.Video != nil && c.Audio:
		c.Verdict = "fair"
	default:
		c.Verdict = "poor"
	}
}

// roundTrip of a connection's ICE checks, in ms.
func roundTrip(pc *webrtc.PeerConnection) *float64 {
	if pc == nil {
		return nil
	}
	for _, st := range pc.GetStats() {
		if pair, ok := st.(webrtc.ICECandidatePairStats); ok && pair.Nominated && pair.CurrentRoundTripTime > 0 {
			ms := pair.CurrentRoundTripTime * 1e3
			return &ms
		}
	}
	return nil
}

// checkRoutes adds the device and network check.
func (s *Service) checkRoutes(api *web.API) {
	who := web.Only(web.Anchor, web.Operator)
	const endpoint = "/api/v1/media-check"
	api.Raw(http.MethodPost, endpoint, who, func(c echo.Context) error {
		ctx := c.Request().Context()
		actor := web.ActorFrom(ctx)
		if err := s.door.allow(actor); err != nil {
			return err
		}
		return s.answer(c, func(body []byte) (*Answer, error) { return s.startCheck(ctx, actor, body) })
	})
	web.Handle(api, web.Op{ID: "media-check", Method: http.MethodGet, Path: endpoint + "/{resource}", Tag: "media", Summary: "What came of a device and network check, and whether it will do", Access: who}, s.getCheck)
	web.Handle(api, web.Op{ID: "end-media-check", Method: http.MethodDelete, Path: endpoint + "/{resource}", Tag: "media", Summary: "End a check", Access: who}, s.deleteCheck)
}

type checkIn struct {
	Resource string `path:"resource" maxLength:"64"`
}

type checkOut struct{ Body Check }

func (s *Service) getCheck(ctx context.Context, in *checkIn) (*checkOut, error) {
	p, err := s.findCheck(in.Resource, web.ActorFrom(ctx))
	if err != nil {
		return nil, err
	}
	return &checkOut{Body: p.check(now())}, nil
}

func (s *Service) deleteCheck(ctx context.Context, in *checkIn) (*struct{}, error) {
	p, err := s.findCheck(in.Resource, web.ActorFrom(ctx))
	if err != nil {
		return nil, err
	}
	p.peer.close()
	return nil, nil //nolint:nilnil // no body
}
