package chat

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/internal/clock"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/reports"
)

// audience is a room's presence on one node with its notebook and a real database, lived through second by second: what the
// goroutines of a Service do is called by hand.
type audience struct {
	t       *rapid.T
	store   store
	clock   *clock.Manual
	begin   time.Time
	session int64
	node    string
	starts  int
	notes   *notebook
	p       presence
}

func (a *audience) must(err error) {
	if err != nil {
		a.t.Fatal(err)
	}
}

// start is a process that begins, and the room that is opened in it.
func (a *audience) start() {
	ctx := a.t.Context()
	a.starts++
	a.node, a.notes = fmt.Sprint("node-", a.starts), newNotebook(a.store, a.store.db)
	a.must(a.store.closeStale(ctx, a.node, a.clock.Now()))
	a.p = newPresence(a.clock, a.notes, a.session, a.node, newCrowd())
	rows, err := a.store.justLeft(ctx, a.session, a.clock.Now().Add(-rejoinWithin))
	a.must(err)
	a.p.recall(rows)
}

// spell is one entry of the model's: whole seconds since the beginning, to excluded.
type spell struct{ from, to int }

// ledger is the model: it knows nothing of stays and rows, only who has how many sockets in each second.
type ledger struct {
	tabs   map[string]int
	seen   map[string]int // second in which somebody was last known to be there: come in, or a heartbeat
	spells map[string][]spell
}

func newLedger() *ledger {
	return &ledger{tabs: map[string]int{}, seen: map[string]int{}, spells: map[string][]spell{}}
}

const stillHere = 1 << 30

func (l *ledger) come(who string, at int) {
	if l.tabs[who]++; l.tabs[who] > 1 {
		return
	}
	l.seen[who] = at
	all := l.spells[who]
	if n := len(all); n > 0 && at-all[n-1].to <= int(rejoinWithin.Seconds()) {
		all[n-1].to = stillHere
		return
	}
	l.spells[who] = append(all, spell{at, stillHere})
}

func (l *ledger) end(who string, at int) {
	all := l.spells[who]
	all[len(all)-1].to = at
	l.tabs[who] = 0
}

func (l *ledger) leave(who string, at int) {
	if l.tabs[who]--; l.tabs[who] == 0 {
		l.end(who, at)
	}
}

func (l *ledger) here() []string {
	var all []string
	for who, n := range l.tabs {
		if n > 0 {
			all = append(all, who)
		}
	}
	slices.Sort(all)
	return all
}

// figures are counted out second by second.
type figures struct {
	uv, pv, pcu, watched int64
	acu                  float64
}

// count counts over [0, long): for each second how many are there, and nothing cleverer.
func (l *ledger) count(long int) figures {
	var f figures
	minutes := make([]int64, (long+59)/60)
	for t := range long {
		online := int64(0)
		for _, all := range l.spells {
			for _, s := range all {
				if s.from <= t && t < s.to {
					online++
				}
			}
		}
		f.watched += online
		f.pcu, minutes[t/60] = max(f.pcu, online), max(minutes[t/60], online)
	}
	for _, all := range l.spells { // who came and went within one moment was not there in any second
		n := int64(len(slices.DeleteFunc(slices.Clone(all), func(s spell) bool { return s.to <= s.from })))
		f.uv, f.pv = f.uv+min(n, 1), f.pv+n
	}
	for i, m := range minutes {
		f.acu += float64(m) * float64(min(60, long-60*i))
	}
	f.acu /= float64(long)
	return f
}

// TestPresenceByTheSecond: random histories of viewers with several tabs, of heartbeats, restarts and crashes. What is in the
// database, and the report's UV, PV, PCU, ACU and watched time, are what counting every second gives.
func TestPresenceByTheSecond(t *testing.T) {
	testshop.EachDB(t, Migrations(), func(t *testing.T, d *db.DB) {
		session := int64(0)
		rapid.Check(t, func(t *rapid.T) {
			session++
			checkPresence(t, store{d}, session)
		})
	})
}

