package chat

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
)

const (
	recordBatch = 2000             // events that one transaction copies
	findEvery   = 15 * time.Second // how often logs are looked through: what a dead node had not copied, what is to be put away
	awayAfter   = 7 * 24 * time.Hour
	awayLeast   = time.Hour // a log that was opened again is kept so long
)

// recorder copies rooms' logs to the database, where the law wants them for three years. A cursor moves with the rows in
// one transaction, so a crash skips nothing; rows are named by (session, epoch, seq), so several nodes may copy the same.
// What a room's log needs no more, because it has been copied, is taken out of it, and a log whose session ended long ago is
// put away.
type recorder struct {
	journal *journal
	store   store
	db      *db.DB
	log     *slog.Logger
	clock   clock.Clock
	ended   func(context.Context, int64) (time.Time, error) // nil: no log is put away
	keep    time.Duration

	copying sync.Mutex // one copy at a time in this process

	mu     sync.Mutex // guards marked
	marked map[int64]struct{}
}

func newRecorder(j *journal, c Config) *recorder {
	r := &recorder{journal: j, store: store{c.DB}, db: c.DB, log: c.Log, clock: c.Clock, ended: c.Ended, keep: c.KeepLog, marked: map[int64]struct{}{}}
	if r.keep <= 0 {
		r.keep = awayAfter
	}
	return r
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

// run copies every second what has come, and looks at all logs when it starts and from time to time.
func (r *recorder) run(ctx context.Context) {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	var found time.Time
	var w worry
	for {
		var err error
		if time.Since(found) >= findEvery {
			if err = r.find(ctx); err == nil {
				found = time.Now()
			}
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

// find marks every log that goes further than its cursor: this process may have ended before it copied it, or another one
// has. It puts away those that are not needed any more.
func (r *recorder) find(ctx context.Context) error {
	have, err := r.store.cursors(ctx)
	if err != nil {
		return err
	}
	logs, err := r.journal.all(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, info := range logs {
		id := sessionOf(info.Config.Name)
		errs = append(errs, r.journal.mend(ctx, info))
		if c := have[id]; info.State.LastSeq > sinceOf(info) && (c.Epoch != epochOf(info) || uint64(c.Seq) < info.State.LastSeq) {
			r.mark(id)
		} else if r.stale(ctx, id, info) {
			errs = append(errs, r.putAway(ctx, id))
		}
	}
	return errors.Join(errs...)
}

// stale reports whether a log's session ended so long ago that nobody comes back to it.
func (r *recorder) stale(ctx context.Context, id int64, info *jetstream.StreamInfo) bool {
	if r.ended == nil || time.Since(info.Created) < min(awayLeast, r.keep) && !info.Config.Sealed {
		return false
	}
	at, err := r.ended(ctx, id)
	return err == nil && !at.IsZero() && r.clock.Now().Sub(at) >= r.keep
}

// putAway deletes a log that the database has whole. It is sealed first, so that nothing comes between the last look and the
// end; the database knows that it was put away before it is gone. A crash anywhere leaves something that the next call ends.
func (r *recorder) putAway(ctx context.Context, id int64) error {
	r.copying.Lock()
	defer r.copying.Unlock()
	ctx, cancel := context.WithTimeout(ctx, 2*postTime)
	defer cancel()
	stream, err := r.journal.js.Stream(ctx, streamName(id))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if cfg := stream.CachedInfo().Config; !cfg.Sealed {
		cfg.Sealed = true
		if stream, err = r.journal.js.UpdateStream(ctx, cfg); err != nil {
			return err
		}
	}
	if err := r.copyStream(ctx, id, stream); err != nil {
		return err
	}
	info := stream.CachedInfo()
	if err := r.store.putAway(ctx, cursorRow{SessionID: id, Epoch: epochOf(info), Seq: int64(info.State.LastSeq)}, r.clock.Now()); err != nil {
		return err
	}
	r.journal.forget(id)
	if err := r.journal.js.DeleteStream(ctx, streamName(id)); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return err
	}
	r.log.Info("a room's log was put away: the database has it", "session_id", id, "events", info.State.LastSeq)
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
	stream, _, err := r.journal.open(ctx, id)
	if err != nil {
		return err
	}
	return r.copyStream(ctx, id, stream)
}

// copyNow brings the record of a log that there is up to date.
func (r *recorder) copyNow(ctx context.Context, id int64, stream jetstream.Stream) error {
	r.copying.Lock()
	defer r.copying.Unlock()
	return r.copyStream(ctx, id, stream)
}

// copyStream copies what the record has not, up to the log's end as stream knows it, and shortens the log.
func (r *recorder) copyStream(ctx context.Context, id int64, stream jetstream.Stream) error {
	info := stream.CachedInfo()
	state, epoch := info.State, epochOf(info)
	at, err := r.store.cursor(ctx, id, epoch)
	if err != nil {
		return err
	}
	at = max(at, sinceOf(info))
	if at+1 < state.FirstSeq && state.Msgs > 0 {
		if at > 0 || info.Config.FirstSeq < state.FirstSeq {
			r.log.Error("a room's log was shortened before it was copied", "session_id", id, "events", state.FirstSeq-at-1)
		}
		at = state.FirstSeq - 1
	}
	for at < state.LastSeq && state.Msgs > 0 {
		if at, err = r.copyBatch(ctx, id, epoch, at, state.LastSeq); err != nil {
			return err
		}
	}
	if state.Msgs > 2*logLimit && at > logLimit && !info.Config.Sealed {
		return stream.Purge(ctx, jetstream.WithPurgeSequence(at-logLimit+1))
	}
	return nil
}

var errNoEvents = errors.New("the log gave no events")

func (r *recorder) copyBatch(ctx context.Context, id int64, epoch string, at, last uint64) (uint64, error) {
	recs, err := r.journal.read(ctx, id, at+1, int(min(recordBatch, last-at)))
	if err != nil {
		return at, err
	}
	if len(recs) == 0 {
		return at, errNoEvents
	}
	rows := make([]eventRow, len(recs))
	for i, rec := range recs {
		rows[i] = rowOf(id, epoch, rec)
	}
	at = recs[len(recs)-1].seq
	return at, r.store.keep(ctx, rows, cursorRow{SessionID: id, Epoch: epoch, Seq: int64(at)})
}
