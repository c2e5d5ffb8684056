package orders

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is orders' tables. It joins the transaction in the context and holds no rules but the guards in its statements.
// Payments, refunds and the ledger are in store_money.go, the proofs and facts in store_facts.go.
type store struct{ db *db.DB }

type orderRow struct {
	Seq          int64 `gorm:"primaryKey;autoIncrement"`
	ID           string
	SessionID    int64
	BuyerID      int64
	BuyerName    string
	BuyerInitial string
	Channel      string
	Idem         string
	BodyHash     string
	State        string
	Reason       string
	Stock        string
	TotalFen     int64
	PaidFen      int64
	RefundedFen  int64
	PinID        int64
	Anchor       string
	Address      string
	Carrier      string
	TrackingNo   string
	CreatedMs    int64
	ExpiresMs    int64
	PaidMs       int64
	ShippedMs    int64
	LeaseBy      string
	LeaseMs      int64
}

func (orderRow) TableName() string { return "orders" }

type lineRow struct {
	OrderID   string `gorm:"primaryKey"`
	Position  int64  `gorm:"primaryKey;autoIncrement:false"`
	SKUID     int64  `gorm:"column:sku_id"`
	ProductID int64
	Quantity  int64
	PriceFen  int64
	Title     string
	SKUName   string `gorm:"column:sku_name"`
	Fresh     bool
	PinID     int64
	Anchors   string
}

func (lineRow) TableName() string { return "order_lines" }

type eventRow struct {
	ID      int64
	OrderID string
	AtMs    int64
	What    string
	By      string `gorm:"column:by_name"`
}

func (eventRow) TableName() string { return "order_events" }

type takenRow struct {
	SessionID int64 `gorm:"primaryKey;autoIncrement:false"`
	SKUID     int64 `gorm:"column:sku_id;primaryKey;autoIncrement:false"`
	Taken     int64
}

func (takenRow) TableName() string { return "order_session_stock" }

// change is the columns that a move sets besides the state.
type change map[string]any

