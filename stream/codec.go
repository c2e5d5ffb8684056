package stream

import (
	"strconv"
	"strings"

	"github.com/pion/webrtc/v4"
)

// rank orders codecs by how well they serve all viewers, HLS and recording without transcoding: H.264 constrained
// baseline in packetization mode 1 first, what can only be passed through last. Negative: not ours.
func rank(name, fmtp string) int {
	switch name {
	case "h264":
		return h264Rank(fmtp)
	case "vp8":
		return 10
	case "vp9":
		return 11
	case "av1":
		return 12
	case "opus":
		return 0
	case "rtx":
		return 50
	}
	return -1
}

func h264Rank(fmtp string) int {
	r := 0
	switch level := fmtpValue(fmtp, "profile-level-id"); {
	case strings.HasPrefix(level, "42e0"):
	case strings.HasPrefix(level, "42"), level == "":
		r = 1
	case strings.HasPrefix(level, "4d"):
		r = 2
	default:
		r = 3
	}
	if fmtpValue(fmtp, "packetization-mode") != "1" {
		r += 4
	}
	return r
}

// fmtpValue gives one parameter of an fmtp line, in lower case; empty if it is not there.
func fmtpValue(fmtp, key string) string {
	for part := range strings.SplitSeq(fmtp, ";") {
		if k, v, ok := strings.Cut(strings.TrimSpace(part), "="); ok && strings.EqualFold(k, key) {
			return strings.ToLower(v)
		}
	}
	return ""
}

// pickCodec finds the codec among a viewer's that plays what a publisher sends: the same name, and the nearest profile.
// Browsers decode more H.264 profiles than they say, so another profile is better than no picture.
func pickCodec(sent webrtc.RTPCodecCapability, offered []webrtc.RTPCodecParameters) (webrtc.RTPCodecParameters, bool) {
	name, best, bestScore := codecName(sent.MimeType), webrtc.RTPCodecParameters{}, -1
	for _, c := range offered {
		if codecName(c.MimeType) != name {
			continue
		}
		if score := nearness(name, sent.SDPFmtpLine, c.SDPFmtpLine); score > bestScore {
			best, bestScore = c, score
		}
	}
	return best, bestScore >= 0
}

func nearness(name, a, b string) int {
	same := func(key, standard string) int {
		x, y := fmtpValue(a, key), fmtpValue(b, key)
		if x == "" {
			x = standard
		}
		if y == "" {
			y = standard
		}
		if x == y {
			return 1
		}
		return 0
	}
	switch name {
	case "h264":
		score := 4 * same("packetization-mode", "0")
		x, y := fmtpValue(a, "profile-level-id"), fmtpValue(b, "profile-level-id")
		switch {
		case len(x) == 6 && len(y) == 6 && x[:4] == y[:4]:
			score += 2
		case len(x) == 6 && len(y) == 6 && x[:2] == y[:2]:
			score++
		}
		return score
	case "vp9":
		return same("profile-id", "0")
	case "av1":
		return same("profile", "0")
	}
	return 0
}

// rtxFor gives the payload type of retransmissions of pt, 0 if there is none.
func rtxFor(pt webrtc.PayloadType, codecs []webrtc.RTPCodecParameters) webrtc.PayloadType {
	for _, c := range codecs {
		if codecName(c.MimeType) == "rtx" && fmtpValue(c.SDPFmtpLine, "apt") == strconv.Itoa(int(pt)) {
			return c.PayloadType
		}
	}
	return 0
}
