package chat

import (
	"context"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/web"
)

// badgeFor is how long a member who has none is taken to have none: who pays on another node gets the badge within this.
const badgeFor = 30 * time.Second

// badgeTime is how long a message waits for a badge, at most: the room talks on while the database does not answer.
const badgeTime = 500 * time.Millisecond

// Badges says what stands beside a name in a room: anchor, crew, buyer, or nothing. It is asked when somebody speaks, not when
// they come in, and then kept with the socket.
type Badges interface {
	Badge(ctx context.Context, sessionID int64, a web.Actor) (string, error)
}

// badge is what is known of a member's.
type badge struct {
	mu   sync.Mutex // guards what follows
	text string
	at   time.Time // when it was asked
}

func (b *badge) set(text string, at time.Time) { b.mu.Lock(); b.text, b.at = text, at; b.mu.Unlock() }

func (b *badge) get() (string, time.Time) { b.mu.Lock(); defer b.mu.Unlock(); return b.text, b.at }

// badged is the member as it stands beside what it says. Without an answer in time it speaks without a badge.
func (m *member) badged(ctx context.Context) chatUser {
	user := m.user
	text, at := m.badge.get()
	now := m.svc.clock.Now()
	if m.svc.badges != nil && text == "" && (at.IsZero() || now.Sub(at) >= badgeFor) {
		ctx, cancel := context.WithTimeout(ctx, badgeTime) // what is left of the other's time is for the message itself
		fresh, err := m.svc.badges.Badge(ctx, m.room.id, m.actor)
		cancel()
		if err != nil {
			m.svc.log.Warn("a badge could not be looked up", "error", err.Error())
		}
		text = fresh
		m.badge.set(fresh, now)
	}
	user.Badge = text
	return user
}

// Award says that an account has bought in a session: from now on it speaks there as a buyer, unless it has another badge.
func (s *Service) Award(sessionID, accountID int64) {
	r := s.room(sessionID)
	if r == nil {
		return
	}
	for _, m := range r.everybody() {
		if m.actor.AccountID != accountID {
			continue
		}
		if text, _ := m.badge.get(); text == "" && m.actor.Role == web.Buyer {
			m.badge.set("buyer", s.clock.Now())
		}
	}
}
