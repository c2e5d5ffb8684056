package payments

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-payments-01", Up: func(g *gorm.DB) error {
		type reconciliation struct {
			ID                int64  `gorm:"primaryKey;autoIncrement"`
			Provider          string `gorm:"not null;uniqueIndex:reconciliations_day"`
			DayMs             int64  `gorm:"not null;uniqueIndex:reconciliations_day"`
			State             string `gorm:"not null;index:reconciliations_due;check:reconciliations_state,state in ('waiting','failed','done')"`
			DueMs             int64  `gorm:"not null;index:reconciliations_due"`
			LeaseBy           string `gorm:"not null"`
			LeaseMs           int64  `gorm:"not null"`
			Problem           string `gorm:"not null"`
			OursPayments      int64  `gorm:"not null"`
			OursPaymentsFen   int64  `gorm:"not null"`
			OursRefunds       int64  `gorm:"not null"`
			OursRefundsFen    int64  `gorm:"not null"`
			TheirsPayments    int64  `gorm:"not null"`
			TheirsPaymentsFen int64  `gorm:"not null"`
			TheirsRefunds     int64  `gorm:"not null"`
			TheirsRefundsFen  int64  `gorm:"not null"`
			DoneMs            int64  `gorm:"not null"`
			CheckedMs         int64  `gorm:"not null"`
		}
		type line struct {
			ReconciliationID int64  `gorm:"primaryKey;autoIncrement:false"`
			Position         int64  `gorm:"primaryKey;autoIncrement:false"`
			PaymentID        string `gorm:"not null"`
			ProviderNo       string `gorm:"not null"`
			RefundID         string `gorm:"not null"`
			AmountFen        int64  `gorm:"not null"`
			Status           string `gorm:"not null"`
			AtMs             int64  `gorm:"not null"`
		}
		type difference struct {
			ID               int64  `gorm:"primaryKey;autoIncrement"`
			ReconciliationID int64  `gorm:"not null;uniqueIndex:reconciliation_differences_one"`
			Kind             string `gorm:"not null;uniqueIndex:reconciliation_differences_one"`
			What             string `gorm:"not null;uniqueIndex:reconciliation_differences_one"`
			PaymentID        string `gorm:"not null;uniqueIndex:reconciliation_differences_one"`
			ProviderNo       string `gorm:"not null;uniqueIndex:reconciliation_differences_one"`
			RefundID         string `gorm:"not null;uniqueIndex:reconciliation_differences_one"`
			OrderID          string `gorm:"not null"`
			OursFen          int64  `gorm:"not null"`
			TheirsFen        int64  `gorm:"not null"`
			OursState        string `gorm:"not null"`
			TheirsState      string `gorm:"not null"`
			FoundMs          int64  `gorm:"not null"`
			ClearedMs        int64  `gorm:"not null"`
			ResolvedBy       string `gorm:"not null"`
			ResolvedMs       int64  `gorm:"not null"`
			Note             string `gorm:"not null"`
		}
		for _, t := range []struct {
			name  string
			model any
		}{{"reconciliations", &reconciliation{}}, {"reconciliation_lines", &line{}}, {"reconciliation_differences", &difference{}}} {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		return nil
	}}}
}