// newID gives an id that sorts by time and can't be guessed: 48 bits of milliseconds, 80 of chance, 26 characters.
func newID(at time.Time) string {
	var b [16]byte
	_, _ = rand.Read(b[6:]) // never fails
	ms := uint64(at.UnixMilli()) << 16
	var t [8]byte
	binary.BigEndian.PutUint64(t[:], ms)
	copy(b[:6], t[:6])
	return strings.ToLower(base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}

func rowOf(o *Order) orderRow {
	address := ""
	if o.Address != nil {
		raw, _ := json.Marshal(o.Address) // plain strings
		address = string(raw)
	}
	return orderRow{
		ID: o.ID, SessionID: o.SessionID, BuyerID: o.BuyerID, BuyerName: o.BuyerName, BuyerInitial: o.BuyerInitial,
		Channel: o.Channel, Idem: o.idem, BodyHash: o.bodyHash, State: string(o.State), Reason: o.Reason, Stock: o.stock,
		TotalFen: o.TotalFen, PaidFen: o.PaidFen, RefundedFen: o.RefundedFen, PinID: o.PinID, Anchor: o.Anchor, Address: address,
		CreatedMs: db.Millis(o.CreatedAt), ExpiresMs: db.Millis(o.ExpiresAt), PaidMs: db.Millis(o.PaidAt),
	}
}

func (r orderRow) order() (Order, error) {
	o := Order{
		Seq: r.Seq, ID: r.ID, SessionID: r.SessionID, BuyerID: r.BuyerID, BuyerName: r.BuyerName, BuyerInitial: r.BuyerInitial,
		Channel: r.Channel, State: State(r.State), Reason: r.Reason, TotalFen: r.TotalFen, PaidFen: r.PaidFen,
		RefundedFen: r.RefundedFen, PinID: r.PinID, Anchor: r.Anchor,
		CreatedAt: db.Time(r.CreatedMs), ExpiresAt: db.Time(r.ExpiresMs), PaidAt: db.Time(r.PaidMs),
		Shipment: Shipment{Carrier: r.Carrier, TrackingNo: r.TrackingNo, At: db.Time(r.ShippedMs)},
		idem:     r.Idem, bodyHash: r.BodyHash, stock: r.Stock,
	}
	if r.Channel != roomChannel {
		_, number, _ := strings.Cut(strings.TrimPrefix(r.Idem, fmt.Sprintf("%d:", shopID)), ":")
		o.Number = number
	}
	if r.Address != "" {
		o.Address = new(Address)
		if err := json.Unmarshal([]byte(r.Address), o.Address); err != nil {
			return Order{}, fmt.Errorf("orders: address of %s: %w", r.ID, err)
		}
	}
	return o, nil
}

func lineRows(o *Order) []lineRow {
	rows := make([]lineRow, len(o.Lines))
	for i, l := range o.Lines {
		rows[i] = lineRow{
			OrderID: o.ID, Position: int64(i), SKUID: l.SKUID, ProductID: l.ProductID, Quantity: l.Quantity,
			PriceFen: l.PriceFen, Title: l.Title, SKUName: l.SKUName, Fresh: l.Fresh, PinID: l.PinID, Anchors: names(l.Anchors),
		}
	}
	return rows
}

func (r lineRow) line() (Line, error) {
	l := Line{
		ProductID: r.ProductID, SKUID: r.SKUID, Quantity: r.Quantity, PriceFen: r.PriceFen, Title: r.Title, SKUName: r.SKUName,
		Fresh: r.Fresh, PinID: r.PinID, Anchors: []string{},
	}
	if r.Anchors != "" {
		if err := json.Unmarshal([]byte(r.Anchors), &l.Anchors); err != nil {
			return Line{}, fmt.Errorf("orders: anchors of %s: %w", r.OrderID, err)
		}
	}
	return l, nil
}

func names(anchors []string) string {
	if len(anchors) == 0 {
		return ""
	}
	raw, _ := json.Marshal(anchors) // plain strings
	return string(raw)
}

// insertOrders writes new orders with their lines.
func (s store) insertOrders(ctx context.Context, orders []*Order) error {
	rows := make([]orderRow, len(orders))
	var lines []lineRow
	for i, o := range orders {
		rows[i] = rowOf(o)
		lines = append(lines, lineRows(o)...)
	}
	return db.InsertBoth(ctx, s.db, rows, lines)
}

// byIndex makes PostgreSQL use indexes for the rest of the transaction. On a fresh database it would plan the lane's
// look-ups once, while the tables are nearly empty, and then read them whole at every batch until its first ANALYZE a
// minute later: BenchmarkPlace took twice as long.
func (s store) byIndex(ctx context.Context) error {
	if s.db.Dialect() != db.Postgres {
		return nil
	}
	return s.db.Write(ctx).Exec("SET LOCAL enable_seqscan = off").Error
}

// byIdem gives the whole orders behind the given idempotency identities.
func (s store) byIdem(ctx context.Context, keys []string) (map[string]Order, error) {
	var rows []orderRow
	if err := s.db.Read(ctx).Where(db.In(s.db, "idem", keys)).Find(&rows).Error; err != nil || len(rows) == 0 {
		return nil, err
	}
	orders, err := s.fill(ctx, rows)
	if err != nil {
		return nil, err
	}
	found := make(map[string]Order, len(orders))
	for _, o := range orders {
		found[o.idem] = o
	}
	return found, nil
}

// order gives one order with all that belongs to it.
func (s store) order(ctx context.Context, id string) (Order, error) {
	return s.one(ctx, s.db.Read(ctx), id)
}

// lockOrder is order, and keeps it from changing until the transaction ends.
func (s store) lockOrder(ctx context.Context, id string) (Order, error) {
	return s.one(ctx, s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}), id)
}

func (s store) one(ctx context.Context, q *gorm.DB, id string) (Order, error) {
	var rows []orderRow
	if err := q.Where("id = ?", id).Find(&rows).Error; err != nil {
		return Order{}, err
	}
	if len(rows) == 0 {
		return Order{}, fault.Missing("order")
	}
	orders, err := s.fill(ctx, rows)
	if err != nil {
		return Order{}, err
	}
	return orders[0], nil
}

