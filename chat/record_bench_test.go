package chat

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"gorm.io/gorm/clause"

	"github.com/duoduopin/duoduopin/internal/bus"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
)

// BenchmarkRecord copies a log of 10,000 events of 200 bytes to the database, as after an outage, and in the same run writes
// the same rows by bare batched INSERTs with the same driver and the same rows per statement. "rows/s" is the copying, with
// reading the log and moving the cursor; "of-bare" is its time over the bare one's: 1 would mean that all of it is the
// database's.
func BenchmarkRecord(b *testing.B) {
	for name, url := range map[string]func(testing.TB) string{"sqlite": testshop.SQLiteURL, "postgres": testshop.PostgresURL} {
		b.Run(name, func(b *testing.B) { benchRecord(b, url(b)) })
	}
}

const benchEvents = 10_000

func benchRecord(b *testing.B, url string) {
	ctx := b.Context()
	d, err := db.Open(ctx, url)
	noError(b, err)
	b.Cleanup(func() { _ = d.Close() })
	noError(b, d.Migrate(ctx, Migrations()))
	one, err := bus.Open("", b.TempDir())
	noError(b, err)
	b.Cleanup(one.Close)
	log := slog.New(slog.DiscardHandler)
	r := newRecorder(newJournal(one, store{d}, log, func(int64, string) {}), Config{DB: d, Clock: clock.System{}, Log: log})
	var copied, bare time.Duration
	id := int64(0)
	for b.Loop() {
		id++
		b.StopTimer()
		fillLog(ctx, b, r.journal, id)
		b.StartTimer()
		began := time.Now()
		noError(b, r.copy(ctx, id))
		copied += time.Since(began)
		b.StopTimer()
		bare += bareInserts(ctx, b, d, -id)
		b.StartTimer()
	}
	rows := float64(benchEvents) * float64(b.N)
	b.ReportMetric(rows/copied.Seconds(), "rows/s")
	b.ReportMetric(rows/bare.Seconds(), "bare-rows/s")
	b.ReportMetric(copied.Seconds()/bare.Seconds(), "of-bare")
}

func benchBody(i int) []byte {
	return fmt.Appendf(nil, `{"type":"chat","at":"2026-11-25T08:00:00.000Z","id":"m-%06d","user":{"id":"0123456789ab","name":"Buyer","role":"buyer"},"text":"%080d"}`, i, i)
}

func fillLog(ctx context.Context, b *testing.B, j *journal, id int64) {
	b.Helper()
	_, _, err := j.open(ctx, id)
	noError(b, err)
	for i := range benchEvents {
		_, err := j.js.PublishAsync(subjectOf(id), benchBody(i))
		noError(b, err)
		if i%1000 == 999 { // nats.go wants its acknowledgements read
			<-j.js.PublishAsyncComplete()
		}
	}
}

// bareInserts writes the same rows into the same table, in transactions of as many.
func bareInserts(ctx context.Context, b *testing.B, d *db.DB, id int64) time.Duration {
	b.Helper()
	rows := make([]eventRow, 0, benchEvents)
	for i := range benchEvents {
		rows = append(rows, rowOf(id, "bare", record{seq: uint64(i) + 1, body: benchBody(i)}))
	}
	began := time.Now()
	for at := 0; at < len(rows); at += recordBatch {
		noError(b, d.Tx(ctx, func(ctx context.Context) error {
			return d.Write(ctx).Clauses(clause.OnConflict{DoNothing: true}).CreateInBatches(rows[at:min(at+recordBatch, len(rows))], rowsAtOnce).Error
		}))
	}
	return time.Since(began)
}

func noError(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
