// Package pricing says what a basket costs: one pure function of the basket, the coupons in hand, the points to spend, the
// gifts and shipping templates in force, and the province it goes to. It reads nothing and keeps nothing, so that a quote,
// an order and a test get the same answer. Read this file first; shipping.go has the postage, back.go what comes back.
//
// The rules, which are our own where product.md gives none:
//
//   - Goods are unit price times quantity, a flash sale's price where one is given.
//   - Coupons go in this order: for products before for sessions before for everything; in each, fixed before percent; then
//     by code. A threshold is held against the eligible goods before any coupon, so that the order decides nothing about
//     who may use what. A percentage is taken of what the coupons before have left, and rounded down to the fen.
//   - Points pay goods after coupons, 1 point = 1 fen (product.md: 100 points = 1 yuan); never shipping.
//   - Every discount and the points are spread over the lines they are for by largest remainder, in proportion to what is
//     left of each line, so that a line never goes below zero and the parts add up to the fen.
//   - Coupons leave at least 1 fen of the goods, points at least 1 fen of the total: it is a payment that proves the buyer.
//   - Shipping is added last, per template: see shipping.go. A free-from bound is held against the goods after coupons.
//   - What exceeds money.Max is refused, never wrapped.
package pricing

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
)

// Bounds of what a basket may hold; a caller that checks earlier may name the field better.
const (
	MaxLines    = 50
	MaxQuantity = 999
	MaxCoupons  = 3
	MaxWeight   = 1_000_000 // grams of one unit
)

// Faults of a basket.
var (
	ErrCoupon    = fault.New(fault.Conflict, "coupon-not-usable", "this coupon can't be used for this order")
	ErrThreshold = fault.New(fault.Conflict, "coupon-threshold", "the goods this coupon is for don't reach its threshold")
	ErrPoints    = fault.New(fault.Conflict, "points", "not that many points can be used for this order")
	ErrTooMuch   = fault.Bad("items", "the total is more than one order may have: 100 million yuan")
	ErrFlash     = fault.New(fault.Conflict, "sold-out", "this flash sale has not enough left")
	ErrFlashMine = fault.New(fault.Conflict, "flash-limit", "you have had your share of this flash sale")
)

// Basket is what somebody wants to buy.
type Basket struct {
	BuyerID   int64
	SessionID int64
	At        time.Time // when it is bought
	Lines     []Line
	Codes     []string // of the buyer's coupons
	Points    int64
	Province  string // where it goes; empty: not said yet
}

// Line is one SKU of a basket.
type Line struct {
	SKUID, ProductID int64
	Quantity         int64 // units
	PriceFen         int64 // of one unit, at the session's terms
	Position         int   // in the request, for naming the field
}

// Terms is all that decides a basket's price besides itself.
type Terms struct {
	Flash     map[int64]Flash // by SKU
	Coupons   []Coupon        // those of the basket's codes, in their order
	Points    int64           // the buyer's spendable points
	Gifts     []Gift          // in force, in their order
	Templates []Template      // of shipping; none: shipping is free
	Weights   map[int64]int64 // grams of one unit by SKU; unknown: 0
}

// Flash is a running flash sale of one SKU.
type Flash struct {
	ID       int64
	PriceFen int64
	Left     int64 // units
	Mine     int64 // units this buyer may still have
}

// Coupon is one coupon in somebody's hand.
type Coupon struct {
	Code           string
	ID             int64 // of its kind; a basket takes one of each kind
	Title          string
	Percent        int64 // off, 1 to 99; 0: fixed
	OffFen         int64 // fixed
	CapFen         int64 // of a percentage; 0: none
	ThresholdFen   int64
	Products       []int64 // only for these; empty: for all
	Sessions       []int64 // only in these; empty: in all
	From, Until    time.Time
	LeftFen        int64 // of its budget; -1: no budget
	Missing, Spent bool  // not this buyer's; used already
	Stopped        bool
}

// Gift is goods that come along with a purchase.
type Gift struct {
	ID               int64
	Title, SKUName   string
	SKUID, ProductID int64
	Quantity         int64
	Fresh            bool
	ThresholdFen     int64   // of the eligible goods, after coupons
	Products         []int64 // bought; empty: any
	Sessions         []int64
	From, Until      time.Time
	Left             int64 // units that may still be given away, and are there
}

// Breakdown is what a basket costs and why. TotalFen = GoodsFen - CouponFen - PointsFen + ShippingFen.
type Breakdown struct {
	GoodsFen    int64
	CouponFen   int64
	PointsFen   int64 // as many points
	ShippingFen int64
	TotalFen    int64
	Lines       []Part // of the basket's lines, in their order; then gifts
	Coupons     []Applied
	Gifts       []Given
	Flash       []FlashUnits
	Province    string
}

// Part is one line's share: PaidFen = GoodsFen - CouponFen - PointsFen. Shipping belongs to no line.
type Part struct {
	SKUID     int64
	Quantity  int64
	PriceFen  int64 // of one unit
	GoodsFen  int64
	CouponFen int64
	PointsFen int64
	PaidFen   int64
	FlashID   int64 // 0: none
	Gift      bool
}

