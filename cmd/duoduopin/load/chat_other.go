//go:build !linux

package load

import (
	"net"
	"sync"
	"sync/atomic"
)

// RaiseFiles: there is no such limit here, or it is not known.
func RaiseFiles(int) {}

func filesMost() int { return 1 << 20 }

// ears read all sockets of a process, a goroutine each.
type ears struct {
	closing atomic.Bool
	done    sync.WaitGroup

	mu    sync.Mutex
	conns []net.Conn
}

func newEars() (*ears, error) { return &ears{}, nil }

func (e *ears) take(conn net.Conn, a *ear) error {
	e.mu.Lock()
	e.conns = append(e.conns, conn)
	e.mu.Unlock()
	a.reply = func(b []byte) { _, _ = conn.Write(b) }
	e.done.Go(func() {
		first := a.rest
		a.rest = nil
		a.feed(first)
		buf := make([]byte, 4<<10)
		for {
			n, err := conn.Read(buf)
			a.feed(buf[:max(n, 0)])
			if err != nil {
				if !e.closing.Load() {
					a.l.lost.Add(1)
				}
				return
			}
		}
	})
	return nil
}

func (e *ears) close() {
	e.closing.Store(true)
	e.mu.Lock()
	for _, c := range e.conns {
		_ = c.Close()
	}
	e.mu.Unlock()
	e.done.Wait()
}
