package stream

import "encoding/binary"

// maxPayload is the largest RTP payload that is kept and forwarded; pion reads at most 1,460 bytes of a datagram.
const maxPayload = 1460

// packet is what forwarding needs to know of one RTP packet (RFC 3550, section 5.1). payload lies in the buffer that was
// parsed.
type packet struct {
	seq         uint16
	ts          uint32
	payloadType uint8
	marker      bool
	payload     []byte
}

// parsePacket reads one RTP packet without copying or allocating. Header extensions are left out on purpose: their ids
// belong to the publisher's connection and mean something else on a viewer's.
func parsePacket(b []byte) (packet, bool) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return packet{}, false
	}
	p := packet{
		seq:         binary.BigEndian.Uint16(b[2:]),
		ts:          binary.BigEndian.Uint32(b[4:]),
		payloadType: b[1] & 0x7f,
		marker:      b[1]&0x80 != 0,
	}
	start, end := 12+4*int(b[0]&0x0f), len(b)
	if b[0]&0x10 != 0 {
		if end < start+4 {
			return packet{}, false
		}
		start += 4 + 4*int(binary.BigEndian.Uint16(b[start+2:]))
	}
	if start > end {
		return packet{}, false
	}
	if b[0]&0x20 != 0 { // padding, its length in the last byte
		if start == end {
			return packet{}, false
		}
		pad := int(b[end-1])
		if pad == 0 || start+pad > end {
			return packet{}, false
		}
		end -= pad
	}
	if end-start > maxPayload {
		return packet{}, false
	}
	p.payload = b[start:end]
	return p, true
}

// extension finds a one-byte header extension (RFC 8285, section 4.2) in an RTP packet.
func extension(b []byte, id uint8) ([]byte, bool) {
	if len(b) < headerSize || b[0]&0x10 == 0 {
		return nil, false
	}
	at := headerSize + 4*int(b[0]&0x0f)
	if len(b) < at+4 || binary.BigEndian.Uint16(b[at:]) != 0xbede {
		return nil, false
	}
	end := at + 4 + 4*int(binary.BigEndian.Uint16(b[at+2:]))
	if end > len(b) {
		return nil, false
	}
	for at += 4; at < end; {
		if b[at] == 0 { // padding
			at++
			continue
		}
		size := int(b[at]&0x0f) + 1
		if b[at]>>4 == 15 || at+1+size > end {
			return nil, false
		}
		if b[at]>>4 == id {
			return b[at+1 : at+1+size], true
		}
		at += 1 + size
	}
	return nil, false
}
