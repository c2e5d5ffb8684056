package catalog

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261124-catalog-01", Up: func(g *gorm.DB) error {
		type product struct {
			ID            int64  `gorm:"primaryKey;autoIncrement"`
			Title         string `gorm:"not null"`
			Subtitle      string `gorm:"not null"`
			Description   string `gorm:"not null"`
			Category      string `gorm:"not null;index"`
			Origin        string `gorm:"not null"`
			LicenceNo     string `gorm:"not null"`
			Fresh         bool   `gorm:"not null"`
			SellingPoints string `gorm:"not null"`
			BannedWords   string `gorm:"not null"`
			State         string `gorm:"not null;index;check:products_state,state in ('draft','checked','withdrawn')"`
			CheckedBy     string `gorm:"not null"`
			CheckedMs     int64  `gorm:"not null"`
			CreatedMs     int64  `gorm:"not null"`
			Words         string `gorm:"not null"`
		}
		type sku struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			ProductID int64  `gorm:"not null;index"`
			Position  int64  `gorm:"not null"`
			Name      string `gorm:"not null"`
			PriceFen  int64  `gorm:"not null;check:skus_price,price_fen >= 0"`
			Free      int64  `gorm:"not null;check:skus_free,free >= 0"`
			Reserved  int64  `gorm:"not null;check:skus_reserved,reserved >= 0"`
			Sold      int64  `gorm:"not null;check:skus_sold,sold >= 0"`
			Stopped   bool   `gorm:"not null"`
		}
		type stockMovement struct {
			ID       int64  `gorm:"primaryKey;autoIncrement"`
			SKUID    int64  `gorm:"column:sku_id;not null;index"`
			AtMs     int64  `gorm:"not null"`
			Kind     string `gorm:"not null;check:stock_movements_kind,kind in ('initial','restock','write-off','reserve','release','sell','return')"`
			Free     int64  `gorm:"not null"`
			Reserved int64  `gorm:"not null"`
			Sold     int64  `gorm:"not null"`
			Ref      string `gorm:"not null"`
			Reason   string `gorm:"not null"`
			By       string `gorm:"column:by_name;not null"`
		}
		type picture struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			ProductID int64  `gorm:"not null;index"`
			Name      string `gorm:"not null"`
			Width     int    `gorm:"not null"`
			Height    int    `gorm:"not null"`
		}
		return g.Migrator().CreateTable(&product{}, &sku{}, &stockMovement{}, &picture{})
	}}, lowStep()}
}
