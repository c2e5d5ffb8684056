package chat

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261124-chat-01", Up: func(g *gorm.DB) error {
		type chatEvent struct { // the record: three years
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			Epoch     string `gorm:"primaryKey;size:32"`
			Seq       int64  `gorm:"primaryKey;autoIncrement:false"`
			Type      string `gorm:"column:typ;not null"`
			AtMs      int64  `gorm:"not null"`
			Viewer    string `gorm:"not null"` // who said it; empty: the server
			AccountID int64  `gorm:"not null;index"`
			Body      string `gorm:"not null"`
		}
		type chatCursor struct { // how far a room's log has been copied
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			Epoch     string `gorm:"not null"`
			Seq       int64  `gorm:"not null"`
		}
		type chatPresence struct {
			ID         int64  `gorm:"primaryKey;autoIncrement:false"`
			SessionID  int64  `gorm:"not null;index:chat_presence_session"`
			Viewer     string `gorm:"not null"`
			Node       string `gorm:"not null"`
			FromMs     int64  `gorm:"not null;index:chat_presence_session"`
			ToMs       int64  `gorm:"not null"` // 0: still there
			LastSeenMs int64  `gorm:"not null"`
		}
		type chatActivity struct {
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			Minute    int64  `gorm:"primaryKey;autoIncrement:false"` // Unix minutes
			Viewer    string `gorm:"primaryKey;size:80"`
			Kind      string `gorm:"primaryKey;size:16;check:chat_activity_kind,kind in ('chat','like','share','follow','click','exposure')"`
			ProductID int64  `gorm:"primaryKey;autoIncrement:false"`
			Count     int64  `gorm:"column:times;not null;check:chat_activity_times,times > 0"`
			AtMs      int64  `gorm:"not null"` // of the first in the minute
		}
		type chatMute struct {
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			UserID    string `gorm:"primaryKey;size:32"`
			UntilMs   int64  `gorm:"not null"`
			ByAccount int64  `gorm:"not null"`
			Reason    string `gorm:"not null"`
			AtMs      int64  `gorm:"not null"`
		}
		type chatSecret struct {
			Name  string `gorm:"primaryKey;size:32"`
			Value []byte `gorm:"not null"`
		}
		tables := []struct {
			name  string
			model any
		}{
			{"chat_events", &chatEvent{}},
			{"chat_cursors", &chatCursor{}},
			{"chat_presence", &chatPresence{}},
			{"chat_activity", &chatActivity{}},
			{"chat_mutes", &chatMute{}},
			{"chat_secrets", &chatSecret{}},
		}
		for _, t := range tables {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		return g.Exec("CREATE INDEX chat_presence_open ON chat_presence (last_seen_ms) WHERE to_ms = 0").Error
	}}, searchMigration(), {ID: "20261125-chat-nodes-01", Up: func(g *gorm.DB) error {
		type chatCursor struct {
			AwayMs int64 `gorm:"not null;default:0"` // when the log was put away
		}
		if err := g.Table("chat_cursors").Migrator().AddColumn(&chatCursor{}, "AwayMs"); err != nil {
			return err
		}
		if err := g.Exec("CREATE INDEX chat_events_age ON chat_events (at_ms, session_id)").Error; err != nil {
			return err
		}
		return g.Exec("CREATE INDEX chat_presence_viewer ON chat_presence (viewer, session_id)").Error
	}}}
}
