package stream

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/internal/web"
)

// silentAfter: a pulled anchor of whom nothing came for so long is off the air: he left the origin.
const silentAfter = 3 * time.Second

// lookEvery is how often that is looked at.
const lookEvery = 500 * time.Millisecond

// errPullOver ends a pull whose connection is over.
var errPullOver = errors.New("the connection to the origin is over")

type pullKey struct{}

// WithPull marks a WHEP request as another process's, which pulls the room for its own viewers: it is never sent on to an
// edge. Only a checked request may be marked.
func WithPull(ctx context.Context) context.Context { return context.WithValue(ctx, pullKey{}, true) }

func isPull(ctx context.Context) bool { is, _ := ctx.Value(pullKey{}).(bool); return is }

// Exchange sends a WHEP offer to an origin and gives its answer.
type Exchange func(ctx context.Context, offer string) (answer string, err error)

// Load is what this process carries.
type Load struct {
	Rooms    map[int64]int // viewers by session; 0: connections, but no viewer
	Viewers  int
	Pending  int    // connections being set up
	BytesOut uint64 // RTP payload to viewers since the start
}

// Load gives the figures of this moment.
func (s *Service) Load() Load {
	l := Load{Rooms: map[int64]int{}, Pending: s.door.waiting(), BytesOut: s.traffic.bytesOut.Load()}
	for _, r := range s.allRooms() {
		_, viewers := r.people()
		l.Rooms[r.id] = len(viewers)
		l.Viewers += len(viewers)
	}
	return l
}

// EdgeRoutes adds what viewers need, and all that an edge serves: WHEP and its pictures.
func (s *Service) EdgeRoutes(api *web.API) {
	s.protocol(api, "whep", playing, web.Public(), s.postWHEP)
	web.Handle(api, web.Op{
		ID: "whep-picture", Method: http.MethodPut, Path: "/api/v1/sessions/{id}/whep/{resource}/picture", Tag: "media",
		Summary: "Choose quality, stop or go on with the picture, name the anchor shown large", Access: web.Public(),
	}, s.putPicture)
	api.Raw(http.MethodOptions, "/api/v1/sessions/:id/whep/:resource/picture", web.Public(), cors(options("OPTIONS, PUT")))
}

// pull is one connection to an origin that brings all anchors of a session, each of whom becomes a publisher of the room
// here, as if he had published here.
type pull struct {
	room *room
	peer *peer

	mu      sync.Mutex // guards what follows
	anchors map[string]*publisher
}

// Pull connects to the origin and feeds the session's room with up to so many anchors until ctx ends or the connection is
// lost; a new call takes over from an old one at its first packets, without a break for the viewers.
func (s *Service) Pull(ctx context.Context, session int64, anchors int, origin Exchange) error {
	l := &pull{room: s.enter(session), anchors: map[string]*publisher{}}
	if err := l.open(); err != nil {
		s.exit(l.room)
		return err
	}
	defer l.peer.close()
	if err := s.keep(l.peer); err != nil {
		return err
	}
	if err := l.negotiate(ctx, min(max(anchors, 1), maxPlayed/2), origin); err != nil {
		return err
	}
	return l.watch(ctx)
}

// open makes the connection, which does not pass the door: we dial, nobody comes in.
func (l *pull) open() error {
	s := l.room.s
	pc, err := s.engine.pulling()
	if err != nil {
		return err
	}
	p := &peer{
		s: s, id: rand.Text(), direction: publishing, session: l.room.id, pc: pc, room: l.room, role: l,
		since: s.cfg.Clock.Now(), etag: newETag(), done: make(chan struct{}),
	}
	p.settled.Do(func() {})
	p.deadline = time.AfterFunc(s.cfg.handshake, p.tooLate)
	l.peer = p
	pc.OnConnectionStateChange(p.changed)
	pc.OnTrack(l.onTrack)
	return nil
}

