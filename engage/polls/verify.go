package polls

import (
	"context"
	"fmt"

	"github.com/duoduopin/duoduopin/internal/rule"
)

// Rules recomputes from rows that every answer has as many votes as it was voted for.
func (s *Service) Rules(ctx context.Context) ([]rule.Rule, error) {
	r := rule.Rule{ID: "poll-votes", Title: "every answer of a poll has the votes that were cast for it", Formula: "votes = ballots", Unit: "rows"}
	off, err := s.store.miscounted(ctx)
	for _, o := range off {
		r.Add(rule.Break{
			Kind: "poll", ID: fmt.Sprint(o.PollID), Off: o.Votes - o.Ballots,
			Text: fmt.Sprintf("poll %d, answer %d: %d votes, %d ballots", o.PollID, o.Position, o.Votes, o.Ballots),
		})
	}
	return []rule.Rule{r}, err
}
