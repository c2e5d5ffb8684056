package socket

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// opcode of a frame (RFC 6455 section 5.2).
type opcode byte

const (
	opMore   opcode = 0
	opText   opcode = 1
	opBinary opcode = 2
	opClose  opcode = 8
	opPing   opcode = 9
	opPong   opcode = 10
)

const (
	finBit      = 0x80
	reserved    = 0x70
	maskBit     = 0x80
	controlMost = 125
	partsMost   = 128 // fragments of one message
)

// Frame is one message to any number of peers, as it goes over the line.
type Frame struct{ line []byte }

// Text makes a text frame of a payload, which must be UTF-8.
func Text(payload []byte) Frame { return Frame{appendFrame(nil, opText, payload)} }

// Size gives the bytes that the frame takes on the line.
func (f Frame) Size() int { return len(f.line) }

// appendFrame adds a whole frame, unmasked as a server's are.
func appendFrame(b []byte, op opcode, payload []byte) []byte {
	if b == nil {
		b = make([]byte, 0, len(payload)+10)
	}
	b = append(b, finBit|byte(op))
	switch n := len(payload); {
	case n <= 125:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n)) //nolint:gosec // just compared
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// closing makes a close frame; a long reason is cut.
func closing(code int, reason string) []byte {
	if code == 1005 || code == 0 { // without a code (section 7.1.5)
		return appendFrame(nil, opClose, nil)
	}
	for len(reason) > controlMost-2 {
		_, n := utf8.DecodeLastRuneInString(reason)
		reason = reason[:len(reason)-n]
	}
	return appendFrame(nil, opClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)) //nolint:gosec // codes have four digits
}

// breach is something that the protocol forbids, and the close code that says so.
type breach struct {
	code int
	what string
}

func (b *breach) Error() string { return fmt.Sprintf("%d: %s", b.code, b.what) }

func bad(what string) error { return &breach{CodeProtocol, what} }

// assembler puts a peer's bytes together to messages. While no frame is under way it holds nothing.
type assembler struct {
	rest  []byte // the beginning of a frame
	text  []byte // the beginning of a message
	kind  opcode // of it; 0: none is under way
	parts int
}

// partial reports whether a frame or a message was begun and is not there yet.
func (a *assembler) partial() bool { return len(a.rest) > 0 || a.kind != 0 }

// feed takes bytes as they came and gives every whole message, ping, pong and close to take, whose payload is good during
// the call only. It changes b. After an error it must not be called again.
func (a *assembler) feed(b []byte, take func(op opcode, payload []byte) error) error {
	held := len(a.rest) > 0
	if held {
		a.rest = append(a.rest, b...)
		b = a.rest
	}
	used := 0
	for {
		n, err := a.one(b[used:], take)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		used += n
	}
	switch {
	case used == len(b):
		a.rest = nil
	case used > 0 || !held:
		a.rest = append([]byte(nil), b[used:]...)
	}
	return nil
}

// one takes the first frame of b and gives its length, 0 when it is not all there.
func (a *assembler) one(b []byte, take func(opcode, []byte) error) (int, error) {
	h, ok, err := readHead(b)
	if err != nil || !ok {
		return 0, err
	}
	if err := a.allows(h); err != nil {
		return 0, err
	}
	if len(b) < h.bytes+h.size {
		return 0, nil
	}
	payload := b[h.bytes : h.bytes+h.size]
	unmask(payload, b[h.bytes-4:h.bytes])
	return h.bytes + h.size, a.accept(h, payload, take)
}

// head is what stands before a frame's payload.
type head struct {
	fin   bool
	op    opcode
	size  int // of the payload
	bytes int // of the head
}

// readHead reads a frame's head, if it is all there, and refuses what no frame of a client's may be.
func readHead(b []byte) (head, bool, error) {
	if len(b) < 2 {
		return head{}, false, nil
	}
	h := head{fin: b[0]&finBit != 0, op: opcode(b[0] & 0x0f), size: int(b[1] &^ maskBit), bytes: 2}
	switch {
	case b[0]&reserved != 0:
		return h, false, bad("reserved bits are set: no extension was agreed to")
	case b[1]&maskBit == 0:
		return h, false, bad("a client's frame must be masked")
	case h.op > opBinary && h.op < opClose || h.op > opPong:
		return h, false, bad("unknown opcode")
	case h.op >= opClose && (!h.fin || h.size > controlMost):
		return h, false, bad("a control frame is fragmented or too long")
	}
	switch {
	case h.size == 126 && len(b) >= 4:
		h.size, h.bytes = int(binary.BigEndian.Uint16(b[2:])), 4
	case h.size == 127 && len(b) >= 10:
		h.size, h.bytes = int(min(binary.BigEndian.Uint64(b[2:]), ReadMost+1)), 10 //nolint:gosec // just bounded
	case h.size >= 126:
		return h, false, nil
	}
	if h.size > ReadMost {
		return h, false, &breach{CodeTooBig, "a message is larger than 4 KiB"}
	}
	h.bytes += 4
	return h, len(b) >= h.bytes, nil
}

// allows holds a frame against the message that is under way, before its payload has come.
func (a *assembler) allows(h head) error {
	switch {
	case h.op >= opClose:
	case h.op == opMore && a.kind == 0:
		return bad("a continuation of nothing")
	case h.op != opMore && a.kind != 0:
		return bad("a message begins within another")
	case len(a.text)+h.size > ReadMost:
		return &breach{CodeTooBig, "a message is larger than 4 KiB"}
	case a.parts >= partsMost:
		return bad("too many fragments")
	}
	return nil
}

func unmask(payload, key []byte) {
	for i := range payload {
		payload[i] ^= key[i&3]
	}
}

// accept takes a whole frame.
func (a *assembler) accept(h head, payload []byte, take func(opcode, []byte) error) error {
	switch {
	case h.op == opClose:
		if err := checkClose(payload); err != nil {
			return err
		}
		return take(opClose, payload)
	case h.op > opClose:
		return take(h.op, payload)
	case h.fin && h.op != opMore:
		return give(h.op, payload, take)
	}
	if h.op != opMore {
		a.kind = h.op
	}
	a.text = append(a.text, payload...)
	a.parts++
	if !h.fin {
		return nil
	}
	kind, text := a.kind, a.text
	a.kind, a.text, a.parts = 0, nil, 0
	return give(kind, text, take)
}

// give hands a whole message on; text must be UTF-8 (section 8.1).
func give(kind opcode, payload []byte, take func(opcode, []byte) error) error {
	if kind == opText && !utf8.Valid(payload) {
		return &breach{CodeText, "text is not UTF-8"}
	}
	return take(kind, payload)
}

// checkClose refuses codes that must not stand in a frame (section 7.4) and reasons that are no text.
func checkClose(payload []byte) error {
	if len(payload) == 0 {
		return nil
	}
	if len(payload) == 1 {
		return bad("half a close code")
	}
	switch code := binary.BigEndian.Uint16(payload); {
	case code < 1000, code == 1004, code == 1005, code == 1006, code > 1014 && code < 3000, code >= 5000:
		return bad("a close code that must not be sent")
	}
	if !utf8.Valid(payload[2:]) {
		return &breach{CodeText, "a close reason is not UTF-8"}
	}
	return nil
}
