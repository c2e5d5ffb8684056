package payments_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/pay"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
	"github.com/duoduopin/duoduopin/payments"
)

func TestMain(m *testing.M) { testshop.Main(m) }

// day is 8 July 2022 in China.
var day = time.Date(2022, 7, 7, 16, 0, 0, 0, time.UTC)

// books are our books, in memory.
type books struct{ all []pay.Booking }

func (b *books) Booked(_ context.Context, _ string, from, to time.Time) ([]pay.Booking, error) {
	var out []pay.Booking
	for _, x := range b.all {
		if !x.At.IsZero() && !x.At.Before(from) && x.At.Before(to) {
			out = append(out, x)
		}
	}
	return out, nil
}

func (b *books) BookedAs(_ context.Context, _ string, ids, nos, refunds []string) ([]pay.Booking, error) {
	want := map[string]bool{}
	for _, id := range slices.Concat(ids, nos, refunds) {
		want[id] = true
	}
	var out []pay.Booking
	for _, x := range b.all {
		if x.RefundID != "" && want[x.RefundID] || x.RefundID == "" && (want[x.PaymentID] || want[x.ProviderID]) {
			out = append(out, x)
		}
	}
	return out, nil
}

// biller gives bills by day.
type biller struct {
	mu    sync.Mutex
	bills map[string][]pay.Line
	err   error
	asked int
}

func (*biller) Name() string { return pay.WeChat }

func (b *biller) Bill(_ context.Context, d time.Time) ([]pay.Line, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	lines, ok := b.bills[d.In(pay.China()).Format(time.DateOnly)]
	if b.err == nil && !ok {
		return nil, pay.ErrNoBill
	}
	return lines, b.err
}

type audit struct {
	mu   sync.Mutex
	acts []string
}

func (a *audit) Record(_ context.Context, action, subject string, _ any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acts = append(a.acts, action+" "+subject)
	return nil
}

type desk struct {
	t      *testing.T
	db     *db.DB
	clock  *clock.Manual
	books  *books
	biller *biller
	audit  *audit
	svc    *payments.Service
	echo   *echo.Echo
}

func (d *desk) service(worker string) *payments.Service {
	d.t.Helper()
	svc, err := payments.New(payments.Config{DB: d.db, Clock: d.clock, Worker: worker, Log: slog.New(slog.DiscardHandler)}, d.books, []payments.Biller{d.biller}, d.audit)
	if err != nil {
		d.t.Fatal(err)
	}
	return svc
}

type staff struct{}

func (staff) ByToken(_ context.Context, token string) (web.Actor, error) {
	return web.Actor{AccountID: 1, Name: token, Role: web.Role(strings.TrimRight(token, "0123456789"))}, nil
}

func (staff) Visitor(string) (string, string) { return "nobody", "" }

func eachDesk(t *testing.T, fn func(t *testing.T, d *desk)) {
	t.Helper()
	testshop.EachDB(t, payments.Migrations(), func(t *testing.T, base *db.DB) {
		d := &desk{t: t, db: base, clock: clock.NewManual(day.Add(34*time.Hour + 31*time.Minute)), books: &books{}, biller: &biller{bills: map[string][]pay.Line{}}, audit: &audit{}}
		d.svc = d.service("one")
		d.echo = echo.New()
		d.echo.IPExtractor = web.PeerIP
		d.echo.Use(web.Secure(), web.Identify(staff{}))
		d.svc.Routes(web.New(d.echo, "test", func(err error) { t.Error(err) }))
		fn(t, d)
	})
}

