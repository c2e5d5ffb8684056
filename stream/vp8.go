package stream

import "encoding/binary"

// vp8Desc is what a VP8 payload descriptor (RFC 7741, section 4.2) says of the picture's numbers. Offsets are into the
// payload; 0 = not there.
type vp8Desc struct {
	size    int // of the descriptor
	picture int // offset of the picture id
	wide    bool
	tl0     int // offset of TL0PICIDX
}

// parseVP8 reads a descriptor; false if it is cut off.
func parseVP8(p []byte) (d vp8Desc, ok bool) {
	if len(p) < 1 {
		return d, false
	}
	d.size = 1
	if p[0]&0x80 == 0 { // no extension: no numbers
		return d, true
	}
	if len(p) < 2 {
		return d, false
	}
	has := p[1]
	d.size = 2
	if has&0x80 != 0 {
		if len(p) <= d.size {
			return d, false
		}
		d.picture, d.wide = d.size, p[d.size]&0x80 != 0
		d.size++
		if d.wide {
			d.size++
		}
	}
	if has&0x40 != 0 {
		d.tl0 = d.size
		d.size++
	}
	if has&0x30 != 0 {
		d.size++
	}
	return d, len(p) >= d.size
}

// vp8Numbers makes the picture numbers of all layers and publishers that a viewer gets one rising count: a decoder takes a
// step back, or a leap, for loss.
type vp8Numbers struct {
	anew    bool // the next packet begins a run
	started bool
	picture uint16 // added to picture ids
	tl0     uint8  // and to TL0PICIDX
	lastPic uint16
	lastTL0 uint8
	head    [6]byte
}

// rewrite gives a packet's descriptor with this viewer's numbers, and the payload after it. fresh: it is sent for the
// first time. What is no VP8 stays whole. The descriptor is good until the next call.
func (n *vp8Numbers) rewrite(payload []byte, fresh bool) (head, rest []byte) {
	d, ok := parseVP8(payload)
	if !ok || d.picture == 0 {
		return nil, payload
	}
	head = n.head[:copy(n.head[:d.size], payload)]
	pic := uint16(head[d.picture] & 0x7f)
	if d.wide {
		pic = binary.BigEndian.Uint16(head[d.picture:]) & 0x7fff
	}
	var tl0 uint8
	if d.tl0 > 0 {
		tl0 = head[d.tl0]
	}
	if n.anew && fresh {
		if n.started {
			n.picture, n.tl0 = n.lastPic+1-pic, n.lastTL0+1-tl0
		}
		n.anew, n.started = false, true
	}
	pic, tl0 = (pic+n.picture)&0x7fff, tl0+n.tl0
	if d.wide {
		binary.BigEndian.PutUint16(head[d.picture:], pic|0x8000)
	} else {
		head[d.picture] = uint8(pic & 0x7f)
	}
	if d.tl0 > 0 {
		head[d.tl0] = tl0
	}
	if fresh {
		n.lastPic, n.lastTL0 = pic, tl0
	}
	return head, payload[d.size:]
}
