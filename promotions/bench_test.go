package promotions_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/pricing"
	"github.com/duoduopin/duoduopin/promotions"
)

// BenchmarkBatch is what a placing batch of 256 orders pays for prices, in an open transaction: "plain" is what every
// batch pays, "flash" one of a flash sale, "points" one where everybody pays with points, which is many statements each.
func BenchmarkBatch(b *testing.B) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(b), "postgres": testshop.PostgresURL(b)} {
		d, err := db.Open(b.Context(), url)
		if err != nil {
			b.Fatal(err)
		}
		defer d.Close()
		if err := d.Migrate(b.Context(), schema()); err != nil {
			b.Fatal(err)
		}
		s := newShop(b, d, newTown(), clock.NewManual(evening))
		for i := range int64(256) {
			s.grant(i+1, 10_000_000)
		}
		for _, kind := range []string{"plain", "flash", "points"} {
			if kind == "flash" {
				if _, err := s.StartFlash(s.as, promotions.FlashPlan{SessionID: show, SKUID: scarf, PriceFen: 9900, Stock: 10_000_000, Lasts: time.Hour}); err != nil {
					b.Fatal(err)
				}
			}
			b.Run(name+"/"+kind, func(b *testing.B) { s.batches(b, kind) })
		}
	}
}

func (s *shop) batches(b *testing.B, kind string) {
	for b.Loop() {
		baskets, spends := make([]pricing.Basket, 256), make([]pricing.Spending, 256)
		for i := range baskets {
			baskets[i] = s.basket(int64(i+1), scarf, 1)
			if kind == "points" {
				baskets[i] = s.basket(int64(i+1), juice, 1)
				baskets[i].Points = 5
			}
			s.orders++
			spends[i] = pricing.Spending{OrderID: fmt.Sprint("b", s.orders), BuyerID: int64(i + 1)}
		}
		err := s.db.Tx(context.Background(), func(ctx context.Context) error {
			b.StopTimer() // opening and committing are the lane's
			b.StartTimer()
			all, err := s.Price(ctx, baskets)
			if err != nil {
				return err
			}
			for i, p := range all {
				if p.Err != nil {
					return p.Err
				}
				spends[i].Breakdown = p.Breakdown
			}
			err = s.Take(ctx, spends)
			b.StopTimer()
			return err
		})
		b.StartTimer()
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/256, "us/order")
}
