package socket

import (
	"errors"
	"io"
	"os"
	"time"
)

// reading is the reader's own.
type reading struct {
	frames assembler
	ready  func(fd uintptr) bool // onReadable, bound once
	buf    *[bufferSize]byte     // borrowed while bytes are there
	small  []byte                // of a line that can't be waited for without a buffer
	n      int
	err    error
	timed  bool // a message was begun and has to be there in time
	deaf   bool // what comes is thrown away: after a breach it means nothing
}

// read takes what has come; false when the conversation is over.
func (c *Conn) read() bool {
	data, err := c.wait()
	if err != nil {
		return errors.Is(err, os.ErrDeadlineExceeded) && c.late()
	}
	now := time.Now()
	c.heard.Store(now.UnixMilli())
	if !c.in.deaf {
		c.take(data, now)
	}
	c.giveBack()
	return true
}

// wait gives the next bytes of the line, in a buffer that is good until giveBack.
func (c *Conn) wait() ([]byte, error) {
	if c.raw == nil {
		if c.in.small == nil {
			c.in.small = make([]byte, smallBuffer)
		}
		n, err := c.line.Read(c.in.small)
		if n > 0 {
			return c.in.small[:n], nil
		}
		return nil, err
	}
	if err := c.raw.Read(c.in.ready); err != nil {
		c.giveBack()
		return nil, err
	}
	if c.in.err == nil && c.in.n == 0 {
		c.in.err = io.EOF
	}
	if c.in.err != nil {
		c.giveBack()
		return nil, c.in.err
	}
	return c.in.buf[:c.in.n], nil
}

func (c *Conn) borrow() {
	if c.in.buf == nil {
		c.in.buf, _ = c.keeper.buffers.Get().(*[bufferSize]byte)
	}
}

func (c *Conn) giveBack() {
	if c.in.buf != nil {
		c.keeper.buffers.Put(c.in.buf)
		c.in.buf = nil
	}
}

// take reads frames out of data and keeps the clock of a message that is not all there.
func (c *Conn) take(data []byte, now time.Time) {
	err := c.in.frames.feed(data, c.frame)
	var b *breach
	if errors.As(err, &b) {
		c.Finish(b.code, b.what, false)
		c.in.deaf = true
		return
	}
	if partial := c.in.frames.partial(); partial != c.in.timed {
		c.in.timed = partial
		c.limit(partial, now)
	}
}

// limit gives a message that was begun its time, or takes the limit back.
func (c *Conn) limit(partial bool, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.bye {
		return
	}
	var until time.Time
	if partial {
		until = now.Add(FrameWithin)
	}
	_ = c.line.SetReadDeadline(until)
}

// late is called when a time was over: for the peer to answer a close, or for a message that was begun. It reports whether
// the conversation goes on, if only to its end.
func (c *Conn) late() bool {
	if c.Closing() {
		return false
	}
	c.in.deaf = true
	_ = c.line.SetReadDeadline(time.Now().Add(byeWithin + hurryWithin))
	c.Finish(CodePartial, "a message that was begun did not come", false)
	return true
}

// frame takes one frame, or one whole message.
func (c *Conn) frame(op opcode, payload []byte) error {
	if op == opClose {
		c.answered(payload)
		return nil
	}
	if c.Closing() {
		return nil
	}
	if !c.peer.Frame() {
		return &breach{CodeFlood, "too many messages"}
	}
	switch op {
	case opPing:
		c.send(appendFrame(nil, opPong, payload), time.Now())
	case opText, opBinary:
		c.peer.Message(op == opBinary, payload)
	default: // a pong: something came, and that is all
	}
	return nil
}