func checkPresence(t *rapid.T, st store, session int64) {
	begin := time.Date(2022, 7, 8, 11, 0, 0, 0, time.UTC).Add(time.Duration(session) * 24 * time.Hour)
	a := &audience{t: t, store: st, clock: clock.NewManual(begin), begin: begin, session: session}
	a.start()
	model := newLedger()
	now := 0
	for range rapid.IntRange(1, 25).Draw(t, "steps") {
		for range rapid.SampledFrom([]int{0, 1, 2, 5, 14, 15, 16, 29, 30, 31, 60}).Draw(t, "seconds") {
			now++
			if a.clock.Advance(time.Second); now%int(beatEvery.Seconds()) == 0 {
				a.beat(model, now)
			}
		}
		switch rapid.SampledFrom([]string{"", "", "", "", "", "", "", "", "crash", "restart"}).Draw(t, "fate") {
		case "crash":
			a.crash(model)
		case "restart":
			a.restart(model, now)
		}
		for range rapid.IntRange(0, 4).Draw(t, "acts") {
			a.act(model, now)
		}
		a.must(a.notes.flush(t.Context()))
	}
	a.compare(model, now+1)
}

func (a *audience) act(model *ledger, s int) {
	who := fmt.Sprint("v:", rapid.IntRange(1, 6).Draw(a.t, "who"))
	if model.tabs[who] > 0 && rapid.Bool().Draw(a.t, "leaves") {
		model.leave(who, s)
		a.p.depart(who)
		return
	}
	model.come(who, s)
	a.p.arrive(who)
	if got := a.p.count(); got != len(model.here()) {
		a.t.Fatalf("%d viewers at second %d, counted %d", got, s, len(model.here()))
	}
}

func (a *audience) beat(model *ledger, s int) {
	a.p.sweep(a.clock.Now())
	a.must(a.store.beat(a.t.Context(), a.node, a.clock.Now()))
	for _, who := range model.here() {
		model.seen[who] = s
	}
}

// crash: nobody is told anything. Who was there ends when last known to be.
func (a *audience) crash(model *ledger) {
	for _, who := range model.here() {
		model.end(who, model.seen[who])
	}
	a.start()
}

// restart: the sockets end now.
func (a *audience) restart(model *ledger, s int) {
	for _, who := range model.here() {
		for model.tabs[who] > 0 {
			model.leave(who, s)
			a.p.depart(who)
		}
	}
	a.must(a.notes.flush(a.t.Context()))
	a.start()
}

// compare holds the rows, and the report made of them, against the model.
func (a *audience) compare(model *ledger, long int) {
	rows, err := a.store.stays(a.t.Context(), a.session)
	a.must(err)
	end := a.begin.Add(time.Duration(long) * time.Second)
	facts := reports.Facts{Session: reports.Session{ID: a.session, LiveAt: a.begin, EndedAt: end, State: "ended"}, Now: end}
	got := map[string][]spell{}
	for _, r := range rows {
		s := spell{int(db.Time(r.FromMs).Sub(a.begin).Seconds()), stillHere}
		if r.ToMs != 0 {
			s.to = int(db.Time(r.ToMs).Sub(a.begin).Seconds())
		}
		got[r.Viewer] = append(got[r.Viewer], s)
		facts.Visits = append(facts.Visits, reports.Visit{Viewer: r.Viewer, Span: reports.Span{From: db.Time(r.FromMs), To: db.Time(r.ToMs)}})
	}
	for who, want := range model.spells {
		if !slices.Equal(got[who], want) {
			a.t.Fatalf("%s was there %v, the rows say %v", who, want, got[who])
		}
	}
	if len(got) != len(model.spells) {
		a.t.Fatalf("%d viewers have rows, %d were there", len(got), len(model.spells))
	}
	r, want := reports.Compute(facts).Totals, model.count(long)
	acu := 0.0
	if r.ACU != nil {
		acu = *r.ACU
	}
	if r.UV != want.uv || r.PV != want.pv || r.PCU != want.pcu || int64(r.WatchSecondsTotal) != want.watched || acu-want.acu > 1e-9 || want.acu-acu > 1e-9 {
		a.t.Fatalf("the report says UV %d PV %d PCU %d watched %v ACU %v; counted %+v", r.UV, r.PV, r.PCU, r.WatchSecondsTotal, acu, want)
	}
}
