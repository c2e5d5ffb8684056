package draws

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-engage-draws-01", Up: func(g *gorm.DB) error {
		type draw struct {
			ID           int64  `gorm:"primaryKey;autoIncrement"`
			SessionID    int64  `gorm:"not null;index:engage_draws_session"`
			Title        string `gorm:"not null"`
			Prize        string `gorm:"not null"`
			Winners      int64  `gorm:"not null;check:engage_draws_winners,winners > 0"`
			Who          string `gorm:"not null;check:engage_draws_who,who in ('accounts','buyers')"`
			MostEntrants int64  `gorm:"not null"`
			OpensMs      int64  `gorm:"not null"`
			ClosesMs     int64  `gorm:"not null"`
			PublishedMs  int64  `gorm:"not null"`
			By           string `gorm:"column:by_name;not null"`
			Commitment   string `gorm:"not null;uniqueIndex:engage_draws_commitment"`
			Terms        string `gorm:"not null"`
			TermsHash    string `gorm:"not null"`
			Seed         []byte `gorm:"not null"` // given out once the draw has taken place
			State        string `gorm:"not null;check:engage_draws_state,state in ('published','drawn','cancelled')"`
			DrawnMs      int64  `gorm:"not null"`
			CancelledMs  int64  `gorm:"not null"`
			Reason       string `gorm:"not null"`
			EntrantsHash string `gorm:"not null"`
		}
		type entry struct {
			DrawID    int64  `gorm:"primaryKey;autoIncrement:false;uniqueIndex:engage_draw_entries_ticket,priority:1"`
			AccountID int64  `gorm:"primaryKey;autoIncrement:false"`
			Ticket    string `gorm:"not null;size:32;uniqueIndex:engage_draw_entries_ticket,priority:2"`
			UserID    string `gorm:"not null"`
			AtMs      int64  `gorm:"not null"`
			Place     int64  `gorm:"not null"` // 0: did not win
		}
		if err := g.Table("engage_draws").Migrator().CreateTable(&draw{}); err != nil {
			return err
		}
		if err := g.Table("engage_draw_entries").Migrator().CreateTable(&entry{}); err != nil {
			return err
		}
		return g.Exec("CREATE INDEX engage_draws_due ON engage_draws (closes_ms) WHERE state = 'published'").Error
	}}}
}
