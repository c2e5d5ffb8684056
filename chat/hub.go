package chat

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duoduopin/duoduopin/chat/socket"
)

// How a room's events become frames. One write to a socket costs about 7 us of CPU whatever is in it, so what comes in
// quick succession goes together (BenchmarkFanout, `duoduopin load chat`).
const (
	windowMost  = 200 * time.Millisecond // in a room of largeRoom members and more
	windowSmall = 20 * time.Millisecond  // the most in one of fewRoom and less; between them it grows evenly
	windowFull  = 20_000                 // deliveries per second at which the window is widest
	fewRoom     = 200
	largeRoom   = 5000
	tallyEvery  = time.Second
	flushEarly  = 32 << 10        // bytes that have come are not kept waiting for the window
	flushBytes  = 2 * flushEarly  // of one live frame, if it has more than one event
	crowdWait   = 2 * time.Second // a burst is held back this long while most members have
	crowdMoves  = time.Second
	crowdLook   = 10 * time.Millisecond
	historyNew  = 50      // kept events for one who brings no position
	historyKept = 64      // different starts of history that are kept as frames
	ringBytes   = 4 << 20 // of a room's log in memory
	openTime    = 5 * time.Second
)

// pace decides when a room's next frame goes out: at once when it has been quiet, else a window after the last one.
type pace struct {
	last time.Time
	rate float64 // events per second, over the last two seconds or so
}

func (p *pace) due(members int) time.Time { return p.last.Add(window(members, p.rate)) }

func (p *pace) sent(now time.Time, events int) {
	dt := max(now.Sub(p.last).Seconds(), 0.001)
	weight := min(dt/2, 1)
	p.rate += (float64(events)/dt - p.rate) * weight
	p.last = now
}

// window is how long events are collected: it grows with what a second of them would cost one by one, and with the room.
func window(members int, perSecond float64) time.Duration {
	size := min(max(members-fewRoom, 0), largeRoom-fewRoom)
	most := windowSmall + (windowMost-windowSmall)*time.Duration(size)/(largeRoom-fewRoom)
	return min(time.Duration(float64(members)*perSecond/windowFull*float64(windowMost)), most)
}

// entry is one kept event as it is sent.
type entry struct {
	typ  string
	raw  []byte
	was  []byte      // what was taken down, to be given back
	once fingerprint // of a chat message
}

// ring is the newest part of a room's log: entries with seq first, first+1, ...
type ring struct {
	first uint64
	all   []entry
	bytes int
	said  map[fingerprint]struct{} // of the entries
}

func (r *ring) last() uint64 { return r.first + uint64(len(r.all)) - 1 }

// push adds the next event and drops the oldest beyond the bounds, but none after seq `sent`: members wait for those.
func (r *ring) push(e entry, sent uint64) {
	r.all = append(r.all, e)
	r.bytes += len(e.raw)
	if e.once != (fingerprint{}) {
		if r.said == nil {
			r.said = map[fingerprint]struct{}{}
		}
		r.said[e.once] = struct{}{}
	}
	drop := 0
	for r.first+uint64(drop) <= sent && (len(r.all)-drop > logLimit || r.bytes > ringBytes) {
		r.bytes -= len(r.all[drop].raw)
		delete(r.said, r.all[drop].once)
		r.all[drop] = entry{}
		drop++
	}
	r.first += uint64(drop)
	r.all = r.all[drop:] // append moves the rest to a new array from time to time
}

// at gives the entry of a seq, nil if it is not here.
func (r *ring) at(seq uint64) *entry {
	if seq < r.first || seq > r.last() {
		return nil
	}
	return &r.all[seq-r.first]
}

