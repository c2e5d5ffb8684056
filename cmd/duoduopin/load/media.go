package load

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
)

// MediaOptions say how much picture goes to how many.
type MediaOptions struct {
	Viewers int
	Bitrate int // bit/s
	Time    time.Duration
	Growth  []int // numbers of viewers, ascending: how the cost grows; none: not measured
	Pinned  *Processors

	Calm     time.Duration // for the server to settle before something is read
	NoFloors bool
}

// MediaResult is what forwarding cost, beside what a server that does nothing else would have needed in the same run.
type MediaResult struct {
	Viewers         int       `json:"viewers"`
	Connected       int       `json:"connected"` // with a whole key frame
	Bitrate         int       `json:"bitrate"`
	Pinned          bool      `json:"pinned"` // server on one CPU, generator on another
	Seconds         float64   `json:"seconds"`
	Packets         float64   `json:"packets_forwarded"` // received by viewers in that time
	CPUPerMillion   float64   `json:"cpu_seconds_per_million_packets"`
	Floor           Floors    `json:"floor_cpu_seconds_per_million_packets"`
	FloorRounds     [2]Floors `json:"floor_rounds"` // before and after
	Ratio           float64   `json:"ratio_to_floor_gso_3"`
	Ratio10         float64   `json:"ratio_to_floor_gso_10"` // a server that sends a frame's packets together is measured by this one
	ReceivedShare   float64   `json:"received_share"`
	ControlShare    float64   `json:"control_received_share"` // of a whole pion client among them
	ControlPackets  int64     `json:"control_packets"`
	Decrypted       int64     `json:"decrypted_packets"`
	Undecryptable   int64     `json:"undecryptable_packets"`
	Resent          int64     `json:"resent_packets"`
	KeyFrameMsP50   float64   `json:"first_key_frame_ms_p50"`
	KeyFrameMsP95   float64   `json:"first_key_frame_ms_p95"`
	LatencyMsP50    float64   `json:"latency_ms_p50"`
	LatencyMsP95    float64   `json:"latency_ms_p95"`
	MemoryPerViewer float64   `json:"memory_per_viewer_kib"` // see Target.held
	CPUPerJoinMs    float64   `json:"cpu_ms_per_join"`       // with nobody on air: without any forwarding
	GeneratorCPU    float64   `json:"generator_cpu_share"`   // of one CPU; near 1 it was the generator that was measured
	Growth          []Growth  `json:"growth,omitempty"`
}

// Growth is the cost with one number of viewers.
type Growth struct {
	Viewers       int     `json:"viewers"`
	Connected     int     `json:"connected"`
	Packets       float64 `json:"packets_forwarded"`
	CPUPerMillion float64 `json:"cpu_seconds_per_million_packets"`
	CPUShare      float64 `json:"cpu_share"`           // of one CPU
	GeneratorCPU  float64 `json:"generator_cpu_share"` // of one CPU
	ReceivedShare float64 `json:"received_share"`
	LatencyMsP50  float64 `json:"latency_ms_p50"`
	LatencyMsP95  float64 `json:"latency_ms_p95"`
}

const (
	pictureWait = 20 * time.Second
	floorTime   = 2 * time.Second

	joinsMeasured = 90
)

// Processors are the CPUs of a measurement.
type Processors struct{ server, generator int }

// PinServer puts this process, and so the server that it starts next, on one CPU. Media takes the generator to another.
// nil: this machine has one CPU only, or is not Linux.
func PinServer() (*Processors, error) {
	server, generator, ok := processors()
	if !ok {
		return nil, nil //nolint:nilnil // nothing to pin is an answer
	}
	return &Processors{server, generator}, pin(server)
}

// show is a running measurement.
type show struct {
	*Target
	o       MediaOptions
	control *control
}

// Media publishes H.264 and has viewers receive it. Pinned is what PinServer gave before the server was started.
func Media(ctx context.Context, t *Target, o MediaOptions) (MediaResult, error) {
	r := MediaResult{Viewers: o.Viewers, Bitrate: o.Bitrate}
	if err := r.pinGenerator(o.Pinned); err != nil {
		return r, err
	}
	rate := float64(o.Viewers*o.Bitrate) / 8 / packetSize
	floors := func(round int) (err error) {
		if !o.NoFloors {
			r.FloorRounds[round], err = measureFloors(ctx, o, rate)
		}
		return err
	}
	for _, step := range []func() error{
		func() error { return floors(0) },
		func() error { return r.measure(ctx, t, o) },
		func() error { return r.joins(ctx, t, o) },
		func() error { return floors(1) },
	} {
		if err := step(); err != nil {
			return r, err
		}
		if err := wait(ctx, o.Calm); err != nil {
			return r, err
		}
	}
	r.Floor = r.FloorRounds[0].mean(r.FloorRounds[1])
	r.Ratio, r.Ratio10 = ratio(r.CPUPerMillion, r.Floor.GSO3), ratio(r.CPUPerMillion, r.Floor.GSO10)
	return r, nil
}

func (r *MediaResult) pinGenerator(p *Processors) error {
	if p == nil {
		return nil
	}
	r.Pinned = true
	runtime.GOMAXPROCS(1)
	return pin(p.generator)
}

// measure is everything with a publisher on air.
func (r *MediaResult) measure(ctx context.Context, t *Target, o MediaOptions) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := publish(ctx, t, o.Bitrate); err != nil {
		return fmt.Errorf("publisher: %w", err)
	}
	s := &show{Target: t, o: o}
	if s.control, err = newControl(ctx, t); err != nil {
		return fmt.Errorf("control viewer: %w", err)
	}
	defer func() { err = errors.Join(err, s.control.close()) }()
	if err := wait(ctx, o.Calm); err != nil {
		return err
	}
	if err := r.audience(ctx, s); err != nil {
		return err
	}
	return r.grow(ctx, s)
}

