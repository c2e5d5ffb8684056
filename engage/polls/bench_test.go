package polls_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/engage/engagetest"
	"github.com/duoduopin/duoduopin/engage/polls"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

// BenchmarkVote is the cost of a vote when 256 vote at a time, each one answered after its commit; "alone" is the base line: one
// at a time, a commit each.
func BenchmarkVote(b *testing.B) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(b), "postgres": testshop.PostgresURL(b)} {
		b.Run(name, func(b *testing.B) {
			d, err := db.Open(b.Context(), url)
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { _ = d.Close() })
			if err := d.Migrate(b.Context(), append(engage.Migrations(), polls.Migrations()...)); err != nil {
				b.Fatal(err)
			}
			s := polls.New(engagetest.New().Stage(b, d))
			p, err := s.Open(engagetest.As(b.Context(), web.Operator, 1), show, "?", []string{"a", "b"}, time.Hour)
			if err != nil {
				b.Fatal(err)
			}
			var person atomic.Int64
			vote := func() {
				n := person.Add(1)
				if err := s.Vote(engagetest.As(b.Context(), web.Buyer, n), show, p.ID, int(n%2)); err != nil {
					b.Error(err)
				}
			}
			b.Run("alone", func(b *testing.B) {
				for b.Loop() {
					vote()
				}
			})
			b.Run("together", func(b *testing.B) {
				b.SetParallelism(128)
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						vote()
					}
				})
			})
		})
	}
}
