package fulfilment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is the only user of gorm in this package.
type store struct{ db *db.DB }

// errTwice says that the order has a parcel of this number.
var errTwice = errors.New("fulfilment: the order has this parcel already")

type parcelRow struct {
	ID          int64
	OrderID     string
	Carrier     string
	TrackingNo  string
	Pieces      string
	State       string
	Source      string
	By          string `gorm:"column:by_name"`
	Why         string
	SentMs      int64
	DeliveredMs int64
	DueMs       int64
}

func (parcelRow) TableName() string { return "parcels" }

func rowOf(p Parcel, due time.Time) parcelRow {
	raw, _ := json.Marshal(p.Pieces) // plain values
	return parcelRow{
		ID: p.ID, OrderID: p.OrderID, Carrier: p.Carrier, TrackingNo: p.TrackingNo, Pieces: string(raw), State: string(p.State), Source: p.Source,
		By: p.By, Why: p.Why, SentMs: db.Millis(p.SentAt), DeliveredMs: db.Millis(p.DeliveredAt), DueMs: db.Millis(due),
	}
}

func (r parcelRow) parcel() (Parcel, error) {
	p := Parcel{
		ID: r.ID, OrderID: r.OrderID, Carrier: r.Carrier, TrackingNo: r.TrackingNo, State: State(r.State), Source: r.Source, By: r.By, Why: r.Why,
		SentAt: db.Time(r.SentMs), DeliveredAt: db.Time(r.DeliveredMs),
	}
	if err := json.Unmarshal([]byte(r.Pieces), &p.Pieces); err != nil {
		return Parcel{}, fmt.Errorf("fulfilment: pieces of parcel %d: %w", r.ID, err)
	}
	return p, nil
}

func (s store) add(ctx context.Context, p *Parcel, due time.Time) error {
	row := rowOf(*p, due)
	err := s.db.Write(ctx).Create(&row).Error
	p.ID = row.ID
	return twice(err)
}

func (s store) save(ctx context.Context, p Parcel, due time.Time) error {
	row := rowOf(p, due)
	return twice(s.db.Write(ctx).Model(&parcelRow{}).Where("id = ?", p.ID).Select("*").Omit("id").Updates(&row).Error)
}

func twice(err error) error {
	if errors.Is(err, gorm.ErrDuplicatedKey) {
		return errTwice
	}
	return err
}

func (s store) known(ctx context.Context, orderID, carrier, trackingNo string) (Parcel, bool, error) {
	var rows []parcelRow
	err := s.db.Read(ctx).Where("order_id = ? AND carrier = ? AND tracking_no = ?", orderID, carrier, trackingNo).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return Parcel{}, false, err
	}
	p, err := rows[0].parcel()
	return p, true, err
}

func (s store) lock(ctx context.Context, id int64) (Parcel, error) {
	var rows []parcelRow
	if err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Parcel{}, err
	}
	if len(rows) == 0 {
		return Parcel{}, fault.Missing("parcel")
	}
	return rows[0].parcel()
}

func (s store) ofOrders(ctx context.Context, ids []string) (map[string][]Parcel, error) {
	out := map[string][]Parcel{}
	for part := range slices.Chunk(ids, 500) {
		var rows []parcelRow
		if err := s.db.Read(ctx).Where("order_id IN ?", part).Order("id").Find(&rows).Error; err != nil {
			return nil, err
		}
		for _, r := range rows {
			p, err := r.parcel()
			if err != nil {
				return nil, err
			}
			out[r.OrderID] = append(out[r.OrderID], p)
		}
	}
	return out, nil
}

func (s store) ordersOf(ctx context.Context, trackingNo string, limit int) ([]string, error) {
	var ids []string
	err := s.db.Read(ctx).Model(&parcelRow{}).Where("tracking_no = ?", trackingNo).Distinct().Limit(limit).Pluck("order_id", &ids).Error
	return ids, err
}

// received marks what was on its way as delivered and lets none of the order's parcels fall due any more.
func (s store) received(ctx context.Context, orderID string, at time.Time) error {
	return s.db.Write(ctx).Exec(`UPDATE parcels SET due_ms = 0, delivered_ms = CASE WHEN state = 'sent' THEN ? ELSE delivered_ms END,
		state = CASE WHEN state = 'sent' THEN 'delivered' ELSE state END WHERE order_id = ?`, db.Millis(at), orderID).Error
}

