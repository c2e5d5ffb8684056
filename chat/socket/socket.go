// Package socket is the server's side of a WebSocket (RFC 6455) after its handshake, for rooms in which thousands listen and
// few speak. It is cheap while nothing happens and bounded while much does.
//
// What it guarantees: one frame's bytes are built once and written to any number of sockets (Text, Conn.Send). Send never
// waits for the line: it writes what the line takes at once and queues the rest, at most 256 KiB and nothing older than 5 s,
// else the socket is closed with CodeSlow. A socket at rest holds no buffer: one goroutine waits until bytes are there, and
// borrows one only then. Pings come from one wheel for all. What the peer sends is held against the protocol before anybody
// sees it: masks, reserved bits, control frames, fragments, UTF-8, sizes; compression is never agreed to.
//
// What it asks: the handshake has been answered, nobody else touches the line, Serve is called once and waited for, and
// Keeper.Run runs for pings and for finding dead lines.
package socket

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Bounds of one socket.
const (
	UnsentMost  = 256 << 10       // bytes that wait
	UnsentLong  = 5 * time.Second // and for how long
	ReadMost    = 4 << 10         // bytes of a message from the peer
	PingEvery   = 25 * time.Second
	SilentLong  = 60 * time.Second // without a pong or anything else
	FrameWithin = 10 * time.Second // for a message that was begun to be there
	byeWithin   = 2 * time.Second  // for the peer to answer a close
	hurryWithin = time.Second      // for a write that is stuck, once the socket is closing
	sendBuffer  = 128 << 10        // of the kernel: else it grows to megabytes for one who reads slowly
	drainMost   = 16 << 10         // bytes of one write that waits: so it is seen that the peer reads
	bufferSize  = 4 << 10
	smallBuffer = 512 // of a line that can't be waited for without one: TLS
)

// Close codes that this package sends by itself (RFC 6455 section 7.4.1; 4000 and above are the application's).
const (
	CodeProtocol = 1002
	CodeText     = 1007
	CodeTooBig   = 1009
	CodeFlood    = 4429
	CodeSlow     = 4508
	CodePartial  = 4510
)

// Peer is who a socket belongs to. Its methods are called by the goroutine of Serve, Slow by whoever sends.
type Peer interface {
	Message(binary bool, payload []byte) // a whole message; the payload is good during the call only
	Frame() bool                         // a frame of any kind has come; false: too many, close with CodeFlood
	Slow()                               // the socket was cut because its peer reads too slowly; once
}

// Keeper is what the sockets of a process share: buffers and the wheel.
type Keeper struct {
	buffers sync.Pool
	wheel   wheel
}

// NewKeeper returns a keeper without sockets.
func NewKeeper() *Keeper {
	return &Keeper{buffers: sync.Pool{New: func() any { return new([bufferSize]byte) }}}
}

// Conn is one socket. All methods may be called from anywhere, Serve once.
type Conn struct {
	keeper *Keeper
	line   net.Conn
	raw    syscall.RawConn // nil: the line can't be tried without waiting
	peer   Peer
	heavy  *atomic.Int64 // counts sockets with heavyBytes and more unsent; may be nil
	heard  atomic.Int64  // Unix ms when something last came
	drains sync.WaitGroup
	spoke  wheelPlace // guarded by the wheel

	in reading // of Serve

	mu       sync.Mutex // guards what follows
	queue    []item
	done     int // bytes of the first item that are written
	bytes    int // of counted items
	moved    time.Time
	draining bool // a goroutine writes
	bye      bool // a close frame is queued or written: nothing more is sent
	byeSent  bool
	peerBye  bool
	dead     bool
	try      attempt
}

// item is something to be written.
type item struct {
	line    []byte
	counted bool
	since   time.Time
}

// HeavyBytes unsent say that a peer has its hands full.
const HeavyBytes = 3 * UnsentMost / 8

