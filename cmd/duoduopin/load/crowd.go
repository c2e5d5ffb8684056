package load

import (
	"context"
	"crypto/tls"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
)

const (
	joinsPerSecond = 30
	feedbackEvery  = 100 * time.Millisecond
	slots          = 10 // feedback is spread over so many turns
	reportTurns    = 10 // feedback turns from report to report: a second
	keepAliveTurns = 20 // and from check to check: two
)

// crowd is the light viewers of one session.
type crowd struct {
	target      *Target
	certificate tls.Certificate // one for all, as if made by one browser: making keys is not the server's work
	fingerprint string
	measuring   atomic.Bool // latency is taken
	latency     durations
	first       durations // from the offer to the first whole key frame
	joining     sync.WaitGroup

	mu      sync.Mutex // guards below
	viewers []*viewer
	failed  error // of the first viewer that did not get in
}

func newCrowd(t *Target) (*crowd, error) {
	c, err := selfsign.GenerateSelfSigned()
	if err != nil {
		return nil, err
	}
	return &crowd{target: t, certificate: c, fingerprint: fingerprint(c.Certificate[0])}, nil
}

// grow lets viewers in, 30 a second, until n have asked, and waits for the last one's answer.
func (c *crowd) grow(ctx context.Context, from, n int) error {
	tick := time.NewTicker(time.Second / joinsPerSecond)
	defer tick.Stop()
	for i := from; i < n; i++ {
		c.joining.Go(func() {
			v, err := c.join(ctx)
			c.mu.Lock()
			defer c.mu.Unlock()
			if err != nil {
				c.failed = errors.Join(c.failed, err)
				return
			}
			c.viewers = append(c.viewers, v)
		})
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	c.joining.Wait()
	return ctx.Err()
}

// run does what viewers do by the clock, until ctx ends.
func (c *crowd) run(ctx context.Context) {
	tick := time.NewTicker(feedbackEvery / slots)
	defer tick.Stop()
	for turn := 0; ; turn++ {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			c.turn(turn, now)
		}
	}
}

func (c *crowd) turn(turn int, now time.Time) {
	round, slot := turn/slots, turn%slots
	for i, v := range c.all() {
		if i%slots != slot {
			continue
		}
		_ = v.feedback(now, round%reportTurns == 0) // a full buffer is a loss
		if round%keepAliveTurns == i/slots%keepAliveTurns {
			_ = v.check()
		}
	}
}

// all gives the viewers that are in. The slice only grows, so what is given stays as it is.
func (c *crowd) all() []*viewer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.viewers
}

func (c *crowd) tally() tally {
	var sum tally
	for _, v := range c.all() {
		n := v.tally()
		sum.received += n.received
		sum.expected += n.expected
		sum.resent += n.resent
		sum.opened += n.opened
		sum.broken += n.broken
	}
	return sum
}

// leave ends all, by the door.
func (c *crowd) leave(ctx context.Context) error {
	c.joining.Wait()
	var err error
	for _, v := range c.all() {
		err = errors.Join(err, c.target.drop(ctx, v.resource))
		_ = v.close() // the server may have gone first
	}
	return err
}
