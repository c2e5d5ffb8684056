package light

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pion/stun/v4"
)

func listen(tb testing.TB, w *network) (net.Listener, string) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	others := w.server.Listen(l)
	tb.Cleanup(func() { _ = others.Close() })
	return others, l.Addr().String()
}

func dial(tb testing.TB, addr string) net.Conn {
	tb.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

func framed(b []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
}

func TestTCPPath(t *testing.T) {
	w := newNetwork(t)
	_, addr := listen(t, w)
	p := w.puppet()
	c := dial(t, addr)
	first := framed(p.request(useCandidate))
	_, _ = c.Write(first[:1]) // the length may come in pieces
	_, _ = c.Write(first[1:])
	r := bufio.NewReader(c)
	m := readFrame(t, r)
	var mapped stun.XORMappedAddress
	if m.Type != stun.BindingSuccess || m.Parse(&mapped) != nil || mapped.Port != c.LocalAddr().(*net.TCPAddr).Port {
		t.Fatalf("got %v", m)
	}
	eventually(t, "nomination", func() bool {
		p.conn.mu.Lock()
		defer p.conn.mu.Unlock()
		return p.conn.nominated != nil && p.conn.nominated.Stream != nil
	})
	_, _ = c.Write(framed(nil)) // an empty frame is nothing
	_, _ = c.Write(framed(p.request()))
	if m = readFrame(t, r); m.Type != stun.BindingSuccess {
		t.Fatalf("got %v", m)
	}
	_ = c.Close()
	eventually(t, "path gone", func() bool {
		p.conn.mu.Lock()
		defer p.conn.mu.Unlock()
		return p.conn.nominated == nil && len(p.conn.paths) == 0
	})
}

func readFrame(t *testing.T, r *bufio.Reader) *stun.Message {
	t.Helper()
	frame, err := peekFrame(r)
	if err != nil {
		t.Fatal(err)
	}
	m := stun.New()
	if err = stun.Decode(frame, m); err != nil {
		t.Fatal(err)
	}
	_, _ = r.Discard(2 + len(frame))
	return m
}

func TestOtherTCPConnectionsArePassedOn(t *testing.T) {
	w := newNetwork(t)
	others, addr := listen(t, w)
	stranger := *w.puppet()
	stranger.ufrag = "pion"
	for name, b := range map[string][]byte{
		"STUN to another": framed(stranger.request()),
		"not STUN":        framed([]byte("hello")),
		"a large frame":   {0xff, 0xff, 1, 2, 3},
		"HTTP":            []byte("GET / HTTP/1.1\r\n\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, addr)
			_, _ = c.Write(b)
			got, err := others.Accept()
			if err != nil {
				t.Fatal(err)
			}
			_, _ = c.Write([]byte("rest"))
			_ = c.Close()
			if all, err := io.ReadAll(got); err != nil || !bytes.Equal(all, append(bytes.Clone(b), "rest"...)) {
				t.Errorf("got %q %v", all, err)
			}
		})
	}
	_ = others.Close()
	if _, err := others.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

// Connections that never speak make room for one that does.
func TestSilentTCPConnectionsMakeRoom(t *testing.T) {
	var a strangers
	var ends []net.Conn
	for range maxStrangers + 2 {
		ours, theirs := net.Pipe()
		a.add(newStream(nil, ours))
		ends = append(ends, theirs)
	}
	for i, c := range ends {
		_ = c.SetReadDeadline(time.Unix(1, 0))
		_, err := c.Read(make([]byte, 1))
		if closed := errors.Is(err, io.EOF); closed != (i < 2) {
			t.Fatalf("connection %d: %v", i, err)
		}
	}
	a.closeAll()
	if a.list.Len() != maxStrangers {
		t.Errorf("%d", a.list.Len())
	}
}

func TestStreamNeverBlocks(t *testing.T) {
	w := newNetwork(t)
	ours, theirs := net.Pipe()
	st := newStream(w.server, ours)
	w.server.owned.Add(1)
	go st.write()
	packet := make([]byte, 1000)
	sent := 0
	var err error
	for ; err == nil; sent++ { // nobody reads
		_, err = st.Write(packet)
	}
	if !errors.Is(err, ErrFull) || st.Dropped() != 1 || sent < maxQueue/1100 {
		t.Errorf("%d sent, %d dropped: %v", sent, st.Dropped(), err)
	}
	go st.close()
	n, _ := io.Copy(io.Discard, theirs)
	if n != int64((sent-1)*1002) {
		t.Errorf("%d bytes of %d came before the end", n, (sent-1)*1002)
	}
	if _, err = st.Write(packet); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add(framed([]byte("hello")))
	f.Add([]byte{0xff, 0xff, 1})
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bufio.NewReaderSize(bytes.NewReader(b), readAhead)
		total := 0
		for {
			frame, err := peekFrame(r)
			if err != nil {
				return
			}
			if total += 2 + len(frame); total > len(b) || len(frame) > maxDatagram {
				t.Fatalf("%d bytes of %d", total, len(b))
			}
			_, _ = r.Discard(2 + len(frame))
		}
	})
}
