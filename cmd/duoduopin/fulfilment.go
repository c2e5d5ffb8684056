package main

import (
	"context"
	"path/filepath"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/aftersales"
	"github.com/duoduopin/duoduopin/fulfilment"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/pictures"
	"github.com/duoduopin/duoduopin/internal/stock"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/orders"
)

// afterSale builds what comes after an order is paid: the desk, requests, and telling other systems.
func (s *shop) afterSale(set *Settings, d *db.DB, c clock.Clock) error {
	var err error
	if s.webhooks, err = newWebhooks(set, s, d, c); err != nil {
		return err
	}
	if s.fulfilment, err = fulfilment.New(fulfilment.Config{DB: d, Clock: c, Told: s.parcelTold}, deskOrders{s}, s.accounts); err != nil {
		return err
	}
	s.aftersales, err = aftersales.New(
		aftersales.Config{DB: d, Clock: c, Files: pictures.Disk{Dir: filepath.Join(set.DataDir, "returns")}, Told: s.requestTold},
		aftersales.Needs{Orders: soldOrders{s}, Stock: returnedStock{s}, Delivery: s.fulfilment, Audit: s.accounts},
	)
	return err
}

// orderHooks gives orders whom to tell of what happens to them.
func (s *shop) orderHooks() orders.Hooks {
	return orders.Hooks{
		Moved: func(ctx context.Context, o orders.Order) error {
			if o.State == orders.Completed {
				if err := s.fulfilment.Received(ctx, o.ID); err != nil {
					return err
				}
			}
			return s.orderTold(ctx, o)
		},
		Sent: func(ctx context.Context, x orders.Dispatched) error {
			p := fulfilment.Parcel{OrderID: x.Order.ID, Carrier: x.Carrier, TrackingNo: x.TrackingNo, Source: x.Source}
			for _, piece := range x.Pieces {
				p.Pieces = append(p.Pieces, fulfilment.Piece(piece))
			}
			return s.fulfilment.Left(ctx, p)
		},
		Refunded: s.refundTold,
	}
}

// deskOrders gives fulfilment the orders.
type deskOrders struct{ *shop }

func (d deskOrders) Desk(ctx context.Context, f fulfilment.Filter) ([]fulfilment.Order, error) {
	g := orders.DeskFilter{
		SessionID: f.SessionID, SKUID: f.SKUID, Channel: f.Channel, IDs: f.IDs, Buyer: f.Buyer, From: f.From, To: f.To, After: f.After, Oldest: f.Oldest, Limit: f.Limit,
	}
	for _, st := range f.States {
		g.States = append(g.States, orders.State(st))
	}
	found, err := d.orders.Desk(ctx, g)
	if err != nil {
		return nil, err
	}
	units, err := d.orders.UnitsOf(ctx, found)
	if err != nil {
		return nil, err
	}
	out := make([]fulfilment.Order, len(found))
	for i, o := range found {
		out[i] = deskOrder(o, units[o.ID])
	}
	return out, nil
}

func deskOrder(o orders.Order, units []orders.Units) fulfilment.Order {
	out := fulfilment.Order{
		Seq: o.Seq, ID: o.ID, SessionID: o.SessionID, State: string(o.State), Channel: o.Channel, Number: o.Number, Buyer: o.BuyerName, TotalFen: o.TotalFen,
		PaidFen: o.PaidFen, RefundedFen: o.RefundedFen, CreatedAt: o.CreatedAt, PaidAt: o.PaidAt,
	}
	if a := o.Address; a != nil {
		out.Address = &fulfilment.Address{Name: a.Name, Phone: a.Phone, Province: a.Province, City: a.City, District: a.District, Detail: a.Detail}
	}
	for i, l := range o.Lines {
		u := units[i]
		out.Lines = append(out.Lines, fulfilment.Line{
			SKUID: l.SKUID, ProductID: l.ProductID, Title: l.Title, SKUName: l.SKUName, Fresh: l.Fresh, PriceFen: l.PriceFen,
			Quantity: l.Quantity, CalledOff: u.CalledOff, Sent: u.Sent, Returned: u.Returned,
		})
	}
	return out
}

func (d deskOrders) MaySee(ctx context.Context, a web.Actor, orderID string) error {
	_, err := d.orders.Order(ctx, a, orderID)
	return err
}

func (d deskOrders) Hold(ctx context.Context, orderID string) error {
	return d.orders.Hold(ctx, orderID)
}

