package promotions

import (
	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// Migrations gives the schema's steps, oldest first. Their models are frozen: today's rows stand in store.go.
func Migrations() []db.Migration {
	return []db.Migration{{ID: "20261125-promotions-01", Up: func(g *gorm.DB) error {
		type promotionRules struct {
			ID      int64 `gorm:"primaryKey;autoIncrement:false"`
			Version int64 `gorm:"not null"`
		}
		type promotionCoupon struct {
			ID           int64  `gorm:"primaryKey;autoIncrement"`
			Title        string `gorm:"not null"`
			Percent      int64  `gorm:"not null;check:promotion_coupons_percent,percent >= 0 and percent < 100"`
			OffFen       int64  `gorm:"not null;check:promotion_coupons_off,off_fen >= 0"`
			CapFen       int64  `gorm:"not null"`
			ThresholdFen int64  `gorm:"not null"`
			Products     string `gorm:"not null"`
			Sessions     string `gorm:"not null"`
			FromMs       int64  `gorm:"not null"`
			UntilMs      int64  `gorm:"not null"`
			Quota        int64  `gorm:"not null"`
			PerPerson    int64  `gorm:"not null"`
			BudgetFen    int64  `gorm:"not null"`
			Claimable    bool   `gorm:"not null"`
			Stopped      bool   `gorm:"not null"`
			Issued       int64  `gorm:"not null;check:promotion_coupons_issued,issued >= 0 and (quota = 0 or issued <= quota)"`
			SpentFen     int64  `gorm:"not null;check:promotion_coupons_spent,spent_fen >= 0 and (budget_fen = 0 or spent_fen <= budget_fen)"`
			By           string `gorm:"column:by_name;not null"`
			CreatedMs    int64  `gorm:"not null"`
		}
		type promotionHeld struct {
			Seq      int64  `gorm:"primaryKey;autoIncrement"`
			Code     string `gorm:"not null;uniqueIndex;size:32"`
			CouponID int64  `gorm:"not null;index:promotion_held_buyer,priority:2"`
			BuyerID  int64  `gorm:"not null;index:promotion_held_buyer,priority:1"`
			GivenMs  int64  `gorm:"not null"`
			By       string `gorm:"column:by_name;not null"`
			OrderID  string `gorm:"not null;size:32"` // that spent it; empty: it has not been
			SpentMs  int64  `gorm:"not null"`
		}
		type promotionGift struct {
			ID           int64  `gorm:"primaryKey;autoIncrement"`
			Title        string `gorm:"not null"`
			SKUID        int64  `gorm:"column:sku_id;not null"`
			Quantity     int64  `gorm:"not null"`
			ThresholdFen int64  `gorm:"not null"`
			Products     string `gorm:"not null"`
			Sessions     string `gorm:"not null"`
			FromMs       int64  `gorm:"not null"`
			UntilMs      int64  `gorm:"not null"`
			Quota        int64  `gorm:"not null"`
			Given        int64  `gorm:"not null;check:promotion_gifts_given,given >= 0 and (quota = 0 or given <= quota)"`
			Stopped      bool   `gorm:"not null"`
			By           string `gorm:"column:by_name;not null"`
			CreatedMs    int64  `gorm:"not null"`
		}
		type promotionTemplate struct {
			ID       int64  `gorm:"primaryKey;autoIncrement"`
			Name     string `gorm:"not null"`
			Products string `gorm:"not null"`
			Zones    string `gorm:"not null"`
		}
		type promotionWeight struct {
			SKUID int64 `gorm:"column:sku_id;primaryKey;autoIncrement:false"`
			Grams int64 `gorm:"not null;check:promotion_weights_grams,grams >= 0"`
		}
		type promotionFlash struct {
			ID        int64  `gorm:"primaryKey;autoIncrement"`
			SessionID int64  `gorm:"not null;index"`
			SKUID     int64  `gorm:"column:sku_id;not null"`
			ProductID int64  `gorm:"not null"`
			PriceFen  int64  `gorm:"not null;check:promotion_flash_price,price_fen > 0"`
			Stock     int64  `gorm:"not null"`
			Taken     int64  `gorm:"not null;check:promotion_flash_taken,taken >= 0 and taken <= stock"`
			PerPerson int64  `gorm:"not null"`
			StartsMs  int64  `gorm:"not null"`
			EndsMs    int64  `gorm:"not null"`
			StoppedMs int64  `gorm:"not null"`
			Begun     bool   `gorm:"not null"`
			StruckFen int64  `gorm:"not null"`
			By        string `gorm:"column:by_name;not null"`
		}
		type promotionUse struct {
			OrderID string `gorm:"primaryKey;size:32"`
			Kind    string `gorm:"primaryKey;size:10;index:promotion_uses_what,priority:1"`
			Ref     string `gorm:"primaryKey;size:32"`
			ID      int64  `gorm:"column:what_id;not null;index:promotion_uses_what,priority:2"`
			BuyerID int64  `gorm:"not null;index:promotion_uses_what,priority:3"`
			Units   int64  `gorm:"not null;check:promotion_uses_units,units > 0"`
			Fen     int64  `gorm:"not null"`
			Turn    int64  `gorm:"not null"`
			State   string `gorm:"not null;size:10;check:promotion_uses_state,state in ('taken','back')"`
		}
		for _, t := range []struct {
			name  string
			model any
		}{
			{"promotion_rules", &promotionRules{}},
			{"promotion_coupons", &promotionCoupon{}},
			{"promotion_held", &promotionHeld{}},
			{"promotion_gifts", &promotionGift{}},
			{"promotion_templates", &promotionTemplate{}},
			{"promotion_weights", &promotionWeight{}},
			{"promotion_flash", &promotionFlash{}},
			{"promotion_uses", &promotionUse{}},
		} {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		if err := g.Exec("INSERT INTO promotion_rules (id, version) VALUES (1, 1)").Error; err != nil {
			return err
		}
		return g.Exec("CREATE UNIQUE INDEX promotion_flash_open ON promotion_flash (session_id, sku_id) WHERE stopped_ms = 0").Error
	}}}
}
