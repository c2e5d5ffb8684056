package units

import (
	"encoding/base64"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/pion/rtp/codecs"
)

// depacketizer joins payloads, which come in order and without gaps, to one unit after another.
type depacketizer interface {
	add(payload []byte) bool // false: can't be understood
	take(u *Unit) bool       // puts what was joined into u and begins anew; false: nothing usable
	reset()
}

func newDepacketizer(codec, fmtp string) depacketizer {
	switch codec {
	case "h264":
		return newH264(fmtp)
	case "vp8":
		return &joined{strip: vp8Payload}
	case "vp9":
		return &joined{strip: vp9Payload}
	case "av1":
		return &av1Joined{}
	}
	return &joined{strip: func(p []byte) ([]byte, bool) { return p, true }}
}

// joined is a codec whose frame is its payloads one after another, less a descriptor.
type joined struct {
	strip func(payload []byte) ([]byte, bool)
	frame []byte
}

func (j *joined) add(p []byte) bool {
	data, ok := j.strip(p)
	j.frame = append(j.frame, data...)
	return ok
}

func (j *joined) take(u *Unit) bool {
	u.Parts = [][]byte{j.frame}
	j.frame = nil
	return len(u.Parts[0]) > 0
}

func (j *joined) reset() { j.frame = nil }

func vp8Payload(p []byte) ([]byte, bool) {
	var d codecs.VP8Packet
	data, err := d.Unmarshal(p)
	return data, err == nil
}

// vp9Payload keeps the lowest spatial layer, which plays by itself; joining the others would need a superframe index.
func vp9Payload(p []byte) ([]byte, bool) {
	var d codecs.VP9Packet
	data, err := d.Unmarshal(p)
	if err == nil && d.L && d.SID > 0 {
		return nil, true
	}
	return data, err == nil
}

// av1Joined is AV1 (RTP Payload Format For AV1, section 4).
type av1Joined struct {
	d    codecs.AV1Depacketizer
	obus []byte
}

func (a *av1Joined) add(p []byte) bool {
	data, err := a.d.Unmarshal(p)
	a.obus = append(a.obus, data...)
	return err == nil
}

func (a *av1Joined) take(u *Unit) bool {
	var bs av1.Bitstream
	err := bs.Unmarshal(a.obus)
	a.obus = nil
	if err != nil || len(bs) == 0 {
		return false
	}
	u.Parts = bs
	return true
}

func (a *av1Joined) reset() { a.d, a.obus = codecs.AV1Depacketizer{}, nil }

// NAL unit types of H.264 (RFC 6184, section 5.2; ITU-T H.264, table 7-1).
const (
	nalSlice = 1
	nalIDR   = 5
	nalSPS   = 7
	nalPPS   = 8
	nalAUD   = 9
	nalSTAPA = 24
	nalFUA   = 28
)

// h264 joins single NAL units, STAP-A and FU-A (RFC 6184, sections 5.6 to 5.8), that is packetization modes 0 and 1.
type h264 struct {
	units    [][]byte
	fragment []byte // of a FU-A under way; nil: none
	sps, pps []byte
}

// newH264 takes the parameter sets of an offer's sprop-parameter-sets, for publishers that do not repeat them.
func newH264(fmtp string) *h264 {
	h := &h264{}
	for part := range strings.SplitSeq(fmtp, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(key, "sprop-parameter-sets") {
			continue
		}
		for set := range strings.SplitSeq(value, ",") {
			if nal, err := base64.StdEncoding.DecodeString(set); err == nil {
				h.note(nal)
			}
		}
	}
	return h
}

func (h *h264) add(p []byte) bool {
	if len(p) == 0 {
		return false
	}
	switch p[0] & 0x1f {
	case nalSTAPA:
		return h.aggregate(p[1:])
	case nalFUA:
		return h.piece(p)
	case 0, 25, 26, 27, 29, 30, 31: // interleaved mode, or none at all
		return false
	}
	h.units = append(h.units, p)
	return true
}

func (h *h264) aggregate(p []byte) bool {
	for len(p) > 2 {
		size := int(p[0])<<8 | int(p[1])
		if size == 0 || 2+size > len(p) {
			return false
		}
		h.units = append(h.units, p[2:2+size])
		p = p[2+size:]
	}
	return len(p) == 0
}

func (h *h264) piece(p []byte) bool {
	if len(p) < 3 {
		return false
	}
	start, end := p[1]&0x80 != 0, p[1]&0x40 != 0
	if start {
		h.fragment = []byte{p[0]&0xe0 | p[1]&0x1f}
	}
	if h.fragment == nil {
		return false
	}
	h.fragment = append(h.fragment, p[2:]...)
	if end {
		h.units = append(h.units, h.fragment)
		h.fragment = nil
	}
	return true
}

func (h *h264) take(u *Unit) bool {
	units, whole := h.units, h.fragment == nil
	h.reset()
	u.Key = false
	picture := false
	for _, nal := range units {
		h.note(nal)
		switch nal[0] & 0x1f {
		case nalAUD:
			continue
		case nalIDR:
			u.Key, picture = true, true
		case nalSlice:
			picture = true
		}
		u.Parts = append(u.Parts, nal)
	}
	u.SPS, u.PPS = h.sps, h.pps
	return picture && whole
}

// note keeps a parameter set. Of several in one unit the last stands.
func (h *h264) note(nal []byte) {
	if len(nal) == 0 {
		return
	}
	switch nal[0] & 0x1f {
	case nalSPS:
		h.sps = nal
	case nalPPS:
		h.pps = nal
	}
}

func (h *h264) reset() { h.units, h.fragment = nil, nil }