// lockOrders is lockOrder for many, in the one order of locking; ids that don't exist are left out.
func (s store) lockOrders(ctx context.Context, ids []string) ([]Order, error) {
	var rows []orderRow
	for part := range slices.Chunk(ids, 500) {
		var some []orderRow
		if err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where(db.In(s.db, "id", part)).Order("seq").Find(&some).Error; err != nil {
			return nil, err
		}
		rows = append(rows, some...)
	}
	return s.fill(ctx, rows)
}

// list gives orders below a Seq, newest first; buyer 0 means everybody's.
func (s store) list(ctx context.Context, f Filter, buyer int64) ([]Order, error) {
	q := s.db.Read(ctx).Order("seq DESC").Limit(f.Limit)
	if buyer != 0 {
		q = q.Where("buyer_id = ?", buyer)
	}
	if f.SessionID != 0 {
		q = q.Where("session_id = ?", f.SessionID)
	}
	if f.State != "" {
		q = q.Where("state = ?", string(f.State))
	}
	if f.Before != 0 {
		q = q.Where("seq < ?", f.Before)
	}
	var rows []orderRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.fill(ctx, rows)
}

// fill turns rows into whole orders, with one query a table.
func (s store) fill(ctx context.Context, rows []orderRow) ([]Order, error) {
	orders := make([]Order, len(rows))
	ids := make([]string, len(rows))
	index := make(map[string]*Order, len(rows))
	for i, r := range rows {
		o, err := r.order()
		if err != nil {
			return nil, err
		}
		orders[i], ids[i] = o, r.ID
		index[r.ID] = &orders[i]
		if r.Channel == roomChannel {
			orders[i].Timeline = []Event{{At: o.CreatedAt, What: "placed", By: "buyer"}}
		} else {
			orders[i].Timeline = []Event{{At: o.CreatedAt, What: "imported", By: "system"}}
		}
	}
	for part := range slices.Chunk(ids, 500) {
		if err := errors.Join(s.fillLines(ctx, part, index), s.fillPrices(ctx, part, index), s.fillEvents(ctx, part, index), s.fillMoney(ctx, part, index)); err != nil {
			return nil, err
		}
	}
	return orders, nil
}

func (s store) fillLines(ctx context.Context, ids []string, index map[string]*Order) error {
	var rows []lineRow
	if err := s.db.Read(ctx).Where(db.In(s.db, "order_id", ids)).Order("order_id, position").Find(&rows).Error; err != nil {
		return err
	}
	for _, r := range rows {
		l, err := r.line()
		if err != nil {
			return err
		}
		index[r.OrderID].Lines = append(index[r.OrderID].Lines, l)
	}
	return nil
}

func (s store) fillEvents(ctx context.Context, ids []string, index map[string]*Order) error {
	var rows []eventRow
	if err := s.db.Read(ctx).Where(db.In(s.db, "order_id", ids)).Order("id").Find(&rows).Error; err != nil {
		return err
	}
	for _, r := range rows {
		o := index[r.OrderID]
		o.Timeline = append(o.Timeline, Event{At: db.Time(r.AtMs), What: r.What, By: r.By})
	}
	return nil
}

// move sets a state that stands where it should, else somebody else was faster.
func (s store) move(ctx context.Context, id string, from, to State, set change) error {
	values := map[string]any{"state": string(to)}
	for k, v := range set {
		values[k] = v
	}
	res := s.db.Write(ctx).Model(&orderRow{}).Where("id = ? AND state = ?", id, string(from)).Updates(values)
	if res.Error != nil {
		return res.Error
	}
	if res.RowsAffected != 1 {
		return ErrState
	}
	return nil
}

func (s store) setAddress(ctx context.Context, id string, in State, to Address) error {
	raw, err := json.Marshal(to)
	if err != nil {
		return err
	}
	return s.move(ctx, id, in, in, change{"address": string(raw)})
}

func (s store) addEvent(ctx context.Context, orderID string, e Event) error {
	return s.addEvents(ctx, []eventRow{{OrderID: orderID, AtMs: db.Millis(e.At), What: e.What, By: e.By}})
}

