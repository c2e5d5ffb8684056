package payments

import (
	"context"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/pay"
)

// store is payments' tables. It joins the transaction in the context.
type store struct{ db *db.DB }

type reportRow struct {
	ID                int64
	Provider          string
	DayMs             int64
	State             string
	DueMs             int64
	LeaseBy           string
	LeaseMs           int64
	Problem           string
	OursPayments      int64
	OursPaymentsFen   int64
	OursRefunds       int64
	OursRefundsFen    int64
	TheirsPayments    int64
	TheirsPaymentsFen int64
	TheirsRefunds     int64
	TheirsRefundsFen  int64
	DoneMs            int64
	CheckedMs         int64
}

func (reportRow) TableName() string { return "reconciliations" }

func (r reportRow) report() Report {
	return Report{
		ID: r.ID, Provider: r.Provider, Day: db.Time(r.DayMs), State: State(r.State), Problem: r.Problem, DoneAt: db.Time(r.DoneMs), CheckedAt: db.Time(r.CheckedMs),
		Ours:   Totals{Sum{r.OursPayments, r.OursPaymentsFen}, Sum{r.OursRefunds, r.OursRefundsFen}},
		Theirs: Totals{Sum{r.TheirsPayments, r.TheirsPaymentsFen}, Sum{r.TheirsRefunds, r.TheirsRefundsFen}},
	}
}

type lineRow struct {
	ReconciliationID int64 `gorm:"primaryKey;autoIncrement:false"`
	Position         int64 `gorm:"primaryKey;autoIncrement:false"`
	PaymentID        string
	ProviderNo       string
	RefundID         string
	AmountFen        int64
	Status           string
	AtMs             int64
}

func (lineRow) TableName() string { return "reconciliation_lines" }

type differenceRow struct {
	ID               int64
	ReconciliationID int64
	Kind             string
	What             string
	PaymentID        string
	ProviderNo       string
	RefundID         string
	OrderID          string
	OursFen          int64
	TheirsFen        int64
	OursState        string
	TheirsState      string
	FoundMs          int64
	ClearedMs        int64
	ResolvedBy       string
	ResolvedMs       int64
	Note             string
}

func (differenceRow) TableName() string { return "reconciliation_differences" }

func (r differenceRow) found() Found {
	return Found{
		ID: r.ID, ReportID: r.ReconciliationID, FoundAt: db.Time(r.FoundMs), ClearedAt: db.Time(r.ClearedMs), ResolvedBy: r.ResolvedBy, ResolvedAt: db.Time(r.ResolvedMs), Note: r.Note,
		Difference: Difference{
			Kind: Kind(r.Kind), What: r.What, PaymentID: r.PaymentID, ProviderNo: r.ProviderNo, RefundID: r.RefundID, OrderID: r.OrderID,
			OursFen: r.OursFen, TheirsFen: r.TheirsFen, OursState: r.OursState, TheirsState: r.TheirsState,
		},
	}
}

const inserts = 200 // rows a statement

// plan makes a day's row, once.
func (s store) plan(ctx context.Context, provider string, day, due time.Time) error {
	return s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&reportRow{Provider: provider, DayMs: millis(day), State: string(Waiting), DueMs: millis(due)}).Error
}

// claim leases the oldest day that is due; its neighbour before it then has been done, if it could.
func (s store) claim(ctx context.Context, now time.Time, worker string, lease time.Duration) (Report, bool, error) {
	var ids []int64
	err := s.db.Read(ctx).Model(&reportRow{}).Where("state <> 'done' AND due_ms <= ? AND lease_ms <= ?", millis(now), millis(now)).Order("day_ms, id").Limit(1).Pluck("id", &ids).Error
	if err != nil || len(ids) == 0 {
		return Report{}, false, err
	}
	return s.take(ctx, now, worker, lease, "id = ? AND state <> 'done'", ids[0])
}

// claimDay leases a day whatever its state.
func (s store) claimDay(ctx context.Context, provider string, day, now time.Time, worker string, lease time.Duration) (Report, error) {
	r, ok, err := s.take(ctx, now, worker, lease, "provider = ? AND day_ms = ?", provider, millis(day))
	if err == nil && !ok {
		err = errBusy
	}
	return r, err
}

