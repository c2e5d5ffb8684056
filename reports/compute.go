package reports

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/duoduopin/duoduopin/internal/money"
)

// Report is everything that is said about one session.
type Report struct {
	Session  Session
	At       time.Time // when it was computed
	Totals   Totals
	Usual    *Totals // medians of the last evenings; nil without any
	Evenings int     // how many that were
	Honest   Honest
	Anchors  []Share
	Channels []Share
	Products []Product
	Minutes  []Minute
	Events   []Event
}

// Totals are the session's figures. A rate without a denominator is nil.
type Totals struct {
	GMVPlacedFen, GMVPaidFen, NetSalesFen, RefundedFen, RefundPendingFen int64
	CouponFen, PointsFen                                                 int64 // beside GMV paid, not in it
	Within7DaysOrders, Within7DaysPaidFen                                int64
	OrdersPlaced, OrdersPaid, LinesPaid, UnitsPaid, Buyers               int64
	AOVFen                                                               *int64
	UV, PV, PCU                                                          int64
	ACU                                                                  *float64
	WatchSecondsTotal                                                    float64
	WatchSecondsAvg                                                      *float64
	OnAirMinutes, InterruptedMinutes                                     float64
	InteractionRate, PaymentRate, RefundRate, RefundAmountRate           *float64
	GPMFen, UVValueFen                                                   *int64
	SellThrough                                                          *float64
	StockOutMinutes                                                      float64
}

// Honest shows the total with and without orders that were given back whole after the show (ours: the first kind of
// flag; a flag never cancels an order).
type Honest struct{ PaidFen, FlaggedOrders, FlaggedFen, WithoutFlaggedFen int64 }

// Share is what one anchor or channel sold.
type Share struct {
	Name    string
	PaidFen int64
}

// Product is the funnel of one product.
type Product struct {
	ProductID                                          int64
	Title                                              string
	Exposures, Clicks, Orders, PaidOrders, Units, Paid int64
	CTR, CTOR, PaymentRate                             *float64
}

// Minute is one minute of the curves.
type Minute struct {
	At                                                              time.Time
	Online, Entries, Leaves, Chat, Likes, Clicks, Orders, PaidOrder int64
	PaidFen                                                         int64
}

// Event is something on the curves' axis.
type Event struct {
	At        time.Time
	To        time.Time
	Type      string // started, interrupted, pin, refund, ended
	ProductID int64
	Title     string
	Anchors   []string
	AmountFen int64
}

// Room is the line of anchors that takes what no pin accounts for, and the channel of what is bought here.
const Room = "room"

// maxMinutes bounds the curves: a session that nobody ended is cut after a week.
const maxMinutes = 7 * 24 * 60

// window is [t0, t1]; a session on air ends now.
func (f Facts) window() Span {
	w := Span{f.Session.LiveAt, f.Session.EndedAt}
	if w.To.IsZero() {
		w.To = f.Now
	}
	if limit := w.From.Add(maxMinutes * time.Minute); w.To.After(limit) {
		w.To = limit
	}
	if w.To.Before(w.From) {
		w.To = w.From
	}
	return w
}

func (w Span) has(t time.Time) bool { return !t.Before(w.From) && !t.After(w.To) }

// clip cuts s to w; false: nothing is left. A stretch that lasts goes to the end of w.
func (w Span) clip(s Span) (Span, bool) {
	if s.To.IsZero() || s.To.After(w.To) {
		s.To = w.To
	}
	if s.From.Before(w.From) {
		s.From = w.From
	}
	return s, s.From.Before(s.To)
}

// Compute turns facts into a report. It has no other input: the same facts give the same report.
func Compute(f Facts) Report {
	w := f.window()
	orders := ordersIn(f.Orders, w)
	r := Report{Session: f.Session, At: f.Now, Anchors: anchors(f.Session.Anchors, orders), Channels: channels(orders), Events: events(f, w)}
	a := attend(f.Visits, f.Gaps, w)
	r.Products = products(f, w, orders)
	r.Minutes = minutes(f, w, orders, a)
	r.Honest = honest(orders, w)
	r.Totals = totals(f, w, orders, a)
	r.Evenings = len(f.Evenings)
	r.Usual = usual(f.Evenings)
	return r
}

// ordersIn gives the orders placed in the session.
func ordersIn(all []Order, w Span) []Order {
	var in []Order
	for _, o := range all {
		if w.has(o.CreatedAt) {
			in = append(in, o)
		}
	}
	return in
}

func (o Order) paid() bool { return !o.PaidAt.IsZero() }

