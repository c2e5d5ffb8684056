package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// store is the only user of gorm in this package.
type store struct{ db *db.DB }

type productRow struct {
	ID            int64
	Title         string
	Subtitle      string
	Description   string
	Category      string
	Origin        string
	LicenceNo     string
	Fresh         bool
	SellingPoints string
	BannedWords   string
	State         string
	CheckedBy     string
	CheckedMs     int64
	CreatedMs     int64
	Words         string // what search looks at, in lower case
}

func (productRow) TableName() string { return "products" }

type skuRow struct {
	ID        int64
	ProductID int64
	Position  int64
	Name      string
	PriceFen  int64
	Free      int64
	Reserved  int64
	Sold      int64
	Stopped   bool
	LowAt     int64
}

func (skuRow) TableName() string { return "skus" }

type movementRow struct {
	ID       int64
	SKUID    int64 `gorm:"column:sku_id"`
	AtMs     int64
	Kind     string
	Free     int64
	Reserved int64
	Sold     int64
	Ref      string
	Reason   string
	By       string `gorm:"column:by_name"`
}

func (movementRow) TableName() string { return "stock_movements" }

type pictureRow struct {
	ID        int64
	ProductID int64
	Name      string
	Width     int
	Height    int
}

func (pictureRow) TableName() string { return "pictures" }

func rowOf(p Product) productRow {
	words := []string{p.Title, p.Subtitle, p.Category, p.Origin, p.LicenceNo}
	return productRow{
		ID: p.ID, Title: p.Title, Subtitle: p.Subtitle, Description: p.Description, Category: p.Category, Origin: p.Origin, LicenceNo: p.LicenceNo,
		Fresh: p.Fresh, SellingPoints: toJSON(p.SellingPoints), BannedWords: toJSON(p.BannedWords), State: string(p.State), CheckedBy: p.CheckedBy,
		CheckedMs: db.Millis(p.CheckedAt), CreatedMs: db.Millis(p.CreatedAt), Words: strings.ToLower(strings.Join(words, " ")),
	}
}

func (r productRow) product() Product {
	return Product{
		ID: r.ID, Title: r.Title, Subtitle: r.Subtitle, Description: r.Description, Category: r.Category, Origin: r.Origin, LicenceNo: r.LicenceNo,
		Fresh: r.Fresh, SellingPoints: fromJSON(r.SellingPoints), BannedWords: fromJSON(r.BannedWords), State: State(r.State), CheckedBy: r.CheckedBy,
		CheckedAt: db.Time(r.CheckedMs), CreatedAt: db.Time(r.CreatedMs),
	}
}

func (r skuRow) sku() SKU {
	return SKU{ID: r.ID, ProductID: r.ProductID, Name: r.Name, PriceFen: r.PriceFen, Free: r.Free, Reserved: r.Reserved, Sold: r.Sold, Stopped: r.Stopped, LowAt: r.LowAt}
}

func toJSON(lines []string) string {
	if lines == nil {
		lines = []string{}
	}
	raw, _ := json.Marshal(lines) // strings always marshal
	return string(raw)
}

func fromJSON(s string) []string {
	lines := []string{}
	_ = json.Unmarshal([]byte(s), &lines) // our own writing
	return lines
}

func (s store) add(ctx context.Context, p *Product) error {
	row := rowOf(*p)
	err := s.db.Write(ctx).Create(&row).Error
	p.ID = row.ID
	return err
}

func (s store) save(ctx context.Context, p Product) error {
	row := rowOf(p)
	return s.db.Write(ctx).Model(&productRow{}).Where("id = ?", p.ID).Select("*").Omit("id", "created_ms").Updates(&row).Error
}

// lockProduct gives a product without SKUs and pictures and holds its row until the end of the transaction.
func (s store) lockProduct(ctx context.Context, id int64) (Product, error) {
	var row productRow
	err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where("id = ?", id).Take(&row).Error
	if errors.Is(err, gorm.ErrRecordNotFound) {
		return Product{}, fault.Missing("product")
	}
	return row.product(), err
}

func (s store) get(ctx context.Context, id int64) (Product, error) {
	found, err := s.byIDs(ctx, []int64{id})
	if err != nil {
		return Product{}, err
	}
	p, ok := found[id]
	if !ok {
		return Product{}, fault.Missing("product")
	}
	return p, nil
}

