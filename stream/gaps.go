package stream

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// What is missed of a publisher, and how it is asked for (RFC 4585, section 6.2.1).
const (
	mostMissing   = 128                            // packets of a layer that are asked for at a time: half a second at 2.5 Mbit/s
	fewMissing    = 8                              // as many are asked for after whatever silence
	longSilence   = int64(time.Second)             // after which more than a few are given up
	mayReorder    = int64(10 * time.Millisecond)   // a packet may come so much later than its successor unasked
	mostAsks      = 8                              // for one packet
	missingFor    = int64(1500 * time.Millisecond) // then nobody waits for it any more
	askEvery      = 10 * time.Millisecond
	soonAgain     = int64(20 * time.Millisecond) // bounds of the time after which it is asked again,
	lateAgain     = int64(300 * time.Millisecond)
	unknownAnswer = int64(100 * time.Millisecond) // and what an answer is taken to need before there was one
)

// gap is one packet that has not come. Times are Unix ns.
type gap struct {
	ext   uint64
	since int64
	asked int64 // 0 = not yet
	asks  int
}

// gaps follows what a layer misses of its publisher's packets. A browser sends what it is asked for before anything new:
// asked for the five seconds of an outage it would repeat for as long again, and no new picture would come. So after a
// long gap all of it is given up, and a key frame is better.
//
// The reader of the layer tells what arrived; one goroutine asks while something is missed, and sleeps otherwise.
type gaps struct {
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	missing []gap      // by ext; at most mostMissing
	head    uint64     // highest ext that arrived; 0 = none
	lastAt  int64
	answer  int64 // ns from asking to the packet, smoothed
}

func newGaps() *gaps {
	return &gaps{wake: make(chan struct{}, 1), missing: make([]gap, 0, mostMissing), answer: unknownAnswer}
}

// arrived notes a packet and reports whether so much is missed before it that only a key frame helps.
func (g *gaps) arrived(ext uint64, now int64) (hopeless bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	silent := now - g.lastAt
	g.lastAt = now
	if g.head == 0 {
		g.head = ext
		return false
	}
	if ext < g.head {
		g.filled(ext, now)
		return false
	}
	n := ext - g.head - 1
	from := g.head + 1
	g.head = ext
	if n == 0 {
		return false
	}
	if n+uint64(len(g.missing)) > mostMissing || (silent > longSilence && n > fewMissing) {
		g.missing = g.missing[:0]
		return true
	}
	for e := from; e < ext; e++ {
		g.missing = append(g.missing, gap{ext: e, since: now})
	}
	select {
	case g.wake <- struct{}{}:
	default:
	}
	return false
}

// filled takes a packet off the list, and learns from the first answer how long answers take.
func (g *gaps) filled(ext uint64, now int64) {
	for i := range g.missing {
		if m := &g.missing[i]; m.ext == ext {
			if m.asks == 1 {
				g.answer += (now - m.asked - g.answer) / 4
			}
			g.missing = append(g.missing[:i], g.missing[i+1:]...)
			return
		}
	}
}

// due appends what is to be asked for now, and forgets what nobody waits for any more; idle: nothing is missed.
func (g *gaps) due(now int64, dst []uint16) (ask []uint16, idle bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	again := min(max(g.answer*3/2, soonAgain), lateAgain)
	kept := g.missing[:0]
	for _, m := range g.missing {
		if now-m.since > missingFor || (m.asks == mostAsks && now-m.asked > again) {
			continue
		}
		ready := now-m.since >= mayReorder && m.asks == 0 || m.asks > 0 && m.asks < mostAsks && now-m.asked >= again
		if ready {
			m.asks++
			m.asked = now
			dst = append(dst, uint16(m.ext)) //nolint:gosec // the cut is the point
		}
		kept = append(kept, m)
	}
	g.missing = kept
	return dst, len(kept) == 0
}

// chase asks for what is missed until done is closed.
func (g *gaps) chase(done <-chan struct{}, ask func([]uint16)) {
	t := time.NewTicker(askEvery)
	defer t.Stop()
	buf := make([]uint16, 0, mostMissing)
	for {
		t.Stop()
		select {
		case <-done:
			return
		case <-g.wake:
		}
		t.Reset(askEvery)
		for idle := false; !idle; {
			select {
			case <-done:
				return
			case <-t.C:
			}
			if buf, idle = g.due(now(), buf[:0]); len(buf) > 0 {
				ask(buf)
			}
		}
	}
}

// nack makes the request for some packets of one source.
func nack(ssrc uint32, seqs []uint16) rtcp.Packet {
	return &rtcp.TransportLayerNack{MediaSSRC: ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(seqs)}
}
