package pace

import "math"

const (
	points     = 20      // groups that the line is fitted through
	burst      = 5_000   // µs: what is sent within this is one group
	smoothing  = 0.9     // of the delay, from group to group
	gain       = 4.0     // scales the slope to the threshold
	maxSlopes  = 60      // the slope counts up to this many times
	minQueue   = 80.0    // ms: less is jitter or a key frame, whatever the slope
	rushQueue  = 120.0   // ms
	rushRise   = 30.0    // ms
	steadyRise = 10.0    // ms
	lateAfter  = 150_000 // µs: a packet later than this, through its own frame, says by itself that the line is full
	ownFrame   = 120_000 // µs of that
	maxStep    = 40_000  // µs: longer between two packets of a frame is a pause of the line, not its slowness
	maxGap     = 3e6     // µs between groups after which history means nothing
	baseHolds  = second * 15
)

// trend watches whether packets take longer and longer (draft-ietf-rmcat-gcc-02, section 5, with a line fitted through
// the delays instead of a Kalman filter). Packets sent within 5 ms are one group. A group's delay is that of its quickest
// packet, so a big frame's own length on the line doesn't count, only the queue that it finds.
type trend struct {
	// The open group, in µs; delays hold an unknown constant, the difference of two clocks.
	open      bool
	sentFirst int64
	quickest  int64 // least one-way delay in it
	recvFirst int64
	lastRecv  int64
	own       int64 // how long its packets have kept arriving one by one; a pause counts little
	late      bool  // its latest packet took so long that a single frame says enough

	// The groups before.
	prev, prevRecv int64
	groups         int
	delay, smooth  float64 // ms, against the first group
	x, y           [points]float64
	slope          float64 // ms per ms
	threshold      float64
	overFor        float64 // ms
	overCount      int
	over, under    bool

	// The queue itself.
	queue         float64  // ms that the last group waited, against the best of the last 15-30 s
	least         float64  // ms, the shortest since it became longer than minQueue; 0 = it is not
	base          [2]int64 // least one-way delay in this span and the span before
	baseAt        int64    // Unix ns, when this span began
	standingFor   float64  // ms
	standingQueue float64  // ms, the longest in that time
}

func (t *trend) reset() {
	*t = trend{threshold: 12.5, base: [2]int64{math.MaxInt64, math.MaxInt64}}
}

// add takes a packet's time of sending and of arrival, in µs of two clocks. now is for what ages, in Unix ns.
func (t *trend) add(at, recv, now int64) {
	delay := recv - at
	if t.open && at < t.sentFirst {
		return // reordered feedback: its group is closed
	}
	if t.open && at-t.sentFirst <= burst {
		t.quickest = min(t.quickest, delay)
		t.own += min(max(recv-t.lastRecv, 0), maxStep)
		t.lastRecv = max(t.lastRecv, recv)
		t.late = delay-min(t.base[0], t.base[1]) > lateAfter && t.own > ownFrame
		t.recvFirst = min(t.recvFirst, recv)
		return
	}
	if t.open {
		t.close(now)
	}
	t.open, t.sentFirst, t.quickest, t.recvFirst = true, at, delay, recv
	t.lastRecv, t.own, t.late = recv, 0, false
}

// close takes the open group as a point.
func (t *trend) close(now int64) {
	t.keepBase(now)
	t.queue = float64(t.quickest-min(t.base[0], t.base[1])) / 1000
	gap := t.recvFirst - t.prevRecv
	if t.groups == 0 || gap > maxGap || gap < -maxGap {
		t.begin()
		return
	}
	t.delay += float64(t.quickest-t.prev) / 1000
	t.smooth += (1 - smoothing) * (t.delay - t.smooth)
	t.prev, t.prevRecv = t.quickest, t.recvFirst
	t.x[t.groups%points], t.y[t.groups%points] = float64(t.recvFirst)/1000, t.smooth
	t.groups++
	t.detect(float64(max(gap, 0)) / 1000)
}

func (t *trend) begin() {
	t.groups, t.delay, t.smooth, t.slope = 1, 0, 0, 0
	t.over, t.under, t.overFor, t.overCount = false, false, 0, 0
	t.x[0], t.y[0] = float64(t.recvFirst)/1000, 0
	t.prev, t.prevRecv = t.quickest, t.recvFirst
}

// keepBase keeps the least delay of two spans, so that a drifting clock or a new path is forgotten.
func (t *trend) keepBase(now int64) {
	if now-t.baseAt > baseHolds {
		t.base[1], t.base[0], t.baseAt = t.base[0], t.quickest, now
	}
	t.base[0] = min(t.base[0], t.quickest)
}

// detect compares the slope with the threshold; dt is ms since the group before. A steep slope counts only while the
// queue really grows: the smoothed delay still rises when a key frame or a pause of the line is long over.
func (t *trend) detect(dt float64) {
	before := t.slope
	t.slope = t.fit()
	scaled := float64(min(t.groups, maxSlopes)) * gain * t.slope
	t.under = scaled < -t.threshold
	t.over = false
	rise := t.rise()
	switch {
	case scaled <= t.threshold || t.queue < minQueue:
		t.overFor, t.overCount = 0, 0
	case rise > steadyRise:
		t.overFor += dt
		t.overCount++
		t.over = t.overFor > 10 && t.overCount > 1 && t.slope >= before
	}
	// So fast that no line needs to be fitted.
	t.over = t.over || (t.queue > rushQueue && rise > rushRise)
	t.stand(dt)
	t.adapt(math.Abs(scaled), dt)
}

// rise is by how many ms the queue has grown since its least, while it is a queue at all.
func (t *trend) rise() float64 {
	switch {
	case t.queue < minQueue:
		t.least = 0
		return 0
	case t.least == 0 || t.queue < t.least:
		t.least = t.queue
	}
	return t.queue - t.least
}

// stand sees a queue that is long though it grows no more: the slope is blind for it.
func (t *trend) stand(dt float64) {
	if t.queue < standing || t.queue < t.standingQueue*0.7 {
		t.standingFor, t.standingQueue = 0, t.queue
		return
	}
	t.standingFor += dt
	t.standingQueue = max(t.standingQueue, t.queue)
	t.over = t.over || t.standingFor > 200
}

// adapt moves the threshold towards the slopes seen (section 5.4, with libwebrtc's speeds), so that lasting jitter is not
// taken for congestion. Outliers don't count.
func (t *trend) adapt(scaled, dt float64) {
	if scaled > t.threshold+15 {
		return
	}
	k := 0.0087
	if scaled < t.threshold {
		k = 0.039
	}
	t.threshold = min(max(t.threshold+k*(scaled-t.threshold)*min(dt, 100), 6), 600)
}

// fit is the least-squares slope through the points.
func (t *trend) fit() float64 {
	n := min(t.groups, points)
	if n < 5 {
		return 0
	}
	var mx, my float64
	for i := range n {
		mx += t.x[i]
		my += t.y[i]
	}
	mx /= float64(n)
	my /= float64(n)
	var top, bottom float64
	for i := range n {
		dx := t.x[i] - mx
		top += dx * (t.y[i] - my)
		bottom += dx * dx
	}
	if bottom < 1e-9 {
		return 0
	}
	return top / bottom
}

// full says that the line is filling, or that a queue is too long and does not shorten.
func (t *trend) full() bool { return t.over || t.late }
