package orders

import (
	"context"
	"slices"
	"strings"

	"github.com/duoduopin/duoduopin/internal/db"
)

func (s store) desk(ctx context.Context, f DeskFilter) ([]Order, error) {
	q := s.db.Read(ctx).Limit(f.Limit)
	if f.Oldest {
		q = q.Where("seq > ?", f.After).Order("seq")
	} else {
		q = q.Order("seq DESC")
		if f.After > 0 {
			q = q.Where("seq < ?", f.After)
		}
	}
	if in := stateIn(f.States); in != "" {
		q = q.Where(in)
	}
	if f.SessionID != 0 {
		q = q.Where("session_id = ?", f.SessionID)
	}
	if f.SKUID != 0 {
		q = q.Where("id IN (SELECT order_id FROM order_lines WHERE sku_id = ?)", f.SKUID)
	}
	if f.Channel != "" {
		q = q.Where("channel = ?", f.Channel)
	}
	if f.Buyer != "" {
		q = q.Where("buyer_name = ?", f.Buyer)
	}
	if len(f.IDs) > 0 {
		q = q.Where("id IN ?", f.IDs)
	}
	if !f.From.IsZero() {
		q = q.Where("created_ms >= ?", db.Millis(f.From))
	}
	if !f.To.IsZero() {
		q = q.Where("created_ms < ?", db.Millis(f.To))
	}
	var rows []orderRow
	if err := q.Find(&rows).Error; err != nil {
		return nil, err
	}
	return s.fill(ctx, rows)
}

// stateIn gives the condition on states with the states written out: a partial index is only found by constants. What is no
// state of ours matches nothing.
func stateIn(states []State) string {
	var known []string
	for _, st := range states {
		if slices.Contains(States(), st) {
			known = append(known, "state = '"+string(st)+"'")
		}
	}
	switch {
	case len(states) == 0:
		return ""
	case len(known) == 0:
		return "1 = 0"
	}
	return "(" + strings.Join(known, " OR ") + ")"
}
