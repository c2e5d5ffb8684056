package chat

import (
	"context"
	mathrand "math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/duoduopin/duoduopin/internal/db"
)

// follow gives every event from seq `from` on to take, in order, until stop is called, which waits for the last. It outlives
// whatever the bus does: a consumer that falls silent, loses messages or is lost with its server is made anew where it
// ended. When the log itself has become another one, journal.seen is told, and that was it.
func (j *journal) follow(ctx context.Context, stream jetstream.Stream, from uint64, take func(record)) (stop func(), err error) {
	info := stream.CachedInfo()
	f := &follower{journal: j, id: sessionOf(info.Config.Name), epoch: epochOf(info), next: max(from, 1), take: take}
	feed, err := f.begin(ctx, stream)
	if err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() { defer close(done); f.run(life, feed) }() // ended and waited for by stop
	return func() { cancel(); <-done }, nil
}

// follower reads one log for one room. Its goroutine owns it.
type follower struct {
	journal *journal
	id      int64
	epoch   string
	next    uint64 // seq that take gets next
	take    func(record)
}

// feed is a consumer being read.
type feed struct {
	jetstream.MessagesContext
	name string
}

// begin makes a consumer that goes by itself a minute after nobody asks it any more. The bus may put it on a server that is
// frozen, which it does not know yet: then no answer comes, and another try may have more luck.
func (f *follower) begin(ctx context.Context, stream jetstream.Stream) (feed, error) {
	ctx, cancel := context.WithTimeout(ctx, logTry)
	defer cancel()
	cons, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: f.next, AckPolicy: jetstream.AckNonePolicy, MaxDeliver: 1,
		InactiveThreshold: time.Minute, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return feed{}, err
	}
	msgs, err := cons.Messages(jetstream.PullExpiry(30*time.Second), jetstream.PullHeartbeat(logBeat))
	return feed{msgs, cons.CachedInfo().Name}, err
}

func (f *follower) run(ctx context.Context, from feed) {
	for {
		f.drain(ctx, from)
		if ctx.Err() != nil {
			f.leave(context.WithoutCancel(ctx), from.name)
			return
		}
		var ok bool
		if from, ok = f.again(ctx); !ok {
			return
		}
	}
}

// drain hands on what comes until something is wrong. The consumer counts what it sends: a number left out is a message lost.
func (f *follower) drain(ctx context.Context, from feed) {
	defer from.Stop()
	for n := uint64(1); ; n++ {
		m, err := from.Next(jetstream.NextContext(ctx))
		if err != nil {
			return
		}
		meta, err := m.Metadata()
		if err != nil || meta.Sequence.Consumer != n {
			return
		}
		f.hand(ctx, record{seq: meta.Sequence.Stream, body: m.Data(), by: spokenBy(m.Headers())})
	}
}

// hand gives one event on, and before it those that were erased from the log, as the record has them.
func (f *follower) hand(ctx context.Context, r record) {
	if r.seq < f.next {
		return
	}
	if f.next < r.seq {
		f.fill(ctx, r.seq)
	}
	f.take(r)
	f.next = r.seq + 1
}

// fill gives the events from next up to before seq, if the record has them all: half of a hole is one.
func (f *follower) fill(ctx context.Context, seq uint64) {
	if seq-f.next > logLimit {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logTry)
	defer cancel()
	rows, err := f.journal.store.events(ctx, f.id, f.epoch, f.next, seq-1)
	if err != nil || uint64(len(rows)) != seq-f.next {
		return
	}
	for _, row := range rows {
		f.take(row.record())
	}
}

// again makes a new consumer, as soon as that can be done. False: ctx has ended, or the log is another one.
func (f *follower) again(ctx context.Context) (feed, bool) {
	for {
		if from, same, err := f.retry(ctx); err == nil {
			return from, same
		}
		if !pause(ctx, logAgain+time.Duration(mathrand.Int64N(int64(logBeat/2)))) { // thousands of rooms do so at the same time
			return feed{}, false
		}
	}
}

func (f *follower) retry(ctx context.Context) (from feed, same bool, err error) {
	stream, epoch, err := f.open(ctx)
	if err == nil && epoch == f.epoch {
		stream, err = f.journal.reaches(ctx, stream, f.next-1)
	}
	if err != nil {
		return feed{}, false, err
	}
	if epoch = epochOf(stream.CachedInfo()); epoch != f.epoch {
		f.journal.seen(f.id, epoch)
		return feed{}, false, nil
	}
	from, err = f.begin(ctx, stream)
	return from, true, err
}

func (f *follower) open(ctx context.Context) (jetstream.Stream, string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*logTry)
	defer cancel()
	return f.journal.open(ctx, f.id) // tells seen
}

// leave tells the bus that a consumer is not needed any more; otherwise it finds out after a minute.
func (f *follower) leave(ctx context.Context, name string) {
	if !f.journal.bus.Up() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, logTry)
	defer cancel()
	_ = f.journal.js.DeleteConsumer(ctx, streamName(f.id), name)
}

// record gives an event of the database as the log had it.
func (r eventRow) record() record {
	return record{seq: uint64(r.Seq), body: []byte(r.Body), by: speaker{viewer: r.Viewer, account: r.AccountID}}
}

func rowOf(id int64, epoch string, rec record) eventRow {
	h := rec.head()
	return eventRow{
		SessionID: id, Epoch: epoch, Seq: int64(rec.seq), Type: h.Type, AtMs: db.Millis(h.At),
		Viewer: rec.by.viewer, AccountID: rec.by.account, Body: string(rec.body),
	}
}
