package udp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

func listen(t testing.TB, addr string) *Socket {
	t.Helper()
	s, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// sink is a socket of the standard library that hears what was sent.
func sink(t testing.TB, addr string) (*net.UDPConn, netip.AddrPort) {
	t.Helper()
	network := "udp4"
	if netip.MustParseAddrPort(addr).Addr().Is6() {
		network = "udp6"
	}
	c, err := net.ListenUDP(network, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)))
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadBuffer(4 << 20)
	t.Cleanup(func() { _ = c.Close() })
	return c, c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// hear reads n datagrams and gives their sizes; each must hold the number that fill wrote, in order.
func hear(t *testing.T, c *net.UDPConn, n int) []int {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 1<<16)
	var sizes []int
	for i := range n {
		got, err := c.Read(buf)
		if err != nil {
			t.Fatalf("datagram %d of %d: %v", i, n, err)
		}
		if at := binary.BigEndian.Uint32(buf); int(at) != i || !bytes.Equal(buf[4:got], pattern(i, got)[4:]) {
			t.Fatalf("datagram %d is number %d, %d bytes", i, at, got)
		}
		sizes = append(sizes, got)
	}
	return sizes
}

// pattern is datagram i with size bytes, at least 4.
func pattern(i, size int) []byte {
	b := bytes.Repeat([]byte{byte(i*7 + 1)}, size)
	binary.BigEndian.PutUint32(b, uint32(i))
	return b
}

func queue(b *Batch, to netip.AddrPort, i, size int) {
	copy(b.Slot(size), pattern(i, size))
	b.Queue(to, size)
}

// kinds are the ways a socket may have to work.
var kinds = []struct {
	name string
	as   func(*Socket)
}{
	{"as found", func(*Socket) {}},
	{"no gso", func(s *Socket) { s.gso.Store(false) }},
	{"no sendmmsg", func(s *Socket) { s.gso.Store(false); s.batched.Store(false) }},
}

var families = []struct{ name, listen, sink string }{
	{"v4", "127.0.0.1:0", "127.0.0.1:0"},
	{"v6", "[::1]:0", "[::1]:0"},
	{"dual to v4", "[::]:0", "127.0.0.1:0"},
	{"dual to v6", "[::]:0", "[::1]:0"},
	{"no host to v4", ":0", "127.0.0.1:0"},
}

func TestBatchKeepsOrderAndSizes(t *testing.T) {
	rows := map[string][]int{
		"one":             {1200},
		"frame":           {1200, 1200, 1200, 700},
		"short then long": {300, 1200, 1200, 60, 1200, 60, 60, 61},
		"all different":   {100, 200, 300, 400, 300, 200, 100},
		"many":            repeat(1200, 150),
		"tiny":            repeat(20, 300),
		"over the table":  alternate(100, 101, 600),
		"a large one":     {1200, 9000, 1200},
	}
	for _, f := range families {
		for _, k := range kinds {
			for name, sizes := range rows {
				t.Run(f.name+"/"+k.name+"/"+name, func(t *testing.T) {
					c, to := sink(t, f.sink)
					s := listen(t, f.listen)
					k.as(s)
					b := s.NewBatch(32 << 10)
					for i, n := range sizes {
						queue(b, to, i, n)
					}
					b.Flush()
					if got := hear(t, c, len(sizes)); fmt.Sprint(got) != fmt.Sprint(sizes) {
						t.Errorf("sizes %v, want %v", got, sizes)
					}
					if n := s.Counters(); n.Sent != uint64(len(sizes)) || n.Failed+n.Dropped != 0 {
						t.Errorf("%+v", n)
					}
				})
			}
		}
	}
}

func repeat(size, n int) (sizes []int) {
	for range n {
		sizes = append(sizes, size)
	}
	return sizes
}

func alternate(a, b, n int) (sizes []int) {
	for range n / 2 {
		sizes = append(sizes, a, b)
	}
	return sizes
}

