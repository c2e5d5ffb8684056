package pricing_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
	"github.com/duoduopin/duoduopin/pricing"
)

var evening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

// always is a coupon that may be used by anybody at any time.
func always(c pricing.Coupon) pricing.Coupon {
	c.From, c.Until, c.LeftFen = evening.Add(-time.Hour), evening.Add(time.Hour), -1
	if c.Code == "" {
		c.Code = fmt.Sprint("c", c.ID)
	}
	return c
}

// cart has scarves (product 1, SKU 11) and juice (product 2, SKU 21).
func cart(scarves, juice int64) pricing.Basket {
	b := pricing.Basket{BuyerID: 1, SessionID: 7, At: evening}
	if scarves > 0 {
		b.Lines = append(b.Lines, pricing.Line{SKUID: 11, ProductID: 1, Quantity: scarves, PriceFen: 12800})
	}
	if juice > 0 {
		b.Lines = append(b.Lines, pricing.Line{SKUID: 21, ProductID: 2, Quantity: juice, PriceFen: 990, Position: 1})
	}
	return b
}

func TestPrice(t *testing.T) {
	gift := pricing.Gift{ID: 5, SKUID: 31, ProductID: 3, Quantity: 2, ThresholdFen: 20000, From: evening, Until: evening.Add(time.Hour), Left: 3}
	north := pricing.Template{ID: 1, Zones: []pricing.Zone{
		{Provinces: []string{"内蒙古自治区"}, FirstG: 1000, FirstFen: 500, NextG: 500, NextFen: 100, FreeFromFen: 50000},
		{Provinces: []string{"西藏"}, NotDelivered: true},
		{FirstG: 1000, FirstFen: 1200, NextG: 1000, NextFen: 300},
	}}
	for _, row := range []struct {
		name   string
		b      pricing.Basket
		points int64
		to     string
		t      pricing.Terms
		want   string // goods coupon points shipping total
	}{
		{"plain", cart(2, 1), 0, "", pricing.Terms{}, "26590 0 0 0 26590"},
		{"fixed", cart(1, 0), 0, "", pricing.Terms{Coupons: []pricing.Coupon{always(pricing.Coupon{ID: 1, OffFen: 2000, ThresholdFen: 12800})}}, "12800 2000 0 0 10800"},
		{"percent is rounded down", cart(0, 1), 0, "", pricing.Terms{Coupons: []pricing.Coupon{always(pricing.Coupon{ID: 1, Percent: 15})}}, "990 148 0 0 842"},
		{"percent has a cap", cart(1, 0), 0, "", pricing.Terms{Coupons: []pricing.Coupon{always(pricing.Coupon{ID: 1, Percent: 50, CapFen: 3000})}}, "12800 3000 0 0 9800"},
		{"a fen of the goods stays", cart(0, 1), 0, "", pricing.Terms{Coupons: []pricing.Coupon{always(pricing.Coupon{ID: 1, OffFen: 100000})}}, "990 989 0 0 1"},
		{"only its product", cart(1, 1), 0, "", pricing.Terms{Coupons: []pricing.Coupon{always(pricing.Coupon{ID: 1, Percent: 50, Products: []int64{2}})}}, "13790 495 0 0 13295"},
		{"fixed before percent, however given", cart(1, 0), 0, "", pricing.Terms{Coupons: []pricing.Coupon{always(pricing.Coupon{ID: 1, Percent: 10}), always(pricing.Coupon{ID: 2, OffFen: 2800})}}, "12800 3800 0 0 9000"},
		{"product before all, though percent", cart(1, 1), 0, "", pricing.Terms{Coupons: []pricing.Coupon{always(pricing.Coupon{ID: 2, OffFen: 1000}), always(pricing.Coupon{ID: 1, Percent: 10, Products: []int64{1}})}}, "13790 2280 0 0 11510"},
		{"points", cart(1, 0), 300, "", pricing.Terms{Points: 300}, "12800 0 300 0 12500"},
		{"points leave a fen", cart(0, 1), 989, "", pricing.Terms{Points: 5000}, "990 0 989 0 1"},
		{"points pay all goods where shipping is paid", cart(0, 1), 990, "浙江省", pricing.Terms{Points: 5000, Templates: []pricing.Template{north}}, "990 0 990 1200 1200"},
		{"flash sale", cart(2, 0), 0, "", pricing.Terms{Flash: map[int64]pricing.Flash{11: {ID: 4, PriceFen: 9900, Left: 2, Mine: 2}}}, "19800 0 0 0 19800"},
		{"gift", cart(2, 0), 0, "", pricing.Terms{Gifts: []pricing.Gift{gift}}, "25600 0 0 0 25600 +31x2"},
		{"gift not reached", cart(1, 0), 0, "", pricing.Terms{Gifts: []pricing.Gift{gift}}, "12800 0 0 0 12800"},
		{"weights, begun ones count", cart(1, 3), 0, "内蒙古", pricing.Terms{Templates: []pricing.Template{north}, Weights: map[int64]int64{11: 200, 21: 300}}, "15770 0 0 600 16370"},
		{"free from", cart(4, 0), 0, "内蒙古自治区", pricing.Terms{Templates: []pricing.Template{north}, Weights: map[int64]int64{11: 200}}, "51200 0 0 0 51200"},
		{"province not said yet", cart(1, 0), 0, "", pricing.Terms{Templates: []pricing.Template{north}}, "12800 0 0 1200 14000"},
		{"other goods ship free", cart(1, 0), 0, "浙江", pricing.Terms{Templates: []pricing.Template{{ID: 2, Products: []int64{2}, Zones: north.Zones}}}, "12800 0 0 0 12800"},
		{"two templates", cart(1, 1), 0, "浙江", pricing.Terms{Templates: []pricing.Template{{ID: 2, Products: []int64{2}, Zones: north.Zones}, north}}, "13790 0 0 2400 16190"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.b.Points, row.b.Province = row.points, row.to
			got, err := pricing.Price(row.b, row.t)
			if err != nil {
				t.Fatal(err)
			}
			text := fmt.Sprint(got.GoodsFen, got.CouponFen, got.PointsFen, got.ShippingFen, got.TotalFen)
			for _, g := range got.Gifts {
				text += fmt.Sprintf(" +%dx%d", g.SKUID, g.Units)
			}
			if text != row.want {
				t.Errorf("%s, want %s", text, row.want)
			}
		})
	}
}

