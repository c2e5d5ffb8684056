package pricing

import (
	"fmt"
	"slices"
	"strings"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/money"
)

// MaxPostage is the most that a first or a further weight may cost, in fen: it keeps every charge below 2^63.
const MaxPostage = 1_000_000

// Template is what shipping costs, by province and weight. A basket may touch several templates; each is charged for its
// own goods, and the charges are added.
type Template struct {
	ID       int64
	Products []int64 // those it is for; empty: all that no other template names
	Zones    []Zone  // the first that names the province counts; one without provinces is for all others
}

// Zone is what shipping to some provinces costs: a first weight, and then for each further weight begun.
type Zone struct {
	Provinces    []string // as addresses have them; the usual endings 省, 市, 自治区 do not matter
	FirstG       int64    // grams, at least 1
	FirstFen     int64
	NextG        int64 // grams, at least 1
	NextFen      int64
	FreeFromFen  int64 // goods after coupons from which it is free; 0: never
	NotDelivered bool
}

// ErrProvince says that nothing is delivered there.
var ErrProvince = fault.New(fault.Conflict, "not-delivered", "we do not deliver there")

// shipping charges each template for its goods. Where no province has been said yet, the zone for all others counts.
func shipping(out *Breakdown, b Basket, t Terms) error {
	type bill struct{ grams, fen int64 }
	bills := make([]bill, len(t.Templates))
	for i, l := range b.Lines {
		at := templateOf(t.Templates, l.ProductID)
		if at < 0 {
			continue
		}
		bills[at].grams += min(t.Weights[l.SKUID], MaxWeight) * l.Quantity
		bills[at].fen += out.Lines[i].PaidFen
	}
	for i, tpl := range t.Templates {
		if !slices.ContainsFunc(b.Lines, func(l Line) bool { return templateOf(t.Templates, l.ProductID) == i }) {
			continue
		}
		z, ok := tpl.zone(b.Province)
		if !ok || z.NotDelivered {
			return ErrProvince.At("address.province").Saying(fmt.Sprintf("we do not deliver some of this to %s", b.Province))
		}
		if z.FirstFen < 0 || z.FirstFen > MaxPostage || z.NextFen < 0 || z.NextFen > MaxPostage {
			return fmt.Errorf("pricing: template %d has a zone with the price %d and %d", t.Templates[i].ID, z.FirstFen, z.NextFen)
		}
		if out.ShippingFen += z.charge(bills[i].grams, bills[i].fen); out.ShippingFen > money.Max {
			return ErrTooMuch
		}
	}
	return nil
}

// templateOf gives the index of the template for a product, -1 if shipping is free.
func templateOf(all []Template, product int64) int {
	rest := -1
	for i, t := range all {
		if slices.Contains(t.Products, product) {
			return i
		}
		if len(t.Products) == 0 && rest < 0 {
			rest = i
		}
	}
	return rest
}

// zone gives the first zone that names the province, else the one for all others. Where nothing has been said yet it is
// the first that delivers: placing asks again with the province.
func (t Template) zone(province string) (Zone, bool) {
	name := Province(province)
	fits := func(z Zone) bool { return len(z.Provinces) == 0 }
	if name != "" {
		named := slices.IndexFunc(t.Zones, func(z Zone) bool {
			return slices.ContainsFunc(z.Provinces, func(p string) bool { return Province(p) == name })
		})
		if named >= 0 {
			return t.Zones[named], true
		}
	} else if !slices.ContainsFunc(t.Zones, func(z Zone) bool { return fits(z) && !z.NotDelivered }) {
		fits = func(z Zone) bool { return !z.NotDelivered }
	}
	if rest := slices.IndexFunc(t.Zones, fits); rest >= 0 {
		return t.Zones[rest], true
	}
	return Zone{}, false
}

// charge is what one bill costs.
func (z Zone) charge(grams, fen int64) int64 {
	if z.FreeFromFen > 0 && fen >= z.FreeFromFen {
		return 0
	}
	over := max(0, grams-max(1, z.FirstG))
	next := max(1, z.NextG)
	return z.FirstFen + (over+next-1)/next*z.NextFen
}

// Province gives a province's bare name: 内蒙古自治区 and 内蒙古 are the same.
func Province(name string) string {
	name = strings.TrimSpace(name)
	for _, end := range []string{"维吾尔自治区", "壮族自治区", "回族自治区", "特别行政区", "自治区", "省", "市"} {
		if bare, ok := strings.CutSuffix(name, end); ok && bare != "" {
			return bare
		}
	}
	return name
}
