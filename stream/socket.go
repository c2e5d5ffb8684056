package stream

import (
	"context"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// Socket buffers, in bytes: a key frame for some hundred viewers leaves in one burst.
const (
	readBuffer  = 4 << 20
	writeBuffer = 4 << 20
)

// socket is the one UDP socket of all peers, under pion's ICE mux. Everything that leaves goes through WriteToAddrPort:
// this is the seam where sending in batches (sendmmsg, UDP_SEGMENT) comes in.
type socket struct {
	conn   *net.UDPConn
	closed atomic.Bool
	sent   atomic.Uint64
	failed atomic.Uint64
}

func listenUDP(addr string) (*socket, error) {
	var lc net.ListenConfig
	c, err := lc.ListenPacket(context.Background(), "udp", addr)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: c.(*net.UDPConn)} //nolint:forcetypeassert,errcheck // "udp" gives no other
	_ = s.conn.SetReadBuffer(readBuffer) // as much as the system allows
	_ = s.conn.SetWriteBuffer(writeBuffer)
	return s, nil
}

// ReadFromAddrPort reads one datagram; IPv4 peers of a dual-stack socket are given as IPv4.
func (s *socket) ReadFromAddrPort(b []byte) (int, netip.AddrPort, error) {
	n, from, err := s.conn.ReadFromUDPAddrPort(b)
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

// WriteToAddrPort sends one datagram.
func (s *socket) WriteToAddrPort(b []byte, to netip.AddrPort) (int, error) {
	n, err := s.conn.WriteToUDPAddrPort(b, to)
	if err != nil {
		s.failed.Add(1)
		return n, err
	}
	s.sent.Add(1)
	return n, nil
}

// ReadFrom implements net.PacketConn.
func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := s.ReadFromAddrPort(b)
	if err != nil {
		return n, nil, err
	}
	return n, net.UDPAddrFromAddrPort(from), nil
}

// WriteTo implements net.PacketConn.
func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	u, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a UDP address")
	}
	a := u.AddrPort()
	return s.WriteToAddrPort(b, netip.AddrPortFrom(a.Addr().Unmap(), a.Port()))
}

// Close ends reading and writing.
func (s *socket) Close() error {
	s.closed.Store(true)
	return s.conn.Close()
}

// LocalAddr is where the socket listens.
func (s *socket) LocalAddr() net.Addr { return s.conn.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (s *socket) SetDeadline(t time.Time) error { return s.conn.SetDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (s *socket) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (s *socket) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }
