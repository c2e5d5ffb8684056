// Package record writes what anchors send to fragmented MP4, one file per anchor and run of the publisher, with an index
// from wall-clock time to place beside it.
//
// What it guarantees: a file plays up to its last fragment (two seconds of picture at most) whenever the process dies; the
// media path never waits for a disk; when the disk is full recording pauses, everything else goes on, and a new file
// begins when there is room again. The store is the only list of recordings: there is nothing in the database.
//
// What it asks: Run must be running; Start and Stop say when an anchor is on air.
package record

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/stream/feed"
	"github.com/duoduopin/duoduopin/stream/fragment"
	"github.com/duoduopin/duoduopin/stream/units"
)

// Gate says who belongs to a session's crew, be the session over or not.
type Gate interface {
	MayModerate(ctx context.Context, sessionID int64, a web.Actor) error
}

// Config is what New needs.
type Config struct {
	Source feed.Source
	Gate   Gate
	Clock  clock.Clock
	Dir    string // recordings/ in the data folder: files being written, and finished ones until a Store has them
	// Store takes finished recordings away from Dir. Optional: without it they stay there.
	Store      Store
	Registerer prometheus.Registerer // nil for none
	// Reserve is how many bytes of the disk stay free for others, such as the database.
	Reserve uint64

	disk disk // for tests
}

// Times.
const (
	fragmentTime = 2 * time.Second
	retryFull    = 5 * time.Second // after a full disk, before the next try
	uploadEvery  = 10 * time.Second
)

// Service records.
type Service struct {
	cfg   Config
	local local
	meter *meter

	mu     sync.Mutex // guards what follows
	takes  map[takeKey]*take
	open   map[string]bool // paths of recordings that this process is at
	closed bool

	unmended atomic.Bool // a recording could not be finished
	trouble  atomic.Bool // mending or storing failed the last time, and that has been told
	tasks    sync.WaitGroup
}

type takeKey struct {
	session int64
	anchor  string
}

// New returns a Service that records nothing yet. It mends what a former process left unfinished.
func New(cfg Config) (*Service, error) {
	if cfg.disk == nil {
		cfg.disk = osDisk{}
	}
	dir, err := filepath.Abs(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("recordings: %w", err)
	}
	s := &Service{cfg: cfg, local: local{dir: dir}, meter: newMeter(cfg.Registerer), takes: map[takeKey]*take{}, open: map[string]bool{}}
	s.mend()
	s.meter.watch(cfg.Registerer, s.dropped)
	return s, nil
}

// Run gives finished recordings to the store, and at the end of ctx finishes every recording.
func (s *Service) Run(ctx context.Context) error {
	t := time.NewTicker(uploadEvery)
	defer t.Stop()
	for {
		if s.unmended.Swap(false) {
			s.mend()
		}
		if s.cfg.Store != nil {
			s.upload(ctx)
		} else if !s.unmended.Load() {
			s.trouble.Store(false)
		}
		select {
		case <-ctx.Done():
			s.stopAll()
			return ctx.Err()
		case <-t.C:
		}
	}
}

// Start records an anchor from now on, over the anchor's coming and going, until Stop. A second Start does nothing.
func (s *Service) Start(session int64, anchor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := takeKey{session, anchor}
	if s.closed || s.takes[key] != nil || session <= 0 {
		return
	}
	t := newTake(s, key)
	s.takes[key] = t
	s.tasks.Go(t.run)
	t.unfollow = s.cfg.Source.Follow(session, anchor, t.queue, true)
}

// Stop finishes an anchor's recording and returns when the file is whole.
func (s *Service) Stop(session int64, anchor string) {
	s.mu.Lock()
	t := s.takes[takeKey{session, anchor}]
	delete(s.takes, takeKey{session, anchor})
	s.mu.Unlock()
	if t != nil {
		t.stop()
	}
}

// Recording gives the anchors of a session that are being recorded.
func (s *Service) Recording(session int64) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for k := range s.takes {
		if k.session == session {
			all = append(all, k.anchor)
		}
	}
	return all
}

