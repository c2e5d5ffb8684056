package orders

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/pricing"
)

// The seam between orders and what makes a price other than the shelf's: coupons, points, gifts, shipping, flash sales.
// The lane asks once a batch; an order that none of it concerns costs nothing more and keeps no rows of it.

// Pricing is what orders needs of the promotions. Every method joins the transaction in ctx.
type Pricing interface {
	// Price gives each basket a breakdown or a fault, in order of arrival, as if those before it had taken what they use;
	// nil where there is nothing but goods at their price. In a transaction what it read stays until the end of it.
	Price(ctx context.Context, baskets []pricing.Basket) ([]pricing.Priced, error)
	// Take uses up what orders were priced with. After an error nothing of the transaction may stay.
	Take(ctx context.Context, all []pricing.Spending) error
	// GiveBack returns all that orders have used; repeated, nothing.
	GiveBack(ctx context.Context, orderIDs []string) error
	// Retake uses up again what was given back; false, and nothing taken, when something of it is gone.
	Retake(ctx context.Context, orderID string) (bool, error)
	// Refunded gives points back in proportion to the money that is back, and with all of it everything.
	Refunded(ctx context.Context, orderID string, refundedFen, paidFen int64) error
	// Postage is what shipping a basket costs at a moment.
	Postage(ctx context.Context, b pricing.Basket, at time.Time) (int64, error)
}

// basket is a cart as pricing wants it, with the lines that were priced by the shelf.
func (p *Placement) basket(lines []Line, at time.Time) pricing.Basket {
	b := pricing.Basket{BuyerID: p.BuyerID, SessionID: p.SessionID, At: at, Codes: p.Coupons, Points: p.Points, Province: p.province, Lines: make([]pricing.Line, len(lines))}
	for i, l := range lines {
		b.Lines[i] = pricing.Line{SKUID: l.SKUID, ProductID: l.ProductID, Quantity: l.Quantity, PriceFen: l.PriceFen, Position: p.Items[i].first}
	}
	if p.Address != nil {
		b.Province = p.Address.Province
	}
	return b
}

// price holds the orders of a batch against what promotions make of them, in one question, and each total against what
// its buyer was shown.
func (s *Service) price(ctx context.Context, batch []*placing) ([]*placing, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	baskets := make([]pricing.Basket, len(batch))
	for i, r := range batch {
		baskets[i] = r.basket(r.order.Lines, r.order.CreatedAt)
	}
	priced, err := s.priceBaskets(ctx, baskets)
	if err != nil {
		return nil, err
	}
	next := 0
	return keep(batch, func(r *placing) error {
		p := priced[next]
		next++
		if p.Err != nil {
			return p.Err
		}
		if p.Breakdown != nil {
			r.order.Lines = withBreakdown(r.order.Lines, p.Breakdown)
			r.order.Breakdown, r.order.TotalFen = p.Breakdown, p.Breakdown.TotalFen
			r.bring(p.Breakdown)
		}
		return r.expects(r.order.TotalFen)
	}), nil
}

func (s *Service) priceBaskets(ctx context.Context, baskets []pricing.Basket) ([]pricing.Priced, error) {
	if s.pricing != nil {
		return s.pricing.Price(ctx, baskets)
	}
	out := make([]pricing.Priced, len(baskets))
	for i, b := range baskets {
		switch {
		case b.Points > 0:
			out[i].Err = fault.Bad("points", "this shop takes no points; leave it out or send 0")
		case len(b.Codes) > 0:
			out[i].Err = fault.Bad("coupons", "this shop has no coupons")
		}
	}
	return out, nil
}

// withBreakdown gives lines at the prices of a breakdown, and its gifts behind them.
func withBreakdown(lines []Line, b *pricing.Breakdown) []Line {
	for i := range lines {
		lines[i].PriceFen = b.Lines[i].PriceFen
	}
	for _, g := range b.Gifts {
		lines = append(lines, Line{ProductID: g.ProductID, SKUID: g.SKUID, Quantity: g.Units, Title: g.Title, SKUName: g.SKUName, Fresh: g.Fresh, Gift: true})
	}
	return lines
}

// bring puts gifts beside what was asked for, so that their stock is counted like any other; a repeat begins anew.
func (r *placing) bring(b *pricing.Breakdown) {
	r.Items = r.Items[:r.asked:r.asked]
	for _, g := range b.Gifts {
		r.Items = append(r.Items, Item{SKUID: g.SKUID, Quantity: g.Units})
	}
}

// keepPrices uses up what the orders of a batch were priced with and writes their breakdowns.
func (s *Service) keepPrices(ctx context.Context, orders []*Order) error {
	var spent []pricing.Spending
	var priced []*Order
	for _, o := range orders {
		if o.Breakdown != nil {
			spent = append(spent, pricing.Spending{OrderID: o.ID, BuyerID: o.BuyerID, Breakdown: o.Breakdown})
			priced = append(priced, o)
		}
	}
	if len(priced) == 0 {
		return nil
	}
	if err := s.pricing.Take(ctx, spent); err != nil {
		return err
	}
	return s.store.addPrices(ctx, priced)
}

// giveBack returns what orders used that are cancelled or expired, before their stock: promotions are locked first.
func (s *Service) giveBack(ctx context.Context, orders []*Order) error {
	var ids []string
	for _, o := range orders {
		if o.Breakdown != nil {
			ids = append(ids, o.ID)
		}
	}
	if len(ids) == 0 || s.pricing == nil {
		return nil
	}
	return s.pricing.GiveBack(ctx, ids)
}

