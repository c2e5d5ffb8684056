package light

import (
	"bufio"
	"container/list"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/stun/v4"
)

const (
	maxQueue     = 1 << 20          // bytes that wait for a slow viewer; what comes beyond is dropped
	keptBuffer   = 64 << 10         // a writer's spare buffer is kept up to this size
	readAhead    = 4096             // bytes; a frame must fit
	writeTimeout = 10 * time.Second // a viewer that takes nothing for so long is gone
	lastWords    = time.Second      // for what is queued when a connection is closed
	maxStrangers = 1024             // TCP connections that have not said whose they are; the oldest makes room
)

// Stream is an ICE-TCP connection (RFC 6544), its datagrams framed by RFC 4571.
type Stream struct {
	conn    net.Conn
	entry   *list.Element // among the strangers
	server  *Server
	path    atomic.Pointer[path] // whose it is, once it has authenticated
	dropped atomic.Uint64

	mu     sync.Mutex
	more   sync.Cond
	queue  []byte
	closed bool
}

func newStream(s *Server, conn net.Conn) *Stream {
	st := &Stream{conn: conn, server: s}
	st.more.L = &st.mu
	return st
}

// Write frames and queues one datagram and never blocks: ErrFull if it was dropped, net.ErrClosed after the end.
func (st *Stream) Write(b []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return 0, net.ErrClosed
	}
	if len(b) > maxDatagram || len(st.queue)+2+len(b) > maxQueue {
		st.dropped.Add(1)
		return 0, ErrFull
	}
	st.queue = binary.BigEndian.AppendUint16(st.queue, uint16(len(b))) //nolint:gosec // bounded above
	st.queue = append(st.queue, b...)
	st.more.Signal()
	return len(b), nil
}

// Dropped counts the datagrams that did not fit into the queue.
func (st *Stream) Dropped() uint64 { return st.dropped.Load() }

// bind makes the connection p's: it is no stranger any more and may be silent as long as p may.
func (st *Stream) bind(p *path) {
	st.path.Store(p)
	st.server.strangers.remove(st)
	_ = st.conn.SetReadDeadline(time.Time{})
}

// close ends the connection after what is queued was written or lastWords have passed.
func (st *Stream) close() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closed {
		return
	}
	st.closed = true
	_ = st.conn.SetWriteDeadline(time.Now().Add(lastWords))
	st.more.Signal()
}

// write is the connection's writing goroutine. It takes all that is queued at once, so that frames share segments.
func (st *Stream) write() {
	defer st.server.owned.Done()
	defer func() { _ = st.conn.Close() }()
	var spare []byte
	for {
		b, last := st.take(spare)
		if !last {
			_ = st.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
		}
		if _, err := st.conn.Write(b); err != nil || last {
			return
		}
		if spare = b[:0]; cap(spare) > keptBuffer {
			spare = nil
		}
	}
}

// take waits for queued bytes and gives them for spare; last if nothing comes after.
func (st *Stream) take(spare []byte) (b []byte, last bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for len(st.queue) == 0 && !st.closed {
		st.more.Wait()
	}
	b, st.queue = st.queue, spare
	return b, st.closed
}

// strangers are connections that have not authenticated, oldest first.
type strangers struct {
	mu     sync.Mutex
	list   list.List // of *Stream
	closed bool
}

// add enters st; if there are too many, the oldest goes, so that silent ones cannot keep others out.
func (a *strangers) add(st *Stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		_ = st.conn.Close()
	}
	if a.list.Len() >= maxStrangers {
		oldest := a.list.Front()
		_ = oldest.Value.(*Stream).conn.Close() //nolint:forcetypeassert,errcheck // holds no others
		a.list.Remove(oldest)
	}
	st.entry = a.list.PushBack(st)
}

func (a *strangers) remove(st *Stream) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list.Remove(st.entry)
}

func (a *strangers) closeAll() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.closed = true
	for e := a.list.Front(); e != nil; e = e.Next() {
		_ = e.Value.(*Stream).conn.Close() //nolint:forcetypeassert,errcheck // holds no others
	}
}

// listener passes on the connections that are not ours.
type listener struct {
	net.Listener
	server *Server
	others chan net.Conn
	done   chan struct{}
	once   sync.Once
}

