package webhooks

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-webhooks-01", Up: func(g *gorm.DB) error {
		type webhookEndpoint struct {
			ID         int64  `gorm:"primaryKey;autoIncrement"`
			URL        string `gorm:"not null"`
			Events     string `gorm:"not null"`
			Note       string `gorm:"not null"`
			State      string `gorm:"not null;check:webhook_endpoints_state,state in ('active','paused')"`
			Why        string `gorm:"not null"`
			Secret     string `gorm:"not null"` // in the clear: an HMAC needs it
			OldSecret  string `gorm:"not null"`
			OldUntilMs int64  `gorm:"not null"`
			NextMs     int64  `gorm:"not null"`
			LeaseBy    string `gorm:"not null"`
			LeaseMs    int64  `gorm:"not null"`
			CreatedMs  int64  `gorm:"not null"`
		}
		type webhookDelivery struct {
			ID          int64  `gorm:"primaryKey;autoIncrement"`
			EndpointID  int64  `gorm:"not null;uniqueIndex:webhook_deliveries_event"`
			EventID     string `gorm:"not null;uniqueIndex:webhook_deliveries_event"`
			Type        string `gorm:"column:typ;not null"`
			Body        string `gorm:"not null"`
			State       string `gorm:"not null;check:webhook_deliveries_state,state in ('queued','delivered','dead')"`
			Tries       int    `gorm:"not null"`
			LastStatus  int    `gorm:"not null"`
			LastError   string `gorm:"not null"`
			LastMs      int64  `gorm:"not null"`
			CreatedMs   int64  `gorm:"not null"`
			DeliveredMs int64  `gorm:"not null"`
		}
		if err := g.Migrator().CreateTable(&webhookEndpoint{}, &webhookDelivery{}); err != nil {
			return err
		}
		for _, sql := range []string{
			"CREATE INDEX webhook_deliveries_queue ON webhook_deliveries (endpoint_id, state, id)",
			"CREATE INDEX webhook_deliveries_age ON webhook_deliveries (state, created_ms)",
		} {
			if err := g.Exec(sql).Error; err != nil {
				return err
			}
		}
		return nil
	}}}
}
