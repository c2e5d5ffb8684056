package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
)

type wish struct{ Units int64 }

func TestOnce(t *testing.T) {
	testshop.EachDB(t, append(steps(), db.OwnMigrations()...), func(t *testing.T, d *db.DB) {
		now := time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)
		var runs atomic.Int64
		boom := errors.New("boom")
		do := func(scope, key string, w wish, fail error) (string, error) {
			return db.Once(t.Context(), d, now, scope, key, w, func(ctx context.Context) (string, error) {
				n := runs.Add(1)
				return fmt.Sprint("answer ", n), errors.Join(d.Write(ctx).Create(&thing{Count: w.Units}).Error, fail)
			})
		}
		if _, err := do("a", "k", wish{1}, boom); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		// Refused: nothing is remembered. Then eight at once are one.
		answers := make(chan string, 8)
		for range cap(answers) {
			go func() {
				got, err := do("a", "k", wish{1}, nil)
				answers <- fmt.Sprint(got, err)
			}()
		}
		for range cap(answers) {
			if got := <-answers; got != "answer 2<nil>" {
				t.Errorf("got %s", got)
			}
		}
		if _, err := do("a", "k", wish{2}, nil); !errors.Is(err, db.ErrMismatch) {
			t.Errorf("another body: %v", err)
		}
		for _, bad := range []string{strings.Repeat("k", 201), "a\nb", "\xff"} {
			if _, err := do("a", bad, wish{2}, nil); !errors.Is(err, db.ErrKey) {
				t.Errorf("key %q: %v", bad, err)
			}
		}
		for i, scope := range []string{"b", "b", "c"} { // another scope is another request; no key, no memory
			if _, err := do(scope, "", wish{int64(i)}, nil); err != nil {
				t.Error(err)
			}
		}
		if n := runs.Load(); n != 5 {
			t.Errorf("ran %d times", n)
		}
		now = now.Add(db.KeepKeys - time.Hour)
		if n, err := db.ForgetKeys(t.Context(), d, now); n != 0 || err != nil {
			t.Errorf("forgot %d early, %v", n, err)
		}
		now = now.Add(2 * time.Hour)
		if n, err := db.ForgetKeys(t.Context(), d, now); n != 1 || err != nil {
			t.Errorf("forgot %d, %v", n, err)
		}
	})
}

func TestLease(t *testing.T) {
	testshop.EachDB(t, db.OwnMigrations(), func(t *testing.T, d *db.DB) {
		now := time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)
		for _, row := range []struct {
			holder string
			after  time.Duration
			want   bool
		}{{"one", 0, true}, {"two", time.Second, false}, {"one", 20 * time.Second, true}, {"two", 31 * time.Second, false}, {"two", 50 * time.Second, true}, {"one", 51 * time.Second, false}, {"one", -time.Hour, true}} {
			got, err := db.Lease(t.Context(), d, "job", row.holder, now.Add(row.after), 30*time.Second)
			if err != nil || got != row.want {
				t.Errorf("%s after %v: %v, %v", row.holder, row.after, got, err)
			}
		}
		if got, err := db.Lease(t.Context(), d, "other job", "one", now, time.Second); err != nil || !got {
			t.Error(got, err)
		}
	})
}
