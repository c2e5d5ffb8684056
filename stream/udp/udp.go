// Package udp is the one UDP socket of all peers. Reading and sending go in batches where the system can do it (Linux:
// recvmmsg, sendmmsg and UDP_SEGMENT), else datagram by datagram behind the same methods.
//
// A Socket may be used by many goroutines. A Batch has one owner at a time. Datagrams to one destination keep the order
// in which they were queued on one Batch; nothing is said about the order between batches.
package udp

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Socket buffers, in bytes: a key frame for some hundred viewers leaves in one burst. The system may give less.
const (
	readBuffer  = 4 << 20
	writeBuffer = 4 << 20
)

// Socket is a UDP socket that sends and reads in batches. It is a net.PacketConn and has the ReadFromAddrPort and
// WriteToAddrPort that pion's ICE muxes look for. IPv4 peers of a dual-stack socket appear as IPv4; the zone of an IPv6
// link-local peer is the number of the interface.
type Socket struct {
	conn    *net.UDPConn
	batched atomic.Bool // sendmmsg works
	gso     atomic.Bool // UDP_SEGMENT works
	refused atomic.Int32
	divert  func(b []byte, from netip.AddrPort) bool
	reading sync.Mutex // guards reader
	reader  reader
	system  system
	counts  counts
}

// Listen opens a socket. A literal IPv4 address gives an IPv4 socket; no host, or "[::]", gives a dual-stack one where
// the system has IPv6.
func Listen(addr string) (*Socket, error) {
	network := "udp"
	if a, err := netip.ParseAddrPort(addr); err == nil && a.Addr().Is4() {
		network = "udp4"
	}
	var lc net.ListenConfig
	c, err := lc.ListenPacket(context.Background(), network, addr)
	if err != nil {
		return nil, err
	}
	s := &Socket{conn: c.(*net.UDPConn)}   //nolint:forcetypeassert,errcheck // "udp" gives no other
	_ = s.conn.SetReadBuffer(readBuffer)   // as much as the system allows
	_ = s.conn.SetWriteBuffer(writeBuffer) // the same
	if err := s.prepare(); err != nil {
		_ = s.conn.Close()
		return nil, err
	}
	return s, nil
}

// Divert gives each datagram that arrives to take first; those it takes (true) are not returned by ReadFrom and
// ReadFromAddrPort. Set it once, before the first read. take runs in the reading goroutine, one call at a time, must not
// read from the socket itself, and may keep b only during the call.
func (s *Socket) Divert(take func(b []byte, from netip.AddrPort) bool) { s.divert = take }

// Batched says whether sendmmsg is used.
func (s *Socket) Batched() bool { return s.batched.Load() }

// GSO says whether neighbours to one destination leave as one message with UDP_SEGMENT. It ends when the way out keeps
// refusing such messages.
func (s *Socket) GSO() bool { return s.gso.Load() }

// WriteToAddrPort sends one datagram at once; it waits while the socket's buffer is full.
func (s *Socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	s.counts.sendCalls.Add(1)
	n, err := s.conn.WriteToUDPAddrPort(b, netip.AddrPortFrom(to.Addr().Unmap(), to.Port()))
	if err != nil {
		s.counts.failed.Add(1)
		return n, err
	}
	s.counts.sent.Add(1)
	return n, nil
}

// WriteTo implements net.PacketConn.
func (s *Socket) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a UDP address")
	}
	return s.WriteToAddrPort(b, u.AddrPort())
}

// ReadFromAddrPort reads one datagram that Divert did not take; what is longer than b is cut.
func (s *Socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	s.reading.Lock()
	defer s.reading.Unlock()
	for {
		data, from, err := s.next(b)
		if err != nil {
			return 0, netip.AddrPort{}, err
		}
		s.counts.received.Add(1)
		if s.divert != nil && s.divert(data, from) {
			continue
		}
		return copy(b, data), from, nil
	}
}

// ReadFrom implements net.PacketConn.
func (s *Socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// readPlain reads one datagram into b, without batches.
func (s *Socket) readPlain(b []byte) ([]byte, netip.AddrPort, error) {
	s.counts.readCalls.Add(1)
	n, from, err := s.conn.ReadFromUDPAddrPort(b)
	if err != nil {
		return nil, from, err
	}
	return b[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), nil
}

// Close ends reading and sending.
func (s *Socket) Close() error { return s.conn.Close() }

// LocalAddr is where the socket listens.
func (s *Socket) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// SetDeadline implements net.PacketConn. Batches don't heed deadlines.
func (s *Socket) SetDeadline(t time.Time) error { return s.conn.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (s *Socket) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn. Batches don't heed it.
func (s *Socket) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }

// Counters are totals since Listen.
type Counters struct {
	Sent      uint64 // datagrams that the system took
	Failed    uint64 // datagrams that it refused
	Dropped   uint64 // datagrams given up because the socket's buffer stayed full
	SendCalls uint64 // system calls that send
	Merged    uint64 // datagrams that left in the message of the one before them
	Received  uint64 // datagrams, diverted ones too
	ReadCalls uint64 // system calls that read
}

type counter = atomic.Uint64

type counts struct{ sent, failed, dropped, sendCalls, merged, received, readCalls counter }

// Counters reads the totals.
func (s *Socket) Counters() Counters {
	c := &s.counts
	return Counters{
		Sent: c.sent.Load(), Failed: c.failed.Load(), Dropped: c.dropped.Load(), SendCalls: c.sendCalls.Load(),
		Merged: c.merged.Load(), Received: c.received.Load(), ReadCalls: c.readCalls.Load(),
	}
}
