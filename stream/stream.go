// Package stream carries picture and sound: anchors publish by WHIP (RFC 9725), viewers play by WHEP, and every packet
// goes from publisher to track to layer to the viewers' sinks. All of it shares one UDP port, and ICE-TCP on the same
// number. Nothing is transcoded here.
//
// What it guarantees: a viewer's connection outlives the publishers'. Who joins before anybody is on air, or while an
// anchor is away, gets the picture when it comes, without negotiating again. An anchor who publishes again takes over
// from himself. What is sent to a viewer is one unbroken stream, whatever it is made of.
//
// What it asks: a Gate that says who may publish and watch, and an Observer that is told when an anchor's first packet
// came and when the anchor is gone. Run must be running for the Observer to hear anything.
package stream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/stream/light"
)

// Errors of this package, beside ErrOffer and ErrFragment.
var (
	ErrTaken    = fault.New(fault.Conflict, "anchor-taken", "this anchor is being published from another account")
	ErrReplaced = fault.New(fault.Conflict, "taken-over", "this anchor has gone on air from another place; to go on here, begin anew")
	ErrBusy     = fault.New(fault.Unavailable, "too-many-handshakes", "too many connections are being set up; try again in a moment")
	ErrMismatch = fault.New(fault.Precondition, "etag-mismatch", "If-Match names another ICE session than the present one")
	ErrClosing  = fault.New(fault.Unavailable, "closing", "the server is going down; come back in a moment")
)

// Gate says who may publish and watch. A session that does not exist or may not be seen is fault.Missing("session").
type Gate interface {
	// MayPublish gives the name of the anchor as whom a may publish.
	MayPublish(ctx context.Context, sessionID int64, a web.Actor) (anchor string, err error)
	MayWatch(ctx context.Context, sessionID int64, a web.Actor) error
}

// Observer is told who goes on and off air. Calls come one after another, never from within a call into this package.
type Observer interface {
	PublisherUp(sessionID int64, anchor string)   // the first media packet has come
	PublisherDown(sessionID int64, anchor string) // deleted, closed, or silent for too long (12 s at most)
	// Layout tells who is on air and who speaks, at most twice a second and when it changes.
	Layout(sessionID int64, l Layout)
}

// Config is what New needs. Only MediaAddr and Clock are required.
type Config struct {
	MediaAddr string   // UDP and TCP, such as ":8443"
	PublicIPs []string // addresses put into ICE candidates; empty: the host's own, loopback too
	Clock     clock.Clock
	Limits    bool // rates per person and address
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
	// Roster gives a session's anchors in their order, so that a viewer of a room in which nobody is on air yet gets
	// tracks that already carry the anchors' names. Optional.
	Roster func(ctx context.Context, sessionID int64) ([]string, error)
	// Redirect may send a viewer who may watch to the same endpoint on an edge; pulling edges are not asked about. Optional.
	Redirect func(ctx context.Context, sessionID int64, a web.Actor, r *http.Request) (url string, ok bool)
	// Edge makes an unguessable resource id the only right to it: an edge knows no accounts after the first request.
	Edge bool

	// Muted gives the anchors of a session whose sound goes to nobody; asked when one connects. Optional.
	Muted func(ctx context.Context, sessionID int64) ([]string, error)

	handshake time.Duration // for tests; 10 s
	heavy     bool          // for tests: viewers get PeerConnections too
}

// handshakeTime is how long a client may take from its POST to a connection.
const handshakeTime = 10 * time.Second

// Service is all rooms of this process.
type Service struct {
	cfg      Config
	gate     Gate
	observer Observer
	ports    *ports
	engine   *engine
	door     *door
	traffic  *traffic
	fan      *fanout
	light    *light.Server
	house    house

	mu      sync.Mutex // guards what follows
	rooms   map[int64]*room
	peers   map[string]*peer // by resource id
	dirty   map[int64]bool   // sessions of which the observer has to hear
	layouts map[int64]Layout // of which the observer has to hear
	closed  bool

	names  atomic.Uint64      // viewers so far
	checks atomic.Int64       // device checks so far
	told   map[int64][]string // on air, as the observer knows; only the notifier's
	wake   chan struct{}
	tasks  tasks // every goroutine of ours
}

