package engage

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-engage-01", Up: func(g *gorm.DB) error {
		type outbox struct { // kept events that rooms have to be told
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			SessionID int64  `gorm:"not null"`
			Type      string `gorm:"column:typ;not null"`
			Data      string `gorm:"not null"`
			CreatedMs int64  `gorm:"not null"`
			LeaseBy   string `gorm:"not null"`
			DueMs     int64  `gorm:"not null;index:engage_outbox_due"`
		}
		type telling struct { // when a room was last told what stands in it, by any process
			SessionID int64  `gorm:"primaryKey;autoIncrement:false"`
			Type      string `gorm:"column:typ;primaryKey;size:32"`
			ToldMs    int64  `gorm:"not null"`
		}
		if err := g.Table("engage_outbox").Migrator().CreateTable(&outbox{}); err != nil {
			return err
		}
		return g.Table("engage_tellings").Migrator().CreateTable(&telling{})
	}}}
}
