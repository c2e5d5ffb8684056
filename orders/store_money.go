package orders

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

type paymentRow struct {
	ID         string
	OrderID    string
	Provider   string
	ProviderID *string
	Idem       string
	State      string
	AmountFen  int64
	CreatedMs  int64
	SettledMs  int64
}

func (paymentRow) TableName() string { return "order_payments" }

func (r paymentRow) payment() Payment {
	p := Payment{
		ID: r.ID, OrderID: r.OrderID, Provider: r.Provider, State: PaymentState(r.State), AmountFen: r.AmountFen,
		CreatedAt: db.Time(r.CreatedMs), SettledAt: db.Time(r.SettledMs), idem: r.Idem,
	}
	if r.ProviderID != nil {
		p.ProviderID = *r.ProviderID
	}
	return p
}

func paymentRowOf(p Payment) paymentRow {
	r := paymentRow{
		ID: p.ID, OrderID: p.OrderID, Provider: p.Provider, Idem: p.idem, State: string(p.State), AmountFen: p.AmountFen,
		CreatedMs: db.Millis(p.CreatedAt), SettledMs: db.Millis(p.SettledAt),
	}
	if p.ProviderID != "" {
		r.ProviderID = &p.ProviderID
	}
	return r
}

type callbackRow struct {
	ID         int64
	Provider   string
	ProviderID string
	BodyHash   string
	Body       []byte
	ReceivedMs int64
	Times      int64
	Outcome    string
	Detail     string
	AppliedMs  int64
}

func (callbackRow) TableName() string { return "payment_callbacks" }

type refundRow struct {
	ID          string
	OrderID     string
	PaymentID   string
	Idem        string
	BodyHash    string
	AmountFen   int64
	Reason      string
	Automatic   bool
	State       string
	By          string `gorm:"column:by_name"`
	RequestedMs int64
	SucceededMs int64
}

func (refundRow) TableName() string { return "order_refunds" }

func (r refundRow) refund() Refund {
	return Refund{
		ID: r.ID, OrderID: r.OrderID, PaymentID: r.PaymentID, AmountFen: r.AmountFen, Reason: r.Reason, Automatic: r.Automatic,
		State: RefundState(r.State), By: r.By, RequestedAt: db.Time(r.RequestedMs), SucceededAt: db.Time(r.SucceededMs),
		idem: r.Idem, bodyHash: r.BodyHash,
	}
}

type entryRow struct {
	ID        int64
	Ref       string
	Account   string
	AmountFen int64
	OrderID   string
	AtMs      int64
}

func (entryRow) TableName() string { return "ledger_entries" }

type secretRow struct {
	Provider string `gorm:"primaryKey"`
	Secret   []byte
}

func (secretRow) TableName() string { return "payment_secrets" }

// fillMoney adds payments and refunds to orders.
func (s store) fillMoney(ctx context.Context, ids []string, index map[string]*Order) error {
	var payments []paymentRow
	if err := s.db.Read(ctx).Where(db.In(s.db, "order_id", ids)).Order("id").Find(&payments).Error; err != nil {
		return err
	}
	for _, r := range payments {
		index[r.OrderID].Payments = append(index[r.OrderID].Payments, r.payment())
	}
	var refunds []refundRow
	if err := s.db.Read(ctx).Where(db.In(s.db, "order_id", ids)).Order("id").Find(&refunds).Error; err != nil {
		return err
	}
	for _, r := range refunds {
		index[r.OrderID].Refunds = append(index[r.OrderID].Refunds, r.refund())
	}
	for _, o := range index {
		if err := s.markFailed(ctx, o.Refunds); err != nil {
			return err
		}
	}
	return nil
}

func (s store) payment(ctx context.Context, id string) (Payment, error) {
	var rows []paymentRow
	if err := s.db.Read(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Payment{}, err
	}
	if len(rows) == 0 {
		return Payment{}, fault.Missing("payment")
	}
	return rows[0].payment(), nil
}

func (s store) addPayments(ctx context.Context, all []Payment) error {
	rows := make([]paymentRow, len(all))
	for i, p := range all {
		rows[i] = paymentRowOf(p)
	}
	return db.Insert(ctx, s.db, rows, "")
}

// settlePayment gives a pending payment its final state; the provider's number is unique.
func (s store) settlePayment(ctx context.Context, p Payment) error {
	res := s.db.Write(ctx).Model(&paymentRow{}).Where("id = ? AND state = 'pending'", p.ID).Updates(map[string]any{
		"state": string(p.State), "provider_id": p.ProviderID, "settled_ms": db.Millis(p.SettledAt),
	})
	if res.Error == nil && res.RowsAffected != 1 {
		return fmt.Errorf("orders: payment %s is no longer pending", p.ID)
	}
	return res.Error
}