func (d *desk) call(who, method, path, body string) (int, string) {
	r := httptest.NewRequestWithContext(context.Background(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+who)
	w := httptest.NewRecorder()
	d.echo.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func operator() web.Actor {
	return web.Actor{AccountID: 1, Name: "operator1", Role: web.Operator}
}

func (d *desk) look() {
	d.t.Helper()
	if err := d.svc.Look(context.Background()); err != nil {
		d.t.Fatal(err)
	}
}

// of gives the report of the day.
func (d *desk) of(t time.Time) payments.Report {
	d.t.Helper()
	all, err := d.svc.Reports(context.Background(), operator(), "", 0, 100)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, r := range all {
		if r.Day.Equal(t) {
			return r
		}
	}
	d.t.Fatalf("no report of %s", t)
	return payments.Report{}
}

func (d *desk) found(r payments.Report) []payments.Found {
	d.t.Helper()
	all, err := d.svc.Differences(context.Background(), operator(), r.ID, payments.Filter{Limit: 10_000})
	if err != nil {
		d.t.Fatal(err)
	}
	return all
}

// evening is a day of n payments, every tenth refunded, in our books and in the bill alike; some just around midnight.
func evening(n int) ([]pay.Booking, []pay.Line) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's
	var ours []pay.Booking
	var theirs []pay.Line
	for i := range n {
		at := day.Add(time.Duration(r.Int64N(int64(24 * time.Hour)))).Truncate(time.Second)
		id, no, fen := fmt.Sprintf("p%05d", i), fmt.Sprintf("4200%05d", i), 1+r.Int64N(50_000)
		state := "settled"
		if i%97 == 0 {
			state = "returned"
		}
		ours = append(ours, pay.Booking{PaymentID: id, OrderID: "o" + id, ProviderID: no, AmountFen: fen, State: state, At: at})
		theirs = append(theirs, pay.Line{PaymentID: id, ProviderID: no, AmountFen: fen, Status: pay.Success, At: at})
		if i%10 == 0 {
			back := at.Add(time.Hour)
			status, st := pay.Success, "succeeded"
			if i%20 == 0 {
				status = pay.Waiting // when the bill was made
			}
			ours = append(ours, pay.Booking{PaymentID: id, OrderID: "o" + id, ProviderID: no, RefundID: "r" + id, AmountFen: 1 + fen/2, State: st, At: back.Add(2 * time.Second)})
			theirs = append(theirs, pay.Line{PaymentID: id, ProviderID: no, RefundID: "r" + id, AmountFen: 1 + fen/2, Status: status, At: back})
		}
	}
	return ours, theirs
}

// byDay sorts lines into the bills of their days.
func byDay(lines []pay.Line) map[string][]pay.Line {
	out := map[string][]pay.Line{}
	for _, l := range lines {
		d := l.At.In(pay.China()).Format(time.DateOnly)
		out[d] = append(out[d], l)
	}
	return out
}

// A day of some thousand payments with errors put in: each is found, with its kind, and nothing else.
func TestSimulatedDay(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ours, theirs := evening(3000)
		want := map[string]int{}
		line := func(i int) *pay.Line { return &theirs[i] }
		pick := func(refund bool, nth int) int { // the nth line of its sort, in the middle of the day
			for i, l := range theirs {
				if (l.RefundID != "") == refund && l.At.After(day.Add(time.Hour)) && l.At.Before(day.Add(22*time.Hour)) && l.Status == pay.Success {
					if nth--; nth < 0 {
						return i
					}
				}
			}
			t.Fatal("too few lines")
			return 0
		}
		booked := func(l pay.Line) *pay.Booking {
			for i := range ours {
				if ours[i].PaymentID == l.PaymentID && ours[i].RefundID == l.RefundID {
					return &ours[i]
				}
			}
			t.Fatalf("no booking of %+v", l)
			return nil
		}
		note := func(kind payments.Kind, what, id string) { want[string(kind)+" "+what+" "+id]++ }
		for i := range 9 { // what their bill says otherwise
			l := line(pick(false, 10+i*7))
			l.AmountFen++
			note(payments.AmountDiffers, "", l.PaymentID)
		}
		for i := range 8 { // a callback that never came: we still wait
			l := line(pick(false, 200+i*7))
			b := booked(*l)
			*b = pay.Booking{PaymentID: b.PaymentID, OrderID: b.OrderID, AmountFen: b.AmountFen, State: "pending"}
			note(payments.StateDiffers, "", l.PaymentID)
		}
		for i := range 7 { // money under numbers that we never gave
			l := pay.Line{PaymentID: fmt.Sprint("x", i), ProviderID: fmt.Sprint("4299", i), AmountFen: 100, Status: pay.Success, At: day.Add(5 * time.Hour)}
			theirs = append(theirs, l)
			note(payments.MissingHere, "", l.PaymentID)
		}
		for i := range 6 { // a second transaction of a payment that we have
			l := *line(pick(false, 400+i*7))
			l.ProviderID += "-2"
			theirs = append(theirs, l)
			note(payments.MissingHere, "", l.PaymentID)
		}
		gone := map[string]bool{}
		for i := range 5 { // we have it, they have not
			l := *line(pick(false, 600+i*7))
			if booked(l).State == "returned" || slices.ContainsFunc(theirs, func(x pay.Line) bool { return x.RefundID == "r"+l.PaymentID }) {
				l = *line(pick(false, 601+i*7))
			}
			gone[l.ProviderID] = true
			note(payments.MissingThere, "", l.PaymentID)
		}
		theirs = slices.DeleteFunc(theirs, func(l pay.Line) bool { return gone[l.ProviderID] && l.RefundID == "" })
		for i, spoil := range []func(l *pay.Line, b *pay.Booking) payments.Kind{
			func(l *pay.Line, _ *pay.Booking) payments.Kind { l.AmountFen++; return payments.AmountDiffers },
			func(l *pay.Line, _ *pay.Booking) payments.Kind { l.Status = pay.Failed; return payments.StateDiffers },
			func(_ *pay.Line, b *pay.Booking) payments.Kind { b.State = "requested"; return payments.StateDiffers },
			func(l *pay.Line, b *pay.Booking) payments.Kind {
				b.RefundID, b.At = "elsewhere", time.Time{}
				return payments.MissingHere
			},
		} {
			l := line(pick(true, 3+i*5))
			b := booked(*l)
			note(payments.RefundDiffers, string(spoil(l, b)), l.PaymentID)
		}
		l := *line(pick(true, 50))
		theirs = slices.DeleteFunc(theirs, func(x pay.Line) bool { return x.RefundID == l.RefundID })
		note(payments.RefundDiffers, string(payments.MissingThere), l.PaymentID)
		d.books.all, d.biller.bills = ours, byDay(theirs)

		d.look()
		r := d.of(day)
		got := map[string]int{}
		for _, f := range d.found(r) {
			got[string(f.Kind)+" "+f.What+" "+f.PaymentID]++
			if f.Kind != payments.MissingHere && f.What != string(payments.MissingHere) && f.OrderID == "" {
				t.Errorf("no order with %+v", f)
			}
		}
		for k := range want {
			if got[k] != want[k] {
				t.Errorf("%s: found %d times, wanted %d", k, got[k], want[k])
			}
		}
		for k := range got {
			if want[k] == 0 {
				t.Errorf("falsely found: %s", k)
			}
		}
		if r.State != payments.Done || r.Open != int64(len(want)) || len(want) != 40 || r.Theirs.Payments.Count < 2900 {
			t.Errorf("%+v, %d wanted", r, len(want))
		}
		// The next day has the last minutes, and what was refunded after midnight: nothing differs.
		d.clock.Advance(24 * time.Hour)
		d.look()
		if next := d.of(day.AddDate(0, 0, 1)); next.State != payments.Done || next.Total != 0 || next.Ours.Refunds.Count == 0 {
			t.Errorf("the next day: %+v, %+v", next, d.found(next))
		}
	})
}

