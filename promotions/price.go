package promotions

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/pricing"
)

// PointsRef begins the refs under which points are spent for orders.
const PointsRef = "order/"

// What orders asks inside its own transactions. Rows are locked in one order everywhere, so that two processes never wait
// for each other: flash sales, gifts, coupons, copies in hand, points; each by id.

// Price gives each basket its breakdown or a fault, in order of arrival: a basket sees what those before it would use.
// Inside a transaction what it has read stays as it is until the end; Take then uses it up. Outside of one it is a quote.
// While no promotion is in force and none is asked for, it costs one look-up for all baskets.
func (s *Service) Price(ctx context.Context, baskets []pricing.Basket) ([]pricing.Priced, error) {
	r, err := s.rules(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]pricing.Priced, len(baskets))
	if !r.concern(baskets) {
		return out, nil
	}
	t, err := s.open(ctx, r, baskets)
	if err != nil {
		return nil, err
	}
	for i, b := range baskets {
		got, err := pricing.Price(b, t.terms(b))
		switch {
		case err != nil && fault.KindOf(err) == fault.Internal:
			return nil, err
		case err != nil:
			out[i].Err = err
		case !got.Plain():
			out[i].Breakdown = &got
			t.use(b.BuyerID, &got, 1)
		}
	}
	return out, nil
}

// concern reports whether anything but the shelf's prices may count for one of the baskets.
func (r rules) concern(baskets []pricing.Basket) bool {
	if len(r.gifts)+len(r.templates) > 0 {
		return true
	}
	return slices.ContainsFunc(baskets, func(b pricing.Basket) bool {
		return b.Points != 0 || len(b.Codes) > 0 || len(r.flash) > 0 && slices.ContainsFunc(b.Lines, func(l pricing.Line) bool {
			return r.flash[flashKey{b.SessionID, l.SKUID}].Running(b.At)
		})
	})
}

// till is everything that some baskets are priced by, as it stands after those that have been priced.
type till struct {
	rules
	sales   map[int64]Flash
	mine    map[buyerSale]int64 // units a buyer has of a sale
	gifts   map[int64]Gift
	goods   map[int64]Good
	coupons map[int64]Coupon
	held    map[string]Held
	points  map[int64]int64
}

type buyerSale struct{ buyer, sale int64 }

// open reads, and in a transaction locks, what the baskets may use.
func (s *Service) open(ctx context.Context, r rules, baskets []pricing.Basket) (*till, error) {
	t := &till{rules: r, points: map[int64]int64{}}
	var sales, buyers, payers []int64
	var codes []string
	for _, b := range baskets {
		for _, l := range b.Lines {
			if f, ok := r.flash[flashKey{b.SessionID, l.SKUID}]; ok && f.Running(b.At) {
				sales, buyers = append(sales, f.ID), append(buyers, b.BuyerID)
			}
		}
		codes = append(codes, b.Codes...)
		if b.Points > 0 {
			payers = append(payers, b.BuyerID)
		}
	}
	var err error
	if t.sales, t.mine, err = s.store.salesFor(ctx, unique(sales), unique(buyers)); err != nil {
		return nil, err
	}
	if err := s.openGifts(ctx, t, baskets); err != nil {
		return nil, err
	}
	if t.coupons, t.held, err = s.store.couponsFor(ctx, unique(codes)); err != nil {
		return nil, err
	}
	if len(payers) > 0 {
		t.points, err = s.Points.Balances(ctx, unique(payers))
	}
	return t, err
}