func (s store) take(ctx context.Context, now time.Time, worker string, lease time.Duration, where string, args ...any) (Report, bool, error) {
	var rows []reportRow
	err := s.db.Write(ctx).Model(&rows).Clauses(clause.Returning{}).Where(where, args...).Where("lease_ms <= ?", millis(now)).
		Updates(map[string]any{"lease_by": worker, "lease_ms": millis(now.Add(lease))}).Error
	if err != nil || len(rows) == 0 {
		return Report{}, false, err
	}
	return rows[0].report(), true, nil
}

// postpone lets a day go until due. One that was done before stays done.
func (s store) postpone(ctx context.Context, id int64, state State, problem string, due time.Time) error {
	return s.db.Write(ctx).Model(&reportRow{}).Where("id = ?", id).Updates(map[string]any{
		"state": gorm.Expr("CASE WHEN state = 'done' THEN state ELSE ? END", string(state)), "problem": problem, "due_ms": millis(due), "lease_by": "", "lease_ms": 0,
	}).Error
}

func (s store) finish(ctx context.Context, id int64, ours, theirs Totals, now time.Time) error {
	return s.db.Write(ctx).Model(&reportRow{}).Where("id = ?", id).Updates(map[string]any{
		"state": string(Done), "problem": "", "lease_by": "", "lease_ms": 0, "checked_ms": millis(now), "done_ms": gorm.Expr("CASE WHEN done_ms = 0 THEN ? ELSE done_ms END", millis(now)),
		"ours_payments": ours.Payments.Count, "ours_payments_fen": ours.Payments.Fen, "ours_refunds": ours.Refunds.Count, "ours_refunds_fen": ours.Refunds.Fen,
		"theirs_payments": theirs.Payments.Count, "theirs_payments_fen": theirs.Payments.Fen, "theirs_refunds": theirs.Refunds.Count, "theirs_refunds_fen": theirs.Refunds.Fen,
	}).Error
}

func (s store) isDone(ctx context.Context, provider string, day time.Time) (bool, error) {
	var n int64
	err := s.db.Read(ctx).Model(&reportRow{}).Where("provider = ? AND day_ms = ? AND state = 'done'", provider, millis(day)).Count(&n).Error
	return n > 0, err
}

// lines gives a day's bill as it was kept.
func (s store) lines(ctx context.Context, provider string, day time.Time) ([]pay.Line, error) {
	var rows []lineRow
	err := s.db.Read(ctx).Where("reconciliation_id IN (SELECT id FROM reconciliations WHERE provider = ? AND day_ms = ?)", provider, millis(day)).Order("position").Find(&rows).Error
	out := make([]pay.Line, len(rows))
	for i, r := range rows {
		out[i] = pay.Line{PaymentID: r.PaymentID, ProviderID: r.ProviderNo, RefundID: r.RefundID, AmountFen: r.AmountFen, Status: pay.Status(r.Status), At: db.Time(r.AtMs)}
	}
	return out, err
}

func (s store) keepLines(ctx context.Context, r Report, lines []pay.Line) error {
	if err := s.db.Write(ctx).Where("reconciliation_id = ?", r.ID).Delete(&lineRow{}).Error; err != nil || len(lines) == 0 {
		return err
	}
	rows := make([]lineRow, len(lines))
	for i, l := range lines {
		rows[i] = lineRow{r.ID, int64(i), l.PaymentID, l.ProviderID, l.RefundID, l.AmountFen, string(l.Status), millis(l.At)}
	}
	return s.db.Write(ctx).CreateInBatches(rows, inserts).Error
}

// keepDifferences adds what is new, reopens what is there again and clears what is gone; it gives how many are new or
// there again.
func (s store) keepDifferences(ctx context.Context, reportID int64, found []Difference, now time.Time) (int64, error) {
	var old []differenceRow
	if err := s.db.Read(ctx).Where("reconciliation_id = ?", reportID).Find(&old).Error; err != nil {
		return 0, err
	}
	known := map[Difference]differenceRow{}
	for _, r := range old {
		known[identity(r.found().Difference)] = r
	}
	var fresh int64
	var add []differenceRow
	for _, d := range found {
		r, ok := known[identity(d)]
		delete(known, identity(d))
		if !ok {
			add = append(add, differenceRow{
				ReconciliationID: reportID, Kind: string(d.Kind), What: d.What, PaymentID: d.PaymentID, ProviderNo: d.ProviderNo, RefundID: d.RefundID, OrderID: d.OrderID,
				OursFen: d.OursFen, TheirsFen: d.TheirsFen, OursState: d.OursState, TheirsState: d.TheirsState, FoundMs: millis(now),
			})
			continue
		}
		if r.ClearedMs == 0 && r.found().Difference == d {
			continue
		}
		fresh++
		err := s.db.Write(ctx).Model(&differenceRow{}).Where("id = ?", r.ID).Updates(map[string]any{
			"cleared_ms": 0, "order_id": d.OrderID, "ours_fen": d.OursFen, "theirs_fen": d.TheirsFen, "ours_state": d.OursState, "theirs_state": d.TheirsState,
		}).Error
		if err != nil {
			return fresh, err
		}
	}
	for _, r := range known {
		if r.ClearedMs != 0 {
			continue
		}
		if err := s.db.Write(ctx).Model(&differenceRow{}).Where("id = ?", r.ID).Update("cleared_ms", millis(now)).Error; err != nil {
			return fresh, err
		}
	}
	if len(add) == 0 {
		return fresh, nil
	}
	res := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(add, inserts) // a bill may repeat a line
	return fresh + res.RowsAffected, res.Error
}

