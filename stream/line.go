package stream

import (
	"encoding/binary"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/stream/light"
	"github.com/duoduopin/duoduopin/stream/udp"
)

// outgoing is one RTP packet on its way to a viewer. payload is not kept.
type outgoing struct {
	pt      uint8
	marker  bool
	ssrc    uint32
	seq     uint64 // of the stream sent to this viewer, roll-overs counted in: the low 16 bits go out, the rest is SRTP's
	ts      uint32
	prefix  []byte // before the payload: the original number of a retransmission (RFC 4588)
	payload []byte
	wide    uint16 // transport-wide number; sent if the line has wideID
}

// line is a viewer's transport: a light one, or a PeerConnection for what a light one can't do. rtp is the hot path and is
// called under the viewer's lock.
type line interface {
	// rtp sends a packet, or queues it in b; it gives the bytes on the wire, 0 if nothing can be sent yet.
	rtp(k *sink, o *outgoing, b *udp.Batch) int
	rtcp([]rtcp.Packet)
	// wide tells whether packets carry a transport-wide number.
	wide() bool
	transport() string // "udp", "tcp", "pc"; empty while there is no way
	family() string    // "ipv4", "ipv6"
}

// lightLine writes packets straight into the batch and encrypts them there: no copy besides, no allocation.
type lightLine struct {
	conn   *light.Conn
	wideID uint8 // id of the transport-wide header extension, 0 = not negotiated
	tcp    []byte
}

// headerSize of the RTP header, and of the extension with the transport-wide number (RFC 8285, section 4.2).
const (
	headerSize    = 12
	extensionSize = 8
)

func (l *lightLine) rtp(_ *sink, o *outgoing, b *udp.Batch) int {
	path := l.conn.Path()
	if path == nil {
		return 0
	}
	header := headerSize
	if l.wideID != 0 {
		header += extensionSize
	}
	size := header + len(o.prefix) + len(o.payload)
	room := size + l.conn.Overhead()
	pkt := l.space(path, b, room)
	l.head(pkt, o)
	copy(pkt[header+copy(pkt[header:], o.prefix):], o.payload)
	n, err := l.conn.SealRTP(pkt[:size:room], header, uint32(o.seq>>16)) //nolint:gosec // RFC 3711, section 3.3.1: 32 bits
	switch {
	case err != nil:
		return 0
	case path.Stream != nil:
		_, _ = path.Stream.Write(pkt[:n])
	default:
		b.Queue(path.To, n)
	}
	return n
}

func (l *lightLine) space(path *light.Path, b *udp.Batch, room int) []byte {
	if path.Stream == nil {
		return b.Slot(room)
	}
	if cap(l.tcp) < room {
		l.tcp = make([]byte, 2*maxPayload)
	}
	return l.tcp[:room]
}

// head writes the RTP header (RFC 3550, section 5.1).
func (l *lightLine) head(pkt []byte, o *outgoing) {
	pkt[0], pkt[1] = 0x80, o.pt
	if o.marker {
		pkt[1] |= 0x80
	}
	binary.BigEndian.PutUint16(pkt[2:], uint16(o.seq)) //nolint:gosec // the cut is the point
	binary.BigEndian.PutUint32(pkt[4:], o.ts)
	binary.BigEndian.PutUint32(pkt[8:], o.ssrc)
	if l.wideID == 0 {
		return
	}
	pkt[0] |= 0x10
	binary.BigEndian.PutUint32(pkt[12:], 0xbede0001)
	pkt[16], pkt[17], pkt[18], pkt[19] = l.wideID<<4|1, byte(o.wide>>8), byte(o.wide), 0
}

func (l *lightLine) rtcp(packets []rtcp.Packet) {
	if raw, err := rtcp.Marshal(packets); err == nil {
		_ = l.conn.SendRTCP(raw)
	}
}

func (l *lightLine) wide() bool { return l.wideID != 0 }

func (l *lightLine) transport() string {
	switch p := l.conn.Path(); {
	case p == nil:
		return ""
	case p.Stream != nil:
		return "tcp"
	}
	return "udp"
}

func (l *lightLine) family() string {
	if p := l.conn.Path(); p != nil && p.To.Addr().Is6() && !p.To.Addr().Is4In6() {
		return "ipv6"
	}
	return "ipv4"
}

// pcLine is a PeerConnection's: each packet is one write through pion's stream of that m-line.
type pcLine struct {
	pc     *webrtc.PeerConnection
	header rtp.Header
	joined [maxPayload + 2]byte
}

func (l *pcLine) rtp(k *sink, o *outgoing, _ *udp.Batch) int {
	if k.stream == nil {
		return 0
	}
	h := &l.header
	h.Version, h.Marker, h.PayloadType, h.SSRC, h.Timestamp = 2, o.marker, o.pt, o.ssrc, o.ts
	h.SequenceNumber = uint16(o.seq) //nolint:gosec // the cut is the point
	body := o.payload
	if len(o.prefix) > 0 {
		n := copy(l.joined[:], o.prefix)
		body = l.joined[:n+copy(l.joined[n:], o.payload)]
	}
	n, err := k.stream.WriteRTP(h, body)
	if err != nil {
		return headerSize + len(body) // lost on the way, like any other
	}
	return n
}

func (l *pcLine) rtcp(packets []rtcp.Packet) { _ = l.pc.WriteRTCP(packets) }

func (*pcLine) wide() bool { return false }

func (*pcLine) transport() string { return "pc" }

func (*pcLine) family() string { return "" }
