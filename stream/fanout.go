package stream

import (
	"runtime"
	"sync"

	"github.com/duoduopin/duoduopin/stream/udp"
)

// Bounds of the fan-out: packets that leave together, what may wait for a worker, and the arena of a batch in bytes.
const (
	maxTogether = 24
	maxJobs     = 512
	arena       = 256 << 10
	smallArena  = 32 << 10 // of batches for retransmission and catching up
)

// job is what a worker sends to all its viewers: packets of one layer, by their place in the layer's cache.
type job struct {
	l    *layer
	n    int
	exts [maxTogether]uint64
}

// fanout spreads packets over the processor's cores. Every viewer belongs to one worker, so that what is sent to him
// keeps its order and his state stays in one core's cache.
type fanout struct {
	workers []*worker
	small   sync.Pool // of *udp.Batch
}

// worker sends, viewer by viewer, what became ready together (a frame, as a rule): neighbours to one viewer leave in one
// piece (UDP_SEGMENT), and all of it in one system call (sendmmsg).
//
// Its queue is bounded: when the machine can't keep up, the oldest job is dropped and counted; viewers see it as loss.
type worker struct {
	batch *udp.Batch
	stage [maxTogether]slot
	lost  func(packets int)

	mu     sync.Mutex
	jobs   [maxJobs]job
	first  int
	count  int
	closed bool
	ready  sync.Cond
}

func newFanout(socket *udp.Socket, t *traffic) *fanout {
	f := &fanout{small: sync.Pool{New: func() any { return socket.NewBatch(smallArena) }}}
	for range runtime.GOMAXPROCS(0) {
		w := &worker{batch: socket.NewBatch(arena), lost: func(n int) { t.overruns.Add(uint64(n)) }} //nolint:gosec // a count
		w.ready.L = &w.mu
		f.workers = append(f.workers, w)
	}
	return f
}

// borrow gives a batch for a few packets of one viewer.
func (f *fanout) borrow() *udp.Batch { return f.small.Get().(*udp.Batch) } //nolint:forcetypeassert,errcheck // the pool's own

// giveBack sends what the batch holds.
func (f *fanout) giveBack(b *udp.Batch) {
	b.Flush()
	f.small.Put(b)
}

func (f *fanout) run(t *tasks) {
	for i, w := range f.workers {
		t.run(func() { w.run(i) })
	}
}

func (f *fanout) close() {
	for _, w := range f.workers {
		w.mu.Lock()
		w.closed = true
		w.mu.Unlock()
		w.ready.Broadcast()
	}
}

// push queues packets of l for every worker that has viewers of it.
func (f *fanout) push(l *layer, exts []uint64) {
	shards := *l.shards.Load()
	for i, sinks := range shards {
		if len(sinks) > 0 {
			f.workers[i].push(l, exts)
		}
	}
}

func (w *worker) push(l *layer, exts []uint64) {
	w.mu.Lock()
	if w.count == maxJobs {
		w.lost(w.jobs[w.first].n)
		w.first, w.count = (w.first+1)%maxJobs, w.count-1
	}
	j := &w.jobs[(w.first+w.count)%maxJobs]
	j.l, j.n = l, copy(j.exts[:], exts)
	w.count++
	w.mu.Unlock()
	w.ready.Signal()
}

// next waits for a job; false when the worker is closed.
func (w *worker) next(j *job) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.count == 0 && !w.closed {
		w.ready.Wait()
	}
	if w.closed {
		return false
	}
	at := &w.jobs[w.first]
	*j = *at
	at.l = nil
	w.first, w.count = (w.first+1)%maxJobs, w.count-1
	return true
}

func (w *worker) run(shard int) {
	var j job
	for w.next(&j) {
		w.send(&j, shard)
	}
}

// send is the hot path: BenchmarkForward measures it, TestForwardAllocatesNothing guards it. The layer's cache is locked
// for the copy of one packet at a time, each viewer for his own packets.
func (w *worker) send(j *job, shard int) {
	n := 0
	for _, ext := range j.exts[:j.n] {
		if j.l.cache.get(ext, &w.stage[n]) {
			n++
		}
	}
	t := now()
	for _, k := range (*j.l.shards.Load())[shard] {
		k.forward(j.l, w.stage[:n], w.batch, t)
	}
	w.batch.Flush()
}
