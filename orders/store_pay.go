package orders

import (
	"context"
	"encoding/json"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
)

type attemptRow struct {
	PaymentID string `gorm:"primaryKey"`
	OrderID   string
	Provider  string
	Kind      string
	ClientIP  string `gorm:"column:client_ip"`
	OpenID    string
	Result    string
	ResultMs  int64
	QueryMs   int64
	Over      bool
	Tries     int64
	LeaseBy   string
	LeaseMs   int64
	ClosedMs  int64
	Problem   string
	CreatedMs int64
}

func (attemptRow) TableName() string { return "payment_attempts" }

// start gives what the page was given to start with, if that is not older than max.
func (r attemptRow) start(now time.Time, max time.Duration) (pay.Start, bool) {
	var st pay.Start
	if r.Result == "" || now.Sub(db.Time(r.ResultMs)) > max || json.Unmarshal([]byte(r.Result), &st) != nil {
		return pay.Start{}, false
	}
	return st, true
}

type refundCallRow struct {
	RefundID   string `gorm:"primaryKey"`
	Provider   string
	State      string
	DueMs      int64
	Round      int64
	Tries      int64
	LeaseBy    string
	LeaseMs    int64
	AcceptedMs int64
	Code       string
	Problem    string
	CreatedMs  int64
}

func (refundCallRow) TableName() string { return "refund_calls" }

type quarantineRow struct {
	ID         int64
	Provider   string
	ProviderID string
	PaymentID  string
	OrderID    string
	AmountFen  int64
	Currency   string
	Why        string
	PaidMs     int64
	AtMs       int64
	State      string
	ResolvedBy string
	ResolvedMs int64
	Note       string
}

func (quarantineRow) TableName() string { return "payment_quarantine" }

func (r quarantineRow) suspect() Suspect {
	return Suspect{
		ID: r.ID, Provider: r.Provider, ProviderID: r.ProviderID, PaymentID: r.PaymentID, OrderID: r.OrderID, AmountFen: r.AmountFen, Currency: r.Currency,
		Why: r.Why, PaidAt: db.Time(r.PaidMs), At: db.Time(r.AtMs), State: r.State, ResolvedBy: r.ResolvedBy, ResolvedAt: db.Time(r.ResolvedMs), Note: r.Note,
	}
}

type tradeRow struct {
	ID        string `gorm:"primaryKey"`
	PaymentID string
	OrderID   string
	AmountFen int64
	PaidMs    int64
	DueMs     int64
	Times     int64
}

func (tradeRow) TableName() string { return "sandbox_trades" }

// byProviderID finds the payment that settled under a provider's number.
func (s store) byProviderID(ctx context.Context, provider, id string) (Payment, bool, error) {
	var rows []paymentRow
	err := s.db.Read(ctx).Where("provider = ? AND provider_id = ?", provider, id).Limit(1).Find(&rows).Error
	if err != nil || len(rows) == 0 {
		return Payment{}, false, err
	}
	return rows[0].payment(), true, nil
}

// attempts gives the attempts to pay an order, by payment.
func (s store) attempts(ctx context.Context, orderID string) (map[string]attemptRow, error) {
	var rows []attemptRow
	err := s.db.Read(ctx).Where("order_id = ?", orderID).Find(&rows).Error
	out := make(map[string]attemptRow, len(rows))
	for _, r := range rows {
		out[r.PaymentID] = r
	}
	return out, err
}

func (s store) addAttempt(ctx context.Context, r attemptRow) error {
	return s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&r).Error
}

func (s store) keepStart(ctx context.Context, paymentID string, st pay.Start, at time.Time) error {
	raw, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return s.db.Write(ctx).Model(&attemptRow{}).Where("payment_id = ?", paymentID).Updates(map[string]any{"result": string(raw), "result_ms": db.Millis(at)}).Error
}

// hurry makes that the provider is asked about a payment at once, if it is still open.
func (s store) hurry(ctx context.Context, provider, paymentID string, now time.Time) error {
	return s.db.Write(ctx).Model(&attemptRow{}).Where("payment_id = ? AND provider = ? AND query_ms > ?", paymentID, provider, db.Millis(now)).
		Update("query_ms", db.Millis(now)).Error
}

// claimAttempts leases attempts that are due, and those of orders that can no longer be paid.
func (s store) claimAttempts(ctx context.Context, now time.Time, worker string, lease time.Duration, n int) ([]attemptRow, error) {
	var ids []string
	err := s.db.Read(ctx).Raw(`SELECT a.payment_id FROM payment_attempts a JOIN orders o ON o.id = a.order_id
		WHERE a.query_ms > 0 AND a.lease_ms <= ? AND (a.query_ms <= ? OR NOT a.over AND o.state <> 'pending') ORDER BY a.query_ms LIMIT ?`,
		db.Millis(now), db.Millis(now), n).Scan(&ids).Error
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	var rows []attemptRow
	err = s.db.Write(ctx).Model(&rows).Clauses(clause.Returning{}).Where("payment_id IN ? AND query_ms > 0 AND lease_ms <= ?", ids, db.Millis(now)).
		Updates(map[string]any{"lease_by": worker, "lease_ms": db.Millis(now.Add(lease))}).Error
	return rows, err
}