func (s store) addEvents(ctx context.Context, rows []eventRow) error {
	return db.Insert(ctx, s.db, rows, "")
}

// lockTaken gives how much of each key is taken and keeps it from changing until the transaction ends. Rows that were
// missing are made first, since a row that isn't there can't be locked.
func (s store) lockTaken(ctx context.Context, keys []takenKey) (map[takenKey]int64, error) {
	taken := make(map[takenKey]int64, len(keys))
	if err := s.readTaken(ctx, keys, taken); err != nil {
		return nil, err
	}
	var missing []takenKey
	var rows []takenRow
	for _, k := range keys {
		if _, ok := taken[k]; !ok {
			missing = append(missing, k)
			rows = append(rows, takenRow{SessionID: k.session, SKUID: k.sku})
		}
	}
	if len(missing) == 0 {
		return taken, nil
	}
	if err := db.Insert(ctx, s.db, rows, "ON CONFLICT DO NOTHING"); err != nil {
		return nil, err
	}
	return taken, s.readTaken(ctx, missing, taken)
}

// readTaken reads and locks sorted keys, one statement a session.
func (s store) readTaken(ctx context.Context, keys []takenKey, into map[takenKey]int64) error {
	for i := 0; i < len(keys); {
		session := keys[i].session
		var skus []int64
		for ; i < len(keys) && keys[i].session == session; i++ {
			skus = append(skus, keys[i].sku)
		}
		for part := range slices.Chunk(skus, 1000) {
			var rows []takenRow
			err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("session_id = ?", session).Where(db.In(s.db, "sku_id", part)).Order("sku_id").Find(&rows).Error
			if err != nil {
				return err
			}
			for _, r := range rows {
				into[takenKey{r.SessionID, r.SKUID}] = r.Taken
			}
		}
	}
	return nil
}

// addTaken changes how much is taken; a CHECK refuses to go below zero.
func (s store) addTaken(ctx context.Context, by map[takenKey]int64) error {
	keys := make([]takenKey, 0, len(by))
	for k, n := range by {
		if n != 0 {
			keys = append(keys, k)
		}
	}
	var more []takenRow
	for _, k := range sortKeys(keys) {
		if by[k] > 0 {
			more = append(more, takenRow{SessionID: k.session, SKUID: k.sku, Taken: by[k]})
			continue
		}
		res := s.db.Write(ctx).Exec("UPDATE order_session_stock SET taken = taken + ? WHERE session_id = ? AND sku_id = ?", by[k], k.session, k.sku)
		if res.Error != nil {
			return res.Error
		}
	}
	return db.Insert(ctx, s.db, more, "ON CONFLICT (session_id, sku_id) DO UPDATE SET taken = order_session_stock.taken + excluded.taken")
}

func (s store) taken(ctx context.Context, sessionID int64) (map[int64]int64, error) {
	var rows []takenRow
	if err := s.db.Read(ctx).Where("session_id = ?", sessionID).Find(&rows).Error; err != nil {
		return nil, err
	}
	out := make(map[int64]int64, len(rows))
	for _, r := range rows {
		out[r.SKUID] = r.Taken
	}
	return out, nil
}

// holdKey is one buyer's one SKU.
type holdKey struct{ buyer, sku int64 }

// openHold is how many unpaid orders hold it, and one of them.
type openHold struct {
	count int64
	order string
}

func (s store) openHolds(ctx context.Context, buyers []int64) (map[holdKey]openHold, error) {
	var rows []struct {
		BuyerID int64
		SKUID   int64 `gorm:"column:sku_id"`
		N       int64
		OrderID string
	}
	err := s.db.Read(ctx).Raw(`SELECT o.buyer_id, l.sku_id, count(*) AS n, max(o.id) AS order_id FROM orders o
		JOIN order_lines l ON l.order_id = o.id WHERE ? AND o.state = 'pending' GROUP BY o.buyer_id, l.sku_id`, db.In(s.db, "o.buyer_id", buyers)).Scan(&rows).Error
	if err != nil {
		return nil, err
	}
	out := make(map[holdKey]openHold, len(rows))
	for _, r := range rows {
		out[holdKey{r.BuyerID, r.SKUID}] = openHold{count: r.N, order: r.OrderID}
	}
	return out, nil
}