// room is one session's hub on this node. It follows the room's log, builds frames and hands them to its members.
type room struct {
	id    int64
	svc   *Service
	quit  context.CancelFunc
	ctx   context.Context // of run
	ready chan struct{}   // closed when the room is open, or err says why it can't be
	err   error
	wake  chan struct{} // one token: look again what is due
	heavy atomic.Int64  // members with much unsent
	lanes []*lane       // of each shard

	refs int       // who holds it; guarded by Service.mu, like idle
	idle time.Time // since when nobody does

	mu       sync.Mutex // guards what follows
	about    Room
	over     bool // ended: nobody's stay is counted any more
	epoch    string
	ring     ring
	target   uint64        // seq that the log had when the room was opened
	loaded   chan struct{} // closed when the ring has reached it
	unsent   int           // bytes of the events after sent
	sent     uint64        // newest seq that has been put into a frame: who joins gets history up to here, frames from there on
	flushed  chan struct{} // closed and replaced when sent moves
	history  map[uint64][]socket.Frame
	pace     pace
	parts    []part // the members, by shard
	size     int    // their number
	next     int    // part of the next one
	anew     bool   // an earlier log of this session was lost: a position needs its epoch
	presence presence
	mutes    map[string]time.Time
	life     string // names this room to other nodes: another one of the same session counts from 0
	tally    tally
	fresh    []string // types of the bulletin's events that have not been put into a frame
}

func newRoom(s *Service, about Room) *room {
	_, anew := s.anew[about.ID]
	all := newCrowd()
	r := &room{
		id: about.ID, svc: s, ready: make(chan struct{}), wake: make(chan struct{}, 1), about: about, anew: anew,
		loaded: make(chan struct{}), flushed: make(chan struct{}), history: map[uint64][]socket.Frame{}, parts: make([]part, len(s.shards)),
		presence: newPresence(s.clock, s.facts, about.ID, s.node, all), tally: newTally(all), life: rand.Text()[:8],
	}
	for range s.shards {
		r.lanes = append(r.lanes, &lane{done: r.poke})
	}
	r.ctx, r.quit = context.WithCancel(s.life)
	return r
}

// run opens the room, then sends what is due until the room is quit.
func (r *room) run() {
	defer r.quit()
	stop, err := r.open()
	if err != nil {
		r.err = err
		r.svc.forget(r)
		close(r.ready)
		return
	}
	defer stop()
	close(r.ready)
	r.svc.announce(r, news{Ask: true})
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		now := time.Now()
		o := r.step(now)
		r.deliver(o.parcels, now)
		if o.tell != nil {
			r.svc.announce(r, *o.tell)
		}
		timer.Reset(o.wait)
		select {
		case <-r.ctx.Done():
			r.dismiss(codeReset)
			return
		case <-r.wake:
		case <-timer.C:
		}
	}
}

// open reads what the room needs from the database and the log, and follows the log from then on.
func (r *room) open() (stop func(), err error) {
	ctx, cancel := context.WithTimeout(r.ctx, openTime)
	defer cancel()
	if err := r.recall(ctx); err != nil {
		return nil, err
	}
	stream, epoch, err := r.svc.journal.open(ctx, r.id)
	if err != nil {
		return nil, err
	}
	other, err := r.svc.store.hasOtherLog(ctx, r.id, epoch)
	if err != nil {
		return nil, err
	}
	state := stream.CachedInfo().State
	r.mu.Lock()
	r.anew = r.anew || other
	r.epoch, r.target, r.sent = epoch, state.LastSeq, state.LastSeq
	r.ring.first = state.LastSeq + 1
	if state.Msgs > 0 {
		r.ring.first = max(state.FirstSeq, state.LastSeq+1-min(logLimit, state.LastSeq))
	}
	r.reached()
	first := r.ring.first
	r.mu.Unlock()
	if stop, err = r.svc.journal.follow(ctx, stream, first, r.take); err != nil {
		return nil, err
	}
	select {
	case <-r.loaded:
		return stop, nil
	case <-ctx.Done():
		stop()
		return nil, fmt.Errorf("reading the room's log: %w", ctx.Err())
	}
}

// recall reads what the database knows of the room: mutes, likes, who has just left.
func (r *room) recall(ctx context.Context) error {
	if err := r.readMutes(ctx); err != nil {
		return err
	}
	likes, err := r.svc.store.likes(ctx, r.id)
	if err != nil {
		return err
	}
	rows, err := r.svc.store.justLeft(ctx, r.id, r.svc.clock.Now().Add(-rejoinWithin))
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally.likes = likes
	r.presence.recall(rows)
	return nil
}

func (r *room) readMutes(ctx context.Context) error {
	mutes, err := r.svc.store.mutes(ctx, r.id, r.svc.clock.Now())
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mutes = mutes
	return nil
}