// New opens the media ports. Run must be called for housekeeping, Close to end.
func New(cfg Config, gate Gate, observer Observer) (*Service, error) {
	if cfg.handshake == 0 {
		cfg.handshake = handshakeTime
	}
	p, err := openPorts(cfg.MediaAddr)
	if err != nil {
		return nil, err
	}
	e := &engine{}
	l := light.New(light.Config{Write: p.socket.WriteToAddrPort, Certificate: e.tlsCertificate, Now: time.Now, Handshake: cfg.handshake})
	p.serve(l)
	if err := e.prepare(p.udp, p.tcp, cfg.PublicIPs); err != nil {
		l.Close()
		p.close()
		return nil, err
	}
	t := &traffic{}
	s := &Service{
		cfg: cfg, gate: gate, observer: observer, ports: p, engine: e, door: newDoor(cfg.Clock, cfg.Limits), traffic: t, light: l, fan: newFanout(p.socket, t),
		rooms: map[int64]*room{}, peers: map[string]*peer{}, dirty: map[int64]bool{}, layouts: map[int64]Layout{}, told: map[int64][]string{}, wake: make(chan struct{}, 1),
	}
	s.fan.run(&s.tasks)
	if cfg.Registerer != nil {
		s.register(cfg.Registerer)
	}
	return s, nil
}

// Addr is where media is served.
func (s *Service) Addr() *net.UDPAddr { return s.ports.addr }

// Ping reports whether the media port is open; for readyz.
func (s *Service) Ping(context.Context) error {
	if s.ports.closed.Load() {
		return errors.New("the media port is closed")
	}
	return nil
}

// Times of the housekeeping.
const (
	tickEvery   = 250 * time.Millisecond
	ticksReport = 4 // sender reports and bit rates, every second
)

// Run does the housekeeping (sender reports, repeated key frame requests, choice of layers) and tells the Observer, until
// ctx ends. It does not close the Service.
func (s *Service) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { s.notify(ctx) })
	wg.Go(func() { _ = s.light.Run(ctx) })
	t := time.NewTicker(tickEvery)
	defer t.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			s.tick(time.Now().UnixNano(), n%ticksReport == 0)
		}
	}
}

func (s *Service) tick(now int64, report bool) {
	for _, r := range s.allRooms() {
		r.tick(now, report)
		if l, changed := r.layout(now); changed {
			s.markLayout(r.id, l)
		}
	}
}

// notify compares what the observer knows with what is so. What changes back before it is told is not told at all.
func (s *Service) notify(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		}
		for _, id := range s.takeDirty() {
			s.tell(id)
		}
		for id, l := range s.takeLayouts() {
			s.observer.Layout(id, l)
		}
	}
}

func (s *Service) tell(id int64) {
	before, now := s.told[id], s.OnAir(id)
	for _, a := range before {
		if !slices.Contains(now, a) {
			s.observer.PublisherDown(id, a)
		}
	}
	for _, a := range now {
		if !slices.Contains(before, a) {
			s.observer.PublisherUp(id, a)
		}
	}
	if len(now) == 0 {
		delete(s.told, id)
		return
	}
	s.told[id] = now
}

func (s *Service) markDirty(id int64) {
	if id < 0 {
		return // a check
	}
	s.mu.Lock()
	s.dirty[id] = true
	s.mu.Unlock()
	s.stir()
}

// markLayout leaves a room's newest layout for the notifier.
func (s *Service) markLayout(id int64, l Layout) {
	if id < 0 {
		return
	}
	s.mu.Lock()
	s.layouts[id] = l
	s.mu.Unlock()
	s.stir()
}

func (s *Service) stir() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *Service) takeLayouts() map[int64]Layout {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.layouts
	s.layouts = map[int64]Layout{}
	return all
}

func (s *Service) takeDirty() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]int64, 0, len(s.dirty))
	for id := range s.dirty {
		ids = append(ids, id)
	}
	clear(s.dirty)
	return ids
}

// OnAir gives the anchors of a session whose media is coming in, in the order in which they first appeared.
func (s *Service) OnAir(id int64) []string {
	if r := s.room(id); r != nil {
		return r.onAir()
	}
	return nil
}

// Sessions gives the sessions in which somebody is connected.
func (s *Service) Sessions() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Keys(s.rooms))
	return slices.DeleteFunc(all, func(id int64) bool { return id < 0 }) // checks
}