// saveCallback stores what a provider sent, once however often it is sent, and gives its row's id.
func (s store) saveCallback(ctx context.Context, provider string, cb Callback, raw []byte, at time.Time) (int64, error) {
	sum := sha256.Sum256(raw)
	detail, err := json.Marshal(cb)
	if err != nil {
		return 0, err
	}
	row := callbackRow{
		Detail:   string(detail),
		Provider: provider, ProviderID: cb.ProviderID, BodyHash: hex.EncodeToString(sum[:]), Body: raw,
		ReceivedMs: db.Millis(at), Times: 1, Outcome: string(Received),
	}
	err = s.db.Write(ctx).Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "provider"}, {Name: "provider_id"}, {Name: "body_hash"}},
		DoUpdates: clause.Set{{Column: clause.Column{Name: "times"}, Value: gorm.Expr("payment_callbacks.times + 1")}},
	}, clause.Returning{Columns: []clause.Column{{Name: "id"}}}).Create(&row).Error
	return row.ID, err
}

// closeCallback notes what became of a callback; a repeat does not overwrite what the first one did.
func (s store) closeCallback(ctx context.Context, id int64, outcome Outcome, at time.Time) error {
	return s.db.Write(ctx).Model(&callbackRow{}).Where("id = ? AND outcome = ?", id, string(Received)).Updates(map[string]any{
		"outcome": string(outcome), "applied_ms": db.Millis(at),
	}).Error
}

func (s store) openCallbacks(ctx context.Context, before time.Time, n int) ([]callbackRow, error) {
	var rows []callbackRow
	err := s.db.Read(ctx).Where("outcome = ? AND received_ms <= ?", string(Received), db.Millis(before)).Order("id").Limit(n).Find(&rows).Error
	return rows, err
}

func (s store) refund(ctx context.Context, id string) (Refund, error) {
	var rows []refundRow
	if err := s.db.Read(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Refund{}, err
	}
	if len(rows) == 0 {
		return Refund{}, fault.Missing("refund")
	}
	one := []Refund{rows[0].refund()}
	err := s.markFailed(ctx, one)
	return one[0], err
}

func (s store) addRefund(ctx context.Context, r Refund) error {
	return s.db.Write(ctx).Create(&refundRow{
		ID: r.ID, OrderID: r.OrderID, PaymentID: r.PaymentID, Idem: r.idem, BodyHash: r.bodyHash, AmountFen: r.AmountFen,
		Reason: r.Reason, Automatic: r.Automatic, State: string(r.State), By: r.By, RequestedMs: db.Millis(r.RequestedAt),
	}).Error
}

// countRefund adds to what an order has refunded, never beyond what was paid.
func (s store) countRefund(ctx context.Context, orderID string, fen int64) error {
	res := s.db.Write(ctx).Exec("UPDATE orders SET refunded_fen = refunded_fen + ? WHERE id = ? AND refunded_fen + ? <= paid_fen", fen, orderID, fen)
	if res.Error == nil && res.RowsAffected != 1 {
		return fault.Bad("amount_fen", "more than is left to refund")
	}
	return res.Error
}

// succeedRefund reports whether this call was the one that moved the refund on.
func (s store) succeedRefund(ctx context.Context, id string, at time.Time) (bool, error) {
	res := s.db.Write(ctx).Model(&refundRow{}).Where("id = ? AND state = ?", id, string(RefundRequested)).Updates(map[string]any{
		"state": string(RefundSucceeded), "succeeded_ms": db.Millis(at),
	})
	return res.RowsAffected == 1, res.Error
}

func (s store) addEntries(ctx context.Context, rows []entryRow) error {
	return db.Insert(ctx, s.db, rows, "")
}

// providerSecret gives the key that all processes on this database share, made by the first who asks.
func (s store) providerSecret(ctx context.Context, provider string) ([]byte, error) {
	for range 2 {
		var rows []secretRow
		if err := s.db.Read(ctx).Where("provider = ?", provider).Find(&rows).Error; err != nil {
			return nil, err
		}
		if len(rows) == 1 {
			return rows[0].Secret, nil
		}
		row := secretRow{Provider: provider, Secret: []byte(rand.Text() + rand.Text())}
		if err := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("orders: no key for %s", provider)
}