// letGo ends a lease and says when the provider is asked next; the zero time: never again.
func (s store) letGo(ctx context.Context, r attemptRow, next time.Time, worker string, set map[string]any) error {
	all := map[string]any{"lease_ms": 0, "lease_by": "", "query_ms": db.Millis(next), "tries": r.Tries + 1}
	for k, v := range set {
		all[k] = v
	}
	return s.db.Write(ctx).Model(&attemptRow{}).Where("payment_id = ? AND lease_by = ?", r.PaymentID, worker).Updates(all).Error
}

// claimRefundCall leases the provider call of a refund, making its row if need be. ok is false when it is not due, failed,
// or another has it.
func (s store) claimRefundCall(ctx context.Context, refundID, provider string, now time.Time, worker string, lease time.Duration) (row refundCallRow, ok bool, err error) {
	row = refundCallRow{RefundID: refundID, Provider: provider, State: callPending, CreatedMs: db.Millis(now)}
	if err := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&row).Error; err != nil {
		return row, false, err
	}
	var rows []refundCallRow
	err = s.db.Write(ctx).Model(&rows).Clauses(clause.Returning{}).
		Where("refund_id = ? AND state <> 'failed' AND due_ms <= ? AND lease_ms <= ?", refundID, db.Millis(now), db.Millis(now)).
		Updates(map[string]any{"lease_by": worker, "lease_ms": db.Millis(now.Add(lease))}).Error
	if err != nil || len(rows) == 0 {
		return row, false, err
	}
	return rows[0], true, nil
}

func (s store) keepRefundCall(ctx context.Context, r refundCallRow, worker string) error {
	return s.db.Write(ctx).Model(&refundCallRow{}).Where("refund_id = ? AND lease_by = ?", r.RefundID, worker).Updates(map[string]any{
		"state": r.State, "due_ms": r.DueMs, "tries": r.Tries, "accepted_ms": r.AcceptedMs, "code": r.Code, "problem": r.Problem, "lease_by": "", "lease_ms": 0,
	}).Error
}

// wakeRefundCall makes a refund's call due at once.
func (s store) wakeRefundCall(ctx context.Context, refundID string, now time.Time) error {
	return s.db.Write(ctx).Model(&refundCallRow{}).Where("refund_id = ? AND state = 'pending'", refundID).Update("due_ms", db.Millis(now)).Error
}

// retryRefundCall takes a failed call up again, under a new number if the provider has closed the old one. False: none failed.
func (s store) retryRefundCall(ctx context.Context, refundID string, now time.Time) (bool, error) {
	res := s.db.Write(ctx).Model(&refundCallRow{}).Where("refund_id = ? AND state = 'failed'", refundID).Updates(map[string]any{
		"state": callPending, "due_ms": db.Millis(now), "tries": 0, "problem": "", "lease_ms": 0,
		"round": gorm.Expr("CASE WHEN code = 'CLOSED' THEN round + 1 ELSE round END"), "accepted_ms": gorm.Expr("CASE WHEN code = 'CLOSED' THEN 0 ELSE accepted_ms END"),
	})
	return res.RowsAffected == 1, res.Error
}

// dueRefunds gives refunds whose provider has to be asked, or whose end has to be booked.
func (s store) dueRefunds(ctx context.Context, now, before time.Time, n int) ([]string, error) {
	var ids []string
	err := s.db.Read(ctx).Raw(`SELECT r.id FROM order_refunds r LEFT JOIN refund_calls c ON c.refund_id = r.id
		WHERE r.state = 'requested' AND (c.refund_id IS NULL AND r.requested_ms <= ? OR c.state <> 'failed' AND c.due_ms <= ? AND c.lease_ms <= ?)
		ORDER BY r.id LIMIT ?`, db.Millis(before), db.Millis(now), db.Millis(now), n).Scan(&ids).Error
	return ids, err
}

// markFailed says of requested refunds that the provider will not.
func (s store) markFailed(ctx context.Context, all []Refund) error {
	var open []string
	for _, r := range all {
		if r.State == RefundRequested {
			open = append(open, r.ID)
		}
	}
	if len(open) == 0 {
		return nil
	}
	var failed []string
	if err := s.db.Read(ctx).Model(&refundCallRow{}).Where("refund_id IN ? AND state = 'failed'", open).Pluck("refund_id", &failed).Error; err != nil {
		return err
	}
	for _, id := range failed {
		for i := range all {
			if all[i].ID == id {
				all[i].State = RefundFailed
			}
		}
	}
	return nil
}

