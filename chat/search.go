package chat

import (
	"context"
	"encoding/json"
	"time"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Said is one chat message of the record, with its text, whatever was done to it later: for moderators and auditors.
type Said struct {
	SessionID int64
	Epoch     string
	Seq       uint64
	At        time.Time
	Viewer    string
	AccountID int64
	User      string // the public id
	Name      string
	Role      string
	ID        string
	Text      string
	HeldID    int64
}

// Place is a position in the record, newest first.
type Place struct {
	AtMs      int64  `json:"t"`
	SessionID int64  `json:"s"`
	Epoch     string `json:"e"`
	Seq       uint64 `json:"q"`
}

// Place gives where the message stands.
func (m Said) Place() Place { return Place{db.Millis(m.At), m.SessionID, m.Epoch, m.Seq} }

// SaidFilter chooses messages; a zero field chooses all.
type SaidFilter struct {
	SessionID int64
	Viewer    string
	From, To  time.Time // from <= at < to
	Before    *Place    // only older ones
	Limit     int
}

// Spoken gives messages of the record, newest first. It holds all but the last second; what a session's log holds is
// copied first if the filter names a session.
func (s *Service) Spoken(ctx context.Context, f SaidFilter) ([]Said, error) {
	if f.SessionID != 0 {
		s.complete(ctx, f.SessionID)
	}
	rows, err := s.store.said(ctx, f)
	if err != nil {
		return nil, err
	}
	return saidAll(rows), nil
}

// Around gives a session's messages around a seq of the newest log that has it, oldest first, up to n on each side.
func (s *Service) Around(ctx context.Context, sessionID int64, seq uint64, n int) ([]Said, error) {
	s.complete(ctx, sessionID)
	m, err := s.recorded(ctx, sessionID, seq)
	if err != nil {
		return nil, err
	}
	rows, err := s.store.around(ctx, sessionID, m.Epoch, int64(seq), n)
	if err != nil {
		return nil, err
	}
	return saidAll(rows), nil
}

// Person finds who has a public id: among those in the session's room, else among those who spoke in it.
func (s *Service) Person(ctx context.Context, sessionID int64, user string) (viewer, name string, err error) {
	if r := s.room(sessionID); r != nil {
		for _, m := range r.everybody() {
			if m.user.ID == user {
				return m.actor.Viewer, m.user.Name, nil
			}
		}
	}
	s.complete(ctx, sessionID)
	row, err := s.store.spokenBy(ctx, sessionID, user)
	if err != nil {
		return "", "", err
	}
	m := saidOf(row)
	return m.Viewer, m.Name, nil
}

// Follows reports whether a viewer has followed an anchor, in any session.
func (s *Service) Follows(ctx context.Context, viewer string) (bool, error) {
	return s.store.follows(ctx, viewer)
}

// complete copies what the session's log has more than the record; what can't be copied now is copied later.
func (s *Service) complete(ctx context.Context, sessionID int64) {
	if db.InTx(ctx) {
		return
	}
	if err := s.record.copyMarked(ctx, sessionID); err != nil {
		s.log.Warn("a room's record could not be completed", "session_id", sessionID, "error", err.Error())
	}
}

func (s *Service) recorded(ctx context.Context, sessionID int64, seq uint64) (Said, error) {
	row, err := s.store.message(ctx, sessionID, int64(seq))
	if err != nil {
		return Said{}, err
	}
	return saidOf(row), nil
}

func saidAll(rows []eventRow) []Said {
	out := make([]Said, len(rows))
	for i, r := range rows {
		out[i] = saidOf(r)
	}
	return out
}

func saidOf(r eventRow) Said {
	var e said
	_ = json.Unmarshal([]byte(r.Body), &e) // our own
	return Said{
		SessionID: r.SessionID, Epoch: r.Epoch, Seq: uint64(r.Seq), At: db.Time(r.AtMs), Viewer: r.Viewer, AccountID: r.AccountID,
		User: e.User.ID, Name: e.User.Name, Role: e.User.Role, ID: e.ID, Text: e.Text, HeldID: e.Held,
	}
}

// searchMigration makes the record searchable by time and by person, and followers findable.
func searchMigration() db.Migration {
	return db.Migration{ID: "20261125-chat-search-01", Up: func(g *gorm.DB) error {
		for _, stmt := range []string{
			"CREATE INDEX chat_events_said ON chat_events (at_ms) WHERE typ = 'chat'",
			"CREATE INDEX chat_events_viewer ON chat_events (viewer, at_ms) WHERE typ = 'chat'",
			"CREATE INDEX chat_activity_follows ON chat_activity (viewer) WHERE kind = 'follow'",
		} {
			if err := g.Exec(stmt).Error; err != nil {
				return err
			}
		}
		return nil
	}}
}
