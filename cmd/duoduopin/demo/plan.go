package demo

import (
	"math"
	"math/rand/v2"
	"sort"
	"strconv"
	"time"
)

// evening is a show played out: who came when, what was pinned, said and bought. Invented by a fixed seed, so that every
// demo shop is the same; only the totals of the leader session and of the month come from the report.
type evening struct {
	show   show
	pins   []pinned
	visits []visit
	deeds  []deed
	lines  []line
	buys   []buy
}

// pinned is one stretch in which a product is explained. An empty anchor is a pin shared by all.
type pinned struct {
	product  int // index into products()
	anchor   string
	from, to time.Time
}

// visit is one stay of a viewer.
type visit struct {
	viewer   string
	from, to time.Time
}

// deed is something a viewer did beside watching.
type deed struct {
	viewer, kind string
	product      int // index, -1 for none
	at           time.Time
}

// line is a chat line of an invented viewer.
type line struct {
	at         time.Time
	user, text string
}

// buy is one order; its channel is room, douyin or kuaishou.
type buy struct {
	at      time.Time
	channel string
	buyer   int // index of a demo buyer for the room, of an invented outside buyer else
	number  string
	items   []item
	pin     int // index into pins
}

type item struct {
	product, sku int
	quantity     int64
}

// play makes up the evening of s.
func play(s show, goods []product) evening {
	r := rand.New(rand.NewPCG(20220708, uint64(s.start.Unix())))
	e := evening{show: s}
	e.pins = explain(s, len(goods))
	e.visits = visitors(r, s)
	e.deeds, e.lines = doings(r, s, e.visits, e.pins, goods)
	e.buys = purchases(r, s, e.pins, goods)
	return e
}

// explain gives each product its stretch in turn, anchors by turns; with several anchors the last stretch is shared.
func explain(s show, goods int) []pinned {
	n := goods
	if len(s.anchors) > 1 {
		n = goods * 2
	}
	step := s.length / time.Duration(n)
	pins := make([]pinned, n)
	for i := range pins {
		p := pinned{product: i % goods, anchor: s.anchors[i%len(s.anchors)], from: s.start.Add(step*time.Duration(i) + 40*time.Second), to: s.start.Add(step * time.Duration(i+1))}
		if i == n-1 {
			p.to = s.start.Add(s.length - 20*time.Second)
			if len(s.anchors) > 1 {
				p.anchor = ""
			}
		}
		pins[i] = p
	}
	return pins
}

// visitors fills the room so that about s.online are there on average: stays of some minutes, swelling to the middle.
func visitors(r *rand.Rand, s show) []visit {
	const stay = 7.5 // minutes on average
	minutes := s.length.Minutes()
	count := int(float64(s.online) * minutes / stay * 1.06)
	end := s.start.Add(s.length)
	visits := make([]visit, 0, count)
	for i := range count {
		at := (r.Float64() + r.Float64()*0.35) / 1.35 * minutes
		if r.Float64() < .12 {
			at = r.Float64() * 3 // those who waited for the start
		}
		long := math.Min(-math.Log(1-r.Float64())*stay+.3, 60)
		from := s.start.Add(time.Duration(at * float64(time.Minute))).Truncate(time.Millisecond)
		to := from.Add(time.Duration(long * float64(time.Minute))).Truncate(time.Millisecond)
		if to.After(end) {
			to = end
		}
		if to.Sub(from) > 2*time.Second {
			visits = append(visits, visit{viewer: "v:demo-" + s.start.Format("0102") + "-" + strconv.Itoa(i*9/10), from: from, to: to})
		}
	}
	sort.Slice(visits, func(a, b int) bool { return visits[a].from.Before(visits[b].from) })
	return visits
}

