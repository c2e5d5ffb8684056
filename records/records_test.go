package records_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/chat"
	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/records"
)

func TestMain(m *testing.M) { testshop.Main(m) }

// opening is when the tests' clock starts.
var opening = time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC)

func schema() []db.Migration { return append(chat.Migrations(), records.Migrations()...) }

// kept gives the keeper the rooms' real record.
type kept struct{ *chat.Record }

func (k kept) Each(ctx context.Context, session int64, from, to time.Time, yield func([]records.Event) error) error {
	return k.Record.Each(ctx, session, from, to, func(batch []chat.Kept) error {
		out := make([]records.Event, len(batch))
		for i, e := range batch {
			out[i] = records.Event(e)
		}
		return yield(out)
	})
}

func (k kept) Drop(ctx context.Context, events []records.Event) error {
	out := make([]chat.Kept, len(events))
	for i, e := range events {
		out[i] = chat.Kept(e)
	}
	return k.Record.Drop(ctx, out)
}

func (kept) Redact(body []byte, person string) ([]byte, bool) { return chat.Redact(body, person) }
func (kept) People(body []byte) []string                      { return chat.People(body) }

// rows blanks the database as the rooms do; the rooms themselves are tested with chat, and the whole in cmd/duoduopin.
type rows struct{ k *keeper }

