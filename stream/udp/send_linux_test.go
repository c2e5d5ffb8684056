package udp

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

func TestMergesAreCounted(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	if !s.GSO() || !s.Batched() {
		t.Fatalf("this kernel has UDP_SEGMENT and sendmmsg: gso %v, batched %v", s.GSO(), s.Batched())
	}
	b := s.NewBatch(1 << 20)
	for range 10 { // viewers
		c, to := sink(t, "127.0.0.1:0")
		defer hear(t, c, 4)
		for i, n := range []int{1200, 1200, 1200, 500} {
			queue(b, to, i, n)
		}
	}
	b.Flush()
	if n := s.Counters(); n.Sent != 40 || n.Merged != 30 || n.SendCalls != 1 {
		t.Errorf("%+v", n)
	}
}

// played is a kernel that answers from a script, and remembers the datagrams that it took.
type played struct {
	answers []answer // one for each call; then everything is taken
	calls   int
	waits   []time.Duration
	taken   []string
}

type answer struct {
	rows  int // taken at most
	errno syscall.Errno
}

func (p *played) under(s *Socket) *played {
	s.system.sendmmsg = p.sendmmsg
	s.system.wait = func(_ uintptr, d time.Duration) time.Duration {
		p.waits = append(p.waits, d)
		return 2 * time.Millisecond
	}
	return p
}

func (p *played) sendmmsg(_ uintptr, rows []unix.Mmsghdr) (int, syscall.Errno) {
	a := answer{rows: len(rows)}
	if p.calls < len(p.answers) {
		a = p.answers[p.calls]
	}
	p.calls++
	if a.errno != 0 {
		return 0, a.errno
	}
	n := min(a.rows, len(rows))
	for i := range rows[:n] {
		p.take(&rows[i].Hdr)
	}
	return n, 0
}

// take cuts a message into its datagrams, as the kernel would.
func (p *played) take(h *unix.Msghdr) {
	to := getName((*sockaddr)(unsafe.Pointer(h.Name)))
	b := unsafe.Slice(h.Iov.Base, int(h.Iov.Len))
	segment := len(b)
	if h.Controllen > 0 {
		c := (*unix.Cmsghdr)(unsafe.Pointer(h.Control))
		if c.Level != unix.SOL_UDP || c.Type != unix.UDP_SEGMENT {
			panic("an unknown control message")
		}
		segment = int(*(*uint16)(unsafe.Add(unsafe.Pointer(h.Control), unix.CmsgLen(0))))
		if (len(b)+segment-1)/segment > maxSegments || len(b) > maxMessage {
			panic("a message over the kernel's limits")
		}
	}
	for at := 0; at < len(b); at += segment {
		d := b[at:min(at+segment, len(b))]
		p.taken = append(p.taken, fmt.Sprintf("%d:%d/%d", to.Port(), binary.BigEndian.Uint32(d), len(d)))
	}
}

func TestWhatTheKernelRefuses(t *testing.T) {
	a, b := netip.MustParseAddrPort("127.0.0.1:1"), netip.MustParseAddrPort("127.0.0.1:2")
	const all = "[1:0/100 1:1/100 1:2/60 2:3/100 2:4/100]"
	rows := []struct {
		name    string
		answers []answer
		taken   string
		want    Counters
		gso     bool
		batched bool
	}{
		{"nothing", nil, all, Counters{Sent: 5, Merged: 3, SendCalls: 1}, true, true},
		{"partial", []answer{{rows: 1}}, all, Counters{Sent: 5, Merged: 3, SendCalls: 2}, true, true},
		{"interrupted", []answer{{errno: unix.EINTR}}, all, Counters{Sent: 5, Merged: 3, SendCalls: 2}, true, true},
		{"full for a moment", []answer{{errno: unix.EAGAIN}, {errno: unix.EAGAIN}}, all, Counters{Sent: 5, Merged: 3, SendCalls: 3}, true, true},
		{
			"full for long",
			[]answer{{rows: 1}, {errno: unix.EAGAIN}, {errno: unix.EAGAIN}, {errno: unix.EAGAIN}, {errno: unix.EAGAIN}},
			"[1:0/100 1:1/100 1:2/60]",
			Counters{Sent: 3, Merged: 2, Dropped: 2, SendCalls: 5},
			true, true,
		},
		{"a destination without a way", []answer{{errno: unix.ENETUNREACH}}, "[2:3/100 2:4/100]", Counters{Sent: 2, Failed: 3, Merged: 1, SendCalls: 2}, true, true},
		{"a firewall", []answer{{rows: 1}, {errno: unix.EPERM}}, "[1:0/100 1:1/100 1:2/60]", Counters{Sent: 3, Failed: 2, Merged: 2, SendCalls: 2}, true, true},
		{"no segments that way", []answer{{errno: unix.EIO}}, all, Counters{Sent: 5, Merged: 1, SendCalls: 3}, true, true},
		{"a small MTU that way", []answer{{errno: unix.EMSGSIZE}}, all, Counters{Sent: 5, Merged: 1, SendCalls: 3}, true, true},
		{
			"refused one by one too",
			[]answer{{errno: unix.EINVAL}, {errno: unix.EINVAL}, {rows: 9}},
			"[1:1/100 1:2/60 2:3/100 2:4/100]",
			Counters{Sent: 4, Failed: 1, Merged: 1, SendCalls: 4},
			true, true,
		},
		{"the call is gone", []answer{{errno: unix.ENOSYS}}, "[]", Counters{Dropped: 5, SendCalls: 1}, false, false},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s := listen(t, "127.0.0.1:0")
			p := (&played{answers: row.answers}).under(s)
			out := s.NewBatch(4096)
			for i, n := range []int{100, 100, 60} {
				queue(out, a, i, n)
			}
			queue(out, b, 3, 100)
			queue(out, b, 4, 100)
			out.Flush()
			if got := fmt.Sprint(p.taken); got != row.taken {
				t.Errorf("sent %s, want %s", got, row.taken)
			}
			if got := s.Counters(); got != row.want {
				t.Errorf("%+v, want %+v", got, row.want)
			}
			if s.GSO() != row.gso || s.Batched() != row.batched {
				t.Errorf("gso %v, batched %v", s.GSO(), s.Batched())
			}
		})
	}
}