// Take makes a socket of a line whose handshake has been answered. heavy, if given, counts sockets with HeavyBytes and more
// unsent.
func (k *Keeper) Take(line net.Conn, peer Peer, heavy *atomic.Int64) *Conn {
	c := &Conn{keeper: k, line: line, peer: peer, heavy: heavy}
	under := line
	if secure, ok := line.(*tls.Conn); ok {
		under = secure.NetConn()
	}
	if tcp, ok := under.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
	c.raw = rawOf(line)
	c.try.write, c.in.ready = c.try.onWritable, c.onReadable
	c.heard.Store(time.Now().UnixMilli())
	return c
}

// Preload queues frames that are not counted, to be sent by Flush: what a newcomer gets.
func (c *Conn) Preload(frames ...Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bye || c.dead {
		return
	}
	for _, f := range frames {
		c.queue = append(c.queue, item{line: f.line})
	}
}

// Flush sends what Preload has queued.
func (c *Conn) Flush() { c.mu.Lock(); c.flush(); c.mu.Unlock() }

// Send gives the peer a frame, now or as soon as the line takes it. One who has too much unsent is cut.
func (c *Conn) Send(f Frame, now time.Time) { c.send(f.line, now) }

func (c *Conn) send(line []byte, now time.Time) {
	c.mu.Lock()
	slow := c.put(line, now)
	c.mu.Unlock()
	if slow {
		c.peer.Slow()
	}
}

// put is send with mu held; it reports whether that was too much.
func (c *Conn) put(line []byte, now time.Time) (slow bool) {
	if c.bye || c.dead {
		return false
	}
	wrote := 0
	if len(c.queue) == 0 && !c.draining {
		var ok bool
		if wrote, ok = c.attempt(line); !ok || wrote == len(line) {
			return false
		}
	}
	if len(c.queue) > 0 && (c.bytes+len(line) > UnsentMost || c.oldest(now) > UnsentLong) {
		c.finish(CodeSlow, "slow", false)
		return true
	}
	c.queue = append(c.queue, item{line, true, now})
	c.done += wrote
	c.count(len(line))
	c.flush()
	return false
}

// oldest gives for how long the oldest counted item has waited. Call with mu held.
func (c *Conn) oldest(now time.Time) time.Duration {
	for _, i := range c.queue {
		if i.counted {
			return now.Sub(i.since)
		}
	}
	return 0
}

// count changes the unsent bytes. Call with mu held.
func (c *Conn) count(change int) {
	was := c.bytes >= HeavyBytes
	c.bytes += change
	if is := c.bytes >= HeavyBytes; is != was && c.heavy != nil {
		if is {
			c.heavy.Add(1)
		} else {
			c.heavy.Add(-1)
		}
	}
}

// pop takes the first item away. Call with mu held.
func (c *Conn) pop() {
	if c.queue[0].counted {
		c.count(-len(c.queue[0].line))
	}
	c.queue[0] = item{}
	if c.queue = c.queue[1:]; len(c.queue) == 0 {
		c.queue = nil
	}
	c.done = 0
}

// flush writes what the line takes at once and leaves the rest to a goroutine, which lives while the line is clogged. Call
// with mu held.
func (c *Conn) flush() {
	for !c.draining && len(c.queue) > 0 {
		n, ok := c.attempt(c.queue[0].line[c.done:])
		if !ok {
			return
		}
		if c.done += n; c.done < len(c.queue[0].line) {
			c.draining = true
			c.drains.Go(c.drain)
			return
		}
		c.pop()
	}
	c.parted()
}

// attempt writes as much as the line takes without waiting; false when the line is broken. Call with mu held.
func (c *Conn) attempt(line []byte) (int, bool) {
	if c.dead {
		return 0, false
	}
	if c.raw == nil {
		return 0, true
	}
	n, err := c.try.do(c.raw, line)
	if err != nil {
		c.die()
		return 0, false
	}
	return n, true
}

// drain writes what is queued, waiting for the line, and ends when all is written or the line is given up.
func (c *Conn) drain() {
	for {
		line, ok := c.next()
		if !ok {
			return
		}
		n, err := c.line.Write(line)
		if !c.wrote(n, err) {
			return
		}
	}
}

