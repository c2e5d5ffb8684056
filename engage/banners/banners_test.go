package banners_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/engage/banners"
	"github.com/duoduopin/duoduopin/engage/engagetest"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
)

func TestMain(m *testing.M) { testshop.Main(m) }

const show = engagetest.Show

type hall struct {
	*engagetest.Town
	*banners.Service
	stage *engage.Stage
	db    *db.DB
}

func each(t *testing.T, fn func(t *testing.T, h *hall)) {
	t.Helper()
	testshop.EachDB(t, append(engage.Migrations(), banners.Migrations()...), func(t *testing.T, d *db.DB) { fn(t, open(t, engagetest.New(), d)) })
}

func open(t *testing.T, town *engagetest.Town, d *db.DB) *hall {
	h := &hall{Town: town, db: d, stage: town.Stage(t, d)}
	h.Service = banners.New(h.stage)
	return h
}

func (h *hall) sell(t *testing.T, product, buyer, quantity int64) {
	t.Helper()
	err := h.Sold(t.Context(), banners.Sale{SessionID: show, ProductID: product, Title: fmt.Sprint("商品", product), Quantity: quantity, BuyerID: buyer, Initial: "王小明"})
	if err != nil {
		t.Fatal(err)
	}
}

// Only who has agreed is named, by one letter, and not in a sum.
func TestConsent(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		if err := h.Agree(t.Context(), 1, true); err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			name   string
			buyers []int64
			want   string
		}{
			{"who has agreed", []int64{1}, "王"},
			{"who has not", []int64{2}, ""},
			{"one of each", []int64{1, 2}, ""},
			{"bought elsewhere", []int64{0}, ""},
		} {
			for _, b := range row.buyers {
				h.sell(t, 12, b, 1)
			}
			h.Round(t, h.stage)
			e := h.Heard("sold")
			if len(e) != 1 || !e[0].Kept || e[0].Data["buyer"] != row.want || e[0].Data["quantity"] != float64(len(row.buyers)) {
				t.Errorf("%s: %+v", row.name, e)
			}
		}
		if err := h.Agree(t.Context(), 1, false); err != nil {
			t.Fatal(err)
		}
		h.sell(t, 12, 1, 1)
		h.Round(t, h.stage)
		if e := h.Heard("sold"); e[0].Data["buyer"] != "" {
			t.Errorf("after withdrawing: %+v", e)
		}
	})
}

// A rush on two nodes: one banner a second, and what they say adds up to what was sold.
func TestRush(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		nodes := []*hall{h, open(t, h.Town, h.db)}
		told, banners := map[float64]float64{}, 0
		hear := func() {
			for _, e := range h.Heard("sold") {
				banners++
				told[e.Data["product_id"].(float64)] += e.Data["quantity"].(float64)
				also, _ := e.Data["also"].([]any)
				for _, a := range also {
					told[a.(map[string]any)["product_id"].(float64)] += a.(map[string]any)["quantity"].(float64)
				}
			}
		}
		for second := range 3 {
			var all sync.WaitGroup
			for i := range int64(60) {
				all.Go(func() { nodes[i%2].sell(t, i%30, i, 2) })
			}
			all.Wait()
			for range 4 { // rounds within the same second
				for _, n := range nodes {
					if err := n.stage.Round(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}
			if hear(); banners > second+1 {
				t.Fatalf("%d banners in second %d", banners, second)
			}
			h.Round(t, h.stage)
			if hear(); banners > second+2 {
				t.Fatalf("%d banners in second %d", banners, second+1)
			}
		}
		for range 3 {
			h.Round(t, h.stage)
		}
		hear()
		for p := range 30 {
			if told[float64(p)] != 12 {
				t.Errorf("product %d: %v of 12 were told", p, told[float64(p)])
			}
		}
	})
}

// A crash after the sale: the next process tells it.
func TestCrash(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.sell(t, 12, 1, 1)
		h.Break(true)
		_ = h.stage.Round(t.Context())
		h.Break(false)
		next := open(t, h.Town, h.db)
		for range 5 {
			h.Round(t, next.stage)
		}
		if e := h.Heard("sold"); len(e) != 1 {
			t.Errorf("%+v", e)
		}
	})
}
