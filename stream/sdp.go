package stream

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
	"github.com/pion/webrtc/v4"

	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/stream/light"
)

// Limits of what a client may send. pion accepts far more (a thousand m-lines, ten megabytes), so they are checked before
// a PeerConnection exists.
const (
	maxBody        = 64 << 10
	maxPublishers  = 8  // m-lines of a WHIP offer
	maxPlayed      = 16 // m-lines of a WHEP offer: five anchors with picture and sound, and some
	maxCandidates  = 32
	maxFormats     = 128 // payload types of an m-line: there are no more
	maxSDPLines    = 2000
	maxSDPLineSize = 2048
)

// ErrOffer refuses an SDP that can't be read, or that asks for what we don't do.
var ErrOffer = fault.New(fault.Invalid, "sdp", "this SDP offer can't be accepted")

func badOffer(format string, args ...any) error {
	return ErrOffer.Because(fmt.Errorf(format, args...)).Saying(fmt.Sprintf(format, args...))
}

// direction is which way media flows in a session, seen from the client.
type direction int

const (
	publishing direction = iota // WHIP
	playing                     // WHEP
)

// wants gives the directions an m-line may offer, and the one that pion is told.
func (d direction) wants() (allowed []string, told string) {
	if d == publishing {
		return []string{"sendonly", "sendrecv"}, "sendonly"
	}
	return []string{"recvonly", "sendrecv"}, "recvonly"
}

// offer is a client's SDP that passed the checks: only codecs of ours, in our order, each m-line in one direction.
type offer struct {
	sdp    *sdp.SessionDescription
	video  int // m-lines of each kind
	audio  int
	codecs map[webrtc.RTPCodecType][]webrtc.RTPCodecParameters
	ufrag  string
	pwd    string

	each         [][]webrtc.RTPCodecParameters // of every m-line, nil for what is no media
	fingerprints []light.Fingerprint
	lite         bool // the client itself is ICE-lite: then we have to do the checks
}

// parseOffer reads and checks an offer (RFC 9725, section 4; WHEP draft, section 4). It never lets an oversized
// one through and never panics on a malformed one: FuzzParseOffer.
func parseOffer(body []byte, d direction) (*offer, error) {
	if err := checkSize(body, d); err != nil {
		return nil, err
	}
	desc := &sdp.SessionDescription{}
	if err := desc.Unmarshal(body); err != nil {
		return nil, ErrOffer.Saying("the body is not an SDP").Because(err)
	}
	if len(desc.MediaDescriptions) == 0 {
		return nil, badOffer("the offer has no media")
	}
	if err := checkTransport(desc); err != nil {
		return nil, err
	}
	o := &offer{sdp: desc, codecs: map[webrtc.RTPCodecType][]webrtc.RTPCodecParameters{}}
	for i, m := range desc.MediaDescriptions {
		codecs, err := o.take(m, d)
		if err != nil {
			return nil, fmt.Errorf("m-line %d: %w", i, err)
		}
		o.each = append(o.each, codecs)
	}
	if o.video+o.audio == 0 {
		return nil, badOffer("the offer has neither video nor audio")
	}
	if d == publishing && (o.video > 1 || o.audio > 1) {
		return nil, badOffer("publish at most one video and one audio track (RFC 9725, section 4.4.2)")
	}
	o.ufrag, o.pwd = credentials(desc)
	_, o.lite = desc.Attribute(sdp.AttrKeyICELite)
	o.fingerprints = fingerprints(desc)
	if o.ufrag == "" || o.pwd == "" {
		return nil, badOffer("the offer has no ICE credentials")
	}
	return o, nil
}

// checkSize counts before anything is parsed.
func checkSize(body []byte, d direction) error {
	most := maxPublishers
	if d == playing {
		most = maxPlayed
	}
	var lines, media, candidates int
	for line := range bytes.Lines(body) {
		lines++
		switch {
		case len(line) > maxSDPLineSize:
			return badOffer("a line is longer than %d bytes", maxSDPLineSize)
		case bytes.HasPrefix(line, []byte("m=")):
			media++
		case bytes.HasPrefix(line, []byte("a=candidate:")):
			candidates++
		}
	}
	switch {
	case lines > maxSDPLines:
		return badOffer("more than %d lines", maxSDPLines)
	case media > most:
		return badOffer("more than %d m-lines", most)
	case candidates > maxCandidates:
		return badOffer("more than %d ICE candidates", maxCandidates)
	}
	return nil
}

