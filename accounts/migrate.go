package accounts

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261124-accounts-01", Up: func(g *gorm.DB) error {
		type account struct {
			ID           int64  `gorm:"primaryKey;autoIncrement"`
			Name         string `gorm:"not null;size:40"`
			NameKey      string `gorm:"not null;size:40;uniqueIndex"`
			DisplayName  string `gorm:"not null"`
			Role         string `gorm:"not null;index;check:accounts_role,role in ('admin','operator','assistant','anchor','buyer')"`
			Title        string `gorm:"not null"`
			Unit         string `gorm:"not null"`
			PasswordHash string `gorm:"not null"`
			Disabled     bool   `gorm:"not null"`
			CreatedMs    int64  `gorm:"not null"`
		}
		type accountToken struct {
			Hash      string `gorm:"primaryKey;size:64"`
			AccountID int64  `gorm:"not null;index"`
			Kind      string `gorm:"not null"`
			Scope     string `gorm:"not null"`
			CreatedMs int64  `gorm:"not null"`
			ExpiresMs int64  `gorm:"not null;index"`
		}
		type accountAddress struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			AccountID int64  `gorm:"not null;index"`
			Name      string `gorm:"not null"`
			Phone     string `gorm:"not null"`
			Province  string `gorm:"not null"`
			City      string `gorm:"not null"`
			District  string `gorm:"not null"`
			Detail    string `gorm:"not null"`
			IsDefault bool   `gorm:"not null"`
		}
		type auditEntry struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			AtMs      int64  `gorm:"not null;index"`
			AccountID int64  `gorm:"not null"`
			Actor     string `gorm:"not null"`
			Action    string `gorm:"not null;index"`
			Subject   string `gorm:"not null"`
			Detail    string `gorm:"not null"`
		}
		type secret struct {
			Name  string `gorm:"primaryKey;size:40"`
			Value []byte `gorm:"not null"`
		}
		return g.Migrator().CreateTable(&account{}, &accountToken{}, &accountAddress{}, &auditEntry{}, &secret{})
	}}}
}