// openGifts reads the gifts that are offered now, and what there is of them.
func (s *Service) openGifts(ctx context.Context, t *till, baskets []pricing.Basket) error {
	var ids, skus []int64
	for _, g := range t.rules.gifts {
		if slices.ContainsFunc(baskets, func(b pricing.Basket) bool { return !b.At.Before(g.From) && b.At.Before(g.Until) }) {
			ids, skus = append(ids, g.ID), append(skus, g.SKUID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	var err error
	if t.gifts, err = s.store.giftsFor(ctx, unique(ids)); err != nil {
		return err
	}
	t.goods, err = s.Goods.Goods(ctx, unique(skus))
	return err
}

func unique[T cmp.Ordered](all []T) []T { slices.Sort(all); return slices.Compact(all) }

// terms gives what decides one basket's price.
func (t *till) terms(b pricing.Basket) pricing.Terms {
	out := pricing.Terms{Points: t.points[b.BuyerID], Templates: t.templates, Weights: t.weights, Flash: map[int64]pricing.Flash{}}
	for _, l := range b.Lines {
		if f, ok := t.sales[t.flash[flashKey{b.SessionID, l.SKUID}].ID]; ok && f.Running(b.At) {
			out.Flash[l.SKUID] = pricing.Flash{ID: f.ID, PriceFen: f.PriceFen, Left: f.Stock - f.Taken, Mine: t.share(f, b.BuyerID)}
		}
	}
	for _, code := range b.Codes {
		out.Coupons = append(out.Coupons, t.coupon(code, b.BuyerID))
	}
	for _, g := range t.rules.gifts {
		if now, ok := t.gifts[g.ID]; ok && !now.Stopped {
			out.Gifts = append(out.Gifts, t.gift(now))
		}
	}
	return out
}

// share is how many units of a sale a buyer may still have.
func (t *till) share(f Flash, buyer int64) int64 {
	if f.PerPerson == 0 {
		return f.Stock
	}
	return f.PerPerson - t.mine[buyerSale{buyer, f.ID}]
}

// coupon gives what a code stands for in a buyer's hand; somebody else's is as missing as one that does not exist.
func (t *till) coupon(code string, buyer int64) pricing.Coupon {
	h, ok := t.held[code]
	if !ok || h.BuyerID != buyer {
		return pricing.Coupon{Code: code, Missing: true}
	}
	c := t.coupons[h.Coupon.ID]
	left := int64(-1)
	if c.BudgetFen > 0 {
		left = c.BudgetFen - c.SpentFen
	}
	return pricing.Coupon{
		Code: code, ID: c.ID, Title: c.Title, Percent: c.Percent, OffFen: c.OffFen, CapFen: c.CapFen, ThresholdFen: c.ThresholdFen,
		Products: c.Products, Sessions: c.Sessions, From: c.From, Until: c.Until, LeftFen: left, Spent: h.OrderID != "", Stopped: c.Stopped,
	}
}

func (t *till) gift(g Gift) pricing.Gift {
	good := t.goods[g.SKUID]
	left := good.Free
	if g.Quota > 0 {
		left = min(left, g.Quota-g.Given)
	}
	return pricing.Gift{
		ID: g.ID, Title: good.Title, SKUName: good.SKUName, SKUID: g.SKUID, ProductID: good.ProductID, Quantity: g.Quantity, Fresh: good.Fresh,
		ThresholdFen: g.ThresholdFen, Products: g.Products, Sessions: g.Sessions, From: g.From, Until: g.Until, Left: left,
	}
}

// use counts what a breakdown uses: once more for sign 1, back for -1.
func (t *till) use(buyer int64, b *pricing.Breakdown, sign int64) {
	for _, f := range b.Flash {
		sale := t.sales[f.ID]
		sale.Taken += sign * f.Units
		t.sales[f.ID] = sale
		t.mine[buyerSale{buyer, f.ID}] += sign * f.Units
	}
	for _, g := range b.Gifts {
		gift, good := t.gifts[g.ID], t.goods[g.SKUID]
		gift.Given += sign * g.Units
		good.Free -= sign * g.Units
		t.gifts[g.ID], t.goods[g.SKUID] = gift, good
	}
	for _, c := range b.Coupons {
		coupon, held := t.coupons[c.ID], t.held[c.Code]
		coupon.SpentFen += sign * c.OffFen
		held.OrderID = map[int64]string{1: "priced"}[sign]
		t.coupons[c.ID], t.held[c.Code] = coupon, held
	}
	t.points[buyer] -= sign * b.PointsFen
}

// Take uses up what orders were priced with, in the transaction of ctx. A fault means that somebody else was faster: the
// transaction must not be committed.
func (s *Service) Take(ctx context.Context, all []pricing.Spending) error {
	var uses []useRow
	for _, o := range all {
		if o.Breakdown != nil {
			uses = append(uses, usesOf(o)...)
		}
	}
	if len(uses) == 0 {
		return nil
	}
	if err := s.apply(ctx, uses, 1); err != nil {
		return err
	}
	return s.store.addUses(ctx, uses)
}

// usesOf lists what one order uses.
func usesOf(o pricing.Spending) []useRow {
	var uses []useRow
	add := func(kind useKind, id int64, ref string, units, fen int64) {
		uses = append(uses, useRow{OrderID: o.OrderID, Kind: string(kind), Ref: ref, BuyerID: o.BuyerID, ID: id, Units: units, Fen: fen, State: useTaken})
	}
	for _, f := range o.Breakdown.Flash {
		add(useFlash, f.ID, fmt.Sprint(f.ID), f.Units, 0)
	}
	for _, g := range o.Breakdown.Gifts {
		add(useGift, g.ID, fmt.Sprint(g.ID), g.Units, 0)
	}
	for _, c := range o.Breakdown.Coupons {
		add(useCoupon, c.ID, c.Code, 1, c.OffFen)
	}
	if n := o.Breakdown.PointsFen; n > 0 {
		add(usePoints, o.BuyerID, "points", n, n)
	}
	return uses
}

// apply moves counts, copies and points by the given uses, each guarded: sign 1 takes, -1 gives back.
func (s *Service) apply(ctx context.Context, uses []useRow, sign int64) error {
	for _, kind := range []useKind{useFlash, useGift, useCoupon} {
		sums := map[int64]int64{}
		for _, u := range uses {
			if u.Kind == string(kind) {
				sums[u.ID] += sign * u.amount()
			}
		}
		for _, id := range unique(keysOf(sums)) {
			if err := s.store.count(ctx, kind, id, sums[id]); err != nil {
				return err
			}
		}
	}
	slices.SortStableFunc(uses, func(a, b useRow) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Ref, b.Ref), cmp.Compare(a.OrderID, b.OrderID))
	})
	if sign > 0 {
		return s.hand(ctx, uses)
	}
	for _, u := range uses { // by kind: copies before points
		var err error
		switch useKind(u.Kind) {
		case useCoupon:
			err = s.store.freeHeld(ctx, u.Ref, u.OrderID)
		case usePoints:
			err = s.Points.Return(ctx, u.BuyerID, u.pointsRef(), u.Units)
		case useFlash, useGift: // counted above
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// hand spends copies and points of uses.
func (s *Service) hand(ctx context.Context, uses []useRow) error {
	var copies []useRow
	var points []pricing.PointsSpent
	for _, u := range uses {
		switch useKind(u.Kind) {
		case useCoupon:
			copies = append(copies, u)
		case usePoints:
			points = append(points, pricing.PointsSpent{Account: u.BuyerID, Points: u.Units, Ref: u.pointsRef()})
		case useFlash, useGift: // are counts only
		}
	}
	if err := s.store.spendHeld(ctx, copies, s.now()); err != nil || len(points) == 0 {
		return err
	}
	return s.Points.SpendAll(ctx, points)
}

func keysOf(m map[int64]int64) []int64 {
	ids := make([]int64, 0, len(m))
	for id := range m {
		ids = append(ids, id)
	}
	return ids
}

// GiveBack returns all that orders have used: they were cancelled, expired, or refunded in full. What has been given back
// is not given back again. A coupon that has expired meanwhile comes back expired; points last 30 days at least.
func (s *Service) GiveBack(ctx context.Context, orderIDs []string) error {
	uses, err := s.store.lockUses(ctx, orderIDs, useTaken)
	if err != nil || len(uses) == 0 {
		return err
	}
	if err := s.apply(ctx, uses, -1); err != nil {
		return err
	}
	return s.store.markUses(ctx, uses, useBack)
}

// Retake uses up once more what an order had given back: a late payment revives it. It says false, and takes nothing, when
// something of it is gone. The price stays what it was when the order was placed, so that a coupon's or a sale's end does
// not matter, only what is left.
func (s *Service) Retake(ctx context.Context, orderID string) (bool, error) {
	uses, err := s.store.lockUses(ctx, []string{orderID}, useBack)
	if err != nil || len(uses) == 0 {
		return err == nil, err
	}
	for i := range uses {
		uses[i].Turn++
	}
	if ok, err := s.still(ctx, uses); err != nil || !ok {
		return false, err
	}
	if err := s.apply(ctx, uses, 1); err != nil {
		return false, err
	}
	return true, s.store.markUses(ctx, uses, useTaken)
}

// still reports whether all of the uses can be had now, holding what they need.
func (s *Service) still(ctx context.Context, uses []useRow) (bool, error) {
	ids := map[string][]int64{}
	var codes []string
	for _, u := range uses {
		ids[u.Kind] = append(ids[u.Kind], u.ID)
		if u.Kind == string(useCoupon) {
			codes = append(codes, u.Ref)
		}
	}
	sales, _, err := s.store.salesFor(ctx, unique(ids[string(useFlash)]), nil)
	if err != nil {
		return false, err
	}
	gifts, err := s.store.giftsFor(ctx, unique(ids[string(useGift)]))
	if err != nil {
		return false, err
	}
	coupons, held, err := s.store.couponsFor(ctx, unique(codes))
	if err != nil {
		return false, err
	}
	var points map[int64]int64
	if payers := ids[string(usePoints)]; len(payers) > 0 {
		if points, err = s.Points.Balances(ctx, unique(payers)); err != nil {
			return false, err
		}
	}
	return !slices.ContainsFunc(uses, func(u useRow) bool {
		switch useKind(u.Kind) {
		case useFlash:
			return sales[u.ID].Taken+u.Units > sales[u.ID].Stock
		case useGift:
			return gifts[u.ID].Quota > 0 && gifts[u.ID].Given+u.Units > gifts[u.ID].Quota
		case useCoupon:
			c := coupons[u.ID]
			return held[u.Ref].OrderID != "" || c.BudgetFen > 0 && c.SpentFen+u.Fen > c.BudgetFen
		case usePoints:
			return points[u.BuyerID] < u.Units
		}
		return true
	}), nil
}

// Refunded gives an order's points back in proportion to the money that has been refunded of what was paid, in fen; when
// everything has been, all that it used comes back.
func (s *Service) Refunded(ctx context.Context, orderID string, refundedFen, paidFen int64) error {
	if refundedFen >= paidFen {
		return s.GiveBack(ctx, []string{orderID})
	}
	uses, err := s.store.lockUses(ctx, []string{orderID}, useTaken)
	if err != nil {
		return err
	}
	for _, u := range uses {
		if u.Kind != string(usePoints) {
			continue
		}
		if err := s.Points.Return(ctx, u.BuyerID, u.pointsRef(), pricing.PointsBack(u.Units, refundedFen, paidFen)); err != nil {
			return err
		}
	}
	return nil
}

// Postage gives what shipping would cost a basket to another province now: for an order whose address changes.
func (s *Service) Postage(ctx context.Context, b pricing.Basket, at time.Time) (int64, error) {
	r, err := s.rules(ctx)
	if err != nil || len(r.templates) == 0 {
		return 0, err
	}
	b.At, b.Codes, b.Points = at, nil, 0
	got, err := pricing.Price(b, pricing.Terms{Templates: r.templates, Weights: r.weights})
	return got.ShippingFen, err
}
