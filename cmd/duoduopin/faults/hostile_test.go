package faults

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// Garbage at the media port, 5,000 datagrams a second from many addresses and from within a viewer's own connection:
// nothing panics, and who watches loses nothing.
func TestMalformedPackets(t *testing.T) {
	s := start(t, "off")
	s.publish(t)
	honest, insider := s.watch(t, http.DefaultClient), s.watch(t, http.DefaultClient)
	honest.seeing(t)
	insider.seeing(t)
	got, lost := honest.packets.Load(), honest.lost.Load()

	const rate, seconds = 5000, 5
	began := time.Now()
	sent := throw(t, s.media, insider, rate, seconds)
	speed := float64(sent) / time.Since(began).Seconds()

	got, lost = honest.packets.Load()-got, honest.lost.Load()-lost
	share := float64(lost) / float64(max(1, got+lost))
	measured(t, "malformed STUN, DTLS, RTP, RTCP at 5,000/s", "no panic, others' loss < 0.5 %", "%d datagrams at %.0f/s; the other viewer got %d packets and lost %.2f %%", sent, speed, got, share*100)
	if share >= 0.005 || got < 100*seconds/2 {
		t.Errorf("the honest viewer got %d packets and lost %d", got, lost)
	}
	if status, _ := s.get("/readyz"); status != http.StatusOK {
		t.Errorf("readyz: %d", status)
	}
}

// throw sends garbage for some seconds and gives how many datagrams went out.
func throw(t *testing.T, media string, insider *peer, rate, seconds int) int {
	t.Helper()
	var socks []net.Conn
	for range 16 {
		c, err := net.Dial("udp", media)
		must(t, err)
		defer c.Close() //nolint:revive // they live until the end
		socks = append(socks, c)
	}
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same garbage on every run
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	sent := 0
	for range seconds * 100 {
		<-tick.C
		for range rate / 100 {
			if _, err := socks[sent%len(socks)].Write(garbage(random, sent)); err == nil {
				sent++
			}
		}
		raw := rtcp.RawPacket(broken(random, insider.video.Load()))
		_ = insider.WriteRTCP([]rtcp.Packet{&raw})
	}
	return sent
}

// garbage is a datagram that looks like one of the protocols of RFC 7983 at its first bytes, and is none.
func garbage(r *rand.Rand, n int) []byte {
	b := make([]byte, 1+r.IntN(1300))
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	head := []byte{
		0x00, 0x01, 0xff, 0xff, 0x21, 0x12, 0xa4, 0x42, // STUN binding that promises more than there is
		0x16, 0xfe, 0xfd, 0x00, 0x00, 0x00, 0x00, 0x00, // DTLS handshake record
		0x80, 0xe0, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, // RTP
		0x9f, 0xe0, 0x00, 0x01, 0xff, 0xff, 0xff, 0xff, // RTP with 15 CSRC and an extension
		0x81, 0xc9, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, // RTCP that is longer than the datagram
		0x8f, 0xcd, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, // transport-wide feedback of no length
		0x00, 0x01, 0x00, 0x08, 0x21, 0x12, 0xa4, 0x42, // STUN with room for one attribute
		0x40, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, // TURN channel data, which nobody asked for
	}
	copy(b, head[n%8*8:n%8*8+8])
	return b
}

// broken is an RTCP packet about a stream that exists, with a content that is none: it arrives well encrypted.
func broken(r *rand.Rand, ssrc uint32) []byte {
	b := make([]byte, 12+4*r.IntN(8))
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	b[0] = 0x80 | b[0]&0x1f
	b[1] = 200 + b[1]%8
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)/4-1)) //nolint:gosec // at most 40 bytes
	binary.BigEndian.PutUint32(b[8:], ssrc)
	return b
}

// However many viewers ask for key frames, and however often, the publisher hears of one a second.
func TestKeyRequestsAreMerged(t *testing.T) {
	s := start(t, "off")
	s.publish(t)
	var greedy []*peer
	for range 10 {
		p := s.watch(t, http.DefaultClient)
		p.seeing(t)
		greedy = append(greedy, p)
	}
	const asked, seconds = "duoduopin_stream_key_requests_total", 5
	before, sent := s.metric(asked), 0
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range seconds * 50 {
		<-tick.C
		for _, p := range greedy {
			must(t, p.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: p.video.Load()}}))
			sent++
		}
	}
	got := s.metric(asked) - before
	measured(t, "10 viewers ask for key frames", "one per second and layer at most", "%d PLIs in %d s, %.0f reached the publisher", sent, seconds, got)
	if got < 1 || got > seconds+2 {
		t.Errorf("%d PLIs: %.0f reached the publisher within %d s", sent, got, seconds)
	}
}

