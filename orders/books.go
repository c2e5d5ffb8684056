package orders

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/pay"
)

// booksChunk is how many numbers one statement asks for.
const booksChunk = 500

// Booked gives the payments that a provider settled, and the refunds that it accepted, in [from, to).
func (s *Service) Booked(ctx context.Context, provider string, from, to time.Time) ([]pay.Booking, error) {
	paid, err := s.store.bookings(ctx, bookedPayments+`state <> 'pending' AND settled_ms >= ? AND settled_ms < ? AND amount_fen > 0`, provider, db.Millis(from), db.Millis(to))
	if err != nil {
		return nil, err
	}
	back, err := s.store.bookings(ctx, bookedRefunds+`c.accepted_ms >= ? AND c.accepted_ms < ?`, provider, db.Millis(from), db.Millis(to))
	return append(paid, back...), err
}

// BookedAs gives what our books have under any of these numbers, whenever it was: payments by our number or the provider's,
// refunds by ours.
func (s *Service) BookedAs(ctx context.Context, provider string, payments, providerNos, refunds []string) ([]pay.Booking, error) {
	var all []pay.Booking
	for _, q := range []struct {
		where string
		ids   []string
	}{
		{bookedPayments + `provider_id IN ?`, providerNos},
		{bookedPayments + `id IN ?`, payments},
		{bookedRefunds + `r.id IN ?`, baseNumbers(refunds)},
	} {
		for part := range slices.Chunk(q.ids, booksChunk) {
			rows, err := s.store.bookings(ctx, q.where, provider, part)
			if err != nil {
				return nil, err
			}
			all = append(all, rows...)
		}
	}
	return all, nil
}

// baseNumbers are refunds' numbers without the round.
func baseNumbers(ids []string) []string {
	out := make([]string, len(ids))
	for i, id := range ids {
		out[i], _, _ = strings.Cut(id, "-")
	}
	return out
}