// CloseSession ends every connection of a session: it is over.
func (s *Service) CloseSession(id int64) {
	s.house.forget(id)
	for _, p := range s.allPeers() {
		if p.session == id {
			p.close()
		}
	}
}

// Expel ends every connection of an account: it may no longer publish or watch under that name.
func (s *Service) Expel(accountID int64) {
	for _, p := range s.allPeers() {
		if p.owner == accountID {
			p.close()
		}
	}
}

// Close ends all connections and the media ports, and waits for every goroutine. The Observer is not told: a server that
// goes down is no anchor's doing.
func (s *Service) Close() {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	s.closed = true
	s.mu.Unlock()
	for _, p := range s.allPeers() {
		p.close()
	}
	s.fan.close()
	s.light.Close()
	s.tasks.wait()
	s.ports.closed.Store(true)
	s.ports.close()
}

func (s *Service) room(id int64) *room { s.mu.Lock(); defer s.mu.Unlock(); return s.rooms[id] }

func (s *Service) allRooms() []*room {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*room, 0, len(s.rooms))
	for _, r := range s.rooms {
		all = append(all, r)
	}
	return all
}

func (s *Service) allPeers() []*peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*peer, 0, len(s.peers))
	for _, p := range s.peers {
		all = append(all, p)
	}
	return all
}

// enter gives the session's room and keeps it until exit.
func (s *Service) enter(id int64) *room {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.rooms[id]
	if !ok {
		r = newRoom(s, id)
		s.rooms[id] = r
	}
	r.members++
	return r
}

func (s *Service) exit(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.members--; r.members == 0 {
		delete(s.rooms, r.id)
		if r.id > 0 { // nobody is on air, and no tick will tell it any more
			s.layouts[r.id] = Layout{Anchors: []LayoutAnchor{}}
			s.stir()
		}
	}
}

// keep lists a new peer under its resource id; it fails once the Service is closing.
func (s *Service) keep(p *peer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosing
	}
	s.peers[p.id] = p
	return nil
}

func (s *Service) forget(p *peer) { s.mu.Lock(); delete(s.peers, p.id); s.mu.Unlock() }

// find gives the resource of a session; somebody else's is as missing as none. Without an account the unguessable id is
// the right (players keep no cookies).
func (s *Service) find(d direction, session int64, id string, a web.Actor) (*peer, error) {
	s.mu.Lock()
	p, ok := s.peers[id]
	s.mu.Unlock()
	if !ok || p.direction != d || p.session != session || (p.owner != 0 && p.owner != a.AccountID && !s.cfg.Edge) {
		return nil, fault.Missing("resource")
	}
	return p, nil
}

// Publish sets up a publisher from a WHIP offer. page names the program that publishes, if it says: once another has taken
// over from it, its reconnecting by itself is refused, so that two places never take the anchor from each other in turn.
func (s *Service) Publish(ctx context.Context, session int64, a web.Actor, anchor, page string, body []byte) (*Answer, error) {
	o, err := parseOffer(body, publishing)
	if err != nil {
		return nil, err
	}
	r := s.enter(session)
	s.learnMuted(ctx, session)
	p := newPublisher(r, anchor)
	p.page = page
	if err := r.admit(p, a.AccountID); err != nil {
		s.exit(r)
		return nil, err
	}
	return s.connect(ctx, o, publishing, r, a, p)
}

// nextName gives a viewer's public name: short, not the resource's id, which is a right.
func (s *Service) nextName() string { return "v" + strconv.FormatUint(s.names.Add(1), 36) }

// nextShard spreads viewers over the fan-out's workers.
func (s *Service) nextShard() int { return int(s.names.Load() % uint64(len(s.fan.workers))) } //nolint:gosec // a few cores

// Play sets up a viewer from a WHEP offer. except names the anchor who watches the others (talkback), not himself.
func (s *Service) Play(ctx context.Context, session int64, a web.Actor, except string, body []byte) (*Answer, error) {
	o, err := parseOffer(body, playing)
	if err != nil {
		return nil, err
	}
	var roster []string
	if s.cfg.Roster != nil {
		if roster, err = s.cfg.Roster(ctx, session); err != nil {
			return nil, fmt.Errorf("roster: %w", err)
		}
	}
	r := s.enter(session)
	v := newViewer(r, o, roster, except)
	v.whole = isPull(ctx)
	return s.connect(ctx, o, playing, r, a, v)
}
