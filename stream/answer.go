package stream

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/stream/light"
)

// answer writes the SDP answer of a light line and sets its sinks up. After an ICE restart it is written again, with the
// same streams and new credentials.
func (v *viewer) answer(o *offer) (string, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	conn := v.peer.light
	if v.line == nil {
		v.line = &lightLine{conn: conn, wideID: wideID(o)}
	}
	desc := &sdp.SessionDescription{
		Origin:      sdp.Origin{Username: "-", SessionID: sessionID(), SessionVersion: 2, NetworkType: "IN", AddressType: "IP4", UnicastAddress: "0.0.0.0"},
		SessionName: "-", TimeDescriptions: []sdp.TimeDescription{{}},
	}
	var mids []string
	sinks := map[webrtc.RTPCodecType][]*sink{webrtc.RTPCodecTypeVideo: v.sinks(webrtc.RTPCodecTypeVideo), webrtc.RTPCodecTypeAudio: v.sinks(webrtc.RTPCodecTypeAudio)}
	for i, m := range o.sdp.MediaDescriptions {
		kind := webrtc.NewRTPCodecType(m.MediaName.Media)
		if !isMedia(m) || m.MediaName.Port.Value == 0 && !bundleOnly(m) || len(sinks[kind]) == 0 {
			desc.MediaDescriptions = append(desc.MediaDescriptions, refused(m))
			continue
		}
		k := sinks[kind][0]
		sinks[kind] = sinks[kind][1:]
		answer, err := k.describe(m, o.each[i])
		if err != nil {
			return "", err
		}
		mid, _ := m.Attribute("mid")
		mids = append(mids, mid)
		desc.MediaDescriptions = append(desc.MediaDescriptions, v.transportOf(answer, conn))
	}
	desc.Attributes = []sdp.Attribute{
		sdp.NewAttribute("group", "BUNDLE "+strings.Join(mids, " ")), sdp.NewPropertyAttribute("ice-lite"), sdp.NewAttribute("msid-semantic", "WMS *"),
	}
	if len(mids) == 0 {
		return "", badOffer("no m-line can be answered")
	}
	text, err := desc.Marshal()
	return string(text), err
}

func sessionID() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint64(b[:]) >> 1
}

func bundleOnly(m *sdp.MediaDescription) bool { _, ok := m.Attribute("bundle-only"); return ok }

// refused answers an m-line that is not used (RFC 3264, section 6).
func refused(m *sdp.MediaDescription) *sdp.MediaDescription {
	r := &sdp.MediaDescription{MediaName: m.MediaName, ConnectionInformation: nowhere()}
	r.MediaName.Port = sdp.RangedPort{}
	if mid, ok := m.Attribute("mid"); ok {
		r.Attributes = []sdp.Attribute{sdp.NewAttribute("mid", mid)}
	}
	return r
}

func nowhere() *sdp.ConnectionInformation {
	return &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}}
}

// transportOf adds what all m-lines of the bundle share: credentials, fingerprint, candidates. We are the DTLS server, so
// that we choose the cipher (RFC 8842, section 5.3).
func (v *viewer) transportOf(m *sdp.MediaDescription, conn *light.Conn) *sdp.MediaDescription {
	ufrag, pwd := conn.Credentials()
	print := conn.Fingerprint()
	m.WithValueAttribute("ice-ufrag", ufrag).WithValueAttribute("ice-pwd", pwd)
	m.WithValueAttribute("fingerprint", print.Algorithm+" "+print.Value).WithValueAttribute("setup", "passive")
	for _, c := range v.room.s.candidates() {
		m.WithValueAttribute("candidate", c)
	}
	return m.WithPropertyAttribute("end-of-candidates")
}

