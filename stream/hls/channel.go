package hls

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/stream/fragment"
	"github.com/duoduopin/duoduopin/stream/units"
)

// What is kept of a channel.
const (
	partTime   = 400 * time.Millisecond // whole frames at 10, 15, 20, 25, 30, 50 and 60 a second
	target     = 4 * time.Second        // a segment's longest time
	keep       = 10                     // segments in memory, the one being written not counted
	listed     = 8                      // of them in the playlist
	keepAtMost = 48 << 20               // bytes, though never fewer than keepAtLeast segments
	keepLeast  = 3
	maxViewers = 10_000
)

// channel is one anchor's HLS.
type channel struct {
	s        *Service
	key      key
	prefix   string // of its files' names; never used before
	queue    *units.Queue
	unfollow func()
	ctx      context.Context //nolint:containedctx // the goroutine's own
	cancel   context.CancelFunc
	done     chan struct{}
	packager *fragment.Packager // only the goroutine's

	mu       sync.Mutex // guards what follows
	files    map[string]*content
	segments []*segment // oldest first; the last is being written
	inits    uint64
	init     string          // present init segment's name
	format   fragment.Format // ... and format
	cut      bool            // the next segment begins behind a discontinuity
	lost     uint64          // discontinuities that have left the playlist
	seq      uint64          // the next segment's media sequence number
	parts    uint64          // parts so far: the next one's number, whatever segment it goes to
	bytes    int
	list     []byte        // media playlist
	changed  chan struct{} // closed when something has changed
	foreign  bool          // the picture is no H.264
	asked    time.Time     // last request
	media    time.Time     // last fragment, or the beginning
	present  map[string]time.Time
}

// content is a file: several pieces, so that a segment shares its parts' memory.
type content struct {
	pieces [][]byte
	size   int
}

// segment is one or more parts.
type segment struct {
	seq      uint64
	name     string
	init     string
	cut      bool // a discontinuity stands before it
	at       time.Time
	parts    []part
	duration time.Duration
	whole    content
}

type part struct {
	name     string
	duration time.Duration
	key      bool
}

func newChannel(s *Service, k key) *channel {
	now := s.cfg.Clock.Now()
	ctx, cancel := context.WithCancel(context.Background())
	c := &channel{
		s: s, key: k, prefix: strings.ToLower(rand.Text()[:10]), queue: units.NewQueue(), ctx: ctx, cancel: cancel, done: make(chan struct{}),
		files: map[string]*content{}, changed: make(chan struct{}), asked: now, media: now, present: map[string]time.Time{},
		// Segments take a second at least, so numbers that begin at the time never go back when a channel is made anew. The
		// count of discontinuities does not either, but must stay small: hls.js has arrays as long as it.
		seq: uint64(now.Unix()), lost: s.breaks.Load(), //nolint:gosec // after 1970
	}
	c.packager = fragment.NewPackager(fragment.Policy{Part: partTime, Segment: time.Second, Max: target}, c)
	return c
}

// run makes fragments until the channel is closed.
func (c *channel) run() {
	defer close(c.done)
	a := units.NewAssembler(units.Window{Age: 100 * time.Millisecond, Packets: 64}, c.packager.Add)
	for {
		packets, err := c.queue.Next(c.ctx)
		if err != nil {
			break
		}
		for i := range packets {
			if p := &packets[i]; p.Video {
				c.setForeign(p.Codec != "h264")
			}
			if !c.foreign { // nobody else writes it
				a.Push(&packets[i])
			}
		}
	}
	if err := c.packager.Err(); err != nil {
		slog.Error("hls left something out", "session", c.key.session, "error", err)
	}
}

func (c *channel) close() {
	c.unfollow()
	c.cancel()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	c.files, c.segments = map[string]*content{}, nil
	c.tell()
}

