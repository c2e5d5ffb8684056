package chat

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Times and sizes of one socket.
const (
	readMost    = 4 << 10 // bytes of a frame
	pingEvery   = 25 * time.Second
	pongWithin  = 60 * time.Second
	writeWithin = 5 * time.Second
	byeWithin   = 2 * time.Second // for the other side to answer a close
	unsentMost  = 256 << 10
	unsentLong  = 5 * time.Second
	badMost     = 3
	idsKept     = 64
)

// outbox is what a member has not been sent yet: at most 256 KiB and nothing older than 5 s, else the member is cut. What it
// was given on joining (hello and history, which are shared) is not counted.
type outbox struct {
	signal chan struct{} // one token: look again

	mu    sync.Mutex // guards what follows
	queue []waiting
	bytes int       // of counted frames, the one being written included
	moved time.Time // when the last frame was written
	bye   *goodbye
	hurry func()        // makes a write under way end soon
	heavy *atomic.Int64 // of the room: members with much unsent
}

type waiting struct {
	frame   *frame
	counted int
	since   time.Time
}

// goodbye is how a socket is to be closed, once the queue is empty.
type goodbye struct {
	code   int
	reason string
}

func newOutbox(hurry func(), heavy *atomic.Int64) *outbox {
	return &outbox{signal: make(chan struct{}, 1), hurry: hurry, heavy: heavy}
}

// count changes the unsent bytes. Call with mu held.
func (o *outbox) count(change int) {
	was := o.bytes >= crowdBytes
	o.bytes += change
	switch is := o.bytes >= crowdBytes; {
	case is && !was:
		o.heavy.Add(1)
	case was && !is:
		o.heavy.Add(-1)
	}
}

func (o *outbox) poke() {
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

// preload queues frames without counting them. Only before the writer has begun to lag: on joining.
func (o *outbox) preload(frames ...*frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range frames {
		o.queue = append(o.queue, waiting{frame: f})
	}
	o.poke()
}

// push queues a frame; false when that cuts the member.
func (o *outbox) push(f *frame, now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bye != nil {
		return true
	}
	if o.bytes+f.size > unsentMost || o.oldest(now) > unsentLong {
		o.close(codeSlow, "slow", false)
		return false
	}
	o.queue = append(o.queue, waiting{f, f.size, now})
	o.count(f.size)
	o.poke()
	return true
}

// oldest gives for how long the oldest counted frame has waited. Call with mu held.
func (o *outbox) oldest(now time.Time) time.Duration {
	for _, w := range o.queue {
		if w.counted > 0 {
			return now.Sub(w.since)
		}
	}
	return 0
}

// finish ends the conversation: after what is queued, or at once. The first word counts.
func (o *outbox) finish(code int, reason string, drain bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bye == nil {
		o.close(code, reason, drain)
	}
}

// close is finish with mu held.
func (o *outbox) close(code int, reason string, drain bool) {
	o.bye = &goodbye{code, reason}
	if !drain {
		for _, w := range o.queue {
			o.count(-w.counted)
		}
		o.queue = nil
		o.hurry()
	}
	o.poke()
}

// next gives the frame to write, else how to end, else neither.
func (o *outbox) next() (waiting, *goodbye) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 {
		return waiting{}, o.bye
	}
	w := o.queue[0]
	o.queue[0] = waiting{}
	o.queue = o.queue[1:]
	return w, nil
}

// wrote takes a frame that is on its way off the account.
func (o *outbox) wrote(w waiting, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count(-w.counted)
	o.moved = now
}

// reading reports whether the member has much unsent and took something a moment ago.
func (o *outbox) reading(now time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.bytes >= crowdBytes && now.Sub(o.moved) < crowdMoves
}

// abandon drops what is queued: nobody writes any more.
func (o *outbox) abandon() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.bye == nil {
		o.bye = &goodbye{}
	}
	o.queue = nil
	o.count(-o.bytes)
}

// closing reports whether the conversation is ending.
func (o *outbox) closing() bool { o.mu.Lock(); defer o.mu.Unlock(); return o.bye != nil }