func TestWaitingIsBounded(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	p := (&played{answers: []answer{{errno: unix.EAGAIN}, {errno: unix.EAGAIN}, {errno: unix.EAGAIN}, {errno: unix.EAGAIN}}}).under(s)
	b := s.NewBatch(100)
	queue(b, netip.MustParseAddrPort("127.0.0.1:1"), 0, 50)
	b.Flush()
	if got := fmt.Sprint(p.waits); got != "[5ms 3ms 1ms]" {
		t.Errorf("waited %s", got)
	}
}

// A way out that takes no segments at all ends GSO; one that takes some keeps it.
func TestGSOEndsAfterRefusalsInARow(t *testing.T) {
	for _, oneTaken := range []bool{false, true} {
		s := listen(t, "127.0.0.1:0")
		var answers []answer
		for i := range refusals {
			answers = append(answers, answer{errno: unix.EIO}, answer{rows: 2}) // refused, then both one by one
			if oneTaken && i == refusals/2 {
				answers = append(answers, answer{rows: 1})
			}
		}
		p := (&played{answers: answers}).under(s)
		b := s.NewBatch(4096)
		for i := 0; p.calls < len(answers); i += 2 {
			queue(b, netip.MustParseAddrPort("127.0.0.1:1"), i, 100)
			queue(b, netip.MustParseAddrPort("127.0.0.1:1"), i+1, 100)
			b.Flush()
		}
		if s.GSO() != oneTaken {
			t.Errorf("one taken in between %v: gso %v", oneTaken, s.GSO())
		}
	}
}

func TestAddresses(t *testing.T) {
	lo, err := net.InterfaceByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	index := strconv.Itoa(lo.Index)
	rows := []struct {
		six      bool
		to, back string // back "": refused
	}{
		{false, "192.0.2.1:5000", "192.0.2.1:5000"},
		{false, "[::ffff:192.0.2.1]:5000", "192.0.2.1:5000"},
		{false, "[2001:db8::1]:5000", ""},
		{true, "192.0.2.1:5000", "192.0.2.1:5000"},
		{true, "[2001:db8::1]:65535", "[2001:db8::1]:65535"},
		{true, "[fe80::1%7]:1", "[fe80::1%7]:1"},
		{true, "[fe80::1%lo]:1", "[fe80::1%" + index + "]:1"},
		{true, "[fe80::1%nosuch0]:1", ""},
	}
	for _, row := range rows {
		var name sockaddr
		_, ok := setName(&name, row.six, netip.MustParseAddrPort(row.to))
		if ok != (row.back != "") || ok && getName(&name).String() != row.back {
			t.Errorf("%s, six %v: %v %v", row.to, row.six, ok, getName(&name))
		}
	}
	if _, ok := setName(new(sockaddr), true, netip.AddrPort{}); ok {
		t.Error("no address was taken for one")
	}
	if got := getName(&sockaddr{Family: unix.AF_UNIX}); got.IsValid() {
		t.Errorf("an unknown family gave %v", got)
	}
}

