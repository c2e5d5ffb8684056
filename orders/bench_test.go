package orders_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/orders"
)

// BenchmarkPlace lets 64 buyers order one hot SKU through the lane, as fast as they are answered. Beside orders/s and the
// 99th percentile it gives the ratio to two bare baselines of the same run on the same database: one-row transactions
// ("x-commit": how much batching gains) and one multi-row INSERT per transaction ("of-bare": what the rest of the work costs).
func BenchmarkPlace(b *testing.B) {
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
			benchPlace(b, d, 256)
		})
	}
}

func benchPlace(b *testing.B, d *db.DB, clients int) {
	s := newShop(b, d, func(c *orders.Config) { c.Limits = false })
	s.stock.put(b, scarfRed, 1<<40)
	s.run()
	single, bare := bareCommits(b, d, 1), bareCommits(b, d, clients)
	var next atomic.Int64
	took := make([][]time.Duration, clients)
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	began := time.Now()
	for c := range clients {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				at := time.Now()
				_, err := s.svc.Place(b.Context(), orders.Placement{
					BuyerID: int64(c + 1), BuyerName: "buyer", SessionID: show, Items: []orders.Item{{SKUID: scarfRed, Quantity: 1}}, Key: fmt.Sprint("k", n, "-", b.N),
				})
				if err != nil {
					b.Error(err)
					return
				}
				took[c] = append(took[c], time.Since(at))
			}
		})
	}
	wg.Wait()
	rate := float64(b.N) / time.Since(began).Seconds()
	b.StopTimer()
	all := slices.Concat(took...)
	slices.Sort(all)
	b.ReportMetric(rate, "orders/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(rate/single, "x-commit")
	b.ReportMetric(rate/bare, "of-bare")
	if found, err := s.svc.Verify(b.Context()); err != nil || len(found) > 0 {
		b.Fatal(found, err)
	}
}

// bareCommits gives rows/s of transactions that insert n rows into a table of one column, one after another.
func bareCommits(b *testing.B, d *db.DB, n int) float64 {
	b.Helper()
	type bareRow struct {
		ID   int64 `gorm:"primaryKey;autoIncrement"`
		Text string
	}
	if err := d.Write(b.Context()).AutoMigrate(&bareRow{}); err != nil {
		b.Fatal(err)
	}
	began, commits := time.Now(), 0
	for time.Since(began) < 300*time.Millisecond {
		rows := make([]bareRow, n)
		for i := range rows {
			rows[i].Text = "one order as one short row"
		}
		if err := d.Tx(b.Context(), func(ctx context.Context) error { return d.Write(ctx).Create(&rows).Error }); err != nil {
			b.Fatal(err)
		}
		commits++
	}
	return float64(commits*n) / time.Since(began).Seconds()
}