func (r rows) Forget(ctx context.Context, account int64, spare func(records.Event) bool) (records.Forgotten, error) {
	var sum records.Forgotten
	person, err := r.k.log.Person(ctx, account)
	if err != nil {
		return sum, err
	}
	for session := range int64(sessions) {
		err := r.k.log.Each(ctx, session+1, time.Time{}, time.Time{}, func(batch []records.Event) error {
			for _, e := range batch {
				body, changed := chat.Redact(e.Body, person)
				switch {
				case !changed:
				case spare(e):
					sum.Spared++
				default:
					sum.Blanked++
					q := r.k.db.Write(ctx).Table("chat_events").Where("session_id = ? AND epoch = ? AND seq = ?", e.Session, e.Epoch, e.Seq)
					if err := q.Update("body", string(body)).Error; err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return sum, err
		}
	}
	return sum, nil
}

type shop struct{}

func (shop) Session(_ context.Context, id int64) error {
	if id > sessions {
		return fault.Missing("session")
	}
	return nil
}
func (shop) Account(context.Context, string) (int64, error) { return 0, fault.Missing("account") }

type audit struct{ acts []string }

func (a *audit) Record(_ context.Context, action, subject string, _ any) error {
	a.acts = append(a.acts, action+" "+subject)
	return nil
}

// keeper is a keeper with everything around it.
type keeper struct {
	*records.Service
	t     *testing.T
	db    *db.DB
	log   kept
	clock *clock.Manual
	dir   string
	audit *audit

	archive int // months
}

func newKeeper(t *testing.T, d *db.DB) *keeper {
	t.Helper()
	k := &keeper{t: t, db: d, log: kept{chat.NewRecord(d)}, clock: clock.NewManual(opening), dir: t.TempDir(), audit: &audit{}, archive: 12}
	k.Service = k.another(records.Disk{Dir: k.dir})
	return k
}

// another is a process more, on the same database.
func (k *keeper) another(v records.Vault) *records.Service {
	k.t.Helper()
	s, err := records.New(records.Config{
		DB: k.db, Clock: k.clock, Vault: v, Log: k.log, Rooms: rows{k}, Shop: shop{}, Audit: k.audit, Archive: k.archive, Logger: slog.New(slog.DiscardHandler),
	})
	must(k.t, err)
	return s
}

const (
	sessions = 3
	people   = 3
)

// say puts an event into the database, as a room's log would have it.
func (k *keeper) say(session, seq, account int64, at time.Time, text string) records.Event {
	k.t.Helper()
	person, err := k.log.Person(k.t.Context(), account)
	must(k.t, err)
	body, err := json.Marshal(map[string]any{"type": "chat", "at": at, "id": "x", "text": text, "user": map[string]any{"id": person, "name": fmt.Sprint("Wang ", account), "role": "buyer"}})
	must(k.t, err)
	e := records.Event{Session: session, Epoch: "E", Seq: seq, Type: "chat", At: at, Viewer: fmt.Sprint("a:", account), Account: account, Body: body}
	must(k.t, k.db.Write(k.t.Context()).Table("chat_events").Create(map[string]any{
		"session_id": e.Session, "epoch": e.Epoch, "seq": e.Seq, "typ": e.Type, "at_ms": db.Millis(e.At), "viewer": e.Viewer, "account_id": e.Account, "body": string(body),
	}).Error)
	return e
}

// all gives every event that there is, by place; one that is there twice is an error.
func (k *keeper) all() map[string]records.Event {
	k.t.Helper()
	out := map[string]records.Event{}
	for session := range int64(sessions) {
		must(k.t, k.Each(k.t.Context(), session+1, func(batch []records.Event) error {
			for _, e := range batch {
				if _, twice := out[place(e)]; twice {
					k.t.Fatalf("twice: %s", place(e))
				}
				out[place(e)] = e
			}
			return nil
		}))
	}
	return out
}

func place(e records.Event) string { return fmt.Sprint(e.Session, " ", e.Epoch, " ", e.Seq) }

func (k *keeper) inDatabase() int64 {
	k.t.Helper()
	var n int64
	must(k.t, k.db.Read(k.t.Context()).Table("chat_events").Count(&n).Error)
	return n
}

func (k *keeper) files() []string {
	k.t.Helper()
	found, err := filepath.Glob(filepath.Join(k.dir, "*", "*"))
	must(k.t, err)
	return found
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestArchive: old months go into files by session and month, the rest stays, and together they are what was said.
func TestArchive(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		k := newKeeper(t, d)
		want := map[string]records.Event{}
		for i := range int64(60) { // every ten days, back from today
			e := k.say(1+i%2, 1000-i, 1+i%3, opening.AddDate(0, 0, -10*int(i)), fmt.Sprint("word ", i))
			want[place(e)] = e
		}
		trial, err := k.Now(t.Context(), records.RunArchive, true)
		must(t, err)
		if k.inDatabase() != 60 || len(k.files()) != 0 || trial.Report.Events == 0 {
			t.Fatalf("a trial changed something, or saw nothing: %+v", trial.Report)
		}
		done, err := k.Now(t.Context(), records.RunArchive, false)
		must(t, err)
		if done.Report.Events != trial.Report.Events || done.Report.Files != len(k.files()) || k.inDatabase() != int64(60-done.Report.Events) {
			t.Errorf("%+v, %d files, %d rows", done.Report, len(k.files()), k.inDatabase())
		}
		again, err := k.Now(t.Context(), records.RunArchive, false)
		must(t, err)
		if again.Report.Events != 0 {
			t.Errorf("a second time: %+v", again.Report)
		}
		same(t, k.all(), want)
	})
}

func same(t *testing.T, got, want map[string]records.Event) {
	t.Helper()
	for at, w := range want {
		g, ok := got[at]
		if !ok {
			t.Errorf("%s (%s) is gone", at, w.At)
		} else if !g.At.Equal(w.At) || g.Account != w.Account || g.Viewer != w.Viewer || !jsonEqual(g.Body, w.Body) {
			t.Errorf("%s is another: %s", at, g.Body)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d events, want %d", len(got), len(want))
	}
}

func jsonEqual(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && fmt.Sprint(x) == fmt.Sprint(y)
}

// crashing is a vault that fails once it has been asked for so many writes, after or before it did them.
type crashing struct {
	records.Disk
	left  *int
	after bool
}

var errCrash = errors.New("the lights went out")

func (c crashing) Put(ctx context.Context, name string, content []byte) error {
	if *c.left--; *c.left < 0 {
		if c.after {
			must2(c.Disk.Put(ctx, name, content))
		}
		return errCrash
	}
	return c.Disk.Put(ctx, name, content)
}

func must2(err error) {
	if err != nil {
		panic(err)
	}
}

// TestArchiveCrash: whatever moment the process ends at, no event is lost or there twice, and nothing is left lying about.
func TestArchiveCrash(t *testing.T) {
	for _, after := range []bool{false, true} {
		k := newKeeper(t, openSQLite(t))
		want := map[string]records.Event{}
		for i := range int64(30) {
			e := k.say(1, i+1, 1, opening.AddDate(0, -20, int(i)), "word")
			want[place(e)] = e
		}
		left := 1
		if _, err := k.another(crashing{records.Disk{Dir: k.dir}, &left, after}).Now(t.Context(), records.RunArchive, false); !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
		same(t, k.all(), want)
		k.clock.Advance(2 * time.Hour)
		must(t, k.Work(t.Context()))
		same(t, k.all(), want)
		if got := k.inDatabase(); got != 0 {
			t.Errorf("%d events are still in the database", got)
		}
		var named int64
		must(t, k.db.Read(t.Context()).Table("record_files").Count(&named).Error)
		if int(named) != len(k.files()) {
			t.Errorf("%d files in the folder, %d known", len(k.files()), named)
		}
	}
}

func openSQLite(t *testing.T) *db.DB {
	t.Helper()
	d, err := db.Open(t.Context(), testshop.SQLiteURL(t), db.OneConnection())
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	must(t, d.Migrate(t.Context(), schema()))
	return d
}

// TestLease: one process works at a time; a lease that is not renewed goes to another, and the first one can't go on.
func TestLease(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		k := newKeeper(t, d)
		k.say(1, 1, 1, opening.AddDate(0, -20, 0), "word")
		other := k.another(records.Disk{Dir: k.dir})
		slow := &waiting{Disk: records.Disk{Dir: k.dir}}
		slow.during = func() {
			if err := other.Work(t.Context()); !errors.Is(err, records.ErrBusy) {
				t.Errorf("two at once: %v", err)
			}
			k.clock.Advance(time.Hour) // as if it had been frozen
			must(t, other.Work(t.Context()))
		}
		if _, err := k.another(slow).Now(t.Context(), records.RunArchive, false); !errors.Is(err, records.ErrBusy) {
			t.Errorf("the one that lost its lease went on: %v", err)
		}
		if len(k.all()) != 1 || k.inDatabase() != 0 {
			t.Errorf("%d events, %d in the database", len(k.all()), k.inDatabase())
		}
	})
}

// waiting is a vault in which something happens during the first write.
type waiting struct {
	records.Disk
	during func()
}

func (w *waiting) Put(ctx context.Context, name string, content []byte) error {
	if w.during != nil {
		during := w.during
		w.during = nil
		during()
	}
	return w.Disk.Put(ctx, name, content)
}

// TestForget: one person's name and words go from database and files, also what a hold kept until it was released.
func TestForget(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		k := newKeeper(t, d)
		k.say(1, 1, 1, opening.AddDate(0, -20, 0), "old secret")
		k.say(1, 2, 2, opening.AddDate(0, -20, 0), "somebody else's")
		k.say(2, 1, 1, opening.AddDate(0, 0, -1), "new secret")
		k.say(3, 1, 1, opening.AddDate(0, 0, -1), "held secret")
		_, err := k.Now(t.Context(), records.RunArchive, false)
		must(t, err)
		hold, err := k.Hold(t.Context(), records.Hold{Session: 3, Reason: "case 1"})
		must(t, err)
		_, err = k.Forget(t.Context(), 1, "asked at the counter")
		must(t, err)
		must(t, k.Work(t.Context()))
		if got := k.words(1); !slices.Equal(got, []string{"held secret"}) {
			t.Errorf("what is left of the person: %q", got)
		}
		if got := k.words(2); !slices.Equal(got, []string{"somebody else's"}) {
			t.Errorf("what is left of another: %q", got)
		}
		if raw := k.raw(); strings.Contains(raw, "old secret") {
			t.Error("a file still has it")
		}
		list, err := k.Erasures(t.Context(), 0, 10)
		must(t, err)
		if len(list) != 1 || list[0].Held != 1 || list[0].Blanked != 2 || !list[0].Done.IsZero() {
			t.Errorf("%+v", list)
		}
		k.clock.Advance(time.Hour)
		_, err = k.Release(t.Context(), hold.ID)
		must(t, err)
		must(t, k.Work(t.Context()))
		if got := k.words(1); len(got) != 0 {
			t.Errorf("after the hold: %q", got)
		}
		list, err = k.Erasures(t.Context(), 0, 10)
		must(t, err)
		if list[0].Held != 0 || list[0].Blanked != 3 || list[0].Done.IsZero() {
			t.Errorf("%+v", list)
		}
		if len(k.all()) != 4 {
			t.Errorf("%d events", len(k.all()))
		}
		if got := strings.Join(k.audit.acts, ", "); !strings.Contains(got, "records.forget account/1") || !strings.Contains(got, "records.release hold/1") {
			t.Error(got)
		}
	})
}

