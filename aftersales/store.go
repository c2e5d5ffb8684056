package aftersales

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pictures"
)

// store is the only user of gorm in this package.
type store struct{ db *db.DB }

type requestRow struct {
	Seq        int64 `gorm:"primaryKey;autoIncrement"`
	ID         string
	OrderID    string
	BuyerID    int64
	Buyer      string
	Idem       string
	BodyHash   string
	Kind       string
	Reason     string
	Text       string
	Lines      string
	State      string
	AskedFen   int64
	RefundFen  int64
	RefundID   string
	ReturnTo   string
	Carrier    string
	TrackingNo string
	Appealed   bool
	CreatedMs  int64
	DueMs      int64
}

func (requestRow) TableName() string { return "aftersales" }

type pictureRow struct {
	ID        int64
	RequestID string
	Name      string
	Width     int
	Height    int
}

func (pictureRow) TableName() string { return "aftersale_pictures" }

func rowOf(r Request) requestRow {
	lines, _ := json.Marshal(r.Lines) // plain values
	return requestRow{
		Seq: r.Seq, ID: r.ID, OrderID: r.OrderID, BuyerID: r.BuyerID, Buyer: r.Buyer, Idem: r.idem, BodyHash: r.bodyHash, Kind: string(r.Kind), Reason: r.Reason,
		Text: r.Text, Lines: string(lines), State: string(r.State), AskedFen: r.AskedFen, RefundFen: r.RefundFen, RefundID: r.RefundID, ReturnTo: r.ReturnTo,
		Carrier: r.Carrier, TrackingNo: r.TrackingNo, Appealed: r.Appealed, CreatedMs: db.Millis(r.CreatedAt), DueMs: db.Millis(r.DueAt),
	}
}

func (w requestRow) request() (Request, error) {
	r := Request{
		Seq: w.Seq, ID: w.ID, OrderID: w.OrderID, BuyerID: w.BuyerID, Buyer: w.Buyer, idem: w.Idem, bodyHash: w.BodyHash, Kind: Kind(w.Kind), Reason: w.Reason,
		Text: w.Text, State: State(w.State), AskedFen: w.AskedFen, RefundFen: w.RefundFen, RefundID: w.RefundID, ReturnTo: w.ReturnTo,
		Carrier: w.Carrier, TrackingNo: w.TrackingNo, Appealed: w.Appealed, CreatedAt: db.Time(w.CreatedMs), DueAt: db.Time(w.DueMs),
	}
	if err := json.Unmarshal([]byte(w.Lines), &r.Lines); err != nil {
		return Request{}, fmt.Errorf("aftersales: lines of %s: %w", w.ID, err)
	}
	return r, nil
}

func (s store) add(ctx context.Context, r *Request) error {
	row := rowOf(*r)
	err := s.db.Write(ctx).Create(&row).Error
	r.Seq = row.Seq
	return err
}

func (s store) save(ctx context.Context, r Request) error {
	row := rowOf(r)
	return s.db.Write(ctx).Model(&requestRow{}).Where("id = ?", r.ID).
		Select("lines", "state", "refund_fen", "refund_id", "return_to", "carrier", "tracking_no", "appealed", "due_ms").Updates(&row).Error
}

func (s store) get(ctx context.Context, id string) (Request, error) {
	var rows []requestRow
	if err := s.db.Read(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Request{}, err
	}
	return s.one(ctx, rows)
}

func (s store) lock(ctx context.Context, id string) (Request, error) {
	var rows []requestRow
	if err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Request{}, err
	}
	return s.one(ctx, rows)
}

func (s store) one(ctx context.Context, rows []requestRow) (Request, error) {
	all, err := s.fill(ctx, rows)
	if err != nil {
		return Request{}, err
	}
	if len(all) == 0 {
		return Request{}, fault.Missing("request")
	}
	return all[0], nil
}

func (s store) byIdem(ctx context.Context, idem string) (Request, bool, error) {
	var rows []requestRow
	if err := s.db.Read(ctx).Where("idem = ?", idem).Find(&rows).Error; err != nil {
		return Request{}, false, err
	}
	all, err := s.fill(ctx, rows)
	if err != nil || len(all) == 0 {
		return Request{}, false, err
	}
	return all[0], true, nil
}

func (s store) ofOrder(ctx context.Context, orderID string) ([]Request, error) {
	var rows []requestRow
	if err := s.db.Read(ctx).Where("order_id = ?", orderID).Order("seq").Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.fill(ctx, rows)
}

