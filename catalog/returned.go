package catalog

import (
	"context"

	"github.com/duoduopin/duoduopin/internal/stock"
)

// Scrap writes off free units that came back damaged, in the transaction in which they came back. ref names the return in
// the stock ledger.
func (s *Service) Scrap(ctx context.Context, ref, reason string, lines []stock.Line) error {
	moves := make([]movement, len(lines))
	for i, l := range lines {
		moves[i] = movement{sku: l.SKUID, kind: kindWriteOff, free: -l.Quantity, ref: ref, reason: reason}
	}
	if err := s.move(ctx, moves); err != nil {
		return err
	}
	return s.audit.Record(ctx, "stock.write-off", ref, map[string]any{"lines": lines, "reason": reason})
}

// ReturnRule says, in Chinese and English, how a product may be returned: to be shown before it is bought. Fresh and
// perishable goods are exempt from the return without a reason (Law on the Protection of Consumers' Rights, article 25);
// that defects are made good stands for all.
func (p Product) ReturnRule() (zh, en string) {
	if p.Fresh {
		return "生鲜易腐商品，不支持七天无理由退货；如有质量问题、破损或错发，请在签收后 30 天内申请售后。",
			"Fresh or perishable: no return without a reason. If it arrives bad, damaged or wrong, ask within 30 days of delivery."
	}
	return "支持七天无理由退货（自签收次日起算，商品应当完好）；如有质量问题，请在签收后 30 天内申请售后。",
		"May be returned within seven days without a reason, counted from the day after delivery, in good condition. For defects ask within 30 days of delivery."
}
