package udp

import (
	"net/netip"
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	readAtOnce = 32
	readSize   = 8192 // bytes of the longest datagram; pion's muxes read no longer ones
)

// reader holds what one recvmmsg brought until it is asked for. Guarded by Socket.reading.
type reader struct {
	rows  [readAtOnce]unix.Mmsghdr
	iovs  [readAtOnce]unix.Iovec
	names [readAtOnce]sockaddr
	data  []byte
	at, n int // rows that are still to be given: at..n

	errno syscall.Errno // of the latest call
	calls uint64
	read  func(fd uintptr) bool // r.recvmmsg, kept so that a call allocates nothing
}

func (r *reader) prepare() {
	r.data = make([]byte, readAtOnce*readSize)
	r.read = r.recvmmsg
	for i := range r.rows {
		r.iovs[i].Base = &r.data[i*readSize]
		r.iovs[i].SetLen(readSize)
		h := &r.rows[i].Hdr
		h.Iov, h.Name = &r.iovs[i], (*byte)(unsafe.Pointer(&r.names[i]))
		h.SetIovlen(1)
	}
}

// recvmmsg reads what is there; false when nothing is, so that Go's poller waits.
func (r *reader) recvmmsg(fd uintptr) bool {
	for i := range r.rows {
		r.rows[i].Hdr.Namelen = unix.SizeofSockaddrInet6
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&r.rows[0])), readAtOnce, 0, 0, 0)
		r.calls++
		switch errno {
		case 0:
			r.at, r.n, r.errno = 0, int(n), 0
			return true
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		default:
			r.errno = errno
			return true
		}
	}
}

// next gives the next datagram, in the reader's memory or in b; good until the next call.
func (s *Socket) next(b []byte) ([]byte, netip.AddrPort, error) {
	if !s.batched.Load() {
		return s.readPlain(b)
	}
	r := &s.reader
	for r.at == r.n {
		r.calls = 0
		err := s.system.raw.Read(r.read)
		s.counts.readCalls.Add(r.calls)
		if err != nil {
			return nil, netip.AddrPort{}, err
		}
		if r.errno != 0 {
			return nil, netip.AddrPort{}, os.NewSyscallError("recvmmsg", r.errno)
		}
	}
	i := r.at
	r.at++
	n := min(int(r.rows[i].Len), readSize)
	return r.data[i*readSize : i*readSize+n], getName(&r.names[i]), nil
}
