package light

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"

	"github.com/duoduopin/duoduopin/internal/clock"
)

const patience = 20 * time.Second // for what real goroutines do

func certificate(tb testing.TB) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := selfsign.SelfSign(key)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func fingerprint(c tls.Certificate) Fingerprint {
	return Fingerprint{"sha-256", fmt.Sprintf("% X", sha256.Sum256(c.Certificate[0]))}
}

func await[T any](tb testing.TB, ch <-chan T, what string) T {
	tb.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		tb.Fatalf("no %s", what)
		panic("unreachable")
	}
}

// eventually polls for what has no channel to wait on.
func eventually(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("never: %s", what)
		}
	}
}

// network is one in memory: one server, puppets by address.
type network struct {
	tb     testing.TB
	server *Server
	clock  *clock.Manual
	cert   tls.Certificate

	handle sync.Mutex // Handle is called by one at a time
	mu     sync.Mutex
	inbox  map[netip.AddrPort]chan []byte // what is not STUN
	stun   map[netip.AddrPort]chan []byte
	drop   func(b []byte, to netip.AddrPort) bool
}

func newNetwork(tb testing.TB) *network {
	tb.Helper()
	w := &network{tb: tb, clock: clock.NewManual(time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)), cert: certificate(tb), inbox: map[netip.AddrPort]chan []byte{}, stun: map[netip.AddrPort]chan []byte{}}
	w.server = New(Config{Write: w.write, Certificate: func() (tls.Certificate, error) { return w.cert, nil }, Now: w.clock.Now})
	tb.Cleanup(w.server.Close)
	return w
}

func (w *network) write(b []byte, to netip.AddrPort) (int, error) {
	w.mu.Lock()
	box, drop := w.inbox[to], w.drop
	if b[0] <= lastSTUN {
		box = w.stun[to]
	}
	w.mu.Unlock()
	if box == nil || (drop != nil && drop(b, to)) {
		return len(b), nil
	}
	select {
	case box <- append([]byte(nil), b...):
	default:
	}
	return len(b), nil
}

func (w *network) send(b []byte, from netip.AddrPort) bool {
	w.handle.Lock()
	defer w.handle.Unlock()
	return w.server.Handle(b, from)
}

// box holds what comes to an address but STUN, answers the STUN.
func (w *network) box(at netip.AddrPort) chan []byte     { return w.mailbox(w.inbox, at) }
func (w *network) answers(at netip.AddrPort) chan []byte { return w.mailbox(w.stun, at) }

func (w *network) mailbox(of map[netip.AddrPort]chan []byte, at netip.AddrPort) chan []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	if of[at] == nil {
		of[at] = make(chan []byte, 64)
	}
	return of[at]
}

func (w *network) lose(drop func(b []byte, to netip.AddrPort) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop = drop
}

func at(port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), port)
}

// puppet is a client whose every datagram the test decides on.
type puppet struct {
	*network
	conn  *Conn
	cert  tls.Certificate
	ufrag string // the server's
	pwd   string
	mine  string
	up    chan struct{}
	down  chan error
	rtcp  chan []byte
}

const puppetPwd = "puppet-password-0123456789"

func (w *network) puppet(change ...func(*Params)) *puppet {
	w.tb.Helper()
	p := &puppet{network: w, cert: w.cert, mine: "pupp", up: make(chan struct{}, 1), down: make(chan error, 1), rtcp: make(chan []byte, 16)}
	params := Params{
		RemoteUfrag: p.mine, RemotePwd: puppetPwd, Fingerprints: []Fingerprint{{"md5", "AA"}, fingerprint(p.cert)},
		Up: func() { p.up <- struct{}{} }, Down: func(err error) { p.down <- err },
		RTCP: func(b []byte) { p.rtcp <- append([]byte(nil), b...) },
	}
	params.Fingerprints[1].Value = colons(params.Fingerprints[1].Value)
	for _, f := range change {
		f(&params)
	}
	c, err := w.server.New(params)
	if err != nil {
		w.tb.Fatal(err)
	}
	p.conn = c
	p.ufrag, p.pwd = c.Credentials()
	return p
}

func colons(spaced string) string {
	b := []byte(spaced)
	for i := range b {
		if b[i] == ' ' {
			b[i] = ':'
		}
	}
	return string(b)
}

var useCandidate = attribute{stun.AttrUseCandidate, nil}

// request builds a check as a controlling client does.
func (p *puppet) request(more ...stun.Setter) []byte {
	all := append([]stun.Setter{
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(p.ufrag + ":" + p.mine),
		attribute{stun.AttrPriority, []byte{1, 2, 3, 4}},
		attribute{stun.AttrICEControlling, make([]byte, 8)},
	}, more...)
	all = append(all, stun.NewShortTermIntegrity(p.pwd), stun.Fingerprint)
	return stun.MustBuild(all...).Raw
}

// check sends a check from an address and gives what came back there.
func (p *puppet) check(from netip.AddrPort, more ...stun.Setter) []*stun.Message {
	box := p.answers(from)
	p.send(p.request(more...), from)
	return drain(box)
}

