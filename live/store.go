package live

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is the only user of gorm in this package.
type store struct{ db *db.DB }

type sessionRow struct {
	ID        int64
	Title     string
	Intro     string
	State     string
	StartsMs  int64
	LiveMs    int64
	EndedMs   int64
	HoldMs    int64
	OnAir     int
	CreatedBy string
	CreatedMs int64
}

func (sessionRow) TableName() string { return "live_sessions" }

type anchorRow struct {
	SessionID int64
	Position  int64
	Name      string
}

func (anchorRow) TableName() string { return "live_anchors" }

type shelfRow struct {
	SessionID int64
	SKUID     int64 `gorm:"column:sku_id"`
	ProductID int64
	Position  int64
	PriceFen  *int64
	Stock     *int64
}

func (shelfRow) TableName() string { return "live_shelves" }

type pinRow struct {
	ID        int64
	SessionID int64
	ProductID int64
	Anchors   string
	FromMs    int64
	ToMs      int64
}

func (pinRow) TableName() string { return "live_pins" }

type gapRow struct {
	ID        int64
	SessionID int64
	FromMs    int64
	ToMs      int64
}

func (gapRow) TableName() string { return "live_gaps" }

type stateRow struct {
	ID        int64
	SessionID int64
	State     string
	AtMs      int64
	By        string `gorm:"column:by_name"`
}

func (stateRow) TableName() string { return "live_states" }

type restraintRow struct {
	SessionID int64
	Anchor    string
	Kind      string
	By        string `gorm:"column:by_name"`
	AtMs      int64
	Reason    string
}

func (restraintRow) TableName() string { return "live_restraints" }

func (r sessionRow) session() Session {
	return Session{
		ID: r.ID, Title: r.Title, Intro: r.Intro, State: State(r.State), StartsAt: db.Time(r.StartsMs), LiveAt: db.Time(r.LiveMs), EndedAt: db.Time(r.EndedMs),
		Hold: time.Duration(r.HoldMs) * time.Millisecond, OnAir: r.OnAir, CreatedBy: r.CreatedBy,
	}
}

func rowOf(x Session) sessionRow {
	return sessionRow{
		ID: x.ID, Title: x.Title, Intro: x.Intro, State: string(x.State), StartsMs: db.Millis(x.StartsAt), LiveMs: db.Millis(x.LiveAt), EndedMs: db.Millis(x.EndedAt),
		HoldMs: x.Hold.Milliseconds(), OnAir: x.OnAir, CreatedBy: x.CreatedBy,
	}
}

func (s store) add(ctx context.Context, x *Session, now time.Time) error {
	row := rowOf(*x)
	row.CreatedMs = db.Millis(now)
	if err := s.db.Write(ctx).Create(&row).Error; err != nil {
		return err
	}
	x.ID = row.ID
	if err := s.addState(ctx, x.ID, x.State, now, x.CreatedBy); err != nil {
		return err
	}
	return s.saveAnchors(ctx, *x)
}

func (s store) save(ctx context.Context, x Session) error {
	row := rowOf(x)
	if err := s.db.Write(ctx).Model(&sessionRow{}).Where("id = ?", x.ID).Select("*").Omit("id", "created_by", "created_ms").Updates(&row).Error; err != nil {
		return err
	}
	return s.saveAnchors(ctx, x)
}

func (s store) saveAnchors(ctx context.Context, x Session) error {
	if err := s.db.Write(ctx).Where("session_id = ?", x.ID).Delete(&anchorRow{}).Error; err != nil {
		return err
	}
	rows := make([]anchorRow, len(x.Anchors))
	for i, n := range x.Anchors {
		rows[i] = anchorRow{x.ID, int64(i), n}
	}
	return s.db.Write(ctx).Create(&rows).Error
}

// head gives a session's own row only: for placing orders.
func (s store) head(ctx context.Context, id int64) (Session, error) {
	return first(s.db.Read(ctx), id)
}

func first(g *gorm.DB, id int64) (Session, error) {
	var row sessionRow
	err := g.Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Session{}, fault.Missing("session")
	}
	return row.session(), err
}

func (s store) get(ctx context.Context, id int64) (Session, error) {
	x, err := first(s.db.Read(ctx), id)
	if err != nil {
		return x, err
	}
	all, err := s.complete(ctx, []Session{x})
	if err != nil {
		return x, err
	}
	return all[0], nil
}

// lock gives a session and holds its row until the end of the transaction.
func (s store) lock(ctx context.Context, id int64) (Session, error) {
	x, err := first(s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}), id)
	if err != nil {
		return x, err
	}
	all, err := s.complete(ctx, []Session{x})
	if err != nil {
		return x, err
	}
	return all[0], nil
}