// An address that the socket can't reach costs only its own datagrams.
func TestWrongFamilyIsDropped(t *testing.T) {
	s := listen(t, "127.0.0.1:0")
	c, to := sink(t, "127.0.0.1:0")
	b := s.NewBatch(4096)
	queue(b, netip.MustParseAddrPort("[::1]:9"), 7, 100)
	queue(b, to, 0, 100)
	b.Flush()
	hear(t, c, 1)
	if n := s.Counters(); n.Sent != 1 || n.Failed != 1 {
		t.Errorf("%+v", n)
	}
}

func TestAllocatesNothing(t *testing.T) {
	for _, family := range families {
		s, peer := listen(t, family.listen), listen(t, family.listen)
		to := peer.LocalAddr().(*net.UDPAddr).AddrPort()
		to = netip.AddrPortFrom(netip.MustParseAddrPort(family.sink).Addr(), to.Port())
		b := s.NewBatch(1 << 20)
		var got int
		peer.Divert(func([]byte, netip.AddrPort) bool { got++; return got%7 != 0 })
		buf := make([]byte, 1500)
		if n := testing.AllocsPerRun(100, func() {
			for i := range 7 {
				b.Slot(1200)
				b.Queue(to, 1200-i/6)
			}
			b.Flush()
			if _, _, err := peer.ReadFromAddrPort(buf); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations for 7 datagrams sent and read", family.name, n)
		}
	}
}

// FuzzBatch: whatever is queued and whatever the kernel answers, each datagram is accounted for once, and those that are
// sent keep their order by destination.
func FuzzBatch(f *testing.F) {
	f.Add([]byte{0, 100, 0, 100, 0, 60, 1, 100, 255, 0}, []byte{0, 1})
	f.Add([]byte{0, 10, 1, 10, 0, 11, 1, 9}, []byte{5, 5, 5, 5, 11, 90})
	f.Fuzz(func(t *testing.T, ops, script []byte) {
		s, err := Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		errnos := []syscall.Errno{0, unix.EIO, unix.EAGAIN, unix.EPERM, unix.EINTR, unix.EINVAL, unix.EMSGSIZE, unix.ENOSYS}
		p := (&played{}).under(s)
		for _, c := range script {
			p.answers = append(p.answers, answer{rows: 1 + int(c>>3), errno: errnos[c&7]})
		}
		b := s.NewBatch(2000)
		queued := 0
		for ; len(ops) >= 2 && s.Batched(); ops = ops[2:] {
			if ops[0] == 255 {
				b.Flush()
				continue
			}
			queue(b, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 1+uint16(ops[0]%4)), queued, 4+int(ops[1]))
			queued++
		}
		if s.Batched() {
			b.Flush()
		} else {
			queued -= pending(b)
		}
		n := s.Counters()
		if n.Sent+n.Failed+n.Dropped != uint64(queued) || n.Sent != uint64(len(p.taken)) {
			t.Fatalf("%d queued, %d taken, %+v", queued, len(p.taken), n)
		}
		last := map[int]int{}
		for _, d := range p.taken {
			var to, i, size int
			if _, err := fmt.Sscanf(d, "%d:%d/%d", &to, &i, &size); err != nil {
				t.Fatal(err)
			}
			if before, ok := last[to]; ok && i <= before {
				t.Fatalf("out of order: %v", p.taken)
			}
			last[to] = i
		}
	})
}

func pending(b *Batch) (n int) {
	for _, m := range b.messages {
		n += m.segments
	}
	return n
}

// BenchmarkSend gives the time for one datagram of 1,200 bytes to 30 destinations on loopback.
func BenchmarkSend(b *testing.B) {
	rows := []struct {
		name string
		each int // datagrams to one destination
		as   func(*Socket)
	}{
		{"WriteTo", 3, func(s *Socket) { s.gso.Store(false); s.batched.Store(false) }},
		{"sendmmsg", 3, func(s *Socket) { s.gso.Store(false) }},
		{"sendmmsg+GSO/3", 3, func(*Socket) {}},
		{"sendmmsg+GSO/10", 10, func(*Socket) {}},
	}
	for _, row := range rows {
		b.Run(row.name, func(b *testing.B) {
			s := listen(b, "127.0.0.1:0")
			row.as(s)
			var to []netip.AddrPort
			for range 30 { // their buffers fill and then the kernel drops: it is the sender that is measured
				_, a := sink(b, "127.0.0.1:0")
				to = append(to, a)
			}
			out := s.NewBatch(1 << 20)
			b.ReportAllocs()
			for n := 0; n < b.N; {
				for _, a := range to {
					for range row.each {
						out.Slot(1200)
						out.Queue(a, 1200)
						n++
					}
				}
				out.Flush()
			}
		})
	}
}