// claimExpired leases up to n orders whose hold is over, so that two sweepers do not do the same work, and names them.
// A lease that ran out (its holder was stopped) may be taken by another; so may one that ends later than one taken now
// would, for the clock that gave it was ahead.
func (s store) claimExpired(ctx context.Context, now time.Time, worker string, lease time.Duration, n int) ([]string, error) {
	const free = "state = 'pending' AND (lease_ms <= ? OR lease_ms > ?)"
	at, until := db.Millis(now), db.Millis(now.Add(lease))
	var due int64 // most rounds find nothing: do not take the writing lock for that
	err := s.db.Read(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM orders WHERE expires_ms <= ? AND "+free+" LIMIT 1) d", at, at, until).Scan(&due).Error
	if err != nil || due == 0 {
		return nil, err
	}
	var ids []string
	err = s.db.Tx(ctx, func(ctx context.Context) error {
		return s.db.Write(ctx).Raw("UPDATE orders SET lease_by = ?, lease_ms = ? WHERE "+free+
			" AND seq IN (SELECT seq FROM orders WHERE expires_ms <= ? AND "+free+" ORDER BY expires_ms, seq LIMIT ?) RETURNING id",
			worker, until, at, until, at, at, until, n).Scan(&ids).Error
	})
	return ids, err
}

// expire cancels those of ids that are still pending and still leased to worker, and names them.
func (s store) expire(ctx context.Context, ids []string, worker string) ([]string, error) {
	var done []string
	err := s.db.Write(ctx).Raw(`UPDATE orders SET state = 'cancelled', reason = 'expired', stock = 'free'
		WHERE id IN ? AND state = 'pending' AND lease_by = ? RETURNING id`, ids, worker).Scan(&done).Error
	return done, err
}

type outboxRow struct {
	ID        int64
	SessionID int64
	Type      string `gorm:"column:typ"`
	Data      string
	CreatedMs int64
	LeaseBy   string
	DueMs     int64
	Tries     int64
}

func (outboxRow) TableName() string { return "order_outbox" }

func (s store) addOutbox(ctx context.Context, rows []outboxRow) error {
	return db.Insert(ctx, s.db, rows, "")
}

// claimOutbox leases up to n rows that are due, oldest first; also those that are due later than any can be put off.
func (s store) claimOutbox(ctx context.Context, now time.Time, worker string, lease time.Duration, n int) ([]outboxRow, error) {
	const free = "(due_ms <= ? OR due_ms > ?)"
	at, until := db.Millis(now), db.Millis(now.Add(lease))
	var due int64 // most rounds find nothing: do not take the writing lock for that
	if err := s.db.Read(ctx).Raw("SELECT count(*) FROM (SELECT 1 FROM order_outbox WHERE "+free+" LIMIT 1) d", at, until).Scan(&due).Error; err != nil || due == 0 {
		return nil, err
	}
	var rows []outboxRow
	err := s.db.Tx(ctx, func(ctx context.Context) error {
		return s.db.Write(ctx).Raw("UPDATE order_outbox SET lease_by = ?, due_ms = ?, tries = tries + 1 WHERE "+free+
			" AND id IN (SELECT id FROM order_outbox WHERE "+free+" ORDER BY id LIMIT ?) RETURNING *",
			worker, until, at, until, at, until, n).Scan(&rows).Error
	})
	slices.SortFunc(rows, func(a, b outboxRow) int { return int(a.ID - b.ID) })
	return rows, err
}

func (s store) deleteOutbox(ctx context.Context, ids []int64) error {
	return s.db.Write(ctx).Where("id IN ?", ids).Delete(&outboxRow{}).Error
}

func (s store) postponeOutbox(ctx context.Context, ids []int64, until time.Time) error {
	return s.db.Write(ctx).Model(&outboxRow{}).Where("id IN ?", ids).Updates(map[string]any{"due_ms": db.Millis(until)}).Error
}
