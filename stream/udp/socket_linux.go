package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// system is what Linux needs of a socket. The functions are fields so that tests can play the kernel.
type system struct {
	raw      syscall.RawConn
	six      bool // AF_INET6: IPv4 peers are written v4-mapped
	sendmmsg func(fd uintptr, rows []unix.Mmsghdr) (int, syscall.Errno)
	wait     func(fd uintptr, d time.Duration) time.Duration // until writable, at most d; gives the time it took
}

// prepare looks what the socket and the kernel can do.
func (s *Socket) prepare() error {
	raw, err := s.conn.SyscallConn()
	if err != nil {
		return err
	}
	s.system = system{raw: raw, sendmmsg: sendmmsg, wait: waitWritable}
	var probed error
	err = raw.Control(func(fd uintptr) { probed = s.probe(fd) })
	if err != nil {
		return err
	}
	if probed != nil {
		return fmt.Errorf("media socket: %w", probed)
	}
	s.reader.prepare()
	return nil
}

func (s *Socket) probe(fd uintptr) error {
	domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return os.NewSyscallError("getsockopt", err)
	}
	s.system.six = domain == unix.AF_INET6
	// More than net.core.{r,w}mem_max for those who may (CAP_NET_ADMIN); the others keep what SetReadBuffer got.
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, readBuffer)
	_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, writeBuffer)
	_, errno := sendmmsg(fd, nil)
	s.batched.Store(errno == 0)
	_, err = unix.GetsockoptInt(int(fd), unix.SOL_UDP, unix.UDP_SEGMENT)
	s.gso.Store(errno == 0 && err == nil)
	return nil
}

func sendmmsg(fd uintptr, rows []unix.Mmsghdr) (int, syscall.Errno) {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(unsafe.SliceData(rows))), uintptr(len(rows)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}

func waitWritable(fd uintptr, d time.Duration) time.Duration {
	start := time.Now()
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // a descriptor fits
	_, _ = unix.Poll(fds[:], int((d+time.Millisecond-1)/time.Millisecond))
	return time.Since(start)
}

// sockaddr is room for an address of either family, as the kernel wants it.
type sockaddr = unix.RawSockaddrInet6

// setName writes an address; false when the socket has no such addresses.
func setName(name *sockaddr, six bool, to netip.AddrPort) (length uint32, ok bool) {
	if !six {
		return setName4(name, to)
	}
	*name = sockaddr{Family: unix.AF_INET6, Addr: to.Addr().As16()}
	setPort(&name.Port, to.Port())
	if zone := to.Addr().Zone(); zone != "" {
		name.Scope_id, ok = scope(zone)
		return unix.SizeofSockaddrInet6, ok
	}
	return unix.SizeofSockaddrInet6, to.Addr().IsValid()
}

func setName4(name *sockaddr, to netip.AddrPort) (length uint32, ok bool) {
	a := to.Addr().Unmap()
	if !a.Is4() {
		return 0, false
	}
	name4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
	*name4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.As4()}
	setPort(&name4.Port, to.Port())
	return unix.SizeofSockaddrInet4, true
}

// setPort writes a port in network order.
func setPort(field *uint16, port uint16) {
	binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(field))[:], port)
}

func port(field *uint16) uint16 { return binary.BigEndian.Uint16((*[2]byte)(unsafe.Pointer(field))[:]) }

// scope gives the interface number of a zone, which is that number or the interface's name.
func scope(zone string) (uint32, bool) {
	if n, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(n), true
	}
	i, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, false
	}
	return uint32(i.Index), true //nolint:gosec // interface numbers are small and positive
}

// getName reads an address that the kernel wrote.
func getName(name *sockaddr) netip.AddrPort {
	switch name.Family {
	case unix.AF_INET:
		name4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(name4.Addr), port(&name4.Port))
	case unix.AF_INET6:
		a := netip.AddrFrom16(name.Addr).Unmap()
		if name.Scope_id != 0 && a.Is6() {
			a = a.WithZone(strconv.FormatUint(uint64(name.Scope_id), 10))
		}
		return netip.AddrPortFrom(a, port(&name.Port))
	}
	return netip.AddrPort{}
}