// member is one socket in one room. One goroutine reads, one writes; everything between goes through the outbox.
type member struct {
	svc   *Service
	room  *room
	actor web.Actor
	user  chatUser
	conn  *websocket.Conn
	out   *outbox
	place place
	left  func() // gives back the places at the door and in the room

	backstage bool   // came in while the Gate showed a rehearsal, so may know of it
	rules     []byte // the Guard's event for those who come in, nil for none

	// The reader's own.
	valve *valve
	ids   []string // of the newest messages taken, a ring
	nextI int
	bad   int
	seen  map[int64]struct{} // products whose clicks and exposures have been told
}

func newMember(s *Service, r *room, a web.Actor, user chatUser, conn *websocket.Conn, p place, left func()) *member {
	raw := conn.NetConn()
	return &member{
		svc: s, room: r, actor: a, user: user, conn: conn, place: p, left: left, valve: newValve(s.limits),
		out: newOutbox(func() { soon(raw) }, &r.heavy),
	}
}

// soon gives a write that is stuck one more second.
func soon(raw net.Conn) { _ = raw.SetWriteDeadline(time.Now().Add(time.Second)) }

// serve is the member's life: it returns when both goroutines have ended and the room has forgotten it.
func (m *member) serve() {
	defer m.left()
	m.room.join(m, m.place)
	if m.svc.isClosing() { // Shutdown may not have seen this one
		m.out.finish(codeRestart, "retry_ms=1000", false)
	}
	written := make(chan struct{})
	read := make(chan struct{})
	go func() { defer close(written); m.write(read) }()
	m.read()
	close(read)
	_ = m.conn.Close()
	<-written
	m.out.abandon()
	m.room.leave(m)
}

// write sends what is queued, pings, and says goodbye. When it gives up it closes the connection, which ends the reader.
func (m *member) write(read <-chan struct{}) {
	ping := time.NewTicker(pingEvery)
	defer ping.Stop()
	for {
		w, bye := m.out.next()
		switch {
		case w.frame != nil:
			if !m.send(w) {
				_ = m.conn.Close()
				return
			}
			continue
		case bye != nil:
			m.part(bye)
			return
		}
		select {
		case <-read:
			return
		case <-m.out.signal:
		case <-ping.C:
			if !m.beat() {
				_ = m.conn.Close()
				return
			}
		}
	}
}

// beat pings, and says the same in the room's own words: a browser's page never sees a ping, and a socket whose way is gone
// (another address) looks open to it for many minutes.
func (m *member) beat() bool {
	if m.conn.WriteControl(websocket.PingMessage, nil, time.Now().Add(writeWithin)) != nil {
		return false
	}
	_ = m.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	text := fmt.Sprintf(`[{"type":"beat","at":%q}]`, m.svc.clock.Now().UTC().Format(time.RFC3339))
	return m.conn.WriteMessage(websocket.TextMessage, []byte(text)) == nil
}

// send writes one frame; a peer that does not take it within 5 s is cut.
func (m *member) send(w waiting) bool {
	_ = m.conn.SetWriteDeadline(time.Now().Add(writeWithin))
	err := m.conn.WritePreparedMessage(w.frame.msg)
	m.out.wrote(w, time.Now())
	var slow net.Error
	if errors.As(err, &slow) && slow.Timeout() && !m.out.closing() {
		m.svc.metrics.cut.Inc()
	}
	return err == nil
}

// part closes politely: the close frame, then two seconds for the other side to answer.
func (m *member) part(bye *goodbye) {
	text := websocket.FormatCloseMessage(bye.code, bye.reason)
	if m.conn.WriteControl(websocket.CloseMessage, text, time.Now().Add(time.Second)) != nil {
		_ = m.conn.Close()
		return
	}
	_ = m.conn.SetReadDeadline(time.Now().Add(byeWithin))
}

// read takes the member's frames until the connection ends.
func (m *member) read() {
	m.conn.SetReadLimit(readMost)
	alive := func() {
		if !m.out.closing() {
			_ = m.conn.SetReadDeadline(time.Now().Add(pongWithin))
		}
	}
	alive()
	m.conn.SetPongHandler(func(string) error { alive(); return nil })
	for {
		kind, raw, err := m.conn.ReadMessage()
		if err != nil {
			return
		}
		alive()
		if !m.out.closing() {
			m.handle(kind, raw)
		}
	}
}

