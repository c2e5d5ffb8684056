package stream

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// counter is a viewer's connection that only counts.
type counter struct{ packets, bytes int }

func (c *counter) WriteRTP(_ *rtp.Header, payload []byte) (int, error) {
	c.packets++
	c.bytes += len(payload)
	return len(payload), nil
}

var h264 = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}

// audience is a layer with n viewers that have begun to receive.
func audience(n int) (*layer, *counter, []byte) {
	l := newLayer("", h264, &senderClock{rate: 90000, offset: &wallOffset{}}, func() {}, &traffic{})
	c := &counter{}
	for range n {
		k := &sink{kind: webrtc.RTPCodecTypeVideo, traffic: l.traffic, out: c, ssrc: 1, codecs: []webrtc.RTPCodecParameters{{RTPCodecCapability: h264, PayloadType: 102}}}
		k.attach(l, 1)
	}
	raw := make([]byte, 1200)
	raw[0], raw[1], raw[12] = 0x80, 96, 0x65 // a whole IDR slice
	l.write(raw, 2)
	raw[12] = 0x41
	return l, c, raw
}

// next makes raw the following packet.
func next(raw []byte, i int) { binary.BigEndian.PutUint16(raw[2:], uint16(i)) }

func TestForwardAllocatesNothing(t *testing.T) {
	l, c, raw := audience(10)
	before, i := c.packets, 0
	allocs := testing.AllocsPerRun(1000, func() {
		i++
		next(raw, i)
		l.write(raw, int64(i)*1e6)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per packet", allocs)
	}
	if got := c.packets - before; got != 10*i {
		t.Errorf("%d of %d packets were forwarded", got, 10*i)
	}
}

// BenchmarkForward is the way of a packet from the publisher's reader to n viewers' connections, which only count: what
// forwarding itself costs, without encryption and system calls.
func BenchmarkForward(b *testing.B) {
	for _, n := range []int{1, 50, 500} {
		b.Run(fmt.Sprint(n, "_viewers"), func(b *testing.B) {
			l, _, raw := audience(n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				next(raw, i)
				l.write(raw, int64(i)*1e6)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/packet")
		})
	}
}

// BenchmarkUDPWrite is the baseline of BenchmarkForward: one bare UDP write of such a packet.
func BenchmarkUDPWrite(b *testing.B) {
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}
	sink, err := net.ListenUDP("udp4", local)
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	conn, err := net.ListenUDP("udp4", local)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	packet, to := make([]byte, 1200), sink.LocalAddr().(*net.UDPAddr).AddrPort()
	for b.Loop() {
		if _, err := conn.WriteToUDPAddrPort(packet, to); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/packet")
}
