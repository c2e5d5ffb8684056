package promotions

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
)

type couponRow struct {
	ID           int64
	Title        string
	Percent      int64
	OffFen       int64
	CapFen       int64
	ThresholdFen int64
	Products     string
	Sessions     string
	FromMs       int64
	UntilMs      int64
	Quota        int64
	PerPerson    int64
	BudgetFen    int64
	Claimable    bool
	Stopped      bool
	Issued       int64
	SpentFen     int64
	By           string `gorm:"column:by_name"`
	CreatedMs    int64
}

func (couponRow) TableName() string { return "promotion_coupons" }

func (r couponRow) coupon() Coupon {
	return Coupon{
		ID: r.ID, Title: r.Title, Percent: r.Percent, OffFen: r.OffFen, CapFen: r.CapFen, ThresholdFen: r.ThresholdFen, Products: ids(r.Products),
		Sessions: ids(r.Sessions), Window: Window{db.Time(r.FromMs), db.Time(r.UntilMs)}, Quota: r.Quota, PerPerson: r.PerPerson, BudgetFen: r.BudgetFen,
		Claimable: r.Claimable, Stopped: r.Stopped, Issued: r.Issued, SpentFen: r.SpentFen,
	}
}

type heldRow struct {
	Seq      int64 `gorm:"primaryKey"`
	Code     string
	CouponID int64
	BuyerID  int64
	GivenMs  int64
	By       string `gorm:"column:by_name"`
	OrderID  string
	SpentMs  int64
}

func (heldRow) TableName() string { return "promotion_held" }

func (r heldRow) held(c Coupon) Held {
	return Held{Seq: r.Seq, Code: r.Code, Coupon: c, BuyerID: r.BuyerID, GivenAt: db.Time(r.GivenMs), OrderID: r.OrderID}
}

// useKind is what an order uses.
type useKind string

const (
	useFlash  useKind = "flash"
	useGift   useKind = "gift"
	useCoupon useKind = "coupon"
	usePoints useKind = "points"

	useTaken = "taken"
	useBack  = "back"
)

type useRow struct {
	OrderID string `gorm:"primaryKey"`
	Kind    string `gorm:"primaryKey"`
	Ref     string `gorm:"primaryKey"`
	ID      int64  `gorm:"column:what_id;autoIncrement:false"`
	BuyerID int64
	Units   int64
	Fen     int64
	Turn    int64 // how often it was given back and taken again
	State   string
}

func (useRow) TableName() string { return "promotion_uses" }

// amount is what the thing's own count moves by: units, a coupon's fen.
func (u useRow) amount() int64 {
	if u.Kind == string(useCoupon) {
		return u.Fen
	}
	return u.Units
}

// pointsRef is under which the points were spent.
func (u useRow) pointsRef() string { return fmt.Sprintf("%s%s/%d", PointsRef, u.OrderID, u.Turn) }

func (s store) addCoupon(ctx context.Context, c *Coupon, by string, now time.Time) error {
	row := couponRow{
		Title: c.Title, Percent: c.Percent, OffFen: c.OffFen, CapFen: c.CapFen, ThresholdFen: c.ThresholdFen, Products: list(c.Products), Sessions: list(c.Sessions),
		FromMs: db.Millis(c.From), UntilMs: db.Millis(c.Until), Quota: c.Quota, PerPerson: c.PerPerson, BudgetFen: c.BudgetFen, Claimable: c.Claimable,
		By: by, CreatedMs: db.Millis(now),
	}
	err := s.db.Write(ctx).Create(&row).Error
	c.ID = row.ID
	return err
}

func (s store) stopCoupon(ctx context.Context, id int64) error {
	return found(s.db.Write(ctx).Exec("UPDATE promotion_coupons SET stopped = ? WHERE id = ?", true, id), "coupon")
}

func (s store) coupon(ctx context.Context, id int64) (Coupon, error) {
	var row couponRow
	err := s.db.Read(ctx).Where("id = ?", id).Take(&row).Error
	return row.coupon(), orMissing(err, "coupon")
}

func (s store) coupons(ctx context.Context, before int64, limit int) ([]Coupon, error) {
	var rows []couponRow
	err := below(s.db.Read(ctx), "id", before, limit).Find(&rows).Error
	return couponsOf(rows), err
}

func couponsOf(rows []couponRow) []Coupon {
	out := make([]Coupon, len(rows))
	for i, r := range rows {
		out[i] = r.coupon()
	}
	return out
}

func (s store) claimable(ctx context.Context, now time.Time, limit int) ([]Coupon, error) {
	var rows []couponRow
	err := below(s.db.Read(ctx), "id", 0, limit).Where("claimable AND NOT stopped AND from_ms <= ? AND until_ms > ? AND (quota = 0 OR issued < quota)", db.Millis(now), db.Millis(now)).Find(&rows).Error
	return couponsOf(rows), err
}

// countIssued counts one more copy, never beyond the quota, and locks the coupon.
func (s store) countIssued(ctx context.Context, id int64) error {
	res := s.db.Write(ctx).Exec("UPDATE promotion_coupons SET issued = issued + 1 WHERE id = ? AND NOT stopped AND (quota = 0 OR issued < quota)", id)
	if res.Error == nil && res.RowsAffected == 0 {
		return ErrGone
	}
	return res.Error
}

func (s store) heldCounts(ctx context.Context, buyer int64, coupons []int64) (map[int64]int64, error) {
	var rows []struct{ CouponID, N int64 }
	err := s.db.Read(ctx).Raw("SELECT coupon_id, count(*) AS n FROM promotion_held WHERE buyer_id = ? AND coupon_id IN ? GROUP BY coupon_id", buyer, coupons).Scan(&rows).Error
	out := make(map[int64]int64, len(rows))
	for _, r := range rows {
		out[r.CouponID] = r.N
	}
	return out, err
}

