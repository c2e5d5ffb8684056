package db

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/fault"
)

// What must happen once: a request that is repeated with its Idempotency-Key, and a job that several processes could do.

// KeepKeys is how long a repeat is recognised (a rule of our own; reliability.md asks for 30 days).
const KeepKeys = 30 * 24 * time.Hour

const maxKey = 200 // bytes

// Faults of Once.
var (
	ErrKey      = fault.New(fault.BadRequest, "missing-idempotency-key", "send an Idempotency-Key header of 1 to 200 printable characters; repeat it when you repeat the request")
	ErrMismatch = fault.New(fault.Invalid, "idempotency-mismatch", "this Idempotency-Key was used with another body; take a new key for a new request")
)

// OwnMigrations are the tables of this file.
func OwnMigrations() []Migration {
	return []Migration{{ID: "20261125-db-01", Up: func(g *gorm.DB) error {
		type idempotencyKey struct {
			Scope    string `gorm:"primaryKey;size:100"` // what is done, and by whom
			Key      string `gorm:"column:idem;primaryKey;size:200"`
			BodyHash string `gorm:"not null"`
			Answer   []byte `gorm:"not null"`
			AtMs     int64  `gorm:"not null;index"`
		}
		type jobLease struct {
			Name    string `gorm:"primaryKey;size:100"`
			Holder  string `gorm:"not null"`
			UntilMs int64  `gorm:"not null"`
		}
		return g.Migrator().CreateTable(&idempotencyKey{}, &jobLease{})
	}}}
}

type keyRow struct {
	Scope    string `gorm:"primaryKey"`
	Key      string `gorm:"column:idem;primaryKey"`
	BodyHash string
	Answer   []byte
	AtMs     int64
}

func (keyRow) TableName() string { return "idempotency_keys" }

// Once runs fn in a transaction, and remembers its answer under scope and key in the same transaction: a repeat with the
// same key and body gets that answer and does nothing, another body ErrMismatch. What fn refuses is not remembered. Two
// at the same moment are one: the second waits. An empty key means that the client can't repeat safely: fn just runs.
func Once[T any](ctx context.Context, d *DB, now time.Time, scope, key string, body any, fn func(context.Context) (T, error)) (T, error) {
	var answer T
	if key == "" {
		err := d.Tx(ctx, func(ctx context.Context) (err error) { answer, err = fn(ctx); return err })
		return answer, err
	}
	if len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }) {
		return answer, ErrKey
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return answer, fmt.Errorf("db: once %s: %w", scope, err)
	}
	sum := sha256.Sum256(raw)
	row := keyRow{Scope: scope, Key: key, BodyHash: hex.EncodeToString(sum[:]), Answer: []byte{}, AtMs: Millis(now)}
	err = d.Tx(ctx, func(ctx context.Context) error {
		first, err := claimKey(ctx, d, row)
		if err != nil || !first {
			if err == nil {
				err = readKey(ctx, d, row, &answer)
			}
			return err
		}
		if answer, err = fn(ctx); err != nil {
			return err
		}
		if row.Answer, err = json.Marshal(answer); err != nil {
			return err
		}
		return d.Write(ctx).Model(&keyRow{}).Where("scope = ? AND idem = ?", scope, key).Update("answer", row.Answer).Error
	})
	return answer, err
}

// claimKey reports whether the key is new; it waits for a transaction that has just written it.
func claimKey(ctx context.Context, d *DB, row keyRow) (bool, error) {
	done := d.Write(ctx).Exec("INSERT INTO idempotency_keys (scope, idem, body_hash, answer, at_ms) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
		row.Scope, row.Key, row.BodyHash, row.Answer, row.AtMs)
	return done.RowsAffected == 1, done.Error
}

func readKey(ctx context.Context, d *DB, row keyRow, answer any) error {
	var old keyRow
	if err := d.Write(ctx).Where("scope = ? AND idem = ?", row.Scope, row.Key).Take(&old).Error; err != nil {
		return err
	}
	if old.BodyHash != row.BodyHash {
		return ErrMismatch
	}
	return json.Unmarshal(old.Answer, answer)
}

// forgetBatch bounds one deletion, so that it never holds the writing lock for long.
const forgetBatch = 1000

// ForgetKeys deletes remembered answers older than KeepKeys and says how many there were.
func ForgetKeys(ctx context.Context, d *DB, now time.Time) (int64, error) {
	var all int64
	for {
		done := d.Write(ctx).Exec(`DELETE FROM idempotency_keys WHERE (scope, idem) IN
			(SELECT scope, idem FROM idempotency_keys WHERE at_ms < ? ORDER BY at_ms LIMIT ?)`, Millis(now.Add(-KeepKeys)), forgetBatch)
		all += done.RowsAffected
		if done.Error != nil || done.RowsAffected < forgetBatch {
			return all, done.Error
		}
	}
}

// Lease gives a job to holder until now+span, or reports false when another holds it. Who holds it may take it again. A
// holder that was stopped for longer than span must expect another beside it: what it writes needs a guard of its own. A
// lease that ends later than one taken now would was taken by a clock that was ahead, and counts for nothing.
func Lease(ctx context.Context, d *DB, job, holder string, now time.Time, span time.Duration) (bool, error) {
	done := d.Write(ctx).Exec(`INSERT INTO job_leases (name, holder, until_ms) VALUES (?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until_ms = excluded.until_ms
		WHERE job_leases.until_ms <= ? OR job_leases.until_ms > excluded.until_ms OR job_leases.holder = excluded.holder`, job, holder, Millis(now.Add(span)), Millis(now))
	return done.RowsAffected == 1, done.Error
}

// CanWrite commits one small row and so tells whether the database takes orders: one that is full, frozen or read-only
// answers a ping all the same. It needs the tables of OwnMigrations.
func (d *DB) CanWrite(ctx context.Context) error {
	return d.Write(ctx).Exec(`INSERT INTO job_leases (name, holder, until_ms) VALUES ('probe', '', 0)
		ON CONFLICT (name) DO UPDATE SET until_ms = job_leases.until_ms + 1`).Error
}
