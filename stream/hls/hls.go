// Package hls serves what anchors send as Low-Latency HLS (RFC 8216bis), for pages and players without WebRTC: H.264 and
// Opus in fragmented MP4, nothing transcoded. Each anchor has a channel, made at the first request and closed when nobody
// asks any more.
//
// What it guarantees: a name is never used for two contents, so segments may be cached for ever; a request that waits ends
// with its context; memory is bounded by the segments that are kept; serving a segment costs the same whoever else asks.
// When the publisher returns or changes its picture, the playlist goes on behind a discontinuity.
//
// What it asks: Run must be running, or channels that nobody asks for stay open.
package hls

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/stream/feed"
)

// Errors of this package.
var (
	ErrNotOnAir = fault.New(fault.NotFound, "not-on-air", "nobody is on air here")
	ErrCodec    = fault.New(fault.Conflict, "hls-codec", "this anchor's picture is not H.264, which HLS needs; watch by WebRTC")
	ErrStarting = fault.New(fault.Unavailable, "hls-starting", "the first segment is not there yet; try again in a moment")
	ErrAhead    = fault.New(fault.BadRequest, "hls-ahead", "_HLS_msn is too far ahead of the playlist, or _HLS_part stands alone")
)

// Gate says who may watch; stream.Gate satisfies it. A session that the zero Actor may watch is public.
type Gate interface {
	MayWatch(ctx context.Context, sessionID int64, a web.Actor) error
}

// Config is what New needs.
type Config struct {
	Source     feed.Source
	Gate       Gate
	Clock      clock.Clock
	Registerer prometheus.Registerer // nil for none

	first time.Duration // how long a request waits for the first segment; for tests
}

// Times.
const (
	firstWait   = 10 * time.Second
	reloadWait  = 12 * time.Second // three target durations (RFC 8216bis, section 6.2.5.2)
	idleTime    = time.Minute      // without a request, or without media
	sweepEvery  = 5 * time.Second
	publicFor   = 2 * time.Second // how long "this session is public" is believed
	presentTime = 15 * time.Second
)

// Service is all channels of this process.
type Service struct {
	cfg   Config
	meter *meter

	mu       sync.Mutex // guards what follows
	channels map[key]*channel
	public   map[int64]verdict
	closed   bool

	breaks atomic.Uint64 // formats begun in all channels so far
	tasks  sync.WaitGroup
}

type key struct {
	session int64
	anchor  string
}

type verdict struct {
	public bool
	until  time.Time
}

// New returns a Service without channels.
func New(cfg Config) *Service {
	if cfg.first == 0 {
		cfg.first = firstWait
	}
	s := &Service{cfg: cfg, channels: map[key]*channel{}, public: map[int64]verdict{}}
	s.meter = newMeter(cfg.Registerer, s.count)
	return s
}

// Run closes channels that nobody needs, and all of them when ctx ends.
func (s *Service) Run(ctx context.Context) error {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			s.closeAll()
			return ctx.Err()
		case <-t.C:
			s.sweep()
		}
	}
}

// CloseSession ends a session's channels: it is over.
func (s *Service) CloseSession(id int64) {
	s.closeWhere(func(c *channel) bool { return c.key.session == id })
}

// Viewers gives about how many watch a session by HLS here: who asked for a playlist in the last 15 s. Viewers behind a
// CDN count as those that the CDN asks for.
func (s *Service) Viewers(session int64) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k, c := range s.channels {
		if k.session == session {
			n += c.viewers(s.cfg.Clock.Now())
		}
	}
	return n
}

func (s *Service) sweep() {
	now := s.cfg.Clock.Now()
	s.closeWhere(func(c *channel) bool { return c.idle(now) })
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, v := range s.public {
		if now.After(v.until) {
			delete(s.public, id)
		}
	}
}

func (s *Service) closeAll() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.closeWhere(func(*channel) bool { return true })
	s.tasks.Wait()
}

func (s *Service) closeWhere(which func(*channel) bool) {
	s.mu.Lock()
	var gone []*channel
	for k, c := range s.channels {
		if which(c) {
			gone = append(gone, c)
			delete(s.channels, k)
		}
	}
	s.mu.Unlock()
	for _, c := range gone {
		c.close()
	}
}

// channel gives an anchor's channel, a new one if the anchor is on air; an empty name means the first anchor on air.
func (s *Service) channel(session int64, anchor string) (*channel, error) {
	onAir := s.cfg.Source.OnAir(session)
	if anchor == "" && len(onAir) > 0 {
		anchor = onAir[0]
	}
	k := key{session, anchor}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.channels[k]; c != nil {
		return c, nil
	}
	if s.closed || !slices.Contains(onAir, anchor) {
		return nil, ErrNotOnAir
	}
	c := newChannel(s, k)
	s.channels[k] = c
	s.tasks.Go(c.run)
	c.unfollow = s.cfg.Source.Follow(session, anchor, c.queue, true)
	return c, nil
}

// admit says whether a may watch and whether everybody may. The latter is remembered for two seconds, so that a public
// session's viewers cost no query each.
func (s *Service) admit(ctx context.Context, session int64, a web.Actor) (public bool, err error) {
	now := s.cfg.Clock.Now()
	s.mu.Lock()
	v, ok := s.public[session]
	s.mu.Unlock()
	if !ok || now.After(v.until) {
		v = verdict{s.cfg.Gate.MayWatch(ctx, session, web.Actor{}) == nil, now.Add(publicFor)}
		s.mu.Lock()
		s.public[session] = v
		s.mu.Unlock()
	}
	if v.public {
		return true, nil
	}
	return false, s.cfg.Gate.MayWatch(ctx, session, a)
}

func (s *Service) count() float64 { s.mu.Lock(); defer s.mu.Unlock(); return float64(len(s.channels)) }
