package stream

import "sync"

// tasks counts goroutines, so that Close can wait for them. Unlike a sync.WaitGroup it takes new ones while somebody
// waits: connections end whenever they like.
type tasks struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // not nil while somebody waits
}

// run starts fn in a goroutine.
func (t *tasks) run(fn func()) {
	t.mu.Lock()
	t.n++
	t.mu.Unlock()
	go func() {
		defer t.done()
		fn()
	}()
}

func (t *tasks) done() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n--; t.n == 0 && t.none != nil {
		close(t.none)
		t.none = nil
	}
}

// wait returns when no task is running. Only one may wait.
func (t *tasks) wait() {
	t.mu.Lock()
	if t.n == 0 {
		t.mu.Unlock()
		return
	}
	none := make(chan struct{})
	t.none = none
	t.mu.Unlock()
	<-none
}
