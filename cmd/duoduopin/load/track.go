package load

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/pion/rtcp"
)

// rtpHeader is what a viewer reads of every packet, all of it in the clear.
type rtpHeader struct {
	pt     uint8
	marker bool
	seq    uint16
	time   uint32
	ssrc   uint32
	size   int // bytes with extensions
	twcc   uint16
	hasCC  bool // twcc is there
}

var errShort = errors.New("not a whole RTP header")

// parseRTP reads a header (RFC 3550, section 5.1; RFC 8285) and the transport-wide number in extension id, if not 0.
func parseRTP(b []byte, id uint8) (rtpHeader, error) {
	if len(b) < 12 || b[0]>>6 != 2 {
		return rtpHeader{}, errShort
	}
	h := rtpHeader{
		pt: b[1] & 0x7f, marker: b[1]&0x80 != 0, seq: binary.BigEndian.Uint16(b[2:]), time: binary.BigEndian.Uint32(b[4:]),
		ssrc: binary.BigEndian.Uint32(b[8:]), size: 12 + 4*int(b[0]&0x0f),
	}
	if b[0]&0x10 == 0 {
		if len(b) < h.size {
			return h, errShort
		}
		return h, nil
	}
	if len(b) < h.size+4 {
		return h, errShort
	}
	profile, words := binary.BigEndian.Uint16(b[h.size:]), int(binary.BigEndian.Uint16(b[h.size+2:]))
	ext := b[h.size+4:]
	h.size += 4 + 4*words
	if len(ext) < 4*words {
		return h, errShort
	}
	if profile == 0xBEDE && id != 0 {
		h.twcc, h.hasCC = oneByteExtension(ext[:4*words], id)
	}
	return h, nil
}

// oneByteExtension finds a 16-bit element (RFC 8285, section 4.2).
func oneByteExtension(ext []byte, id uint8) (uint16, bool) {
	for len(ext) > 0 {
		if ext[0] == 0 { // padding
			ext = ext[1:]
			continue
		}
		n := int(ext[0]&0x0f) + 1
		if ext[0]>>4 == 15 || len(ext) < 1+n {
			return 0, false
		}
		if ext[0]>>4 == id && n == 2 {
			return binary.BigEndian.Uint16(ext[1:]), true
		}
		ext = ext[1+n:]
	}
	return 0, false
}

// track counts one SSRC as a receiver does (RFC 3550, appendix A.1 and A.3).
type track struct {
	ssrc        uint32
	pt          uint8
	first, last int64 // extended sequence numbers
	received    int64
	reported    struct{ expected, received int64 } // at the latest report
	report      struct {                           // the sender report that came last
		middle uint32 // of its NTP time
		at     time.Time
	}
}

func (t *track) take(seq uint16) {
	if t.received == 0 {
		t.first, t.last = int64(seq), int64(seq)
	} else {
		t.last += max(0, int64(int16(seq-uint16(t.last)))) //nolint:gosec // modulo 65,536 on purpose
	}
	t.received++
}

func (t *track) expected() int64 {
	if t.received == 0 {
		return 0
	}
	return t.last - t.first + 1
}

// receptionReport tells the sender of what came since the latest one.
func (t *track) receptionReport(now time.Time) rtcp.ReceptionReport {
	expected, received := t.expected()-t.reported.expected, t.received-t.reported.received
	t.reported.expected, t.reported.received = t.expected(), t.received
	r := rtcp.ReceptionReport{
		SSRC:               t.ssrc,
		TotalLost:          uint32(max(0, t.expected()-t.received)), //nolint:gosec // positive and small
		LastSequenceNumber: uint32(t.last),                          //nolint:gosec // its low 32 bits are meant
		LastSenderReport:   t.report.middle,
	}
	if expected > 0 && expected > received {
		r.FractionLost = uint8(min(255, (expected-received)*256/expected)) //nolint:gosec // at most 255
	}
	if !t.report.at.IsZero() {
		r.Delay = uint32(now.Sub(t.report.at).Seconds() * 65536) //nolint:gosec // seconds
	}
	return r
}

// picture looks for a whole key frame in a stream of H.264 packets (RFC 6184).
type picture struct {
	collecting bool
	time       uint32
	next       uint16
}

// take gives true when the packet ends a key frame of which no packet was missing.
func (p *picture) take(h rtpHeader, payload []byte) bool {
	if p.collecting && (h.time != p.time || h.seq != p.next) {
		p.collecting = false
	}
	if !p.collecting {
		if !startsKey(payload) {
			return false
		}
		p.collecting, p.time = true, h.time
	}
	p.next = h.seq + 1
	return h.marker
}

func startsKey(p []byte) bool {
	if len(p) < 2 {
		return false
	}
	switch p[0] & 0x1f {
	case 5, 7: // IDR picture, sequence parameter set
		return true
	case 24: // STAP-A
		return len(p) > 3 && (p[3]&0x1f == 7 || p[3]&0x1f == 5)
	case 28: // FU-A, first piece
		return p[1]&0x80 != 0 && p[1]&0x1f == 5
	}
	return false
}
