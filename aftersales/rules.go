package aftersales

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// Periods, counted in whole days from the day after the goods arrived, in the shop's time. Seven days without a reason is
// the law's (Law on the Protection of Consumers' Rights, article 25; the day after as in the ministry's Interim Measures
// for the Seven-Day Return of Goods Bought Online). Thirty days for what is wrong with the goods is our own rule.
const (
	noReasonDays = 7
	defectDays   = 30
)

// Until gives the moment at which a period of so many days ends for goods that arrived then; zero stays zero.
func Until(arrived time.Time, days int) time.Time {
	if arrived.IsZero() {
		return time.Time{}
	}
	local := arrived.In(time.FixedZone("Asia/Shanghai", 8*3600))
	return time.Date(local.Year(), local.Month(), local.Day()+1+days, 0, 0, 0, 0, local.Location()).UTC()
}

// check looks at an ask alone.
func (ask *Ask) check() error {
	if ask.Key == "" || len(ask.Key) > 200 || slices.ContainsFunc([]byte(ask.Key), func(b byte) bool { return b < ' ' || b > '~' }) {
		return ErrNoKey
	}
	if ask.Kind != Money && ask.Kind != Return && ask.Kind != Exchange {
		return fault.Bad("kind", "must be refund, return or exchange")
	}
	if !slices.Contains(Reasons(), ask.Reason) {
		return fault.Bad("reason", "must be one of no-reason, quality, damaged, wrong, missing, late, other")
	}
	var err error
	if ask.Text, err = plain("text", ask.Text, 500); err != nil {
		return err
	}
	if ask.Reason == "other" && ask.Text == "" {
		return fault.Bad("text", "say what is wrong")
	}
	if len(ask.Lines) == 0 || len(ask.Lines) > 50 {
		return fault.Bad("lines", "name 1 to 50 lines of the order")
	}
	slices.SortFunc(ask.Lines, func(a, b Line) int { return a.Line - b.Line })
	return nil
}

// allowed holds an ask against the order, what has been asked before, and the time.
func (s *Service) allowed(ctx context.Context, o Order, others []Request, ask Ask, arrived time.Time) error {
	if err := inState(o, ask.Kind); err != nil {
		return err
	}
	if err := enough(o, others, ask); err != nil {
		return err
	}
	if err := inTime(o, ask, arrived, s.clock.Now()); err != nil {
		return err
	}
	if ask.Kind != Exchange {
		return nil
	}
	return s.variants(ctx, o, ask)
}

func inState(o Order, kind Kind) error {
	switch {
	case o.State == "shipped", o.State == "completed", o.State == "paid" && kind == Money:
		return nil
	case o.State == "paid":
		return ErrState.Saying("nothing of this order has arrived that could be sent back; ask for a refund")
	}
	return ErrState.Saying("nothing can be asked for an order that is " + o.State)
}

// Available is how many units of a line may be asked about, given what is being asked already.
func Available(l OrderLine, kind Kind, asked int64) int64 {
	n := l.Quantity - l.RefundedUnits
	if kind != Money {
		n = min(n, l.Sent-l.Returned)
	}
	return max(0, n-asked)
}

// asked adds up what open requests ask of each line. Goods of theirs that are here already the order counts as returned,
// but their money is still to come.
func asked(others []Request, kind Kind) map[int]int64 {
	sums := map[int]int64{}
	for _, r := range others {
		if !r.State.open() {
			continue
		}
		for _, l := range r.Lines {
			if r.State != Received || kind == Money {
				sums[l.Line] += l.Quantity
			}
		}
	}
	return sums
}

// enough refuses lines that are not there and more units than are left.
func enough(o Order, others []Request, ask Ask) error {
	open := 0
	for _, r := range others {
		if r.State.open() {
			open++
		}
	}
	if open >= maxOpen {
		return ErrTooMany
	}
	sums := asked(others, ask.Kind)
	seen := map[int]bool{}
	for i, l := range ask.Lines {
		at := fmt.Sprintf("lines[%d].", i)
		if l.Line < 0 || l.Line >= len(o.Lines) || seen[l.Line] {
			return fault.Bad(at+"line", fmt.Sprintf("must be 0 to %d, each once", len(o.Lines)-1))
		}
		seen[l.Line] = true
		if most := Available(o.Lines[l.Line], ask.Kind, sums[l.Line]); l.Quantity < 1 || l.Quantity > most {
			return fault.Bad(at+"quantity", fmt.Sprintf("at most %d units of this can be asked for", most))
		}
	}
	return nil
}

// inTime holds an ask against the periods. Fresh food can't be returned without a reason; what has not arrived, or arrived
// nobody knows when, is in time.
func inTime(o Order, ask Ask, arrived, now time.Time) error {
	days := defectDays
	if ask.Reason == NoReason && ask.Kind != Money {
		days = noReasonDays
		for i, l := range ask.Lines {
			if o.Lines[l.Line].Fresh {
				return ErrFresh.At(fmt.Sprintf("lines[%d]", i))
			}
		}
	}
	if ask.Reason == NoReason && ask.Kind == Money && o.State != "paid" {
		return fault.Bad("kind", "goods that were sent have to come back for a refund without a reason; ask for a return")
	}
	if end := Until(arrived, days); !end.IsZero() && !now.Before(end) {
		return ErrTooLate.Saying(fmt.Sprintf("the %d days after the goods arrived are over since %s", days, end.Format(time.RFC3339)))
	}
	return nil
}

// variants refuses to exchange for another product.
func (s *Service) variants(ctx context.Context, o Order, ask Ask) error {
	for i, l := range ask.Lines {
		if l.ExchangeSKU == 0 {
			continue
		}
		skus, err := s.Stock.Variants(ctx, o.Lines[l.Line].ProductID)
		if err != nil {
			return err
		}
		if !slices.Contains(skus, l.ExchangeSKU) {
			return fault.Bad(fmt.Sprintf("lines[%d].exchange_sku_id", i), "must be a variant of the same product; for another product ask for a return and order again")
		}
	}
	return nil
}
