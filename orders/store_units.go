package orders

import (
	"context"
	"slices"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
)

type unitRow struct {
	OrderID       string `gorm:"primaryKey"`
	Line          int    `gorm:"primaryKey;autoIncrement:false"`
	SKUID         int64  `gorm:"column:sku_id"`
	Quantity      int64
	PaidFen       int64
	CalledOff     int64
	Sent          int64
	Returned      int64
	Freed         int64
	RefundedUnits int64
	RefundedFen   int64
}

func (unitRow) TableName() string { return "order_units" }

type refundLineRow struct {
	RefundID  string `gorm:"primaryKey"`
	OrderID   string
	Line      int `gorm:"primaryKey;autoIncrement:false"`
	Quantity  int64
	CalledOff int64
	AmountFen int64
}

func (refundLineRow) TableName() string { return "order_refund_lines" }

type replacementRow struct {
	ID       int64
	Ref      string
	OrderID  string
	Line     int
	SKUID    int64 `gorm:"column:sku_id"`
	Quantity int64
	AtMs     int64
}

func (replacementRow) TableName() string { return "order_replacements" }

// noteRow is eventRow with all that a note has.
type noteRow struct {
	ID      int64
	OrderID string
	AtMs    int64
	What    string
	By      string `gorm:"column:by_name"`
	Who     string
	Why     string
	Ref     string
}

func (noteRow) TableName() string { return "order_events" }

// aftersaleStep is the schema of units, refunds by line, replacements, the longer timeline, and the desk's indexes.
func aftersaleStep() db.Migration {
	return db.Migration{ID: "20261125-orders-aftersale", Up: func(g *gorm.DB) error {
		type orderUnit struct {
			OrderID       string `gorm:"primaryKey;size:32"`
			Line          int    `gorm:"primaryKey;autoIncrement:false"`
			SKUID         int64  `gorm:"column:sku_id;not null"`
			Quantity      int64  `gorm:"not null"`
			PaidFen       int64  `gorm:"not null"`
			CalledOff     int64  `gorm:"not null;check:order_units_called_off,called_off >= 0"`
			Sent          int64  `gorm:"not null;check:order_units_sent,sent >= 0 and called_off + sent <= quantity"`
			Returned      int64  `gorm:"not null;check:order_units_returned,returned >= 0 and returned <= sent"`
			Freed         int64  `gorm:"not null;check:order_units_freed,freed >= 0 and freed <= called_off + returned"`
			RefundedUnits int64  `gorm:"not null;check:order_units_refunded_units,refunded_units >= 0 and refunded_units <= quantity"`
			RefundedFen   int64  `gorm:"not null;check:order_units_refunded,refunded_fen >= 0 and refunded_fen <= paid_fen"`
		}
		type orderRefundLine struct {
			RefundID  string `gorm:"primaryKey;size:32"`
			OrderID   string `gorm:"not null;index;size:32"`
			Line      int    `gorm:"primaryKey;autoIncrement:false"`
			Quantity  int64  `gorm:"not null;check:order_refund_lines_quantity,quantity >= 0"`
			CalledOff int64  `gorm:"not null;check:order_refund_lines_called_off,called_off >= 0 and called_off <= quantity"`
			AmountFen int64  `gorm:"not null;check:order_refund_lines_amount,amount_fen >= 0"`
		}
		type orderReplacement struct {
			ID       int64  `gorm:"primaryKey;autoIncrement"`
			Ref      string `gorm:"not null;index;size:40"`
			OrderID  string `gorm:"not null;index;size:32"`
			Line     int    `gorm:"not null"`
			SKUID    int64  `gorm:"column:sku_id;not null"`
			Quantity int64  `gorm:"not null;check:order_replacements_quantity,quantity > 0"`
			AtMs     int64  `gorm:"not null"`
		}
		if err := g.Migrator().CreateTable(&orderUnit{}, &orderRefundLine{}, &orderReplacement{}); err != nil {
			return err
		}
		for _, sql := range []string{
			"ALTER TABLE order_events ADD COLUMN who text NOT NULL DEFAULT ''",
			"ALTER TABLE order_events ADD COLUMN why text NOT NULL DEFAULT ''",
			"ALTER TABLE order_events ADD COLUMN ref text NOT NULL DEFAULT ''",
			// Of the desk. New orders are in none but the second, which takes the place of one on the session alone, so that
			// placing costs what it did.
			"CREATE INDEX orders_desk_state ON orders (state, seq) WHERE state = 'paid' OR state = 'shipped' OR state = 'cancelled' OR state = 'refunded'",
			"CREATE INDEX orders_desk_session ON orders (session_id, seq)",
			"DROP INDEX idx_orders_session_id",
		} {
			if err := g.Exec(sql).Error; err != nil {
				return err
			}
		}
		return nil
	}}
}