func (s store) byIDs(ctx context.Context, ids []int64) (map[int64]Product, error) {
	out := map[int64]Product{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []productRow
	if err := s.db.Read(ctx).Where("id in ?", ids).Find(&rows).Error; err != nil {
		return nil, err
	}
	all, err := s.complete(ctx, rows)
	for _, p := range all {
		out[p.ID] = p
	}
	return out, err
}

// complete adds SKUs and pictures to products, in one query each.
func (s store) complete(ctx context.Context, rows []productRow) ([]Product, error) {
	ids := make([]int64, len(rows))
	out := make([]Product, len(rows))
	at := map[int64]*Product{}
	for i, r := range rows {
		ids[i], out[i] = r.ID, r.product()
		at[r.ID] = &out[i]
	}
	if len(rows) == 0 {
		return out, nil
	}
	var skus []skuRow
	if err := s.db.Read(ctx).Where("product_id in ?", ids).Order("position, id").Find(&skus).Error; err != nil {
		return nil, err
	}
	for _, r := range skus {
		at[r.ProductID].SKUs = append(at[r.ProductID].SKUs, r.sku())
	}
	var pictures []pictureRow
	if err := s.db.Read(ctx).Where("product_id in ?", ids).Order("id").Find(&pictures).Error; err != nil {
		return nil, err
	}
	for _, r := range pictures {
		at[r.ProductID].Pictures = append(at[r.ProductID].Pictures, Picture(r))
	}
	return out, nil
}

func (s store) list(ctx context.Context, f Filter) ([]Product, error) {
	q := s.db.Read(ctx).Where("id > ?", f.After).Order("id").Limit(f.Limit)
	if f.State != "" {
		q = q.Where("state = ?", string(f.State))
	}
	if f.Category != "" {
		q = q.Where("category = ?", f.Category)
	}
	for _, w := range strings.Fields(strings.ToLower(f.Query)) {
		like := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(w) + "%"
		q = q.Where(`words like ? escape '\' or exists (select 1 from skus where skus.product_id = products.id and lower(skus.name) like ? escape '\')`, like, like)
	}
	var rows []productRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.complete(ctx, rows)
}

func (s store) addSKU(ctx context.Context, productID, position int64, e SKUEdit) (int64, error) {
	row := skuRow{ProductID: productID, Position: position, Name: e.Name, PriceFen: e.PriceFen}
	err := s.db.Write(ctx).Create(&row).Error
	return row.ID, err
}

func (s store) changeSKU(ctx context.Context, productID int64, e SKUEdit) error {
	done := s.db.Write(ctx).Model(&skuRow{}).Where("id = ? and product_id = ?", e.ID, productID).
		Updates(map[string]any{"name": e.Name, "price_fen": e.PriceFen})
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.Missing("sku")
	}
	return done.Error
}

func skuMap(rows []skuRow) map[int64]SKU {
	out := make(map[int64]SKU, len(rows))
	for _, r := range rows {
		out[r.ID] = r.sku()
	}
	return out
}

func (s store) skus(ctx context.Context, ids []int64) (map[int64]SKU, error) {
	if len(ids) == 0 {
		return map[int64]SKU{}, nil
	}
	var rows []skuRow
	err := s.db.Read(ctx).Where("id in ?", ids).Find(&rows).Error
	return skuMap(rows), err
}

// lockSKUs gives SKUs and holds their rows, locked in id order, until the end of the transaction.
func (s store) lockSKUs(ctx context.Context, ids []int64) (map[int64]SKU, error) {
	if len(ids) == 0 {
		return map[int64]SKU{}, nil
	}
	var rows []skuRow
	err := s.db.Write(ctx).Clauses(clause.Locking{Strength: "UPDATE"}).Where(db.In(s.db, "id", ids)).Order("id").Find(&rows).Error
	return skuMap(rows), err
}

