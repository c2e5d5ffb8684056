package stream

import (
	"encoding/binary"
	"fmt"
	"net"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/stream/pace"
	"github.com/duoduopin/duoduopin/stream/udp"
)

// counter is a viewer's line that only counts.
type counter struct{ packets, bytes int }

func (c *counter) rtp(_ *sink, o *outgoing, _ *udp.Batch) int {
	c.packets++
	c.bytes += len(o.payload)
	return len(o.payload)
}

func (*counter) rtcp([]rtcp.Packet) {}
func (*counter) wide() bool         { return true }
func (*counter) transport() string  { return "udp" }
func (*counter) family() string     { return "ipv4" }

var codecH264 = webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeH264, ClockRate: 90000}

// audience is a layer with n viewers that have begun to receive, and the fan-out's only worker, which the test drives.
func audience(t testing.TB, n int) (*layer, *worker, *counter, []byte) {
	t.Helper()
	socket, err := udp.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	count := &traffic{}
	fan := newFanout(socket, count)
	fan.workers = fan.workers[:1]
	l := newLayer(nil, "", codecH264, &senderClock{rate: 90000, offset: &wallOffset{}}, func() {}, fan, count)
	c := &counter{}
	for range n {
		v := &viewer{line: c, traffic: count, estimate: pace.New(startEstimate, 1)}
		k := &sink{v: v, kind: webrtc.RTPCodecTypeVideo}
		k.negotiated([]webrtc.RTPCodecParameters{{RTPCodecCapability: codecH264, PayloadType: 102}}, 1, 0)
		k.attach(l, 1)
	}
	raw := make([]byte, 1200)
	raw[0], raw[1], raw[12] = 0x80, 96|0x80, 0x65 // a whole IDR slice
	l.write(raw, 2)
	pump(fan.workers[0])
	raw[12] = 0x41
	return l, fan.workers[0], c, raw
}

// pump does what the worker has to do.
func pump(w *worker) {
	var j job
	for w.count > 0 && w.next(&j) {
		w.send(&j, 0)
	}
}

// frameOf writes the i-th frame, of three packets.
func frameOf(l *layer, raw []byte, i int) {
	for p := range 3 {
		raw[1] = 96
		if p == 2 {
			raw[1] |= 0x80
		}
		binary.BigEndian.PutUint16(raw[2:], uint16(3*i+p-2))
		binary.BigEndian.PutUint32(raw[4:], uint32(i)*3000)
		l.write(raw, int64(i)*1e6)
	}
}

func TestForwardAllocatesNothing(t *testing.T) {
	l, w, c, raw := audience(t, 10)
	before, i := c.packets, 0
	allocs := testing.AllocsPerRun(1000, func() {
		i++
		frameOf(l, raw, i)
		pump(w)
	})
	if allocs != 0 {
		t.Errorf("%v allocations per frame", allocs)
	}
	if got := c.packets - before; got != 30*i {
		t.Errorf("%d of %d packets were forwarded", got, 30*i)
	}
}

// BenchmarkForward is the way of a packet from the publisher's reader to n viewers' lines, which only count: what
// forwarding itself costs, without encryption and system calls.
func BenchmarkForward(b *testing.B) {
	for _, n := range []int{1, 50, 500} {
		b.Run(fmt.Sprint(n, "_viewers"), func(b *testing.B) {
			l, w, _, raw := audience(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i++
				frameOf(l, raw, i)
				pump(w)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*3), "ns/packet")
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
