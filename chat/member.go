package chat

import (
	"context"
	"slices"
	"time"

	"github.com/gorilla/websocket"

	"github.com/duoduopin/duoduopin/chat/socket"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Bounds of one member, beside those of its socket.
const (
	badMost = 3
	idsKept = 64
)

// member is one socket in one room. The socket's goroutine reads; who has something for it writes.
type member struct {
	svc   *Service
	room  *room
	actor web.Actor
	user  chatUser
	badge badge
	conn  *socket.Conn
	place place
	left  func() // gives back the places at the door and in the room

	seat   seat // guarded by the room, like seated
	seated bool

	backstage bool   // came in while the Gate showed a rehearsal, so may know of it
	rules     []byte // the Guard's event for those who come in, nil for none

	// The reader's own.
	valve   *valve
	allowed bool     // the frame that has just come is within the rate
	ids     []string // of the newest messages taken, a ring
	nextI   int
	bad     int
	seen    map[int64]struct{} // products whose clicks and exposures have been told
}

func newMember(s *Service, r *room, a web.Actor, user chatUser, conn *websocket.Conn, p place, left func()) *member {
	m := &member{svc: s, room: r, actor: a, user: user, place: p, left: left, valve: newValve(s.limits)}
	m.conn = s.keeper.Take(conn.NetConn(), m, &r.heavy)
	return m
}

// join lets the member in and gives it what a newcomer gets.
func (m *member) join() {
	m.room.join(m, m.place)
	m.conn.Flush()
	if m.svc.isClosing() { // Shutdown may not have seen this one
		m.conn.Finish(codeRestart, "retry_ms=1000", false)
	}
}

// serve is the rest of the member's life: it returns when the socket has ended and the room has forgotten it.
func (m *member) serve() {
	defer m.left()
	m.conn.Serve()
	m.room.leave(m)
}

// Slow is told by the socket that it was cut.
func (m *member) Slow() { m.svc.metrics.cut.Inc() }

// Frame is asked by the socket whether one more frame is bearable.
func (m *member) Frame() bool {
	allowed, flood := m.valve.frame(time.Now())
	m.allowed = allowed
	return !flood
}

// Message is one message of the member's.
func (m *member) Message(binary bool, raw []byte) {
	msg, ok, malformed := parse(raw)
	switch {
	case malformed || binary:
		m.refuse("", "bad-message")
		if m.bad++; m.bad >= badMost {
			m.conn.Finish(codeBad, "not messages of this protocol", true)
		}
	case !ok:
		m.refuse(msg.ID, "bad-message")
	case !m.allowed:
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
	once := fingerprintOf(m.user.ID, msg.ID, text)
	switch {
	case n == 0:
		return "empty"
	case n > textMost:
		return "too-long"
	case m.repeated(msg.ID) || m.room.heard(once):
		return ""
	case m.svc.speech.Allow(m.actor.Viewer) != nil:
		return "too-fast"
	}
	ctx, cancel := context.WithTimeout(m.svc.life, speakTime)
	defer cancel()
	if text, n = m.weigh(ctx, msg.ID, text); n == 0 {
		return ""
	}
	body := encode(said{Type: "chat", At: stamp(m.svc.clock.Now()), ID: msg.ID, User: m.badged(ctx), Text: text})
	once = fingerprintOf(m.user.ID, msg.ID, text) // as it is said
	if _, err := m.svc.journal.append(ctx, m.room.id, body, speaker{viewer: m.actor.Viewer, account: m.actor.AccountID, once: once.String()}); err != nil {
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