// refunded is what has gone back; pending what is on its way.
func (o Order) refunded() (done, pending int64) {
	for _, r := range o.Refunds {
		if r.SucceededAt.IsZero() {
			pending += r.AmountFen
		} else {
			done += r.AmountFen
		}
	}
	return done, pending
}

// shares splits what was really paid over the lines: as the order says, else by what they cost.
func (o Order) shares() []int64 {
	if len(o.Shares) == len(o.Lines) && len(o.Shares) > 0 {
		return o.Shares
	}
	weights := make([]int64, len(o.Lines))
	for i, l := range o.Lines {
		weights[i] = l.Quantity * l.PriceFen
	}
	return money.Split(o.PaidFen, weights)
}

func anchors(roster []string, orders []Order) []Share {
	sums := map[string]int64{}
	for _, o := range orders {
		if !o.paid() {
			continue
		}
		parts := o.shares()
		if len(parts) == 0 {
			sums[Room] += o.PaidFen
		}
		for i, l := range o.Lines {
			if len(l.Anchors) == 0 {
				sums[Room] += parts[i]
				continue
			}
			for k, part := range money.Split(parts[i], make([]int64, len(l.Anchors))) {
				sums[l.Anchors[k]] += part
			}
		}
	}
	return ordered(sums, append(slices.Clone(roster), Room), Room)
}

func channels(orders []Order) []Share {
	sums := map[string]int64{}
	for _, o := range orders {
		if o.paid() {
			sums[o.Channel] += o.PaidFen
		}
	}
	return ordered(sums, []string{Room}, "")
}

// ordered gives the sums, first those named in order even if they are zero, then the others by name; last stands last.
func ordered(sums map[string]int64, first []string, last string) []Share {
	names := slices.Clone(first)
	var more []string
	for n := range sums {
		if !slices.Contains(names, n) {
			more = append(more, n)
		}
	}
	sort.Strings(more)
	names = append(names, more...)
	if i := slices.Index(names, last); i >= 0 {
		names = append(slices.Delete(names, i, i+1), last)
	}
	out := make([]Share, len(names))
	for i, n := range names {
		out[i] = Share{n, sums[n]}
	}
	return out
}

func products(f Facts, w Span, orders []Order) []Product {
	at := map[int64]*Product{}
	var list []*Product
	get := func(id int64, title string) *Product {
		p, ok := at[id]
		if !ok {
			p = &Product{ProductID: id}
			at[id], list = p, append(list, p)
		}
		if p.Title == "" {
			p.Title = title
		}
		return p
	}
	for _, it := range f.Shelf {
		get(it.ProductID, it.Title)
	}
	for _, o := range orders {
		seen := map[int64]bool{}
		parts := o.shares()
		for i, l := range o.Lines {
			p := get(l.ProductID, l.Title)
			if !seen[l.ProductID] {
				seen[l.ProductID] = true
				p.Orders++
				if o.paid() {
					p.PaidOrders++
				}
			}
			if o.paid() {
				p.Units += l.Quantity
				p.Paid += parts[i]
			}
		}
	}
	for _, a := range f.Acts {
		if !w.has(a.At) || at[a.ProductID] == nil {
			continue
		}
		switch a.Kind {
		case "click":
			at[a.ProductID].Clicks += a.Count
		case "exposure":
			at[a.ProductID].Exposures += a.Count
		}
	}
	for id, n := range pinViews(f, w) {
		if at[id] != nil {
			at[id].Exposures += n
		}
	}
	out := make([]Product, len(list))
	for i, p := range list {
		p.CTR, p.CTOR, p.PaymentRate = rate(p.Clicks, p.Exposures), rate(p.Orders, p.Clicks), rate(p.PaidOrders, p.Orders)
		out[i] = *p
	}
	return out
}

// pinViews counts, per product, the viewers who were there while it was pinned, once per pin.
func pinViews(f Facts, w Span) map[int64]int64 {
	views := map[int64]int64{}
	for _, p := range f.Pins {
		up, ok := w.clip(p.Span)
		if !ok {
			continue
		}
		seen := map[string]bool{}
		for _, v := range f.Visits {
			if _, there := up.clip(v.Span); there && !seen[v.Viewer] {
				seen[v.Viewer] = true
				views[p.ProductID]++
			}
		}
	}
	return views
}

