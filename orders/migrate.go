package orders

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261124-orders-01", Up: func(g *gorm.DB) error {
		type order struct {
			Seq          int64  `gorm:"primaryKey;autoIncrement"`
			ID           string `gorm:"not null;uniqueIndex;size:32"`
			SessionID    int64  `gorm:"not null;index"`
			BuyerID      int64  `gorm:"not null;index"`
			BuyerName    string `gorm:"not null"`
			BuyerInitial string `gorm:"not null"`
			Channel      string `gorm:"not null"`
			Idem         string `gorm:"not null;uniqueIndex"` // SHOP:BUYER:KEY, or SHOP:CHANNEL:NUMBER of an imported order
			BodyHash     string `gorm:"not null"`
			State        string `gorm:"not null;check:orders_state,state in ('pending','paid','shipped','completed','cancelled','refunded')"`
			Reason       string `gorm:"not null"`
			Stock        string `gorm:"not null;check:orders_stock,stock in ('reserved','sold','free','none')"`
			TotalFen     int64  `gorm:"not null;check:orders_total,total_fen >= 0"`
			PaidFen      int64  `gorm:"not null;check:orders_paid,paid_fen >= 0"`
			RefundedFen  int64  `gorm:"not null;check:orders_refunded,refunded_fen >= 0 and refunded_fen <= paid_fen"`
			PinID        int64  `gorm:"not null"`
			Anchor       string `gorm:"not null"`
			Address      string `gorm:"not null"`
			Carrier      string `gorm:"not null"`
			TrackingNo   string `gorm:"not null"`
			CreatedMs    int64  `gorm:"not null"`
			ExpiresMs    int64  `gorm:"not null"`
			PaidMs       int64  `gorm:"not null"`
			ShippedMs    int64  `gorm:"not null"`
			LeaseBy      string `gorm:"not null"`
			LeaseMs      int64  `gorm:"not null"`
		}
		type orderLine struct {
			OrderID   string `gorm:"primaryKey;size:32"`
			Position  int64  `gorm:"primaryKey;autoIncrement:false"`
			SKUID     int64  `gorm:"column:sku_id;not null"`
			ProductID int64  `gorm:"not null"`
			Quantity  int64  `gorm:"not null;check:order_lines_quantity,quantity > 0 and quantity <= 999"`
			PriceFen  int64  `gorm:"not null;check:order_lines_price,price_fen >= 0"`
			Title     string `gorm:"not null"`
			SKUName   string `gorm:"column:sku_name;not null"`
			Fresh     bool   `gorm:"not null"`
			PinID     int64  `gorm:"not null"`
			Anchors   string `gorm:"not null"`
		}
		type orderEvent struct {
			ID      int64  `gorm:"primaryKey;autoIncrement"`
			OrderID string `gorm:"not null;index;size:32"`
			AtMs    int64  `gorm:"not null"`
			What    string `gorm:"not null"`
			By      string `gorm:"column:by_name;not null"`
		}
		type orderSessionStock struct {
			SessionID int64 `gorm:"primaryKey;autoIncrement:false"`
			SKUID     int64 `gorm:"column:sku_id;primaryKey;autoIncrement:false"`
			Taken     int64 `gorm:"not null;check:order_session_stock_taken,taken >= 0"`
		}
		type orderPayment struct {
			ID         string  `gorm:"primaryKey;size:32"`
			OrderID    string  `gorm:"not null;index;size:32"`
			Provider   string  `gorm:"not null;uniqueIndex:order_payments_provider"`
			ProviderID *string `gorm:"uniqueIndex:order_payments_provider"` // null until the provider has told it
			Idem       string  `gorm:"not null"`
			State      string  `gorm:"not null;check:order_payments_state,state in ('pending','settled','returned')"`
			AmountFen  int64   `gorm:"not null;check:order_payments_amount,amount_fen >= 0"`
			CreatedMs  int64   `gorm:"not null"`
			SettledMs  int64   `gorm:"not null"`
		}
		type paymentCallback struct {
			ID         int64  `gorm:"primaryKey;autoIncrement"`
			Provider   string `gorm:"not null;uniqueIndex:payment_callbacks_event"`
			ProviderID string `gorm:"not null;uniqueIndex:payment_callbacks_event"`
			BodyHash   string `gorm:"not null;uniqueIndex:payment_callbacks_event"`
			Body       []byte `gorm:"not null"`
			ReceivedMs int64  `gorm:"not null"`
			Times      int64  `gorm:"not null"`
			Outcome    string `gorm:"not null;index"`
			Detail     string `gorm:"not null"`
			AppliedMs  int64  `gorm:"not null"`
		}
		type orderRefund struct {
			ID          string `gorm:"primaryKey;size:32"`
			OrderID     string `gorm:"not null;uniqueIndex:order_refunds_idem;size:32"`
			PaymentID   string `gorm:"not null;size:32"`
			Idem        string `gorm:"not null;uniqueIndex:order_refunds_idem"`
			BodyHash    string `gorm:"not null"`
			AmountFen   int64  `gorm:"not null;check:order_refunds_amount,amount_fen > 0"`
			Reason      string `gorm:"not null"`
			Automatic   bool   `gorm:"not null"` // money that came too late or twice goes back; not part of the order's refunded_fen
			State       string `gorm:"not null;index;check:order_refunds_state,state in ('requested','succeeded')"`
			By          string `gorm:"column:by_name;not null"`
			RequestedMs int64  `gorm:"not null"`
			SucceededMs int64  `gorm:"not null"`
		}
		type ledgerEntry struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			Ref       string `gorm:"not null;uniqueIndex:ledger_entries_ref"`
			Account   string `gorm:"not null;uniqueIndex:ledger_entries_ref;index"`
			AmountFen int64  `gorm:"not null"`
			OrderID   string `gorm:"not null;index;size:32"`
			AtMs      int64  `gorm:"not null"`
		}
		type orderOutbox struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			SessionID int64  `gorm:"not null"`
			Type      string `gorm:"column:typ;not null"`
			Data      string `gorm:"not null"`
			CreatedMs int64  `gorm:"not null"`
			LeaseBy   string `gorm:"not null"`
			DueMs     int64  `gorm:"not null;index"`
			Tries     int64  `gorm:"not null"`
		}
		type paymentSecret struct {
			Provider string `gorm:"primaryKey"`
			Secret   []byte `gorm:"not null"`
		}
		tables := []struct {
			name  string
			model any
		}{
			{"orders", &order{}},
			{"order_lines", &orderLine{}},
			{"order_events", &orderEvent{}},
			{"order_session_stock", &orderSessionStock{}},
			{"order_payments", &orderPayment{}},
			{"payment_callbacks", &paymentCallback{}},
			{"order_refunds", &orderRefund{}},
			{"ledger_entries", &ledgerEntry{}},
			{"order_outbox", &orderOutbox{}},
			{"payment_secrets", &paymentSecret{}},
		}
		for _, t := range tables {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		return g.Exec("CREATE INDEX orders_pending_expiry ON orders (expires_ms) WHERE state = 'pending'").Error
	}}, collectStep(), priceStep(), aftersaleStep()}
}