// dump gives all rows of a day but the time of the last check.
func (d *desk) dump() string {
	d.t.Helper()
	var b strings.Builder
	for _, q := range []string{"SELECT * FROM reconciliation_lines ORDER BY reconciliation_id, position", "SELECT * FROM reconciliation_differences ORDER BY id", "SELECT * FROM reconciliations ORDER BY id"} {
		var rows []map[string]any
		if err := d.db.Read(context.Background()).Raw(q).Scan(&rows).Error; err != nil {
			d.t.Fatal(err)
		}
		for _, r := range rows {
			delete(r, "checked_ms")
			fmt.Fprintln(&b, r)
		}
	}
	return b.String()
}

func TestAgainChangesNothing(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ours, theirs := evening(300)
		theirs = append(theirs, pay.Line{PaymentID: "x", ProviderID: "42999", AmountFen: 7, Status: pay.Success, At: day.Add(time.Hour)})
		theirs = append(theirs, theirs[len(theirs)-1]) // the bill has it twice
		d.books.all, d.biller.bills = ours, byDay(theirs)
		d.look()
		before := d.dump()
		d.clock.Advance(time.Hour)
		d.look() // done days are left alone
		if d.dump() != before {
			t.Fatal("looking again changed something")
		}
		if _, err := d.svc.Now(t.Context(), operator(), pay.WeChat, day); err != nil {
			t.Fatal(err)
		}
		if after := d.dump(); after != before {
			t.Fatalf("running again changed something:\n%s\n%s", before, after)
		}
		// The books catch up: the difference is cleared, not deleted; it comes back, and is open again.
		d.books.all = append(d.books.all, pay.Booking{PaymentID: "x", OrderID: "ox", ProviderID: "42999", AmountFen: 7, State: "settled", At: day.Add(time.Hour)})
		d.biller.bills = byDay(theirs[:len(theirs)-1])
		if r, err := d.svc.Now(t.Context(), operator(), pay.WeChat, day); err != nil || r.Open != 0 || r.Total != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
		d.books.all = d.books.all[:len(d.books.all)-1]
		if r, err := d.svc.Now(t.Context(), operator(), pay.WeChat, day); err != nil || r.Open != 1 || r.Total != 1 {
			t.Fatalf("%+v, %v", r, err)
		}
	})
}