// reached opens the gate of open when the ring has what the log had. Call with mu held.
func (r *room) reached() {
	select {
	case <-r.loaded:
	default:
		if r.ring.last() >= r.target {
			close(r.loaded)
		}
	}
}

// take receives the log's events, one after another.
func (r *room) take(rec record) {
	h := rec.head()
	r.mu.Lock()
	defer r.mu.Unlock()
	switch next := r.ring.last() + 1; {
	case rec.seq < next:
		return
	case rec.seq > next && rec.seq > r.target: // what came between is gone from the log: nobody can have it without a hole
		r.skip(rec.seq)
	case rec.seq > next: // the oldest went while the room was being opened
		r.ring = ring{first: rec.seq}
	}
	e := entry{typ: h.Type, raw: numbered(rec.seq, rec.body), once: rec.fingerprint(h)}
	r.ring.push(e, r.sent)
	if rec.seq > r.sent {
		r.unsent += len(e.raw)
	}
	r.apply(h)
	r.reached()
	r.poke()
}

// skip starts the ring anew at seq and sends everybody away to come back there. Call with mu held.
func (r *room) skip(seq uint64) {
	r.svc.log.Warn("a room's log has a hole", "session_id", r.id)
	r.ring, r.sent, r.unsent = ring{first: seq}, seq-1, 0
	clear(r.history)
	for _, m := range r.list() {
		m.conn.Finish(codeReset, "", true)
	}
}

// apply is what an event does to the room itself. Call with mu held.
func (r *room) apply(h head) {
	switch h.Type {
	case "session":
		r.about.State = h.State
		if isOpen(h.State) { // what the crew alone was told until now
			r.mark(r.svc.bulletin.types(r.id)...)
		}
		if isOver(h.State) && r.isLoaded() {
			r.end(r.svc.clock.Now())
		}
	case "forgotten":
		r.forget(h.User.ID)
	case "removed":
		r.takeDown(h.RemovedSeq)
	case "restored":
		r.giveBack(h.RestoredSeq)
	}
}

func (r *room) isLoaded() bool {
	select {
	case <-r.loaded:
		return true
	default:
		return false
	}
}

func isOpen(state string) bool { return state == "live" || state == "interrupted" }

func isOver(state string) bool { return state == "ended" || state == "cancelled" }

// end closes everybody's stay. Call with mu held.
func (r *room) end(now time.Time) {
	r.over = true
	r.presence.end(now)
}

// conclude: the session is over.
func (r *room) conclude(now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.about.State = "ended"
	r.end(now)
}

// learn takes what the Gate has just said of the session; it may have been asked before the room was opened.
func (r *room) learn(about Room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.about.Title = about.Title
	if before := isOpen(r.about.State) && !isOpen(about.State) && !isOver(about.State); about.State != "" && !r.over && !before {
		r.about.State = about.State
	}
	if isOver(about.State) && !r.over {
		r.end(r.svc.clock.Now())
	}
}

func (r *room) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// outcome is what a step found.
type outcome struct {
	wait    time.Duration // for how long nothing is due
	parcels []parcel      // what goes out now
	tell    *news         // what other nodes should hear
}

// step takes what is due. The figures go with the events when there are any: a write costs the same with or without them.
func (r *room) step(now time.Time) outcome {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := outcome{wait: time.Hour}
	due, figures := r.tally.due(r.presence.count())
	if figures && due.After(now) {
		o.wait, figures = due.Sub(now), false
	}
	switch waiting := r.waiting(); {
	case !waiting && !figures:
	case waiting && r.wait(now) > 0:
		o.wait = min(o.wait, r.wait(now))
	case r.crowded(now):
		o.wait = min(o.wait, crowdLook)
	case r.behind(): // poked when a shard is done
	default:
		if r.flush(now, &o, figures); r.waiting() {
			o.wait = 0
		}
	}
	return o
}

// waiting reports whether there is something to send. Call with mu held.
func (r *room) waiting() bool { return r.sent < r.ring.last() || len(r.fresh) > 0 }

// wait gives for how long what has come is still collected. Call with mu held.
func (r *room) wait(now time.Time) time.Duration {
	if r.unsent >= flushEarly {
		return 0
	}
	return max(0, r.pace.due(r.size).Sub(now))
}

