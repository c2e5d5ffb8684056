package stream

import (
	"sync"
	"time"

	"github.com/pion/rtcp"
)

// ntpEpoch is the difference between NTP's and Unix's zero, in seconds.
const ntpEpoch = 2208988800

// toNTP turns Unix ns into the 64-bit NTP form of sender reports (RFC 3550, section 4).
func toNTP(ns int64) uint64 {
	sec, frac := ns/1e9, ns%1e9
	return uint64(sec+ntpEpoch)<<32 | uint64(frac)<<32/1e9 //nolint:gosec // times after 1970
}

// fromNTP is the inverse of toNTP.
func fromNTP(v uint64) int64 {
	return (int64(v>>32)-ntpEpoch)*1e9 + int64((v&0xffffffff)*1e9>>32) //nolint:gosec // 32 bits each
}

// wallOffset maps a publisher's clock to ours. All layers of one publisher share it, so that whatever error it has moves
// sound and picture together and never against each other.
type wallOffset struct {
	mu    sync.Mutex
	known bool
	ns    int64 // ours minus theirs
}

// saw takes a sender report's time and when it came. The quickest report is nearest to the truth; the offset follows
// slower ones by 0.1 ms each, for clocks that drift.
func (o *wallOffset) saw(theirs, ours int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if d := ours - theirs; !o.known || d < o.ns || d-o.ns > int64(time.Second) {
		o.known, o.ns = true, d
	} else if d > o.ns {
		o.ns += min(d-o.ns, int64(100*time.Microsecond))
	}
}

func (o *wallOffset) get() int64 { o.mu.Lock(); defer o.mu.Unlock(); return o.ns }

// senderClock knows which RTP timestamp of a layer belongs to which moment: by the publisher's sender reports, and until
// one has come by the arrival of packets.
type senderClock struct {
	rate   int64
	offset *wallOffset

	mu       sync.Mutex
	reported bool
	ntp      int64 // publisher's clock, Unix ns
	rtp      uint32
	lastTS   uint32
	lastAt   int64
}

// report takes a sender report of this layer.
func (c *senderClock) report(sr *rtcp.SenderReport, now int64) {
	theirs := fromNTP(sr.NTPTime)
	c.offset.saw(theirs, now)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reported, c.ntp, c.rtp = true, theirs, sr.RTPTime
}

// arrived takes the timestamp of a packet that came at now.
func (c *senderClock) arrived(ts uint32, now int64) {
	c.mu.Lock()
	c.lastTS, c.lastAt = ts, now
	c.mu.Unlock()
}

// at gives the layer's RTP timestamp for the moment now (Unix ns of our clock).
func (c *senderClock) at(now int64) uint32 {
	c.mu.Lock()
	defer c.mu.Unlock()
	base, since := c.lastTS, now-c.lastAt
	if c.reported {
		base, since = c.rtp, now-c.offset.get()-c.ntp
	}
	return base + uint32(since/1e3*c.rate/1e6) //nolint:gosec // wraps as RTP time does
}

// when is the inverse of at: the moment at which a timestamp was captured, Unix ns of our clock.
func (c *senderClock) when(ts uint32) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	base, at := c.lastTS, c.lastAt
	if c.reported {
		base, at = c.rtp, c.ntp+c.offset.get()
	}
	return at + int64(int32(ts-base))*1e6/c.rate*1e3 //nolint:gosec // the sign is the point
}