func (s store) addHeld(ctx context.Context, h *Held, by string) error {
	row := heldRow{Code: h.Code, CouponID: h.Coupon.ID, BuyerID: h.BuyerID, GivenMs: db.Millis(h.GivenAt), By: by}
	err := s.db.Write(ctx).Create(&row).Error
	h.Seq = row.Seq
	return err
}

func (s store) held(ctx context.Context, buyer, before int64, limit int) ([]Held, error) {
	var rows []heldRow
	if err := below(s.db.Read(ctx), "seq", before, limit).Where("buyer_id = ?", buyer).Find(&rows).Error; err != nil || len(rows) == 0 {
		return nil, err
	}
	kinds := make([]int64, len(rows))
	for i, r := range rows {
		kinds[i] = r.CouponID
	}
	var coupons []couponRow
	if err := s.db.Read(ctx).Where("id IN ?", unique(kinds)).Find(&coupons).Error; err != nil {
		return nil, err
	}
	at := map[int64]Coupon{}
	for _, c := range coupons {
		at[c.ID] = c.coupon()
	}
	out := make([]Held, len(rows))
	for i, r := range rows {
		out[i] = r.held(at[r.CouponID])
	}
	return out, nil
}

// couponsFor reads and locks what codes stand for: first the kinds, by id, then the copies.
func (s store) couponsFor(ctx context.Context, codes []string) (map[int64]Coupon, map[string]Held, error) {
	kinds, copies := map[int64]Coupon{}, map[string]Held{}
	if len(codes) == 0 {
		return kinds, copies, nil
	}
	var wanted []int64
	if err := s.db.Read(ctx).Model(&heldRow{}).Where(db.In(s.db, "code", codes)).Distinct().Pluck("coupon_id", &wanted).Error; err != nil || len(wanted) == 0 {
		return kinds, copies, err
	}
	var rows []couponRow
	if err := s.locking(ctx).Where("id IN ?", wanted).Order("id").Find(&rows).Error; err != nil {
		return nil, nil, err
	}
	for _, r := range rows {
		kinds[r.ID] = r.coupon()
	}
	var held []heldRow
	if err := s.locking(ctx).Where(db.In(s.db, "code", codes)).Order("code").Find(&held).Error; err != nil {
		return nil, nil, err
	}
	for _, r := range held {
		copies[r.Code] = r.held(kinds[r.CouponID])
	}
	return kinds, copies, nil
}

// count moves what is counted of a thing, never beyond its bound.
func (s store) count(ctx context.Context, kind useKind, id, by int64) error {
	sql := map[useKind]string{
		useFlash:  "UPDATE promotion_flash SET taken = taken + ? WHERE id = ? AND taken + ? BETWEEN 0 AND stock",
		useGift:   "UPDATE promotion_gifts SET given = given + ? WHERE id = ? AND given + ? BETWEEN 0 AND CASE WHEN quota = 0 THEN 1000000000000 ELSE quota END",
		useCoupon: "UPDATE promotion_coupons SET spent_fen = spent_fen + ? WHERE id = ? AND spent_fen + ? BETWEEN 0 AND CASE WHEN budget_fen = 0 THEN 1000000000000000 ELSE budget_fen END",
	}[kind]
	res := s.db.Write(ctx).Exec(sql, by, id, by)
	if res.Error == nil && res.RowsAffected != 1 {
		return errTakenAway
	}
	return res.Error
}

// spendHeld spends copies for orders: nobody else's, and each once.
func (s store) spendHeld(ctx context.Context, uses []useRow, now time.Time) error {
	for part := range slices.Chunk(uses, 100) {
		values := make([]string, len(part))
		args := make([]any, 0, 3*len(part)+1)
		for i, u := range part {
			values[i] = "(CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS TEXT))"
			args = append(args, u.Ref, u.BuyerID, u.OrderID)
		}
		res := s.db.Write(ctx).Exec("WITH v(code, buyer, ord) AS (VALUES "+strings.Join(values, ", ")+`)
			UPDATE promotion_held SET order_id = v.ord, spent_ms = ? FROM v
			WHERE promotion_held.code = v.code AND buyer_id = v.buyer AND order_id = ''`, append(args, db.Millis(now))...)
		if res.Error == nil && res.RowsAffected != int64(len(part)) {
			return errTakenAway
		}
		if res.Error != nil {
			return res.Error
		}
	}
	return nil
}

func (s store) freeHeld(ctx context.Context, code, orderID string) error {
	res := s.db.Write(ctx).Exec("UPDATE promotion_held SET order_id = '', spent_ms = 0 WHERE code = ? AND order_id = ?", code, orderID)
	if res.Error == nil && res.RowsAffected != 1 {
		return errTakenAway
	}
	return res.Error
}

func (s store) addUses(ctx context.Context, uses []useRow) error {
	return db.Insert(ctx, s.db, uses, "")
}

// lockUses gives what orders use that is in the given state, and keeps it so until the transaction ends.
func (s store) lockUses(ctx context.Context, orderIDs []string, state string) (uses []useRow, err error) {
	err = s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("order_id IN ? AND state = ?", orderIDs, state).Order("order_id, kind, ref").Find(&uses).Error
	return uses, err
}

func (s store) markUses(ctx context.Context, uses []useRow, state string) error {
	for _, u := range uses {
		err := s.db.Write(ctx).Exec("UPDATE promotion_uses SET state = ?, turn = ? WHERE order_id = ? AND kind = ? AND ref = ?", state, u.Turn, u.OrderID, u.Kind, u.Ref).Error
		if err != nil {
			return err
		}
	}
	return nil
}