// next gives what drain is to write, and ends its turn when that is nothing.
func (c *Conn) next() ([]byte, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || len(c.queue) == 0 {
		c.draining = false
		_ = c.line.SetWriteDeadline(time.Time{}) // an old one would spoil the next attempt
		c.parted()
		return nil, false
	}
	within := UnsentLong
	if c.bye {
		within = hurryWithin
	}
	_ = c.line.SetWriteDeadline(time.Now().Add(within))
	line := c.queue[0].line[c.done:]
	return line[:min(len(line), drainMost)], true
}

// wrote takes what drain has written off the queue; false when the line is given up.
func (c *Conn) wrote(n int, err error) bool {
	c.mu.Lock()
	slow := err != nil && errors.Is(err, os.ErrDeadlineExceeded) && !c.bye && !c.dead
	switch {
	case err != nil:
		c.draining = false
		c.die()
	case len(c.queue) > 0:
		c.moved = time.Now()
		if c.done += n; c.done >= len(c.queue[0].line) {
			c.pop()
		}
	}
	c.mu.Unlock()
	if slow {
		c.peer.Slow()
	}
	return err == nil
}

// Finish closes the socket: after what is queued, or at once. The first word counts. The peer has two seconds to answer.
func (c *Conn) Finish(code int, reason string, drain bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.finish(code, reason, drain)
}

// finish is Finish with mu held.
func (c *Conn) finish(code int, reason string, drain bool) {
	if c.bye || c.dead {
		return
	}
	c.bye = true
	if !drain {
		c.skip()
	}
	c.queue = append(c.queue, item{line: closing(code, reason)})
	if c.draining {
		_ = c.line.SetWriteDeadline(time.Now().Add(hurryWithin))
		return
	}
	c.flush()
}

// skip drops what is queued, but for a frame that is half written. Call with mu held.
func (c *Conn) skip() {
	keep := 0
	if len(c.queue) > 0 && (c.done > 0 || c.draining) {
		keep = 1
	}
	for _, i := range c.queue[keep:] {
		if i.counted {
			c.count(-len(i.line))
		}
	}
	c.queue = append([]item(nil), c.queue[:keep]...)
}

// parted goes on when the close frame has left: the peer is given time to answer, or has answered. Call with mu held.
func (c *Conn) parted() {
	switch {
	case !c.bye || c.byeSent || c.dead || len(c.queue) > 0:
	case c.peerBye:
		c.die()
	default:
		c.byeSent = true
		_ = c.line.SetReadDeadline(time.Now().Add(byeWithin))
	}
}

// answered takes the peer's close frame and answers it, if it isn't an answer itself.
func (c *Conn) answered(payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peerBye = true
	if c.byeSent {
		c.die()
		return
	}
	code := 1000
	if len(payload) >= 2 {
		code = int(binary.BigEndian.Uint16(payload))
	}
	c.finish(code, "", false)
}

// Closing reports whether the conversation is ending.
func (c *Conn) Closing() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.bye || c.dead }

// Reading reports whether the peer has much unsent and took something within the time given.
func (c *Conn) Reading(now time.Time, within time.Duration) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes >= HeavyBytes && now.Sub(c.moved) < within
}

// Close cuts the line without a word. Serve returns soon after.
func (c *Conn) Close() { c.mu.Lock(); c.die(); c.mu.Unlock() }

// die gives the line up. Call with mu held.
func (c *Conn) die() {
	if c.dead {
		return
	}
	c.dead = true
	for _, i := range c.queue {
		if i.counted {
			c.count(-len(i.line))
		}
	}
	c.queue, c.done = nil, 0
	if secure, ok := c.line.(*tls.Conn); ok { // its Close may wait for the line
		_ = secure.NetConn().Close()
		return
	}
	_ = c.line.Close()
}

// Serve reads until the line ends, and returns when nobody uses it any more.
func (c *Conn) Serve() {
	c.keeper.wheel.add(c)
	defer func() {
		c.keeper.wheel.remove(c)
		c.Close()
		c.drains.Wait()
	}()
	for c.read() { //nolint:revive // all is in the condition
	}
}
