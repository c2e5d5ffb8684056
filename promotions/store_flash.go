package promotions

import (
	"context"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
)

type flashRow struct {
	ID        int64
	SessionID int64
	SKUID     int64 `gorm:"column:sku_id"`
	ProductID int64
	PriceFen  int64
	Stock     int64
	Taken     int64
	PerPerson int64
	StartsMs  int64
	EndsMs    int64
	StoppedMs int64
	Begun     bool // its room has been told
	StruckFen int64
	By        string `gorm:"column:by_name"`
}

func (flashRow) TableName() string { return "promotion_flash" }

func (r flashRow) flash() Flash {
	return Flash{
		ID: r.ID, SessionID: r.SessionID, SKUID: r.SKUID, ProductID: r.ProductID, PriceFen: r.PriceFen, Stock: r.Stock, Taken: r.Taken, PerPerson: r.PerPerson,
		StartsAt: db.Time(r.StartsMs), EndsAt: db.Time(r.EndsMs), StoppedAt: db.Time(r.StoppedMs), StruckFen: r.StruckFen, By: r.By,
	}
}

// addFlash adds a sale; an index lets one SKU of one session have one that is not over.
func (s store) addFlash(ctx context.Context, f *Flash, now time.Time) error {
	row := flashRow{
		SessionID: f.SessionID, SKUID: f.SKUID, ProductID: f.ProductID, PriceFen: f.PriceFen, Stock: f.Stock, PerPerson: f.PerPerson,
		StartsMs: db.Millis(f.StartsAt), EndsMs: db.Millis(f.EndsAt), StruckFen: f.StruckFen, By: f.By, Begun: !f.StartsAt.After(now),
	}
	err := s.db.Write(ctx).Create(&row).Error
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return ErrRunning
	}
	f.ID = row.ID
	return err
}

func (s store) lockFlash(ctx context.Context, id int64) (Flash, error) {
	var row flashRow
	err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", id).Take(&row).Error
	return row.flash(), orMissing(err, "flash sale")
}

func (s store) saveFlash(ctx context.Context, f Flash) error {
	return s.db.Write(ctx).Model(&flashRow{}).Where("id = ?", f.ID).Updates(map[string]any{"ends_ms": db.Millis(f.EndsAt), "stopped_ms": db.Millis(f.StoppedAt)}).Error
}

// flashDue reports whether a sale has ended or begun without having been noticed.
func (s store) flashDue(ctx context.Context, now time.Time) (bool, error) {
	var n int64
	err := s.db.Read(ctx).Raw("SELECT count(*) FROM promotion_flash WHERE stopped_ms = 0 AND (ends_ms <= ? OR NOT begun AND starts_ms <= ?)", db.Millis(now), db.Millis(now)).Scan(&n).Error
	return n > 0, err
}

// closeFlash closes what is over by the clock and gives the products.
func (s store) closeFlash(ctx context.Context, now time.Time) (products []int64, err error) {
	err = s.db.Write(ctx).Raw("UPDATE promotion_flash SET stopped_ms = ends_ms WHERE stopped_ms = 0 AND ends_ms <= ? RETURNING product_id", db.Millis(now)).Scan(&products).Error
	return products, err
}

// beginFlash marks what has begun by the clock and gives the products.
func (s store) beginFlash(ctx context.Context, now time.Time) (products []int64, err error) {
	err = s.db.Write(ctx).Raw("UPDATE promotion_flash SET begun = ? WHERE NOT begun AND stopped_ms = 0 AND starts_ms <= ? RETURNING product_id", true, db.Millis(now)).Scan(&products).Error
	return products, err
}

func (s store) flashOf(ctx context.Context, sessionID int64) ([]Flash, error) {
	return s.flashes(s.db.Read(ctx).Where("session_id = ?", sessionID))
}

func (s store) flashByID(ctx context.Context, ids []int64) ([]Flash, error) {
	return s.flashes(s.db.Read(ctx).Where("id IN ?", ids))
}

func (s store) flashes(q *gorm.DB) ([]Flash, error) {
	var rows []flashRow
	err := q.Order("id").Find(&rows).Error
	out := make([]Flash, len(rows))
	for i, r := range rows {
		out[i] = r.flash()
	}
	return out, err
}

// salesFor reads and locks sales, and how much of each the buyers have.
func (s store) salesFor(ctx context.Context, ids, buyers []int64) (map[int64]Flash, map[buyerSale]int64, error) {
	sales, mine := map[int64]Flash{}, map[buyerSale]int64{}
	if len(ids) == 0 {
		return sales, mine, nil
	}
	all, err := s.flashes(s.locking(ctx).Where("id IN ?", ids))
	if err != nil {
		return nil, nil, err
	}
	limited := false
	for _, f := range all {
		sales[f.ID] = f
		limited = limited || f.PerPerson > 0
	}
	if !limited || len(buyers) == 0 {
		return sales, mine, nil
	}
	var rows []struct{ WhatID, BuyerID, N int64 }
	err = s.db.Read(ctx).Raw(`SELECT what_id, buyer_id, sum(units) AS n FROM promotion_uses
		WHERE kind = 'flash' AND state = 'taken' AND what_id IN ? AND buyer_id IN ? GROUP BY what_id, buyer_id`, ids, buyers).Scan(&rows).Error
	for _, r := range rows {
		mine[buyerSale{r.BuyerID, r.WhatID}] = r.N
	}
	return sales, mine, err
}
