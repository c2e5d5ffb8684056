package stream

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/stream/light"
)

// Answer is the reply to an offer.
type Answer struct {
	Resource string // random, 130 bits: who knows it may change or end the connection, if no account made it
	ETag     string // names the ICE session (RFC 9725, section 4.3.1)
	SDP      string // with all candidates
}

// role is what a peer does in its room: publisher or viewer.
type role interface {
	prepare(*peer) error // before the offer is applied: tracks and handlers
	connected()          // media can flow
	left()               // the connection is over; called once
}

// peer is one client's connection, and the resource that stands for it in WHIP and WHEP.
type peer struct {
	s         *Service
	id        string
	direction direction
	session   int64
	owner     int64                  // account, 0 = a visitor's
	address   string                 // of the HTTP client, for the cap on handshakes
	pc        *webrtc.PeerConnection // nil on a light line
	light     *light.Conn            // nil on a PeerConnection
	room      *room
	role      role
	since     time.Time

	mu         sync.Mutex // one PATCH at a time; guards what follows
	offer      *offer
	etag       string
	candidates int

	deadline *time.Timer
	up       atomic.Bool
	settled  sync.Once // handshake over, one way or the other
	closing  sync.Once
	done     chan struct{} // closed when the connection is over
}

// connect turns a checked offer into a connection. It owns r's membership from here on.
func (s *Service) connect(ctx context.Context, o *offer, d direction, r *room, a web.Actor, does role) (*Answer, error) {
	p := &peer{
		s: s, id: rand.Text(), direction: d, session: r.id, owner: a.AccountID, address: a.Address, room: r, role: does,
		since: s.cfg.Clock.Now(), offer: o, etag: newETag(), done: make(chan struct{}),
	}
	if err := s.door.enter(p.address); err != nil {
		p.abandon()
		return nil, err
	}
	p.deadline = time.AfterFunc(s.cfg.handshake, p.tooLate)
	if err := s.open(p, o); err != nil {
		p.settle()
		p.abandon()
		return nil, ErrOffer.Because(err)
	}
	if err := s.keep(p); err != nil {
		p.close()
		return nil, err
	}
	if err := does.prepare(p); err != nil {
		p.close()
		return nil, ErrOffer.Because(err)
	}
	sdp, err := p.negotiate(ctx, o)
	if err != nil {
		p.close()
		return nil, err
	}
	return &Answer{Resource: p.id, ETag: p.etag, SDP: sdp}, nil
}

// open makes the connection: viewers get a light one, publishers and what a light one can't do a PeerConnection.
func (s *Service) open(p *peer, o *offer) (err error) {
	if v, ok := p.role.(*viewer); ok && !o.lite && !s.cfg.heavy {
		p.light, err = s.light.New(light.Params{
			RemoteUfrag: o.ufrag, RemotePwd: o.pwd, Fingerprints: o.fingerprints,
			Up: p.isUp, Down: func(error) { p.close() }, RTCP: v.feedback,
		})
		return err
	}
	if p.pc, err = s.engine.connect(o, p.direction); err == nil {
		p.pc.OnConnectionStateChange(p.changed)
	}
	return err
}

// abandon undoes what was taken before there was a connection.
func (p *peer) abandon() {
	p.closing.Do(func() {
		close(p.done)
		if p.deadline != nil {
			p.deadline.Stop()
		}
		p.role.left()
		p.s.exit(p.room)
	})
}

func newETag() string { return `"` + rand.Text() + `"` }

// negotiate applies an offer and gives the answer with every candidate in it.
func (p *peer) negotiate(ctx context.Context, o *offer) (string, error) {
	if p.light != nil {
		return p.role.(*viewer).answer(o) //nolint:forcetypeassert,errcheck // only viewers are light
	}
	text, err := o.text()
	if err != nil {
		return "", ErrOffer.Because(err)
	}
	if err := p.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: text}); err != nil {
		return "", ErrOffer.Because(err)
	}
	answer, err := p.pc.CreateAnswer(nil)
	if err != nil {
		return "", ErrOffer.Because(err)
	}
	gathered := webrtc.GatheringCompletePromise(p.pc)
	if err := p.pc.SetLocalDescription(answer); err != nil {
		return "", ErrOffer.Because(err)
	}
	select {
	case <-gathered:
	case <-p.done:
		return "", ErrClosing
	case <-ctx.Done():
		return "", ctx.Err()
	}
	return p.pc.LocalDescription().SDP, nil
}

