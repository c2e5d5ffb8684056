package pace

import "github.com/pion/rtcp"

const maxStatuses = 4 * ringSize // a feedback that speaks of more is nonsense

// viewerClock unwraps the reference time of feedback: 24 bits of 64 ms, at a clock of the viewer's own.
type viewerClock struct {
	known bool
	last  int64 // in units of 64 ms
}

// unwrap gives the µs nearest to the last ones, beginning at a positive value.
func (c *viewerClock) unwrap(ref uint32) int64 {
	if !c.known {
		c.known, c.last = true, 1<<24+int64(ref&0xffffff)
		return c.last * 64_000
	}
	step := int64(int32((ref-uint32(c.last))<<8) >> 8) //nolint:gosec // 24-bit arithmetic with sign
	c.last = max(c.last+step, 0)
	return c.last * 64_000
}

// reader walks over the statuses of a feedback packet.
type reader struct {
	e      *Estimator
	now    int64 // Unix ns
	seq    uint16
	at     int64 // µs by the viewer's clock
	deltas []*rtcp.RecvDelta
	left   int
	news   bool // something was said about a packet that we sent
}

// read applies a feedback packet; false if it told nothing about a packet of ours.
func (e *Estimator) read(fb *rtcp.TransportLayerCC, now int64) bool {
	if fb.PacketStatusCount > maxStatuses || len(fb.PacketChunks) > maxStatuses {
		return false
	}
	r := reader{
		e: e, now: now, seq: fb.BaseSequenceNumber, at: e.clock.unwrap(fb.ReferenceTime),
		deltas: fb.RecvDeltas, left: int(fb.PacketStatusCount),
	}
	for _, c := range fb.PacketChunks {
		if !r.chunk(c) {
			break
		}
	}
	return r.news
}

// chunk applies a chunk (section 3.1.1 and on); false ends the reading.
func (r *reader) chunk(c rtcp.PacketStatusChunk) bool {
	switch c := c.(type) {
	case *rtcp.RunLengthChunk:
		for range c.RunLength {
			if !r.status(c.PacketStatusSymbol) {
				return false
			}
		}
	case *rtcp.StatusVectorChunk:
		for _, symbol := range c.SymbolList {
			if !r.status(symbol) {
				return false
			}
		}
	}
	return r.left > 0
}

func (r *reader) status(symbol uint16) bool {
	if r.left <= 0 {
		return false
	}
	seq := r.seq
	r.left--
	r.seq++
	switch symbol {
	case rtcp.TypeTCCPacketReceivedSmallDelta, rtcp.TypeTCCPacketReceivedLargeDelta:
		if len(r.deltas) == 0 || r.deltas[0] == nil {
			return false // times are missing: the rest can't be trusted
		}
		r.at += r.deltas[0].Delta
		r.deltas = r.deltas[1:]
		r.news = r.e.arrived(seq, r.at, r.now) || r.news
	case rtcp.TypeTCCPacketNotReceived:
		r.news = r.e.missing(seq) || r.news
	}
	return true
}

// find gives the packet seq if it is still remembered.
func (e *Estimator) find(seq uint16) *sent {
	s := &e.ring[seq%ringSize]
	if s.note == 0 || s.seq != seq {
		return nil
	}
	return s
}

// arrived notes that a packet arrived at recv, in µs by the viewer's clock; false if that is not new.
func (e *Estimator) arrived(seq uint16, recv, now int64) bool {
	s := e.find(seq)
	if s == nil || s.note&acked != 0 {
		return false
	}
	late := s.note&lost != 0
	s.note = s.note&^lost | acked
	e.loss.got(late)
	at := e.sentAt(s, now)
	e.heard = max(e.heard, at)
	e.in.add(recv, s.size())
	e.trend.add(at, recv, now)
	if s.note&probing != 0 {
		e.probe.arrived(at, recv, s.size())
	}
	return true
}

// missing notes that a packet had not arrived when the feedback was written; false if that is not new.
func (e *Estimator) missing(seq uint16) bool {
	s := e.find(seq)
	if s == nil || s.note&(acked|lost) != 0 {
		return false
	}
	s.note |= lost
	e.loss.lost()
	return true
}
