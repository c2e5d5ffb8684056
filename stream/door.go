package stream

import (
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/web"
)

// Caps on handshakes that are not finished: each costs memory and goroutines before anybody proved anything. One address
// may be a whole building's.
const (
	maxPending     = 512
	maxPendingFrom = 64
)

// door lets clients in: rates per person and address, and a cap on handshakes under way.
type door struct {
	person  *web.Limiter // nil without limits
	address *web.Limiter
	perFrom int

	mu      sync.Mutex
	pending int
	from    map[string]int
}

func newDoor(c clock.Clock, limits bool) *door {
	d := &door{from: map[string]int{}, perFrom: maxPending}
	if limits {
		d.perFrom = maxPendingFrom
		d.person = web.NewLimiter(c, time.Second, 20)
		d.address = web.NewLimiter(c, 50*time.Millisecond, 200)
	}
	return d
}

// allow takes a token for a request of a.
func (d *door) allow(a web.Actor) error {
	if err := d.address.Allow(a.Address); err != nil {
		return err
	}
	if a.Viewer == "" {
		return nil
	}
	return d.person.Allow(a.Viewer)
}

// enter counts a handshake; ErrBusy when there are too many.
func (d *door) enter(address string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.pending >= maxPending || d.from[address] >= d.perFrom {
		return ErrBusy.RetryAfter(time.Second)
	}
	d.pending++
	d.from[address]++
	return nil
}

// leave counts one that is over.
func (d *door) leave(address string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending--
	if d.from[address]--; d.from[address] <= 0 {
		delete(d.from, address)
	}
}

func (d *door) waiting() int { d.mu.Lock(); defer d.mu.Unlock(); return d.pending }