// One household floods WHIP and WHEP; it is told to wait, and another one still gets its picture.
func TestFloods(t *testing.T) {
	s := start(t, "on")
	s.publish(t)
	sdp := offer(t, viewer(t).PeerConnection)
	flooding := from("127.0.0.9")
	counts, begun := map[string]int{}, make(chan struct{})
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 100 {
				path := []string{"/whep", "/whip"}[n%2]
				r, err := s.offer(t.Context(), flooding, path, "", sdp)
				if i == 0 && n == 50 {
					close(begun)
				}
				mu.Lock()
				counts[verdict(r, err)]++
				mu.Unlock()
			}
		})
	}
	<-begun
	began := time.Now()
	p := s.watch(t, from("127.0.0.10"))
	p.seeing(t)
	took := time.Since(began)
	wg.Wait()
	measured(t, "WHIP and WHEP flood", "429 or 503 with Retry-After, a normal viewer gets in", "answers %v; the other household's picture came after %d ms", counts, took.Milliseconds())
	if counts["wrong"] > 0 || counts["429"]+counts["503"] == 0 {
		t.Errorf("answers %v", counts)
	}
}

// verdict sorts an answer to a flood; what is refused for being too much must say when to come back.
func verdict(r reply, err error) string {
	switch {
	case err != nil:
		return "wrong"
	case r.status == http.StatusTooManyRequests || r.status == http.StatusServiceUnavailable:
		if r.wait == "" {
			return "wrong"
		}
	case r.status != http.StatusCreated && r.status != http.StatusUnauthorized:
		return "wrong"
	}
	return fmt.Sprint(r.status)
}

// Handshakes that are begun and never finished end by themselves, and what they held comes back.
func TestHalfOpenHandshakes(t *testing.T) {
	s := start(t, "off")
	s.publish(t)
	s.leave(t, s.connected(t))
	before := s.weigh()
	sdp := offer(t, viewer(t).PeerConnection)
	counts := map[string]int{}
	for range 300 {
		r, err := s.offer(t.Context(), http.DefaultClient, "/whep", "", sdp)
		counts[verdict(r, err)]++
	}
	open, began := s.metric("duoduopin_stream_handshakes"), time.Now()
	full := s.weigh()
	eventually(t, 14*time.Second, "half-open handshakes have ended", func() bool { return s.metric("duoduopin_stream_handshakes") == 0 })
	took := time.Since(began)
	after := s.lightest(t, before, 40*time.Second)
	measured(t, "300 half-open handshakes", "end at 10 s, memory back", "%v; %.0f open (%v), the last ended %.1f s later; then %v, before %v", counts, open, full, took.Seconds(), after, before)
	if counts["201"] < 100 {
		t.Errorf("answers %v", counts)
	}
}

func (s *server) connected(t *testing.T) *peer {
	t.Helper()
	p := s.watch(t, http.DefaultClient)
	p.seeing(t)
	return p
}

// People come and go all evening; the server weighs what it weighed.
func TestJoinAndLeave(t *testing.T) {
	s := start(t, "off")
	s.publish(t)
	cycles := func(n int) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range n / 4 {
					s.leave(t, s.connected(t))
				}
			})
		}
		wg.Wait()
	}
	cycles(20)
	eventually(t, 10*time.Second, "nobody watches", func() bool { return s.metric("duoduopin_stream_viewers") == 0 })
	before := s.weigh()
	cycles(300)
	after := s.lightest(t, before, 40*time.Second)
	measured(t, "300 cycles of join and leave", "goroutines, descriptors, heap back at the baseline", "%v; before %v", after, before)
}

// TCP connections to the media port that say nothing, or nonsense, are closed, and a viewer is not disturbed.
func TestOddConnections(t *testing.T) {
	s := start(t, "off")
	s.publish(t)
	honest := s.connected(t)
	before := s.weigh()
	lost := honest.lost.Load()
	const each = 100
	says := [][]byte{nil, {0x00}, {0x00, 0x00}, {0xff, 0xff}, []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), append([]byte{0x00, 0x14, 0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xa4, 0x42}, make([]byte, 12)...)}
	began := time.Now()
	var conns []net.Conn
	for _, bytes := range says {
		for range each {
			c, err := net.Dial("tcp", s.media)
			must(t, err)
			t.Cleanup(func() { _ = c.Close() })
			_, _ = c.Write(bytes)
			conns = append(conns, c)
		}
	}
	slowest := lastClosed(t, conns, began.Add(45*time.Second)).Sub(began)
	after := s.lightest(t, before, 20*time.Second)
	lost = honest.lost.Load() - lost
	measured(t, "600 silent or odd TCP connections at the media port", "closed within 10 s, others undisturbed", "the last closed after %.1f s; %v, before %v; the viewer lost %d packets", slowest.Seconds(), after, before, lost)
	if slowest > 12*time.Second {
		t.Errorf("the last was closed after %v", slowest)
	}
	if got := honest.packets.Load(); float64(lost) > 0.005*float64(got) {
		t.Errorf("the viewer lost %d of %d packets", lost, got)
	}
}

// lastClosed waits until the server has closed all of them, at most until late, and gives the moment of the last.
func lastClosed(t *testing.T, conns []net.Conn, late time.Time) time.Time {
	t.Helper()
	open := 0
	for _, c := range conns {
		must(t, c.SetReadDeadline(late))
		buf := make([]byte, 1500)
		for {
			_, err := c.Read(buf)
			if err == nil {
				continue // an answer is no good-bye
			}
			if n, ok := err.(net.Error); ok && n.Timeout() { //nolint:errorlint // as net returns it
				open++
			}
			break
		}
	}
	if open > 0 {
		t.Errorf("%d of %d are still open", open, len(conns))
	}
	return time.Now()
}