// unitsOf gives the rows of orders whose units have begun to move, each order's by line.
func (s store) unitsOf(ctx context.Context, ids []string) (map[string][]Units, error) {
	out := map[string][]Units{}
	for part := range slices.Chunk(ids, 500) {
		var rows []unitRow
		if err := s.db.Read(ctx).Where("order_id IN ?", part).Order("order_id, line").Find(&rows).Error; err != nil {
			return nil, err
		}
		for _, r := range rows {
			out[r.OrderID] = append(out[r.OrderID], Units(r))
		}
	}
	return out, nil
}

func (s store) addUnits(ctx context.Context, units []Units) error {
	rows := make([]unitRow, len(units))
	for i, u := range units {
		rows[i] = unitRow(u)
	}
	return s.db.Write(ctx).CreateInBatches(rows, 100).Error
}

// saveUnits writes one line's row, which the transaction holds by its order; CHECKs refuse what can't be.
func (s store) saveUnits(ctx context.Context, u Units) error {
	return s.db.Write(ctx).Model(&unitRow{}).Where("order_id = ? AND line = ?", u.OrderID, u.Line).Updates(map[string]any{
		"called_off": u.CalledOff, "sent": u.Sent, "returned": u.Returned, "freed": u.Freed,
		"refunded_units": u.RefundedUnits, "refunded_fen": u.RefundedFen,
	}).Error
}

func (s store) addRefundLines(ctx context.Context, r Refund) error {
	rows := make([]refundLineRow, len(r.Lines))
	for i, l := range r.Lines {
		rows[i] = refundLineRow{RefundID: r.ID, OrderID: r.OrderID, Line: l.Line, Quantity: l.Quantity, CalledOff: l.CalledOff, AmountFen: l.AmountFen}
	}
	if len(rows) == 0 {
		return nil
	}
	return s.db.Write(ctx).CreateInBatches(rows, 100).Error
}

// refundLines gives what refunds are made of, by refund.
func (s store) refundLines(ctx context.Context, orderID string) (map[string][]RefundedLine, error) {
	var rows []refundLineRow
	err := s.db.Read(ctx).Where("order_id = ?", orderID).Order("refund_id, line").Find(&rows).Error
	out := map[string][]RefundedLine{}
	for _, r := range rows {
		out[r.RefundID] = append(out[r.RefundID], RefundedLine{Line: r.Line, Quantity: r.Quantity, CalledOff: r.CalledOff, AmountFen: r.AmountFen})
	}
	return out, err
}

func (s store) replaced(ctx context.Context, ref string) (bool, error) {
	var n int64
	err := s.db.Read(ctx).Model(&replacementRow{}).Where("ref = ?", ref).Count(&n).Error
	return n > 0, err
}

func (s store) addReplacements(ctx context.Context, orderID, ref string, all []Replacement, atMs int64) error {
	rows := make([]replacementRow, len(all))
	for i, r := range all {
		rows[i] = replacementRow{Ref: ref, OrderID: orderID, Line: r.Line, SKUID: r.SKUID, Quantity: r.Quantity, AtMs: atMs}
	}
	return s.db.Write(ctx).CreateInBatches(rows, 100).Error
}

func (s store) addNote(ctx context.Context, orderID string, n Note) error {
	return s.db.Write(ctx).Create(&noteRow{OrderID: orderID, AtMs: db.Millis(n.At), What: n.What, By: n.By, Who: n.Who, Why: n.Why, Ref: n.Ref}).Error
}

func (s store) notes(ctx context.Context, orderID string) ([]Note, error) {
	var rows []noteRow
	err := s.db.Read(ctx).Where("order_id = ?", orderID).Order("id").Find(&rows).Error
	out := make([]Note, len(rows))
	for i, r := range rows {
		out[i] = Note{At: db.Time(r.AtMs), What: r.What, By: r.By, Who: r.Who, Why: r.Why, Ref: r.Ref}
	}
	return out, err
}