// changed follows the connection's state; pion calls it from goroutines of its own.
func (p *peer) changed(st webrtc.PeerConnectionState) {
	switch st {
	case webrtc.PeerConnectionStateConnected:
		p.isUp()
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		p.close()
	case webrtc.PeerConnectionStateUnknown, webrtc.PeerConnectionStateNew, webrtc.PeerConnectionStateConnecting, webrtc.PeerConnectionStateDisconnected:
	}
}

func (p *peer) isUp() {
	if p.up.CompareAndSwap(false, true) {
		p.settle()
		p.role.connected()
	}
}

func (p *peer) tooLate() {
	if !p.up.Load() {
		p.s.traffic.timeouts.Add(1)
		p.close()
	}
}

// settle gives the place at the door back.
func (p *peer) settle() { p.settled.Do(func() { p.s.door.leave(p.address) }) }

// close ends the connection. The room knows at once; pion's own closing is waited for by Service.Close.
func (p *peer) close() {
	p.closing.Do(func() {
		close(p.done)
		p.deadline.Stop()
		p.settle()
		p.s.forget(p)
		p.role.left()
		p.s.exit(p.room)
		p.s.tasks.run(func() {
			if p.light != nil {
				p.light.Close()
				return
			}
			_ = p.pc.Close()
		})
	})
}

// gone reports whether the connection is over.
func (p *peer) gone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// patch takes an ICE fragment: more candidates, or new credentials, which restart ICE and give a reply. match is the
// request's If-Match (RFC 9725, sections 4.3.1 to 4.3.3).
func (p *peer) patch(ctx context.Context, f *fragment, match string) (reply, etag string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone() {
		return "", "", fault.Missing("resource")
	}
	any, mine := matches(match, p.etag)
	if !any && !mine {
		return "", "", ErrMismatch
	}
	if f.ufrag == "" || (f.ufrag == p.offer.ufrag && f.pwd == p.offer.pwd) {
		return "", "", p.trickle(f)
	}
	return p.restart(ctx, f)
}

func (p *peer) trickle(f *fragment) error {
	if p.candidates += len(f.candidates); p.candidates > 2*maxCandidates {
		return ErrFragment.Saying("too many ICE candidates")
	}
	if p.light != nil {
		return nil // the client's checks tell where it is
	}
	for _, c := range f.candidates {
		// A candidate that we can't use is passed over (RFC 9725, section 4.3.2).
		_ = p.pc.AddICECandidate(webrtc.ICECandidateInit{Candidate: "candidate:" + c})
	}
	return nil
}

func (p *peer) restart(ctx context.Context, f *fragment) (reply, etag string, err error) {
	next, err := p.offer.restarted(f)
	if err != nil {
		return "", "", ErrFragment.Because(err)
	}
	if p.light != nil {
		p.light.Restart(f.ufrag, f.pwd)
	}
	answer, err := p.negotiate(ctx, next)
	if err != nil {
		return "", "", err
	}
	reply, err = fragmentOf(answer)
	if err != nil {
		return "", "", fmt.Errorf("reply to an ICE restart: %w", err)
	}
	p.offer, p.etag, p.candidates = next, newETag(), 0
	p.s.traffic.restarts.Add(1)
	return reply, p.etag, nil
}

// matches reads If-Match (RFC 9110, section 13.1.1). RFC 9725 writes the star in quotes in its example.
func matches(header, etag string) (any, mine bool) {
	values := strings.Split(header, ",")
	for i := range values {
		values[i] = strings.TrimSpace(values[i])
	}
	return slices.Contains(values, "*") || slices.Contains(values, `"*"`), slices.Contains(values, etag)
}