// identity is a difference without what may change about it.
func identity(d Difference) Difference {
	return Difference{Kind: d.Kind, What: d.What, PaymentID: d.PaymentID, ProviderNo: d.ProviderNo, RefundID: d.RefundID}
}

const openDifference = "cleared_ms = 0 AND resolved_ms = 0"

func (s store) reports(ctx context.Context, provider string, before int64, n int) ([]Report, error) {
	q := s.db.Read(ctx).Order("id DESC").Limit(n)
	if provider != "" {
		q = q.Where("provider = ?", provider)
	}
	if before > 0 {
		q = q.Where("id < ?", before)
	}
	var rows []reportRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.counted(ctx, rows)
}

// counted adds how many differences each report has.
func (s store) counted(ctx context.Context, rows []reportRow) ([]Report, error) {
	ids, out := make([]int64, len(rows)), make([]Report, len(rows))
	at := map[int64]int{}
	for i, r := range rows {
		ids[i], out[i], at[r.ID] = r.ID, r.report(), i
	}
	if len(ids) == 0 {
		return out, nil
	}
	var counts []struct{ ReconciliationID, Total, Open int64 }
	err := s.db.Read(ctx).Model(&differenceRow{}).Where("reconciliation_id IN ?", ids).Group("reconciliation_id").
		Select("reconciliation_id, count(*) AS total, sum(CASE WHEN " + openDifference + " THEN 1 ELSE 0 END) AS open").Scan(&counts).Error
	for _, c := range counts {
		out[at[c.ReconciliationID]].Total, out[at[c.ReconciliationID]].Open = c.Total, c.Open
	}
	return out, err
}

func (s store) report(ctx context.Context, id int64) (Report, error) {
	var rows []reportRow
	if err := s.db.Read(ctx).Where("id = ?", id).Find(&rows).Error; err != nil {
		return Report{}, err
	}
	if len(rows) == 0 {
		return Report{}, fault.Missing("reconciliation")
	}
	all, err := s.counted(ctx, rows)
	if err != nil {
		return Report{}, err
	}
	return all[0], nil
}

func (s store) differences(ctx context.Context, reportID int64, f Filter) ([]Found, error) {
	q := s.db.Read(ctx).Where("reconciliation_id = ? AND id > ?", reportID, f.After).Order("id").Limit(f.Limit)
	if f.Kind != "" {
		q = q.Where("kind = ?", string(f.Kind))
	}
	if f.Open {
		q = q.Where(openDifference)
	}
	var rows []differenceRow
	err := q.Find(&rows).Error
	out := make([]Found, len(rows))
	for i, r := range rows {
		out[i] = r.found()
	}
	return out, err
}

func (s store) difference(ctx context.Context, reportID, id int64) (Found, error) {
	var rows []differenceRow
	if err := s.db.Read(ctx).Where("id = ? AND reconciliation_id = ?", id, reportID).Find(&rows).Error; err != nil {
		return Found{}, err
	}
	if len(rows) == 0 {
		return Found{}, fault.Missing("difference")
	}
	return rows[0].found(), nil
}

func (s store) resolve(ctx context.Context, reportID, id int64, by, note string, at time.Time) (bool, error) {
	res := s.db.Write(ctx).Model(&differenceRow{}).Where("id = ? AND reconciliation_id = ? AND resolved_ms = 0", id, reportID).
		Updates(map[string]any{"resolved_by": by, "resolved_ms": millis(at), "note": note})
	return res.RowsAffected == 1, res.Error
}