// behind reports whether a shard has enough to do for this room already.
func (r *room) behind() bool {
	for i, l := range r.lanes {
		if r.svc.shards[i].waiting(l) >= framesMost {
			return true
		}
	}
	return false
}

// crowded reports whether a burst should wait for the members: most of them still have much to read, and are reading. It
// would cut them, and they are well. Those who do not read at all hold nobody up. Call with mu held.
func (r *room) crowded(now time.Time) bool {
	most := r.size / 2
	if int(r.heavy.Load()) <= most || now.Sub(r.pace.last) >= crowdWait {
		return false
	}
	reading := 0
	for _, m := range r.list() {
		if m.conn.Reading(now, crowdMoves) {
			reading++
		}
	}
	return reading > most
}

// flush makes one frame of what has come, as much as fits, for everybody; what is told while the room is not open, for the
// crew. Call with mu held.
func (r *room) flush(now time.Time, o *outcome, figures bool) {
	kept, told := r.takeKept(), r.takeTold()
	if len(kept)+len(told) > 0 {
		r.pace.sent(now, len(kept)+len(told))
	}
	if isOpen(r.about.State) {
		kept, told = append(kept, told...), nil
	}
	if figures {
		own := r.presence.count()
		kept = append(kept, r.tally.take(now, own, stamp(r.svc.clock.Now()))...)
		tell := r.tally.tell()
		o.tell = &tell
	}
	if len(kept) > 0 {
		o.parcels = r.address(pack(kept...))
	}
	if len(told) > 0 {
		if crew := r.backstage(); len(crew) > 0 {
			o.parcels = append(o.parcels, parcel{pack(told...), crew})
		}
	}
}

// address makes a frame ready for all members there are now: who comes later has it from history. Call with mu held.
func (r *room) address(f socket.Frame) []parcel {
	out := make([]parcel, len(r.parts), len(r.parts)+1)
	for i := range r.parts {
		out[i] = parcel{f, r.parts[i].lend()}
	}
	return out
}

// deliver writes to a small room at once, and has the shards write to a large one. What is beyond the parts, for the crew
// alone, is written here too; only before the show, when the room is theirs.
func (r *room) deliver(parcels []parcel, now time.Time) {
	n := 0
	for _, p := range parcels {
		n += len(p.members)
	}
	direct := n <= smallRoom && !r.behindAtAll()
	for i, p := range parcels {
		switch {
		case len(p.members) == 0:
		case direct || i >= len(r.lanes):
			p.deliver(len(p.members), now)
		default:
			r.svc.shards[i].hand(r.lanes[i], p)
		}
	}
}

// behindAtAll reports whether a shard still writes for this room: what is written past it would overtake.
func (r *room) behindAtAll() bool {
	for i, l := range r.lanes {
		if r.svc.shards[i].waiting(l) > 0 {
			return true
		}
	}
	return false
}

// takeKept gives the kept events that have come, as many as fit into a frame. Call with mu held.
func (r *room) takeKept() [][]byte {
	var part [][]byte
	size := 0
	for seq := r.sent + 1; seq <= r.ring.last(); seq++ {
		raw := r.ring.at(seq).raw
		if size += len(raw); size > flushBytes && len(part) > 0 {
			size -= len(raw)
			break
		}
		part = append(part, raw)
	}
	r.sent += uint64(len(part))
	r.unsent -= size
	if len(part) > 0 {
		clear(r.history)
		r.svc.metrics.delivered.Add(float64(len(part) * r.size))
		close(r.flushed)
		r.flushed = make(chan struct{})
	}
	return part
}

// place is where a member comes in.
type place struct {
	given bool   // ?after= was there
	after uint64 // the newest seq that the member has
	epoch string // of the log it had it from; empty: not said
}

