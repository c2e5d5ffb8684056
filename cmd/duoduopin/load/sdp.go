package load

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// Payload types that the light viewers offer.
const (
	ptVideo = 102
	ptRTX   = 103
	ptAudio = 111
)

const twccURI = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"

// credentials are an ICE user fragment and password (RFC 8839, section 5.4).
type credentials struct{ ufrag, pwd string }

func newCredentials() credentials {
	b := make([]byte, 20)
	_, _ = rand.Read(b) // never fails
	return credentials{ufrag: hex.EncodeToString(b[:4]), pwd: hex.EncodeToString(b[4:])}
}

// offer is what a browser that only watches would offer, without candidates: the server learns the address from the
// first check.
func offer(c credentials, fingerprint string) string {
	common := func(kind, mid, formats string) []string {
		return []string{
			"m=" + kind + " 9 UDP/TLS/RTP/SAVPF " + formats, "c=IN IP4 0.0.0.0", "a=mid:" + mid, "a=recvonly",
			"a=ice-ufrag:" + c.ufrag, "a=ice-pwd:" + c.pwd, "a=ice-options:trickle", "a=fingerprint:sha-256 " + fingerprint, "a=setup:actpass",
			"a=rtcp-mux", "a=rtcp-rsize", "a=extmap:3 " + twccURI, "a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid",
		}
	}
	lines := []string{"v=0", "o=- 4611732185 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0 1", "a=msid-semantic: WMS"}
	lines = append(lines, common("video", "0", "102 103")...)
	lines = append(lines, "a=rtpmap:102 H264/90000", "a=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
		"a=rtcp-fb:102 nack", "a=rtcp-fb:102 nack pli", "a=rtcp-fb:102 transport-cc", "a=rtpmap:103 rtx/90000", "a=fmtp:103 apt=102")
	lines = append(lines, common("audio", "1", "111")...)
	lines = append(lines, "a=rtpmap:111 opus/48000/2", "a=fmtp:111 minptime=10;useinbandfec=1", "a=rtcp-fb:111 transport-cc")
	return strings.Join(lines, "\r\n") + "\r\n"
}

// answer is what of the server's answer a light viewer needs.
type answer struct {
	credentials
	fingerprint string         // sha-256, in capitals
	server      netip.AddrPort // first UDP host candidate
	twcc        uint8          // id of the header extension; 0: none
}

// parseAnswer reads an answer.
func parseAnswer(text string) (answer, error) {
	var a answer
	var desc sdp.SessionDescription
	if err := desc.UnmarshalString(text); err != nil {
		return a, err
	}
	for _, at := range desc.Attributes {
		a.take(at)
	}
	for _, m := range desc.MediaDescriptions {
		for _, at := range m.Attributes {
			a.take(at)
		}
	}
	switch {
	case a.ufrag == "" || a.pwd == "":
		return a, errors.New("the answer has no ICE credentials")
	case a.fingerprint == "":
		return a, errors.New("the answer has no sha-256 fingerprint")
	case !a.server.IsValid():
		return a, errors.New("the answer has no UDP host candidate")
	}
	return a, nil
}

// take keeps the first of each attribute: all m-lines are one bundle.
func (a *answer) take(at sdp.Attribute) {
	first := func(to *string) {
		if *to == "" {
			*to = at.Value
		}
	}
	switch at.Key {
	case "ice-ufrag":
		first(&a.ufrag)
	case "ice-pwd":
		first(&a.pwd)
	case "fingerprint":
		if value, ok := strings.CutPrefix(at.Value, "sha-256 "); ok {
			at.Value = strings.ToUpper(value)
			first(&a.fingerprint)
		}
	case "candidate":
		if c, err := candidate(at.Value); err == nil && !a.server.IsValid() {
			a.server = c
		}
	case "extmap":
		id, uri, _ := strings.Cut(at.Value, " ")
		id, _, _ = strings.Cut(id, "/")
		if n, err := strconv.ParseUint(id, 10, 8); err == nil && strings.TrimSpace(uri) == twccURI && n < 15 {
			a.twcc = uint8(n)
		}
	}
}

// candidate reads the address of a UDP host candidate (RFC 8839, section 5.1).
func candidate(value string) (netip.AddrPort, error) {
	f := strings.Fields(value)
	if len(f) < 8 || !strings.EqualFold(f[2], "udp") || f[7] != "host" {
		return netip.AddrPort{}, errors.New("not a UDP host candidate")
	}
	to, err := netip.ParseAddrPort(fmt.Sprintf("%s:%s", f[4], f[5]))
	if err != nil { // IPv6 stands without brackets
		to, err = netip.ParseAddrPort(fmt.Sprintf("[%s]:%s", f[4], f[5]))
	}
	return to, err
}
