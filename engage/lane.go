package engage

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// A lane's bounds: how much one transaction takes, how much waits, how long one may take.
const (
	laneBatch = 500
	laneQueue = 20_000
	laneTime  = 10 * time.Second
)

// Lane makes few transactions of many wishes: what comes while one is under way is the next batch, so that ten thousand votes in
// a second cost some twenty commits. There is no timer: one that comes alone goes at once. Whoever finds nobody at work works one
// batch and hands the work to one who waits, so there is no goroutine of its own. Beyond 20,000 waiting, ErrUnavailable.
type Lane[In, Out any] struct {
	work func(ctx context.Context, batch []In) ([]Out, []error, error)

	mu      sync.Mutex // guards what follows, and wishes' gone and called
	queue   []*wish[In, Out]
	working bool
}

type wish[In, Out any] struct {
	in   In
	out  Out
	err  error
	done chan struct{} // closed when out and err are there
	call chan struct{} // closed when the next batch is this caller's to work

	gone, called bool
}

// NewLane returns a lane that does its batches by work, which gives a result and an error for each, or one error for all.
// An error that is no fault comes to the callers as ErrUnavailable.
func NewLane[In, Out any](work func(ctx context.Context, batch []In) ([]Out, []error, error)) *Lane[In, Out] {
	return &Lane[In, Out]{work: work}
}

// Do has one wish done. When ctx ends first, the wish may be done nevertheless.
func (l *Lane[In, Out]) Do(ctx context.Context, in In) (Out, error) {
	w := &wish[In, Out]{in: in, done: make(chan struct{}), call: make(chan struct{})}
	if err := l.join(w); err != nil {
		return w.out, err
	}
	working := context.WithoutCancel(ctx)
	select {
	case <-w.done:
		return w.out, w.err
	case <-w.call:
		l.lead(working)
		<-w.done
		return w.out, w.err
	case <-ctx.Done():
		if l.leave(w) {
			l.lead(working)
		}
		var none Out
		return none, ctx.Err()
	}
}

// join queues a wish; when nobody is at work, its caller is called.
func (l *Lane[In, Out]) join(w *wish[In, Out]) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) >= laneQueue {
		return ErrUnavailable
	}
	l.queue = append(l.queue, w)
	if !l.working {
		l.working, w.called = true, true
		close(w.call)
	}
	return nil
}

// leave says that nobody waits for a wish any more; true: but its caller was called and has to work.
func (l *Lane[In, Out]) leave(w *wish[In, Out]) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.gone = true
	return w.called
}

// lead works a batch and hands the work over; on its own while nobody who waits is left to do it.
func (l *Lane[In, Out]) lead(ctx context.Context) {
	for mine := true; mine; mine = l.handOver() {
		l.do(ctx, l.next())
	}
}

func (l *Lane[In, Out]) next() []*wish[In, Out] {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := min(len(l.queue), laneBatch)
	batch := l.queue[:n:n]
	l.queue = l.queue[n:]
	return batch
}

// handOver calls the next one who waits; true when there is work and nobody to call.
func (l *Lane[In, Out]) handOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range l.queue {
		if !w.gone {
			w.called = true
			close(w.call)
			return false
		}
	}
	l.working = len(l.queue) > 0
	return l.working
}

// do works a batch; also when the work panics, nobody waits for ever.
func (l *Lane[In, Out]) do(ctx context.Context, batch []*wish[In, Out]) {
	ctx, cancel := context.WithTimeout(ctx, laneTime)
	defer cancel()
	ins := make([]In, len(batch))
	for i, w := range batch {
		ins[i] = w.in
	}
	outs, errs, failed := l.try(ctx, ins)
	for i, w := range batch {
		if w.err = failed; failed == nil {
			w.out, w.err = outs[i], errs[i]
		}
		if w.err != nil && fault.KindOf(w.err) == fault.Internal { // the database's: the wish may be repeated
			w.err = ErrUnavailable.Because(w.err)
		}
		close(w.done)
	}
}

func (l *Lane[In, Out]) try(ctx context.Context, ins []In) (outs []Out, errs []error, failed error) {
	defer func() {
		if p := recover(); p != nil {
			failed = fmt.Errorf("engage: working a batch of %d panicked: %v", len(ins), p)
		}
	}()
	return l.work(ctx, ins)
}
