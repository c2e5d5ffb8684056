package light

import (
	"net/netip"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

// 300 viewers come and go; nothing stays.
func TestComingAndGoingLeavesNothing(t *testing.T) {
	w := newNetwork(t)
	cycle := func(i int) {
		p := w.puppet()
		c := p.join(at(uint16(1 + i%1000)))
		if i%2 == 0 {
			p.conn.Close()
		} else {
			_ = c.conn.Close()
		}
		await(t, p.down, "end")
		_ = c.conn.Close()
	}
	cycle(0)
	goroutines := runtime.NumGoroutine()
	for i := range 300 {
		cycle(i)
	}
	eventually(t, "goroutines back at the baseline", func() bool { return runtime.NumGoroutine() <= goroutines })
	if n := len(w.server.conns) + len(w.server.paths) + len(w.server.ufrags); n != 0 {
		t.Errorf("%d entries are left", n)
	}
}

// A full queue of DTLS records drops.
func TestRecordsAreBounded(t *testing.T) {
	r := newRecords(nil)
	for i := range maxRecords + 3 {
		if r.push([]byte{22}) != (i < maxRecords) {
			t.Fatalf("record %d", i)
		}
	}
	_ = r.Close()
	if r.push([]byte{22}) {
		t.Error("taken after Close")
	}
}

// FuzzHandle sends anything, from an address that is known, with a handshake under way or done.
func FuzzHandle(f *testing.F) {
	w := newNetwork(f)
	done := w.puppet()
	done.join(at(1))
	begun := w.puppet()
	begun.check(at(2), useCandidate)
	f.Add(done.request(useCandidate), true)
	f.Add(stun.MustBuild(stun.TransactionID, stun.BindingSuccess, stun.Fingerprint).Raw, true)
	f.Add([]byte{22, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, false)
	f.Add([]byte{21, 254, 253, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0}, true)
	f.Add([]byte{128, 200, 0, 6, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128, 0, 0, 1}, true)
	f.Fuzz(func(t *testing.T, b []byte, first bool) {
		from := at(2)
		if first {
			from = at(1)
		}
		w.send(b, from)
		if begun.conn.Path() != nil {
			t.Fatal("a path without keys")
		}
		if p := done.conn.Path(); p != nil && p.To != at(1) {
			t.Fatal("the path moved")
		}
	})
}

func BenchmarkRefusedSTUN(b *testing.B) {
	w := newNetwork(b)
	p := w.puppet()
	wrong := *p
	wrong.pwd = "not the password"
	unknown := *p
	unknown.ufrag = "nobody"
	for name, datagram := range map[string][]byte{"wrong integrity": wrong.request(), "unknown user": unknown.request(), "noise": {200, 1, 2, 3}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for range b.N {
				w.server.Handle(datagram, at(9))
			}
		})
	}
}

func BenchmarkAnsweredSTUN(b *testing.B) {
	w := newNetwork(b)
	p := w.puppet()
	p.join(at(1))
	request := p.request()
	b.ReportAllocs()
	for range b.N {
		w.server.Handle(request, at(1))
	}
}

// BenchmarkJoin is a whole setup, both ends in this process; cpu-ms is that of both.
func BenchmarkJoin(b *testing.B) {
	w := newNetwork(b)
	before := cpu(b)
	for i := range b.N {
		p := w.puppet()
		c := p.join(at(uint16(1 + i%60000)))
		p.conn.Close()
		<-p.down
		_ = c.conn.Close()
	}
	b.ReportMetric(float64(cpu(b)-before)/1e6/float64(b.N), "cpu-ms/op")
}

func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkIdle is what a connected viewer holds: heap and stacks of the server's end alone, the clients having gone
// without a word.
func BenchmarkIdle(b *testing.B) {
	w := newNetwork(b)
	before := held()
	for i := range b.N {
		p := w.puppet()
		c := p.join(at(uint16(1 + i%60000)))
		w.lose(func([]byte, netip.AddrPort) bool { return true })
		_ = c.wire.Close()
		w.mu.Lock()
		delete(w.inbox, at(uint16(1+i%60000)))
		delete(w.stun, at(uint16(1+i%60000)))
		w.drop = nil
		w.mu.Unlock()
	}
	b.ReportMetric(float64(held()-before)/1024/float64(b.N), "KiB/viewer")
}

func held() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse) //nolint:gosec // small
}
