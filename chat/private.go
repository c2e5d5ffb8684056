package chat

import (
	"context"
	"encoding/json"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

const subjectPrivate = "duoduopin.chat.private"

// whisper is what some people alone are told, on all nodes: fleeting, by plain NATS, never by a room's log.
type whisper struct {
	Node    string          `json:"node"`
	Session int64           `json:"session"` // 0: all rooms
	User    string          `json:"user"`    // public id; empty: the crew
	Event   json.RawMessage `json:"event,omitempty"`
	Close   string          `json:"close,omitempty"` // the reason to close with
}

// TellCrew gives those who may moderate a session, on all nodes, an event that nobody else gets. It is not kept.
func (s *Service) TellCrew(sessionID int64, typ string, data any) {
	s.whisper(sessionID, "", typ, data)
}

// TellOne gives one viewer, named by the public id, an event that nobody else gets. It is not kept. Session 0 means every
// room that the viewer is in.
func (s *Service) TellOne(sessionID int64, user, typ string, data any) {
	if user != "" {
		s.whisper(sessionID, user, typ, data)
	}
}

func (s *Service) whisper(sessionID int64, user, typ string, data any) {
	fields := map[string]any{}
	if raw, err := json.Marshal(data); err != nil || json.Unmarshal(raw, &fields) != nil {
		s.log.Error("what somebody was to be told is no event", "event", typ)
		return
	}
	fields["type"], fields["at"] = typ, stamp(s.clock.Now())
	s.send(whisper{Session: sessionID, User: user, Event: encode(fields)})
}

// Eject closes the sockets of a viewer in one room, or in all with session 0, on all nodes.
func (s *Service) Eject(sessionID int64, user, reason string) {
	if user != "" {
		s.send(whisper{Session: sessionID, User: user, Close: reason})
	}
}

// send delivers here and tells the other nodes; best effort.
func (s *Service) send(w whisper) {
	w.Node = s.node
	s.deliver(s.life, w)
	_ = s.bus.Conn().Publish(subjectPrivate, encode(w))
}

// hearPrivate takes what another node has sent.
func (s *Service) hearPrivate(ctx context.Context, raw []byte) {
	var w whisper
	if json.Unmarshal(raw, &w) == nil && w.Node != s.node {
		s.deliver(ctx, w)
	}
}

// deliver gives a whisper to those members of this node that it is for.
func (s *Service) deliver(ctx context.Context, w whisper) {
	rooms := s.allRooms()
	if w.Session != 0 {
		rooms = rooms[:0]
		if r := s.room(w.Session); r != nil {
			rooms = append(rooms, r)
		}
	}
	for _, r := range rooms {
		for _, m := range r.everybody() {
			if m.isFor(ctx, w) {
				m.receive(w)
			}
		}
	}
}

func (m *member) isFor(ctx context.Context, w whisper) bool {
	if w.User != "" {
		return m.user.ID == w.User
	}
	return m.svc.isCrew(ctx, m.room.id, m.actor)
}

func (m *member) receive(w whisper) {
	if w.Event != nil {
		m.tell(w.Event)
		return
	}
	m.conn.Finish(codeBanned, w.Close, true)
}

// isCrew asks the Gate only about those who could be.
func (s *Service) isCrew(ctx context.Context, sessionID int64, a web.Actor) bool {
	if !a.Is(web.Operator, web.Assistant, web.Anchor) {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return s.gate.MayModerate(ctx, sessionID, a) == nil
}