// checkTransport asks for what WebRTC over one socket needs: BUNDLE, rtcp-mux, a fingerprint, and a peer that takes the
// client's side of DTLS (RFC 9725, sections 4.4.1 and 4.4.4).
func checkTransport(desc *sdp.SessionDescription) error {
	if group, ok := desc.Attribute("group"); len(desc.MediaDescriptions) > 1 && (!ok || !strings.HasPrefix(group, "BUNDLE ")) {
		return badOffer("the m-lines must be bundled")
	}
	_, print := desc.Attribute("fingerprint")
	for _, m := range desc.MediaDescriptions {
		if _, ok := m.Attribute("mid"); !ok {
			return badOffer("an m-line has no mid")
		}
		if _, ok := m.Attribute("fingerprint"); ok {
			print = true
		}
		if setup, ok := attribute(desc, m, "setup"); ok && setup == "passive" {
			return badOffer("offer setup actpass or active, not passive")
		}
		if _, ok := m.Attribute("rtcp-mux"); !ok && isMedia(m) && m.MediaName.Port.Value != 0 {
			return badOffer("rtcp-mux is needed")
		}
	}
	if !print {
		return badOffer("the offer has no DTLS fingerprint")
	}
	return nil
}

func attribute(desc *sdp.SessionDescription, m *sdp.MediaDescription, key string) (string, bool) {
	if v, ok := m.Attribute(key); ok {
		return v, true
	}
	return desc.Attribute(key)
}

func isMedia(m *sdp.MediaDescription) bool {
	return m.MediaName.Media == "audio" || m.MediaName.Media == "video"
}

// take checks one m-line, collects its codecs and puts it into the form that pion is told.
func (o *offer) take(m *sdp.MediaDescription, d direction) ([]webrtc.RTPCodecParameters, error) {
	if !isMedia(m) {
		if m.MediaName.Media == "application" {
			return nil, nil // a data channel nobody uses
		}
		return nil, badOffer("media of the kind %q is not known here", m.MediaName.Media)
	}
	if len(m.MediaName.Formats) > maxFormats {
		return nil, badOffer("more than %d payload types", maxFormats)
	}
	allowed, told := d.wants()
	if !setDirection(o.sdp, m, allowed, told) {
		return nil, badOffer("offer the direction %s", allowed[0])
	}
	kind := webrtc.NewRTPCodecType(m.MediaName.Media)
	codecs := ourCodecs(m, kind)
	if !slices.ContainsFunc(codecs, func(c webrtc.RTPCodecParameters) bool { return codecName(c.MimeType) != "rtx" }) {
		return nil, badOffer("no %s codec in common (video: H264, VP8, VP9, AV1; audio: opus)", kind)
	}
	m.MediaName.Formats = m.MediaName.Formats[:0]
	for _, c := range codecs {
		m.MediaName.Formats = append(m.MediaName.Formats, strconv.Itoa(int(c.PayloadType)))
	}
	o.keep(kind, codecs)
	if kind == webrtc.RTPCodecTypeVideo {
		o.video++
	} else {
		o.audio++
	}
	return codecs, nil
}

// keep remembers codecs for the media engine; within a bundle a payload type means the same on every m-line.
func (o *offer) keep(kind webrtc.RTPCodecType, codecs []webrtc.RTPCodecParameters) {
	for _, c := range codecs {
		if !slices.ContainsFunc(o.codecs[kind], func(k webrtc.RTPCodecParameters) bool { return k.PayloadType == c.PayloadType }) {
			o.codecs[kind] = append(o.codecs[kind], c)
		}
	}
}

// setDirection replaces an allowed direction by the one that is told.
func setDirection(desc *sdp.SessionDescription, m *sdp.MediaDescription, allowed []string, told string) bool {
	all := []string{"sendrecv", "sendonly", "recvonly", "inactive"}
	given := "sendrecv"
	for _, a := range slices.Concat(desc.Attributes, m.Attributes) {
		if slices.Contains(all, a.Key) {
			given = a.Key
		}
	}
	m.Attributes = slices.DeleteFunc(m.Attributes, func(a sdp.Attribute) bool { return slices.Contains(all, a.Key) })
	m.Attributes = append(m.Attributes, sdp.NewPropertyAttribute(told))
	return slices.Contains(allowed, given)
}

// ourCodecs gives the codecs of an m-line that we forward, best first, each with its retransmission format.
func ourCodecs(m *sdp.MediaDescription, kind webrtc.RTPCodecType) []webrtc.RTPCodecParameters {
	var codecs []webrtc.RTPCodecParameters
	for _, format := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(format, 10, 7)
		if err != nil {
			continue
		}
		if c, ok := readCodec(m, uint8(pt), kind); ok {
			codecs = append(codecs, c)
		}
	}
	byRank := func(a, b webrtc.RTPCodecParameters) int {
		return rank(codecName(a.MimeType), a.SDPFmtpLine) - rank(codecName(b.MimeType), b.SDPFmtpLine)
	}
	slices.SortStableFunc(codecs, byRank)
	return slices.DeleteFunc(codecs, func(c webrtc.RTPCodecParameters) bool {
		return codecName(c.MimeType) == "rtx" && !slices.ContainsFunc(codecs, func(p webrtc.RTPCodecParameters) bool {
			return codecName(p.MimeType) != "rtx" && fmtpValue(c.SDPFmtpLine, "apt") == strconv.Itoa(int(p.PayloadType))
		})
	})
}

