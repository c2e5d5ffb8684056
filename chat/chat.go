// Package chat is the room beside the picture: WebSocket members, what they say, what the shop tells them (pins, prices,
// sales, notices), moderation, and who was there and did what, as rows for the reports.
//
// What it guarantees: every kept event of a room has a seq that rises by exactly one, the same on every node, because it
// is the sequence of the room's JetStream stream. A member sees kept events in that order, without a gap and without a
// repetition between history and live delivery; one who can't be served like that is told so and comes back. One frame is
// built for all members of a room, whatever their number. A slow member is cut and hurts nobody else. What the log holds
// is copied to the database once, also after a crash.
//
// What it does not: chat is at most once. A message is acknowledged by appearing in the room; money, stock and anything
// private never goes through here.
//
// What it asks: a Gate that says who may watch and moderate, and an Audit. Run must run for facts and the record to reach
// the database; Shutdown must be called before the HTTP server's, which doesn't know the sockets any more.
package chat

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/duoduopin/duoduopin/chat/socket"
	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Faults of this package, beside fault.Missing("session") and fault.Missing("message").
var (
	ErrUnavailable = fault.New(fault.Unavailable, "room-unavailable", "the room can't be reached at the moment; come back in a few seconds")
	ErrClosing     = fault.New(fault.Unavailable, "closing", "the server is going down; come back in a moment")
	ErrUpgrade     = fault.New(fault.BadRequest, "upgrade-required", "this address speaks WebSocket; see docs/protocol.md")
	ErrOrigin      = fault.New(fault.Forbidden, "cross-origin", "another site's page may only join with a bearer token")
	ErrSockets     = fault.New(fault.TooMany, "too-many-sockets", "too many connections are open from here; close some and try again")

	errEventSize = errors.New("an event of more than 32 KiB")
)

// Room is what the Gate tells of a session.
type Room struct {
	ID    int64
	Title string
	State string // scheduled, rehearsing, live, interrupted, ended, cancelled
}

// Gate says who may watch and moderate. A session that does not exist or may not be seen is fault.Missing("session").
type Gate interface {
	MayWatch(ctx context.Context, sessionID int64, a web.Actor) (Room, error)
	MayModerate(ctx context.Context, sessionID int64, a web.Actor) error
}

// Audit keeps what moderators do; it joins the transaction in ctx.
type Audit interface {
	Record(ctx context.Context, action, subject string, detail any) error
}

// Config is what New needs besides the Gate and the Audit. Database, bus and clock are required.
type Config struct {
	DB         *db.DB
	Bus        *bus.Bus
	Clock      clock.Clock
	Limits     bool                  // rates per person and socket, sockets per person and address
	Registerer prometheus.Registerer // nil: no metrics
	Badges     Badges                // nil: nobody has one
	Log        *slog.Logger          // nil: slog.Default
	Guard      Guard                 // nil: whatever may be said, passes

	// Ended gives when a session was over, zero if it isn't; its room's log is put away KeepLog later (0: seven days), once
	// the database has it. Nil: none is.
	Ended   func(ctx context.Context, sessionID int64) (time.Time, error)
	KeepLog time.Duration
}

const (
	idleRoom   = 30 * time.Second // a room that nobody is in any more is kept this long
	flushEvery = time.Second      // how often facts and the record are written
	beatEvery  = 15 * time.Second
	postTime   = 5 * time.Second  // for an event of the server's to reach the log
	speakTime  = 12 * time.Second // for a member's: a log whose leader is lost has a new one by then
	awaitTime  = 2 * time.Second
	noticeMost = 200 // runes
)

// Service is all rooms of this process.
type Service struct {
	db       *db.DB
	store    store
	bus      *bus.Bus
	clock    clock.Clock
	log      *slog.Logger
	limits   bool
	gate     Gate
	audit    Audit
	badges   Badges
	guard    Guard
	journal  *journal
	record   *recorder
	facts    *notebook
	bulletin *bulletin
	door     *door
	keeper   *socket.Keeper // what all sockets share
	shards   []*shard       // which write to them
	speech   *web.Limiter
	clicks   *web.Limiter
	metrics  metrics
	node     string // names this process to the others
	secret   secret

	life    context.Context // of rooms and members; ends when Run does
	end     context.CancelFunc
	sockets sync.WaitGroup // members being served; Add only under mu and before closing
	halls   sync.WaitGroup // rooms being run; likewise

	mu      sync.Mutex // guards what follows
	rooms   map[int64]*room
	writing bool               // the shards run
	anew    map[int64]struct{} // sessions whose log was lost while their room was open
	closing bool
}