func (s *Service) stopAll() {
	s.mu.Lock()
	s.closed = true
	all := s.takes
	s.takes = map[takeKey]*take{}
	s.mu.Unlock()
	for _, t := range all {
		t.stop()
	}
	s.tasks.Wait()
}

// dropped gives the packets that found no room in the queues of present takes.
func (s *Service) dropped() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := uint64(0)
	for _, t := range s.takes {
		n += t.queue.Dropped()
	}
	return float64(n)
}

// take is one anchor's recording. Its goroutine owns everything but the queue.
type take struct {
	s        *Service
	key      takeKey
	queue    *units.Queue
	unfollow func()
	cancel   context.CancelFunc
	ctx      context.Context //nolint:containedctx // the goroutine's own
	done     chan struct{}

	packager *fragment.Packager
	file     *file  // nil: between files, or waiting
	note     string // why the picture is missing
	paused   bool   // told as such
	waiting  bool   // until retry
	retry    time.Time
}

func newTake(s *Service, key takeKey) *take {
	ctx, cancel := context.WithCancel(context.Background())
	t := &take{s: s, key: key, queue: units.NewQueue(), ctx: ctx, cancel: cancel, done: make(chan struct{})}
	t.packager = fragment.NewPackager(fragment.Policy{Part: fragmentTime, Segment: fragmentTime / 2, Max: time.Hour}, t)
	return t
}

func (t *take) stop() {
	t.unfollow()
	t.cancel()
	<-t.done
}

// run drains the queue until the take is stopped, and what is then left in it.
func (t *take) run() {
	defer close(t.done)
	assembler := units.NewAssembler(units.Window{Age: 500 * time.Millisecond, Packets: 1024}, t.add)
	for {
		packets, err := t.queue.Next(t.ctx)
		for i := range packets {
			assembler.Push(&packets[i])
		}
		if err != nil {
			break
		}
	}
	t.packager.Flush()
	t.close()
	if t.paused {
		t.s.meter.paused.Dec()
	}
	if err := t.packager.Err(); err != nil {
		slog.Error("recording left something out", "session", t.key.session, "error", err)
	}
}

func (t *take) add(u *units.Unit) {
	if u.Video && !fragment.Fits(u.Codec) {
		t.note = noteCodec
	}
	if t.waiting {
		if t.s.cfg.Clock.Now().Before(t.retry) {
			return
		}
		t.waiting = false
		t.packager.Flush() // to begin a new file at the next key frame
	}
	t.packager.Add(u)
}

// Begin implements fragment.Sink: a new file.
func (t *take) Begin(f fragment.Format, head []byte, at time.Time) {
	t.close()
	note := t.note
	if f.Video != nil {
		note = ""
	}
	var err error
	if t.file, err = t.s.create(t.key, f, head, at, note); err != nil {
		t.fail(err)
	}
}

// Fragment implements fragment.Sink: it is appended and synced, so that it survives whatever comes.
func (t *take) Fragment(f fragment.Fragment) {
	if t.file == nil {
		return
	}
	if err := t.file.append(f); err != nil {
		t.fail(err)
		return
	}
	t.resume()
	t.s.meter.bytes.Add(float64(len(f.Data)))
}

// fail pauses: the disk is full, or broken. It is told once, counted, and tried again later with a new file.
func (t *take) fail(err error) {
	t.s.meter.errors.Inc()
	t.waiting, t.retry = true, t.s.cfg.Clock.Now().Add(retryFull)
	if !t.paused {
		t.paused = true
		t.s.meter.paused.Inc()
		slog.Error("recording paused; picture and chat go on", "session", t.key.session, "error", err)
	}
	t.close()
}

func (t *take) resume() {
	if t.paused {
		t.paused = false
		t.s.meter.paused.Dec()
		slog.Info("recording goes on in a new file", "session", t.key.session)
	}
}

func (t *take) close() {
	if t.file == nil {
		return
	}
	if err := t.file.finish(t.s.cfg.Clock.Now()); err != nil {
		t.s.meter.errors.Inc()
		t.s.unmended.Store(true)
		slog.Warn("recording could not be closed properly; it is mended later", "session", t.key.session, "error", err)
	}
	t.file = nil
}
