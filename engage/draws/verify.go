package draws

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"

	"github.com/duoduopin/duoduopin/internal/rule"
)

// recomputed is how many results Rules recomputes, the newest: one of 100,000 entrants takes some tenths of a second.
const recomputed = 20

// Rules recomputes the newest results from seeds and tickets.
func (s *Service) Rules(ctx context.Context) ([]rule.Rule, error) {
	r := rule.Rule{
		ID: "draw-results", Title: "the winners of a draw follow from its seed and its entrants, and the seed from its commitment",
		Formula: "winners = rule(seed, tickets), of the newest 20", Unit: "rows",
	}
	drawn, err := s.store.newest(ctx, recomputed)
	if err != nil {
		return nil, err
	}
	for _, d := range drawn {
		tickets, err := s.store.tickets(ctx, d.ID)
		if err != nil {
			return nil, err
		}
		if why := d.wrong(tickets); why != "" {
			r.Add(rule.Break{Kind: "draw", ID: fmt.Sprint(d.ID), Off: 1, Text: fmt.Sprintf("draw %d: %s", d.ID, why)})
		}
	}
	return []rule.Rule{r}, nil
}

// wrong says what of a result does not follow; empty if all does.
func (d Draw) wrong(tickets []string) string {
	seed, err := hex.DecodeString(d.Seed)
	switch won := d.tickets(); {
	case err != nil || Commit(seed) != d.Commitment:
		return "the seed is not the one that was committed to"
	case ListHash(tickets) != d.EntrantsHash:
		return "the list of entrants is another one"
	case !slices.Equal(won, Pick(seed, tickets, d.Terms.Winners)):
		return "the winners are others"
	}
	return ""
}

func (d Draw) tickets() []string {
	won := make([]string, len(d.Won))
	for i, w := range d.Won {
		won[i] = w.Ticket
	}
	return won
}