// addAmounts changes the amounts of SKUs, each once, in one statement, unless one would become negative. Their rows must be
// locked, or be one: the statement locks in any order.
func (s store) addAmounts(ctx context.Context, sums []movement) error {
	var done *gorm.DB
	if s.db.Dialect() == db.Postgres {
		ids, free, reserved, sold := make([]int64, len(sums)), make([]int64, len(sums)), make([]int64, len(sums)), make([]int64, len(sums))
		for i, m := range sums {
			ids[i], free[i], reserved[i], sold[i] = m.sku, m.free, m.reserved, m.sold
		}
		done = s.db.Write(ctx).Exec("with d as (select * from unnest(?::bigint[], ?::bigint[], ?::bigint[], ?::bigint[]) as t (id, free, reserved, sold)) "+addAll,
			&ids, &free, &reserved, &sold)
	} else {
		all := make([][4]int64, len(sums))
		for i, m := range sums {
			all[i] = [4]int64{m.sku, m.free, m.reserved, m.sold}
		}
		raw, err := json.Marshal(all)
		if err != nil {
			return err
		}
		done = s.db.Write(ctx).Exec(`with d (id, free, reserved, sold) as (select json_extract(value, '$[0]'), json_extract(value, '$[1]'), json_extract(value, '$[2]'),
			json_extract(value, '$[3]') from json_each(?)) `+addAll, string(raw))
	}
	if done.Error != nil || done.RowsAffected == int64(len(sums)) {
		return done.Error
	}
	if len(sums) == 1 && sums[0].free < 0 {
		return ErrSoldOut
	}
	return fmt.Errorf("stock of a SKU would become negative: %+v", sums)
}

// addAll adds d to the SKUs that it can be added to.
const addAll = `update skus set free = skus.free + d.free, reserved = skus.reserved + d.reserved, sold = skus.sold + d.sold from d
	where skus.id = d.id and skus.free + d.free >= 0 and skus.reserved + d.reserved >= 0 and skus.sold + d.sold >= 0`

func (s store) addMovements(ctx context.Context, moves []movement, at time.Time, by string) error {
	rows := make([]movementRow, len(moves))
	for i, m := range moves {
		rows[i] = movementRow{SKUID: m.sku, AtMs: db.Millis(at), Kind: m.kind, Free: m.free, Reserved: m.reserved, Sold: m.sold, Ref: m.ref, Reason: m.reason, By: by}
	}
	return db.Insert(ctx, s.db, rows, "")
}

func (s store) movements(ctx context.Context, skuID, before int64, limit int) ([]Movement, error) {
	q := s.db.Read(ctx).Where("sku_id = ?", skuID).Order("id desc").Limit(limit)
	if before > 0 {
		q = q.Where("id < ?", before)
	}
	var rows []movementRow
	err := q.Find(&rows).Error
	out := make([]Movement, len(rows))
	for i, r := range rows {
		out[i] = Movement{r.ID, db.Time(r.AtMs), r.Kind, r.Free, r.Reserved, r.Sold, r.Ref, r.Reason, r.By}
	}
	return out, err
}

func (s store) amounts(ctx context.Context) (reserved, sold map[int64]int64, err error) {
	var rows []skuRow
	if err = s.db.Read(ctx).Select("id, reserved, sold").Find(&rows).Error; err != nil {
		return nil, nil, err
	}
	reserved, sold = map[int64]int64{}, map[int64]int64{}
	for _, r := range rows {
		reserved[r.ID], sold[r.ID] = r.Reserved, r.Sold
	}
	return reserved, sold, nil
}

// Book is what the rows say of one SKU.
type Book struct {
	ID, Free, Reserved, Sold            int64
	Initial, Restocked, WrittenOff      int64 // by the movements; written off as a positive number
	MovedFree, MovedReserved, MovedSold int64 // sums of all movements
	Stopped                             bool
}

// books adds every SKU's movements up, in one query; id 0: all SKUs.
func (s store) books(ctx context.Context, id int64) ([]Book, error) {
	var rows []Book
	where, args := "", []any{}
	if id != 0 {
		where, args = "where k.id = ?", []any{id}
	}
	err := s.db.Read(ctx).Raw(`select k.id, k.free, k.reserved, k.sold, k.stopped,
		coalesce(sum(m.free), 0) as moved_free, coalesce(sum(m.reserved), 0) as moved_reserved, coalesce(sum(m.sold), 0) as moved_sold,
		coalesce(sum(case when m.kind = 'initial' then m.free else 0 end), 0) as initial,
		coalesce(sum(case when m.kind = 'restock' then m.free else 0 end), 0) as restocked,
		coalesce(sum(case when m.kind = 'write-off' then -m.free else 0 end), 0) as written_off
		from skus k left join stock_movements m on m.sku_id = k.id `+where+` group by k.id, k.free, k.reserved, k.sold, k.stopped order by k.id`, args...).Scan(&rows).Error
	return rows, err
}

