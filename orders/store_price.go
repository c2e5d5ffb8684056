package orders

import (
	"context"
	"time"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/pricing"
)

type priceRow struct {
	OrderID     string `gorm:"primaryKey"`
	GoodsFen    int64
	CouponFen   int64
	PointsFen   int64
	ShippingFen int64
	Province    string
}

func (priceRow) TableName() string { return "order_prices" }

type linePriceRow struct {
	OrderID   string `gorm:"primaryKey"`
	Position  int64  `gorm:"primaryKey;autoIncrement:false"`
	CouponFen int64
	PointsFen int64
	FlashID   int64
	GiftID    int64
}

func (linePriceRow) TableName() string { return "order_line_prices" }

type orderCouponRow struct {
	OrderID  string `gorm:"primaryKey"`
	Position int64  `gorm:"primaryKey;autoIncrement:false"`
	Code     string
	CouponID int64
	Title    string
	OffFen   int64
}

func (orderCouponRow) TableName() string { return "order_coupons" }

// priceStep is the schema of breakdowns: an order that has none has no rows.
func priceStep() db.Migration {
	return db.Migration{ID: "20261125-orders-prices", Up: func(g *gorm.DB) error {
		type orderPrice struct {
			OrderID     string `gorm:"primaryKey;size:32"`
			GoodsFen    int64  `gorm:"not null;check:order_prices_goods,goods_fen >= 0"`
			CouponFen   int64  `gorm:"not null;check:order_prices_coupon,coupon_fen >= 0"`
			PointsFen   int64  `gorm:"not null;check:order_prices_points,points_fen >= 0 and coupon_fen + points_fen <= goods_fen"`
			ShippingFen int64  `gorm:"not null;check:order_prices_shipping,shipping_fen >= 0"`
			Province    string `gorm:"not null"`
		}
		type orderLinePrice struct {
			OrderID   string `gorm:"primaryKey;size:32"`
			Position  int64  `gorm:"primaryKey;autoIncrement:false"`
			CouponFen int64  `gorm:"not null;check:order_line_prices_coupon,coupon_fen >= 0"`
			PointsFen int64  `gorm:"not null;check:order_line_prices_points,points_fen >= 0"`
			FlashID   int64  `gorm:"not null"`
			GiftID    int64  `gorm:"not null"`
		}
		type orderCoupon struct {
			OrderID  string `gorm:"primaryKey;size:32"`
			Position int64  `gorm:"primaryKey;autoIncrement:false"`
			Code     string `gorm:"not null;size:32"`
			CouponID int64  `gorm:"not null"`
			Title    string `gorm:"not null"`
			OffFen   int64  `gorm:"not null;check:order_coupons_off,off_fen > 0"`
		}
		for _, t := range []struct {
			name  string
			model any
		}{{"order_prices", &orderPrice{}}, {"order_line_prices", &orderLinePrice{}}, {"order_coupons", &orderCoupon{}}} {
			if err := g.Table(t.name).Migrator().CreateTable(t.model); err != nil {
				return err
			}
		}
		return g.Exec("CREATE INDEX orders_deals ON orders (paid_ms) WHERE paid_ms > 0").Error
	}}
}

// addPrices writes the breakdowns of new orders, one statement a table.
func (s store) addPrices(ctx context.Context, orders []*Order) error {
	var prices []priceRow
	var lines []linePriceRow
	var coupons []orderCouponRow
	for _, o := range orders {
		b := o.Breakdown
		prices = append(prices, priceRow{o.ID, b.GoodsFen, b.CouponFen, b.PointsFen, b.ShippingFen, b.Province})
		gifts := len(b.Lines) - len(b.Gifts) // these stand behind
		for i, p := range b.Lines {
			row := linePriceRow{OrderID: o.ID, Position: int64(i), CouponFen: p.CouponFen, PointsFen: p.PointsFen, FlashID: p.FlashID}
			if i >= gifts {
				row.GiftID = b.Gifts[i-gifts].ID
			}
			lines = append(lines, row)
		}
		for i, c := range b.Coupons {
			coupons = append(coupons, orderCouponRow{o.ID, int64(i), c.Code, c.ID, c.Title, c.OffFen})
		}
	}
	if err := db.Insert(ctx, s.db, prices, ""); err != nil {
		return err
	}
	if err := db.Insert(ctx, s.db, lines, ""); err != nil {
		return err
	}
	return db.Insert(ctx, s.db, coupons, "")
}

