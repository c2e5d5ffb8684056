package points

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/pricing"
)

// store is the only user of gorm in this package. It joins the transaction in the context.
type store struct{ db *db.DB }

type accountRow struct {
	AccountID int64 `gorm:"primaryKey;autoIncrement:false"`
	Balance   int64
}

func (accountRow) TableName() string { return "points_accounts" }

type lotRow struct {
	ID        int64
	AccountID int64
	Points    int64
	Left      int64 `gorm:"column:points_left"`
	Source    string
	Ref       string
	IssuedMs  int64
	ExpiresMs int64
}

func (lotRow) TableName() string { return "points_lots" }

func (r lotRow) lot() Lot {
	return Lot{ID: r.ID, Points: r.Points, Left: r.Left, Source: r.Source, IssuedAt: db.Time(r.IssuedMs), ExpiresAt: db.Time(r.ExpiresMs)}
}

type entryRow struct {
	ID        int64
	AccountID int64
	LotID     int64
	Kind      string
	Points    int64
	Ref       string
	AtMs      int64
}

func (entryRow) TableName() string { return "points_entries" }

// lock keeps accounts from changing until the transaction ends, in id order; make adds those that have no row yet, since
// a row that isn't there can't be locked.
func (s store) lock(ctx context.Context, accounts []int64, add bool) error {
	ids := slices.Compact(slices.Sorted(slices.Values(accounts)))
	if add {
		rows := make([]accountRow, len(ids))
		for i, id := range ids {
			rows[i] = accountRow{AccountID: id}
		}
		if err := s.db.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).Create(&rows).Error; err != nil {
			return err
		}
	}
	var rows []accountRow
	return s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where(db.In(s.db, "account_id", ids)).Order("account_id").Find(&rows).Error
}

func (s store) lotByRef(ctx context.Context, ref string) (Lot, int64, error) {
	var rows []lotRow
	if err := s.db.Read(ctx).Where("ref = ?", ref).Find(&rows).Error; err != nil || len(rows) == 0 {
		return Lot{}, 0, err
	}
	return rows[0].lot(), rows[0].AccountID, nil
}

func (s store) issue(ctx context.Context, g Grant, now time.Time) (Lot, error) {
	row := lotRow{AccountID: g.Account, Points: g.Points, Left: g.Points, Source: g.Source, Ref: g.Ref, IssuedMs: db.Millis(now), ExpiresMs: db.Millis(g.ExpiresAt)}
	if err := s.db.Write(ctx).Create(&row).Error; err != nil {
		return Lot{}, err
	}
	entry := entryRow{AccountID: g.Account, LotID: row.ID, Kind: string(Issued), Points: g.Points, Ref: g.Ref, AtMs: db.Millis(now)}
	if err := s.db.Write(ctx).Create(&entry).Error; err != nil {
		return Lot{}, err
	}
	return row.lot(), s.db.Write(ctx).Exec("UPDATE points_accounts SET balance = balance + ? WHERE account_id = ?", g.Points, g.Account).Error
}

// take lowers a balance by n, never below zero.
func (s store) take(ctx context.Context, account, n int64) error {
	res := s.db.Write(ctx).Exec("UPDATE points_accounts SET balance = balance - ? WHERE account_id = ? AND balance >= ?", n, account, n)
	if res.Error == nil && res.RowsAffected != 1 {
		return ErrShort
	}
	return res.Error
}

// move writes an entry and changes its lot; a return raises the balance too, a spending has lowered it before.
func (s store) move(ctx context.Context, account int64, e entryRow, now time.Time) error {
	by := -e.Points
	if e.Kind == string(Returned) {
		by = e.Points
		if err := s.db.Write(ctx).Exec("UPDATE points_accounts SET balance = balance + ? WHERE account_id = ?", e.Points, account).Error; err != nil {
			return err
		}
	}
	e.AccountID, e.AtMs = account, db.Millis(now)
	if err := s.db.Write(ctx).Create(&e).Error; err != nil {
		return err
	}
	res := s.db.Write(ctx).Exec("UPDATE points_lots SET points_left = points_left + ? WHERE id = ? AND points_left + ? >= 0", by, e.LotID, by)
	if res.Error == nil && res.RowsAffected != 1 {
		return fmt.Errorf("points: lot %d does not have %d points", e.LotID, e.Points)
	}
	return res.Error
}

