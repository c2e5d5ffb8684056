package fulfilment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/sheet"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Bounds of a list of parcels.
const (
	MaxImport     = 2 << 20 // bytes
	maxImportRows = 5000
)

// RowState is where one row of a list stands.
type RowState string

// The states of rows.
const (
	Ready     RowState = "ready"     // will be booked when the list is confirmed
	Unchanged RowState = "unchanged" // is booked already: the list was sent before
	Wrong     RowState = "error"
	Done      RowState = "done"
)

// ImportRow is one row of a list of parcels.
type ImportRow struct {
	Line       int // in the file
	OrderID    string
	Carrier    string // code; as it came where that is unknown
	TrackingNo string
	Piece      int   // line of the order; -1: everything that has still to be sent
	Quantity   int64 // 0: all of the piece
	State      RowState
	Field      string // what is wrong, in which column
	Detail     string
}

// Import is a list of parcels on its way in: first a preview, then, when the operator has confirmed, booked.
type Import struct {
	ID        int64
	State     string // "preview", "confirmed"
	By        string
	CreatedAt time.Time
	Rows      []ImportRow
}

// Count gives how many rows are in a state.
func (x Import) Count(state RowState) int {
	n := 0
	for _, r := range x.Rows {
		if r.State == state {
			n++
		}
	}
	return n
}

// columns are where a list has what; names as our own export has them, and the API's.
type columns struct{ order, carrier, number, sku, quantity int }

func columnsOf(t sheet.Table) (columns, error) {
	c := columns{
		order: t.Column("订单号", "order_id"), carrier: t.Column("快递公司", "carrier"), number: t.Column("快递单号", "tracking_no"),
		sku: t.Column("SKU编号", "sku_id"), quantity: t.Column("待发数量", "数量", "quantity"),
	}
	for name, at := range map[string]int{"订单号 (order_id)": c.order, "快递公司 (carrier)": c.carrier, "快递单号 (tracking_no)": c.number} {
		if at < 0 {
			return c, fault.Bad("file", "the first row must name the columns; "+name+" is missing")
		}
	}
	return c, nil
}

// Preview reads a list of parcels and says of each row what it would do. Nothing is booked. Rows whose carrier and number
// are both empty are left out: the list is our export, half filled in.
func (s *Service) Preview(ctx context.Context, raw []byte) (Import, error) {
	t, err := sheet.Read(raw, maxImportRows)
	if err != nil {
		return Import{}, err
	}
	cols, err := columnsOf(t)
	if err != nil {
		return Import{}, err
	}
	x := Import{State: "preview", By: web.ActorFrom(ctx).Name, CreatedAt: s.clock.Now().Truncate(time.Millisecond)}
	var want []wanted
	for _, r := range t.Rows {
		if r.Cell(cols.carrier) == "" && r.Cell(cols.number) == "" {
			continue
		}
		row, w := cols.read(r)
		x.Rows, want = append(x.Rows, row), append(want, w)
	}
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		if err := s.judge(ctx, x.Rows, want); err != nil {
			return err
		}
		return s.store.addImport(ctx, &x)
	})
	return x, err
}

// wanted is what a row says of SKU and quantity.
type wanted struct{ sku, quantity int64 }

// read reads a row as far as it can be judged alone.
func (c columns) read(r sheet.Row) (ImportRow, wanted) {
	row := ImportRow{Line: r.Line, OrderID: strings.ToLower(clip(r.Cell(c.order), 40)), Carrier: clip(r.Cell(c.carrier), 60), TrackingNo: clip(r.Cell(c.number), 60), Piece: -1, State: Ready}
	var w wanted
	x := Sending{Carrier: row.Carrier, TrackingNo: row.TrackingNo}
	if err := x.normalise(); err != nil {
		row.fail(err)
		return row, w
	}
	row.Carrier, row.TrackingNo = x.Carrier, x.TrackingNo
	var err error
	if v := r.Cell(c.sku); v != "" {
		if w.sku, err = strconv.ParseInt(v, 10, 64); err != nil || w.sku < 1 {
			row.fail(fault.Bad("sku_id", fmt.Sprintf("%q is not a SKU's number", clip(v, 20))))
		}
		if v := r.Cell(c.quantity); v != "" {
			if w.quantity, err = strconv.ParseInt(v, 10, 64); err != nil || w.quantity < 1 {
				row.fail(fault.Bad("quantity", fmt.Sprintf("%q is not a number of units", clip(v, 20))))
			}
		}
	}
	return row, w
}

func (r *ImportRow) fail(err error) {
	var f *fault.Error
	if errors.As(err, &f) {
		r.State, r.Field, r.Detail = Wrong, f.Field, f.Text
	}
}

// judge holds rows against the orders as they stand and against each other.
func (s *Service) judge(ctx context.Context, rows []ImportRow, want []wanted) error {
	var ids []string
	for _, r := range rows {
		ids = append(ids, r.OrderID)
	}
	slices.Sort(ids)
	desk := map[string]*DeskOrder{}
	for part := range slices.Chunk(slices.Compact(ids), 200) {
		found, err := s.Desk(ctx, Filter{IDs: part, Limit: len(part)})
		if err != nil {
			return err
		}
		for _, o := range found {
			desk[o.ID] = &o
		}
	}
	seen := map[string]int{}
	for i := range rows {
		r := &rows[i]
		if r.State != Ready {
			continue
		}
		key := fmt.Sprint(r.key(), want[i].sku)
		if first, ok := seen[key]; ok {
			r.fail(fault.Bad("tracking_no", fmt.Sprintf("is the same as line %d", first)))
			continue
		}
		seen[key] = r.Line
		r.judge(desk[r.OrderID], want[i])
	}
	return nil
}

