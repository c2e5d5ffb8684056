package stream

import (
	"context"
	"log/slog"
	"sync"
)

// house is what the desk has ordered of anchors, whether they are connected or not. Its zero value is ready. What a
// process does not know after a restart it is told again: live keeps it.
type house struct {
	mu    sync.Mutex
	muted map[int64]map[string]bool // by session
}

func (h *house) mute(session int64, anchor string, muted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch names := h.muted[session]; {
	case !muted:
		if delete(names, anchor); len(names) == 0 {
			delete(h.muted, session)
		}
	case names != nil:
		names[anchor] = true
	case h.muted == nil:
		h.muted = map[int64]map[string]bool{session: {anchor: true}}
	default:
		h.muted[session] = map[string]bool{anchor: true}
	}
}

// isMuted reports whether an anchor's sound goes to nobody. Not for the path of a packet: it locks.
func (h *house) isMuted(session int64, anchor string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.muted[session][anchor]
}

func (h *house) forget(session int64) { h.mu.Lock(); delete(h.muted, session); h.mu.Unlock() }

// Mute notes that an anchor's sound goes to nobody, or to everybody again. Repeating it changes nothing.
func (s *Service) Mute(session int64, anchor string, muted bool) {
	s.house.mute(session, anchor, muted)
	if r := s.room(session); r != nil {
		r.mute(anchor, muted)
	}
}

// learnMuted asks who was muted before this process knew of the session.
func (s *Service) learnMuted(ctx context.Context, session int64) {
	if s.cfg.Muted == nil || s.room(session) != nil {
		return
	}
	names, err := s.cfg.Muted(ctx, session)
	if err != nil {
		slog.Warn("who is muted could not be read", "session", session, "error", err)
	}
	for _, a := range names {
		s.house.mute(session, a, true)
	}
}

// Cut ends an anchor's publishing; whether it may begin again is the Gate's to say. Repeating it changes nothing.
func (s *Service) Cut(session int64, anchor string) {
	for _, p := range s.allPeers() {
		if pub, ok := p.role.(*publisher); ok && p.session == session && pub.anchor == anchor {
			p.close()
		}
	}
}
