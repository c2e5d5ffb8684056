package orders_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/orders"
)

// BenchmarkDesk reads pages of 50 of the fulfilment desk among 100,000 orders of 100 sessions, most of them completed, and
// compares each filter with reading the newest 50 without one ("x-newest").
func BenchmarkDesk(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{db.SQLite: testshop.SQLiteURL, db.Postgres: testshop.PostgresURL} {
		b.Run(name, func(b *testing.B) {
			d, err := db.Open(b.Context(), url(b))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = d.Close() })
			if err := d.Migrate(b.Context(), schema()); err != nil {
				b.Fatal(err)
			}
			manyOrders(b, d, 100_000)
			benchDesk(b, newShop(b, d))
		})
	}
}

func benchDesk(b *testing.B, s *shop) {
	var newest float64
	for _, x := range []struct {
		name string
		f    orders.DeskFilter
	}{
		{"newest", orders.DeskFilter{}},
		{"middle", orders.DeskFilter{After: 50_000}},
		{"to send", orders.DeskFilter{States: []orders.State{orders.Paid}, Oldest: true}},
		{"refunded", orders.DeskFilter{States: []orders.State{orders.Refunded}}},
		{"completed", orders.DeskFilter{States: []orders.State{orders.Completed}, After: 50_000}},
		{"session", orders.DeskFilter{SessionID: 17}},
		{"session to send", orders.DeskFilter{SessionID: 17, States: []orders.State{orders.Paid}}},
		{"sku to send", orders.DeskFilter{SKUID: juice, States: []orders.State{orders.Paid}}},
		{"rare sku", orders.DeskFilter{SKUID: 999}},
	} {
		b.Run(x.name, func(b *testing.B) {
			x.f.Limit = 50
			for b.Loop() {
				if _, err := s.svc.Desk(b.Context(), x.f); err != nil {
					b.Fatal(err)
				}
			}
			each := float64(b.Elapsed()) / float64(b.N)
			if newest == 0 {
				newest = each
			}
			b.ReportMetric(each/newest, "x-newest")
		})
	}
}

// manyOrders writes orders straight into the tables: of each hundred 90 completed, 4 paid, 2 shipped, 2 cancelled, 1
// refunded, 1 pending, spread over 100 sessions.
func manyOrders(b *testing.B, d *db.DB, n int) {
	b.Helper()
	state := func(i int) string {
		switch r := i % 100; {
		case r < 4:
			return "paid"
		case r < 6:
			return "shipped"
		case r < 8:
			return "cancelled"
		case r < 9:
			return "refunded"
		case r < 10:
			return "pending"
		}
		return "completed"
	}
	for from := 0; from < n; from += 500 {
		var heads, lines []string
		for i := from; i < from+500; i++ {
			heads = append(heads, fmt.Sprintf("('o%07d',%d,%d,'buyer','b','room','1:1:%d','','%s','','none',990,990,0,0,'','','','',%d,0,0,0,'',0)", i, 1+i*7919%100, 1+i%5000, i, state(i), 1_600_000_000_000+i*1000))
			lines = append(lines, fmt.Sprintf("('o%07d',0,%d,2,1,990,'沙棘汁','1 L',false,0,'')", i, juice+i%3))
		}
		err := d.Write(b.Context()).Exec(`INSERT INTO orders (id, session_id, buyer_id, buyer_name, buyer_initial, channel, idem, body_hash, state, reason, stock, total_fen, paid_fen, refunded_fen,
			pin_id, anchor, address, carrier, tracking_no, created_ms, expires_ms, paid_ms, shipped_ms, lease_by, lease_ms) VALUES ` + strings.Join(heads, ",")).Error
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Write(b.Context()).Exec(`INSERT INTO order_lines (order_id, position, sku_id, product_id, quantity, price_fen, title, sku_name, fresh, pin_id, anchors) VALUES ` + strings.Join(lines, ",")).Error; err != nil {
			b.Fatal(err)
		}
	}
	if err := d.Write(b.Context()).Exec("ANALYZE").Error; err != nil {
		b.Fatal(err)
	}
}
