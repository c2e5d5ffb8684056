package stream

import "strings"

// codecName is a codec's short name in lower case, such as "h264" for video/H264.
func codecName(mime string) string {
	_, name, _ := strings.Cut(strings.ToLower(mime), "/")
	return name
}

// startsKeyFrame gives the test whether a payload begins a frame from which a decoder can start. Codecs without such
// frames (audio) may be joined at any packet.
func startsKeyFrame(codec string) func(payload []byte) bool {
	switch codec {
	case "h264":
		return h264Key
	case "vp8":
		return vp8Key
	case "vp9":
		return vp9Key
	case "av1":
		return av1Key
	}
	return func([]byte) bool { return true }
}

// NAL unit types of H.264 that matter here (RFC 6184, section 5.2).
const (
	nalIDR   = 5
	nalSPS   = 7
	nalSTAPA = 24
	nalFUA   = 28
)

// h264Key finds a sequence parameter set, or the first piece of an IDR picture.
func h264Key(p []byte) bool {
	if len(p) < 2 {
		return false
	}
	switch p[0] & 0x1f {
	case nalIDR, nalSPS:
		return true
	case nalFUA:
		return p[1]&0x80 != 0 && (p[1]&0x1f == nalIDR || p[1]&0x1f == nalSPS)
	case nalSTAPA:
		return stapHasKey(p[1:])
	}
	return false
}

func stapHasKey(p []byte) bool {
	for len(p) > 2 {
		size := int(p[0])<<8 | int(p[1])
		if t := p[2] & 0x1f; t == nalIDR || t == nalSPS {
			return true
		}
		if 2+size >= len(p) {
			return false
		}
		p = p[2+size:]
	}
	return false
}

// vp8Key reads the payload descriptor (RFC 7741, section 4.2): start of partition 0 and, in the frame header, no
// inter-frame bit.
func vp8Key(p []byte) bool {
	at := vp8Header(p)
	return at > 0 && len(p) > at && p[at]&0x01 == 0
}

// vp8Header gives the length of the payload descriptor of a frame's first packet, -1 for any other.
func vp8Header(p []byte) int {
	if len(p) < 2 || p[0]&0x10 == 0 || p[0]&0x07 != 0 {
		return -1
	}
	at := 1
	if p[0]&0x80 != 0 {
		x := p[1]
		at++
		if x&0x80 != 0 { // picture id, of one or two bytes
			if len(p) <= at {
				return -1
			}
			if p[at]&0x80 != 0 {
				at++
			}
			at++
		}
		if x&0x40 != 0 {
			at++
		}
		if x&0x30 != 0 {
			at++
		}
	}
	return at
}

// vp9Key reads the payload descriptor (RFC 9628, section 4.2): begin of a frame that is not inter-picture predicted, in
// the lowest spatial layer.
func vp9Key(p []byte) bool {
	if len(p) < 1 || p[0]&0x40 != 0 || p[0]&0x08 == 0 {
		return false
	}
	if p[0]&0x20 == 0 { // no layer indices: one layer only
		return true
	}
	at := 1
	if p[0]&0x80 != 0 {
		if len(p) <= at {
			return false
		}
		if p[at]&0x80 != 0 {
			at++
		}
		at++
	}
	return len(p) > at && (p[at]>>1)&0x07 == 0
}

// av1Key looks at the N bit of the aggregation header: first packet of a coded video sequence (AV1 RTP, section 4.4).
func av1Key(p []byte) bool { return len(p) > 1 && p[0]&0x88 == 0x08 }
