package points_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/civic/points"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/rule"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

var evening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

// hall is the other nouns: it keeps what was audited and knows one account.
type hall struct{ acts []string }

func (h *hall) Record(_ context.Context, action, subject string, _ any) error {
	h.acts = append(h.acts, action+" "+subject)
	return nil
}

func (*hall) AccountID(_ context.Context, name string) (int64, error) {
	if name != "bai" {
		return 0, fault.Missing("account")
	}
	return 1, nil
}

func (*hall) ByToken(_ context.Context, token string) (web.Actor, error) {
	id := map[string]int64{"bai": 1, "stranger": 2, "op": 9}[token]
	role := map[string]web.Role{"op": web.Operator}[token]
	if role == "" {
		role = web.Buyer
	}
	return web.Actor{AccountID: id, Name: token, Role: role}, nil
}

func (*hall) Visitor(string) (string, string) { return "v:1", "" }

type ledger struct {
	*points.Service
	t     testing.TB
	db    *db.DB
	clock *clock.Manual
	hall  *hall
	given int
}

func each(t *testing.T, fn func(t *testing.T, l *ledger)) {
	testshop.EachDB(t, points.Migrations(), func(t *testing.T, d *db.DB) { fn(t, open(t, d)) })
}

func open(t testing.TB, d *db.DB) *ledger {
	l := &ledger{t: t, db: d, clock: clock.NewManual(evening), hall: &hall{}}
	l.Service = points.New(d, l.clock, l.hall, l.hall)
	return l
}

func (l *ledger) earn(account, n int64, days int) points.Lot {
	l.t.Helper()
	l.given++
	lot, err := l.Earn(context.Background(), points.Grant{Account: account, Points: n, Source: "grab", Ref: fmt.Sprint("g", l.given), ExpiresAt: l.clock.Now().AddDate(0, 0, days)})
	if err != nil {
		l.t.Fatal(err)
	}
	return lot
}

// state is "left/left/... = sum" of an account.
func (l *ledger) state(account int64) string {
	l.t.Helper()
	lots, sum, err := l.Lots(context.Background(), account)
	if err != nil {
		l.t.Fatal(err)
	}
	var parts []string
	for _, lot := range lots {
		parts = append(parts, fmt.Sprint(lot.Left))
	}
	by, err := l.Balances(context.Background(), []int64{account})
	if err != nil || by[account] != sum {
		l.t.Fatalf("balance %d, lots %d, %v", by[account], sum, err)
	}
	return fmt.Sprintf("%s = %d", strings.Join(parts, "/"), sum)
}

func (l *ledger) whole() {
	l.t.Helper()
	found, err := broken(l.Rules(context.Background()))
	if err != nil || len(found) > 0 {
		l.t.Fatalf("%v %v", found, err)
	}
	sum, err := l.Totals(context.Background())
	if err != nil || sum.Issued-sum.Expired-sum.Spent+sum.Returned != sum.Balances {
		l.t.Fatalf("%+v %v", sum, err)
	}
}

func TestLotsThatExpireFirstGoFirst(t *testing.T) {
	each(t, func(t *testing.T, l *ledger) {
		l.earn(1, 100, 30)
		l.earn(1, 50, 10)
		ok := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
			l.whole()
		}
		ok(l.Spend(t.Context(), 1, 70, "order/a"))
		ok(l.Spend(t.Context(), 1, 70, "order/a")) // again
		if got := l.state(1); got != "80 = 80" {
			t.Fatal(got)
		}
		ok(l.Return(t.Context(), 1, "order/a", 30)) // 20 to the long lot, 10 to the short one
		ok(l.Return(t.Context(), 1, "order/a", 30))
		if got := l.state(1); got != "10/100 = 110" {
			t.Fatal(got)
		}
		if err := l.Spend(t.Context(), 1, 111, "order/b"); !errors.Is(err, points.ErrShort) {
			t.Fatal(err)
		}
		if err := l.Spend(t.Context(), 2, 1, "order/c"); !errors.Is(err, points.ErrShort) {
			t.Fatal(err)
		}
		l.clock.Advance(11 * 24 * time.Hour) // the short lot is over, whether or not the job has run
		if got := l.state(1); got != "100 = 100" {
			t.Fatal(got)
		}
		if err := l.Spend(t.Context(), 1, 101, "order/d"); !errors.Is(err, points.ErrShort) {
			t.Fatal(err)
		}
		ok(l.Return(t.Context(), 1, "order/a", 1000)) // the rest: its lot has expired, and lasts 30 days more
		if got := l.state(1); got != "100/40 = 140" {
			t.Fatal(got)
		}
		l.clock.Advance(31 * 24 * time.Hour)
		if n, err := l.Expire(t.Context()); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if n, err := l.Expire(t.Context()); err != nil || n != 0 {
			t.Fatal(n, err)
		}
		l.whole()
		if got := l.state(1); got != " = 0" {
			t.Fatal(got)
		}
	})
}

