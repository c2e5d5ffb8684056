package light

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// house is a Server on real sockets of one loopback address.
type house struct {
	server *Server
	udp    *net.UDPConn
	tcp    net.Listener
	ip     string
	lost   atomic.Bool // UDP is blocked
}

func newHouse(t *testing.T, ip string) *house {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(ip)})
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Fatal(err)
	}
	cert := certificate(t)
	h := &house{udp: udp, ip: ip}
	h.server = New(Config{Write: udp.WriteToUDPAddrPort, Certificate: func() (tls.Certificate, error) { return cert, nil }, Now: time.Now})
	h.tcp = h.server.Listen(tcp)
	read, run := make(chan struct{}), make(chan error, 1)
	go h.read(read)
	ctx, cancel := context.WithCancel(context.Background())
	go func() { run <- h.server.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		await(t, run, "end of Run")
		h.server.Close()
		_ = udp.Close()
		await(t, read, "end of reading")
	})
	return h
}

func (h *house) read(done chan struct{}) {
	defer close(done)
	b := make([]byte, 2048)
	for {
		n, from, err := h.udp.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if !h.lost.Load() {
			h.server.Handle(b[:n], from)
		}
	}
}

// guest is a viewer with a real PeerConnection.
type guest struct {
	*house
	pc    *webrtc.PeerConnection
	conn  *Conn
	up    chan struct{}
	down  chan error
	rtcp  chan []byte
	track chan *webrtc.TrackRemote
	recv  chan *webrtc.RTPReceiver
}

func (h *house) guest(t *testing.T, change func(*webrtc.SettingEngine)) *guest {
	t.Helper()
	var s webrtc.SettingEngine
	s.SetIncludeLoopbackCandidate(true)
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.LoggerFactory = silent()
	s.SetIPFilter(func(ip net.IP) bool { return ip.IsLoopback() })
	change(&s)
	var m webrtc.MediaEngine
	if err := m.RegisterDefaultCodecs(); err != nil {
		t.Fatal(err)
	}
	pc, err := webrtc.NewAPI(webrtc.WithSettingEngine(s), webrtc.WithMediaEngine(&m)).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pc.Close() })
	g := &guest{
		house: h, pc: pc, up: make(chan struct{}, 1), down: make(chan error, 1), rtcp: make(chan []byte, 64),
		track: make(chan *webrtc.TrackRemote, 1), recv: make(chan *webrtc.RTPReceiver, 1),
	}
	pc.OnTrack(func(tr *webrtc.TrackRemote, r *webrtc.RTPReceiver) { g.track <- tr; g.recv <- r })
	if _, err = pc.AddTransceiverFromKind(webrtc.RTPCodecTypeVideo, webrtc.RTPTransceiverInit{Direction: webrtc.RTPTransceiverDirectionRecvonly}); err != nil {
		t.Fatal(err)
	}
	return g
}

func value(sdp, attribute string) string {
	_, rest, _ := strings.Cut(sdp, "a="+attribute+":")
	line, _, _ := strings.Cut(rest, "\r\n")
	return line
}

const mediaSSRC = 4711

// negotiate makes offer and answer; transport is "udp" or "tcp".
func (g *guest) negotiate(t *testing.T, transport string, options *webrtc.OfferOptions) {
	t.Helper()
	offer, err := g.pc.CreateOffer(options)
	if err != nil {
		t.Fatal(err)
	}
	gathered := webrtc.GatheringCompletePromise(g.pc)
	if err = g.pc.SetLocalDescription(offer); err != nil {
		t.Fatal(err)
	}
	await(t, gathered, "candidates")
	sdp := g.pc.LocalDescription().SDP
	ufrag, pwd := g.enter(t, sdp)
	address := g.udp.LocalAddr().(*net.UDPAddr).Port
	candidate := fmt.Sprintf("1 1 udp 2130706431 %s %d typ host", g.ip, address)
	if transport == "tcp" {
		candidate = fmt.Sprintf("2 1 tcp 1671430143 %s %d typ host tcptype passive", g.ip, g.tcp.Addr().(*net.TCPAddr).Port)
	}
	print := g.conn.Fingerprint()
	lines := []string{
		"v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=ice-lite", "a=group:BUNDLE 0",
		"m=video 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendonly", "a=rtcp-mux", "a=rtpmap:96 VP8/90000",
		"a=rtcp-fb:96 nack pli", "a=msid:s v", fmt.Sprintf("a=ssrc:%d cname:s", mediaSSRC), "a=setup:passive",
		"a=fingerprint:" + print.Algorithm + " " + print.Value, "a=ice-ufrag:" + ufrag, "a=ice-pwd:" + pwd, "a=candidate:" + candidate, "",
	}
	if err = g.pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: strings.Join(lines, "\r\n")}); err != nil {
		t.Fatal(err)
	}
}

