package load

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	floorHeader = 12 // bytes of an RTP header, sent in the clear and authenticated
	floorTag    = 16 // bytes that AES-GCM adds (RFC 7714)
	floorSize   = packetSize + floorTag
	mostRows    = 1024 // UIO_MAXIOV: of one sendmmsg
)

// floor is the loop. It uses system calls of its own and nothing of the product, so that it can be its measure.
type floor struct {
	o      FloorOptions
	plain  []byte
	seals  []cipher.AEAD // of each viewer
	arena  []byte        // one round: viewer by viewer, packet by packet
	nonce  [12]byte
	number uint32
	send   func() error
}

// Floor runs one floor in this process, pinned to the server's CPU.
func Floor(o FloorOptions) (FloorResult, error) {
	var r FloorResult
	if len(o.Ports) == 0 || o.Group < 1 || o.Rate <= 0 {
		return r, fmt.Errorf("a floor needs ports, a group and a rate")
	}
	if o.CPU >= 0 {
		if err := pin(o.CPU); err != nil {
			return r, err
		}
	}
	f := &floor{o: o, plain: make([]byte, packetSize), arena: make([]byte, len(o.Ports)*o.Group*floorSize)}
	for i := range o.Ports {
		block, err := aes.NewCipher(fmt.Appendf(nil, "%016d", i))
		if err != nil {
			return r, err
		}
		seal, err := cipher.NewGCM(block)
		if err != nil {
			return r, err
		}
		f.seals = append(f.seals, seal)
	}
	closeSocket, err := f.open()
	if err != nil {
		return r, err
	}
	defer closeSocket()
	return f.run()
}

func (f *floor) open() (func(), error) {
	if f.o.Way == WayWrite {
		return f.openWrite()
	}
	return f.openMmsg()
}

// run sends rounds at the rate and gives the CPU time of all of it.
func (f *floor) run() (FloorResult, error) {
	var r FloorResult
	round := float64(len(f.o.Ports) * f.o.Group)
	pause := time.Duration(round / f.o.Rate * float64(time.Second))
	before, start := ownCPU(), time.Now()
	for next := start; time.Since(start) < f.o.Time; next = next.Add(pause) {
		time.Sleep(time.Until(next))
		f.seal()
		if err := f.send(); err != nil {
			return r, err
		}
		r.Packets += round
	}
	r.CPU = ownCPU() - before
	return r, nil
}

// seal encrypts every packet once for every viewer.
func (f *floor) seal() {
	for v, aead := range f.seals {
		for p := range f.o.Group {
			f.number++
			binary.BigEndian.PutUint32(f.nonce[8:], f.number)
			slot := f.arena[(v*f.o.Group+p)*floorSize:][:floorSize]
			copy(slot, f.plain[:floorHeader])
			aead.Seal(slot[:floorHeader], f.nonce[:], f.plain[floorHeader:], slot[:floorHeader])
		}
	}
}

func (f *floor) openWrite() (func(), error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	var to []netip.AddrPort
	for _, port := range f.o.Ports {
		to = append(to, netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port))) //nolint:gosec // a port
	}
	f.send = func() error {
		for i := range len(to) * f.o.Group {
			if _, err := conn.WriteToUDPAddrPort(f.arena[i*floorSize:][:floorSize], to[i/f.o.Group]); err != nil {
				return err
			}
		}
		return nil
	}
	return func() { _ = conn.Close() }, nil
}

// openMmsg prepares rows once: each a packet, or with UDP_SEGMENT a viewer's group.
func (f *floor) openMmsg() (func(), error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<20)
	each := floorSize
	if f.o.Way == WayGSO {
		each *= f.o.Group
		if err := unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT, floorSize); err != nil {
			return nil, err
		}
	}
	n := len(f.arena) / each
	rows, iovs, names := make([]unix.Mmsghdr, n), make([]unix.Iovec, n), make([]unix.RawSockaddrInet4, n)
	for i := range rows {
		port := f.o.Ports[i*each/(f.o.Group*floorSize)]
		names[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: [4]byte{127, 0, 0, 1}}
		binary.BigEndian.PutUint16((*[2]byte)(unsafe.Pointer(&names[i].Port))[:], uint16(port)) //nolint:gosec // a port
		iovs[i].Base = &f.arena[i*each]
		iovs[i].SetLen(each)
		h := &rows[i].Hdr
		h.Name, h.Namelen, h.Iov = (*byte)(unsafe.Pointer(&names[i])), unix.SizeofSockaddrInet4, &iovs[i]
		h.SetIovlen(1)
	}
	f.send = func() error { return sendRows(fd, rows) }
	return func() { _ = unix.Close(fd) }, nil
}

func sendRows(fd int, rows []unix.Mmsghdr) error {
	for len(rows) > 0 {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&rows[0])), uintptr(min(len(rows), mostRows)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("sendmmsg: %w", errno)
		}
		rows = rows[n:]
	}
	return nil
}
