package fulfilment

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-fulfilment-01", Up: func(g *gorm.DB) error {
		type parcel struct {
			ID          int64  `gorm:"primaryKey;autoIncrement"`
			OrderID     string `gorm:"not null;size:32;uniqueIndex:parcels_number"`
			Carrier     string `gorm:"not null;uniqueIndex:parcels_number"`
			TrackingNo  string `gorm:"not null;uniqueIndex:parcels_number;index"`
			Pieces      string `gorm:"not null"`
			State       string `gorm:"not null;check:parcels_state,state in ('sent','delivered','refused','lost')"`
			Source      string `gorm:"not null"`
			By          string `gorm:"column:by_name;not null"`
			Why         string `gorm:"not null"`
			SentMs      int64  `gorm:"not null"`
			DeliveredMs int64  `gorm:"not null"`
			DueMs       int64  `gorm:"not null"` // when its order may complete by itself; 0: not by this one, or no more
		}
		type shipmentImport struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			State     string `gorm:"not null;check:shipment_imports_state,state in ('preview','confirmed')"`
			By        string `gorm:"column:by_name;not null"`
			CreatedMs int64  `gorm:"not null;index"`
		}
		type shipmentImportRow struct {
			ImportID   int64  `gorm:"primaryKey;autoIncrement:false"`
			Line       int    `gorm:"primaryKey;autoIncrement:false"`
			OrderID    string `gorm:"not null"`
			Carrier    string `gorm:"not null"`
			TrackingNo string `gorm:"not null"`
			Piece      int    `gorm:"not null"` // line of the order; -1: everything
			Quantity   int64  `gorm:"not null"`
			State      string `gorm:"not null;check:shipment_import_rows_state,state in ('ready','unchanged','error','done')"`
			Field      string `gorm:"not null"`
			Detail     string `gorm:"not null"`
		}
		if err := g.Migrator().CreateTable(&parcel{}, &shipmentImport{}, &shipmentImportRow{}); err != nil {
			return err
		}
		return g.Exec("CREATE INDEX parcels_due ON parcels (due_ms) WHERE due_ms > 0").Error
	}}}
}