// stop gives which of the SKUs were not stopped before.
func (s store) stop(ctx context.Context, ids []int64) ([]int64, error) {
	var fresh []int64
	if err := s.db.Write(ctx).Model(&skuRow{}).Where("id in ? and stopped = ?", ids, false).Order("id").Pluck("id", &fresh).Error; err != nil || len(fresh) == 0 {
		return nil, err
	}
	return fresh, s.db.Write(ctx).Model(&skuRow{}).Where("id in ?", fresh).Update("stopped", true).Error
}

func (s store) stopped(ctx context.Context) ([]SKU, error) {
	var rows []skuRow
	err := s.db.Read(ctx).Where("stopped = ?", true).Order("id").Find(&rows).Error
	out := make([]SKU, len(rows))
	for i, r := range rows {
		out[i] = r.sku()
	}
	return out, err
}

func (s store) resume(ctx context.Context, id int64) error {
	done := s.db.Write(ctx).Model(&skuRow{}).Where("id = ?", id).Update("stopped", false)
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.Missing("sku")
	}
	return done.Error
}

func (s store) addPicture(ctx context.Context, p *Picture) error {
	var n int64
	if err := s.db.Write(ctx).Model(&pictureRow{}).Where("product_id = ?", p.ProductID).Count(&n).Error; err != nil {
		return err
	}
	if n >= maxPictures {
		return ErrPictures
	}
	row := pictureRow(*p)
	err := s.db.Write(ctx).Create(&row).Error
	p.ID = row.ID
	return err
}

func (s store) dropPicture(ctx context.Context, productID, id int64) error {
	done := s.db.Write(ctx).Where("id = ? and product_id = ?", id, productID).Delete(&pictureRow{})
	if done.Error == nil && done.RowsAffected == 0 {
		return fault.Missing("picture")
	}
	return done.Error
}

func (s store) listings(ctx context.Context, ids []int64) (map[int64]Listing, error) {
	out := map[int64]Listing{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []struct {
		SKU   skuRow `gorm:"embedded"`
		Title string
		Fresh bool
		State string
	}
	err := s.db.Read(ctx).Table("skus").Select("skus.*, products.title, products.fresh, products.state").
		Joins("join products on products.id = skus.product_id").Where(db.In(s.db, "skus.id", ids)).Scan(&rows).Error
	for _, r := range rows {
		out[r.SKU.ID] = Listing{r.SKU.sku(), r.Title, r.Fresh, r.State == string(Checked) && !r.SKU.Stopped}
	}
	return out, err
}

// levels adds movements up: those before from in the database, those after it one by one. Steps that end above 0 and
// began above 0 are left out, for a busy evening has thousands.
func (s store) levels(ctx context.Context, ids []int64, from, to time.Time) ([]Level, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	var before []struct {
		SKUID int64 `gorm:"column:sku_id"`
		Free  int64
	}
	err := s.db.Read(ctx).Model(&movementRow{}).Select("sku_id, sum(free) as free").
		Where("sku_id in ? and at_ms < ?", ids, db.Millis(from)).Group("sku_id").Scan(&before).Error
	if err != nil {
		return nil, err
	}
	level := map[int64]int64{}
	for _, b := range before {
		level[b.SKUID] = b.Free
	}
	out := make([]Level, 0, len(ids))
	for _, id := range ids {
		out = append(out, Level{id, from, level[id]})
	}
	var rows []movementRow
	err = s.db.Read(ctx).Select("sku_id, at_ms, free").
		Where("sku_id in ? and at_ms >= ? and at_ms <= ? and free <> 0", ids, db.Millis(from), db.Millis(to)).Order("id").Find(&rows).Error
	for _, r := range rows {
		was := level[r.SKUID]
		level[r.SKUID] += r.Free
		if (was > 0) != (level[r.SKUID] > 0) {
			out = append(out, Level{r.SKUID, db.Time(r.AtMs), level[r.SKUID]})
		}
	}
	return out, err
}
