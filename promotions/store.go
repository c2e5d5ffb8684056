package promotions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/pricing"
)

// store is promotions' tables. It joins the transaction in the context and holds no rules but the guards in its
// statements. Coupons and what orders use are in store_uses.go, flash sales in store_flash.go.
type store struct{ db *db.DB }

type giftRow struct {
	ID           int64
	Title        string
	SKUID        int64 `gorm:"column:sku_id"`
	Quantity     int64
	ThresholdFen int64
	Products     string
	Sessions     string
	FromMs       int64
	UntilMs      int64
	Quota        int64
	Given        int64
	Stopped      bool
	By           string `gorm:"column:by_name"`
	CreatedMs    int64
}

func (giftRow) TableName() string { return "promotion_gifts" }

func (r giftRow) gift() Gift {
	return Gift{
		ID: r.ID, Title: r.Title, SKUID: r.SKUID, Quantity: r.Quantity, ThresholdFen: r.ThresholdFen, Products: ids(r.Products), Sessions: ids(r.Sessions),
		Window: Window{db.Time(r.FromMs), db.Time(r.UntilMs)}, Quota: r.Quota, Given: r.Given, Stopped: r.Stopped,
	}
}

type templateRow struct {
	ID       int64
	Name     string
	Products string
	Zones    string
}

func (templateRow) TableName() string { return "promotion_templates" }

type weightRow struct {
	SKUID int64 `gorm:"column:sku_id;primaryKey;autoIncrement:false"`
	Grams int64
}

func (weightRow) TableName() string { return "promotion_weights" }

// list and ids keep a few ids in one column.
func list(all []int64) string {
	if len(all) == 0 {
		return ""
	}
	raw, _ := json.Marshal(all) // plain numbers
	return string(raw)
}

func ids(text string) []int64 {
	var all []int64
	if text != "" {
		_ = json.Unmarshal([]byte(text), &all) // our own writing
	}
	return all
}

func (s store) version(ctx context.Context) (v int64, err error) {
	err = s.db.Read(ctx).Raw("SELECT version FROM promotion_rules WHERE id = 1").Scan(&v).Error
	return v, err
}

// bump says that the rules are others from the commit on; it also makes those who change them wait for each other.
func (s store) bump(ctx context.Context) error {
	return s.db.Write(ctx).Exec("UPDATE promotion_rules SET version = version + 1 WHERE id = 1").Error
}

// locking reads rows so that they stay as they are until the end of the transaction in ctx; outside of one it just reads.
func (s store) locking(ctx context.Context) *gorm.DB {
	if !db.InTx(ctx) {
		return s.db.Read(ctx)
	}
	return s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"})
}

// rules reads all that is in force.
func (s store) rules(ctx context.Context) (rules, error) {
	r := rules{flash: map[flashKey]Flash{}}
	var gifts []giftRow
	if err := s.db.Read(ctx).Where("NOT stopped").Order("id").Find(&gifts).Error; err != nil {
		return r, err
	}
	for _, g := range gifts {
		r.gifts = append(r.gifts, g.gift())
	}
	templates, err := s.templates(ctx)
	if err != nil {
		return r, err
	}
	for _, t := range templates {
		r.templates = append(r.templates, t.Template)
	}
	if r.weights, err = s.weights(ctx); err != nil {
		return r, err
	}
	var flash []flashRow
	if err := s.db.Read(ctx).Where("stopped_ms = 0").Find(&flash).Error; err != nil {
		return r, err
	}
	for _, f := range flash {
		r.flash[flashKey{f.SessionID, f.SKUID}] = f.flash()
	}
	return r, nil
}

func (s store) addGift(ctx context.Context, g *Gift, by string, now time.Time) error {
	row := giftRow{
		Title: g.Title, SKUID: g.SKUID, Quantity: g.Quantity, ThresholdFen: g.ThresholdFen, Products: list(g.Products), Sessions: list(g.Sessions),
		FromMs: db.Millis(g.From), UntilMs: db.Millis(g.Until), Quota: g.Quota, By: by, CreatedMs: db.Millis(now),
	}
	err := s.db.Write(ctx).Create(&row).Error
	g.ID = row.ID
	return err
}

