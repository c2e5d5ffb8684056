package aftersales

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-aftersales-01", Up: func(g *gorm.DB) error {
		type request struct {
			Seq        int64  `gorm:"primaryKey;autoIncrement"`
			ID         string `gorm:"not null;uniqueIndex;size:32"`
			OrderID    string `gorm:"not null;index;size:32"`
			BuyerID    int64  `gorm:"not null"`
			Buyer      string `gorm:"not null"`
			Idem       string `gorm:"not null;uniqueIndex"` // BUYER:KEY
			BodyHash   string `gorm:"not null"`
			Kind       string `gorm:"not null;check:aftersales_kind,kind in ('refund','return','exchange')"`
			Reason     string `gorm:"not null"`
			Text       string `gorm:"not null"`
			Lines      string `gorm:"not null"`
			State      string `gorm:"not null;check:aftersales_state,state in ('requested','approved','returning','received','settled','rejected','withdrawn','lapsed')"`
			AskedFen   int64  `gorm:"not null;check:aftersales_asked,asked_fen >= 0"`
			RefundFen  int64  `gorm:"not null;check:aftersales_refund,refund_fen >= 0"`
			RefundID   string `gorm:"not null"`
			ReturnTo   string `gorm:"not null"`
			Carrier    string `gorm:"not null"`
			TrackingNo string `gorm:"not null"`
			Appealed   bool   `gorm:"not null"`
			CreatedMs  int64  `gorm:"not null"`
			DueMs      int64  `gorm:"not null"`
		}
		type picture struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			RequestID string `gorm:"not null;uniqueIndex:aftersale_pictures_name;size:32"`
			Name      string `gorm:"not null;uniqueIndex:aftersale_pictures_name"`
			Width     int    `gorm:"not null"`
			Height    int    `gorm:"not null"`
		}
		type invoice struct {
			Seq         int64  `gorm:"primaryKey;autoIncrement"`
			OrderID     string `gorm:"not null;uniqueIndex;size:32"`
			BuyerID     int64  `gorm:"not null"`
			Fields      string `gorm:"not null"`
			State       string `gorm:"not null;index;check:invoices_state,state in ('requested','issued','refused','withdrawn')"`
			Number      string `gorm:"not null"`
			AmountFen   int64  `gorm:"not null"`
			Why         string `gorm:"not null"`
			By          string `gorm:"column:by_name;not null"`
			RequestedMs int64  `gorm:"not null"`
			DecidedMs   int64  `gorm:"not null"`
		}
		for _, t := range []struct {
			name  string
			model any
		}{{"aftersales", &request{}}, {"aftersale_pictures", &picture{}}, {"invoices", &invoice{}}} {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		for _, sql := range []string{
			"CREATE INDEX aftersales_queue ON aftersales (state, seq)",
			"CREATE INDEX aftersales_buyer ON aftersales (buyer_id, seq)",
		} {
			if err := g.Exec(sql).Error; err != nil {
				return err
			}
		}
		return nil
	}}}
}
