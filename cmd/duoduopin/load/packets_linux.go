package load

import (
	"net"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const packetsAtOnce = 16

// packets reads what waits in a connected socket, some datagrams with one system call.
type packets struct {
	raw   syscall.RawConn
	rows  [packetsAtOnce]unix.Mmsghdr
	iovs  [packetsAtOnce]unix.Iovec
	data  [packetsAtOnce][packetRoom]byte
	out   [][]byte
	n     int
	errno syscall.Errno
	call  func(fd uintptr) bool
}

func newPackets(conn *net.UDPConn) (*packets, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	p := &packets{raw: raw}
	p.call = p.recvmmsg
	for i := range p.rows {
		p.iovs[i].Base = &p.data[i][0]
		p.iovs[i].SetLen(packetRoom)
		p.rows[i].Hdr.Iov = &p.iovs[i]
		p.rows[i].Hdr.SetIovlen(1)
	}
	return p, nil
}

func (p *packets) recvmmsg(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&p.rows[0])), packetsAtOnce, 0, 0, 0)
	p.n, p.errno = int(n), errno
	return errno != unix.EAGAIN
}

// read waits for datagrams; they are good until the next call.
func (p *packets) read() ([][]byte, time.Time, error) {
	for {
		if err := p.raw.Read(p.call); err != nil {
			return nil, time.Time{}, err
		}
		switch p.errno {
		case 0:
			p.out = p.out[:0]
			for i := range p.n {
				p.out = append(p.out, p.data[i][:min(int(p.rows[i].Len), packetRoom)])
			}
			return p.out, time.Now(), nil
		case unix.EINTR, unix.ECONNREFUSED: // the server is not there for a moment
		default:
			return nil, time.Time{}, os.NewSyscallError("recvmmsg", p.errno)
		}
	}
}
