//go:build unix

package socket

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// rawOf gives the line's descriptor, to be tried without waiting; nil for one that has none of its own, as TLS.
func rawOf(line net.Conn) syscall.RawConn {
	sys, ok := line.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return nil
	}
	return raw
}

// attempt is one write that does not wait. It lies in the Conn so that nothing is allocated.
type attempt struct {
	line  []byte
	n     int
	err   error
	write func(fd uintptr) bool // onWritable, bound once
}

// do gives how much of b the line took; an error means that it is broken.
func (a *attempt) do(raw syscall.RawConn, b []byte) (int, error) {
	a.line, a.n, a.err = b, 0, nil
	err := raw.Write(a.write)
	a.line = nil
	if err != nil {
		return 0, err
	}
	return a.n, a.err
}

// onWritable always says that it is done: nobody waits for the line here.
func (a *attempt) onWritable(fd uintptr) bool {
	for {
		n, err := unix.Write(int(fd), a.line)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
		case err != nil:
			a.err = err
		default:
			a.n = n
		}
		return true
	}
}

// onReadable borrows a buffer and reads; false when nothing is there, and then no buffer is held while waiting.
func (c *Conn) onReadable(fd uintptr) bool {
	c.borrow()
	for {
		n, err := unix.Read(int(fd), c.in.buf[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			c.giveBack()
			return false
		}
		c.in.n, c.in.err = max(n, 0), err
		return true
	}
}
