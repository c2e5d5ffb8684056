package crash

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/duoduopin/duoduopin/internal/db"
)

// within is how soon after a fault the first order must succeed (reliability.md).
const within = 15 * time.Second

// line is one row of the table that the suite prints.
type line struct {
	stage                   string
	acknowledged, busy, mum int
	first                   time.Duration
	rows, verdict           string
}

type report struct {
	mu    sync.Mutex
	lines []line
}

var table report

func (r *report) add(l line) { r.mu.Lock(); defer r.mu.Unlock(); r.lines = append(r.lines, l) }

func (r *report) print() {
	if len(r.lines) == 0 {
		return
	}
	fmt.Fprintf(os.Stdout, "\n| %-46s | %8s | %6s | %9s | %11s | %-62s | %s |\n", "stage", "orders", "503", "no answer", "first after", "rows", "")
	fmt.Fprintf(os.Stdout, "|%s|\n", strings.Repeat("-", 170))
	for _, l := range r.lines {
		first := "-"
		if l.first > 0 {
			first = l.first.Round(10 * time.Millisecond).String()
		}
		fmt.Fprintf(os.Stdout, "| %-46s | %8d | %6d | %9d | %11s | %-62s | %s |\n", l.stage, l.acknowledged, l.busy, l.mum, first, l.rows, l.verdict)
	}
}

// judge ends a rush and holds it against the rows: nothing that was acknowledged is missing or there twice, a repeat of each
// tenth key gives the same order, the rules hold, and nobody got an answer that must not be. since is when the fault was
// over; zero: there was no end of it to count from.
func (r *rush) judge(stage string, since time.Time) {
	t := r.s.t
	t.Helper()
	r.end()
	l := line{stage: stage, acknowledged: len(r.orders), busy: r.busy, mum: r.silent, verdict: "FAILED"}
	defer func() { table.add(l) }()
	if len(r.wrong) > 0 {
		t.Errorf("%d wrong answers, such as %s", len(r.wrong), r.wrong[0])
	}
	if !since.IsZero() {
		if l.first = r.firstAfter(since); l.first > within {
			t.Errorf("the first success came %v after the fault", l.first)
		}
	}
	placed := r.s.placed()
	lost := 0
	for key, id := range r.orders {
		if placed[key] != id {
			lost++
			t.Errorf("acknowledged as %s with key %s, but the rows say %q", id, key, placed[key])
		}
	}
	repeated := 0
	for key, id := range r.orders {
		if repeated++; repeated > 30 {
			break
		}
		r.again(key, id)
	}
	unknown := len(placed) - len(r.orders)
	verified := r.s.run("verify", "--database-url", r.s.direct, "--data-dir", r.s.dir)
	l.rows = fmt.Sprintf("%d orders, %d lost, %d never answered; %s", len(placed), lost, unknown, verified)
	if !t.Failed() {
		l.verdict = "ok"
	}
}

// again repeats an acknowledged wish and wants the same order.
func (r *rush) again(key, id string) {
	r.s.t.Helper()
	var began, who, n int64
	if _, err := fmt.Sscanf(key, "k-%d-%d-%d", &began, &who, &n); err != nil {
		r.s.t.Fatal(err)
	}
	body := map[string]any{"session_id": r.s.session, "items": []any{map[string]any{"sku_id": r.s.sku, "quantity": 1}}}
	at := r.s.servers[int(n)%len(r.s.servers)]
	status, _, raw, err := exchange(http.MethodPost, at.url+"/api/v1/orders", r.s.buyers[who], key, body, patience)
	if err != nil || status != http.StatusCreated || !strings.Contains(string(raw), id) {
		r.s.t.Errorf("repeating %s: %d %s %v, wanted %s", key, status, raw, err, id)
	}
}

// rows opens the database beside the servers, past any proxy.
func (s *shop) rows(fn func(d *db.DB)) {
	s.t.Helper()
	d, err := db.Open(s.t.Context(), s.direct)
	must(s.t, err)
	defer d.Close()
	fn(d)
}

// placed gives every order of the shop by its key.
func (s *shop) placed() map[string]string {
	s.t.Helper()
	out := map[string]string{}
	s.rows(func(d *db.DB) {
		var rows []struct{ ID, Idem string }
		must(s.t, d.Read(s.t.Context()).Raw("SELECT id, idem FROM orders").Scan(&rows).Error)
		for _, r := range rows {
			key := r.Idem[strings.LastIndex(r.Idem, ":")+1:]
			if out[key] != "" {
				s.t.Errorf("two orders with key %s", key)
			}
			out[key] = r.ID
		}
	})
	return out
}

// number gives one figure of the database.
func (s *shop) number(sql string, args ...any) int {
	s.t.Helper()
	var n int
	s.rows(func(d *db.DB) { must(s.t, d.Read(s.t.Context()).Raw(sql, args...).Scan(&n).Error) })
	return n
}
