package orders

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// collectStep adds what collecting money from providers needs. Its models are frozen: today's rows stand in store_pay.go.
func collectStep() db.Migration {
	return db.Migration{ID: "20261125-orders-collect-01", Up: func(g *gorm.DB) error {
		type paymentAttempt struct {
			PaymentID string `gorm:"primaryKey;size:32"`
			OrderID   string `gorm:"not null;index;size:32"`
			Provider  string `gorm:"not null"`
			Kind      string `gorm:"not null"`
			ClientIP  string `gorm:"column:client_ip;not null"`
			OpenID    string `gorm:"not null"`
			Result    string `gorm:"not null"` // what the page was given to start with, JSON
			ResultMs  int64  `gorm:"not null"`
			QueryMs   int64  `gorm:"not null"` // when the provider is asked next; 0: no more
			Over      bool   `gorm:"not null"` // the order can no longer be paid: close it
			Tries     int64  `gorm:"not null"`
			LeaseBy   string `gorm:"not null"`
			LeaseMs   int64  `gorm:"not null"`
			ClosedMs  int64  `gorm:"not null"`
			Problem   string `gorm:"not null"`
			CreatedMs int64  `gorm:"not null"`
		}
		type refundCall struct {
			RefundID   string `gorm:"primaryKey;size:32"`
			Provider   string `gorm:"not null"`
			State      string `gorm:"not null;index:refund_calls_due;check:refund_calls_state,state in ('pending','done','failed')"`
			DueMs      int64  `gorm:"not null;index:refund_calls_due"`
			Round      int64  `gorm:"not null"` // of the provider's number of it: a closed refund needs a new one
			Tries      int64  `gorm:"not null"`
			LeaseBy    string `gorm:"not null"`
			LeaseMs    int64  `gorm:"not null"`
			AcceptedMs int64  `gorm:"not null;index"` // when the provider took it: its bill's time
			Code       string `gorm:"not null"`
			Problem    string `gorm:"not null"`
			CreatedMs  int64  `gorm:"not null"`
		}
		type paymentQuarantine struct {
			ID         int64  `gorm:"primaryKey;autoIncrement"`
			Provider   string `gorm:"not null;uniqueIndex:payment_quarantine_event"`
			ProviderID string `gorm:"not null;uniqueIndex:payment_quarantine_event"`
			PaymentID  string `gorm:"not null;uniqueIndex:payment_quarantine_event"`
			OrderID    string `gorm:"not null"`
			AmountFen  int64  `gorm:"not null"`
			Currency   string `gorm:"not null"`
			Why        string `gorm:"not null"`
			PaidMs     int64  `gorm:"not null"`
			AtMs       int64  `gorm:"not null"`
			State      string `gorm:"not null;index;check:payment_quarantine_state,state in ('open','refunded','dismissed')"`
			ResolvedBy string `gorm:"not null"`
			ResolvedMs int64  `gorm:"not null"`
			Note       string `gorm:"not null"`
		}
		type sandboxTrade struct {
			ID        string `gorm:"primaryKey;size:64"`
			PaymentID string `gorm:"not null;index;size:32"`
			OrderID   string `gorm:"not null;size:32"`
			AmountFen int64  `gorm:"not null"`
			PaidMs    int64  `gorm:"not null"`
			DueMs     int64  `gorm:"not null;index"` // of the callback; 0: none comes any more
			Times     int64  `gorm:"not null"`       // how often it still comes
		}
		for _, t := range []struct {
			name  string
			model any
		}{
			{"payment_attempts", &paymentAttempt{}}, {"refund_calls", &refundCall{}}, {"payment_quarantine", &paymentQuarantine{}}, {"sandbox_trades", &sandboxTrade{}},
		} {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		for _, index := range []string{
			"CREATE INDEX payment_attempts_open ON payment_attempts (query_ms) WHERE query_ms > 0",
			"CREATE INDEX order_payments_settled ON order_payments (provider, settled_ms)",
		} {
			if err := g.Exec(index).Error; err != nil {
				return err
			}
		}
		return nil
	}}
}
