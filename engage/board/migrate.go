package board

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-engage-board-01", Up: func(g *gorm.DB) error {
		type line struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			SessionID int64  `gorm:"not null;index:engage_board_lines_session"`
			Kind      string `gorm:"not null;check:engage_board_lines_kind,kind in ('welcome','pinned')"`
			Text      string `gorm:"not null"`
			By        string `gorm:"column:by_name;not null"`
			FromMs    int64  `gorm:"not null"`
			ToMs      int64  `gorm:"not null"` // 0: stands
		}
		if err := g.Table("engage_board_lines").Migrator().CreateTable(&line{}); err != nil {
			return err
		}
		return g.Exec("CREATE UNIQUE INDEX engage_board_lines_standing ON engage_board_lines (session_id, kind) WHERE to_ms = 0").Error
	}}}
}
