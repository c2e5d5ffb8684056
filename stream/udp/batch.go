package udp

import "net/netip"

// Limits of one message and of one batch.
const (
	maxMessages = 256    // of one batch: one sendmmsg takes them all
	maxSegments = 64     // of one message: UDP_MAX_SEGMENTS of older kernels
	maxMessage  = 65_000 // bytes of one message: an IP packet's 65,535 less any headers
)

// message is what leaves as one: one datagram, or with UDP_SEGMENT some of equal size (the last may be shorter).
type message struct {
	to       netip.AddrPort
	start    int // of its bytes in the arena
	bytes    int
	segment  int // bytes of each datagram but the last
	segments int
}

// takes says whether a datagram of n bytes may join the message's end.
func (m *message) takes(to netip.AddrPort, n int) bool {
	full := m.bytes == m.segment*m.segments // a shorter one was the last
	return full && n <= m.segment && m.segments < maxSegments && m.bytes+n <= maxMessage && m.to == to
}

// Batch collects datagrams in an arena of its own and sends them together. One goroutine at a time may use it.
type Batch struct {
	socket   *Socket
	arena    []byte
	used     int // bytes of the arena that are queued
	messages []message
	kernel   kernel
}

// NewBatch makes a batch with an arena of so many bytes. It holds at most 256 messages, a message being what neighbours
// to one destination make together; on Linux its tables take about 40 KB beside the arena.
func (s *Socket) NewBatch(bytes int) *Batch {
	b := &Batch{socket: s, arena: make([]byte, max(bytes, 1)), messages: make([]message, 0, maxMessages)}
	b.prepare()
	return b
}

// Slot gives n bytes to write the next datagram into; it is good until the next call of Slot or Flush. It sends what is
// queued first when the arena or the message table is full. A slot that is not queued is given up. An arena smaller than
// n bytes grows to n.
func (b *Batch) Slot(n int) []byte {
	if b.used+n > len(b.arena) || len(b.messages) == maxMessages {
		b.Flush()
	}
	if n > len(b.arena) {
		b.arena = make([]byte, n)
	}
	return b.arena[b.used : b.used+n : b.used+n]
}

// Queue makes the first n bytes of the latest slot a datagram to that address. It goes out with the next Flush.
func (b *Batch) Queue(to netip.AddrPort, n int) {
	if n <= 0 {
		return
	}
	last := len(b.messages) - 1
	if last >= 0 && b.socket.gso.Load() && b.messages[last].takes(to, n) {
		b.messages[last].bytes += n
		b.messages[last].segments++
	} else {
		b.messages = append(b.messages, message{to: to, start: b.used, bytes: n, segment: n, segments: 1})
	}
	b.used += n
}

// Flush sends what is queued. What the system refuses is dropped and counted; the rest goes on.
func (b *Batch) Flush() {
	if len(b.messages) == 0 {
		return
	}
	if b.socket.batched.Load() {
		b.send()
	} else {
		b.sendPlain(b.messages)
	}
	b.messages, b.used = b.messages[:0], 0
}

// sendPlain sends datagram by datagram.
func (b *Batch) sendPlain(messages []message) {
	for i := range messages {
		m := &messages[i]
		for at := 0; at < m.bytes; at += m.segment {
			from, to := m.start+at, m.start+min(at+m.segment, m.bytes)
			_, _ = b.socket.WriteToAddrPort(b.arena[from:to], m.to) // counted there
		}
	}
}
