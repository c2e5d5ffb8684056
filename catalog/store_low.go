package catalog

import (
	"context"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

// lowStep adds the threshold of low stock to SKUs.
func lowStep() db.Migration {
	return db.Migration{ID: "20261125-catalog-low", Up: func(g *gorm.DB) error {
		for _, sql := range []string{
			"ALTER TABLE skus ADD COLUMN low_at bigint NOT NULL DEFAULT 0",
			"ALTER TABLE skus ADD COLUMN low_told boolean NOT NULL DEFAULT false",
			"CREATE INDEX skus_low ON skus (low_at) WHERE low_at > 0",
		} {
			if err := g.Exec(sql).Error; err != nil {
				return err
			}
		}
		return nil
	}}
}

func (s store) setLow(ctx context.Context, skuID, units int64) error {
	return s.db.Write(ctx).Model(&skuRow{}).Where("id = ?", skuID).Updates(map[string]any{"low_at": units, "low_told": false}).Error
}

func (s store) low(ctx context.Context, limit int) ([]LowSKU, error) {
	var rows []lowRow
	err := s.db.Read(ctx).Table("skus").Select("skus.*, products.title").Joins("JOIN products ON products.id = skus.product_id").
		Where("skus.low_at > 0 AND skus.free <= skus.low_at AND products.state <> ?", string(Withdrawn)).Order("skus.free, skus.id").Limit(limit).Scan(&rows).Error
	return lowSKUs(rows), err
}

type lowRow struct {
	SKU   skuRow `gorm:"embedded"`
	Title string
}

func lowSKUs(rows []lowRow) []LowSKU {
	out := make([]LowSKU, len(rows))
	for i, r := range rows {
		out[i] = LowSKU{r.SKU.sku(), r.Title}
	}
	return out
}

// lowDue looks, without the writing lock, whether there is anything to tell or to forget.
func (s store) lowDue(ctx context.Context) (bool, error) {
	var n int
	err := s.db.Read(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM skus WHERE low_at > 0 AND (free <= low_at) <> low_told LIMIT 1) d").Scan(&n).Error
	return n > 0, err
}

func (s store) forgetTold(ctx context.Context) error {
	return s.db.Write(ctx).Exec("UPDATE skus SET low_told = false WHERE low_told AND low_at > 0 AND free > low_at").Error
}

func (s store) tellLow(ctx context.Context) ([]LowSKU, error) {
	var ids []int64
	err := s.db.Write(ctx).Raw("UPDATE skus SET low_told = true WHERE NOT low_told AND low_at > 0 AND free <= low_at RETURNING id").Scan(&ids).Error
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var rows []lowRow
	err = s.db.Read(ctx).Table("skus").Select("skus.*, products.title").Joins("JOIN products ON products.id = skus.product_id").
		Where("skus.id IN ?", ids).Order("skus.id").Scan(&rows).Error
	return lowSKUs(rows), err
}
