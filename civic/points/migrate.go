package points

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-points-01", Up: func(g *gorm.DB) error {
		type pointsAccount struct {
			AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
			Balance   int64 `gorm:"not null;check:points_accounts_balance,balance >= 0"`
		}
		type pointsLot struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			AccountID int64  `gorm:"not null;index"`
			Points    int64  `gorm:"not null;check:points_lots_points,points > 0"`
			Left      int64  `gorm:"column:points_left;not null;check:points_lots_left,points_left >= 0 and points_left <= points"`
			Source    string `gorm:"not null"`
			Ref       string `gorm:"not null;uniqueIndex;size:255"`
			IssuedMs  int64  `gorm:"not null"`
			ExpiresMs int64  `gorm:"not null"`
		}
		type pointsEntry struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			AccountID int64  `gorm:"not null;index"`
			LotID     int64  `gorm:"not null;index"`
			Kind      string `gorm:"not null;check:points_entries_kind,kind in ('issued','spent','returned','expired')"`
			Points    int64  `gorm:"not null;check:points_entries_points,points > 0"`
			Ref       string `gorm:"not null;index;size:255"`
			AtMs      int64  `gorm:"not null"`
		}
		for _, t := range []struct {
			name  string
			model any
		}{{"points_accounts", &pointsAccount{}}, {"points_lots", &pointsLot{}}, {"points_entries", &pointsEntry{}}} {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		return g.Exec("CREATE INDEX points_lots_open ON points_lots (expires_ms) WHERE points_left > 0").Error
	}}}
}