// negotiate offers m-lines for the anchors and applies the origin's answer.
func (l *pull) negotiate(ctx context.Context, anchors int, origin Exchange) error {
	pc := l.peer.pc
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		for range anchors {
			if _, err := pc.AddTransceiverFromKind(kind, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
				return err
			}
		}
	}
	offer, err := pc.CreateOffer(nil)
	if err != nil {
		return err
	}
	gathered := webrtc.GatheringCompletePromise(pc)
	if err := pc.SetLocalDescription(offer); err != nil {
		return err
	}
	select {
	case <-gathered:
	case <-l.peer.done:
		return errPullOver
	case <-ctx.Done():
		return ctx.Err()
	}
	answer, err := origin(ctx, pc.LocalDescription().SDP)
	if err != nil {
		return err
	}
	if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
		return fmt.Errorf("answer of the origin: %w", err)
	}
	return nil
}

// prepare, connected and left make a pull a role.
func (l *pull) prepare(*peer) error { return nil }

func (l *pull) connected() {}

func (l *pull) left() {
	for _, p := range l.publishers() {
		l.room.without(p)
	}
}

func (l *pull) publishers() []*publisher {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := make([]*publisher, 0, len(l.anchors))
	for _, p := range l.anchors {
		all = append(all, p)
	}
	return all
}

// onTrack is called by pion at a track's first packet; the stream's id says whose it is.
func (l *pull) onTrack(remote *webrtc.TrackRemote, receiver *webrtc.RTPReceiver) {
	if p := l.publisher(nameOf(remote.StreamID())); p != nil {
		p.onTrack(remote, receiver)
	}
}

func (l *pull) publisher(anchor string) *publisher {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p, ok := l.anchors[anchor]; ok {
		return p
	}
	p := newPublisher(l.room, anchor)
	p.peer = l.peer
	if l.peer.gone() || l.room.admit(p, 0) != nil {
		return nil
	}
	l.anchors[anchor] = p
	return p
}

// nameOf is the inverse of token.
func nameOf(stream string) string {
	if digits, ok := strings.CutPrefix(stream, "x-"); ok {
		if name, err := hex.DecodeString(digits); err == nil {
			return string(name)
		}
	}
	return stream
}

// watch notices anchors who fall silent or come back, until the connection is over.
func (l *pull) watch(ctx context.Context) error {
	t := time.NewTicker(lookEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-l.peer.done:
			return errPullOver
		case <-t.C:
			l.look(now())
		}
	}
}

func (l *pull) look(now int64) {
	for _, p := range l.publishers() {
		silent := now-p.lastAt() > int64(silentAfter)
		switch {
		case silent && p.started.CompareAndSwap(true, false):
			l.room.without(p)
			_ = l.room.admit(p, 0) // nobody else can have the name: it is all one account's
		case !silent && !p.started.Load():
			p.arrived()
		}
	}
}

// lastAt is when the publisher's latest packet came, in Unix ns.
func (p *publisher) lastAt() int64 {
	var at int64
	for _, t := range []*track{p.video, p.audio} {
		for _, l := range t.all() {
			at = max(at, l.lastAt.Load())
		}
	}
	return at
}

// pulling makes a PeerConnection that offers to receive all codecs we know, with repairs and feedback as for publishers.
func (e *engine) pulling() (*webrtc.PeerConnection, error) {
	m := &webrtc.MediaEngine{}
	if err := m.RegisterDefaultCodecs(); err != nil {
		return nil, err
	}
	for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
		for _, uri := range []string{sdp.SDESMidURI, sdp.TransportCCURI} {
			if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				return nil, err
			}
		}
		m.RegisterFeedback(webrtc.RTCPFeedback{Type: webrtc.TypeRTCPFBTransportCC}, kind)
	}
	certificate, err := e.certified(time.Now())
	if err != nil {
		return nil, err
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(m), webrtc.WithSettingEngine(e.settings), webrtc.WithInterceptorRegistry(e.publish))
	return api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{certificate}})
}