// readCodec collects rtpmap, fmtp and rtcp-fb of one payload type (RFC 8866, section 6; RFC 4585, section 4.2).
func readCodec(m *sdp.MediaDescription, pt uint8, kind webrtc.RTPCodecType) (webrtc.RTPCodecParameters, bool) {
	c := webrtc.RTPCodecParameters{PayloadType: webrtc.PayloadType(pt)}
	number, name := strconv.Itoa(int(pt)), ""
	for _, a := range m.Attributes {
		which, value, _ := strings.Cut(a.Value, " ")
		switch {
		case a.Key == "rtpmap" && which == number:
			parts := strings.Split(value, "/")
			if len(parts) < 2 {
				return c, false
			}
			rate, err := strconv.ParseUint(parts[1], 10, 32)
			if err != nil {
				return c, false
			}
			name, c.ClockRate = parts[0], uint32(rate)
			if len(parts) > 2 && parts[2] == "2" {
				c.Channels = 2
			}
		case a.Key == "fmtp" && which == number:
			c.SDPFmtpLine = strings.TrimSpace(value)
		case a.Key == "rtcp-fb" && (which == number || which == "*"):
			if f, ok := ourFeedback(value); ok {
				c.RTCPFeedback = append(c.RTCPFeedback, f)
			}
		}
	}
	c.MimeType = kind.String() + "/" + name
	lower := strings.ToLower(name)
	if r := rank(lower, c.SDPFmtpLine); r < 0 || c.ClockRate == 0 || (lower != "rtx" && (lower == "opus") != (kind == webrtc.RTPCodecTypeAudio)) {
		return c, false
	}
	return c, true
}

func ourFeedback(value string) (webrtc.RTCPFeedback, bool) {
	typ, parameter, _ := strings.Cut(strings.TrimSpace(value), " ")
	switch typ + " " + parameter {
	case "nack ", "nack pli", "ccm fir", "transport-cc ", "goog-remb ":
		return webrtc.RTCPFeedback{Type: typ, Parameter: parameter}, true
	}
	return webrtc.RTCPFeedback{}, false
}

// credentials gives the ICE user fragment and password of the bundle.
func credentials(desc *sdp.SessionDescription) (ufrag, pwd string) {
	for _, m := range desc.MediaDescriptions {
		u, _ := attribute(desc, m, "ice-ufrag")
		p, _ := attribute(desc, m, "ice-pwd")
		if u != "" && p != "" {
			return u, p
		}
	}
	return "", ""
}

// fingerprints of the client's certificate (RFC 8122, section 5).
func fingerprints(desc *sdp.SessionDescription) []light.Fingerprint {
	var all []light.Fingerprint
	take := func(attributes []sdp.Attribute) {
		for _, a := range attributes {
			algorithm, value, ok := strings.Cut(a.Value, " ")
			f := light.Fingerprint{Algorithm: strings.ToLower(algorithm), Value: strings.ToUpper(strings.TrimSpace(value))}
			if a.Key == "fingerprint" && ok && !slices.Contains(all, f) && len(all) < 8 {
				all = append(all, f)
			}
		}
	}
	take(desc.Attributes)
	for _, m := range desc.MediaDescriptions {
		take(m.Attributes)
	}
	return all
}

// errNotReadable marks what can't be rendered again.
var errNotReadable = errors.New("the offer can't be written")

// text renders the offer as pion is told it.
func (o *offer) text() (string, error) {
	b, err := o.sdp.Marshal()
	if err != nil {
		return "", fmt.Errorf("%w: %w", errNotReadable, err)
	}
	return string(b), nil
}

// restarted gives the same offer with new ICE credentials and candidates, as an ICE restart brings them.
func (o *offer) restarted(f *fragment) (*offer, error) {
	text, err := o.text()
	if err != nil {
		return nil, err
	}
	desc := &sdp.SessionDescription{}
	if err := desc.UnmarshalString(text); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotReadable, err)
	}
	old := func(a sdp.Attribute) bool {
		return slices.Contains([]string{"ice-ufrag", "ice-pwd", "candidate", "end-of-candidates"}, a.Key)
	}
	desc.Attributes = slices.DeleteFunc(desc.Attributes, old)
	for i, m := range desc.MediaDescriptions {
		m.Attributes = slices.DeleteFunc(m.Attributes, old)
		m.Attributes = append(m.Attributes, sdp.NewAttribute("ice-ufrag", f.ufrag), sdp.NewAttribute("ice-pwd", f.pwd))
		if i > 0 {
			continue
		}
		for _, c := range f.candidates {
			m.Attributes = append(m.Attributes, sdp.NewAttribute("candidate", c))
		}
	}
	next := *o
	next.sdp, next.ufrag, next.pwd = desc, f.ufrag, f.pwd
	next.sdp.Origin.SessionVersion++
	return &next, nil
}
