// Package demo fills an empty database with the demo shop: Kangbashi's products and the first month's sessions, lived
// through by the real services on a clock that is moved (docs/adr/0006). What the newspaper report gives (the evening of
// 8 July 2022, the month's sum) is in data.go; everything else is invented by a fixed seed and says so.
package demo

import (
	"context"
	"embed"
	"fmt"
	"sort"
	"time"

	"github.com/duoduopin/duoduopin/accounts"
	"github.com/duoduopin/duoduopin/catalog"
	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/live"
	"github.com/duoduopin/duoduopin/orders"
)

//go:embed pictures/*.jpg
var pictures embed.FS

// Shop is what the loader plays on. Clock is the clock of all of them.
type Shop struct {
	Clock    *clock.Manual
	Accounts *accounts.Service
	Catalog  *catalog.Service
	Live     *live.Service
	Orders   *orders.Service
	Chat     *chat.Service
}

// Loaded says what there is now.
type Loaded struct {
	Accounts []string // sign-in names, all with the same password
	Ready    int64    // the session that is ready to go live
	Leader   int64    // the session of 8 July 2022
	Sessions int
}

// loader carries what is known while loading.
type loader struct {
	Shop
	now      time.Time
	password string
	goods    []product
	products []catalog.Product // as made, in the order of goods
	buyers   []accounts.Account
	staff    map[string]accounts.Account
	shelves  int // how many were made
	out      Loaded
}

// Load fills the shop; now is the real time, around which the coming sessions are planned.
func Load(ctx context.Context, s Shop, password string, now time.Time, progress func(string)) (Loaded, error) {
	l := &loader{Shop: s, now: now, password: password, goods: products(), staff: map[string]accounts.Account{}}
	shows := month()
	s.Clock.Set(shows[0].start.AddDate(0, 0, -7))
	for _, step := range []struct {
		text string
		do   func(context.Context) error
	}{{"accounts", l.people}, {"products", l.stock}} {
		progress(step.text)
		if err := step.do(ctx); err != nil {
			return l.out, fmt.Errorf("demo %s: %w", step.text, err)
		}
	}
	for i, show := range shows {
		progress(fmt.Sprintf("session %d of %d", i+1, len(shows)))
		if err := l.perform(ctx, play(show, l.goods)); err != nil {
			return l.out, fmt.Errorf("demo session of %s: %w", show.start.Format(time.DateOnly), err)
		}
	}
	progress("what happened afterwards")
	if err := l.afterwards(ctx, shows[len(shows)-1].start.AddDate(0, 0, 3)); err != nil {
		return l.out, fmt.Errorf("demo afterwards: %w", err)
	}
	s.Clock.Set(now)
	return l.out, l.coming(ctx)
}