// Applied is one coupon's effect.
type Applied struct {
	Code   string
	ID     int64
	Title  string
	OffFen int64
}

// Given is a gift that comes along.
type Given struct {
	Gift
	Units int64
}

// FlashUnits is what is taken of a flash sale.
type FlashUnits struct{ ID, SKUID, Units int64 }

// Priced is the answer to one basket of many: a breakdown, nil where there is nothing but goods at their price, or a fault.
type Priced struct {
	Breakdown *Breakdown
	Err       error
}

// PointsSpent is points that one account spends under a ref of their own.
type PointsSpent struct {
	Account, Points int64
	Ref             string
}

// Spending is what one order uses up: its breakdown's coupons, points, gifts and flash sales.
type Spending struct {
	OrderID   string
	BuyerID   int64
	Breakdown *Breakdown
}

// Plain reports whether nothing but goods is in it: then nothing needs to be kept beside the order's lines.
func (b *Breakdown) Plain() bool {
	return b == nil || b.CouponFen == 0 && b.PointsFen == 0 && b.ShippingFen == 0 && len(b.Coupons)+len(b.Gifts)+len(b.Flash) == 0
}

// Price gives a basket its breakdown, or a fault that names the field.
func Price(b Basket, t Terms) (Breakdown, error) {
	out := Breakdown{Province: b.Province}
	for _, step := range []func(*Breakdown, Basket, Terms) error{goods, coupons, gifts, shipping, points} {
		if err := step(&out, b, t); err != nil {
			return Breakdown{}, err
		}
	}
	out.TotalFen = out.GoodsFen - out.CouponFen - out.PointsFen + out.ShippingFen
	if out.TotalFen > money.Max {
		return Breakdown{}, ErrTooMuch
	}
	return out, nil
}

// goods makes a part of every line, at the flash sale's price where there is one.
func goods(out *Breakdown, b Basket, t Terms) error {
	if len(b.Lines) == 0 || len(b.Lines) > MaxLines {
		return fault.Bad("items", fmt.Sprintf("1 to %d items", MaxLines))
	}
	for _, l := range b.Lines {
		p := Part{SKUID: l.SKUID, Quantity: l.Quantity, PriceFen: l.PriceFen}
		if l.Quantity < 1 || l.Quantity > MaxQuantity {
			return fault.Bad(l.at("quantity"), fmt.Sprintf("must be 1 to %d", MaxQuantity))
		}
		if f, ok := t.Flash[l.SKUID]; ok {
			if err := f.fits(l); err != nil {
				return err
			}
			p.PriceFen, p.FlashID = f.PriceFen, f.ID
			out.Flash = append(out.Flash, FlashUnits{f.ID, l.SKUID, l.Quantity})
		}
		if p.PriceFen < 0 || p.PriceFen > money.Max {
			return fmt.Errorf("pricing: SKU %d has the price %d", l.SKUID, p.PriceFen)
		}
		p.GoodsFen = p.PriceFen * p.Quantity
		p.PaidFen = p.GoodsFen
		out.GoodsFen += p.GoodsFen
		if out.GoodsFen > money.Max { // each step adds less than 2^44: no overflow before this sees it
			return ErrTooMuch
		}
		out.Lines = append(out.Lines, p)
	}
	return nil
}

func (f Flash) fits(l Line) error {
	switch {
	case l.Quantity > f.Left:
		return ErrFlash.At(l.at("quantity"))
	case l.Quantity > f.Mine:
		return ErrFlashMine.At(l.at("quantity")).Saying(fmt.Sprintf("you can have %d more of this flash sale", max(0, f.Mine)))
	}
	return nil
}

func (l Line) at(part string) string { return fmt.Sprintf("items[%d].%s", l.Position, part) }