func (s store) due(ctx context.Context, now time.Time, n int) ([]string, error) {
	var ids []string
	err := s.db.Read(ctx).Model(&parcelRow{}).Where("due_ms > 0 AND due_ms <= ?", db.Millis(now)).Distinct().Limit(n).Pluck("order_id", &ids).Error
	return ids, err
}

func (s store) postpone(ctx context.Context, orderID string, until time.Time) error {
	return s.db.Write(ctx).Model(&parcelRow{}).Where("order_id = ? AND due_ms > 0 AND due_ms < ?", orderID, db.Millis(until)).Update("due_ms", db.Millis(until)).Error
}

type importRow struct {
	ID        int64
	State     string
	By        string `gorm:"column:by_name"`
	CreatedMs int64
}

func (importRow) TableName() string { return "shipment_imports" }

type importLineRow struct {
	ImportID   int64 `gorm:"primaryKey;autoIncrement:false"`
	Line       int   `gorm:"primaryKey;autoIncrement:false"`
	OrderID    string
	Carrier    string
	TrackingNo string
	Piece      int
	Quantity   int64
	State      string
	Field      string
	Detail     string
}

func (importLineRow) TableName() string { return "shipment_import_rows" }

func (s store) addImport(ctx context.Context, x *Import) error {
	row := importRow{State: x.State, By: x.By, CreatedMs: db.Millis(x.CreatedAt)}
	if err := s.db.Write(ctx).Create(&row).Error; err != nil {
		return err
	}
	x.ID = row.ID
	rows := make([]importLineRow, len(x.Rows))
	for i, r := range x.Rows {
		rows[i] = importLineRow{x.ID, r.Line, r.OrderID, r.Carrier, r.TrackingNo, r.Piece, r.Quantity, string(r.State), r.Field, r.Detail}
	}
	if len(rows) == 0 {
		return nil
	}
	return s.db.Write(ctx).CreateInBatches(rows, 500).Error
}

func (s store) getImport(ctx context.Context, id int64) (Import, error) {
	var heads []importRow
	if err := s.db.Read(ctx).Where("id = ?", id).Find(&heads).Error; err != nil {
		return Import{}, err
	}
	if len(heads) == 0 {
		return Import{}, fault.Missing("import")
	}
	x := Import{ID: id, State: heads[0].State, By: heads[0].By, CreatedAt: db.Time(heads[0].CreatedMs)}
	var rows []importLineRow
	if err := s.db.Read(ctx).Where("import_id = ?", id).Order("line").Find(&rows).Error; err != nil {
		return Import{}, err
	}
	for _, r := range rows {
		x.Rows = append(x.Rows, ImportRow{r.Line, r.OrderID, r.Carrier, r.TrackingNo, r.Piece, r.Quantity, RowState(r.State), r.Field, r.Detail})
	}
	return x, nil
}

func (s store) confirmImport(ctx context.Context, id int64) error {
	return s.db.Write(ctx).Model(&importRow{}).Where("id = ?", id).Update("state", "confirmed").Error
}

func (s store) saveRow(ctx context.Context, importID int64, r ImportRow) error {
	return s.db.Write(ctx).Model(&importLineRow{}).Where("import_id = ? AND line = ?", importID, r.Line).
		Updates(map[string]any{"state": string(r.State), "field": r.Field, "detail": r.Detail}).Error
}

// forgetImports deletes previews and outcomes that are older; the parcels stay.
func (s store) forgetImports(ctx context.Context, before time.Time) error {
	var ids []int64
	if err := s.db.Read(ctx).Model(&importRow{}).Where("created_ms < ?", db.Millis(before)).Limit(10).Pluck("id", &ids).Error; err != nil || len(ids) == 0 {
		return err
	}
	return s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.db.Write(ctx).Where("import_id IN ?", ids).Delete(&importLineRow{}).Error; err != nil {
			return err
		}
		return s.db.Write(ctx).Where("id IN ?", ids).Delete(&importRow{}).Error
	})
}