// words gives what a person is still known to have said.
func (k *keeper) words(account int64) []string {
	var out []string
	for _, e := range k.all() {
		var b struct {
			Text string
			User struct{ Name string }
		}
		must(k.t, json.Unmarshal(e.Body, &b))
		if e.Account == account && (b.Text != "" || b.User.Name != "") {
			out = append(out, b.Text)
		}
	}
	slices.Sort(out)
	return out
}

// raw is everything in the files, unpacked.
func (k *keeper) raw() string {
	var b bytes.Buffer
	for _, f := range k.files() {
		r, err := os.Open(f)
		must(k.t, err)
		events, err := records.Unpack(r)
		must(k.t, errors.Join(err, r.Close()))
		for _, e := range events {
			b.Write(e.Body)
		}
	}
	return b.String()
}

// TestHoldsThatAreNone: what is refused names the field and what to do.
func TestHoldsThatAreNone(t *testing.T) {
	k := newKeeper(t, openSQLite(t))
	for want, h := range map[string]records.Hold{
		"which case":    {Session: 1},
		"name a":        {Reason: "x"},
		"after from":    {Reason: "x", From: opening, To: opening},
		"session not":   {Reason: "x", Session: 99},
		"months at lea": {},
	} {
		_, err := k.Hold(t.Context(), h)
		if want == "months at lea" {
			_, err = records.New(records.Config{DB: k.db, Clock: k.clock, Vault: records.Disk{}, Log: k.log, Shop: shop{}, Audit: k.audit, Keep: 35})
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", h, err, want)
		}
	}
	if _, err := k.Release(t.Context(), 99); !errors.Is(err, fault.Missing("hold")) {
		t.Errorf("%v", err)
	}
}

