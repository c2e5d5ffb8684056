package load

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/ice/v4"
	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtcp"
	"github.com/pion/srtp/v3"
	"github.com/pion/stun/v4"
	"github.com/pion/transport/v5/packetio"
)

const (
	packetRoom  = 1600    // bytes of the longest datagram that a viewer reads
	readRoom    = 1 << 20 // bytes of a socket's buffer
	mostEarly   = 1024    // packets kept while the keys are not there
	openFirst   = 200     // packets decrypted at the start,
	openEvery   = 100     // and then each so-manieth
	ownSSRC     = 1
	checkEvery  = 50 * time.Millisecond
	joinTimeout = 15 * time.Second
)

// laziness is how long a viewer with a picture lets packets gather in the socket, so that reading them takes little of
// the generator's CPU. Times of arrival are the kernel's, so they stay exact.
const laziness = 16 * time.Millisecond

// rest sleeps to the next of the moments at which all readers wake together: one timer's work instead of hundreds.
func rest() {
	now := time.Now()
	time.Sleep(now.Truncate(laziness).Add(laziness).Sub(now))
}

// packet is a datagram and when it came.
type packet struct {
	data []byte
	at   time.Time
}

// viewer watches by WHEP as a browser does on the wire (ICE, DTLS, SRTP, receiver reports, transport-wide feedback), but
// decrypts only what it needs to look into: so that it is much lighter than the server.
type viewer struct {
	crowd    *crowd
	conn     *net.UDPConn
	local    credentials
	answer   answer
	resource string
	start    time.Time
	checked  chan struct{} // closed when the server has answered a check
	secure   *packetio.Buffer
	dtls     *dtls.Conn

	mu      sync.Mutex // guards all below
	alive   bool       // checked is closed
	in, out *srtp.Context
	early   [][]byte
	tracks  []*track
	arrived *twcc.Recorder
	opened  int // packets decrypted
	broken  int // packets that did not decrypt
	seen    int // video packets
	picture picture
	shown   bool // a whole key frame came
}

// join lets one more viewer in; it is there when its keys are.
func (c *crowd) join(ctx context.Context) (*viewer, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	v := &viewer{crowd: c, local: newCredentials(), start: time.Now(), checked: make(chan struct{}), secure: packetio.NewBuffer(), arrived: twcc.NewRecorder(ownSSRC)}
	var text string
	var err error
	if v.resource, text, err = c.target.offer(ctx, c.target.path("/whep"), "", offer(v.local, c.fingerprint)); err != nil {
		return nil, err
	}
	if v.answer, err = parseAnswer(text); err != nil {
		return nil, err
	}
	if v.conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(v.answer.server)); err != nil {
		return nil, err
	}
	in, err := newPackets(v.conn)
	if err != nil {
		return nil, errors.Join(err, v.conn.Close())
	}
	go v.listen(in) // ends with the socket
	if err := v.connect(ctx); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

// connect checks the path and makes keys.
func (v *viewer) connect(ctx context.Context) error {
	tick := time.NewTicker(checkEvery)
	defer tick.Stop()
	for waiting := true; waiting; {
		if err := v.check(); err != nil {
			return err
		}
		select {
		case <-v.checked:
			waiting = false
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("ICE: %w", ctx.Err())
		}
	}
	return v.handshake(ctx)
}

// check sends a binding request that nominates the path (RFC 8445, section 7.2; regular and first at once).
func (v *viewer) check() error {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest,
		stun.NewUsername(v.answer.ufrag+":"+v.local.ufrag), ice.PriorityAttr(1<<24), ice.AttrControlling(1), ice.UseCandidate(),
		stun.NewShortTermIntegrity(v.answer.pwd), stun.Fingerprint)
	if err != nil {
		return err
	}
	_, err = v.conn.Write(m.Raw)
	return err
}