func (s store) list(ctx context.Context, f Filter, buyer int64) ([]Request, error) {
	q := s.db.Read(ctx).Order("seq DESC").Limit(f.Limit)
	for column, v := range map[string]string{"state": string(f.State), "kind": string(f.Kind), "order_id": f.OrderID} {
		if v != "" {
			q = q.Where(clause.Eq{Column: column, Value: v})
		}
	}
	if buyer != 0 {
		q = q.Where("buyer_id = ?", buyer)
	}
	if f.Before > 0 {
		q = q.Where("seq < ?", f.Before)
	}
	var rows []requestRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.fill(ctx, rows)
}

func (s store) lapsing(ctx context.Context, now time.Time, n int) ([]string, error) {
	var ids []string
	err := s.db.Read(ctx).Model(&requestRow{}).Where("state = ? AND due_ms > 0 AND due_ms <= ?", string(Approved), db.Millis(now)).Order("seq").Limit(n).Pluck("id", &ids).Error
	return ids, err
}

// fill makes requests of rows, with their pictures, in one more query.
func (s store) fill(ctx context.Context, rows []requestRow) ([]Request, error) {
	all := make([]Request, len(rows))
	ids := make([]string, len(rows))
	at := map[string]*Request{}
	for i, w := range rows {
		r, err := w.request()
		if err != nil {
			return nil, err
		}
		all[i], ids[i] = r, r.ID
		at[r.ID] = &all[i]
	}
	if len(ids) == 0 {
		return all, nil
	}
	var pics []pictureRow
	if err := s.db.Read(ctx).Where("request_id IN ?", ids).Order("id").Find(&pics).Error; err != nil {
		return nil, err
	}
	for _, p := range pics {
		at[p.RequestID].Pictures = append(at[p.RequestID].Pictures, pictures.Picture{Name: p.Name, Width: p.Width, Height: p.Height})
	}
	return all, nil
}

func (s store) addPicture(ctx context.Context, requestID string, p pictures.Picture) error {
	return s.db.Write(ctx).Create(&pictureRow{RequestID: requestID, Name: p.Name, Width: p.Width, Height: p.Height}).Error
}

type invoiceRow struct {
	Seq         int64 `gorm:"primaryKey;autoIncrement"`
	OrderID     string
	BuyerID     int64
	Fields      string
	State       string
	Number      string
	AmountFen   int64
	Why         string
	By          string `gorm:"column:by_name"`
	RequestedMs int64
	DecidedMs   int64
}

func (invoiceRow) TableName() string { return "invoices" }

func (w invoiceRow) invoice() (Invoice, error) {
	v := Invoice{
		Seq: w.Seq, OrderID: w.OrderID, BuyerID: w.BuyerID, State: InvoiceState(w.State), Number: w.Number, AmountFen: w.AmountFen, Why: w.Why, By: w.By,
		RequestedAt: db.Time(w.RequestedMs), DecidedAt: db.Time(w.DecidedMs),
	}
	if err := json.Unmarshal([]byte(w.Fields), &v.Fields); err != nil {
		return Invoice{}, fmt.Errorf("aftersales: invoice of %s: %w", w.OrderID, err)
	}
	return v, nil
}

// invoice gives an order's invoice; without a state if none was ever asked for.
func (s store) invoice(ctx context.Context, orderID string) (Invoice, error) {
	var rows []invoiceRow
	if err := s.db.Read(ctx).Where("order_id = ?", orderID).Find(&rows).Error; err != nil || len(rows) == 0 {
		return Invoice{}, err
	}
	return rows[0].invoice()
}

// saveInvoice writes an order's invoice, which the transaction holds by its order.
func (s store) saveInvoice(ctx context.Context, v Invoice) error {
	fields, err := json.Marshal(v.Fields)
	if err != nil {
		return err
	}
	row := invoiceRow{
		OrderID: v.OrderID, BuyerID: v.BuyerID, Fields: string(fields), State: string(v.State), Number: v.Number, AmountFen: v.AmountFen, Why: v.Why, By: v.By,
		RequestedMs: db.Millis(v.RequestedAt), DecidedMs: db.Millis(v.DecidedAt),
	}
	return s.db.Write(ctx).Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "order_id"}},
		DoUpdates: clause.AssignmentColumns([]string{"fields", "state", "number", "amount_fen", "why", "by_name", "requested_ms", "decided_ms"}),
	}).Create(&row).Error
}

func (s store) invoices(ctx context.Context, state InvoiceState, after int64, limit int) ([]Invoice, error) {
	q := s.db.Read(ctx).Where("seq > ?", after).Order("seq").Limit(limit)
	if state != "" {
		q = q.Where("state = ?", string(state))
	}
	var rows []invoiceRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]Invoice, len(rows))
	for i, w := range rows {
		var err error
		if out[i], err = w.invoice(); err != nil {
			return nil, err
		}
	}
	return out, nil
}
