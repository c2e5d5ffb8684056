package demo

import "testing"

func TestMonthAddsUp(t *testing.T) {
	goods := products()
	var total int64
	for _, s := range month() {
		e := play(s, goods)
		var sum int64
		for _, b := range e.buys {
			for _, it := range b.items {
				sum += it.quantity * goods[it.product].skus[it.sku].live
			}
			if b.at.Before(s.start) || b.at.After(s.start.Add(s.length)) {
				t.Errorf("%s: an order at %s", s.title, b.at)
			}
		}
		if sum != s.gmv {
			t.Errorf("%s: orders add up to %d, want %d", s.title, sum, s.gmv)
		}
		var watched float64
		for _, v := range e.visits {
			watched += v.to.Sub(v.from).Minutes()
		}
		online := watched / s.length.Minutes()
		if d := online / float64(s.online); d < .75 || d > 1.3 {
			t.Errorf("%s: %.0f online on average, wished %d", s.title, online, s.online)
		}
		t.Logf("%s %s: %d orders, %d visits, %.0f online", s.start.Format("01-02"), s.title, len(e.buys), len(e.visits), online)
		total += sum
	}
	if total != monthFen {
		t.Errorf("the month adds up to %d", total)
	}
}