// enter makes our end of the connection, or restarts it.
func (g *guest) enter(t *testing.T, sdp string) (ufrag, pwd string) {
	t.Helper()
	theirUfrag, theirPwd := value(sdp, "ice-ufrag"), value(sdp, "ice-pwd")
	if g.conn != nil {
		return g.conn.Restart(theirUfrag, theirPwd)
	}
	algorithm, print, _ := strings.Cut(value(sdp, "fingerprint"), " ")
	var err error
	g.conn, err = g.server.New(Params{
		RemoteUfrag: theirUfrag, RemotePwd: theirPwd, Fingerprints: []Fingerprint{{algorithm, print}},
		Up: func() { g.up <- struct{}{} }, Down: func(err error) { g.down <- err },
		RTCP: func(b []byte) {
			select {
			case g.rtcp <- append([]byte(nil), b...):
			default:
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g.conn.Credentials()
}

func (g *guest) settle(t *testing.T) *Path {
	t.Helper()
	await(t, g.up, "keys")
	eventually(t, "path", func() bool { return g.conn.Path() != nil })
	return g.conn.Path()
}

// sendRTP sends packet number ext.
func (g *guest) sendRTP(t *testing.T, ext int) {
	t.Helper()
	pkt, header := rtpPacket(mediaSSRC, uint16(ext), false, 500)
	pkt[header] = 0x10 // VP8: start of partition
	n, err := g.conn.SealRTP(pkt, header, uint32(ext>>16))
	if err != nil {
		t.Fatal(err)
	}
	if p := g.conn.Path(); p != nil {
		if err = g.server.send(p, pkt[:n]); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRealViewers(t *testing.T) {
	cmOnly := func(s *webrtc.SettingEngine) {
		s.SetSRTPProtectionProfiles(dtls.SRTP_AES128_CM_HMAC_SHA1_80)
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4})
	}
	for name, row := range map[string]struct {
		ip, transport, family string
		change                func(*webrtc.SettingEngine)
	}{
		"UDP over IPv4":    {"127.0.0.1", "udp", "ipv4", only(webrtc.NetworkTypeUDP4)},
		"UDP over IPv6":    {"::1", "udp", "ipv6", overIPv6(t)},
		"TCP":              {"127.0.0.1", "tcp", "ipv4", only(webrtc.NetworkTypeTCP4, webrtc.NetworkTypeUDP4)},
		"a client with CM": {"127.0.0.1", "udp", "ipv4", cmOnly},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t, row.ip)
			g := h.guest(t, row.change)
			began := time.Now()
			g.negotiate(t, row.transport, nil)
			g.settle(t)
			t.Logf("keys and path after %v", time.Since(began))
			if st := g.conn.Stats(); st.Transport != row.transport || st.Family != row.family || st.LastSTUN.IsZero() {
				t.Errorf("%+v", st)
			}
			watch(t, g)
			_ = g.pc.Close()
			err := await(t, g.down, "end")
			if lostWord := row.transport == "tcp" && errors.Is(err, ErrSilent); !lostWord && !errors.Is(err, ErrPeerClosed) {
				t.Errorf("down: %v", err) // over TCP, pion at times closes before its close_notify has left
			}
		})
	}
}

// overIPv6 gives the client a socket on ::1, which pion leaves out when it looks for addresses itself.
func overIPv6(t *testing.T) func(*webrtc.SettingEngine) {
	return func(s *webrtc.SettingEngine) {
		c, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		s.SetICEUDPMux(webrtc.NewICEUDPMux(silent().NewLogger(""), c))
		s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP6})
	}
}

