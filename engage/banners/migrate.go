package banners

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-engage-banners-01", Up: func(g *gorm.DB) error {
		type sum struct { // sold and not told yet
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			ProductID int64  `gorm:"primaryKey;autoIncrement:false"`
			Title     string `gorm:"not null"`
			Quantity  int64  `gorm:"not null;check:engage_banners_quantity,quantity > 0"`
			Orders    int64  `gorm:"not null"`
			Buyer     string `gorm:"not null"`
			FirstMs   int64  `gorm:"not null"`
		}
		type consent struct {
			AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
			AtMs      int64 `gorm:"not null"`
		}
		if err := g.Table("engage_banners").Migrator().CreateTable(&sum{}); err != nil {
			return err
		}
		return g.Table("engage_banner_consents").Migrator().CreateTable(&consent{})
	}}}
}