func TestPriceRefuses(t *testing.T) {
	one := func(c pricing.Coupon) pricing.Terms { return pricing.Terms{Coupons: []pricing.Coupon{c}} }
	spent, missing, stopped, late, early, other, poor := always(pricing.Coupon{ID: 1, OffFen: 1}), always(pricing.Coupon{ID: 1}), always(pricing.Coupon{ID: 1, OffFen: 1}), always(pricing.Coupon{ID: 1, OffFen: 1}), always(pricing.Coupon{ID: 1, OffFen: 1}), always(pricing.Coupon{ID: 1, OffFen: 1, Sessions: []int64{8}}), always(pricing.Coupon{ID: 1, OffFen: 100})
	spent.Spent, missing.Missing, stopped.Stopped, late.Until, early.From, poor.LeftFen = true, true, true, evening, evening.Add(1), 99
	scarf := always(pricing.Coupon{ID: 1, OffFen: 1, Products: []int64{1}})
	dear := cart(1, 0)
	dear.Lines[0].PriceFen, dear.Lines[0].Quantity = money.Max, 2
	for _, row := range []struct {
		name   string
		b      pricing.Basket
		points int64
		to     string
		t      pricing.Terms
		code   string
		field  string
	}{
		{"nothing", pricing.Basket{}, 0, "", pricing.Terms{}, "invalid", "items"},
		{"no units", pricing.Basket{Lines: []pricing.Line{{}}}, 0, "", pricing.Terms{}, "invalid", "items[0].quantity"},
		{"overflow", dear, 0, "", pricing.Terms{}, "invalid", "items"},
		{"spent", cart(1, 0), 0, "", one(spent), "coupon-not-usable", "coupons[0]"},
		{"missing", cart(1, 0), 0, "", one(missing), "coupon-not-usable", "coupons[0]"},
		{"stopped", cart(1, 0), 0, "", one(stopped), "coupon-not-usable", "coupons[0]"},
		{"expired", cart(1, 0), 0, "", one(late), "coupon-not-usable", "coupons[0]"},
		{"not yet", cart(1, 0), 0, "", one(early), "coupon-not-usable", "coupons[0]"},
		{"another session", cart(1, 0), 0, "", one(other), "coupon-not-usable", "coupons[0]"},
		{"budget", cart(1, 0), 0, "", one(poor), "coupon-not-usable", "coupons[0]"},
		{"threshold", cart(1, 0), 0, "", one(always(pricing.Coupon{ID: 1, OffFen: 1, ThresholdFen: 12801})), "coupon-threshold", "coupons[0]"},
		{"not its product", cart(0, 1), 0, "", one(scarf), "coupon-threshold", "coupons[0]"},
		{"two of a kind", cart(1, 0), 0, "", pricing.Terms{Coupons: []pricing.Coupon{scarf, scarf}}, "coupon-not-usable", "coupons[1]"},
		{"more points than there are", cart(1, 0), 10, "", pricing.Terms{Points: 9}, "points", "points"},
		{"points for everything", cart(0, 1), 990, "", pricing.Terms{Points: 1000}, "points", "points"},
		{"points below zero", cart(0, 1), -1, "", pricing.Terms{Points: 1000}, "invalid", "points"},
		{"flash sold out", cart(2, 0), 0, "", pricing.Terms{Flash: map[int64]pricing.Flash{11: {Left: 1, Mine: 9}}}, "sold-out", "items[0].quantity"},
		{"flash limit", cart(2, 0), 0, "", pricing.Terms{Flash: map[int64]pricing.Flash{11: {Left: 9, Mine: 1}}}, "flash-limit", "items[0].quantity"},
		{"not delivered", cart(1, 0), 0, "西藏自治区", pricing.Terms{Templates: []pricing.Template{{Zones: []pricing.Zone{{Provinces: []string{"西藏"}, NotDelivered: true}, {}}}}}, "not-delivered", "address.province"},
		{"no zone", cart(1, 0), 0, "海南", pricing.Terms{Templates: []pricing.Template{{Zones: []pricing.Zone{{Provinces: []string{"北京市"}}}}}}, "not-delivered", "address.province"},
	} {
		t.Run(row.name, func(t *testing.T) {
			row.b.Points, row.b.Province = row.points, row.to
			_, err := pricing.Price(row.b, row.t)
			var f *fault.Error
			if !errors.As(err, &f) || f.Code != row.code || f.Field != row.field {
				t.Errorf("%v", err)
			}
		})
	}
}