// openLots gives the lots with something left, those that expire first first.
func (s store) openLots(ctx context.Context, account int64) ([]Lot, error) {
	var rows []lotRow
	err := s.db.Read(ctx).Where("account_id = ? AND points_left > 0", account).Order("expires_ms, id").Find(&rows).Error
	out := make([]Lot, len(rows))
	for i, r := range rows {
		out[i] = r.lot()
	}
	return out, err
}

// expire takes away what an account has in expired lots, holding the account.
func (s store) expire(ctx context.Context, account int64, now time.Time) error {
	var rows []lotRow
	err := s.db.Write(ctx).Where("account_id = ? AND points_left > 0 AND expires_ms <= ?", account, db.Millis(now)).Order("id").Find(&rows).Error
	if err != nil {
		return err
	}
	for _, r := range rows {
		if err := s.take(ctx, account, r.Left); err != nil {
			return err
		}
		if err := s.move(ctx, account, entryRow{LotID: r.ID, Kind: string(Expired), Points: r.Left, Ref: r.Ref}, now); err != nil {
			return err
		}
	}
	return nil
}

// outlive lets an expired lot last until then.
func (s store) outlive(ctx context.Context, lotID int64, now, until time.Time) error {
	return s.db.Write(ctx).Exec("UPDATE points_lots SET expires_ms = ? WHERE id = ? AND expires_ms <= ?", db.Millis(until), lotID, db.Millis(now)).Error
}

func (s store) overdue(ctx context.Context, now time.Time, n int) (ids []int64, err error) {
	err = s.db.Read(ctx).Model(&lotRow{}).Distinct("account_id").Where("points_left > 0 AND expires_ms <= ?", db.Millis(now)).Order("account_id").Limit(n).Pluck("account_id", &ids).Error
	return ids, err
}

func (s store) spendable(ctx context.Context, accounts []int64, now time.Time) (map[int64]int64, error) {
	var rows []struct{ AccountID, N int64 }
	err := s.db.Read(ctx).Raw(`SELECT account_id, sum(points_left) AS n FROM points_lots
		WHERE account_id IN ? AND points_left > 0 AND expires_ms > ? GROUP BY account_id`, accounts, db.Millis(now)).Scan(&rows).Error
	out := make(map[int64]int64, len(rows))
	for _, r := range rows {
		out[r.AccountID] = r.N
	}
	return out, err
}

// spentUnder says under which of the refs points have been spent.
func (s store) spentUnder(ctx context.Context, all []pricing.PointsSpent) (map[string]bool, error) {
	refs := make([]string, len(all))
	for i, p := range all {
		refs[i] = p.Ref
	}
	var found []string
	err := s.db.Read(ctx).Model(&entryRow{}).Where(db.In(s.db, "ref", refs)).Where("kind = 'spent'").Distinct().Pluck("ref", &found).Error
	out := make(map[string]bool, len(found))
	for _, r := range found {
		out[r] = true
	}
	return out, err
}

// expireAll is expire for many accounts; most have nothing that has expired.
func (s store) expireAll(ctx context.Context, accounts []int64, now time.Time) error {
	var due []int64
	err := s.db.Read(ctx).Model(&lotRow{}).Where(db.In(s.db, "account_id", accounts)).Where("points_left > 0 AND expires_ms <= ?", db.Millis(now)).
		Distinct().Order("account_id").Pluck("account_id", &due).Error
	for _, a := range due {
		if err == nil {
			err = s.expire(ctx, a, now)
		}
	}
	return err
}

// takeAll is take for many accounts.
func (s store) takeAll(ctx context.Context, by map[int64]int64) error {
	n, err := s.subtract(ctx, "UPDATE points_accounts SET balance = balance - v.n FROM v WHERE account_id = v.id AND balance >= v.n", by)
	if err == nil && n != len(by) {
		return ErrShort
	}
	return err
}