// TestExport: both forms hold everything from files and database, a spreadsheet runs nothing, and the audit knows who.
func TestExport(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		k := newKeeper(t, d)
		k.say(1, 1, 1, opening.AddDate(0, -20, 0), "=HYPERLINK(1)")
		k.say(1, 2, 2, opening, "有红色吗, \"小号\"")
		_, err := k.Now(t.Context(), records.RunArchive, false)
		must(t, err)
		var table, lines bytes.Buffer
		must(t, k.Export(t.Context(), 1, records.CSV, func() io.Writer { return &table }))
		must(t, k.Export(t.Context(), 1, records.JSONL, func() io.Writer { return &lines }))
		rows := strings.Split(strings.TrimSpace(table.String()), "\n")
		if len(rows) != 3 || !strings.Contains(rows[1], ",'=HYPERLINK(1),") || !strings.Contains(rows[2], `"有红色吗, ""小号"""`) || !strings.HasPrefix(rows[1], "2020-11-08T11:00:00.000Z,E,1,chat,") {
			t.Errorf("%q", rows)
		}
		if got := strings.Split(strings.TrimSpace(lines.String()), "\n"); len(got) != 2 || !strings.Contains(got[1], `"seq":2`) {
			t.Errorf("%q", got)
		}
		if got := strings.Join(k.audit.acts, ", "); strings.Count(got, "records.export session/1") != 2 {
			t.Error(got)
		}
		if err := k.Export(t.Context(), 99, records.CSV, nil); !errors.Is(err, fault.Missing("session")) {
			t.Error(err)
		}
	})
}

// TestRetentionProperty plays random histories: people talk, holds come and go, months pass, runs run, people are forgotten.
// Nothing younger than the term is ever deleted, nor anything under a hold, nor is that changed; what is over its term and
// free is gone after a run, from the database at once, from files when the whole file is over; nothing is there twice.
func TestRetentionProperty(t *testing.T) {
	testshop.EachDB(t, schema(), func(t *testing.T, d *db.DB) {
		for seed := range uint64(6) {
			for _, table := range []string{"chat_events", "record_files", "record_people", "record_trash", "record_holds", "record_erasures", "record_runs"} {
				must(t, d.Write(t.Context()).Exec("DELETE FROM "+table).Error)
			}
			k := newKeeper(t, d)
			if seed%2 == 0 { // everything gets old in the database
				k.archive = records.KeepMonths
				k.Service = k.another(records.Disk{Dir: k.dir})
			}
			h := &history{keeper: k, r: rand.New(rand.NewPCG(seed, 7)), want: map[string]records.Event{}} //nolint:gosec // the same on every run
			for range 45 {
				h.step()
			}
			if t.Failed() {
				t.Fatalf("history %d: %s", seed, strings.Join(h.told, "; "))
			}
		}
	})
}

// history is a random one, with a model of what must be there.
type history struct {
	*keeper
	r     *rand.Rand
	seq   int64
	want  map[string]records.Event // with the body that must be there
	holds []records.Hold
	told  []string
}

func (h *history) note(format string, values ...any) {
	h.told = append(h.told, fmt.Sprintf(format, values...))
}

func (h *history) held(e records.Event) bool {
	return slices.ContainsFunc(h.holds, func(x records.Hold) bool { return x.Covers(e) })
}

