// Package clock is where time comes from wherever it decides anything. Production uses System; tests and the demo shop
// use Manual, so that a month can pass in a second.
package clock

import (
	"sync"
	"time"
)

// Clock tells the time, always in UTC.
type Clock interface{ Now() time.Time }

// System is the machine's clock.
type System struct{}

// Now returns the current time in UTC.
func (System) Now() time.Time { return time.Now().UTC() }

// Manual is a clock that stands still until it is moved. Safe for use by several goroutines.
type Manual struct {
	mu  sync.Mutex
	now time.Time
}

// NewManual returns a clock that stands at t.
func NewManual(t time.Time) *Manual { return &Manual{now: t.UTC()} }

// Now returns the time the clock stands at.
func (m *Manual) Now() time.Time { m.mu.Lock(); defer m.mu.Unlock(); return m.now }

// Advance moves the clock on by d.
func (m *Manual) Advance(d time.Duration) { m.mu.Lock(); m.now = m.now.Add(d); m.mu.Unlock() }

// Set moves the clock to t.
func (m *Manual) Set(t time.Time) { m.mu.Lock(); m.now = t.UTC(); m.mu.Unlock() }