func doings(r *rand.Rand, s show, visits []visit, pins []pinned, goods []product) ([]deed, []line) {
	said := []string{"主播好", "围巾有红色的吗", "发什么快递", "酸杏干酸不酸", "给爸妈买一箱", "锅茶怎么煮", "米是今年的吗", "冷链能到广东吗", "支持家乡", "已下单", "有没有小包装", "牛肉干辣不辣"}
	var deeds []deed
	var lines []line
	for _, v := range visits {
		within := func() time.Time { return v.from.Add(time.Duration(r.Int64N(int64(v.to.Sub(v.from))))) }
		if r.Float64() < .22 {
			deeds = append(deeds, deed{v.viewer, "like", -1, within()})
		}
		if r.Float64() < .04 {
			deeds = append(deeds, deed{v.viewer, "share", -1, within()})
		}
		for _, p := range pins {
			if p.from.Before(v.to) && p.to.After(v.from) && r.Float64() < .18 {
				at := p.from
				if v.from.After(at) {
					at = v.from
				}
				deeds = append(deeds, deed{v.viewer, "click", p.product % len(goods), at.Add(time.Second)})
			}
		}
		if r.Float64() < .1 && len(lines) < 400 {
			at := within()
			deeds = append(deeds, deed{v.viewer, "chat", -1, at})
			lines = append(lines, line{at, "网友" + strconv.Itoa(100+len(lines)), said[r.IntN(len(said))]})
		}
	}
	sort.Slice(lines, func(a, b int) bool { return lines[a].at.Before(lines[b].at) })
	return deeds, lines
}

// closing is the sum in fen from which on the last order is made up to fit; every whole-yuan sum above it can be reached.
const closing = 60_000

// purchases makes orders until their totals are s.gmv exactly: no order leaves a rest that the prices can't make up.
func purchases(r *rand.Rand, s show, pins []pinned, goods []product) []buy {
	left := s.gmv
	var buys []buy
	for left > 0 {
		pin := r.IntN(len(pins))
		if r.Float64() < .3 { // the shared last stretch and the middle sell most
			pin = (len(pins) + pin) / 2
		}
		p := pins[pin]
		k := r.IntN(len(goods[p.product].skus))
		it := item{p.product, k, 1 + int64(r.IntN(3)/2)}
		cost := goods[p.product].skus[k].live * it.quantity
		b := buy{at: p.from.Add(time.Duration(r.Int64N(int64(p.to.Sub(p.from))))).Truncate(time.Millisecond), channel: channel(r, s), pin: pin, items: []item{it}}
		b.buyer = r.IntN(4000) // the platforms have many; of our own twenty another six come each evening
		if b.channel == "room" {
			b.buyer = (s.start.YearDay()*6 + b.buyer%6) % 20
		}
		if left < closing {
			b.items, cost = change(left, goods), left
		}
		if rest := left - cost; rest < 0 || (rest > 0 && rest < closing && change(rest, goods) == nil) {
			continue
		}
		left -= cost
		b.number = s.start.Format("20060102") + "-" + strconv.Itoa(len(buys)+1)
		buys = append(buys, b)
	}
	sort.SliceStable(buys, func(a, b int) bool { return buys[a].at.Before(buys[b].at) })
	return buys
}

func channel(r *rand.Rand, s show) string {
	switch x := r.Float64(); {
	case x < s.douyin:
		return "douyin"
	case x < s.douyin+s.kuaishou:
		return "kuaishou"
	}
	return "room"
}

// change finds articles whose session prices add up to fen exactly, or nil: the change-making problem in steps of one yuan.
func change(fen int64, goods []product) []item {
	n := int(fen / 100)
	if fen%100 != 0 || n <= 0 {
		return nil
	}
	from := make([]*item, n+1)
	reached := make([]bool, n+1)
	reached[0] = true
	for i := range n + 1 {
		if !reached[i] {
			continue
		}
		for p := range goods {
			for k, sk := range goods[p].skus {
				if j := i + int(sk.live/100); j <= n && !reached[j] {
					reached[j], from[j] = true, &item{p, k, 1}
				}
			}
		}
	}
	if !reached[n] {
		return nil
	}
	counts := map[[2]int]int64{}
	for i := n; i > 0; {
		it := from[i]
		counts[[2]int{it.product, it.sku}]++
		i -= int(goods[it.product].skus[it.sku].live / 100)
	}
	items := make([]item, 0, len(counts))
	for k, q := range counts {
		items = append(items, item{k[0], k[1], q})
	}
	sort.Slice(items, func(a, b int) bool {
		return items[a].product*10+items[a].sku < items[b].product*10+items[b].sku
	})
	return items
}