func (s store) stopGift(ctx context.Context, id int64) error {
	return found(s.db.Write(ctx).Exec("UPDATE promotion_gifts SET stopped = ? WHERE id = ?", true, id), "gift")
}

// found says what was missing when a statement touched no row.
func found(res *gorm.DB, what string) error {
	if res.Error == nil && res.RowsAffected == 0 {
		return fault.Missing(what)
	}
	return res.Error
}

func (s store) gift(ctx context.Context, id int64) (Gift, error) {
	var row giftRow
	err := s.db.Read(ctx).Where("id = ?", id).Take(&row).Error
	return row.gift(), orMissing(err, "gift")
}

func orMissing(err error, what string) error {
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return fault.Missing(what)
	}
	return err
}

// below asks for rows with an id below one (0: from the newest), newest first.
func below(q *gorm.DB, column string, before int64, limit int) *gorm.DB {
	q = q.Order(column + " DESC").Limit(limit)
	if before != 0 {
		q = q.Where(column+" < ?", before)
	}
	return q
}

func (s store) gifts(ctx context.Context, before int64, limit int) ([]Gift, error) {
	var rows []giftRow
	err := below(s.db.Read(ctx), "id", before, limit).Find(&rows).Error
	out := make([]Gift, len(rows))
	for i, r := range rows {
		out[i] = r.gift()
	}
	return out, err
}

// giftsFor reads and locks gifts.
func (s store) giftsFor(ctx context.Context, ids []int64) (map[int64]Gift, error) {
	out := map[int64]Gift{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []giftRow
	err := s.locking(ctx).Where("id IN ?", ids).Order("id").Find(&rows).Error
	for _, r := range rows {
		out[r.ID] = r.gift()
	}
	return out, err
}

func (s store) templateCount(ctx context.Context) (n int64, err error) {
	err = s.db.Read(ctx).Model(&templateRow{}).Count(&n).Error
	return n, err
}

func (s store) saveTemplate(ctx context.Context, t *Template) error {
	zones, err := json.Marshal(t.Zones)
	if err != nil {
		return err
	}
	row := templateRow{ID: t.ID, Name: t.Name, Products: list(t.Products), Zones: string(zones)}
	if t.ID == 0 {
		err = s.db.Write(ctx).Create(&row).Error
		t.ID = row.ID
		return err
	}
	return found(s.db.Write(ctx).Model(&templateRow{}).Where("id = ?", t.ID).Updates(map[string]any{"name": row.Name, "products": row.Products, "zones": row.Zones}), "template")
}

func (s store) dropTemplate(ctx context.Context, id int64) error {
	return found(s.db.Write(ctx).Where("id = ?", id).Delete(&templateRow{}), "template")
}

func (s store) templates(ctx context.Context) ([]Template, error) {
	var rows []templateRow
	if err := s.db.Read(ctx).Order("id").Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]Template, len(rows))
	for i, r := range rows {
		out[i] = Template{Name: r.Name, Template: pricing.Template{ID: r.ID, Products: ids(r.Products)}}
		if err := json.Unmarshal([]byte(r.Zones), &out[i].Zones); err != nil {
			return nil, fmt.Errorf("promotions: zones of template %d: %w", r.ID, err)
		}
	}
	return out, nil
}

func (s store) setWeights(ctx context.Context, grams map[int64]int64) error {
	rows := make([]weightRow, 0, len(grams))
	for id, g := range grams {
		rows = append(rows, weightRow{id, g})
	}
	return s.db.Write(ctx).Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "sku_id"}}, DoUpdates: clause.AssignmentColumns([]string{"grams"})}).Create(&rows).Error
}

func (s store) weights(ctx context.Context) (map[int64]int64, error) {
	var rows []weightRow
	err := s.db.Read(ctx).Find(&rows).Error
	out := make(map[int64]int64, len(rows))
	for _, r := range rows {
		out[r.SKUID] = r.Grams
	}
	return out, err
}