// drawn is a random basket with random terms that nothing refuses beforehand.
func drawn(t *rapid.T) (pricing.Basket, pricing.Terms) {
	b := pricing.Basket{SessionID: 7, At: evening, Province: rapid.SampledFrom([]string{"", "内蒙古", "浙江省"}).Draw(t, "province")}
	terms := pricing.Terms{Flash: map[int64]pricing.Flash{}, Weights: map[int64]int64{}}
	price := rapid.OneOf(rapid.Int64Range(0, 20), rapid.Int64Range(0, 100_000), rapid.Int64Range(0, 100_000_000))
	for i := range rapid.Int64Range(1, 8).Draw(t, "lines") {
		b.Lines = append(b.Lines, pricing.Line{SKUID: i + 1, ProductID: i/2 + 1, Quantity: rapid.Int64Range(1, 9).Draw(t, "quantity"), PriceFen: price.Draw(t, "price")})
		terms.Weights[i+1] = rapid.Int64Range(0, 5000).Draw(t, "grams")
		if rapid.IntRange(0, 3).Draw(t, "flash") == 0 {
			terms.Flash[i+1] = pricing.Flash{ID: i + 100, PriceFen: price.Draw(t, "flash price"), Left: 99, Mine: 99}
		}
	}
	for i := range rapid.Int64Range(0, 3).Draw(t, "coupons") {
		c := always(pricing.Coupon{ID: i + 1, OffFen: rapid.Int64Range(1, 10_000_000).Draw(t, "off")})
		if rapid.Bool().Draw(t, "percent") {
			c.OffFen, c.Percent, c.CapFen = 0, rapid.Int64Range(1, 99).Draw(t, "percentage"), rapid.Int64Range(0, 5000).Draw(t, "cap")
		}
		if rapid.Bool().Draw(t, "scoped") {
			c.Products = []int64{1, 2}
		}
		terms.Coupons = append(terms.Coupons, c)
	}
	if rapid.Bool().Draw(t, "gift") {
		terms.Gifts = []pricing.Gift{{ID: 1, SKUID: 900, Quantity: 1, Left: 5, Until: evening.Add(1)}}
	}
	if rapid.Bool().Draw(t, "template") {
		terms.Templates = []pricing.Template{{ID: 1, Zones: []pricing.Zone{{FirstG: 1000, FirstFen: 800, NextG: 500, NextFen: 150}}}}
	}
	terms.Points = rapid.Int64Range(0, 1_000_000_000).Draw(t, "balance")
	b.Points = rapid.Int64Range(0, min(terms.Points, 100_000)).Draw(t, "points")
	return b, terms
}

