package main

import (
	"context"
	"fmt"
	"time"

	"github.com/duoduopin/duoduopin/civic/points"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/rule"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/promotions"
)

// newPromotions builds points and promotions on what of the shop is there: accounts, catalogue and, by the time they are
// asked, live sessions and orders.
func (s *shop) newPromotions(d *db.DB, c clock.Clock) error {
	s.points = points.New(d, c, s.accounts, names{s})
	var err error
	s.promotions, err = promotions.New(promotions.Config{DB: d, Clock: c, OnChange: func(ids []int64) { s.live.Changed(ids) }}, promotions.Needs{
		Goods: bargains{s}, Sessions: bargains{s}, Deals: bargains{s}, Points: s.points, Accounts: names{s}, Audit: s.accounts,
	})
	return err
}

// names gives points and promotions the accounts.
type names struct{ *shop }

func (n names) AccountID(ctx context.Context, name string) (int64, error) {
	found, err := n.accounts.ByNames(ctx, []string{name})
	if err != nil {
		return 0, err
	}
	return found[0].ID, nil
}

// bargains gives promotions the catalogue, the live sessions and the orders.
type bargains struct{ *shop }

func (b bargains) Goods(ctx context.Context, skuIDs []int64) (map[int64]promotions.Good, error) {
	found, err := b.catalog.Listings(ctx, skuIDs)
	out := make(map[int64]promotions.Good, len(found))
	for id, l := range found {
		if l.Sellable {
			out[id] = promotions.Good{ProductID: l.ProductID, Title: l.Title, SKUName: l.Name, Fresh: l.Fresh, Free: l.Free, PriceFen: l.PriceFen}
		}
	}
	return out, err
}

func (b bargains) Selling(ctx context.Context, sessionID, skuID int64) (promotions.Good, bool, error) {
	t, err := b.live.TermsOf(ctx, sessionID, []int64{skuID})
	if err != nil || !t.Open {
		return promotions.Good{}, false, err
	}
	it, ok := t.Items[skuID]
	if !ok {
		return promotions.Good{}, true, fault.Bad("sku_id", "is not on this session's shelf")
	}
	return promotions.Good{ProductID: it.ProductID, Title: it.Title, SKUName: it.SKUName, Fresh: it.Fresh, Free: it.Stock, PriceFen: it.PriceFen}, true, nil
}

func (b bargains) LowestDeals(ctx context.Context, from, to time.Time, skuIDs []int64) (map[int64]int64, error) {
	return b.orders.LowestDeals(ctx, from, to, skuIDs)
}

// sales of promotions on the shelf: gives live what it shows.
type window struct{ *shop }

func (w window) OpenFlash(ctx context.Context, sessionIDs []int64) ([]live.Flash, error) {
	all, err := w.promotions.OpenFlash(ctx, sessionIDs)
	out := make([]live.Flash, len(all))
	for i, f := range all {
		out[i] = live.Flash{
			ID: f.ID, SessionID: f.SessionID, SKUID: f.SKUID, PriceFen: f.PriceFen, Stock: f.Stock, Left: f.Stock - f.Taken, PerPerson: f.PerPerson,
			StruckFen: f.StruckFen, StartsAt: f.StartsAt, EndsAt: f.EndsAt,
		}
	}
	return out, err
}

func (w window) Struck(ctx context.Context, at time.Time, skuIDs []int64) (map[int64]int64, error) {
	return w.promotions.Struck(ctx, at, skuIDs)
}

// rulesOfPromotions holds what promotions and points count against each other and against the orders.
func (s *shop) rulesOfPromotions(ctx context.Context) ([]rule.Rule, error) {
	used, err := s.promotions.Sums(ctx)
	if err != nil {
		return nil, err
	}
	sold, err := s.orders.Spent(ctx)
	if err != nil {
		return nil, err
	}
	spent, err := s.points.SpentUnder(ctx, promotions.PointsRef)
	if err != nil {
		return nil, err
	}
	same := func(id, title, formula, unit string, left, right int64) rule.Rule {
		r := rule.Rule{ID: id, Title: title, Formula: formula, Unit: unit}
		if left != right {
			r.Add(rule.Break{Kind: "total", ID: id, Off: left - right, Text: fmt.Sprintf("%s: %d against %d %s", title, left, right, unit)})
		}
		return r
	}
	return []rule.Rule{
		same("orders-coupons", "coupons took off orders that stand what promotions count", "orders' coupons = spent coupons", "fen", sold.CouponFen, used.CouponFen),
		same("orders-points", "points paid for orders that stand what promotions count", "orders' points = used points", "points", sold.Points, used.Points),
		same("points-orders", "points spent for orders are what promotions asked for", "spent = used, each time", "points", spent, used.Spent),
	}, nil
}