func TestSlots(t *testing.T) {
	c, to := sink(t, "127.0.0.1:0")
	s := listen(t, "127.0.0.1:0")
	b := s.NewBatch(100)
	copy(b.Slot(50), "given up")
	queue(b, to, 0, 60)
	queue(b, to, 1, 60) // over the arena: the first leaves
	if got := s.Counters().Sent; got != 1 {
		t.Fatalf("sent %d when the arena was full, want 1", got)
	}
	queue(b, to, 2, 500) // longer than the arena
	slot := b.Slot(40)
	if len(slot) != 40 || cap(slot) != 40 {
		t.Fatalf("slot of %d, capacity %d", len(slot), cap(slot))
	}
	copy(slot, pattern(3, 30))
	b.Queue(to, 30) // less than the slot
	b.Queue(to, 0)  // nothing
	b.Flush()
	b.Flush() // nothing
	if got := fmt.Sprint(hear(t, c, 4)); got != "[60 60 500 30]" {
		t.Error(got)
	}
}

func TestReading(t *testing.T) {
	for _, f := range families {
		for _, k := range kinds {
			t.Run(f.name+"/"+k.name, func(t *testing.T) {
				s := listen(t, f.listen)
				k.as(s)
				c, peer := sink(t, f.sink)
				at := s.LocalAddr().(*net.UDPAddr).AddrPort().Port()
				to := netip.AddrPortFrom(peer.Addr(), at)
				var taken []string
				s.Divert(func(b []byte, from netip.AddrPort) bool {
					if from != peer {
						t.Errorf("from %v, want %v", from, peer)
					}
					if b[0] != 'm' {
						return false
					}
					taken = append(taken, string(b))
					return true
				})
				for i := range 40 { // more than one recvmmsg takes
					for _, kind := range "mx" {
						if _, err := c.WriteToUDPAddrPort(fmt.Appendf(nil, "%c%d", kind, i), to); err != nil {
							t.Fatal(err)
						}
					}
				}
				buf := make([]byte, 100)
				_ = s.SetReadDeadline(time.Now().Add(10 * time.Second))
				for i := range 40 {
					n, from, err := s.ReadFromAddrPort(buf)
					if err != nil || string(buf[:n]) != fmt.Sprintf("x%d", i) || from != peer {
						t.Fatalf("%q from %v, %v", buf[:n], from, err)
					}
				}
				if len(taken) != 40 || taken[0] != "m0" || taken[39] != "m39" {
					t.Errorf("diverted %q", taken)
				}
				if n := s.Counters(); n.Received != 80 || n.ReadCalls == 0 {
					t.Errorf("%+v", n)
				}
			})
		}
	}
}

func TestPacketConn(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			a, b := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
			k.as(a)
			k.as(b)
			var _ net.PacketConn = a
			if _, err := a.WriteTo([]byte("hello"), b.LocalAddr()); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 3)
			n, from, err := b.ReadFrom(buf)
			if err != nil || string(buf[:n]) != "hel" || from.String() != a.LocalAddr().String() {
				t.Errorf("%q %v %v", buf[:n], from, err)
			}
			if _, err := a.WriteTo(nil, &net.TCPAddr{}); err == nil {
				t.Error("a TCP address was taken")
			}
			_ = b.SetReadDeadline(time.Unix(1, 0))
			if _, _, err := b.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("after the deadline: %v", err)
			}
		})
	}
}

func TestClosed(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0")
			k.as(s)
			b := s.NewBatch(4096)
			read := make(chan error)
			go func() {
				_, _, err := s.ReadFromAddrPort(make([]byte, 10))
				read <- err
			}()
			to := netip.MustParseAddrPort("127.0.0.1:9")
			queue(b, to, 0, 100)
			queue(b, to, 1, 100)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := <-read; !errors.Is(err, net.ErrClosed) {
				t.Errorf("reading: %v", err)
			}
			b.Flush()
			if n := s.Counters(); n.Failed != 2 || n.Sent != 0 {
				t.Errorf("%+v", n)
			}
		})
	}
	if s, err := Listen("no such address"); err == nil {
		_ = s.Close()
		t.Error("listens on nonsense")
	}
}

func TestBatchesSideBySide(t *testing.T) {
	s := listen(t, ":0")
	var wg sync.WaitGroup
	for range 4 {
		c, to := sink(t, "127.0.0.1:0")
		wg.Go(func() {
			b := s.NewBatch(16 << 10)
			for i := range 300 {
				queue(b, to, i, 200+i%3)
				if i%10 == 9 {
					b.Flush()
				}
			}
		})
		wg.Go(func() { hear(t, c, 300) })
	}
	wg.Wait()
	if n := s.Counters(); n.Sent != 1200 {
		t.Errorf("%+v", n)
	}
}