// New returns the service. Members can join at once; facts and record are written while Run runs.
func New(c Config, gate Gate, audit Audit) (*Service, error) {
	if c.DB == nil || c.Bus == nil || c.Clock == nil || gate == nil || audit == nil {
		return nil, errors.New("chat: database, bus, clock, gate and audit are required")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	s := &Service{
		db: c.DB, store: store{c.DB}, bus: c.Bus, clock: c.Clock, log: c.Log, limits: c.Limits, gate: gate, audit: audit, guard: c.Guard,
		door: newDoor(c.Limits), bulletin: newBulletin(), node: rand.Text()[:12], rooms: map[int64]*room{}, anew: map[int64]struct{}{},
		keeper: socket.NewKeeper(), shards: newShards(runtime.GOMAXPROCS(0)),
	}
	s.badges = c.Badges
	s.life, s.end = context.WithCancel(context.Background())
	s.journal = newJournal(c.Bus, s.store, c.Log, s.logSeen)
	s.record = newRecorder(s.journal, c)
	s.facts = newNotebook(s.store, c.DB)
	if c.Limits {
		s.speech = web.NewLimiter(c.Clock, time.Second, 5)
		s.clicks = web.NewLimiter(c.Clock, time.Second/10, 20)
	}
	s.metrics = newMetrics(c.Registerer, func() float64 { return float64(s.members()) })
	return s, nil
}

// Run owns everything that goes on behind: the record, the facts, heartbeats, news from other nodes, rooms. It returns
// when ctx has ended, the sockets are closed and what was known has been written.
func (s *Service) Run(ctx context.Context) error {
	if err := s.closeStale(ctx); err != nil {
		s.log.Warn("closing stays that a crash left open failed and is repeated", "error", err.Error())
	}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.listen(gctx) })
	g.Go(func() error { s.record.run(gctx); return nil })
	g.Go(func() error { s.keepFacts(gctx); return nil })
	g.Go(func() error { s.keepHouse(gctx); return nil })
	g.Go(func() error { s.keeper.Run(gctx, s.beat); return nil })
	err := g.Wait()
	s.stop()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), postTime)
	defer cancel()
	return errors.Join(err, s.facts.flush(last), s.record.copyAll(last))
}

// Shutdown tells every socket to come back (close code 1012, the reason spreads them) and waits for their end, at most
// until ctx ends; those left are cut. New ones are refused from now on.
func (s *Service) Shutdown(ctx context.Context) {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	members := s.allMembers()
	spread := min(5000, 500+len(members))
	for _, m := range members {
		m.conn.Finish(codeRestart, fmt.Sprintf("retry_ms=%d", mathrand.IntN(spread)), false)
	}
	done := make(chan struct{})
	go func() { s.sockets.Wait(); close(done) }() // ends when the sockets do, at the latest after stop
	select {
	case <-done:
	case <-ctx.Done():
		for _, m := range s.allMembers() {
			m.conn.Close()
		}
		<-done
	}
}

// stop ends members and rooms and waits for them.
func (s *Service) stop() {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	for _, m := range s.allMembers() {
		m.conn.Close()
	}
	s.sockets.Wait()
	s.end()
	s.halls.Wait()
}

// Post puts a kept event of the server's into the room's log: pin, unpin, product, notice, sold, session and the like. The
// fields of data stand beside type, seq and at. Nobody needs to be in the room.
func (s *Service) Post(ctx context.Context, sessionID int64, typ string, data any) error {
	body, err := compose(typ, s.clock.Now(), data)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, postTime)
	defer cancel()
	if _, err := s.journal.append(ctx, sessionID, body, speaker{}); err != nil {
		return ErrUnavailable.RetryAfter(time.Second).Because(err)
	}
	s.metrics.events.WithLabelValues(typ).Inc()
	s.record.mark(sessionID)
	return nil
}

// CloseRoom says that the session is over: everybody's stay ends now, nobody may speak. Sockets stay until they leave.
func (s *Service) CloseRoom(sessionID int64) {
	s.bulletin.forget(sessionID)
	if r := s.room(sessionID); r != nil {
		r.conclude(s.clock.Now())
	}
}

// Viewers counts the distinct viewers that are in the room, on all nodes.
func (s *Service) Viewers(sessionID int64) int {
	if r := s.room(sessionID); r != nil {
		return r.viewers()
	}
	return 0
}

