package banners

import (
	"context"
	"slices"
	"time"

	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
)

// store is the banners' tables. It joins the transaction in the context.
type store struct{ db *db.DB }

type sumRow struct {
	SessionID int64 `gorm:"primaryKey;autoIncrement:false"`
	ProductID int64 `gorm:"primaryKey;autoIncrement:false"`
	Title     string
	Quantity  int64
	Orders    int64
	Buyer     string
	FirstMs   int64
}

func (sumRow) TableName() string { return "engage_banners" }

type consentRow struct {
	AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
	AtMs      int64
}

func (consentRow) TableName() string { return "engage_banner_consents" }

// add adds a sale to the sum of its product; the letter stays only in a sum of one order.
func (s store) add(ctx context.Context, x Sale, letter string, at time.Time) error {
	return s.db.Write(ctx).Exec(`INSERT INTO engage_banners (session_id, product_id, title, quantity, orders, buyer, first_ms) VALUES (?, ?, ?, ?, 1, ?, ?)
		ON CONFLICT (session_id, product_id) DO UPDATE SET title = excluded.title, quantity = engage_banners.quantity + excluded.quantity,
		orders = engage_banners.orders + 1, buyer = ''`, x.SessionID, x.ProductID, x.Title, x.Quantity, letter, db.Millis(at)).Error
}

func (s store) waiting(ctx context.Context) (rooms []int64, err error) {
	err = s.db.Read(ctx).Model(&sumRow{}).Distinct("session_id").Order("session_id").Limit(1000).Pluck("session_id", &rooms).Error
	return rooms, err
}

// take takes up to n sums of a room away, those that wait longest.
func (s store) take(ctx context.Context, sessionID int64, n int) ([]Sum, error) {
	var rows []sumRow
	err := s.db.Write(ctx).Raw(`DELETE FROM engage_banners WHERE session_id = ? AND product_id IN
		(SELECT product_id FROM engage_banners WHERE session_id = ? ORDER BY first_ms, product_id LIMIT ?) RETURNING *`, sessionID, sessionID, n).Scan(&rows).Error
	slices.SortFunc(rows, func(a, b sumRow) int {
		if a.FirstMs != b.FirstMs {
			return int(a.FirstMs - b.FirstMs)
		}
		return int(a.ProductID - b.ProductID)
	})
	sums := make([]Sum, len(rows))
	for i, r := range rows {
		sums[i] = Sum{r.ProductID, r.Title, r.Quantity, r.Orders, r.Buyer}
	}
	return sums, err
}

func (s store) agree(ctx context.Context, accountID int64, at time.Time) error {
	return s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&consentRow{accountID, db.Millis(at)}).Error
}

func (s store) disagree(ctx context.Context, accountID int64) error {
	return s.db.Write(ctx).Where("account_id = ?", accountID).Delete(&consentRow{}).Error
}

func (s store) agreed(ctx context.Context, accountID int64) (bool, error) {
	var n int64
	err := s.db.Read(ctx).Model(&consentRow{}).Where("account_id = ?", accountID).Count(&n).Error
	return n > 0, err
}
