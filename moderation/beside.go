package moderation

import (
	"context"
	"strings"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/moderation/words"
)

// MaySay says whether somebody may say a text beside chat, such as a question to the anchor: nil, or a fault whose code is the
// reason of a refused message. Who may chat, words and links count as they do there. Pace and repetition do not, and nothing is
// held or masked beside chat: what would be is refused.
func (s *Service) MaySay(ctx context.Context, sp Speech) error {
	d, err := s.desk(ctx, sp.SessionID)
	if err != nil {
		return err
	}
	now := s.clock.Now()
	r := d.now(now)
	if b, ok := r.bans[sp.User]; ok && !b.over(now) {
		return refusal(Verdict{Reason: ReasonBanned}, banText(b))
	}
	house, err := s.houseLexicon(ctx)
	if err != nil {
		return err
	}
	f := house.look(sp.Text).join(r.lexicon.look(sp.Text))
	crew := s.isCrew(ctx, d, sp, now)
	if !crew {
		c := r.controls
		c.SlowSeconds = 0
		v, err := s.mayTalk(ctx, d, c, sp, now)
		if err != nil {
			return err
		}
		if v.Reason != "" {
			return refusal(v, "only some may speak in this room now, as its rules say")
		}
		if c.Links != linksAllow && words.HasLink(sp.Text) {
			return refusal(Verdict{Reason: ReasonLink}, "links are not allowed here; leave it out")
		}
		f.refuse = append(append(f.refuse, f.hold...), f.mask...)
	}
	if len(f.refuse) > 0 {
		return refusal(Verdict{Reason: ReasonWord}, "change these words, then try again: "+strings.Join(f.shown(f.refuse, sp.Text), ", "))
	}
	return nil
}

func refusal(v Verdict, text string) error {
	return fault.New(fault.Forbidden, v.Reason, text).At("text")
}
