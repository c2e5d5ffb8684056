package promotions

import (
	"context"
	"fmt"

	"github.com/duoduopin/duoduopin/internal/rule"
)

// proof is one rule of conservation with one statement that gives the rows which break it.
type proof struct {
	rule.Rule
	kind, text, sql string
}

// proofs are recomputed from rows and nothing else.
func proofs() []proof {
	counted := func(kind, table, column, sum string) string {
		return `SELECT what_id AS name, sum(n) AS off FROM (SELECT what_id, -` + sum + ` AS n FROM promotion_uses WHERE kind = '` + kind + `' AND state = 'taken'
			UNION ALL SELECT id, ` + column + ` FROM ` + table + `) x GROUP BY what_id HAVING sum(n) <> 0`
	}
	return []proof{
		{
			rule.Rule{ID: "flash-taken", Title: "what a flash sale counts as taken is what its orders have", Formula: "taken = units of its orders that stand", Unit: "units"},
			"flash",
			"flash sale %s: what is counted as taken differs from its orders by %d units", counted("flash", "promotion_flash", "taken", "units"),
		},
		{
			rule.Rule{ID: "gift-given", Title: "what a gift counts as given is what its orders have", Formula: "given = units of its orders that stand", Unit: "units"},
			"gift",
			"gift %s: what is counted as given differs from its orders by %d units", counted("gift", "promotion_gifts", "given", "units"),
		},
		{
			rule.Rule{ID: "coupon-budget", Title: "what a coupon's budget counts as spent is what it took off its orders", Formula: "spent = sum taken off orders that stand", Unit: "fen"},
			"coupon",
			"coupon %s: what is counted as spent differs from its orders by %d fen", counted("coupon", "promotion_coupons", "spent_fen", "fen"),
		},
		{
			rule.Rule{ID: "coupon-issued", Title: "what a coupon counts as issued is in hands", Formula: "issued = copies", Unit: "rows"},
			"coupon",
			"coupon %s: what is counted as issued differs from the copies by %d",
			`SELECT id AS name, sum(n) AS off FROM (SELECT id, issued AS n FROM promotion_coupons UNION ALL SELECT coupon_id, -1 FROM promotion_held) x GROUP BY id HAVING sum(n) <> 0`,
		},
		{
			rule.Rule{ID: "coupon-once", Title: "a copy is spent exactly while one order has it", Formula: "spent copies = coupons of orders that stand", Unit: "rows"},
			"coupon",
			"coupon code %s is spent without its order, or its order without it (%d)",
			`SELECT name, sum(n) AS off FROM (SELECT code || '/' || order_id AS name, 1 AS n FROM promotion_held WHERE order_id <> ''
				UNION ALL SELECT ref || '/' || order_id, -1 FROM promotion_uses WHERE kind = 'coupon' AND state = 'taken') x GROUP BY name HAVING sum(n) <> 0`,
		},
	}
}

// Rules recomputes every rule of conservation, with those that hold.
func (s *Service) Rules(ctx context.Context) ([]rule.Rule, error) { return s.store.prove(ctx) }

func (s store) prove(ctx context.Context) ([]rule.Rule, error) {
	var all []rule.Rule
	for _, p := range proofs() {
		var rows []struct {
			Name string
			Off  int64
		}
		if err := s.db.Read(ctx).Raw(p.sql+" LIMIT ?", rule.Most+1).Scan(&rows).Error; err != nil {
			return nil, fmt.Errorf("promotions: proving %q: %w", p.ID, err)
		}
		for _, r := range rows {
			p.Add(rule.Break{Kind: p.kind, ID: r.Name, Off: r.Off, Text: fmt.Sprintf(p.text, r.Name, r.Off)})
		}
		all = append(all, p.Rule)
	}
	return all, nil
}

// Sums are the other side of what orders and points keep.
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