func drain(box chan []byte) []*stun.Message {
	var got []*stun.Message
	for {
		select {
		case b := <-box:
			m := stun.New()
			if stun.Decode(b, m) == nil {
				got = append(got, m)
			}
		default:
			return got
		}
	}
}

// confirm answers a check of the server's.
func (p *puppet) confirm(from netip.AddrPort, m *stun.Message) {
	p.send(stun.MustBuild(m, stun.BindingSuccess, stun.NewShortTermIntegrity(puppetPwd), stun.Fingerprint).Raw, from)
}

// join does it all from one address: checks, nomination, DTLS.
func (p *puppet) join(from netip.AddrPort) *tunnel {
	p.tb.Helper()
	p.check(from, useCandidate)
	t := p.shake(from)
	await(p.tb, p.up, "keys")
	return t
}

// tunnel is the client's end of DTLS and SRTP.
type tunnel struct {
	conn    *dtls.Conn
	wire    *clientWire
	in, out *srtp.Context
}

func (p *puppet) shake(from netip.AddrPort, more ...dtls.ClientOption) *tunnel {
	p.tb.Helper()
	t, err := p.tryShake(from, more...)
	if err != nil {
		p.tb.Fatal(err)
	}
	return t
}

func (p *puppet) tryShake(from netip.AddrPort, more ...dtls.ClientOption) (*tunnel, error) {
	wire := &clientWire{puppet: p, from: from, box: p.box(from), wake: make(chan struct{}, 1), media: make(chan []byte, 64)}
	options := append([]dtls.ClientOption{
		dtls.WithCertificates(p.cert), dtls.WithInsecureSkipVerify(true), dtls.WithLoggerFactory(silent()),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80, dtls.SRTP_AEAD_AES_128_GCM),
		dtls.WithFlightInterval(50 * time.Millisecond),
	}, more...)
	conn, err := dtls.ClientWithOptions(wire, net.UDPAddrFromAddrPort(from), options...)
	if err != nil {
		return nil, err
	}
	p.tb.Cleanup(func() { _ = conn.Close() })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err = conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	state, _ := conn.ConnectionState()
	profile, _ := conn.SelectedSRTPProtectionProfile()
	cfg := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err = cfg.ExtractSessionKeysFromDTLS(&state, true); err != nil {
		return nil, err
	}
	t := &tunnel{conn: conn, wire: wire}
	t.in, _ = srtp.CreateContext(cfg.Keys.RemoteMasterKey, cfg.Keys.RemoteMasterSalt, cfg.Profile, srtp.SRTPReplayProtection(64), srtp.SRTCPReplayProtection(64))
	t.out, _ = srtp.CreateContext(cfg.Keys.LocalMasterKey, cfg.Keys.LocalMasterSalt, cfg.Profile)
	return t, nil
}

// clientWire is the net.PacketConn under the client's DTLS. Media that comes is set aside.
type clientWire struct {
	*puppet
	mu    sync.Mutex
	from  netip.AddrPort
	box   chan []byte
	wake  chan struct{}
	past  bool
	ended bool
	media chan []byte
}

func (c *clientWire) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		c.mu.Lock()
		past, ended := c.past, c.ended
		c.mu.Unlock()
		if ended {
			return 0, nil, net.ErrClosed
		}
		if past {
			return 0, nil, os.ErrDeadlineExceeded
		}
		select {
		case <-c.wake:
		case d := <-c.box:
			if d[0] >= 20 && d[0] <= 63 {
				return copy(b, d), net.UDPAddrFromAddrPort(c.from), nil
			}
			c.media <- d
		}
	}
}

func (c *clientWire) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.mu.Lock()
	from := c.from
	c.mu.Unlock()
	c.send(b, from)
	return len(b), nil
}

func (c *clientWire) set(f func()) error {
	c.mu.Lock()
	f()
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}
func (c *clientWire) Close() error { return c.set(func() { c.ended = true }) }
func (c *clientWire) SetReadDeadline(t time.Time) error {
	return c.set(func() { c.past = !t.IsZero() })
}
func (c *clientWire) SetDeadline(t time.Time) error    { return c.SetReadDeadline(t) }
func (c *clientWire) SetWriteDeadline(time.Time) error { return nil }
func (c *clientWire) LocalAddr() net.Addr              { return (*net.UDPAddr)(nil) }

// rtpPacket builds a packet with room for the tag.
func rtpPacket(ssrc uint32, seq uint16, extended bool, payload int) (pkt []byte, header int) {
	header = 12
	if extended {
		header += 8
	}
	pkt = make([]byte, header+payload, header+payload+gcmTag)
	pkt[0], pkt[1] = 0x80, 96
	binary.BigEndian.PutUint16(pkt[2:], seq)
	binary.BigEndian.PutUint32(pkt[8:], ssrc)
	if extended {
		pkt[0] |= 0x10
		copy(pkt[12:], []byte{0xbe, 0xde, 0, 1, 0x10, 0xaa, 0, 0})
	}
	for i := header; i < len(pkt); i++ {
		pkt[i] = byte(i * 7)
	}
	return pkt, header
}