func (h *history) step() {
	ctx := h.t.Context()
	switch n := h.r.IntN(20); {
	case n < 7:
		for range 1 + h.r.IntN(5) {
			h.seq++
			e := h.say(1+h.r.Int64N(sessions), h.seq, 1+h.r.Int64N(people), h.clock.Now().AddDate(0, -h.r.IntN(45), -h.r.IntN(28)), fmt.Sprint("word ", h.seq))
			h.want[place(e)] = e
		}
	case n < 11:
		months := h.r.IntN(8)
		h.note("%d months", months)
		h.clock.Set(h.clock.Now().AddDate(0, months, h.r.IntN(28)))
	case n < 13:
		x := records.Hold{Reason: "case", Session: h.r.Int64N(sessions + 1), Account: h.r.Int64N(people + 1)}
		if h.r.IntN(2) == 0 || x.Session == 0 && x.Account == 0 {
			x.From = h.clock.Now().AddDate(0, -h.r.IntN(60), 0)
			x.To = x.From.AddDate(0, 1+h.r.IntN(12), 0)
		}
		made, err := h.Hold(ctx, x)
		must(h.t, err)
		h.holds = append(h.holds, made)
		h.note("hold %+v", x)
	case n == 13 && len(h.holds) > 0:
		i := h.r.IntN(len(h.holds))
		_, err := h.Release(ctx, h.holds[i].ID)
		must(h.t, err)
		h.note("release %d", h.holds[i].ID)
		h.holds = slices.Delete(h.holds, i, i+1)
	case n < 16:
		h.note("archive")
		_, err := h.Now(ctx, records.RunArchive, false)
		must(h.t, err)
	case n < 19:
		h.retain()
	default:
		h.forget(1 + h.r.Int64N(people))
	}
	h.check()
}

func (h *history) retain() {
	ctx := h.t.Context()
	h.note("retain")
	trial, err := h.Now(ctx, records.RunRetain, true)
	must(h.t, err)
	done, err := h.Now(ctx, records.RunRetain, false)
	must(h.t, err)
	if trial.Report.Events != done.Report.Events || trial.Report.Held != done.Report.Held {
		h.t.Errorf("a trial said %+v, the run did %+v", trial.Report, done.Report)
	}
	cutoff := h.clock.Now().AddDate(0, -records.KeepMonths, 0)
	got := h.all()
	for at, e := range h.want {
		if _, there := got[at]; there {
			over := e.At.AddDate(0, 1, 5).Before(cutoff) // a file waits for its last event
			if over && !h.held(e) {
				h.t.Errorf("%s of %s is free and over its term at %s, and still there", at, e.At, h.clock.Now())
			}
			continue
		}
		if h.held(e) || !e.At.Before(cutoff) {
			h.t.Errorf("%s of %s must not be gone at %s", at, e.At, h.clock.Now())
		}
		delete(h.want, at)
	}
}

func (h *history) forget(account int64) {
	ctx := h.t.Context()
	h.note("forget %d", account)
	_, err := h.Forget(ctx, account, "asked")
	must(h.t, err)
	must(h.t, h.Work(ctx)) // runs of the day may come with it: what they delete is checked as retain does
	h.retain()
	h.clock.Advance(time.Millisecond)
	person, err := h.log.Person(ctx, account)
	must(h.t, err)
	got := h.all()
	for at, e := range h.want {
		if _, named := chat.Redact(got[at].Body, person); named && !h.held(e) {
			h.t.Errorf("%s still names the person", at)
		}
	}
	for at, e := range got {
		if w, ok := h.want[at]; ok && e.Account == account && !h.held(w) {
			h.want[at] = e
		}
	}
}

// check holds what is there against what must be.
func (h *history) check() {
	got := h.all()
	for at, w := range h.want {
		g, there := got[at]
		switch {
		case !there && (h.held(w) || !w.At.Before(h.clock.Now().AddDate(0, -records.KeepMonths, 0))):
			h.t.Errorf("%s is gone", at)
		case there && h.held(w) && !jsonEqual(g.Body, w.Body):
			h.t.Errorf("%s is held and was changed: %s", at, g.Body)
		}
	}
	for at := range got {
		if _, known := h.want[at]; !known {
			h.t.Errorf("%s has come back", at)
		}
	}
}

// FuzzUnpack: a file is somebody's who may write to the bucket.
func FuzzUnpack(f *testing.F) {
	good, err := records.Pack([]records.Event{{Session: 1, Epoch: "E", Seq: 1, Type: "chat", At: opening, Body: []byte(`{"type":"chat"}`)}})
	must(f, err)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add([]byte("not compressed"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		events, err := records.Unpack(bytes.NewReader(raw))
		if err != nil {
			return
		}
		again, err := records.Pack(events)
		if err != nil {
			return // a body that is no JSON was never one of ours
		}
		if back, err := records.Unpack(bytes.NewReader(again)); err != nil || len(back) != len(events) {
			t.Errorf("%d events came back as %d: %v", len(events), len(back), err)
		}
	})
}
