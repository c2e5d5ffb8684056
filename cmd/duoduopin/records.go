package main

import (
	"context"
	"errors"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/live"
)

// keepLog gives for how long a room's log outlives its session; never nothing at all, which would mean the default.
func (s *Settings) keepLog() time.Duration {
	return max(time.Duration(s.KeepLogDays)*24*time.Hour, time.Second)
}

// endedAt gives when a session was over, zero if it is not, or if we know of none: its log may be another shop's.
func (s *shop) endedAt(ctx context.Context, sessionID int64) (time.Time, error) {
	x, err := s.live.Get(ctx, sessionID)
	switch {
	case errors.Is(err, fault.Missing("session")):
		return time.Time{}, nil
	case err != nil:
		return time.Time{}, err
	case x.State == live.Ended:
		return x.EndedAt, nil
	case x.State == live.Cancelled:
		return x.StartsAt, nil
	}
	return time.Time{}, nil
}