func (d deskOrders) Dispatch(ctx context.Context, orderID, carrier, trackingNo, source string, pieces []fulfilment.Piece) error {
	x := orders.Dispatch{Carrier: carrier, TrackingNo: trackingNo, Source: source}
	for _, p := range pieces {
		x.Pieces = append(x.Pieces, orders.Piece(p))
	}
	return d.orders.Dispatch(ctx, orderID, x)
}

func (d deskOrders) Complete(ctx context.Context, orderID string) (bool, error) {
	return d.orders.CompleteFor(ctx, orderID)
}

func (d deskOrders) Note(ctx context.Context, orderID string, n fulfilment.Note) error {
	return d.orders.Note(ctx, orderID, orders.Note{What: n.What, By: n.By, Why: n.Why, Ref: n.Ref})
}

// soldOrders gives aftersales the orders.
type soldOrders struct{ *shop }

func (d soldOrders) Order(ctx context.Context, a web.Actor, id string) (aftersales.Order, error) {
	o, err := d.orders.Order(ctx, a, id)
	if err != nil {
		return aftersales.Order{}, err
	}
	units, err := d.orders.UnitsOf(ctx, []orders.Order{o})
	if err != nil {
		return aftersales.Order{}, err
	}
	out := aftersales.Order{ID: o.ID, BuyerID: o.BuyerID, Buyer: o.BuyerName, State: string(o.State)}
	for _, e := range o.Timeline {
		if e.What == "completed" {
			out.CompletedAt = e.At
		}
	}
	for i, l := range o.Lines {
		u := units[o.ID][i]
		out.Lines = append(out.Lines, aftersales.OrderLine{
			SKUID: l.SKUID, ProductID: l.ProductID, Title: l.Title, SKUName: l.SKUName, Fresh: l.Fresh, Quantity: l.Quantity, CalledOff: u.CalledOff, Sent: u.Sent,
			Returned: u.Returned, RefundedUnits: u.RefundedUnits, PaidFen: u.PaidFen, RefundedFen: u.RefundedFen, Worth: u.Worth,
		})
	}
	return out, nil
}

func (d soldOrders) Hold(ctx context.Context, id string) error { return d.orders.Hold(ctx, id) }

func (d soldOrders) Refund(ctx context.Context, orderID string, lines []aftersales.RefundLine, reason, key string, returned bool) (string, int64, error) {
	ask := orders.RefundAsk{Reason: reason, Key: key, Returned: returned}
	for _, l := range lines {
		ask.Lines = append(ask.Lines, orders.RefundLine(l))
	}
	r, err := d.orders.Refund(ctx, web.ActorFrom(ctx), orderID, ask)
	return r.ID, r.AmountFen, err
}

func (d soldOrders) Finish(ctx context.Context, refundID string) { d.orders.Finish(ctx, refundID) }

func (d soldOrders) TakeBack(ctx context.Context, orderID, ref string, lines []aftersales.Line) error {
	pieces := make([]orders.Piece, len(lines))
	for i, l := range lines {
		pieces[i] = orders.Piece{Line: l.Line, Quantity: l.Quantity}
	}
	return d.orders.TakeBack(ctx, orderID, ref, pieces)
}

func (d soldOrders) Replace(ctx context.Context, orderID, ref, carrier, trackingNo string, all []aftersales.Replacement) error {
	goods := make([]orders.Replacement, len(all))
	for i, r := range all {
		goods[i] = orders.Replacement(r)
	}
	return d.orders.Replace(ctx, orderID, ref, orders.Dispatch{Carrier: carrier, TrackingNo: trackingNo, Source: "exchange"}, goods)
}

func (d soldOrders) Note(ctx context.Context, orderID string, n aftersales.Note) error {
	return d.orders.Note(ctx, orderID, orders.Note(n))
}

func (d soldOrders) History(ctx context.Context, a web.Actor, orderID string) ([]aftersales.Note, error) {
	all, err := d.orders.Timeline(ctx, a, orderID)
	out := make([]aftersales.Note, len(all))
	for i, n := range all {
		out[i] = aftersales.Note(n)
	}
	return out, err
}

// returnedStock gives aftersales the catalogue.
type returnedStock struct{ *shop }

func (g returnedStock) Scrap(ctx context.Context, ref, reason string, lines []stock.Line) error {
	return g.catalog.Scrap(ctx, ref, reason, lines)
}

func (g returnedStock) Variants(ctx context.Context, productID int64) ([]int64, error) {
	p, err := g.catalog.Get(ctx, productID, true)
	ids := make([]int64, len(p.SKUs))
	for i, k := range p.SKUs {
		ids[i] = k.ID
	}
	slices.Sort(ids)
	return ids, err
}

// lowEvery is how often it is looked for SKUs that have become low.
const lowEvery = 5 * time.Second
