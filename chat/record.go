package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duoduopin/duoduopin/internal/db"
)

// recordBatch is how many events one transaction copies.
const recordBatch = 500

// recorder copies rooms' logs to the database, where the law wants them for three years. A cursor moves with the rows in
// one transaction, so a crash skips nothing; rows are named by (session, epoch, seq), so several nodes may copy the same.
type recorder struct {
	journal *journal
	store   store
	db      *db.DB
	log     *slog.Logger

	copying sync.Mutex // one copy at a time in this process

	mu     sync.Mutex // guards marked
	marked map[int64]struct{}
}

func newRecorder(j *journal, st store, d *db.DB, log *slog.Logger) *recorder {
	return &recorder{journal: j, store: st, db: d, log: log, marked: map[int64]struct{}{}}
}

// mark says that a room's log has grown.
func (r *recorder) mark(id int64) { r.mu.Lock(); r.marked[id] = struct{}{}; r.mu.Unlock() }

func (r *recorder) unmark(id int64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, was := r.marked[id]
	delete(r.marked, id)
	return was
}

func (r *recorder) list() []int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]int64, 0, len(r.marked))
	for id := range r.marked {
		ids = append(ids, id)
	}
	return ids
}

// run copies what was left when the process last ended, then every second what has come.
func (r *recorder) run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	found := false
	var w worry
	for {
		var err error
		if !found {
			err = r.find(ctx)
			found = err == nil
		}
		if err = errors.Join(err, r.copyAll(ctx)); ctx.Err() == nil {
			w.hear(r.log, "copying rooms' logs to the database", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// find marks every log that goes further than its cursor.
func (r *recorder) find(ctx context.Context) error {
	have, err := r.store.cursors(ctx)
	if err != nil {
		return err
	}
	logs, err := r.journal.all(ctx)
	if err != nil {
		return err
	}
	for _, l := range logs {
		if c := have[l.id]; c.Epoch != l.epoch || uint64(c.Seq) < l.last {
			r.mark(l.id)
		}
	}
	return nil
}

// copyAll copies every marked room; one that fails stays marked and does not keep the others waiting.
func (r *recorder) copyAll(ctx context.Context) error {
	var errs []error
	for _, id := range r.list() {
		errs = append(errs, r.copyMarked(ctx, id))
	}
	return errors.Join(errs...)
}

// copyMarked brings one room's record up to date, if there is anything to do.
func (r *recorder) copyMarked(ctx context.Context, id int64) error {
	r.copying.Lock()
	defer r.copying.Unlock()
	if !r.unmark(id) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*postTime)
	defer cancel()
	err := r.copy(ctx, id)
	if err != nil {
		r.mark(id)
	}
	return err
}

func (r *recorder) copy(ctx context.Context, id int64) error {
	stream, epoch, err := r.journal.open(ctx, id)
	if err != nil {
		return err
	}
	at, err := r.store.cursor(ctx, id, epoch)
	if err != nil {
		return err
	}
	state := stream.CachedInfo().State
	if at+1 < state.FirstSeq && state.Msgs > 0 {
		r.log.Error("a room's log was shortened before it was copied", "session_id", id, "events", state.FirstSeq-at-1)
		at = state.FirstSeq - 1
	}
	for at < state.LastSeq && state.Msgs > 0 {
		if at, err = r.copyBatch(ctx, stream, id, epoch, at, state.LastSeq); err != nil {
			return err
		}
	}
	return nil
}

var errNoEvents = errors.New("the log gave no events")

func (r *recorder) copyBatch(ctx context.Context, stream jetstream.Stream, id int64, epoch string, at, last uint64) (uint64, error) {
	recs, err := r.journal.read(ctx, stream, at+1, int(min(recordBatch, last-at)))
	if err != nil {
		return at, err
	}
	if len(recs) == 0 {
		return at, errNoEvents
	}
	rows := make([]eventRow, len(recs))
	for i, rec := range recs {
		h := rec.head()
		rows[i] = eventRow{
			SessionID: id, Epoch: epoch, Seq: int64(rec.seq), Type: h.Type, AtMs: db.Millis(h.At),
			Viewer: rec.by.viewer, AccountID: rec.by.account, Body: string(rec.body),
		}
	}
	at = recs[len(recs)-1].seq
	return at, r.store.keep(ctx, rows, cursorRow{SessionID: id, Epoch: epoch, Seq: int64(at)})
}
