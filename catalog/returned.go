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
