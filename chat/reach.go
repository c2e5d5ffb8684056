package chat

import (
	"context"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/web"
)

// ErrMuted is for who wants to say something beside chat, such as a question to the anchor, and is muted in the room.
var ErrMuted = fault.New(fault.Forbidden, "muted", "a moderator has muted you in this room")

// Occupied lists the sessions whose rooms are open on this node.
func (s *Service) Occupied() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := make([]int64, 0, len(s.rooms))
	for id, r := range s.rooms {
		if r.refs > 0 {
			ids = append(ids, id)
		}
	}
	return ids
}

// PublicID is how rooms know a viewer: the user.id of their events.
func (s *Service) PublicID(ctx context.Context, viewer string) (string, error) {
	return s.publicID(ctx, viewer)
}

// MaySay lets somebody say something beside chat who is not muted in the room; ErrMuted. The text is the Guard's business.
func (s *Service) MaySay(ctx context.Context, sessionID int64, a web.Actor) error {
	user, err := s.publicID(ctx, a.Viewer)
	if err != nil {
		return err
	}
	mutes, err := s.store.mutes(ctx, sessionID, s.clock.Now())
	if until, muted := mutes[user]; err == nil && muted {
		return ErrMuted.Saying("a moderator has muted you in this room until " + until.UTC().Format(time.RFC3339))
	}
	return err
}