func events(f Facts, w Span) []Event {
	all := []Event{{At: w.From, Type: "started"}}
	if !f.Session.EndedAt.IsZero() {
		all = append(all, Event{At: f.Session.EndedAt, Type: "ended"})
	}
	for _, g := range f.Gaps {
		all = append(all, Event{At: g.From, To: g.To, Type: "interrupted"})
	}
	titles := map[int64]string{}
	for _, it := range f.Shelf {
		titles[it.ProductID] = it.Title
	}
	for _, p := range f.Pins {
		if up, ok := w.clip(p.Span); ok {
			all = append(all, Event{At: up.From, To: p.To, Type: "pin", ProductID: p.ProductID, Title: titles[p.ProductID], Anchors: p.Anchors})
		}
	}
	for _, o := range ordersIn(f.Orders, w) {
		for _, r := range o.Refunds {
			all = append(all, Event{At: r.RequestedAt, To: r.SucceededAt, Type: "refund", AmountFen: r.AmountFen})
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].At.Before(all[j].At) })
	return all
}

func honest(orders []Order, w Span) Honest {
	var h Honest
	for _, o := range orders {
		h.PaidFen += o.PaidFen
		var after int64
		for _, r := range o.Refunds {
			if r.RequestedAt.After(w.To) {
				after += r.AmountFen
			}
		}
		if o.paid() && o.PaidFen > 0 && after >= o.PaidFen {
			h.FlaggedOrders++
			h.FlaggedFen += o.PaidFen
		}
	}
	h.WithoutFlaggedFen = h.PaidFen - h.FlaggedFen
	return h
}

func totals(f Facts, w Span, orders []Order, a attendance) Totals {
	t := Totals{
		UV: a.uv, PV: a.pv, PCU: a.peak, ACU: a.average, WatchSecondsTotal: a.watched.Seconds(),
		OnAirMinutes: a.onAir.Minutes(), InterruptedMinutes: (w.To.Sub(w.From) - a.onAir).Minutes(),
		Within7DaysOrders: f.Later.Orders, Within7DaysPaidFen: f.Later.PaidFen,
	}
	buyers, sold := map[string]bool{}, map[int64]bool{}
	var refundedOrders int64
	for _, o := range orders {
		t.OrdersPlaced++
		t.GMVPlacedFen += o.TotalFen
		if !o.paid() {
			continue
		}
		t.OrdersPaid++
		t.GMVPaidFen += o.PaidFen
		t.CouponFen += o.CouponFen
		t.PointsFen += o.Points
		buyers[o.Viewer] = true
		for _, l := range o.Lines {
			t.LinesPaid++
			t.UnitsPaid += l.Quantity
			sold[l.SKUID] = true
		}
		done, pending := o.refunded()
		t.RefundedFen += done
		t.RefundPendingFen += pending
		if done > 0 {
			refundedOrders++
		}
	}
	t.NetSalesFen, t.Buyers = t.GMVPaidFen-t.RefundedFen, int64(len(buyers))
	t.AOVFen, t.GPMFen, t.UVValueFen = per(t.GMVPaidFen, t.Buyers), per(t.GMVPaidFen*1000, t.PV), per(t.GMVPaidFen, t.UV)
	if t.UV > 0 {
		avg := t.WatchSecondsTotal / float64(t.UV)
		t.WatchSecondsAvg = &avg
	}
	t.InteractionRate = rate(interacting(f.Acts, w, a), t.UV)
	t.PaymentRate, t.RefundRate, t.RefundAmountRate = rate(t.OrdersPaid, t.OrdersPlaced), rate(refundedOrders, t.OrdersPaid), rate(t.RefundedFen, t.GMVPaidFen)
	shelf := map[int64]bool{}
	for _, it := range f.Shelf {
		shelf[it.SKUID] = true
	}
	for sku := range sold {
		shelf[sku] = true
	}
	t.SellThrough = rate(int64(len(sold)), int64(len(shelf)))
	t.StockOutMinutes = stockOut(f, w).Minutes()
	return t
}

// interacting counts the viewers who chatted, liked, shared or followed while they were there.
func interacting(acts []Act, w Span, a attendance) int64 {
	seen := map[string]bool{}
	for _, act := range acts {
		switch act.Kind {
		case "chat", "like", "share", "follow":
			if w.has(act.At) && a.viewers[act.Viewer] {
				seen[act.Viewer] = true
			}
		}
	}
	return int64(len(seen))
}