// failedRefunds gives refunds that a person has to see to, newest first.
func (s store) failedRefunds(ctx context.Context, n int) ([]FailedRefund, error) {
	var rows []struct {
		Row      refundRow `gorm:"embedded"`
		Provider string
		Code     string
		Problem  string
	}
	err := s.db.Read(ctx).Raw(`SELECT r.*, c.provider, c.code, c.problem FROM refund_calls c JOIN order_refunds r ON r.id = c.refund_id
		WHERE c.state = 'failed' ORDER BY r.id DESC LIMIT ?`, n).Scan(&rows).Error
	out := make([]FailedRefund, len(rows))
	for i, r := range rows {
		out[i] = FailedRefund{Refund: r.Row.refund(), Provider: r.Provider, Code: r.Code, Problem: r.Problem}
		out[i].State = RefundFailed
	}
	return out, err
}

// addSuspect keeps what does not fit, once however often it comes.
func (s store) addSuspect(ctx context.Context, r quarantineRow) (first bool, err error) {
	res := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&r)
	return res.RowsAffected == 1, res.Error
}

func (s store) suspects(ctx context.Context, state string, before int64, n int) ([]Suspect, error) {
	q := s.db.Read(ctx).Order("id DESC").Limit(n)
	if state != "" {
		q = q.Where("state = ?", state)
	}
	if before > 0 {
		q = q.Where("id < ?", before)
	}
	var rows []quarantineRow
	err := q.Find(&rows).Error
	out := make([]Suspect, len(rows))
	for i, r := range rows {
		out[i] = r.suspect()
	}
	return out, err
}

// closeSuspect resolves one that is open; false: it is no longer.
func (s store) closeSuspect(ctx context.Context, id int64, state, by, note string, at time.Time) (Suspect, bool, error) {
	res := s.db.Write(ctx).Model(&quarantineRow{}).Where("id = ? AND state = 'open'", id).Updates(map[string]any{
		"state": state, "resolved_by": by, "resolved_ms": db.Millis(at), "note": note,
	})
	if res.Error != nil {
		return Suspect{}, false, res.Error
	}
	var rows []quarantineRow
	if err := s.db.Read(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Suspect{}, false, err
	}
	if len(rows) == 0 {
		return Suspect{}, false, fault.Missing("quarantined payment")
	}
	return rows[0].suspect(), res.RowsAffected == 1, nil
}

func (s store) addTrades(ctx context.Context, rows []tradeRow) error {
	return s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error
}

// trades gives what the sandbox has been paid under a payment's number by now.
func (s store) trades(ctx context.Context, paymentID string, now time.Time) ([]tradeRow, error) {
	var rows []tradeRow
	err := s.db.Read(ctx).Where("payment_id = ? AND paid_ms <= ?", paymentID, db.Millis(now)).Order("id").Find(&rows).Error
	return rows, err
}

// dueTrades gives the sandbox's callbacks that are to be sent.
func (s store) dueTrades(ctx context.Context, now time.Time, n int) ([]tradeRow, error) {
	var rows []tradeRow
	err := s.db.Read(ctx).Where("due_ms > 0 AND due_ms <= ?", db.Millis(now)).Order("due_ms, id").Limit(n).Find(&rows).Error
	return rows, err
}

// sentTrade notes that a callback was taken.
func (s store) sentTrade(ctx context.Context, r tradeRow) error {
	set := map[string]any{"times": r.Times - 1}
	if r.Times <= 1 {
		set["due_ms"] = 0
	}
	return s.db.Write(ctx).Model(&tradeRow{}).Where("id = ? AND times = ?", r.ID, r.Times).Updates(set).Error
}

// bookings gives payments and refunds for a bill: all that counted in [from, to), and all with the given numbers.
func (s store) bookings(ctx context.Context, where string, args ...any) ([]pay.Booking, error) {
	var rows []struct {
		PaymentID  string
		OrderID    string
		ProviderID *string
		RefundID   string
		AmountFen  int64
		State      string
		AtMs       int64
	}
	err := s.db.Read(ctx).Raw(where, args...).Scan(&rows).Error
	out := make([]pay.Booking, len(rows))
	for i, r := range rows {
		out[i] = pay.Booking{PaymentID: r.PaymentID, OrderID: r.OrderID, RefundID: r.RefundID, AmountFen: r.AmountFen, State: r.State, At: db.Time(r.AtMs)}
		if r.ProviderID != nil {
			out[i].ProviderID = *r.ProviderID
		}
	}
	return out, err
}

const (
	bookedPayments = `SELECT id AS payment_id, order_id, provider_id, '' AS refund_id, amount_fen, state, settled_ms AS at_ms FROM order_payments WHERE provider = ? AND `
	bookedRefunds  = `SELECT r.payment_id, r.order_id, p.provider_id, CASE WHEN c.round > 0 THEN r.id || '-' || c.round ELSE r.id END AS refund_id, r.amount_fen,
		CASE WHEN c.state = 'failed' THEN 'failed' ELSE r.state END AS state, c.accepted_ms AS at_ms
		FROM refund_calls c JOIN order_refunds r ON r.id = c.refund_id JOIN order_payments p ON p.id = r.payment_id WHERE c.provider = ? AND `
)
