// Package db opens SQLite or PostgreSQL through gorm and carries transactions in the context.
//
// Duties of its callers: services open transactions with Tx, stores ask Read or Write for a handle and so join the one
// in the context; code inside a transaction never uses a handle from outside it. On SQLite there is one writing
// connection (BEGIN IMMEDIATE), so a store that ignores the context's transaction hangs at once instead of corrupting.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/glebarez/sqlite"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
)

// Dialects.
const (
	SQLite   = "sqlite"
	Postgres = "postgres"
)

// DB is one database with a handle for reading and one for writing (the same pool on PostgreSQL).
type DB struct {
	dialect string
	reader  *gorm.DB
	writer  *gorm.DB
	models  models // see many.go
}

// Option changes how a database is opened.
type Option func(*options)

type options struct{ oneConnection bool }

// OneConnection makes reads share the writing connection on SQLite, so that in tests a store that ignores the
// transaction in the context hangs at once.
func OneConnection() Option { return func(o *options) { o.oneConnection = true } }

// Open connects to "sqlite:PATH" or "postgres://...". It creates PATH's folder, not the schema: see Migrate.
func Open(ctx context.Context, database string, opts ...Option) (*DB, error) {
	var o options
	for _, f := range opts {
		f(&o)
	}
	switch {
	case strings.HasPrefix(database, "sqlite:"):
		return openSQLite(strings.TrimPrefix(database, "sqlite:"), o)
	case strings.HasPrefix(database, "postgres://"), strings.HasPrefix(database, "postgresql://"):
		return openPostgres(ctx, database)
	default:
		return nil, errors.New(`database URL must start with "sqlite:" or "postgres://"`)
	}
}

func config() *gorm.Config {
	return &gorm.Config{
		SkipDefaultTransaction: true,
		TranslateError:         true,
		NowFunc:                func() time.Time { return time.Now().UTC() },
		Logger:                 logger.New(slogWriter{}, logger.Config{SlowThreshold: time.Second, LogLevel: logger.Warn, IgnoreRecordNotFoundError: true, ParameterizedQueries: true}),
	}
}

// slogWriter sends gorm's warnings (slow queries, errors, without parameters) to slog.
type slogWriter struct{}

func (slogWriter) Printf(format string, args ...any) {
	slog.Debug("database", "message", fmt.Sprintf(format, args...))
}

const sqlitePragmas = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=foreign_keys(1)"

func openSQLite(path string, o options) (*DB, error) {
	if dir := filepath.Dir(path); dir != "." {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("database folder: %w", err)
		}
	}
	file := "file:" + (&url.URL{Path: path}).EscapedPath() // a # or ? in the path must not end it: the settings stand behind it
	writer, err := gorm.Open(sqlite.Open(file+"?_txlock=immediate&"+sqlitePragmas), config())
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	d := &DB{dialect: SQLite, writer: writer, reader: writer}
	if err := poolSize(writer, 1); err != nil {
		return nil, err
	}
	if o.oneConnection {
		return d, nil
	}
	if d.reader, err = gorm.Open(sqlite.Open(file+"?"+sqlitePragmas+"&_pragma=query_only(1)"), config()); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s for reading: %w", path, err), d.Close())
	}
	return d, poolSize(d.reader, 4)
}

func openPostgres(ctx context.Context, dsn string) (*DB, error) {
	g, err := gorm.Open(postgres.Open(dsn), config())
	if err != nil {
		return nil, fmt.Errorf("connect to PostgreSQL: %w", err)
	}
	if err := poolSize(g, 32); err != nil {
		return nil, err
	}
	d := &DB{dialect: Postgres, reader: g, writer: g}
	return d, d.Ping(ctx)
}

func poolSize(g *gorm.DB, n int) error {
	pool, err := g.DB()
	if err != nil {
		return err
	}
	pool.SetMaxOpenConns(n)
	pool.SetMaxIdleConns(n)
	return nil
}

// Dialect is SQLite or Postgres.
func (d *DB) Dialect() string { return d.dialect }

// Ping answers whether the database can be written to: a plain round trip on PostgreSQL, the writing lock on SQLite.
func (d *DB) Ping(ctx context.Context) error {
	pool, err := d.writer.DB()
	if err != nil {
		return err
	}
	return pool.PingContext(ctx)
}

// Close closes the connections.
func (d *DB) Close() error {
	var errs []error
	for _, g := range []*gorm.DB{d.reader, d.writer} {
		if g == nil {
			continue
		}
		if pool, err := g.DB(); err == nil {
			errs = append(errs, pool.Close())
		}
	}
	return errors.Join(errs...)
}

type txKey struct{}

type tx struct {
	db    *gorm.DB
	after []func()
}

// Read gives the handle to read with: the transaction in the context, else the reading pool.
func (d *DB) Read(ctx context.Context) *gorm.DB {
	if t, ok := ctx.Value(txKey{}).(*tx); ok {
		return t.db.WithContext(ctx)
	}
	return d.reader.WithContext(ctx)
}

// Write gives the handle to write with: the transaction in the context, else the writing pool.
func (d *DB) Write(ctx context.Context) *gorm.DB {
	if t, ok := ctx.Value(txKey{}).(*tx); ok {
		return t.db.WithContext(ctx)
	}
	return d.writer.WithContext(ctx)
}

// Tx runs fn in one transaction, or in the one that ctx already carries. What fn gave to AfterCommit runs after the
// outermost commit, never when it fails.
func (d *DB) Tx(ctx context.Context, fn func(ctx context.Context) error) error {
	if _, ok := ctx.Value(txKey{}).(*tx); ok {
		return fn(ctx)
	}
	t := &tx{}
	err := d.writer.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		t.db = g
		return fn(context.WithValue(ctx, txKey{}, t))
	})
	if err != nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

// Snapshot runs fn with reads that all see the database at one moment, beside whatever is being written.
func (d *DB) Snapshot(ctx context.Context, fn func(ctx context.Context) error) error {
	if InTx(ctx) {
		return fn(ctx)
	}
	var opts []*sql.TxOptions // SQLite's transactions see one moment by themselves
	if d.dialect == Postgres {
		opts = append(opts, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	}
	return d.reader.WithContext(ctx).Transaction(func(g *gorm.DB) error {
		return fn(context.WithValue(ctx, txKey{}, &tx{db: g}))
	}, opts...)
}

// AfterCommit runs f once the transaction in ctx has been committed; without one, at once. For what is nice to happen,
// such as a banner in the room, never for money or stock.
func AfterCommit(ctx context.Context, f func()) {
	if t, ok := ctx.Value(txKey{}).(*tx); ok {
		t.after = append(t.after, f)
		return
	}
	f()
}

// Outside gives a context that carries no transaction: for what must be read or written by itself, whoever asks for it. Inside
// a transaction on a database of one connection it would wait for itself.
func Outside(ctx context.Context) context.Context { return context.WithValue(ctx, txKey{}, nil) }

// InTx reports whether ctx carries a transaction.
func InTx(ctx context.Context) bool { _, ok := ctx.Value(txKey{}).(*tx); return ok }

// Millis is how times are stored in every table, in columns that end in _ms: Unix milliseconds. The zero time is 0.
func Millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// Time is the inverse of Millis.
func Time(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
