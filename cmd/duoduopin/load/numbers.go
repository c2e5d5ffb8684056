package load

import (
	"math"
	"sort"
	"sync"
	"time"
)

// durations collects times, from many goroutines.
type durations struct {
	mu  sync.Mutex
	all []time.Duration
}

func (d *durations) add(v time.Duration) { d.mu.Lock(); d.all = append(d.all, v); d.mu.Unlock() }

// ms gives a quantile in milliseconds; 0 without any.
func (d *durations) ms(q float64) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return 0
	}
	sort.Slice(d.all, func(i, j int) bool { return d.all[i] < d.all[j] })
	v := d.all[min(len(d.all)-1, int(q*float64(len(d.all))))]
	return round(float64(v.Microseconds()) / 1000)
}

func (d *durations) clear() { d.mu.Lock(); d.all = nil; d.mu.Unlock() }

func (d *durations) count() int { d.mu.Lock(); defer d.mu.Unlock(); return len(d.all) }

// round keeps three figures after the point.
func round(v float64) float64 { return math.Round(v*1000) / 1000 }

// perMillion is a cost per million; 0 without any.
func perMillion(cost, n float64) float64 {
	if n == 0 {
		return 0
	}
	return round(cost / n * 1e6)
}

// ratio is a/b; 0 when b is.
func ratio(a, b float64) float64 {
	if b == 0 {
		return 0
	}
	return round(a / b)
}