// takeSTUN answers the server's checks and hears its answers to ours.
func (v *viewer) takeSTUN(b []byte) {
	m := &stun.Message{Raw: slices.Clone(b)}
	if m.Decode() != nil {
		return
	}
	switch m.Type {
	case stun.BindingRequest:
		key := stun.NewShortTermIntegrity(v.local.pwd)
		if key.Check(m) != nil {
			return
		}
		server := v.answer.server
		reply, err := stun.Build(m, stun.BindingSuccess, &stun.XORMappedAddress{IP: server.Addr().AsSlice(), Port: int(server.Port())}, key, stun.Fingerprint)
		if err == nil {
			_, _ = v.conn.Write(reply.Raw) // the server asks again
		}
	case stun.BindingSuccess:
		if stun.NewShortTermIntegrity(v.answer.pwd).Check(m) == nil && !v.alive {
			v.alive = true
			close(v.checked)
		}
	}
}

// handshake makes the SRTP keys (RFC 5764), as DTLS client.
func (v *viewer) handshake(ctx context.Context) error {
	conn, err := dtls.ClientWithOptions(dtlsPipe{v.secure, v.conn}, v.conn.RemoteAddr(),
		dtls.WithCertificates(v.crowd.certificate), dtls.WithInsecureSkipVerify(true), dtls.WithVerifyPeerCertificate(v.verify),
		dtls.WithSRTPProtectionProfiles(dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret))
	if err != nil {
		return err
	}
	v.dtls = conn
	if err := conn.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("DTLS: %w", err)
	}
	state, ok := conn.ConnectionState()
	profile, ok2 := conn.SelectedSRTPProtectionProfile()
	if !ok || !ok2 {
		return errors.New("no SRTP profile")
	}
	keys := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := keys.ExtractSessionKeysFromDTLS(&state, true); err != nil {
		return err
	}
	in, err1 := srtp.CreateContext(keys.Keys.RemoteMasterKey, keys.Keys.RemoteMasterSalt, keys.Profile)
	out, err2 := srtp.CreateContext(keys.Keys.LocalMasterKey, keys.Keys.LocalMasterSalt, keys.Profile)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	v.unlock(in, out)
	return nil
}

// unlock takes what came before the keys.
func (v *viewer) unlock(in, out *srtp.Context) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.in, v.out = in, out
	now := time.Now()
	for _, b := range v.early {
		v.takeMedia(b, now)
	}
	v.early = nil
}

// verify compares the server's certificate with the answer's fingerprint (RFC 8122).
func (v *viewer) verify(raw [][]byte, _ [][]*x509.Certificate) error {
	if len(raw) == 0 || fingerprint(raw[0]) != v.answer.fingerprint {
		return errors.New("the server's certificate is not the one of the answer")
	}
	return nil
}