// await waits, shortly, until this node has sent what a member already has from another node.
func (r *room) await(ctx context.Context, p place) error {
	if !p.given {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	for {
		r.mu.Lock()
		sent, flushed := r.sent, r.flushed
		r.mu.Unlock()
		if p.after <= sent {
			return nil
		}
		stream, err := r.svc.journal.js.Stream(ctx, streamName(r.id))
		if err != nil {
			return ErrUnavailable.RetryAfter(time.Second).Because(err)
		}
		if stream.CachedInfo().State.LastSeq < p.after {
			return nil // from the future: hello will say that it can't be resumed
		}
		select {
		case <-flushed:
		case <-ctx.Done():
			return ErrUnavailable.RetryAfter(time.Second).Because(ctx.Err())
		}
	}
}

// join lets a member in: hello, then history up to the newest sent event, and every frame from there on. They are queued; the
// caller flushes.
func (r *room) join(m *member, p place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx.Err() != nil { // dropped a moment ago: there is a new one
		m.conn.Finish(codeReset, "", true)
		return
	}
	now := r.svc.clock.Now()
	first, resumed := r.start(p)
	m.conn.Preload(pack(encode(hello{
		Type: "hello", Seq: r.sent, Resumed: resumed, Epoch: r.epoch, You: m.user, ServerTime: stamp(now), At: stamp(now),
		Session: helloSession{ID: r.id, Title: r.about.Title, State: r.about.State},
	})))
	m.conn.Preload(r.past(first)...)
	if isOver(r.about.State) {
		m.conn.Finish(codeOver, "the session is over", true)
		return
	}
	r.parts[r.next].add(m, r.next)
	r.next = (r.next + 1) % len(r.parts)
	r.size++
	r.presence.arrive(m.actor.Viewer)
	m.conn.Preload(pack(append(r.tally.now(r.presence.count(), stamp(now)), r.entryTo(m)...)...))
	m.seated = true
	r.poke()
}

// start gives the first seq that a member is to get, and whether that resumes what it had. Call with mu held.
func (r *room) start(p place) (uint64, bool) {
	same := p.epoch == r.epoch || p.epoch == "" && !r.anew
	if p.given && same && p.after <= r.sent && p.after+1 >= r.ring.first {
		return p.after + 1, true
	}
	first := r.ring.first
	if r.sent > historyNew {
		first = max(first, r.sent-historyNew+1)
	}
	return first, false
}

// past gives history from a seq on as frames; the same ones to all who ask before the next event. Call with mu held.
func (r *room) past(first uint64) []socket.Frame {
	if frames, ok := r.history[first]; ok {
		return frames
	}
	var frames []socket.Frame
	var part [][]byte
	size := 0
	for seq := first; seq <= r.sent; seq++ {
		raw := r.ring.at(seq).raw
		if size += len(raw); size > frameMost && len(part) > 0 {
			frames, part, size = append(frames, pack(part...)), nil, len(raw)
		}
		part = append(part, raw)
	}
	if len(part) > 0 {
		frames = append(frames, pack(part...))
	}
	if len(r.history) >= historyKept {
		clear(r.history)
	}
	r.history[first] = frames
	return frames
}

// leave forgets a member.
func (r *room) leave(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !m.seated {
		return
	}
	m.seated = false
	r.parts[m.seat.part].remove(m)
	r.size--
	r.presence.depart(m.actor.Viewer)
	r.poke()
}

// dismiss sends everybody away.
func (r *room) dismiss(code int) {
	for _, m := range r.everybody() {
		m.conn.Finish(code, "", true)
	}
}

func (r *room) everybody() []*member { r.mu.Lock(); defer r.mu.Unlock(); return r.list() }

// list gives all members. Call with mu held.
func (r *room) list() []*member {
	all := make([]*member, 0, r.size)
	for _, p := range r.parts {
		all = append(all, p.all...)
	}
	return all
}

func (r *room) members() int { r.mu.Lock(); defer r.mu.Unlock(); return r.size }

// viewers counts distinct viewers on all nodes.
func (r *room) viewers() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return int(r.tally.viewers(r.presence.count()))
}

// follows reports whether the room reads the log of this epoch, or none yet.
func (r *room) follows(epoch string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch == "" || r.epoch == epoch
}

// maySpeak gives the reason for which a user can't speak now, empty if there is none.
func (r *room) maySpeak(user string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case isOver(r.about.State):
		return "not-open"
	case r.svc.clock.Now().Before(r.mutes[user]):
		return "muted"
	}
	return ""
}

// heard reports whether this very message is among the newest of the log: its sender, who was not sure, has sent it again.
func (r *room) heard(once fingerprint) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, known := r.ring.said[once]
	return known
}

func (r *room) like(n int64) { r.mu.Lock(); r.tally.like(n); r.mu.Unlock(); r.poke() }
