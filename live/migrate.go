package live

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261124-live-01", Up: func(g *gorm.DB) error {
		type liveSession struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			Title     string `gorm:"not null"`
			Intro     string `gorm:"not null"`
			State     string `gorm:"not null;index;check:live_sessions_state,state in ('scheduled','rehearsing','live','interrupted','ended','cancelled')"`
			StartsMs  int64  `gorm:"not null;index"`
			LiveMs    int64  `gorm:"not null"`
			EndedMs   int64  `gorm:"not null"`
			HoldMs    int64  `gorm:"not null"`
			OnAir     int    `gorm:"not null"`
			CreatedBy string `gorm:"not null"`
			CreatedMs int64  `gorm:"not null"`
		}
		type liveAnchor struct {
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			Position  int64  `gorm:"primaryKey;autoIncrement:false"`
			Name      string `gorm:"not null;index"`
		}
		type liveShelf struct {
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			SKUID     int64  `gorm:"column:sku_id;primaryKey;autoIncrement:false"`
			ProductID int64  `gorm:"not null;index"`
			Position  int64  `gorm:"not null"`
			PriceFen  *int64 `gorm:"check:live_shelf_price,price_fen >= 0"`
			Stock     *int64 `gorm:"check:live_shelf_stock,stock >= 0"`
		}
		type livePin struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			SessionID int64  `gorm:"not null;index"`
			ProductID int64  `gorm:"not null"`
			Anchors   string `gorm:"not null"`
			FromMs    int64  `gorm:"not null"`
			ToMs      int64  `gorm:"not null"`
		}
		type liveGap struct {
			ID        int64 `gorm:"primaryKey;autoIncrement"`
			SessionID int64 `gorm:"not null;index"`
			FromMs    int64 `gorm:"not null"`
			ToMs      int64 `gorm:"not null"`
		}
		type liveState struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			SessionID int64  `gorm:"not null;index"`
			State     string `gorm:"not null"`
			AtMs      int64  `gorm:"not null"`
			By        string `gorm:"column:by_name;not null"`
		}
		return g.Migrator().CreateTable(&liveSession{}, &liveAnchor{}, &liveShelf{}, &livePin{}, &liveGap{}, &liveState{})
	}}, {ID: "20261125-live-02", Up: func(g *gorm.DB) error {
		type liveRestraint struct {
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			Anchor    string `gorm:"primaryKey"`
			Kind      string `gorm:"primaryKey;check:live_restraints_kind,kind in ('muted','cut')"`
			By        string `gorm:"column:by_name;not null"`
			AtMs      int64  `gorm:"not null"`
			Reason    string `gorm:"not null"`
		}
		return g.Migrator().CreateTable(&liveRestraint{})
	}}}
}
