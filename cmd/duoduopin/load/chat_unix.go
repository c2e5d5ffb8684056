//go:build unix

package load

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// RaiseFiles lets this process, and the server that it starts next, open as many files as n sockets need; as many as the
// system allows.
func RaiseFiles(n int) {
	want := uint64(2*n + 1000) //nolint:gosec // a number of sockets
	var have unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &have) != nil || have.Cur >= want {
		return
	}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: max(want, have.Max)}) != nil { // not root
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: have.Max, Max: have.Max})
	}
}

// socketsMost gives how many sockets this process may open beside those of a floor.
func socketsMost() int {
	var have unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &have) != nil {
		return 500
	}
	return int(min(have.Cur, 1<<20)) - 500 //nolint:gosec // just bounded
}

// waitingRead gives a reader that holds a buffer only while bytes are there.
func waitingRead(conn net.Conn) func() (data []byte, giveBack func(), err error) {
	raw, err := conn.(syscall.Conn).SyscallConn() //nolint:forcetypeassert,errcheck // a TCP socket
	w := &waiter{raw: raw, err: err}
	w.ready, w.back = w.onReadable, w.giveBack
	return w.read
}

// earBuffers are shared by all ears.
var earBuffers = sync.Pool{New: func() any { return new([earBuffer]byte) }} //nolint:gochecknoglobals // of a generator

type waiter struct {
	raw   syscall.RawConn
	buf   *[earBuffer]byte
	n     int
	err   error
	ready func(uintptr) bool
	back  func()
}

func (w *waiter) read() ([]byte, func(), error) {
	if w.err != nil {
		return nil, nil, w.err
	}
	if err := w.raw.Read(w.ready); err != nil {
		return nil, nil, err
	}
	if w.err == nil && w.n <= 0 {
		w.err = io.EOF
	}
	if w.err != nil {
		return nil, nil, w.err
	}
	return w.buf[:w.n], w.back, nil
}

func (w *waiter) onReadable(fd uintptr) bool {
	if w.buf == nil {
		w.buf, _ = earBuffers.Get().(*[earBuffer]byte)
	}
	w.n, w.err = unix.Read(int(fd), w.buf[:])
	if errors.Is(w.err, unix.EAGAIN) {
		w.err = nil
		w.giveBack()
		return false
	}
	return true
}

func (w *waiter) giveBack() {
	if w.buf != nil {
		earBuffers.Put(w.buf)
		w.buf = nil
	}
}
