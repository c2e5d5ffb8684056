package stream

import "sync"

// Bounds of a layer's cache: packets kept for retransmission, and how old and big a group of pictures may be to start a
// new viewer with.
const (
	videoSlots = 1024 // about 4 s at 2.5 Mbit/s
	audioSlots = 256  // about 5 s of Opus
	maxGroup   = 2 << 20
	maxGroupNs = int64(5e9)
)

// slot holds one packet of a layer. ext is its sequence number with the roll-overs counted in, so that order is plain.
type slot struct {
	ext    uint64
	ts     uint32
	marker bool
	key    bool
	size   int
	data   [maxPayload]byte
}

// cache is the ring of a layer's latest packets. It answers the NACKs of all viewers and holds the group of pictures that
// a joining viewer starts with. One goroutine, the layer's reader, puts; any may copy out. The lock is never held wider
// than the copy of one packet; when the ring is full the oldest packet goes.
type cache struct {
	mu    sync.RWMutex
	slots []slot
	head  uint64 // highest ext so far; 0 = empty

	key      uint64 // ext of the first packet of the last key frame; 0 = none
	keyTS    uint32
	keyAt    int64 // when it came, Unix ns
	keyBytes int   // bytes since then
}

func newCache(slots int) *cache { return &cache{slots: make([]slot, slots)} }

// put keeps a packet and returns its place; nil if it is a repetition or older than the ring. The returned slot may be
// read without the lock by the caller, who is the only writer.
func (c *cache) put(p *packet, key bool, now int64) *slot {
	ext := c.extend(p.seq)
	s := &c.slots[ext%uint64(len(c.slots))]
	if s.ext >= ext {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key = key && (c.key == 0 || (ext > c.key && p.ts != c.keyTS)) // only the first packet of a key frame counts
	s.ext, s.ts, s.marker, s.key = ext, p.ts, p.marker, key
	s.size = copy(s.data[:], p.payload)
	c.head = max(c.head, ext)
	c.keyBytes += s.size
	if key {
		c.key, c.keyTS, c.keyAt, c.keyBytes = ext, p.ts, now, s.size
	}
	return s
}

// extend counts roll-overs: the ext nearest to the head. Only the writer calls it.
func (c *cache) extend(seq uint16) uint64 {
	if c.head == 0 {
		return 1<<32 | uint64(seq)
	}
	return c.head + uint64(int64(int16(seq-uint16(c.head)))) //nolint:gosec // the cut is the point
}

// get copies the packet ext into dst; false if it is not (or no longer) here.
func (c *cache) get(ext uint64, dst *slot) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	s := &c.slots[ext%uint64(len(c.slots))]
	if s.ext != ext {
		return false
	}
	dst.ext, dst.ts, dst.marker, dst.key, dst.size = s.ext, s.ts, s.marker, s.key, s.size
	copy(dst.data[:s.size], s.data[:s.size])
	return true
}

// group says where a new viewer may start: the last key frame, if it is still whole, not too old and not too big.
type group struct {
	from   uint64 // ext of the key frame's first packet
	fromTS uint32
	headTS uint32 // timestamp of the newest packet
	bytes  int
}

func (c *cache) group(now int64) (group, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.key == 0 || c.keyBytes > maxGroup || now-c.keyAt > maxGroupNs || c.head-c.key >= uint64(len(c.slots))*7/8 {
		return group{}, false
	}
	newest := c.slots[c.head%uint64(len(c.slots))].ts
	return group{from: c.key, fromTS: c.keyTS, headTS: newest, bytes: c.keyBytes}, true
}

// keyExt gives the first packet of the last key frame.
func (c *cache) keyExt() uint64 { c.mu.RLock(); defer c.mu.RUnlock(); return c.key }

// newest gives the highest ext.
func (c *cache) newest() uint64 { c.mu.RLock(); defer c.mu.RUnlock(); return c.head }
