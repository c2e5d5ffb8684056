package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/catalog"
	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/orders"
	"github.com/duoduopin/duoduopin/reports"
	"github.com/duoduopin/duoduopin/stream"
)

// Each type here gives one noun what it declared to need of others, in its own plain values. They hold the shop, not the
// noun, because nouns need each other in circles that only exist here.

// people gives live the accounts.
type people struct{ *shop }

func (p people) ByNames(ctx context.Context, names []string) ([]live.Person, error) {
	found, err := p.accounts.ByNames(ctx, names)
	out := make([]live.Person, len(found))
	for i, a := range found {
		out[i] = live.Person{ID: a.ID, Name: a.Name, DisplayName: a.DisplayName, Title: a.Title, Unit: a.Unit, Role: a.Role}
	}
	return out, err
}

func (p people) PublishToken(ctx context.Context, name string, sessionID int64) (string, error) {
	return p.accounts.PublishToken(ctx, name, sessionID)
}

// goods gives live the catalogue.
type goods struct{ *shop }

func (g goods) Listings(ctx context.Context, skuIDs []int64) (map[int64]live.Listing, error) {
	found, err := g.catalog.Listings(ctx, skuIDs)
	out := make(map[int64]live.Listing, len(found))
	for id, l := range found {
		out[id] = live.Listing{
			SKUID: id, ProductID: l.ProductID, Title: l.Title, SKUName: l.Name, PriceFen: l.PriceFen, Stock: l.Free, LowAt: l.LowAt, Fresh: l.Fresh, Sellable: l.Sellable,
		}
	}
	return out, err
}

func (g goods) Articles(ctx context.Context, ids []int64) (map[int64]live.Article, error) {
	found, err := g.catalog.Products(ctx, ids)
	out := make(map[int64]live.Article, len(found))
	for id, p := range found {
		out[id] = article(p)
	}
	return out, err
}

func article(p catalog.Product) live.Article {
	a := live.Article{
		ID: p.ID, Title: p.Title, Subtitle: p.Subtitle, Description: p.Description, Category: p.Category, Origin: p.Origin, LicenceNo: p.LicenceNo,
		Fresh: p.Fresh, SellingPoints: p.SellingPoints, BannedWords: p.BannedWords,
	}
	for _, pic := range p.Pictures {
		a.Pictures = append(a.Pictures, live.Picture{ID: pic.ID, URL: pic.URL(), ThumbURL: pic.ThumbURL(), Width: pic.Width, Height: pic.Height})
	}
	return a
}

// taken gives live what a session's orders hold.
type taken struct{ *shop }

func (t taken) Taken(ctx context.Context, sessionID int64) (map[int64]int64, error) {
	return t.orders.Taken(ctx, sessionID)
}

// room gives live and orders the room.
type room struct{ *shop }

func (r room) Post(ctx context.Context, sessionID int64, typ string, data any) error {
	if r.silent {
		return nil
	}
	if typ == "sold" {
		return r.engage.sold(ctx, sessionID, data)
	}
	return r.chat.Post(ctx, sessionID, typ, data)
}

func (r room) Viewers(sessionID int64) int { return r.chat.Viewers(sessionID) }

func (r room) CloseRoom(sessionID int64) { r.chat.CloseRoom(sessionID) }

// picture gives live what is on air; the demo loader has none.
type picture struct{ *shop }

func (m picture) OnAir(sessionID int64) []string {
	if m.stream == nil {
		return nil
	}
	return m.stream.OnAir(sessionID)
}

func (m picture) CloseSession(sessionID int64) {
	if m.stream != nil {
		m.stream.CloseSession(sessionID)
		m.edges.Over(sessionID)
	}
}

func (m picture) Mute(sessionID int64, anchor string, muted bool) {
	if m.stream != nil {
		m.stream.Mute(sessionID, anchor, muted)
	}
}

func (m picture) Cut(sessionID int64, anchor string) {
	if m.stream != nil {
		m.stream.Cut(sessionID, anchor)
	}
}

// onAir tells live when an anchor comes or goes.
type onAir struct{ *shop }

func (o onAir) PublisherUp(sessionID int64, _ string)   { o.live.Stir(sessionID) }
func (o onAir) PublisherDown(sessionID int64, _ string) { o.live.Stir(sessionID) }

func (o onAir) Layout(sessionID int64, l stream.Layout) { o.chat.Tell(sessionID, "layout", l) }

// roster gives stream a session's anchors in their order.
func (s *shop) roster(ctx context.Context, sessionID int64) ([]string, error) {
	x, err := s.live.Get(ctx, sessionID)
	return x.Anchors, err
}

// gate gives chat who may be in a room. The waiting room is open to everybody; what is cancelled or over stays readable.
type gate struct{ *shop }

func (g gate) MayWatch(ctx context.Context, sessionID int64, a web.Actor) (chat.Room, error) {
	x, err := g.live.Get(ctx, sessionID)
	return chat.Room{ID: x.ID, Title: x.Title, State: string(x.Shown(a))}, err
}

func (g gate) MayModerate(ctx context.Context, sessionID int64, a web.Actor) error {
	return g.live.MayModerate(ctx, sessionID, a)
}

// offers gives orders what a session sells.
type offers struct{ *shop }