// audience is the main measure.
func (r *MediaResult) audience(ctx context.Context, s *show) (err error) {
	c, end, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	memory, err := s.held(ctx)
	if err != nil {
		return err
	}
	if err := s.fill(ctx, c, 0, s.o.Viewers); err != nil {
		return err
	}
	if len(c.all()) == 0 {
		return fmt.Errorf("no viewer got in: %w", c.failed)
	}
	if err := wait(ctx, s.o.Calm); err != nil {
		return err
	}
	full, err := s.held(ctx)
	if err != nil {
		return err
	}
	r.MemoryPerViewer = round((full - memory) / float64(len(c.all())) / 1024)
	w, err := s.window(ctx, c)
	if err != nil {
		return err
	}
	r.take(w, c)
	return nil
}

func (r *MediaResult) take(w window, c *crowd) {
	all := c.tally()
	r.Connected, r.Seconds, r.Packets, r.CPUPerMillion = c.first.count(), w.seconds, w.packets, perMillion(w.cpu, w.packets)
	r.ReceivedShare, r.ControlShare, r.ControlPackets = w.share, w.controlShare, w.controlPackets
	r.Decrypted, r.Undecryptable, r.Resent = all.opened, all.broken, all.resent
	r.KeyFrameMsP50, r.KeyFrameMsP95 = c.first.ms(.5), c.first.ms(.95)
	r.LatencyMsP50, r.LatencyMsP95 = c.latency.ms(.5), c.latency.ms(.95)
	r.GeneratorCPU = ratio(w.own, w.seconds)
}

// grow measures with more and more viewers.
func (r *MediaResult) grow(ctx context.Context, s *show) (err error) {
	if len(s.o.Growth) == 0 {
		return nil
	}
	if err := wait(ctx, s.o.Calm); err != nil {
		return err
	}
	c, end, err := s.enter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	before := 0
	for _, n := range s.o.Growth {
		if err := s.fill(ctx, c, before, n); err != nil {
			return err
		}
		before = n
		if err := wait(ctx, s.o.Calm); err != nil {
			return err
		}
		w, err := s.window(ctx, c)
		if err != nil {
			return err
		}
		r.Growth = append(r.Growth, Growth{
			Viewers: n, Connected: c.first.count(), Packets: w.packets, CPUPerMillion: perMillion(w.cpu, w.packets), CPUShare: ratio(w.cpu, w.seconds),
			GeneratorCPU:  ratio(w.own, w.seconds),
			ReceivedShare: w.share, LatencyMsP50: c.latency.ms(.5), LatencyMsP95: c.latency.ms(.95),
		})
	}
	return nil
}

// joins has viewers join while nobody is on air, so that no forwarding is in what a join costs: WHEP, ICE, DTLS, keys.
func (r *MediaResult) joins(ctx context.Context, t *Target, o MediaOptions) (err error) {
	c, end, err := (&show{Target: t}).enter(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, end()) }()
	before, err := t.cpu()
	if err != nil {
		return err
	}
	if err := c.grow(ctx, 0, min(joinsMeasured, o.Viewers)); err != nil {
		return err
	}
	after, err := t.cpu()
	if err != nil {
		return err
	}
	if n := len(c.all()); n > 0 {
		r.CPUPerJoinMs = round(1000 * (after - before) / float64(n))
	}
	return nil
}

// enter opens an empty crowd; end sends it away.
func (s *show) enter(ctx context.Context) (c *crowd, end func() error, err error) {
	if c, err = newCrowd(s.Target); err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { defer close(done); c.run(ctx) }()
	return c, func() error {
		cancel()
		<-done
		return c.leave(context.WithoutCancel(ctx))
	}, nil
}

// fill lets viewers in and waits until all have a picture, or for as long as it is worth.
func (s *show) fill(ctx context.Context, c *crowd, from, n int) error {
	if err := c.grow(ctx, from, n); err != nil {
		return err
	}
	return settle(ctx, func() bool { return c.first.count() >= len(c.all()) })
}

// window is a span of time in which nobody came or went.
type window struct {
	seconds, packets, cpu, own float64
	share, controlShare        float64
	controlPackets             int64
}

func (s *show) window(ctx context.Context, c *crowd) (window, error) {
	var w window
	c.latency.clear()
	cpu, err := s.cpu()
	if err != nil {
		return w, err
	}
	own, all, start := ownCPU(), c.tally(), time.Now()
	got, want := s.control.tally()
	c.measuring.Store(true)
	defer c.measuring.Store(false)
	if err := wait(ctx, s.o.Time); err != nil {
		return w, err
	}
	cpu1, err := s.cpu()
	if err != nil {
		return w, err
	}
	all1 := c.tally()
	got1, want1 := s.control.tally()
	w.seconds, w.cpu, w.own = round(time.Since(start).Seconds()), cpu1-cpu, ownCPU()-own
	w.packets = float64(all1.received - all.received + got1 - got)
	w.share = ratio(float64(all1.received-all.received), float64(all1.expected-all.expected))
	w.controlShare, w.controlPackets = ratio(float64(got1-got), float64(want1-want)), got1-got
	return w, nil
}

// settle waits until ok, at most as long as a picture may take: who has none by then is counted as not connected.
func settle(ctx context.Context, ok func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(pictureWait)
	for !ok() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-late:
			return nil
		case <-tick.C:
		}
	}
	return nil
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
