package udp

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// patience is how long one Flush may wait in all for a full socket buffer.
	patience = 5 * time.Millisecond
	// refusals is how many messages with UDP_SEGMENT in a row may be refused before the socket makes none any more: one
	// peer behind an odd path must not make everybody's datagrams dear.
	refusals = 8
)

// kernel is a batch in the form that sendmmsg takes.
type kernel struct {
	all    table
	single table                                                 // the datagrams of a refused message, one each; made when first needed
	push   func(fd uintptr)                                      // b.pushAll, kept so that a flush allocates nothing
	left   time.Duration                                         // of patience
	total  struct{ calls, sent, failed, dropped, merged uint64 } // of this flush
}

// table is rows for sendmmsg and what they point to.
type table struct {
	rows     []unix.Mmsghdr
	iovs     []unix.Iovec
	names    []sockaddr
	controls [][3]uint64 // room for a cmsghdr with a uint16 (at most 24 bytes), aligned
	message  []*message  // of each row
	n        int         // rows in use
}

func newTable(n int) table {
	return table{
		rows: make([]unix.Mmsghdr, n), iovs: make([]unix.Iovec, n), names: make([]sockaddr, n),
		controls: make([][3]uint64, n), message: make([]*message, n),
	}
}

// add makes a row of bytes to m's destination; false when the socket has no such addresses.
func (t *table) add(six bool, m *message, bytes []byte) bool {
	i := t.n
	length, ok := setName(&t.names[i], six, m.to)
	if !ok {
		return false
	}
	t.iovs[i].Base = unsafe.SliceData(bytes)
	t.iovs[i].SetLen(len(bytes))
	h := &t.rows[i].Hdr
	*h = unix.Msghdr{Name: (*byte)(unsafe.Pointer(&t.names[i])), Namelen: length, Iov: &t.iovs[i]}
	h.SetIovlen(1)
	if len(bytes) > m.segment {
		setSegment(h, &t.controls[i], m.segment)
	}
	t.message[i] = m
	t.n++
	return true
}

// setSegment has the kernel cut the message's bytes into datagrams (udp(7), UDP_SEGMENT).
func setSegment(h *unix.Msghdr, control *[3]uint64, bytes int) {
	p := unsafe.Pointer(control)
	c := (*unix.Cmsghdr)(p)
	c.Level, c.Type = unix.SOL_UDP, unix.UDP_SEGMENT
	c.SetLen(unix.CmsgLen(2))
	*(*uint16)(unsafe.Add(p, unix.CmsgLen(0))) = uint16(bytes) //nolint:gosec // at most maxMessage
	h.Control = (*byte)(p)
	h.SetControllen(unix.CmsgSpace(2))
}

// segments is how many datagrams row i is.
func (t *table) segments(i int) uint64 {
	bytes, segment := int(t.iovs[i].Len), t.message[i].segment //nolint:gosec // at most maxMessage, or one datagram
	return uint64((bytes + segment - 1) / segment)             //nolint:gosec // positive
}

func (b *Batch) prepare() {
	b.kernel = kernel{all: newTable(maxMessages), push: b.pushAll}
}

// send sends the batch with sendmmsg.
func (b *Batch) send() {
	k := &b.kernel
	k.left, k.all.n = patience, 0
	k.total = struct{ calls, sent, failed, dropped, merged uint64 }{}
	for i := range b.messages {
		m := &b.messages[i]
		if !k.all.add(b.socket.system.six, m, b.arena[m.start:m.start+m.bytes]) {
			k.total.failed += uint64(m.segments) //nolint:gosec // positive
		}
	}
	// Control holds the descriptor open but takes no lock, so that batches go out side by side.
	if err := b.socket.system.raw.Control(k.push); err != nil {
		for i := range k.all.n {
			k.total.failed += k.all.segments(i)
		}
	}
	b.account()
}

// account adds a flush's figures to the socket's.
func (b *Batch) account() {
	c, t := &b.socket.counts, &b.kernel.total
	for _, x := range []struct {
		to *counter
		n  uint64
	}{{&c.sendCalls, t.calls}, {&c.sent, t.sent}, {&c.failed, t.failed}, {&c.dropped, t.dropped}, {&c.merged, t.merged}} {
		if x.n > 0 {
			x.to.Add(x.n)
		}
	}
}

func (b *Batch) pushAll(fd uintptr) { b.pushTable(fd, &b.kernel.all) }

// pushTable sends rows until none is left: what one of them meets is no other's trouble.
func (b *Batch) pushTable(fd uintptr, t *table) {
	for at := 0; at < t.n; {
		b.kernel.total.calls++
		n, errno := b.socket.system.sendmmsg(fd, t.rows[at:t.n])
		if n > 0 {
			b.took(t, at, at+n)
			at += n
			continue
		}
		switch errno {
		case unix.EINTR:
		case unix.EAGAIN:
			if !b.wait(fd) {
				b.drop(t, at)
				return
			}
		case unix.ENOSYS: // a filter was put over the process after Listen
			b.socket.batched.Store(false)
			b.socket.gso.Store(false)
			b.drop(t, at)
			return
		default:
			b.refused(fd, t, at, errno)
			at++
		}
	}
}

// took notes that the kernel has rows from..to.
func (b *Batch) took(t *table, from, to int) {
	for i := from; i < to; i++ {
		n := t.segments(i)
		b.kernel.total.sent += n
		if n == 1 {
			continue
		}
		b.kernel.total.merged += n - 1
		if b.socket.refused.Load() != 0 {
			b.socket.refused.Store(0)
		}
	}
}

// wait waits for room in the socket's buffer; false when the flush has no patience left.
func (b *Batch) wait(fd uintptr) bool {
	k := &b.kernel
	if k.left <= 0 {
		return false
	}
	k.left -= max(b.socket.system.wait(fd, k.left), time.Microsecond)
	return true
}

// drop gives up the rows from at on.
func (b *Batch) drop(t *table, at int) {
	for i := at; i < t.n; i++ {
		b.kernel.total.dropped += t.segments(i)
	}
}

// refused deals with a row that the kernel doesn't take. Reasons to refuse UDP_SEGMENT (net/ipv4/udp.c, udp_send_skb): a
// way out without checksum offload or with IPsec (EIO), a datagram over the path's MTU (EINVAL, EMSGSIZE), IPv6
// extension headers (EINVAL). Its datagrams may then still go one by one.
func (b *Batch) refused(fd uintptr, t *table, at int, errno syscall.Errno) {
	n := t.segments(at)
	if n == 1 {
		b.kernel.total.failed++
		return
	}
	switch errno {
	case unix.EIO, unix.EINVAL, unix.EOPNOTSUPP:
		if b.socket.refused.Add(1) >= refusals {
			b.socket.gso.Store(false)
		}
		b.pushSingly(fd, t.message[at])
	case unix.EMSGSIZE:
		b.pushSingly(fd, t.message[at])
	default:
		b.kernel.total.failed += n
	}
}

// pushSingly sends a message's datagrams as messages of their own.
func (b *Batch) pushSingly(fd uintptr, m *message) {
	t := &b.kernel.single
	if t.rows == nil {
		*t = newTable(maxSegments)
	}
	t.n = 0
	for at := 0; at < m.bytes; at += m.segment {
		t.add(b.socket.system.six, m, b.arena[m.start+at:m.start+min(at+m.segment, m.bytes)])
	}
	b.pushTable(fd, t)
}
