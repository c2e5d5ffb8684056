package stream

import "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

// pictureSize reads width and height out of the first packet of a key frame; zero where it does not say.
func pictureSize(codec string, p []byte) (width, height int) {
	switch codec {
	case "h264":
		return h264Size(p)
	case "vp8":
		return vp8Size(p)
	}
	return 0, 0
}

// h264Size finds a sequence parameter set, alone or at the head of a STAP-A (RFC 6184, section 5.7.1).
func h264Size(p []byte) (width, height int) {
	if len(p) > 3 && p[0]&0x1f == nalSTAPA {
		n := int(p[1])<<8 | int(p[2])
		p = p[3:min(len(p), 3+n)]
	}
	if len(p) < 4 || p[0]&0x1f != nalSPS {
		return 0, 0
	}
	var sps h264.SPS
	if sps.Unmarshal(p) != nil {
		return 0, 0
	}
	return sps.Width(), sps.Height()
}

// vp8Size reads the frame header behind the payload descriptor (RFC 6386, section 9.1).
func vp8Size(p []byte) (width, height int) {
	at := vp8Header(p)
	if at < 0 || len(p) < at+10 || p[at+3] != 0x9d || p[at+4] != 0x01 || p[at+5] != 0x2a {
		return 0, 0
	}
	return int(p[at+6]) | int(p[at+7]&0x3f)<<8, int(p[at+8]) | int(p[at+9]&0x3f)<<8
}
