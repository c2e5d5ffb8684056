package moderation

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-moderation-01", Up: func(g *gorm.DB) error {
		type controls struct {
			SessionID         int64  `gorm:"primaryKey;autoIncrement:false"`
			Silent            bool   `gorm:"not null"`
			SilentReason      string `gorm:"not null"`
			SlowSeconds       int    `gorm:"not null;check:moderation_slow,slow_seconds >= 0"`
			Who               string `gorm:"not null;check:moderation_who,who in ('everyone','followers','buyers')"`
			MinAccountMinutes int    `gorm:"not null"`
			Links             string `gorm:"not null;check:moderation_links,links in ('allow','review','refuse')"`
			ReviewAll         bool   `gorm:"not null"`
			OwnRepeats        int    `gorm:"not null"`
			CrowdRepeats      int    `gorm:"not null"`
			Notice            string `gorm:"not null"`
			AIMade            bool   `gorm:"column:ai_made;not null"`
			AIText            string `gorm:"column:ai_text;not null"`
			ChangedMs         int64  `gorm:"not null"`
			ChangedBy         string `gorm:"not null"`
		}
		type list struct {
			ID        int64  `gorm:"primaryKey"`
			SessionID int64  `gorm:"not null;index:moderation_lists_session"`
			Name      string `gorm:"not null"`
			Action    string `gorm:"not null;check:moderation_action,action in ('refuse','hold','mask')"`
			Enabled   bool   `gorm:"not null"`
			Words     int64  `gorm:"not null"`
			Version   int64  `gorm:"not null"`
		}
		type word struct {
			ID     int64  `gorm:"primaryKey"`
			ListID int64  `gorm:"not null;uniqueIndex:moderation_words_once"`
			Fold   string `gorm:"not null;uniqueIndex:moderation_words_once"`
			Word   string `gorm:"not null"`
			Note   string `gorm:"not null"`
		}
		type ban struct {
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			UserID    string `gorm:"primaryKey;size:32"`
			Name      string `gorm:"not null"`
			UntilMs   int64  `gorm:"not null"` // 0: no end
			Reason    string `gorm:"not null"`
			ByName    string `gorm:"not null"`
			AtMs      int64  `gorm:"not null"`
		}
		type act struct {
			ID        int64  `gorm:"primaryKey"`
			AtMs      int64  `gorm:"not null"`
			SessionID int64  `gorm:"not null;index:moderation_acts_session"`
			Kind      string `gorm:"not null"`
			UserID    string `gorm:"not null;index:moderation_acts_user"`
			Name      string `gorm:"not null"`
			Epoch     string `gorm:"not null"`
			Seq       int64  `gorm:"not null;index:moderation_acts_session"`
			HeldID    int64  `gorm:"not null"`
			Text      string `gorm:"not null"`
			Reason    string `gorm:"not null"`
			UntilMs   int64  `gorm:"not null"`
			ByAccount int64  `gorm:"not null"`
			ByName    string `gorm:"not null"`
			Undoes    int64  `gorm:"not null"`
			UndoneBy  int64  `gorm:"not null"`
		}
		type held struct {
			ID        int64  `gorm:"primaryKey"`
			AtMs      int64  `gorm:"not null"`
			SessionID int64  `gorm:"not null;index:moderation_held_state"`
			State     string `gorm:"not null;index:moderation_held_state;check:moderation_held,state in ('waiting','approved','rejected','expired')"`
			Viewer    string `gorm:"not null;index:moderation_held_viewer"`
			AccountID int64  `gorm:"not null"`
			UserID    string `gorm:"not null"`
			Name      string `gorm:"not null"`
			Role      string `gorm:"not null"`
			ClientID  string `gorm:"not null"`
			Text      string `gorm:"not null"`
			Original  string `gorm:"not null"`
			Reason    string `gorm:"not null"`
			Found     string `gorm:"not null"` // JSON array
			DecidedBy string `gorm:"not null"`
			DecidedMs int64  `gorm:"not null"`
			Note      string `gorm:"not null"`
			Seq       int64  `gorm:"not null"`
		}
		type appeal struct {
			ID        int64  `gorm:"primaryKey"`
			ActID     int64  `gorm:"not null;uniqueIndex"`
			SessionID int64  `gorm:"not null"`
			UserID    string `gorm:"not null"`
			Name      string `gorm:"not null"`
			Text      string `gorm:"not null"`
			AtMs      int64  `gorm:"not null"`
			State     string `gorm:"not null;index:moderation_appeals_state;check:moderation_appeal,state in ('open','upheld','overturned','withdrawn')"`
			DecidedBy string `gorm:"not null"`
			DecidedMs int64  `gorm:"not null"`
			Answer    string `gorm:"not null"`
		}
		tables := []struct {
			name  string
			model any
		}{
			{"moderation_controls", &controls{}},
			{"moderation_lists", &list{}},
			{"moderation_words", &word{}},
			{"moderation_bans", &ban{}},
			{"moderation_acts", &act{}},
			{"moderation_held", &held{}},
			{"moderation_appeals", &appeal{}},
		}
		for _, t := range tables {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		for _, stmt := range []string{
			"CREATE INDEX moderation_held_unsaid ON moderation_held (decided_ms) WHERE state = 'approved' AND seq = 0",
			"CREATE INDEX moderation_held_waiting ON moderation_held (at_ms) WHERE state = 'waiting'",
		} {
			if err := g.Exec(stmt).Error; err != nil {
				return err
			}
		}
		return nil
	}}}
}
