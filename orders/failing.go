package orders

import (
	"context"
	"errors"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// unavailable tells a database that does not work (down, frozen, full, cut off) from one that refuses what we ask: the
// first is nobody's fault and passes, so it becomes ErrUnavailable with Retry-After; the second is a bug and stays.
func (s *Service) unavailable(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) || errors.Is(err, context.Canceled) || !db.Broken(err) && !db.Conflicted(err) {
		return err
	}
	return ErrUnavailable.Because(err)
}