// complete adds anchors, gaps and restraints, in one query each.
func (s store) complete(ctx context.Context, all []Session) ([]Session, error) {
	if len(all) == 0 {
		return all, nil
	}
	ids := make([]int64, len(all))
	at := map[int64]*Session{}
	for i := range all {
		ids[i] = all[i].ID
		at[all[i].ID] = &all[i]
	}
	var anchors []anchorRow
	if err := s.db.Read(ctx).Where("session_id in ?", ids).Order("session_id, position").Find(&anchors).Error; err != nil {
		return nil, err
	}
	for _, r := range anchors {
		at[r.SessionID].Anchors = append(at[r.SessionID].Anchors, r.Name)
	}
	var gaps []gapRow
	if err := s.db.Read(ctx).Where("session_id in ?", ids).Order("id").Find(&gaps).Error; err != nil {
		return nil, err
	}
	for _, r := range gaps {
		at[r.SessionID].Interrupted = append(at[r.SessionID].Interrupted, Gap{db.Time(r.FromMs), db.Time(r.ToMs)})
	}
	var restraints []restraintRow
	if err := s.db.Read(ctx).Where("session_id in ?", ids).Order("session_id, at_ms, anchor, kind").Find(&restraints).Error; err != nil {
		return nil, err
	}
	for _, r := range restraints {
		at[r.SessionID].Restraints = append(at[r.SessionID].Restraints, Restraint{r.Anchor, Kind(r.Kind), r.By, db.Time(r.AtMs), r.Reason})
	}
	return all, nil
}

func (s store) list(ctx context.Context, f Filter) ([]Session, error) {
	q := s.db.Read(ctx).Order("starts_ms desc, id desc").Limit(f.Limit)
	if len(f.States) > 0 {
		q = q.Where("state in ?", f.States)
	}
	if f.Anchor != "" {
		q = q.Where("id in (select session_id from live_anchors where name = ?)", f.Anchor)
	}
	if f.After > 0 {
		last, err := s.head(ctx, f.After)
		if err != nil {
			return nil, err
		}
		ms := db.Millis(last.StartsAt)
		q = q.Where("starts_ms < ? or (starts_ms = ? and id < ?)", ms, ms, f.After)
	}
	var rows []sessionRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	all := make([]Session, len(rows))
	for i, r := range rows {
		all[i] = r.session()
	}
	return s.complete(ctx, all)
}

func (s store) setShelf(ctx context.Context, id int64, items []ShelfItem, listings map[int64]Listing) error {
	if err := s.db.Write(ctx).Where("session_id = ?", id).Delete(&shelfRow{}).Error; err != nil || len(items) == 0 {
		return err
	}
	rows := make([]shelfRow, len(items))
	for i, it := range items {
		rows[i] = shelfRow{SessionID: id, SKUID: it.SKUID, ProductID: listings[it.SKUID].ProductID, Position: int64(i), PriceFen: it.PriceFen, Stock: it.Stock}
	}
	return s.db.Write(ctx).Create(&rows).Error
}

func (s store) shelves(ctx context.Context, ids []int64) (rows []shelfRow, err error) {
	err = s.db.Read(ctx).Where("session_id in ?", ids).Order("session_id, position").Find(&rows).Error
	return rows, err
}

// offeredRow is one SKU on a session's shelf with the pin that explains it now.
type offeredRow struct {
	shelfRow
	PinID   int64
	Anchors string
}

// counter is what placing must know of a session.
type counter struct {
	State State
	Hold  time.Duration
	Rows  []offeredRow
}

// counter gives a session's own state with those of the SKUs that are on its shelf, in one query: every batch of orders
// waits for it.
func (s store) counter(ctx context.Context, id int64, skuIDs []int64) (counter, error) {
	var rows []struct {
		State     string
		HoldMs    int64
		SessionID *int64 // null: none of the SKUs is on the shelf
		SKUID     int64  `gorm:"column:sku_id"`
		ProductID int64
		PriceFen  *int64
		Stock     *int64
		PinID     int64
		Anchors   string
	}
	err := s.db.Read(ctx).Raw(`SELECT s.state, s.hold_ms, h.session_id, coalesce(h.sku_id, 0) AS sku_id, coalesce(h.product_id, 0) AS product_id, h.price_fen, h.stock,
			coalesce(p.id, 0) AS pin_id, coalesce(p.anchors, '') AS anchors
		FROM live_sessions s LEFT JOIN live_shelves h ON h.session_id = s.id AND ?
		LEFT JOIN live_pins p ON p.session_id = s.id AND p.product_id = h.product_id AND p.to_ms = 0
		WHERE s.id = ? ORDER BY p.id`, db.In(s.db, "h.sku_id", skuIDs), id).Scan(&rows).Error
	if err != nil {
		return counter{}, err
	}
	if len(rows) == 0 {
		return counter{}, fault.Missing("session")
	}
	c := counter{State: State(rows[0].State), Hold: time.Duration(rows[0].HoldMs) * time.Millisecond}
	for _, r := range rows {
		if r.SessionID != nil {
			c.Rows = append(c.Rows, offeredRow{shelfRow{SessionID: id, SKUID: r.SKUID, ProductID: r.ProductID, PriceFen: r.PriceFen, Stock: r.Stock}, r.PinID, r.Anchors})
		}
	}
	return c, nil
}