func TestBillsThatCanNotBeHad(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ours, theirs := evening(5)
		d.books.all = ours
		for _, err := range []error{pay.ErrNotYet, pay.ErrDown.Because(errors.New("no route"))} {
			d.biller.err = err
			d.look()
			if r := d.of(day); r.State != payments.Waiting || r.Problem == "" {
				t.Fatalf("%v: %+v", err, r)
			}
			asked := d.biller.asked
			d.look()
			if d.biller.asked != asked {
				t.Fatal("asked again at once")
			}
			d.clock.Advance(31 * time.Minute)
		}
		d.biller.err = errors.New("not a whole bill: line 7")
		d.look()
		if r := d.of(day); r.State != payments.Failed || !strings.Contains(r.Problem, "line 7") {
			t.Fatalf("%+v", r)
		}
		d.biller.err = nil // no bill at all, although we have payments: it may still come
		d.clock.Advance(7 * time.Hour)
		d.look()
		if r := d.of(day); r.State != payments.Waiting {
			t.Fatalf("%+v", r)
		}
		d.biller.bills = byDay(theirs)
		d.clock.Advance(time.Hour)
		d.look()
		if r := d.of(day); r.State != payments.Done || r.Total != 0 {
			t.Fatalf("%+v", r)
		}
		// A bill that never comes is an empty one after a day and a half: all that we have is missing there.
		late := day.AddDate(0, 0, 3)
		d.books.all = append(d.books.all, pay.Booking{PaymentID: "late", OrderID: "o", ProviderID: "4300", AmountFen: 5, State: "settled", At: late.Add(time.Hour)})
		d.clock.Set(late.AddDate(0, 0, 1).Add(37 * time.Hour))
		d.look()
		if all := d.found(d.of(late)); len(all) != 1 || all[0].Kind != payments.MissingThere || all[0].PaymentID != "late" {
			t.Fatalf("%+v", all)
		}
	})
}