// Listen takes l over: connections whose first frame is a STUN request that names one of ours stay here, all others come
// from the returned listener, from their first byte on. Closing it closes l.
func (s *Server) Listen(l net.Listener) net.Listener {
	out := &listener{Listener: l, server: s, others: make(chan net.Conn), done: make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		close(out.done)
		_ = l.Close()
		return out
	}
	s.listeners[out] = struct{}{}
	s.owned.Add(1)
	go out.accept()
	return out
}

// Accept gives the next connection that is not ours.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.others:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends accepting; connections of ours live on.
func (l *listener) Close() error {
	var err error
	l.once.Do(func() {
		close(l.done)
		err = l.Listener.Close()
	})
	return err
}

func (l *listener) accept() {
	defer l.server.owned.Done()
	defer l.forget()
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) || !l.breathe() {
				return
			}
			continue
		}
		l.server.owned.Add(1)
		go l.serve(conn)
	}
}

// breathe waits a little after an error, such as one for want of file descriptors; false if accepting is over.
func (l *listener) breathe() bool {
	select {
	case <-l.done:
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

func (l *listener) forget() {
	_ = l.Close()
	l.server.mu.Lock()
	defer l.server.mu.Unlock()
	delete(l.server.listeners, l)
}

// serve finds out whose a connection is and reads it if it is ours.
func (l *listener) serve(conn net.Conn) {
	s := l.server
	defer s.owned.Done()
	st := newStream(s, conn)
	s.strangers.add(st)
	_ = conn.SetReadDeadline(time.Now().Add(s.cfg.Handshake / 2)) // the other half is the next owner's
	r := bufio.NewReaderSize(conn, readAhead)
	frame, err := peekFrame(r)
	if err == nil && s.names(frame) {
		s.owned.Add(1)
		go st.write()
		st.read(r)
		s.strangers.remove(st)
		return
	}
	s.strangers.remove(st)
	l.pass(conn, r)
}

// pass gives a stranger, with what was read of it, to whoever accepts.
func (l *listener) pass(conn net.Conn, r *bufio.Reader) {
	read, _ := r.Peek(r.Buffered())
	if len(read) == 0 {
		_ = conn.Close() // it said nothing
		return
	}
	_ = conn.SetReadDeadline(time.Time{})
	select {
	case l.others <- &given{Conn: conn, read: append([]byte(nil), read...)}:
	case <-l.done:
		_ = conn.Close()
	}
}

// given is a connection of which something was read already.
type given struct {
	net.Conn
	read []byte
}

// Read gives what was read before, then the rest.
func (g *given) Read(b []byte) (int, error) {
	if len(g.read) == 0 {
		return g.Conn.Read(b)
	}
	n := copy(b, g.read)
	g.read = g.read[n:]
	return n, nil
}

// names reports whether a frame is a Binding request to one of our user names; integrity is checked later.
func (s *Server) names(frame []byte) bool {
	if !stun.IsMessage(frame) {
		return false
	}
	m := stun.New()
	if stun.Decode(frame, m) != nil || m.Type != stun.BindingRequest {
		return false
	}
	cred, _ := s.named(m)
	return cred != nil
}

// peekFrame waits for the next frame and gives its content, without the length; it stays in r until it is discarded.
func peekFrame(r *bufio.Reader) ([]byte, error) {
	head, err := r.Peek(2)
	if err != nil {
		return nil, err
	}
	n := int(binary.BigEndian.Uint16(head))
	if n > maxDatagram {
		return nil, errFrame
	}
	frame, err := r.Peek(2 + n)
	if err != nil {
		return nil, err
	}
	return frame[2:], nil
}

// read is the connection's reading goroutine.
func (st *Stream) read(r *bufio.Reader) {
	defer st.ended()
	from := addrOf(st.conn)
	for {
		frame, err := peekFrame(r)
		if err != nil {
			return
		}
		st.handle(frame, from)
		if _, err = r.Discard(2 + len(frame)); err != nil {
			return
		}
	}
}

func (st *Stream) handle(frame []byte, from netip.AddrPort) {
	if len(frame) == 0 {
		return
	}
	if frame[0] <= lastSTUN {
		st.server.stun(frame, from, st)
	} else if p := st.path.Load(); p != nil {
		p.conn.receive(frame, p)
	}
}

// ended closes and tells the connection that this path is gone.
func (st *Stream) ended() {
	if p := st.path.Load(); p != nil {
		p.conn.broken(p)
	}
	st.close()
}