func (r *ImportRow) key() string {
	return r.OrderID + "\x00" + r.Carrier + "\x00" + r.TrackingNo + "\x00"
}

// judge holds one row against its order, and counts what it would send.
func (r *ImportRow) judge(o *DeskOrder, w wanted) {
	if o == nil {
		r.fail(fault.Bad("order_id", "there is no such order"))
		return
	}
	known := slices.IndexFunc(o.Parcels, func(p Parcel) bool { return p.Carrier == r.Carrier && p.TrackingNo == r.TrackingNo })
	if w.sku != 0 {
		r.Piece = slices.IndexFunc(o.Lines, func(l Line) bool { return l.SKUID == w.sku })
		if r.Piece < 0 {
			r.fail(fault.Bad("sku_id", "the order has no such SKU"))
			return
		}
	}
	if known >= 0 {
		r.already(o.Parcels[known], w)
		return
	}
	if o.State != "paid" {
		r.fail(fault.Bad("order_id", "the order is "+o.State+" and can't be sent"))
		return
	}
	r.count(o, w)
}

// already compares a row with the parcel that is booked under its number.
func (r *ImportRow) already(p Parcel, w wanted) {
	r.State = Unchanged
	if r.Piece < 0 {
		return
	}
	i := slices.IndexFunc(p.Pieces, func(x Piece) bool { return x.Line == r.Piece })
	if i < 0 || w.quantity != 0 && p.Pieces[i].Quantity != w.quantity {
		r.fail(ErrOtherGoods.At("tracking_no"))
	}
}

// count takes what the row sends from what the order has still to send, so that the next row sees the rest.
func (r *ImportRow) count(o *DeskOrder, w wanted) {
	n := int64(0)
	for i := range o.Lines {
		if l := &o.Lines[i]; r.Piece < 0 || r.Piece == i {
			q := l.ToSend()
			if w.quantity > 0 {
				if w.quantity > q {
					r.fail(fault.Bad("quantity", fmt.Sprintf("only %d of these have still to be sent", q)))
					return
				}
				q = w.quantity
			}
			r.Quantity = q
			l.Sent += q
			n += q
		}
	}
	if n == 0 {
		r.fail(fault.Bad("order_id", "nothing of this has to be sent any more"))
	}
	if r.Piece < 0 {
		r.Quantity = 0
	}
}

// Import gives a list with its rows, as they stand.
func (s *Service) Import(ctx context.Context, id int64) (Import, error) {
	return s.store.getImport(ctx, id)
}

// Confirm books the rows that are ready. With wrong rows it refuses, unless they are to be skipped. Each parcel is a
// transaction of its own, so that a long list does not hold up the sale; a list that was cut off is confirmed again and
// goes on. Confirming twice changes nothing.
func (s *Service) Confirm(ctx context.Context, id int64, skipErrors bool) (Import, error) {
	x, err := s.store.getImport(ctx, id)
	if err != nil {
		return Import{}, err
	}
	if x.State == "preview" {
		if n := x.Count(Wrong); n > 0 && !skipErrors {
			return Import{}, ErrRowErrors.Saying(fmt.Sprintf("%d rows are wrong; mend the file and send it again, or confirm with skip_errors to take the others", n))
		}
		err := s.db.Tx(ctx, func(ctx context.Context) error {
			if err := s.store.confirmImport(ctx, id); err != nil {
				return err
			}
			return s.audit.Record(ctx, "shipments.import", fmt.Sprintf("import/%d", id), map[string]any{"ready": x.Count(Ready), "errors": x.Count(Wrong)})
		})
		if err != nil {
			return Import{}, err
		}
	}
	groups, order := x.parcels()
	for _, key := range order {
		if err := s.book(ctx, id, groups[key]); err != nil {
			return Import{}, err
		}
	}
	return s.store.getImport(ctx, id)
}

// parcels gathers the rows that are ready by parcel: each SKU may have a row of its own.
func (x Import) parcels() (groups map[string][]ImportRow, order []string) {
	groups = map[string][]ImportRow{}
	for _, r := range x.Rows {
		if r.State != Ready {
			continue
		}
		if groups[r.key()] == nil {
			order = append(order, r.key())
		}
		groups[r.key()] = append(groups[r.key()], r)
	}
	return groups, order
}

// book sends one parcel of a list and notes on its rows what became of it.
func (s *Service) book(ctx context.Context, importID int64, rows []ImportRow) error {
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		x := Sending{OrderID: rows[0].OrderID, Carrier: rows[0].Carrier, TrackingNo: rows[0].TrackingNo}
		for _, r := range rows {
			if r.Piece >= 0 {
				x.Pieces = append(x.Pieces, Piece{r.Piece, r.Quantity})
			}
		}
		if _, err := s.send(ctx, x, "import"); err != nil {
			return err
		}
		for _, r := range rows {
			r.State = Done
			if err := s.store.saveRow(ctx, importID, r); err != nil {
				return err
			}
		}
		return nil
	})
	if k := fault.KindOf(err); err == nil || k == fault.Internal || k == fault.Unavailable {
		return err
	}
	for _, r := range rows { // the order has changed since the preview
		r.fail(err)
		if err := s.store.saveRow(ctx, importID, r); err != nil {
			return err
		}
	}
	return nil
}