func TestGrantsTwice(t *testing.T) {
	each(t, func(t *testing.T, l *ledger) {
		g := points.Grant{Account: 1, Points: 5, Source: "grab", Ref: "grab/1"}
		for range 3 {
			if _, err := l.Earn(t.Context(), g); err != nil {
				t.Fatal(err)
			}
		}
		if got := l.state(1); got != "5 = 5" {
			t.Fatal(got)
		}
		g.Points = 6
		if _, err := l.Earn(t.Context(), g); !errors.Is(err, points.ErrOther) {
			t.Fatal(err)
		}
		for field, bad := range map[string]points.Grant{
			"points": {Account: 1, Points: 0, Source: "x", Ref: "r"}, "reason": {Account: 1, Points: 1, Ref: "r"},
			"expires_at": {Account: 1, Points: 1, Source: "x", Ref: "r", ExpiresAt: evening},
		} {
			var f *fault.Error
			if _, err := l.Earn(t.Context(), bad); !errors.As(err, &f) || f.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		l.whole()
	})
}

// A hundred at once, from two processes' worth of connections, want the same points: the balance is spent once.
func TestSpentOnce(t *testing.T) {
	for name, url := range map[string]string{"sqlite": testshop.SQLiteURL(t), "postgres": testshop.PostgresURL(t)} {
		t.Run(name, func(t *testing.T) {
			var both []*ledger
			for range 2 {
				d, err := db.Open(t.Context(), url)
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				if err := d.Migrate(t.Context(), points.Migrations()); err != nil {
					t.Fatal(err)
				}
				both = append(both, open(t, d))
			}
			both[0].earn(1, 60, 5)
			both[0].earn(1, 45, 9)
			var done atomic.Int64
			var all sync.WaitGroup
			for i := range 100 {
				all.Go(func() {
					switch err := both[i%2].Spend(t.Context(), 1, 10, fmt.Sprint("order/", i)); {
					case err == nil:
						done.Add(1)
					case !errors.Is(err, points.ErrShort):
						t.Error(err)
					}
				})
			}
			all.Wait()
			if done.Load() != 10 || both[1].state(1) != "5 = 5" {
				t.Fatalf("%d spent, %s left", done.Load(), both[1].state(1))
			}
			both[0].whole()
		})
	}
}

// Whatever happens in whatever order, every point is accounted for.
func TestRandomLives(t *testing.T) {
	each(t, func(t *testing.T, l *ledger) {
		if !slices.ContainsFunc(os.Args, func(a string) bool { return strings.Contains(a, "rapid.checks") }) {
			_ = flag.Set("rapid.checks", "40")
		}
		run := 0
		rapid.Check(t, func(rt *rapid.T) {
			run++
			ref := func() string {
				return fmt.Sprint("order/", run, "/", rapid.IntRange(1, 4).Draw(rt, "order"))
			}
			account := func() int64 { return rapid.Int64Range(1, 2).Draw(rt, "account") + int64(run)*10 }
			owner := map[string]int64{}
			for range rapid.IntRange(1, 15).Draw(rt, "steps") {
				n := rapid.Int64Range(1, 100).Draw(rt, "n")
				var err error
				switch rapid.IntRange(0, 4).Draw(rt, "what") {
				case 0:
					l.earn(account(), n, rapid.IntRange(1, 20).Draw(rt, "days"))
				case 1:
					a, r := account(), ref()
					if err = l.Spend(context.Background(), a, n, r); err == nil && owner[r] == 0 {
						owner[r] = a
					}
				case 2:
					if r := ref(); owner[r] != 0 {
						err = l.Return(context.Background(), owner[r], r, n)
					}
				case 3:
					l.clock.Advance(time.Duration(rapid.IntRange(1, 200).Draw(rt, "hours")) * time.Hour)
				case 4:
					_, err = l.Expire(context.Background())
				}
				if err != nil && !errors.Is(err, points.ErrShort) {
					rt.Fatal(err)
				}
			}
			l.whole()
		})
	})
}

func TestVerifyFinds(t *testing.T) {
	for sql, want := range map[string]string{
		"UPDATE points_accounts SET balance = balance + 1":                        "differs from the balance",
		"UPDATE points_lots SET points_left = points_left - 1":                    "differs from what is left",
		"DELETE FROM points_entries WHERE kind = 'issued'":                        "differs from",
		"UPDATE points_entries SET points = points + 100 WHERE kind = 'returned'": "more came back",
	} {
		each(t, func(t *testing.T, l *ledger) {
			l.earn(1, 100, 5)
			if err := errors.Join(l.Spend(t.Context(), 1, 50, "o"), l.Return(t.Context(), 1, "o", 20)); err != nil {
				t.Fatal(err)
			}
			l.whole()
			if err := l.db.Write(t.Context()).Exec(sql).Error; err != nil {
				t.Fatal(err)
			}
			if found, err := broken(l.Rules(t.Context())); err != nil || !strings.Contains(strings.Join(found, "\n"), want) {
				t.Errorf("%s: %v %v", sql, found, err)
			}
		})
	}
}

func TestRoutes(t *testing.T) {
	each(t, func(t *testing.T, l *ledger) {
		e := echo.New()
		e.IPExtractor = web.PeerIP
		e.Use(web.Identify(l.hall))
		l.Routes(web.New(e, "test", func(err error) { t.Error(err) }))
		call := func(who, method, path, body, key string) (int, string) {
			r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Authorization", "Bearer "+who)
			if key != "" {
				r.Header.Set("Idempotency-Key", key)
			}
			w := httptest.NewRecorder()
			e.ServeHTTP(w, r)
			return w.Code, w.Body.String()
		}
		grant := `{"account":"bai","points":250,"reason":"drive against litter"}`
		for _, row := range []struct {
			who, method, path, body, key string
			status                       int
			has                          string
		}{
			{"bai", "POST", "/api/v1/points", grant, "k", http.StatusForbidden, "forbidden"},
			{"op", "POST", "/api/v1/points", grant, "", http.StatusBadRequest, "missing-idempotency-key"},
			{"op", "POST", "/api/v1/points", strings.Replace(grant, "bai", "x", 1), "k0", http.StatusNotFound, "not-found"},
			{"op", "POST", "/api/v1/points", strings.Replace(grant, "250", "0.5", 1), "k0", http.StatusUnprocessableEntity, `"field":"points"`},
			{"op", "POST", "/api/v1/points", grant, "k", http.StatusCreated, `"left":250`},
			{"op", "POST", "/api/v1/points", grant, "k", http.StatusCreated, `"left":250`},
			{"op", "POST", "/api/v1/points", strings.Replace(grant, "250", "251", 1), "k", http.StatusUnprocessableEntity, "idempotency-mismatch"},
			{"bai", "GET", "/api/v1/me/points", "", "", http.StatusOK, `"balance":250`},
			{"bai", "GET", "/api/v1/me/points/entries", "", "", http.StatusOK, `"kind":"issued"`},
			{"stranger", "GET", "/api/v1/me/points", "", "", http.StatusOK, `"balance":0,"lots":[]`},
			{"op", "GET", "/api/v1/points/totals", "", "", http.StatusOK, `"issued":250`},
		} {
			if status, body := call(row.who, row.method, row.path, row.body, row.key); status != row.status || !strings.Contains(body, row.has) {
				t.Errorf("%s %s %s: %d %s", row.who, row.method, row.path, status, body)
			}
		}
		if fmt.Sprint(l.hall.acts) != "[points.grant account/1]" {
			t.Error(l.hall.acts)
		}
	})
}

// broken gives one sentence for each break of a rule.
func broken(rules []rule.Rule, err error) ([]string, error) {
	var all []string
	for _, r := range rules {
		for _, b := range r.Broken {
			all = append(all, b.Text)
		}
	}
	return all, err
}