// stockOut adds up the time that a SKU of a pinned product stood at 0.
func stockOut(f Facts, w Span) time.Duration {
	product := map[int64]int64{}
	for _, it := range f.Shelf {
		product[it.SKUID] = it.ProductID
	}
	bySKU := map[int64][]Level{}
	for _, l := range f.Levels {
		bySKU[l.SKUID] = append(bySKU[l.SKUID], l)
	}
	var sum time.Duration
	for sku, levels := range bySKU {
		for i, l := range levels {
			if l.Free > 0 {
				continue
			}
			empty := Span{l.At, w.To}
			if i+1 < len(levels) {
				empty.To = levels[i+1].At
			}
			for _, p := range f.Pins {
				up, ok := w.clip(p.Span)
				if !ok || p.ProductID != product[sku] {
					continue
				}
				if both, ok := up.clip(empty); ok {
					sum += both.To.Sub(both.From)
				}
			}
		}
	}
	return sum
}

// rate is a/b, nil when there is nothing to divide by.
func rate(a, b int64) *float64 {
	if b == 0 {
		return nil
	}
	v := float64(a) / float64(b)
	return &v
}

// per is a/b in whole fen, half up; nil when there is nothing to divide by.
func per(a, b int64) *int64 {
	if b == 0 {
		return nil
	}
	v := int64(math.Floor(float64(a)/float64(b) + .5))
	return &v
}

// usual gives the median of each figure over past evenings.
func usual(past []Totals) *Totals {
	if len(past) == 0 {
		return nil
	}
	ints := func(get func(*Totals) *int64) int64 {
		var all []float64
		for i := range past {
			if v := get(&past[i]); v != nil {
				all = append(all, float64(*v))
			}
		}
		return int64(math.Round(median(all)))
	}
	floats := func(get func(*Totals) *float64) *float64 {
		var all []float64
		for i := range past {
			if v := get(&past[i]); v != nil {
				all = append(all, *v)
			}
		}
		if len(all) == 0 {
			return nil
		}
		m := median(all)
		return &m
	}
	maybe := func(get func(*Totals) *int64) *int64 {
		for i := range past {
			if get(&past[i]) != nil {
				v := ints(get)
				return &v
			}
		}
		return nil
	}
	var u Totals
	for _, get := range []func(*Totals) *int64{
		func(t *Totals) *int64 { return &t.GMVPlacedFen }, func(t *Totals) *int64 { return &t.GMVPaidFen }, func(t *Totals) *int64 { return &t.NetSalesFen },
		func(t *Totals) *int64 { return &t.RefundedFen }, func(t *Totals) *int64 { return &t.RefundPendingFen }, func(t *Totals) *int64 { return &t.CouponFen }, func(t *Totals) *int64 { return &t.PointsFen },
		func(t *Totals) *int64 { return &t.Within7DaysOrders }, func(t *Totals) *int64 { return &t.Within7DaysPaidFen },
		func(t *Totals) *int64 { return &t.OrdersPlaced }, func(t *Totals) *int64 { return &t.OrdersPaid }, func(t *Totals) *int64 { return &t.LinesPaid },
		func(t *Totals) *int64 { return &t.UnitsPaid }, func(t *Totals) *int64 { return &t.Buyers },
		func(t *Totals) *int64 { return &t.UV }, func(t *Totals) *int64 { return &t.PV }, func(t *Totals) *int64 { return &t.PCU },
	} {
		*get(&u) = ints(get)
	}
	for _, get := range []func(*Totals) *float64{
		func(t *Totals) *float64 { return &t.WatchSecondsTotal }, func(t *Totals) *float64 { return &t.OnAirMinutes },
		func(t *Totals) *float64 { return &t.InterruptedMinutes }, func(t *Totals) *float64 { return &t.StockOutMinutes },
	} {
		*get(&u) = *floats(get)
	}
	u.AOVFen = maybe(func(t *Totals) *int64 { return t.AOVFen })
	u.GPMFen = maybe(func(t *Totals) *int64 { return t.GPMFen })
	u.UVValueFen = maybe(func(t *Totals) *int64 { return t.UVValueFen })
	u.ACU = floats(func(t *Totals) *float64 { return t.ACU })
	u.WatchSecondsAvg = floats(func(t *Totals) *float64 { return t.WatchSecondsAvg })
	u.InteractionRate = floats(func(t *Totals) *float64 { return t.InteractionRate })
	u.PaymentRate = floats(func(t *Totals) *float64 { return t.PaymentRate })
	u.RefundRate = floats(func(t *Totals) *float64 { return t.RefundRate })
	u.RefundAmountRate = floats(func(t *Totals) *float64 { return t.RefundAmountRate })
	u.SellThrough = floats(func(t *Totals) *float64 { return t.SellThrough })
	return &u
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Clone(v)
	sort.Float64s(v)
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