// logSeen is told by the journal which log a room has. When it is another than the one that an open room follows, positions
// mean nothing any more: the members are sent away to come back to a new start.
func (s *Service) logSeen(sessionID int64, epoch string) {
	if r := s.room(sessionID); r != nil && r.follows(epoch) {
		return
	} else if r != nil {
		s.log.Warn("a room's log was gone and starts anew", "session_id", sessionID)
		s.mu.Lock()
		s.anew[sessionID] = struct{}{}
		s.mu.Unlock()
		s.drop(r)
	}
}

// drop forgets a room at once; its members come back to a fresh one.
func (s *Service) drop(r *room) {
	s.forget(r)
	r.quit()
	r.dismiss(codeReset)
}

// enter gives the session's room, open, and keeps it until exit.
func (s *Service) enter(ctx context.Context, about Room) (*room, error) {
	r, err := s.hold(about)
	if err != nil {
		return nil, err
	}
	select {
	case <-r.ready:
	case <-ctx.Done():
		s.exit(r)
		return nil, ctx.Err()
	}
	if r.err != nil {
		s.exit(r)
		return nil, ErrUnavailable.RetryAfter(2 * time.Second).Because(r.err)
	}
	r.learn(about)
	return r, nil
}

func (s *Service) hold(about Room) (*room, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return nil, ErrClosing.RetryAfter(2 * time.Second)
	}
	r, ok := s.rooms[about.ID]
	if !ok {
		r = newRoom(s, about)
		s.rooms[about.ID] = r
		s.startShards()
		s.halls.Go(r.run)
	}
	r.refs++
	return r, nil
}

// startShards starts who writes to large rooms, once. Call with mu held.
func (s *Service) startShards() {
	if s.writing {
		return
	}
	s.writing = true
	for _, sh := range s.shards {
		s.halls.Go(func() { sh.run(s.life) })
	}
}

func (s *Service) exit(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.refs--; r.refs == 0 {
		r.idle = time.Now()
	}
}

// forget takes a room out of the list: the next one who comes gets a new one.
func (s *Service) forget(r *room) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rooms[r.id] == r {
		delete(s.rooms, r.id)
	}
}

// closeIdle ends the rooms that have been empty for long enough.
func (s *Service) closeIdle(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, r := range s.rooms {
		if r.refs == 0 && now.Sub(r.idle) >= idleRoom {
			delete(s.rooms, id)
			r.quit()
		}
	}
}

func (s *Service) isClosing() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.closing }

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

func (s *Service) allMembers() []*member {
	var all []*member
	for _, r := range s.allRooms() {
		all = append(all, r.everybody()...)
	}
	return all
}

// Expel closes the sockets of an account: it may no longer be there.
func (s *Service) Expel(accountID int64) {
	for _, m := range s.allMembers() {
		if m.actor.AccountID == accountID {
			m.conn.Finish(codeSignIn, "sign in again", true)
		}
	}
}

func (s *Service) members() int {
	n := 0
	for _, r := range s.allRooms() {
		n += r.members()
	}
	return n
}

// serve lets a member in and runs it until it leaves; false when the service is closing. What a newcomer gets is written by
// the caller's goroutine, so that the one that then waits for the socket keeps a small stack.
func (s *Service) serve(m *member) bool {
	s.mu.Lock()
	closing := s.closing
	if !closing {
		s.sockets.Add(1)
	}
	s.mu.Unlock()
	if closing {
		return false
	}
	m.join()
	go func() { // ends with the socket; stop waits for it
		defer s.sockets.Done()
		m.serve()
	}()
	return true
}

// beat is what a room's page hears beside each ping, which it never sees: a socket whose way is gone (another address) looks
// open to it for many minutes.
func (s *Service) beat() []byte {
	return fmt.Appendf(nil, `[{"type":"beat","at":%q}]`, s.clock.Now().UTC().Format(time.RFC3339))
}

// secret keeps the key of the public ids, read from the database when first needed.
type secret struct {
	mu  sync.Mutex
	key []byte
}

const publicIDLong = 12 // hexadecimal digits

// publicID is how the room knows a viewer: the same in every room and after every sign-in, and no way back from it.
func (s *Service) publicID(ctx context.Context, viewer string) (string, error) {
	return publicID(ctx, s.store, &s.secret, viewer)
}

func publicID(ctx context.Context, st store, of *secret, viewer string) (string, error) {
	of.mu.Lock()
	defer of.mu.Unlock()
	if of.key == nil {
		key, err := st.secret(ctx)
		if err != nil {
			return "", err
		}
		of.key = key
	}
	mac := hmac.New(sha256.New, of.key)
	mac.Write([]byte(viewer))
	return hex.EncodeToString(mac.Sum(nil))[:publicIDLong], nil
}
