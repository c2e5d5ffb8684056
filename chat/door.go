package chat

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/duoduopin/duoduopin/internal/web"
)

// Sockets at a time. One address may be a whole building's.
const (
	socketsPerAddress = 200
	socketsPerPerson  = 10
)

// door counts sockets per address and person. Without limits it lets everybody in.
type door struct {
	limits bool

	mu   sync.Mutex // guards held
	held map[string]int
}

func newDoor(limits bool) *door { return &door{limits: limits, held: map[string]int{}} }

// enter takes a place; leave must be called once when it is given up.
func (d *door) enter(a web.Actor) (leave func(), err error) {
	if !d.limits {
		return func() {}, nil
	}
	person, address := "p:"+a.Viewer, "i:"+a.Address
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held[person] >= socketsPerPerson || d.held[address] >= socketsPerAddress {
		return nil, ErrSockets.RetryAfter(5 * time.Second)
	}
	d.held[person]++
	d.held[address]++
	return sync.OnceFunc(func() { d.free(person, address) }), nil
}

func (d *door) free(keys ...string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, k := range keys {
		if d.held[k]--; d.held[k] <= 0 {
			delete(d.held, k)
		}
	}
}

// Rates of one socket, beside those per person (Service.speech and clicks).
const (
	framesPerSecond = 20
	framesBurst     = 40
	framesOver      = 100 // refused ones, allowed ones taken off, before the socket is closed
	likesPerSecond  = 20
	likesBurst      = likeMost
	productsSeen    = 200 // different products whose clicks and exposures one socket may report
)

// valve is what one socket may send. Its reader owns it. A nil valve lets all through.
type valve struct {
	frames *rate.Limiter
	likes  *rate.Limiter
	over   int
}

func newValve(limits bool) *valve {
	if !limits {
		return nil
	}
	return &valve{frames: rate.NewLimiter(framesPerSecond, framesBurst), likes: rate.NewLimiter(likesPerSecond, likesBurst)}
}

// frame takes a frame: whether it is allowed, and whether there are far too many.
func (v *valve) frame(now time.Time) (allowed, flood bool) {
	if v == nil {
		return true, false
	}
	if v.frames.AllowN(now, 1) {
		v.over = max(0, v.over-1)
		return true, false
	}
	v.over++
	return false, v.over > framesOver
}

// like gives how many of n likes count.
func (v *valve) like(now time.Time, n int64) int64 {
	if v == nil {
		return n
	}
	n = min(n, int64(max(0, v.likes.TokensAt(now))))
	v.likes.AllowN(now, int(n))
	return n
}
