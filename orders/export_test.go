package orders

import "context"

// Claim leases expired holds as the sweeper does, and ExpireClaimed goes on from there: a test stops a process in between.
func (s *Service) Claim(ctx context.Context) ([]string, error) {
	return s.store.claimExpired(ctx, s.clock.Now(), s.worker, leaseFor, sweepBatch)
}

// ExpireClaimed is the second half of Sweep.
func (s *Service) ExpireClaimed(ctx context.Context, ids []string) (int, error) {
	return s.expire(ctx, ids)
}