// fillPrices adds the breakdowns of orders whose lines are known; while none of them has one, it is one look-up.
func (s store) fillPrices(ctx context.Context, ids []string, index map[string]*Order) error {
	var prices []priceRow
	if err := s.db.Read(ctx).Where(db.In(s.db, "order_id", ids)).Find(&prices).Error; err != nil || len(prices) == 0 {
		return err
	}
	priced := make([]string, len(prices))
	for i, r := range prices {
		priced[i] = r.OrderID
		index[r.OrderID].Breakdown = &pricing.Breakdown{
			GoodsFen: r.GoodsFen, CouponFen: r.CouponFen, PointsFen: r.PointsFen, ShippingFen: r.ShippingFen,
			TotalFen: r.GoodsFen - r.CouponFen - r.PointsFen + r.ShippingFen, Province: r.Province,
		}
	}
	var lines []linePriceRow
	if err := s.db.Read(ctx).Where(db.In(s.db, "order_id", priced)).Order("order_id, position").Find(&lines).Error; err != nil {
		return err
	}
	for _, r := range lines {
		index[r.OrderID].part(r)
	}
	var coupons []orderCouponRow
	if err := s.db.Read(ctx).Where(db.In(s.db, "order_id", priced)).Order("order_id, position").Find(&coupons).Error; err != nil {
		return err
	}
	for _, r := range coupons {
		b := index[r.OrderID].Breakdown
		b.Coupons = append(b.Coupons, pricing.Applied{Code: r.Code, ID: r.CouponID, Title: r.Title, OffFen: r.OffFen})
	}
	return nil
}

// part puts one line's row into the order's breakdown.
func (o *Order) part(r linePriceRow) {
	l, b := &o.Lines[r.Position], o.Breakdown
	fen := l.PriceFen * l.Quantity
	b.Lines = append(b.Lines, pricing.Part{
		SKUID: l.SKUID, Quantity: l.Quantity, PriceFen: l.PriceFen, GoodsFen: fen, CouponFen: r.CouponFen, PointsFen: r.PointsFen,
		PaidFen: fen - r.CouponFen - r.PointsFen, FlashID: r.FlashID, Gift: r.GiftID != 0,
	})
	if r.FlashID != 0 {
		b.Flash = append(b.Flash, pricing.FlashUnits{ID: r.FlashID, SKUID: l.SKUID, Units: l.Quantity})
	}
	if r.GiftID != 0 {
		l.Gift = true
		b.Gifts = append(b.Gifts, pricing.Given{
			Gift:  pricing.Gift{ID: r.GiftID, Title: l.Title, SKUName: l.SKUName, SKUID: l.SKUID, ProductID: l.ProductID, Quantity: l.Quantity, Fresh: l.Fresh},
			Units: l.Quantity,
		})
	}
}

func (s store) lowestDeals(ctx context.Context, from, to time.Time, skuIDs []int64) (map[int64]int64, error) {
	var rows []struct {
		SKUID int64 `gorm:"column:sku_id"`
		Fen   int64
	}
	err := s.db.Read(ctx).Raw(`SELECT l.sku_id, min((l.price_fen * l.quantity - coalesce(p.coupon_fen, 0)) / l.quantity) AS fen
		FROM orders o JOIN order_lines l ON l.order_id = o.id LEFT JOIN order_line_prices p ON p.order_id = l.order_id AND p.position = l.position
		WHERE o.paid_ms > 0 AND o.paid_ms >= ? AND o.paid_ms < ? AND o.channel = ? AND o.state <> 'refunded' AND l.sku_id IN ? AND coalesce(p.gift_id, 0) = 0
		GROUP BY l.sku_id`, db.Millis(from), db.Millis(to), roomChannel, skuIDs).Scan(&rows).Error
	out := make(map[int64]int64, len(rows))
	for _, r := range rows {
		out[r.SKUID] = r.Fen
	}
	return out, err
}

func (s store) spent(ctx context.Context) (out Spent, err error) {
	err = s.db.Read(ctx).Raw(`SELECT coalesce(sum(p.coupon_fen), 0) AS coupon_fen, coalesce(sum(p.points_fen), 0) AS points
		FROM order_prices p JOIN orders o ON o.id = p.order_id WHERE o.state NOT IN ('cancelled', 'refunded')`).Scan(&out).Error
	return out, err
}
