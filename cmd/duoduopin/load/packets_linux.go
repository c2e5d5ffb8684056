package load

import (
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const packetsAtOnce = 32

// packets reads what waits in a socket, many datagrams with one system call, each with the time at which the kernel got it.
type packets struct {
	raw    syscall.RawConn
	rows   [packetsAtOnce]unix.Mmsghdr
	iovs   [packetsAtOnce]unix.Iovec
	stamps [packetsAtOnce][8]uint64 // control messages, aligned
	data   [packetsAtOnce][packetRoom]byte
	out    []packet
	n      int
	errno  syscall.Errno
	call   func(fd uintptr) bool
}

func newPackets(conn *net.UDPConn) (*packets, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(readRoom)
	var set error
	if err := raw.Control(func(fd uintptr) { set = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) }); err != nil {
		return nil, err
	}
	if set != nil {
		return nil, os.NewSyscallError("setsockopt", set)
	}
	p := &packets{raw: raw}
	p.call = p.recvmmsg
	for i := range p.rows {
		p.iovs[i].Base = &p.data[i][0]
		p.iovs[i].SetLen(packetRoom)
		h := &p.rows[i].Hdr
		h.Iov, h.Control = &p.iovs[i], (*byte)(unsafe.Pointer(&p.stamps[i]))
		h.SetIovlen(1)
	}
	return p, nil
}

func (p *packets) recvmmsg(fd uintptr) bool {
	for i := range p.rows {
		p.rows[i].Hdr.SetControllen(len(p.stamps[i]) * 8)
	}
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.rows[0])), packetsAtOnce, 0, 0, 0)
	p.n, p.errno = int(n), errno
	return errno != unix.EAGAIN
}

// read waits for datagrams; they are good until the next call.
func (p *packets) read() ([]packet, error) {
	for {
		if err := p.raw.Read(p.call); err != nil {
			return nil, err
		}
		switch p.errno {
		case 0:
			p.out = p.out[:0]
			for i := range p.n {
				p.out = append(p.out, packet{data: p.data[i][:min(int(p.rows[i].Len), packetRoom)], at: p.time(i)})
			}
			return p.out, nil
		case unix.EINTR, unix.ECONNREFUSED: // the server is not there for a moment
		default:
			return nil, os.NewSyscallError("recvmmsg", p.errno)
		}
	}
}

// time reads the kernel's time stamp of row i (socket(7), SO_TIMESTAMPNS).
func (p *packets) time(i int) time.Time {
	c := (*unix.Cmsghdr)(unsafe.Pointer(&p.stamps[i]))
	if p.rows[i].Hdr.Controllen == 0 || c.Level != unix.SOL_SOCKET || c.Type != unix.SO_TIMESTAMPNS {
		return time.Now()
	}
	at := (*unix.Timespec)(unsafe.Add(unsafe.Pointer(&p.stamps[i]), unix.CmsgLen(0)))
	return time.Unix(at.Unix())
}
