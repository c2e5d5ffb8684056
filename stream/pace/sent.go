package pace

const (
	ringSize = 1024 // packets in flight that we remember: over 3 s at 2.5 Mbit/s, 8 KiB
	maxSize  = 1<<13 - 1
)

// What became of a packet, in the upper bits of sent.note; the lower 13 are its size.
const (
	acked   uint16 = 1 << 13
	lost    uint16 = 1 << 14
	probing uint16 = 1 << 15
)

// sent is a packet on its way. The zero value is none.
type sent struct {
	at   uint32 // µs since the estimator's birth; wraps after 71 minutes
	seq  uint16
	note uint16
}

func (s *sent) size() int { return int(s.note & maxSize) }

// Sent notes a packet that carries the transport-wide number seq; size is what it costs on the wire, in bytes. To be
// called for every such packet, probes too. It allocates nothing and takes a few ns (BenchmarkSent).
func (e *Estimator) Sent(seq uint16, size int, now int64) {
	note := uint16(min(max(size, 1), maxSize)) //nolint:gosec // bounded
	if e.probe.marking {
		note |= probing
		e.probe.last = seq
		e.probe.sent++
		e.probe.bytes += size
	}
	us := (now - e.born) / 1000
	e.ring[seq%ringSize] = sent{at: uint32(us), seq: seq, note: note} //nolint:gosec // the cut is the point
	e.out.add(us, size)
	e.lastSent = now
}

// sentAt gives back the µs since birth that a packet's at was cut from.
func (e *Estimator) sentAt(s *sent, now int64) int64 {
	us := (now - e.born) / 1000
	return us - int64(uint32(us)-s.at) //nolint:gosec // the cut is the point
}

const (
	bucket      = 25_000 // µs
	buckets     = 32
	longWindow  = 20 // buckets: 500 ms
	shortWindow = 10
)

// meter counts bytes in buckets of 25 ms and gives rates over the latest of them.
type meter struct {
	bytes [buckets]uint32
	head  int64 // µs of the latest count
	first int64 // µs of the first one since a gap
}

// add counts size bytes at us. What comes late counts in the latest bucket.
func (m *meter) add(us int64, size int) {
	cur, next := m.head/bucket, us/bucket
	if next > cur {
		if next-cur >= buckets {
			m.bytes = [buckets]uint32{}
			m.first = us
		} else {
			for i := cur + 1; i <= next; i++ {
				m.bytes[uint64(i)%buckets] = 0 //nolint:gosec // not negative
			}
		}
		cur = next
	}
	m.head = max(m.head, us)
	m.bytes[uint64(cur)%buckets] += uint32(size) //nolint:gosec // a packet's size
}

// rate is bit/s over the last n whole buckets and the one that is filling, less after a gap.
func (m *meter) rate(n int64) float64 {
	cur := m.head / bucket
	from := max(cur-n, 0)
	sum := uint64(0)
	for i := from; i <= cur; i++ {
		sum += uint64(m.bytes[uint64(i)%buckets]) //nolint:gosec // not negative
	}
	span := m.head - max(from*bucket, m.first)
	return float64(sum) * 8e6 / float64(max(span, 4*bucket))
}