// describe answers one m-line: its codecs with their feedback, the streams we send, and the transport-wide number.
func (k *sink) describe(m *sdp.MediaDescription, codecs []webrtc.RTPCodecParameters) (*sdp.MediaDescription, error) {
	if k.ssrc == 0 {
		k.negotiated(codecs, newSSRC(), 0)
		if k.video() && slices.ContainsFunc(codecs, func(c webrtc.RTPCodecParameters) bool { return codecName(c.MimeType) == "rtx" }) {
			k.rtx = newSSRC()
		}
	}
	a := &sdp.MediaDescription{
		MediaName: sdp.MediaName{Media: m.MediaName.Media, Port: sdp.RangedPort{Value: 9}, Protos: m.MediaName.Protos}, ConnectionInformation: nowhere(),
	}
	mid, _ := m.Attribute("mid")
	a.WithValueAttribute("mid", mid).WithPropertyAttribute("sendonly").WithPropertyAttribute("rtcp-mux")
	if _, ok := m.Attribute("rtcp-rsize"); ok {
		a.WithPropertyAttribute("rtcp-rsize")
	}
	if id, ok := extensionID(m, sdp.TransportCCURI); ok {
		a.WithValueAttribute("extmap", strconv.Itoa(id)+" "+sdp.TransportCCURI)
	}
	for _, c := range codecs {
		k.codecLines(a, c)
	}
	a.WithValueAttribute("msid", k.streamID+" "+k.id)
	if k.rtx != 0 {
		a.WithValueAttribute("ssrc-group", fmt.Sprintf("FID %d %d", k.ssrc, k.rtx))
	}
	for _, ssrc := range []uint32{k.ssrc, k.rtx} {
		if ssrc != 0 {
			a.WithValueAttribute("ssrc", fmt.Sprintf("%d cname:%s", ssrc, k.streamID)).WithValueAttribute("ssrc", fmt.Sprintf("%d msid:%s %s", ssrc, k.streamID, k.id))
		}
	}
	return a, nil
}

func (k *sink) codecLines(a *sdp.MediaDescription, c webrtc.RTPCodecParameters) {
	pt := strconv.Itoa(int(c.PayloadType))
	a.MediaName.Formats = append(a.MediaName.Formats, pt)
	_, name, _ := strings.Cut(c.MimeType, "/")
	rate := fmt.Sprintf("%s %s/%d", pt, name, c.ClockRate)
	if c.Channels > 1 {
		rate += "/" + strconv.Itoa(int(c.Channels))
	}
	a.WithValueAttribute("rtpmap", rate)
	if c.SDPFmtpLine != "" {
		a.WithValueAttribute("fmtp", pt+" "+c.SDPFmtpLine)
	}
	for _, f := range c.RTCPFeedback {
		a.WithValueAttribute("rtcp-fb", strings.TrimSpace(pt+" "+f.Type+" "+f.Parameter))
	}
}

func newSSRC() uint32 {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails
	return max(1, binary.BigEndian.Uint32(b[:]))
}

// extensionID gives the id under which an m-line offers a header extension; only ids that fit one byte (RFC 8285, section
// 4.2) are used.
func extensionID(m *sdp.MediaDescription, uri string) (int, bool) {
	for _, a := range m.Attributes {
		number, rest, _ := strings.Cut(a.Value, " ")
		if a.Key != "extmap" || !slices.Contains(strings.Fields(rest), uri) {
			continue
		}
		number, _, _ = strings.Cut(number, "/")
		if id, err := strconv.Atoi(number); err == nil && id > 0 && id < 15 {
			return id, true
		}
	}
	return 0, false
}

// wideID is the id of the transport-wide number, if every m-line of the offer has it under the same one.
func wideID(o *offer) uint8 {
	common := 0
	for _, m := range o.sdp.MediaDescriptions {
		if !isMedia(m) {
			continue
		}
		id, ok := extensionID(m, sdp.TransportCCURI)
		if !ok || (common != 0 && id != common) {
			return 0
		}
		common = id
	}
	return uint8(common) //nolint:gosec // under 15
}

// Priorities of host candidates (RFC 8445, section 5.1.2.1; RFC 6544, section 4.2): UDP before TCP.
const (
	udpPriority = 126<<24 | 65535<<8 | 255
	tcpPriority = 90<<24 | 65535<<8 | 255
)

// candidates gives our addresses for an answer: the configured ones, that of the listener, or all of the host's.
func (s *Service) candidates() []string {
	var all []string
	for i, ip := range s.addresses() {
		port := s.ports.addr.Port
		all = append(all,
			fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, udpPriority-i<<8, ip, port),
			fmt.Sprintf("%d 1 tcp %d %s %d typ host tcptype passive", i+101, tcpPriority-i<<8, ip, port))
	}
	return all
}

func (s *Service) addresses() []string {
	if len(s.cfg.PublicIPs) > 0 {
		return s.cfg.PublicIPs
	}
	if own := s.ports.addr.IP; own != nil && !own.IsUnspecified() {
		return []string{own.String()}
	}
	found, err := net.InterfaceAddrs()
	if err != nil {
		return []string{"127.0.0.1"}
	}
	var all []string
	for _, a := range found {
		n, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(n.IP)
		if ip = ip.Unmap(); ok && !ip.IsLinkLocalUnicast() && !ip.IsMulticast() && len(all) < maxCandidates/2 {
			all = append(all, ip.String())
		}
	}
	return all
}