func only(types ...webrtc.NetworkType) func(*webrtc.SettingEngine) {
	return func(s *webrtc.SettingEngine) { s.SetNetworkTypes(types) }
}

// watch sends media over the roll-over and reports both ways until each has arrived.
func watch(t *testing.T, g *guest) {
	t.Helper()
	g.sendRTP(t, 65534) // lost if the client is not ready: it needs the first to know the stream
	track := await(t, g.track, "track")
	receiver := await(t, g.recv, "receiver")
	got := make(chan *rtp.Packet, 64)
	go func() {
		for {
			p, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			got <- p
		}
	}()
	for ext := 65535; ext < 65540; ext++ {
		g.sendRTP(t, ext)
	}
	for want := 65534; want < 65540; want++ {
		if p := await(t, got, "packet"); p.SequenceNumber != uint16(want) || len(p.Payload) != 500 {
			t.Fatalf("packet %d of %d bytes instead of %d", p.SequenceNumber, len(p.Payload), uint16(want))
		}
	}
	report := &rtcp.SenderReport{SSRC: mediaSSRC, RTPTime: 77}
	b, _ := report.Marshal()
	if err := g.conn.SendRTCP(b); err != nil {
		t.Fatal(err)
	}
	packets, _, err := receiver.ReadRTCP()
	if sr, ok := packets[0].(*rtcp.SenderReport); err != nil || !ok || sr.RTPTime != 77 {
		t.Fatalf("got %v %v", packets, err)
	}
	if err = g.pc.WriteRTCP([]rtcp.Packet{&rtcp.PictureLossIndication{MediaSSRC: mediaSSRC}}); err != nil {
		t.Fatal(err)
	}
	for { // pion's own receiver reports come in between
		b := await(t, g.rtcp, "PLI")
		if packets, err = rtcp.Unmarshal(b); err != nil {
			t.Fatal(err)
		}
		if _, ok := packets[0].(*rtcp.PictureLossIndication); ok {
			return
		}
	}
}

func TestRealViewerIsToldOfTheEnd(t *testing.T) {
	h := newHouse(t, "127.0.0.1")
	g := h.guest(t, only(webrtc.NetworkTypeUDP4))
	closed := make(chan struct{}, 8)
	g.pc.OnConnectionStateChange(func(s webrtc.PeerConnectionState) {
		if s == webrtc.PeerConnectionStateClosed || s == webrtc.PeerConnectionStateFailed {
			closed <- struct{}{}
		}
	})
	g.negotiate(t, "udp", nil)
	g.settle(t)
	g.conn.Close()
	if err := await(t, g.down, "end"); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	await(t, closed, "close_notify at the client")
}

// An ICE restart brings the client to a new address: pion gathers anew, from other ports.
func TestRealViewerRestarts(t *testing.T) {
	h := newHouse(t, "127.0.0.1")
	g := h.guest(t, only(webrtc.NetworkTypeUDP4))
	g.negotiate(t, "udp", nil)
	before := g.settle(t).To
	g.negotiate(t, "udp", &webrtc.OfferOptions{ICERestart: true})
	var after netip.AddrPort
	eventually(t, "new path", func() bool {
		if p := g.conn.Path(); p != nil {
			after = p.To
		}
		return after != before
	})
	watch(t, g)
	h.server.mu.RLock()
	defer h.server.mu.RUnlock()
	if len(h.server.ufrags) != 1 {
		t.Errorf("%d user names", len(h.server.ufrags))
	}
}

// From UDP to TCP within one connection, by a restart whose answer names the TCP port.
func TestRealViewerMovesToTCP(t *testing.T) {
	h := newHouse(t, "127.0.0.1")
	g := h.guest(t, only(webrtc.NetworkTypeUDP4, webrtc.NetworkTypeTCP4))
	g.negotiate(t, "udp", nil)
	g.settle(t)
	h.lost.Store(true)
	g.negotiate(t, "tcp", &webrtc.OfferOptions{ICERestart: true})
	eventually(t, "path over TCP", func() bool { return g.conn.Stats().Transport == "tcp" })
	watch(t, g)
}
