package points

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
	const signed = `CASE WHEN kind IN ('issued', 'returned') THEN points ELSE -points END`
	return []proof{
		{
			rule.Rule{ID: "points-lot", Title: "each lot of points adds up", Formula: "issued - expired - spent + returned = left", Unit: "points"},
			"points-lot",
			"points lot %s: issued - expired - spent + returned differs from what is left by %d",
			`SELECT lot_id AS name, sum(n) AS off FROM (SELECT lot_id, ` + signed + ` AS n FROM points_entries
				UNION ALL SELECT id, -points_left FROM points_lots) x GROUP BY lot_id HAVING sum(n) <> 0`,
		},
		{
			rule.Rule{ID: "points-balance", Title: "each account's points add up", Formula: "issued - expired - spent + returned = balance", Unit: "points"},
			"account",
			"points of account %s: issued - expired - spent + returned differs from the balance by %d",
			`SELECT account_id AS name, sum(n) AS off FROM (SELECT account_id, ` + signed + ` AS n FROM points_entries
				UNION ALL SELECT account_id, -balance FROM points_accounts) x GROUP BY account_id HAVING sum(n) <> 0`,
		},
		{
			rule.Rule{ID: "points-returned", Title: "no more points come back than were spent", Formula: "returned <= spent", Unit: "points"},
			"points-ref",
			"points spent under %s: %d more came back than were spent",
			`SELECT ref AS name, -sum(CASE WHEN kind = 'spent' THEN points ELSE -points END) AS off FROM points_entries
				WHERE kind IN ('spent', 'returned') GROUP BY ref HAVING sum(CASE WHEN kind = 'spent' THEN points ELSE -points END) < 0`,
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
			return nil, fmt.Errorf("points: proving %q: %w", p.ID, err)
		}
		for _, r := range rows {
			p.Add(rule.Break{Kind: p.kind, ID: r.Name, Off: r.Off, Text: fmt.Sprintf(p.text, r.Name, r.Off)})
		}
		all = append(all, p.Rule)
	}
	return all, nil
}
