package db_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gorm.io/gorm"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
)

func TestMain(m *testing.M) { testshop.Main(m) }

func steps() []db.Migration {
	return []db.Migration{{ID: "20261124-test-01", Up: func(g *gorm.DB) error {
		type thing struct {
			ID    int64 `gorm:"primaryKey"`
			Count int64 `gorm:"not null;check:count >= 0"`
		}
		return g.Migrator().CreateTable(&thing{})
	}}}
}

type thing struct {
	ID    int64
	Count int64
}

func TestTransactions(t *testing.T) {
	testshop.EachDB(t, steps(), func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		count := func() (n int64) {
			if err := d.Read(ctx).Model(&thing{}).Count(&n).Error; err != nil {
				t.Fatal(err)
			}
			return n
		}
		told := 0
		boom := errors.New("boom")
		err := d.Tx(ctx, func(ctx context.Context) error {
			db.AfterCommit(ctx, func() { told++ })
			return errors.Join(d.Write(ctx).Create(&thing{Count: 1}).Error, boom)
		})
		if !errors.Is(err, boom) || count() != 0 || told != 0 {
			t.Fatalf("rolled back: err %v, rows %d, told %d", err, count(), told)
		}
		err = d.Tx(ctx, func(ctx context.Context) error {
			return d.Tx(ctx, func(ctx context.Context) error { // joins
				db.AfterCommit(ctx, func() { told++ })
				return d.Write(ctx).Create(&thing{Count: 1}).Error
			})
		})
		if err != nil || count() != 1 || told != 1 {
			t.Fatalf("committed: err %v, rows %d, told %d", err, count(), told)
		}
		if err := d.Write(ctx).Create(&thing{Count: -1}).Error; err == nil {
			t.Fatal("the CHECK let a negative count in")
		}
		if n, err := d.Pending(ctx, steps()); err != nil || n != 0 {
			t.Fatalf("pending %d, %v", n, err)
		}
	})
}

// A path may hold characters that mean something in a URI; the file is where it was asked for, with our settings.
func TestSQLitePaths(t *testing.T) {
	for _, name := range []string{"a#b.db", "a?b.db", "a%20b c.db", "康巴什.db"} {
		path := filepath.Join(t.TempDir(), name)
		d, err := db.Open(t.Context(), "sqlite:"+path)
		if err != nil {
			t.Fatal(name, err)
		}
		var mode string
		var sync int
		err1 := d.Write(t.Context()).Raw("pragma journal_mode").Scan(&mode).Error
		err2 := d.Write(t.Context()).Raw("pragma synchronous").Scan(&sync).Error
		if err := errors.Join(err1, err2, d.Close()); err != nil || mode != "wal" || sync != 2 {
			t.Errorf("%s: journal %s, synchronous %d, %v", name, mode, sync, err)
		}
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}
