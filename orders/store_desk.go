package orders

import (
	"context"

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
	switch len(f.States) {
	case 0:
	case 1: // an equality, so that the index on state and seq gives the order too
		q = q.Where("state = ?", string(f.States[0]))
	default:
		q = q.Where("state IN ?", f.States)
	}
	if f.SessionID != 0 {
		q = q.Where("session_id = ?", f.SessionID)
	}
	if f.SKUID != 0 {
		q = q.Where("EXISTS (SELECT 1 FROM order_lines l WHERE l.order_id = orders.id AND l.sku_id = ?)", f.SKUID)
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