// Whatever is bought: nothing is negative, every sum is exact, and each line comes back to exactly what was paid for it.
func TestAddsUpToTheFen(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, terms := drawn(t)
		got, err := pricing.Price(b, terms)
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Fatal(err)
			}
			return
		}
		var goods, coupon, points, paid, free int64
		for i, p := range got.Lines {
			if p.CouponFen < 0 || p.PointsFen < 0 || p.PaidFen < 0 || p.PaidFen != p.GoodsFen-p.CouponFen-p.PointsFen || p.GoodsFen != p.PriceFen*p.Quantity {
				t.Fatalf("line %d: %+v", i, p)
			}
			goods, coupon, points, paid = goods+p.GoodsFen, coupon+p.CouponFen, points+p.PointsFen, paid+p.PaidFen
		}
		for _, c := range got.Coupons {
			if c.OffFen < 1 {
				t.Fatalf("coupon %+v", c)
			}
			free += c.OffFen
		}
		switch {
		case goods != got.GoodsFen, coupon != got.CouponFen, free != coupon, points != got.PointsFen, points != b.Points, got.ShippingFen < 0:
			t.Fatalf("%+v", got)
		case got.TotalFen != paid+got.ShippingFen, got.TotalFen < 0, goods > 0 && got.TotalFen < 1:
			t.Fatalf("total %d of %+v", got.TotalFen, got)
		}
		again, err := pricing.Price(b, terms)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(got) {
			t.Fatal("not a function of its input")
		}
		backInParts(t, got)
	})
}

// backInParts takes every line back in random steps.
func backInParts(t *rapid.T, b pricing.Breakdown) {
	for i, p := range b.Lines {
		var done, fen, points int64
		for done < p.Quantity {
			units := rapid.Int64Range(1, p.Quantity-done).Draw(t, "units")
			f, n := p.Back(done, units)
			done, fen, points = done+units, fen+f, points+n
			if f < 0 || n < 0 || fen > p.PaidFen || points > p.PointsFen {
				t.Fatalf("line %d: %d fen and %d points back of %+v", i, fen, points, p)
			}
		}
		if fen != p.PaidFen || points != p.PointsFen {
			t.Fatalf("line %d: %d fen and %d points back of %+v", i, fen, points, p)
		}
		if f, n := p.Back(done, 5); f != 0 || n != 0 {
			t.Fatalf("line %d gives more than it had", i)
		}
	}
}

// The order in which a buyer names coupons changes nothing.
func TestOrderOfCoupons(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b, terms := drawn(t)
		got, err := pricing.Price(b, terms)
		terms.Coupons = rapid.Permutation(terms.Coupons).Draw(t, "order")
		again, err2 := pricing.Price(b, terms)
		if (err == nil) != (err2 == nil) || err == nil && fmt.Sprint(got) != fmt.Sprint(again) {
			t.Fatalf("%+v, %v\n%+v, %v", got, err, again, err2)
		}
	})
}

func TestPointsComeBackInProportion(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		points, paid := rapid.Int64Range(0, money.Max).Draw(t, "points"), rapid.Int64Range(1, money.Max).Draw(t, "paid")
		steps := rapid.SliceOfN(rapid.Int64Range(0, paid), 0, 6).Draw(t, "refunded")
		slices.Sort(steps)
		var before int64
		for _, r := range append(steps, paid) {
			n := pricing.PointsBack(points, r, paid)
			if n < before || n > points {
				t.Fatalf("%d points back at %d of %d", n, r, paid)
			}
			before = n
		}
		if before != points {
			t.Fatalf("%d of %d points back", before, points)
		}
	})
}

func TestProvince(t *testing.T) {
	for in, want := range map[string]string{"内蒙古自治区": "内蒙古", "内蒙古": "内蒙古", "北京市": "北京", "新疆维吾尔自治区": "新疆", "香港特别行政区": "香港", " 浙江省 ": "浙江", "省": "省", "": ""} {
		if got := pricing.Province(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

func BenchmarkPrice(b *testing.B) {
	basket := cart(2, 3)
	basket.Points = 100
	terms := pricing.Terms{Points: 100, Coupons: []pricing.Coupon{always(pricing.Coupon{ID: 1, Percent: 10})}}
	for b.Loop() {
		if _, err := pricing.Price(basket, terms); err != nil {
			b.Fatal(err)
		}
	}
}