// drawAll writes entries of spendings and lowers their lots.
func (s store) drawAll(ctx context.Context, entries []entryRow, by map[int64]int64) error {
	if err := db.Insert(ctx, s.db, entries, ""); err != nil {
		return err
	}
	n, err := s.subtract(ctx, "UPDATE points_lots SET points_left = points_left - v.n FROM v WHERE points_lots.id = v.id AND points_left >= v.n", by)
	if err == nil && n != len(by) {
		return errors.New("points: a lot does not have what its account has")
	}
	return err
}

// subtract runs a statement on rows v(id, n), in id order and some hundred at a time, and says how many it changed.
func (s store) subtract(ctx context.Context, sql string, by map[int64]int64) (int, error) {
	changed := 0
	for part := range slices.Chunk(slices.Sorted(maps.Keys(by)), 150) {
		values := make([]string, len(part))
		args := make([]any, 0, 2*len(part))
		for i, id := range part {
			values[i] = "(CAST(? AS BIGINT), CAST(? AS BIGINT))"
			args = append(args, id, by[id])
		}
		res := s.db.Write(ctx).Exec("WITH v(id, n) AS (VALUES "+strings.Join(values, ", ")+") "+sql, args...)
		if res.Error != nil {
			return changed, res.Error
		}
		changed += int(res.RowsAffected)
	}
	return changed, nil
}

// lotsOf is openLots for many accounts.
func (s store) lotsOf(ctx context.Context, accounts []int64) (map[int64][]Lot, error) {
	var rows []lotRow
	err := s.db.Read(ctx).Where(db.In(s.db, "account_id", accounts)).Where("points_left > 0").Order("account_id, expires_ms, id").Find(&rows).Error
	out := map[int64][]Lot{}
	for _, r := range rows {
		out[r.AccountID] = append(out[r.AccountID], r.lot())
	}
	return out, err
}

// spentLike sums what was spent under refs with a prefix of plain letters and slashes.
func (s store) spentLike(ctx context.Context, prefix string) (n int64, err error) {
	err = s.db.Read(ctx).Raw("SELECT coalesce(sum(points), 0) FROM points_entries WHERE kind = 'spent' AND ref LIKE ?", prefix+"%").Scan(&n).Error
	return n, err
}

// draw is what was spent of one lot under a ref, and what of it has come back.
type draw struct{ LotID, Spent, Back int64 }

// drawn gives the draws of a ref, of the lot that lasts longest first.
func (s store) drawn(ctx context.Context, ref string) (all []draw, err error) {
	err = s.db.Read(ctx).Raw(`SELECT e.lot_id, sum(CASE WHEN e.kind = 'spent' THEN e.points ELSE 0 END) AS spent,
		sum(CASE WHEN e.kind = 'returned' THEN e.points ELSE 0 END) AS back
		FROM points_entries e JOIN points_lots l ON l.id = e.lot_id WHERE e.ref = ? AND e.kind IN ('spent', 'returned')
		GROUP BY e.lot_id, l.expires_ms ORDER BY l.expires_ms DESC, e.lot_id DESC`, ref).Scan(&all).Error
	return all, err
}

func (s store) entries(ctx context.Context, account, before int64, limit int) ([]Entry, error) {
	q := s.db.Read(ctx).Where("account_id = ?", account).Order("id DESC").Limit(limit)
	if before != 0 {
		q = q.Where("id < ?", before)
	}
	var rows []entryRow
	err := q.Find(&rows).Error
	out := make([]Entry, len(rows))
	for i, r := range rows {
		out[i] = Entry{ID: r.ID, LotID: r.LotID, Kind: Kind(r.Kind), Points: r.Points, Ref: r.Ref, At: db.Time(r.AtMs)}
	}
	return out, err
}

func (s store) totals(ctx context.Context) (t Totals, err error) {
	var rows []struct {
		Kind string
		N    int64
	}
	if err := s.db.Read(ctx).Raw("SELECT kind, sum(points) AS n FROM points_entries GROUP BY kind").Scan(&rows).Error; err != nil {
		return t, err
	}
	for _, r := range rows {
		switch Kind(r.Kind) {
		case Issued:
			t.Issued = r.N
		case Expired:
			t.Expired = r.N
		case Spent:
			t.Spent = r.N
		case Returned:
			t.Returned = r.N
		}
	}
	err = s.db.Read(ctx).Raw("SELECT coalesce(sum(balance), 0) FROM points_accounts").Scan(&t.Balances).Error
	return t, err
}