// handle is one frame of the member's.
func (m *member) handle(kind int, raw []byte) {
	allowed, flood := m.valve.frame(time.Now())
	if flood {
		m.out.finish(codeFlood, "too many messages", false)
		return
	}
	msg, ok, malformed := parse(raw)
	switch {
	case malformed || kind != websocket.TextMessage:
		m.refuse("", "bad-message")
		if m.bad++; m.bad >= badMost {
			m.out.finish(codeBad, "not messages of this protocol", true)
		}
	case !ok:
		m.refuse(msg.ID, "bad-message")
	case !allowed:
		if msg.Type == "chat" {
			m.refuse(msg.ID, "too-fast")
		}
	default:
		m.act(msg)
	}
}

// act does what a well-formed message asks for.
func (m *member) act(msg message) {
	switch msg.Type {
	case "chat":
		if reason := m.speak(msg); reason != "" {
			m.refuse(msg.ID, reason)
		}
	case "like":
		if n := m.valve.like(time.Now(), msg.Count); n > 0 {
			m.room.like(n)
			m.note("like", 0, n)
		}
	case "click":
		if m.svc.clicks.Allow(m.actor.Viewer) == nil {
			m.noteProduct("click", msg.ProductID)
		}
	case "exposure":
		if m.svc.clicks.Allow(m.actor.Viewer) == nil {
			for _, id := range msg.ProductIDs {
				m.noteProduct("exposure", id)
			}
		}
	case "share", "follow":
		if m.svc.clicks.Allow(m.actor.Viewer) == nil {
			m.note(msg.Type, 0, 1)
		}
	}
}

// speak puts a chat message into the log; it appears in the room, or a reason comes back.
func (m *member) speak(msg message) string {
	if !m.actor.SignedIn() {
		return "sign-in"
	}
	if reason := m.room.maySpeak(m.user.ID); reason != "" {
		return reason
	}
	text, n := clean(msg.Text)
	switch {
	case n == 0:
		return "empty"
	case n > textMost:
		return "too-long"
	case m.repeated(msg.ID):
		return ""
	case m.svc.speech.Allow(m.actor.Viewer) != nil:
		return "too-fast"
	}
	ctx, cancel := context.WithTimeout(m.svc.life, speakTime)
	defer cancel()
	if text, n = m.weigh(ctx, msg.ID, text); n == 0 {
		return ""
	}
	body := encode(said{Type: "chat", At: stamp(m.svc.clock.Now()), ID: msg.ID, User: m.user, Text: text})
	if _, err := m.svc.journal.append(ctx, m.room.id, body, speaker{viewer: m.actor.Viewer, account: m.actor.AccountID}); err != nil {
		return "unavailable"
	}
	m.remember(msg.ID)
	m.svc.metrics.events.WithLabelValues("chat").Inc()
	m.svc.record.mark(m.room.id)
	return ""
}

// repeated reports whether one of the last 64 messages taken had this id: a client that was not sure sends it again.
func (m *member) repeated(id string) bool {
	return id != "" && slices.Contains(m.ids, id)
}

func (m *member) remember(id string) {
	switch {
	case id == "":
	case len(m.ids) < idsKept:
		m.ids = append(m.ids, id)
	default:
		m.ids[m.nextI] = id
		m.nextI = (m.nextI + 1) % idsKept
	}
}

// noteProduct notes an act on a product, for as many products as a shelf may have.
func (m *member) noteProduct(kind string, product int64) {
	if product <= 0 {
		return
	}
	if _, known := m.seen[product]; !known {
		if len(m.seen) >= productsSeen {
			return
		}
		if m.seen == nil {
			m.seen = map[int64]struct{}{}
		}
		m.seen[product] = struct{}{}
	}
	m.note(kind, product, 1)
}

func (m *member) note(kind string, product, n int64) {
	m.svc.facts.act(m.room.id, Act{Viewer: m.actor.Viewer, Kind: kind, ProductID: product, Count: n, At: m.svc.clock.Now()})
}