func (c *channel) setForeign(is bool) {
	if c.foreign == is {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.foreign = is
	c.tell()
}

// tell wakes who waits. c.mu must be held.
func (c *channel) tell() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// Begin implements fragment.Sink.
func (c *channel) Begin(f fragment.Format, head []byte, _ time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inits++
	c.s.breaks.Add(1)
	c.init, c.format = fmt.Sprintf("%s-init%d.mp4", c.prefix, c.inits), f
	c.files[c.init] = &content{[][]byte{head}, len(head)}
	c.cut = len(c.segments) > 0
}

// Fragment implements fragment.Sink: a part, and with it perhaps a new segment.
func (c *channel) Fragment(f fragment.Fragment) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.Segment {
		c.next(f.At)
	}
	s := c.segments[len(c.segments)-1]
	p := part{name: c.hint(), duration: f.Duration, key: f.Key}
	c.parts++
	s.parts = append(s.parts, p)
	s.duration += f.Duration
	s.whole.pieces = append(s.whole.pieces, f.Data)
	s.whole.size += len(f.Data)
	c.files[p.name] = &content{[][]byte{f.Data}, len(f.Data)}
	c.bytes += len(f.Data)
	c.media = c.s.cfg.Clock.Now()
	c.list = c.playlist()
	c.tell()
}

// next ends the present segment and begins another.
func (c *channel) next(at time.Time) {
	if n := len(c.segments); n > 0 {
		s := c.segments[n-1]
		c.files[s.name] = &s.whole
	}
	name := fmt.Sprintf("%s-%d.mp4", c.prefix, c.seq)
	c.segments = append(c.segments, &segment{seq: c.seq, name: name, init: c.init, cut: c.cut, at: at})
	c.seq++
	c.cut = false
	for len(c.segments) > keep+1 || (c.bytes > keepAtMost && len(c.segments) > keepLeast+1) {
		c.forget()
	}
}

// forget drops the oldest segment.
func (c *channel) forget() {
	old := c.segments[0]
	c.segments = c.segments[1:]
	c.bytes -= old.whole.size
	delete(c.files, old.name)
	for _, p := range old.parts {
		delete(c.files, p.name)
	}
	if c.segments[0].init != old.init {
		delete(c.files, old.init)
	}
	if old.cut {
		c.lost++
	}
}

// hint gives the next part's name. It is known before the part, and before it is known which segment the part begins.
func (c *channel) hint() string { return fmt.Sprintf("%s-part%d.mp4", c.prefix, c.parts) }

// whole gives how many segments are whole: all but the one being written. c.mu must be held.
func (c *channel) whole() int { return max(0, len(c.segments)-1) }

// await returns, with c.mu held, as soon as ready (called with c.mu held) says so; else the reason why not, and c.mu free.
func (c *channel) await(ctx context.Context, atMost time.Duration, ready func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	for {
		c.mu.Lock()
		ok, err := ready()
		switch {
		case c.ctx.Err() != nil:
			err = ErrNotOnAir
		case c.foreign:
			err = ErrCodec
		}
		if err == nil && ok {
			return nil
		}
		changed := c.changed
		c.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return ctx.Err() // the client has gone
			}
			return ErrStarting.RetryAfter(time.Second).Because(ctx.Err())
		}
	}
}

// touch notes a request, by whom if it is a playlist's.
func (c *channel) touch(viewer string) {
	now := c.s.cfg.Clock.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = now
	if viewer != "" && (len(c.present) < maxViewers || !c.present[viewer].IsZero()) {
		c.present[viewer] = now
	}
}

func (c *channel) viewers(now time.Time) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for v, at := range c.present {
		if now.Sub(at) > presentTime {
			delete(c.present, v)
		}
	}
	return len(c.present)
}

func (c *channel) idle(now time.Time) bool {
	c.viewers(now) // forgets who is gone
	c.mu.Lock()
	defer c.mu.Unlock()
	return now.Sub(c.asked) > idleTime || now.Sub(c.media) > idleTime
}