// Two processes reconcile a day once.
func TestLeased(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		d.books.all, _ = evening(3)
		other := d.service("two")
		var wg sync.WaitGroup
		for _, s := range []*payments.Service{d.svc, other, d.svc, other} {
			wg.Go(func() {
				if err := s.Look(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d.biller.asked != 7 { // the last seven days, each once
			t.Errorf("asked %d times", d.biller.asked)
		}
	})
}

func TestRoutes(t *testing.T) {
	eachDesk(t, func(t *testing.T, d *desk) {
		ours, theirs := evening(50)
		for i := range 3 {
			theirs = append(theirs, pay.Line{PaymentID: fmt.Sprint("=x", i), ProviderID: fmt.Sprint("429", i), AmountFen: 250, Status: pay.Success, At: day.Add(time.Hour)})
		}
		d.books.all, d.biller.bills = ours, byDay(theirs)
		status, body := d.call("operator1", "POST", "/api/v1/reconciliations", `{"provider":"wechat","day":"2022-07-08"}`)
		if status != http.StatusOK || !strings.Contains(body, `"state":"done"`) || !strings.Contains(body, `"open":3`) || !strings.Contains(body, `"day":"2022-07-08"`) {
			t.Fatalf("%d %s", status, body)
		}
		id := body[strings.Index(body, `"id":`)+5 : strings.Index(body, ",")]
		root := "/api/v1/reconciliations/" + id
		for path, want := range map[string]string{
			"/api/v1/reconciliations?provider=wechat": `"theirs":{"payments":5`, root: `"provider":"wechat"`,
			root + "/differences?kind=missing_here&open=true": `"kind":"missing_here"`, root + "/differences?limit=2": `"next":"M`,
			root + "/differences.csv": "missing_here,,'=x0,4290,,,0.00,2.50,,success,",
		} {
			if status, body := d.call("operator1", "GET", path, ""); status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("%s: %d %s", path, status, body)
			}
			if status, _ := d.call("buyer1", "GET", path, ""); status != http.StatusForbidden {
				t.Errorf("%s as a buyer: %d", path, status)
			}
		}
		_, list := d.call("operator1", "GET", root+"/differences", "")
		one := list[strings.Index(list, `"id":`)+5:]
		one = one[:strings.Index(one, ",")]
		for range 2 {
			if status, body := d.call("operator1", "POST", root+"/differences/"+one+"/resolve", `{"note":"refunded at the provider"}`); status != http.StatusOK || !strings.Contains(body, `"resolved_by":"operator1"`) {
				t.Fatalf("%d %s", status, body)
			}
		}
		if n := strings.Count(strings.Join(d.audit.acts, ","), "reconciliation.resolved"); n != 1 {
			t.Errorf("%d acts", n)
		}
		if _, body := d.call("operator1", "GET", root, ""); !strings.Contains(body, `"open":2,"total":3`) {
			t.Error(body)
		}
		for body, want := range map[string]int{`{"provider":"paypal","day":"2022-07-08"}`: 422, `{"provider":"wechat","day":"2022-07-10"}`: 422, `{"provider":"wechat","day":"yesterday"}`: 422} {
			if status, answer := d.call("operator1", "POST", "/api/v1/reconciliations", body); status != want {
				t.Errorf("%s: %d %s", body, status, answer)
			}
		}
		for _, path := range []string{"/api/v1/reconciliations/999", "/api/v1/reconciliations/999/differences", "/api/v1/reconciliations/999/differences.csv"} {
			if status, _ := d.call("operator1", "GET", path, ""); status != http.StatusNotFound {
				t.Errorf("%s: %d", path, status)
			}
		}
	})
}