func fingerprint(der []byte) string {
	sum := sha256.Sum256(der)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// listen reads until the socket is closed.
func (v *viewer) listen(in *packets) {
	for {
		got, err := in.read()
		if err != nil {
			return
		}
		v.mu.Lock()
		for _, p := range got {
			v.take(p.data, p.at)
		}
		lazy := v.shown
		v.mu.Unlock()
		if lazy {
			rest()
		}
	}
}

// take sorts a datagram by its first byte (RFC 7983).
func (v *viewer) take(b []byte, at time.Time) {
	switch {
	case len(b) < 2:
	case b[0] < 4:
		v.takeSTUN(b)
	case b[0] >= 20 && b[0] < 64:
		_, _ = v.secure.Write(b, nil) // a full buffer is a loss, and DTLS repeats
	case b[0] >= 128 && b[0] < 192:
		if v.in != nil {
			v.takeMedia(b, at)
		} else if len(v.early) < mostEarly {
			v.early = append(v.early, slices.Clone(b))
		}
	}
}

func (v *viewer) takeMedia(b []byte, at time.Time) {
	if b[1] >= 192 && b[1] < 224 { // RTCP (RFC 5761, section 4)
		v.takeRTCP(b, at)
		return
	}
	h, err := parseRTP(b, v.answer.twcc)
	if err != nil {
		return
	}
	if h.hasCC {
		v.arrived.Record(h.ssrc, h.twcc, at.UnixMicro())
	}
	v.track(h).take(h.seq)
	if h.pt == ptVideo {
		v.seen++
		if v.opened < openFirst || !v.shown || v.seen%openEvery == 0 {
			v.open(h, b, at)
		}
	}
}

// open decrypts a video packet, looks for the first key frame and takes the latency.
func (v *viewer) open(h rtpHeader, b []byte, at time.Time) {
	v.opened++
	plain, err := v.in.DecryptRTP(nil, b, nil)
	if err != nil || len(plain) < h.size {
		v.broken++
		return
	}
	payload := plain[h.size:]
	if !v.shown && v.picture.take(h, payload) {
		v.shown = true
		v.crowd.first.add(at.Sub(v.start))
	}
	if d, ok := age(payload, at); ok && v.crowd.measuring.Load() {
		v.crowd.latency.add(d)
	}
}

func (v *viewer) takeRTCP(b []byte, at time.Time) {
	plain, err := v.in.DecryptRTCP(nil, b, nil)
	if err != nil {
		v.broken++
		return
	}
	all, err := rtcp.Unmarshal(plain)
	if err != nil {
		v.broken++
		return
	}
	for _, p := range all {
		sr, ok := p.(*rtcp.SenderReport)
		if !ok {
			continue
		}
		for _, t := range v.tracks {
			if t.ssrc == sr.SSRC {
				t.report.middle, t.report.at = uint32(sr.NTPTime>>16), at //nolint:gosec // the middle 32 bits are meant
			}
		}
	}
}

func (v *viewer) track(h rtpHeader) *track {
	for _, t := range v.tracks {
		if t.ssrc == h.ssrc {
			return t
		}
	}
	t := &track{ssrc: h.ssrc, pt: h.pt}
	v.tracks = append(v.tracks, t)
	return t
}

// feedback tells the server what arrived since the latest one, and each second how much was lost.
func (v *viewer) feedback(now time.Time, reports bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.out == nil {
		return nil
	}
	var all []rtcp.Packet
	if reports {
		rr := &rtcp.ReceiverReport{SSRC: ownSSRC}
		for _, t := range v.tracks {
			rr.Reports = append(rr.Reports, t.receptionReport(now))
		}
		all = append(all, rr)
	}
	all = append(all, v.arrived.BuildFeedbackPacket()...)
	if len(all) == 0 {
		return nil
	}
	plain, err := rtcp.Marshal(all)
	if err != nil {
		return err
	}
	sealed, err := v.out.EncryptRTCP(nil, plain, nil)
	if err != nil {
		return err
	}
	_, err = v.conn.Write(sealed)
	return err
}

// tally is what viewers have received.
type tally struct {
	received, expected int64 // packets of video and audio
	resent             int64 // of retransmission and probing
	opened, broken     int64
}

func (v *viewer) tally() tally {
	v.mu.Lock()
	defer v.mu.Unlock()
	n := tally{opened: int64(v.opened), broken: int64(v.broken)}
	for _, t := range v.tracks {
		if t.pt == ptRTX {
			n.resent += t.received
			continue
		}
		n.received += t.received
		n.expected += t.expected()
	}
	return n
}

// close leaves without a word to the WHEP resource.
func (v *viewer) close() error {
	var err error
	if v.dtls != nil {
		err = v.dtls.Close()
	}
	return errors.Join(err, v.secure.Close(), v.conn.Close())
}

// dtlsPipe gives DTLS the datagrams that are meant for it.
type dtlsPipe struct {
	*packetio.Buffer
	conn *net.UDPConn
}

// ReadFrom implements net.PacketConn.
func (p dtlsPipe) ReadFrom(b []byte) (int, net.Addr, error) {
	n, _, err := p.Read(b, nil)
	return n, p.conn.RemoteAddr(), err
}

// WriteTo implements net.PacketConn.
func (p dtlsPipe) WriteTo(b []byte, _ net.Addr) (int, error) { return p.conn.Write(b) }

// LocalAddr implements net.PacketConn.
func (p dtlsPipe) LocalAddr() net.Addr { return p.conn.LocalAddr() }

// SetDeadline implements net.PacketConn; writing never waits.
func (p dtlsPipe) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn.
func (dtlsPipe) SetWriteDeadline(time.Time) error { return nil }