func (l *loader) people(ctx context.Context) error {
	type person struct {
		name, display, title, unit string
		role                       web.Role
	}
	all := []person{
		{"admin", "管理员", "", "多多品", web.Admin}, {"operator", "运营", "", "多多品", web.Operator}, {"assistant", "中控", "", "多多品", web.Assistant},
	}
	for i, n := range []string{"一", "二", "三", "四", "五"} {
		all = append(all, person{fmt.Sprintf("anchor%d", i+1), "主播" + n, "副区长(演示角色)", "康巴什区", web.Anchor})
	}
	for i := range 20 {
		all = append(all, person{fmt.Sprintf("buyer%d", i+1), fmt.Sprintf("买家%02d", i+1), "", "", web.Buyer})
	}
	for _, p := range all {
		a, _, err := l.Accounts.Add(ctx, accounts.NewAccount{Name: p.name, DisplayName: p.display, Role: p.role, Title: p.title, Unit: p.unit, Password: l.password})
		if err != nil {
			return err
		}
		l.out.Accounts = append(l.out.Accounts, a.Name)
		l.staff[a.Name] = a
		if p.role != web.Buyer {
			continue
		}
		l.buyers = append(l.buyers, a)
		_, err = l.Accounts.SaveAddress(ctx, accounts.Address{
			AccountID: a.ID, Name: a.DisplayName, Phone: fmt.Sprintf("1300000%04d", len(l.buyers)), Province: "内蒙古自治区", City: "鄂尔多斯市", District: "康巴什区",
			Text: fmt.Sprintf("演示路 %d 号", len(l.buyers)),
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// as gives a context in which the named person acts.
func (l *loader) as(ctx context.Context, name string) context.Context {
	a := l.staff[name]
	return web.WithActor(ctx, web.Actor{AccountID: a.ID, Name: a.Name, DisplayName: a.DisplayName, Role: a.Role, Viewer: fmt.Sprintf("a:%d", a.ID)})
}

func (l *loader) stock(ctx context.Context) error {
	ctx = l.as(ctx, "operator")
	for _, g := range l.goods {
		e := catalog.Edit{
			Title: &g.title, Subtitle: &g.subtitle, Description: &g.description, Category: &g.category, Origin: &g.origin, LicenceNo: &g.licence,
			Fresh: &g.fresh, SellingPoints: g.points, BannedWords: g.banned,
		}
		for _, k := range g.skus {
			e.SKUs = append(e.SKUs, catalog.SKUEdit{Name: k.name, PriceFen: k.price, Stock: k.stock})
		}
		p, err := l.Catalog.Add(ctx, e, false)
		if err != nil {
			return err
		}
		raw, err := pictures.ReadFile("pictures/" + g.picture)
		if err != nil {
			return err
		}
		if _, err := l.Catalog.AddPicture(ctx, p.ID, raw); err != nil {
			return err
		}
		l.products = append(l.products, p)
	}
	return nil
}

// shelf puts all goods up, beginning with another one each time, at the prices of the show.
func (l *loader) shelf(limited bool) []live.ShelfItem {
	var items []live.ShelfItem
	l.shelves++
	for n := range l.goods {
		i := (n + l.shelves) % len(l.goods)
		g := l.goods[i]
		for k, s := range g.skus {
			price := s.live
			it := live.ShelfItem{SKUID: l.products[i].SKUs[k].ID, PriceFen: &price}
			if limited {
				n := int64(200)
				it.Stock = &n
			}
			items = append(items, it)
		}
	}
	return items
}

const invented = "演示数据：场次总额与平均在线取自公开报道的康巴什故事，渠道、主播、商品与买家的拆分均为虚构。"

// scene is one thing that happens at a moment of an evening.
type scene struct {
	at time.Time
	do func(context.Context) error
}

// perform lives through one evening.
func (l *loader) perform(ctx context.Context, e evening) error {
	s := e.show
	operator := l.as(ctx, "operator")
	l.Clock.Set(s.start.AddDate(0, 0, -1))
	title, intro := s.title, invented
	x, err := l.Live.Create(operator, live.Plan{Title: &title, Intro: &intro, StartsAt: &s.start, Anchors: s.anchors, Shelf: l.shelf(false)})
	if err != nil {
		return err
	}
	onAir := func(n int) func(context.Context) error {
		return func(ctx context.Context) error { return l.Live.Reconcile(ctx, x.ID, n) }
	}
	end := s.start.Add(s.length)
	scenes := []scene{
		{s.start.Add(-10 * time.Minute), onAir(len(s.anchors))},
		{s.start, func(ctx context.Context) error { _, err := l.Live.Start(l.as(ctx, s.anchors[0]), x.ID); return err }},
		{s.start, onAir(len(s.anchors))},
		{end, func(ctx context.Context) error { _, err := l.Live.End(l.as(ctx, s.anchors[0]), x.ID); return err }},
	}
	for _, b := range s.breaks {
		scenes = append(scenes, scene{s.start.Add(b.at), onAir(0)}, scene{s.start.Add(b.at + b.length), onAir(len(s.anchors))})
	}
	for i := range e.pins {
		scenes = append(scenes, l.explaining(x.ID, e, i)...)
	}
	sort.SliceStable(scenes, func(a, b int) bool { return scenes[a].at.Before(scenes[b].at) })
	for _, sc := range scenes {
		l.Clock.Set(sc.at)
		if err := sc.do(ctx); err != nil {
			return err
		}
	}
	l.out.Sessions++
	if s.gmv == leaderFen {
		l.out.Leader = x.ID
	}
	return l.watch(ctx, x.ID, e)
}

// explaining is one pin: it goes up, the orders that belong to it are placed, and when it comes down they are paid.
func (l *loader) explaining(session int64, e evening, i int) []scene {
	p := e.pins[i]
	var pin live.Pin
	var placed []orders.Order
	up := func(ctx context.Context) error {
		by := l.as(ctx, "assistant")
		var err error
		if pin, err = l.Live.Pin(by, session, l.products[p.product].ID, p.anchor); err != nil {
			return err
		}
		placed, err = l.Orders.PlaceAll(ctx, l.placements(session, e, i))
		return err
	}
	down := func(ctx context.Context) error {
		paid := make([]orders.Settlement, len(placed))
		for k, o := range placed {
			paid[k] = orders.Settlement{OrderID: o.ID}
		}
		if err := l.Orders.Settle(ctx, paid); err != nil {
			return err
		}
		if _, err := l.Orders.ImportPaid(ctx, l.imports(session, e, i, pin)); err != nil {
			return err
		}
		return l.Live.Unpin(l.as(ctx, "assistant"), session, pin.ID)
	}
	return []scene{{p.from, up}, {p.to, down}}
}

// placements are the orders of our own room under one pin.
func (l *loader) placements(session int64, e evening, pin int) []orders.Placement {
	var all []orders.Placement
	for n, b := range e.buys {
		if b.pin != pin || b.channel != "room" {
			continue
		}
		buyer := l.buyers[b.buyer%len(l.buyers)]
		p := orders.Placement{
			BuyerID: buyer.ID, BuyerName: buyer.Name, BuyerDisplay: buyer.DisplayName, SessionID: session, At: b.at, Key: fmt.Sprintf("demo-%d-%d", session, n),
			Address: &orders.Address{Name: buyer.DisplayName, Phone: fmt.Sprintf("1300000%04d", b.buyer%len(l.buyers)+1), Province: "内蒙古自治区", City: "鄂尔多斯市", District: "康巴什区", Detail: fmt.Sprintf("演示路 %d 号", b.buyer%len(l.buyers)+1)},
		}
		for _, it := range b.items {
			p.Items = append(p.Items, orders.Item{SKUID: l.products[it.product].SKUs[it.sku].ID, Quantity: it.quantity})
		}
		all = append(all, p)
	}
	return all
}

// imports are the orders of the other platforms under one pin.
func (l *loader) imports(session int64, e evening, at int, pin live.Pin) []orders.External {
	var all []orders.External
	for _, b := range e.buys {
		if b.pin != at || b.channel == "room" {
			continue
		}
		x := orders.External{SessionID: session, Channel: b.channel, Number: b.number, At: b.at, Buyer: fmt.Sprintf("平台买家%05d", b.buyer)}
		for _, it := range b.items {
			p, k := l.products[it.product], l.goods[it.product].skus[it.sku]
			line := orders.Line{ProductID: p.ID, SKUID: p.SKUs[it.sku].ID, Quantity: it.quantity, PriceFen: k.live, Title: p.Title, SKUName: k.name, Fresh: p.Fresh}
			if p.ID == pin.ProductID {
				line.PinID, line.Anchors = pin.ID, pin.Anchors
			}
			x.Lines = append(x.Lines, line)
		}
		all = append(all, x)
	}
	return all
}

// watch writes who was there and what they did.
func (l *loader) watch(ctx context.Context, session int64, e evening) error {
	stays := make([]chat.Interval, len(e.visits))
	for i, v := range e.visits {
		stays[i] = chat.Interval{Viewer: v.viewer, From: v.from, To: v.to}
	}
	acts := make([]chat.Act, 0, len(e.deeds))
	for _, d := range e.deeds {
		a := chat.Act{Viewer: d.viewer, Kind: d.kind, Count: 1, At: d.at}
		if d.product >= 0 {
			a.ProductID = l.products[d.product].ID
		}
		acts = append(acts, a)
	}
	return l.Chat.ImportFacts(ctx, session, stays, acts)
}

// afterwards sends the goods of our own room and takes some back, so that orders stand in every state.
func (l *loader) afterwards(ctx context.Context, now time.Time) error {
	l.Clock.Set(now)
	operator := l.as(ctx, "operator")
	staff := web.ActorFrom(operator)
	placed, err := l.Orders.List(ctx, staff, orders.Filter{State: orders.Paid, Limit: 10_000})
	if err != nil {
		return err
	}
	n := 0
	for _, o := range placed {
		if o.Channel != "room" {
			continue
		}
		n++
		age := now.Sub(o.CreatedAt)
		if n%29 == 0 { // the goods do not please: before they were sent
			if _, err := l.Orders.Refund(operator, staff, o.ID, orders.RefundAsk{Reason: "不想要了", Key: "demo"}); err != nil {
				return err
			}
			continue
		}
		if age < 5*24*time.Hour {
			continue
		}
		if _, err := l.Orders.Ship(operator, staff, o.ID, "演示快递", fmt.Sprintf("YS%08d", n)); err != nil {
			return err
		}
		if age > 9*24*time.Hour {
			buyer := web.ActorFrom(l.as(ctx, o.BuyerName))
			if _, err := l.Orders.Complete(l.as(ctx, o.BuyerName), buyer, o.ID); err != nil {
				return err
			}
		}
		if n%31 == 0 { // one piece arrived broken
			part := o.Lines[0].PriceFen / 2
			if _, err := l.Orders.Refund(operator, staff, o.ID, orders.RefundAsk{AmountFen: &part, Reason: "一件破损，补偿一半", Key: "demo"}); err != nil {
				return err
			}
		}
	}
	return nil
}

// coming plans what the visitor of the demo can do himself: one session ready to go live, and two on the following days.
func (l *loader) coming(ctx context.Context) error {
	ctx = l.as(ctx, "operator")
	evening := time.Date(l.now.Year(), l.now.Month(), l.now.Day(), 20, 0, 0, 0, shanghai())
	for i, c := range []struct {
		title   string
		at      time.Time
		anchors []string
		limited bool
	}{
		{"今晚开播：康巴什好物体验场", l.now.Add(10 * time.Minute).Truncate(time.Minute), []string{"anchor1"}, true},
		{"乳品冷链专场", evening.AddDate(0, 0, 1), []string{"anchor2", "anchor3"}, false},
		{"五位主播同台：年货先选", evening.AddDate(0, 0, 3), []string{"anchor1", "anchor2", "anchor3", "anchor4", "anchor5"}, false},
	} {
		intro := "演示场次。商品、价格与文字均为虚构。"
		x, err := l.Live.Create(ctx, live.Plan{Title: &c.title, Intro: &intro, StartsAt: &c.at, Anchors: c.anchors, Shelf: l.shelf(c.limited)})
		if err != nil {
			return err
		}
		if i == 0 {
			l.out.Ready = x.ID
		}
	}
	return nil
}
