package promotions

import (
	"context"
	"fmt"
)

// proofs are the rules of conservation, each one statement that gives the rows which break it.
func proofs() []struct{ rule, sql string } {
	counted := func(kind, table, column, sum string) string {
		return `SELECT what_id AS name, sum(n) AS off FROM (SELECT what_id, -` + sum + ` AS n FROM promotion_uses WHERE kind = '` + kind + `' AND state = 'taken'
			UNION ALL SELECT id, ` + column + ` FROM ` + table + `) x GROUP BY what_id HAVING sum(n) <> 0`
	}
	return []struct{ rule, sql string }{
		{"flash sale %s: what is counted as taken differs from its orders by %d units", counted("flash", "promotion_flash", "taken", "units")},
		{"gift %s: what is counted as given differs from its orders by %d units", counted("gift", "promotion_gifts", "given", "units")},
		{"coupon %s: what is counted as spent differs from its orders by %d fen", counted("coupon", "promotion_coupons", "spent_fen", "fen")},
		{
			"coupon %s: what is counted as issued differs from the copies by %d",
			`SELECT id AS name, sum(n) AS off FROM (SELECT id, issued AS n FROM promotion_coupons UNION ALL SELECT coupon_id, -1 FROM promotion_held) x GROUP BY id HAVING sum(n) <> 0`,
		},
		{
			"coupon code %s is spent without its order, or its order without it (%d)",
			`SELECT name, sum(n) AS off FROM (SELECT code || '/' || order_id AS name, 1 AS n FROM promotion_held WHERE order_id <> ''
				UNION ALL SELECT ref || '/' || order_id, -1 FROM promotion_uses WHERE kind = 'coupon' AND state = 'taken') x GROUP BY name HAVING sum(n) <> 0`,
		},
	}
}

// maxBroken bounds how many rows of one rule are named.
const maxBroken = 20

func (s store) broken(ctx context.Context) ([]string, error) {
	var all []string
	for _, p := range proofs() {
		var rows []struct {
			Name string
			Off  int64
		}
		if err := s.db.Read(ctx).Raw(p.sql+" LIMIT ?", maxBroken).Scan(&rows).Error; err != nil {
			return nil, fmt.Errorf("promotions: proving %q: %w", p.rule, err)
		}
		for _, r := range rows {
			all = append(all, fmt.Sprintf(p.rule, r.Name, r.Off))
		}
	}
	return all, nil
}

// Held sums are the other side of what orders and points keep.
type Sums struct {
	CouponFen int64 // taken off by orders that stand
	Points    int64 // used by orders that stand
	Spent     int64 // points ever spent for orders, those that came back included
}

// Sums adds up all uses, to be held against the orders and the points.
func (s *Service) Sums(ctx context.Context) (Sums, error) { return s.store.sums(ctx) }

func (s store) sums(ctx context.Context) (out Sums, err error) {
	err = s.db.Read(ctx).Raw(`SELECT coalesce(sum(CASE WHEN kind = 'coupon' AND state = 'taken' THEN fen ELSE 0 END), 0) AS coupon_fen,
		coalesce(sum(CASE WHEN kind = 'points' AND state = 'taken' THEN units ELSE 0 END), 0) AS points,
		coalesce(sum(CASE WHEN kind = 'points' THEN units * (turn + 1) ELSE 0 END), 0) AS spent FROM promotion_uses`).Scan(&out).Error
	return out, err
}
