package load

import (
	"errors"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// RaiseFiles lets this process, and the server that it starts next, open so many files; as many as the system allows.
func RaiseFiles(n int) {
	want := uint64(max(n, 0)) //nolint:gosec // not negative
	var have unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &have) != nil || have.Cur >= want {
		return
	}
	if unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: want, Max: max(want, have.Max)}) != nil { // not root
		_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: have.Max, Max: have.Max})
	}
}

// filesMost gives how many files this process may open.
func filesMost() int {
	var have unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &have) != nil {
		return 1024
	}
	return int(min(have.Cur, 1<<20)) //nolint:gosec // just bounded
}

// ears read all sockets of a process, with pauses in which nobody waits for them: else each write of the server would wake
// this process and pay for it, which no server with distant clients does. Latencies are up to earPause longer for it.
type ears struct {
	poll int
	all  map[int32]*ear // by descriptor
	join chan *ear
	quit chan struct{}
	gone chan struct{}
}

const earPause = 4 * time.Millisecond

func newEars() (*ears, error) {
	poll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	e := &ears{poll: poll, all: map[int32]*ear{}, join: make(chan *ear, 1024), quit: make(chan struct{}), gone: make(chan struct{})}
	go e.run()
	return e, nil
}

// take gives a connection to the ears; it is closed for everybody else.
func (e *ears) take(conn net.Conn, a *ear) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return errors.New("not a TCP socket")
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	var fd int
	var dup error
	if err := raw.Control(func(own uintptr) { fd, dup = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); err != nil || dup != nil {
		return errors.Join(err, dup)
	}
	a.fd = int32(fd) //nolint:gosec // a descriptor
	a.reply = func(b []byte) { _, _ = unix.Write(fd, b) }
	e.join <- a
	return conn.Close()
}

// close ends all sockets.
func (e *ears) close() { close(e.quit); <-e.gone }

func (e *ears) run() {
	defer close(e.gone)
	defer e.end()
	pause := time.NewTicker(earPause)
	defer pause.Stop()
	buf := make([]byte, earBuffer)
	events := make([]unix.EpollEvent, 1024)
	for {
		select {
		case <-e.quit:
			return
		case a := <-e.join:
			e.seat(a)
			continue
		case <-pause.C:
		}
		for n := len(events); n == len(events); {
			n, _ = unix.EpollWait(e.poll, events, 0)
			for _, ev := range events[:max(n, 0)] {
				e.hear(ev.Fd, buf)
			}
		}
	}
}

func (e *ears) seat(a *ear) {
	e.all[a.fd] = a
	first := a.rest
	a.rest = nil
	a.feed(first)
	if unix.EpollCtl(e.poll, unix.EPOLL_CTL_ADD, int(a.fd), &unix.EpollEvent{Events: unix.EPOLLIN, Fd: a.fd}) != nil {
		e.drop(a)
	}
}

// hear reads what one socket has, at most one buffer: what is left is told again.
func (e *ears) hear(fd int32, buf []byte) {
	a := e.all[fd]
	if a == nil {
		return
	}
	n, err := unix.Read(int(fd), buf)
	switch {
	case n > 0:
		a.feed(buf[:n])
	case !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR):
		e.drop(a)
		a.l.lost.Add(1)
	}
}

func (e *ears) drop(a *ear) { delete(e.all, a.fd); _ = unix.Close(int(a.fd)) }

func (e *ears) end() {
	for len(e.join) > 0 {
		a := <-e.join
		e.all[a.fd] = a
	}
	for _, a := range e.all {
		e.drop(a)
	}
	_ = unix.Close(e.poll)
}
