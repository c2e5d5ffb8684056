package polls

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-engage-polls-01", Up: func(g *gorm.DB) error {
		type poll struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			SessionID int64  `gorm:"not null;index:engage_polls_session"`
			Question  string `gorm:"not null"`
			By        string `gorm:"column:by_name;not null"`
			OpenedMs  int64  `gorm:"not null"`
			ClosesMs  int64  `gorm:"not null"`
			ClosedMs  int64  `gorm:"not null"` // 0: open
		}
		type option struct {
			PollID   int64  `gorm:"primaryKey;autoIncrement:false"`
			Position int64  `gorm:"primaryKey;autoIncrement:false"`
			Text     string `gorm:"not null"`
			Votes    int64  `gorm:"not null;check:engage_poll_options_votes,votes >= 0"`
		}
		type ballot struct {
			PollID    int64 `gorm:"primaryKey;autoIncrement:false"`
			AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
			Position  int64 `gorm:"not null"`
			AtMs      int64 `gorm:"not null"`
		}
		for _, t := range []struct {
			name  string
			model any
		}{{"engage_polls", &poll{}}, {"engage_poll_options", &option{}}, {"engage_poll_ballots", &ballot{}}} {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		return g.Exec("CREATE UNIQUE INDEX engage_polls_open ON engage_polls (session_id) WHERE closed_ms = 0").Error
	}}}
}