// onAirSince gives when those of the sessions that are open went on air.
func (s store) onAirSince(ctx context.Context, ids []int64) (map[int64]time.Time, error) {
	var rows []sessionRow
	err := s.db.Read(ctx).Select("id, live_ms").Where("id in ? and state in ?", ids, []State{Live, Interrupted}).Find(&rows).Error
	out := make(map[int64]time.Time, len(rows))
	for _, r := range rows {
		out[r.ID] = db.Time(r.LiveMs)
	}
	return out, err
}

// selling gives the open sessions that have one of the products on their shelf.
func (s store) selling(ctx context.Context, productIDs []int64) (ids []int64, err error) {
	err = s.db.Read(ctx).Table("live_sessions").Where("state in ?", []State{Live, Interrupted}).
		Where("id in (select session_id from live_shelves where product_id in ?)", productIDs).Order("id").Pluck("id", &ids).Error
	return ids, err
}

func (r pinRow) pin() Pin {
	p := Pin{ID: r.ID, SessionID: r.SessionID, ProductID: r.ProductID, From: db.Time(r.FromMs), To: db.Time(r.ToMs)}
	_ = json.Unmarshal([]byte(r.Anchors), &p.Anchors) // our own writing
	return p
}

func (s store) addPin(ctx context.Context, p *Pin) error {
	raw, err := json.Marshal(p.Anchors)
	if err != nil {
		return err
	}
	row := pinRow{SessionID: p.SessionID, ProductID: p.ProductID, Anchors: string(raw), FromMs: db.Millis(p.From)}
	err = s.db.Write(ctx).Create(&row).Error
	p.ID = row.ID
	return err
}

func (s store) pin(ctx context.Context, sessionID, id int64) (Pin, error) {
	var row pinRow
	err := s.db.Read(ctx).Where("id = ? and session_id = ?", id, sessionID).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Pin{}, fault.Missing("pin")
	}
	return row.pin(), err
}

func (s store) pins(ctx context.Context, sessionIDs []int64, up bool) ([]Pin, error) {
	q := s.db.Read(ctx).Where("session_id in ?", sessionIDs).Order("id")
	if up {
		q = q.Where("to_ms = 0")
	}
	var rows []pinRow
	err := q.Find(&rows).Error
	out := make([]Pin, len(rows))
	for i, r := range rows {
		out[i] = r.pin()
	}
	return out, err
}

func (s store) endPin(ctx context.Context, id int64, at time.Time) error {
	return s.db.Write(ctx).Model(&pinRow{}).Where("id = ? and to_ms = 0", id).Update("to_ms", db.Millis(at)).Error
}

func (s store) endPins(ctx context.Context, sessionID int64, at time.Time) error {
	return s.db.Write(ctx).Model(&pinRow{}).Where("session_id = ? and to_ms = 0", sessionID).Update("to_ms", db.Millis(at)).Error
}

func (s store) addGap(ctx context.Context, sessionID int64, at time.Time) error {
	return s.db.Write(ctx).Create(&gapRow{SessionID: sessionID, FromMs: db.Millis(at)}).Error
}

func (s store) endGap(ctx context.Context, sessionID int64, at time.Time) error {
	return s.db.Write(ctx).Model(&gapRow{}).Where("session_id = ? and to_ms = 0", sessionID).Update("to_ms", db.Millis(at)).Error
}

func (s store) addRestraint(ctx context.Context, sessionID int64, r Restraint) error {
	return s.db.Write(ctx).Create(&restraintRow{sessionID, r.Anchor, string(r.Kind), r.By, db.Millis(r.At), r.Reason}).Error
}

func (s store) endRestraint(ctx context.Context, sessionID int64, r Restraint) error {
	return s.db.Write(ctx).Where("session_id = ? and anchor = ? and kind = ?", sessionID, r.Anchor, string(r.Kind)).Delete(&restraintRow{}).Error
}

func (s store) addState(ctx context.Context, sessionID int64, st State, at time.Time, by string) error {
	return s.db.Write(ctx).Create(&stateRow{SessionID: sessionID, State: string(st), AtMs: db.Millis(at), By: by}).Error
}

func (s store) turns(ctx context.Context, sessionID int64) ([]Turn, error) {
	var rows []stateRow
	err := s.db.Read(ctx).Where("session_id = ?", sessionID).Order("id").Find(&rows).Error
	out := make([]Turn, len(rows))
	for i, r := range rows {
		out[i] = Turn{State(r.State), db.Time(r.AtMs), r.By}
	}
	return out, err
}

func (s store) onAirBefore(ctx context.Context, before time.Time, limit int) ([]Session, error) {
	q := s.db.Read(ctx).Where("live_ms > 0").Order("live_ms desc, id desc").Limit(limit)
	if !before.IsZero() {
		q = q.Where("live_ms < ?", db.Millis(before))
	}
	var rows []sessionRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	all := make([]Session, len(rows))
	for i, r := range rows {
		all[i] = r.session()
	}
	return s.complete(ctx, all)
}
