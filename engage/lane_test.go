package engage_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duoduopin/duoduopin/engage"
)

// What waits while a batch is worked is the next one; everybody gets their own answer.
func TestLaneGathers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches []int
		l := engage.NewLane(func(_ context.Context, in []int) ([]int, []error, error) {
			time.Sleep(time.Second)
			batches = append(batches, len(in))
			out, errs := make([]int, len(in)), make([]error, len(in))
			for i, n := range in {
				out[i] = n * n
			}
			return out, errs, nil
		})
		var all sync.WaitGroup
		var wrong atomic.Int64
		for i := range 1200 {
			all.Go(func() {
				if out, err := l.Do(t.Context(), i); err != nil || out != i*i {
					wrong.Add(1)
				}
			})
		}
		all.Wait()
		if wrong.Load() > 0 || len(batches) > 4 {
			t.Errorf("%d wrong answers, batches %v", wrong.Load(), batches)
		}
	})
}

// A caller who goes leaves the work to the others; one who was called to work works before going.
func TestLaneSurvivesTheImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := 0
		l := engage.NewLane(func(_ context.Context, in []int) ([]int, []error, error) {
			time.Sleep(time.Second)
			done += len(in)
			return in, make([]error, len(in)), nil
		})
		var all sync.WaitGroup
		all.Go(func() { _, _ = l.Do(t.Context(), 1) })
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		for range 50 {
			all.Go(func() {
				if _, err := l.Do(short, 2); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("an impatient caller got %v", err)
				}
			})
		}
		all.Wait()
		if done != 51 {
			t.Errorf("%d of 51 were done", done)
		}
		if out, err := l.Do(t.Context(), 3); out != 3 || err != nil {
			t.Errorf("the lane is stuck: %d, %v", out, err)
		}
	})
}

func TestLaneFailsTogether(t *testing.T) {
	broken := errors.New("broken")
	l := engage.NewLane(func(_ context.Context, in []int) ([]int, []error, error) {
		if in[0] == 0 {
			panic("zero")
		}
		return nil, nil, broken
	})
	if _, err := l.Do(t.Context(), 1); !errors.Is(err, broken) || !errors.Is(err, engage.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if _, err := l.Do(t.Context(), 0); err == nil {
		t.Error("a panic was no error")
	}
	if _, err := l.Do(t.Context(), 1); !errors.Is(err, broken) {
		t.Errorf("after a panic: %v", err)
	}
}
