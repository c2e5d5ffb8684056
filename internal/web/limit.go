package web

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/fault"
)

// ErrTooMany is the answer of every limiter.
var ErrTooMany = fault.New(fault.TooMany, "too-many-requests", "too many requests; wait a moment and try again")

// maxBuckets bounds a Limiter's memory: beyond it the idle half is forgotten.
const maxBuckets = 20_000

// Limiter is a token bucket per key (an account, an address). A nil Limiter allows everything.
type Limiter struct {
	clock clock.Clock
	every time.Duration
	burst int

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

// NewLimiter allows burst at once and one more every interval, per key.
func NewLimiter(c clock.Clock, every time.Duration, burst int) *Limiter {
	return &Limiter{clock: c, every: every, burst: burst, buckets: map[string]*rate.Limiter{}}
}

// Allow takes one token of key's bucket, or returns ErrTooMany with the time to wait.
func (l *Limiter) Allow(key string) error {
	if l == nil {
		return nil
	}
	now := l.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.buckets[key]
	if !ok {
		if len(l.buckets) >= maxBuckets {
			l.forgetIdle(now)
		}
		b = rate.NewLimiter(rate.Every(l.every), l.burst)
		l.buckets[key] = b
	}
	if b.AllowN(now, 1) {
		return nil
	}
	return ErrTooMany.RetryAfter(l.every)
}

// forgetIdle drops full buckets, and when there are none, all: a flood of new keys must not grow memory.
func (l *Limiter) forgetIdle(now time.Time) {
	for k, b := range l.buckets {
		if b.TokensAt(now) >= float64(l.burst) {
			delete(l.buckets, k)
		}
	}
	if len(l.buckets) >= maxBuckets {
		clear(l.buckets)
	}
}