// priceRefunded returns what a refund of fen more gives back besides money.
func (s *Service) priceRefunded(ctx context.Context, o *Order, fen int64) error {
	if o.Breakdown == nil || s.pricing == nil {
		return nil
	}
	for _, old := range o.Refunds {
		if old.State == RefundSucceeded && !old.Automatic {
			fen += old.AmountFen
		}
	}
	return s.pricing.Refunded(ctx, o.ID, fen, o.PaidFen)
}

// holdAgain is reserveAgain with all that the order used besides stock; false, and nothing held, when something is gone.
func (s *Service) holdAgain(ctx context.Context, o *Order) (bool, error) {
	if o.Breakdown != nil && s.pricing != nil {
		if ok, err := s.pricing.Retake(ctx, o.ID); err != nil || !ok {
			return false, err
		}
	}
	ok, err := s.reserveAgain(ctx, o)
	if err != nil || ok {
		return ok, err
	}
	return false, s.giveBack(ctx, []*Order{o})
}

// samePostage refuses an address to which shipping costs something else than the order was placed with.
func (s *Service) samePostage(ctx context.Context, o *Order, to Address) error {
	if s.pricing == nil {
		return nil
	}
	b := pricing.Basket{BuyerID: o.BuyerID, SessionID: o.SessionID, Province: to.Province}
	var was int64
	if o.Breakdown != nil {
		was = o.Breakdown.ShippingFen
		if pricing.Province(o.Breakdown.Province) == pricing.Province(to.Province) {
			return nil
		}
	}
	for _, l := range o.Lines {
		if !l.Gift {
			b.Lines = append(b.Lines, pricing.Line{SKUID: l.SKUID, ProductID: l.ProductID, Quantity: l.Quantity, PriceFen: l.PriceFen})
		}
	}
	fen, err := s.pricing.Postage(ctx, b, s.clock.Now())
	if err != nil || fen == was {
		return err
	}
	return ErrPostage.At("address.province").Saying(fmt.Sprintf("shipping there costs %s yuan, not %s; cancel and order again", money.Yuan(fen), money.Yuan(was)))
}

// ErrPostage says that an address can't be changed because shipping costs something else there.
var ErrPostage = fault.New(fault.Conflict, "postage-differs", "shipping there costs something else; cancel and order again")

// Quote prices a cart at this moment without writing anything: what placing it now would give.
func (s *Service) Quote(ctx context.Context, p Placement) (Order, error) {
	if err := p.normalise(); err != nil {
		return Order{}, err
	}
	offers, err := s.sessions.Offers(ctx, p.SessionID, p.skus())
	if err != nil {
		return Order{}, err
	}
	if !offers.Open {
		return Order{}, ErrNotOpen
	}
	lines, total, err := p.price(offers)
	if err != nil {
		return Order{}, err
	}
	priced, err := s.priceBaskets(ctx, []pricing.Basket{p.basket(lines, s.clock.Now())})
	if err != nil {
		return Order{}, err
	}
	o := Order{SessionID: p.SessionID, BuyerID: p.BuyerID, Lines: lines, TotalFen: total}
	if b := priced[0].Breakdown; b != nil {
		o.Lines, o.Breakdown, o.TotalFen = withBreakdown(lines, b), b, b.TotalFen
	}
	return o, priced[0].Err
}

// Parts gives what each line of an order costs its buyer: shares of coupons and points taken off. Shipping belongs to no line.
func (o Order) Parts() []pricing.Part {
	if o.Breakdown != nil {
		return o.Breakdown.Lines
	}
	parts := make([]pricing.Part, len(o.Lines))
	for i, l := range o.Lines {
		fen := l.PriceFen * l.Quantity
		parts[i] = pricing.Part{SKUID: l.SKUID, Quantity: l.Quantity, PriceFen: l.PriceFen, GoodsFen: fen, PaidFen: fen}
	}
	return parts
}

// LineShares spreads what was paid for an order over its lines, shipping included: in proportion to what each line cost
// its buyer, by largest remainder, so that the shares add up to the fen.
func (o Order) LineShares() []int64 {
	parts := o.Parts()
	weights := make([]int64, len(parts))
	var sum int64
	for i, p := range parts {
		weights[i] = p.PaidFen
		sum += p.PaidFen
	}
	if sum == 0 { // points paid all the goods: the postage goes by their prices
		for i, p := range parts {
			weights[i] = p.GoodsFen
		}
	}
	return money.Split(o.PaidFen, weights)
}

// LowestDeals gives the lowest price of one unit of each SKU in orders of the shop's own rooms that were paid in
// [from, to) and not refunded in full: coupons taken off, rounded down to the fen; points are payment and stay in. Gifts
// are no deals. A SKU without any is left out.
func (s *Service) LowestDeals(ctx context.Context, from, to time.Time, skuIDs []int64) (map[int64]int64, error) {
	return s.store.lowestDeals(ctx, from, to, skuIDs)
}

// Spent is what orders that stand were priced with besides money: the other side of what promotions count.
type Spent struct{ CouponFen, Points int64 }

// Spent adds up all orders that are neither cancelled nor refunded.
func (s *Service) Spent(ctx context.Context) (Spent, error) { return s.store.spent(ctx) }

// checkDiscounts checks coupon codes and points of a cart.
func (p *Placement) checkDiscounts() error {
	if p.Points < 0 || p.Points > money.Max {
		return fault.Bad("points", "must be 0 or more")
	}
	if len(p.Coupons) > pricing.MaxCoupons {
		return fault.Bad("coupons", fmt.Sprintf("at most %d", pricing.MaxCoupons))
	}
	for i, c := range p.Coupons {
		c = strings.ToLower(strings.TrimSpace(c))
		if c == "" || len(c) > 32 || !utf8.ValidString(c) || strings.ContainsRune(c, 0) {
			return fault.Bad(fmt.Sprintf("coupons[%d]", i), "is not a coupon's code")
		}
		p.Coupons[i] = c
	}
	return nil
}