// coupons takes the coupons off, in the order of the package's rules.
func coupons(out *Breakdown, b Basket, t Terms) error {
	if len(t.Coupons) > MaxCoupons {
		return fault.Bad("coupons", fmt.Sprintf("at most %d", MaxCoupons))
	}
	seen := map[int64]bool{}
	order := make([]int, len(t.Coupons))
	for i, c := range t.Coupons {
		field := fmt.Sprintf("coupons[%d]", i)
		if err := c.usable(b, field); err != nil {
			return err
		}
		if seen[c.ID] {
			return ErrCoupon.At(field).Saying("one order takes one coupon of each kind")
		}
		seen[c.ID] = true
		if sum, _ := eligible(out.Lines, b, c.Products, Part.goods); sum == 0 || sum < c.ThresholdFen {
			return ErrThreshold.At(field).Saying("this coupon needs goods for " + money.Yuan(max(c.ThresholdFen, 1)) + " yuan; there are " + money.Yuan(sum))
		}
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return t.Coupons[i].before(t.Coupons[j]) })
	for _, i := range order {
		if err := out.take(b, t.Coupons[i], fmt.Sprintf("coupons[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

// before orders two coupons.
func (c Coupon) before(d Coupon) int {
	return cmp.Or(cmp.Compare(c.scope(), d.scope()), cmp.Compare(min(c.Percent, 1), min(d.Percent, 1)), cmp.Compare(c.Code, d.Code))
}

func (c Coupon) scope() int {
	switch {
	case len(c.Products) > 0:
		return 0
	case len(c.Sessions) > 0:
		return 1
	}
	return 2
}

func (c Coupon) usable(b Basket, field string) error {
	switch {
	case c.Missing:
		return ErrCoupon.At(field).Saying("you have no such coupon")
	case c.Spent:
		return ErrCoupon.At(field).Saying("this coupon has been used")
	case c.Stopped:
		return ErrCoupon.At(field).Saying("this coupon has been stopped by the shop")
	case b.At.Before(c.From):
		return ErrCoupon.At(field).Saying("this coupon is not valid yet")
	case !b.At.Before(c.Until):
		return ErrCoupon.At(field).Saying("this coupon has expired")
	case len(c.Sessions) > 0 && !slices.Contains(c.Sessions, b.SessionID):
		return ErrCoupon.At(field).Saying("this coupon is for another live session")
	}
	return nil
}

// take applies one coupon.
func (b *Breakdown) take(in Basket, c Coupon, field string) error {
	left, weights := eligible(b.Lines, in, c.Products, Part.paid)
	off := c.OffFen
	if c.Percent > 0 {
		off = left / 100 * c.Percent
		off += left % 100 * c.Percent / 100
		if c.CapFen > 0 {
			off = min(off, c.CapFen)
		}
	}
	off = min(off, left, b.GoodsFen-b.CouponFen-1)
	if off <= 0 {
		return ErrCoupon.At(field).Saying("there is nothing left that this coupon could take off")
	}
	if c.LeftFen >= 0 && off > c.LeftFen {
		return ErrCoupon.At(field).Saying("this coupon's budget is used up")
	}
	for i, part := range money.Split(off, weights) {
		b.Lines[i].CouponFen += part
		b.Lines[i].PaidFen -= part
	}
	b.CouponFen += off
	b.Coupons = append(b.Coupons, Applied{c.Code, c.ID, c.Title, off})
	return nil
}

func (p Part) goods() int64 { return p.GoodsFen }
func (p Part) paid() int64  { return p.PaidFen }

// eligible sums what of each line; weights has 0 for the others.
func eligible(parts []Part, b Basket, products []int64, what func(Part) int64) (sum int64, weights []int64) {
	weights = make([]int64, len(parts))
	for i, p := range parts {
		if i < len(b.Lines) && (len(products) == 0 || slices.Contains(products, b.Lines[i].ProductID)) {
			weights[i] = what(p)
			sum += weights[i]
		}
	}
	return sum, weights
}

// gifts adds what comes along: each gift once, where its threshold is reached and enough is left.
func gifts(out *Breakdown, b Basket, t Terms) error {
	for _, g := range t.Gifts {
		sum, weights := eligible(out.Lines, b, g.Products, Part.paid)
		bought := slices.ContainsFunc(weights, func(w int64) bool { return w > 0 })
		switch {
		case !bought, sum < g.ThresholdFen, g.Left < g.Quantity, b.At.Before(g.From), !b.At.Before(g.Until):
			continue
		case len(g.Sessions) > 0 && !slices.Contains(g.Sessions, b.SessionID):
			continue
		case slices.ContainsFunc(b.Lines, func(l Line) bool { return l.SKUID == g.SKUID }), slices.ContainsFunc(out.Gifts, func(o Given) bool { return o.SKUID == g.SKUID }):
			continue // one order has one line of a SKU
		}
		out.Gifts = append(out.Gifts, Given{g, g.Quantity})
	}
	for _, g := range out.Gifts {
		out.Lines = append(out.Lines, Part{SKUID: g.SKUID, Quantity: g.Units, Gift: true})
	}
	return nil
}

// points pays with points, last: what is left of the goods, and a fen of money stays.
func points(out *Breakdown, b Basket, t Terms) error {
	if b.Points == 0 {
		return nil
	}
	goods := out.GoodsFen - out.CouponFen
	most := goods
	if out.ShippingFen == 0 {
		most = max(0, goods-1)
	}
	switch {
	case b.Points < 0:
		return fault.Bad("points", "must be 0 or more")
	case b.Points > t.Points:
		return ErrPoints.At("points").Saying(fmt.Sprintf("you have %d points", t.Points))
	case b.Points > most:
		return ErrPoints.At("points").Saying(fmt.Sprintf("at most %d points can be used for this order", most))
	}
	weights := make([]int64, len(out.Lines))
	for i, p := range out.Lines {
		weights[i] = p.PaidFen
	}
	for i, part := range money.Split(b.Points, weights) {
		out.Lines[i].PointsFen = part
		out.Lines[i].PaidFen -= part
	}
	out.PointsFen = b.Points
	return nil
}
