package stream

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor"
	"github.com/pion/interceptor/pkg/report"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/stream/light"
	"github.com/duoduopin/duoduopin/stream/udp"
)

// ICE times: a peer that vanished counts as disconnected after 4 s and as gone after 4 s more, so that a room is told
// within 12 s.
const (
	iceDisconnected = 4 * time.Second
	iceFailed       = 4 * time.Second
	iceKeepalive    = 2 * time.Second
)

// engine makes PeerConnections, all on the one UDP and the one TCP port.
type engine struct {
	settings webrtc.SettingEngine
	publish  *interceptor.Registry // toward publishers: reports, transport-wide feedback; NACKs are gaps'
	play     *interceptor.Registry // toward viewers: none, sinks do all of it

	mu          sync.Mutex
	certificate *webrtc.Certificate
	plain       tls.Certificate // the same
	renewAt     time.Time
}

// prepare makes the engine ready; light lines may ask for its certificate before.
func (e *engine) prepare(udp ice.UDPMux, tcp ice.TCPMux, publicIPs []string) error {
	e.publish, e.play = &interceptor.Registry{}, &interceptor.Registry{}
	s := &e.settings
	s.LoggerFactory = quiet{}
	s.SetICEUDPMux(udp)
	s.SetICETCPMux(tcp)
	s.DisableActiveTCP(true) // we never dial an address that a client names
	s.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
	s.SetICEMulticastDNSMode(ice.MulticastDNSModeDisabled)
	s.SetICETimeouts(iceDisconnected, iceFailed, iceKeepalive)
	s.SetIncludeLoopbackCandidate(true)
	// As DTLS server we choose the SRTP profile, and AES-GCM costs an eighth of browsers' first choice.
	s.SetSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80)
	if err := s.SetAnsweringDTLSRole(webrtc.DTLSRoleServer); err != nil {
		return err
	}
	if len(publicIPs) > 0 {
		if err := s.SetICEAddressRewriteRules(webrtc.ICEAddressRewriteRule{External: publicIPs, AsCandidateType: webrtc.ICECandidateTypeHost}); err != nil {
			return fmt.Errorf("public addresses: %w", err)
		}
	}
	return e.addInterceptors()
}

func (e *engine) addInterceptors() error {
	reports, err := report.NewReceiverInterceptor()
	if err != nil {
		return err
	}
	feedback, err := twcc.NewSenderInterceptor()
	if err != nil {
		return err
	}
	e.publish.Add(reports)
	e.publish.Add(feedback)
	return nil
}

// connect makes a PeerConnection for an offer. Its media engine knows exactly the offer's codecs, under the offer's own
// payload types, so that whatever profile a client uses is answered as it stands.
func (e *engine) connect(o *offer, d direction) (*webrtc.PeerConnection, error) {
	media, err := mediaEngine(o, d)
	if err != nil {
		return nil, err
	}
	certificate, err := e.certified(time.Now())
	if err != nil {
		return nil, err
	}
	registry := e.play
	if d == publishing {
		registry = e.publish
	}
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(e.settings), webrtc.WithInterceptorRegistry(registry))
	return api.NewPeerConnection(webrtc.Configuration{Certificates: []webrtc.Certificate{certificate}})
}

func mediaEngine(o *offer, d direction) (*webrtc.MediaEngine, error) {
	m := &webrtc.MediaEngine{}
	for kind, codecs := range o.codecs {
		for _, c := range codecs {
			if err := m.RegisterCodec(c, kind); err != nil {
				return nil, err
			}
		}
	}
	if d == playing {
		return m, nil
	}
	extensions := []string{sdp.SDESMidURI, sdp.SDESRTPStreamIDURI, sdp.SDESRepairRTPStreamIDURI, sdp.TransportCCURI, sdp.AudioLevelURI}
	for _, uri := range extensions {
		for _, kind := range []webrtc.RTPCodecType{webrtc.RTPCodecTypeVideo, webrtc.RTPCodecTypeAudio} {
			if err := m.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, kind); err != nil {
				return nil, err
			}
		}
	}
	return m, nil
}

// tlsCertificate is the same for light lines.
func (e *engine) tlsCertificate() (tls.Certificate, error) {
	if _, err := e.certified(time.Now()); err != nil {
		return tls.Certificate{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.plain, nil
}

// certified gives the DTLS certificate, shared by all connections and renewed in time: pion's live for a month.
func (e *engine) certified(now time.Time) (webrtc.Certificate, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.certificate == nil || now.After(e.renewAt) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return webrtc.Certificate{}, err
		}
		c, err := webrtc.GenerateCertificate(key)
		if err != nil {
			return webrtc.Certificate{}, err
		}
		raw, err := derOf(c)
		if err != nil {
			return webrtc.Certificate{}, err
		}
		e.plain = tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
		e.certificate, e.renewAt = c, now.Add(7*24*time.Hour)
	}
	return *e.certificate, nil
}

// derOf gives a certificate's bytes, which pion shows as PEM only.
func derOf(c *webrtc.Certificate) ([]byte, error) {
	text, err := c.PEM()
	if err != nil {
		return nil, err
	}
	for block, rest := pem.Decode([]byte(text)); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			return block.Bytes, nil
		}
	}
	return nil, errors.New("no certificate in pion's PEM")
}

// ports are the media sockets: UDP and TCP with the same number.
type ports struct {
	socket *udp.Socket
	udp    *ice.UDPMuxDefault
	tcp    *ice.TCPMuxDefault
	addr   *net.UDPAddr

	listener net.Listener
	closed   atomic.Bool
}

// openPorts listens. With port 0 it looks for a number that is free in both.
func openPorts(addr string) (*ports, error) {
	for try := 0; ; try++ {
		socket, err := udp.Listen(addr)
		if err != nil {
			return nil, fmt.Errorf("media address %s: %w", addr, err)
		}
		bound := socket.LocalAddr().(*net.UDPAddr) //nolint:forcetypeassert,errcheck // it is a UDP socket
		tcpAddr := &net.TCPAddr{IP: bound.IP, Port: bound.Port, Zone: bound.Zone}
		listener, err := net.ListenTCP("tcp", tcpAddr)
		if err == nil {
			return &ports{socket: socket, listener: listener, addr: bound}, nil
		}
		_ = socket.Close()
		if _, port, _ := net.SplitHostPort(addr); port != "0" || try == 9 {
			return nil, fmt.Errorf("media address %s: %w", addr, err)
		}
	}
}

// serve begins to read: what is a light viewer's goes to l, the rest to pion.
func (p *ports) serve(l *light.Server) {
	p.socket.Divert(l.Handle)
	p.udp = ice.NewUDPMuxDefault(ice.UDPMuxParams{UDPConn: p.socket, Logger: quiet{}.NewLogger("")})
	p.tcp = ice.NewTCPMuxDefault(ice.TCPMuxParams{
		Listener: l.Listen(p.listener), Logger: quiet{}.NewLogger(""), ReadBufferSize: 32, WriteBufferSize: 1 << 20,
		FirstStunBindTimeout: 4 * time.Second, AliveDurationForConnFromStun: 10 * time.Second,
	})
}

func (p *ports) close() {
	if p.udp != nil {
		_ = p.udp.Close()
		_ = p.tcp.Close()
	}
	_ = p.listener.Close()
	_ = p.socket.Close()
}
