package units

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/duoduopin/duoduopin/stream/feed"
)

// Bounds of a Queue: about 10 s of 6 Mbit/s.
const (
	maxQueued      = 8 << 20 // bytes
	maxQueuedCount = 8192
	chunk          = 64 << 10
)

// Queue is a feed.Taker between the media path and a goroutine that may be slow. It copies and never waits. When it is
// full it drops: sound as long as it is full, pictures until the next key frame; Dropped counts the packets.
type Queue struct {
	mu       sync.Mutex
	packets  []feed.Packet
	bytes    int
	chunk    []byte // where payloads are copied to: one allocation for many packets
	dropping bool   // pictures, until a key frame
	wake     chan struct{}

	dropped atomic.Uint64
}

// NewQueue returns an empty queue.
func NewQueue() *Queue { return &Queue{wake: make(chan struct{}, 1)} }

// Take copies p into the queue.
func (q *Queue) Take(p *feed.Packet) {
	q.mu.Lock()
	kept := q.put(p)
	q.mu.Unlock()
	if !kept {
		q.dropped.Add(1)
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *Queue) put(p *feed.Packet) bool {
	full := q.bytes+len(p.Payload) > maxQueued || len(q.packets) >= maxQueuedCount
	if p.Video {
		if full {
			q.dropping = true
		} else if p.Key {
			q.dropping = false
		}
		if q.dropping {
			return false
		}
	}
	if full {
		return false
	}
	c := *p
	c.Payload = q.copy(p.Payload)
	q.packets = append(q.packets, c)
	q.bytes += len(p.Payload)
	return true
}

func (q *Queue) copy(b []byte) []byte {
	if len(q.chunk)+len(b) > cap(q.chunk) {
		q.chunk = make([]byte, 0, max(chunk, len(b)))
	}
	at := len(q.chunk)
	q.chunk = append(q.chunk, b...)
	return q.chunk[at:len(q.chunk):len(q.chunk)]
}

// Dropped gives how many packets found no room.
func (q *Queue) Dropped() uint64 { return q.dropped.Load() }

// Next waits for packets and gives all there are; an error only when ctx is over. The payloads are the caller's.
func (q *Queue) Next(ctx context.Context) ([]feed.Packet, error) {
	for {
		q.mu.Lock()
		all := q.packets
		q.packets, q.bytes = nil, 0
		q.mu.Unlock()
		if len(all) > 0 {
			return all, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.wake:
		}
	}
}