func (o offers) Offers(ctx context.Context, sessionID int64, skuIDs []int64) (orders.Offers, error) {
	t, err := o.live.TermsOf(ctx, sessionID, skuIDs)
	if err != nil {
		return orders.Offers{}, err
	}
	out := orders.Offers{Open: t.Open, Hold: t.Hold, Channel: reports.Room, Items: make(map[int64]orders.Offer, len(t.Items))}
	for id, it := range t.Items {
		out.Items[id] = orders.Offer{
			ProductID: it.ProductID, Title: it.Title, SKUName: it.SKUName, PriceFen: it.PriceFen, SessionStock: it.SessionStock,
			PinID: it.PinID, Anchors: it.Anchors, Fresh: it.Fresh,
		}
	}
	return out, nil
}

// evenings gives reports the sessions.
type evenings struct{ *shop }

func (e evenings) Session(ctx context.Context, id int64) (reports.Facts, error) {
	x, err := e.live.Get(ctx, id)
	if err != nil {
		return reports.Facts{}, err
	}
	f := reports.Facts{Session: evening(x)}
	for _, g := range x.Interrupted {
		f.Gaps = append(f.Gaps, reports.Span(g))
	}
	pins, err := e.live.Pins(ctx, id, false)
	if err != nil {
		return f, err
	}
	for _, p := range pins {
		f.Pins = append(f.Pins, reports.Pin{ID: p.ID, ProductID: p.ProductID, Anchors: p.Anchors, Span: reports.Span{From: p.From, To: p.To}})
	}
	shelf, err := e.live.Shelf(ctx, id)
	for _, o := range shelf {
		f.Shelf = append(f.Shelf, reports.Item{ProductID: o.ProductID, SKUID: o.SKUID, Title: o.Title, SKUName: o.SKUName})
	}
	return f, err
}

func evening(x live.Session) reports.Session {
	return reports.Session{ID: x.ID, Title: x.Title, State: string(x.State), StartsAt: x.StartsAt, LiveAt: x.LiveAt, EndedAt: x.EndedAt, Anchors: x.Anchors}
}

func (e evenings) OnAirBefore(ctx context.Context, before time.Time, limit int) ([]reports.Session, error) {
	found, err := e.live.OnAirBefore(ctx, before, limit)
	out := make([]reports.Session, len(found))
	for i, x := range found {
		out[i] = evening(x)
	}
	return out, err
}

func (e evenings) MayRead(ctx context.Context, id int64, a web.Actor) error {
	return e.live.MayRead(ctx, id, a)
}

// sales gives reports the orders.
type sales struct{ *shop }

func (s sales) Orders(ctx context.Context, sessionID int64) ([]reports.Order, error) {
	facts, err := s.orders.SessionOrders(ctx, sessionID)
	out := make([]reports.Order, len(facts))
	for i, f := range facts {
		out[i] = reports.Order{ID: f.ID, Viewer: f.Viewer, Channel: f.Channel, TotalFen: f.TotalFen, PaidFen: f.PaidFen, CouponFen: f.CouponFen, Points: f.PointsFen, CreatedAt: f.CreatedAt, PaidAt: f.PaidAt}
		for k, l := range f.Lines {
			if l.Gift {
				continue // given, not sold
			}
			out[i].Shares = append(out[i].Shares, f.Shares[k])
			out[i].Lines = append(out[i].Lines, reports.Line{ProductID: l.ProductID, SKUID: l.SKUID, Title: l.Title, SKUName: l.SKUName, Quantity: l.Quantity, PriceFen: l.PriceFen, Anchors: l.Anchors})
		}
		for _, r := range f.Refunds {
			out[i].Refunds = append(out[i].Refunds, reports.Refund{AmountFen: r.AmountFen, RequestedAt: r.RequestedAt, SucceededAt: r.SucceededAt})
		}
	}
	return out, err
}

// After knows viewers with an account; a visitor's cookie orders nothing.
func (s sales) After(ctx context.Context, viewers []string, sessionID int64, from, to time.Time) (reports.Later, error) {
	var ids []int64
	for _, v := range viewers {
		if id, err := strconv.ParseInt(strings.TrimPrefix(v, "a:"), 10, 64); err == nil && strings.HasPrefix(v, "a:") {
			ids = append(ids, id)
		}
	}
	sum, err := s.orders.OrdersAfter(ctx, ids, sessionID, from, to)
	return reports.Later{Orders: sum.Orders, PaidOrders: sum.PaidOrders, PaidFen: sum.PaidFen}, err
}

// audience gives reports who was there and what they did.
type audience struct{ *shop }

func (a audience) Visits(ctx context.Context, sessionID int64) ([]reports.Visit, error) {
	found, err := a.chat.Presence(ctx, sessionID)
	out := make([]reports.Visit, len(found))
	for i, v := range found {
		out[i] = reports.Visit{Viewer: v.Viewer, Span: reports.Span{From: v.From, To: v.To}}
	}
	return out, err
}

func (a audience) Acts(ctx context.Context, sessionID int64) ([]reports.Act, error) {
	found, err := a.chat.Activity(ctx, sessionID)
	out := make([]reports.Act, len(found))
	for i, v := range found {
		out[i] = reports.Act{Viewer: v.Viewer, Kind: v.Kind, ProductID: v.ProductID, Count: v.Count, At: v.At}
	}
	return out, err
}

// levels gives reports the stock over time.
type levels struct{ *shop }

func (l levels) Levels(ctx context.Context, skuIDs []int64, from, to time.Time) ([]reports.Level, error) {
	found, err := l.catalog.Levels(ctx, skuIDs, from, to)
	out := make([]reports.Level, len(found))
	for i, v := range found {
		out[i] = reports.Level(v)
	}
	return out, err
}
