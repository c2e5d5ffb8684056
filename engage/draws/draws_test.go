package draws_test

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/engage/draws"
	"github.com/duoduopin/duoduopin/engage/engagetest"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

const show = engagetest.Show

type hall struct {
	*engagetest.Town
	*draws.Service
	stage *engage.Stage
	db    *db.DB
	desk  context.Context
	paid  paid
}

// paid has the accounts that have bought.
type paid map[int64]bool

func (p paid) HasPaid(_ context.Context, session, account int64) (bool, error) {
	return session == show && p[account], nil
}

func each(t *testing.T, fn func(t *testing.T, h *hall)) {
	t.Helper()
	testshop.EachDB(t, append(engage.Migrations(), draws.Migrations()...), func(t *testing.T, d *db.DB) {
		fn(t, open(t, engagetest.New(), d))
	})
}

// open gives one process on a database.
func open(t *testing.T, town *engagetest.Town, d *db.DB) *hall {
	h := &hall{Town: town, db: d, paid: paid{}, desk: engagetest.As(t.Context(), web.Operator, 1)}
	h.stage = town.Stage(t, d)
	h.Service = draws.New(h.stage, h.paid)
	return h
}

func (h *hall) terms() draws.Terms {
	now := h.Clock.Now()
	return draws.Terms{Title: "开播福袋", Prize: "沙棘汁一箱", Winners: 3, Who: draws.Accounts, MostEntrants: 1000, OpensAt: now.Add(time.Minute), ClosesAt: now.Add(2 * time.Minute)}
}

func (h *hall) publish(t *testing.T, t0 draws.Terms) draws.Draw {
	t.Helper()
	d, err := h.Publish(h.desk, show, t0)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func buyer(ctx context.Context, n int64) context.Context { return engagetest.As(ctx, web.Buyer, n) }

// The life of a draw: published, entered, drawn, proved by a program that shares no code with it.
func TestLife(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		d := h.publish(t, h.terms())
		if d.Seed != "" || len(d.Commitment) != 64 || !strings.Contains(d.TermsText, "\ncommitment: "+d.Commitment+"\n") {
			t.Fatalf("published %+v", d)
		}
		h.Round(t, h.stage)
		if e := h.Heard("draw"); len(e) != 1 || !e[0].Kept || e[0].Data["state"] != "announced" || e[0].Data["seed"] != nil {
			t.Fatalf("the room heard %+v", e)
		}
		if _, err := h.Enter(buyer(t.Context(), 1), show, d.ID); !errors.Is(err, draws.ErrNotOpen) {
			t.Errorf("too early: %v", err)
		}
		h.Clock.Advance(time.Minute)
		tickets := map[string]bool{}
		for n := range int64(20) {
			ticket, err := h.Enter(buyer(t.Context(), n+1), show, d.ID)
			if err != nil {
				t.Fatal(err)
			}
			tickets[ticket] = true
		}
		again, err := h.Enter(buyer(t.Context(), 1), show, d.ID)
		if err != nil || !tickets[again] || len(tickets) != 20 {
			t.Errorf("entering again: %q, %v; %d tickets", again, err, len(tickets))
		}
		h.Round(t, h.stage)
		sheet := h.Heard("draws")
		if line := sheet[0].Data["draws"].([]any)[0].(map[string]any); line["entrants"] != 20.0 || line["state"] != "open" {
			t.Errorf("the room sees %v", line)
		}
		if _, err := h.Tickets(t.Context(), d); !errors.Is(err, draws.ErrNotDrawn) {
			t.Errorf("a proof before the draw: %v", err)
		}
		h.Clock.Advance(time.Minute)
		if _, err := h.Enter(buyer(t.Context(), 50), show, d.ID); !errors.Is(err, draws.ErrClosed) {
			t.Errorf("too late: %v", err)
		}
		h.Acts()
		h.Round(t, h.stage)
		h.Round(t, h.stage)
		drawn := h.Heard("draw")
		if len(drawn) != 1 || drawn[0].Data["state"] != "drawn" || drawn[0].Data["entrants"] != 20.0 || len(drawn[0].Data["won"].([]any)) != 3 {
			t.Fatalf("the room heard %+v", drawn)
		}
		if acts := h.Acts(); !slices.Equal(acts, []string{"draw.drawn"}) {
			t.Errorf("audit %v", acts)
		}
		d, err = h.Draw(t.Context(), show, d.ID)
		if err != nil || len(d.Won) != 3 || !strings.HasPrefix(d.Won[0].User, "id-a:") {
			t.Fatalf("%+v, %v", d, err)
		}
		h.check(t, d, again)
		h.forge(t, d)
	})
}

// forge lets a loser win in the rows: Rules sees it.
func (h *hall) forge(t *testing.T, d draws.Draw) {
	t.Helper()
	if rules, err := h.Rules(t.Context()); err != nil || !rules[0].Holds() {
		t.Errorf("%+v, %v", rules, err)
	}
	g := h.db.Write(t.Context())
	if err := g.Exec("UPDATE engage_draw_entries SET place = 0 WHERE draw_id = ? AND ticket = ?", d.ID, d.Won[2].Ticket).Error; err != nil {
		t.Fatal(err)
	}
	if rules, err := h.Rules(t.Context()); err != nil || len(rules[0].Broken) != 1 {
		t.Errorf("%+v, %v", rules, err)
	}
}

// check has docs/samples/drawcheck verify a draw, and refuse it when anything in the proof is another.
func (h *hall) check(t *testing.T, d draws.Draw, ticket string) {
	t.Helper()
	tickets, err := h.Tickets(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	proof := map[string]any{
		"rule": draws.RuleName, "terms": d.TermsText, "terms_hash": d.Digest, "commitment": d.Commitment, "seed": d.Seed,
		"entrants": tickets, "entrants_hash": d.EntrantsHash, "winners": []string{d.Won[0].Ticket, d.Won[1].Ticket, d.Won[2].Ticket},
	}
	bin := filepath.Join(t.TempDir(), "drawcheck")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../../docs/samples/drawcheck").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	run := func(p map[string]any, tickets ...string) error {
		raw, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), bin, tickets...)
		cmd.Stdin = strings.NewReader(string(raw))
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	}
	if err := run(proof, ticket); err != nil {
		t.Errorf("a true proof was refused: %v", err)
	}
	if run(proof, "nobody") == nil {
		t.Error("a stranger's ticket was found")
	}
	for field, other := range map[string]any{
		"winners": []string{d.Won[1].Ticket, d.Won[0].Ticket, d.Won[2].Ticket}, "seed": strings.Repeat("0", 64), "terms": strings.Replace(d.TermsText, "winners: 3", "winners: 2", 1),
		"entrants": tickets[1:], "commitment": strings.Repeat("0", 64), "entrants_hash": strings.Repeat("0", 64), "rule": "first-come",
	} {
		forged := map[string]any{}
		for k, v := range proof {
			forged[k] = v
		}
		forged[field] = other
		if run(forged) == nil {
			t.Errorf("a proof with another %s was believed", field)
		}
	}
}

func TestWhoMayEnter(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		terms := h.terms()
		terms.Who, terms.MostEntrants = draws.Buyers, 3
		d := h.publish(t, terms)
		h.Clock.Advance(time.Minute)
		for _, n := range []int64{1, 2, 3, 4} {
			h.paid[n] = true
		}
		for _, row := range []struct {
			name string
			who  context.Context
			id   int64
			want error
		}{
			{"a visitor", t.Context(), d.ID, web.ErrSignIn},
			{"who has bought nothing", buyer(t.Context(), 9), d.ID, draws.ErrBuyers},
			{"an anchor", engagetest.As(t.Context(), web.Anchor, 1), d.ID, draws.ErrCrew},
			{"the desk", h.desk, d.ID, draws.ErrCrew},
			{"a draw that is not there", buyer(t.Context(), 1), 999, fault.Missing("")},
			{"the first", buyer(t.Context(), 1), d.ID, nil},
			{"the second", buyer(t.Context(), 2), d.ID, nil},
			{"the third", buyer(t.Context(), 3), d.ID, nil},
			{"the fourth", buyer(t.Context(), 4), d.ID, draws.ErrFull},
			{"the first again", buyer(t.Context(), 1), d.ID, nil},
		} {
			if _, err := h.Enter(row.who, show, row.id); !errors.Is(err, row.want) {
				t.Errorf("%s: %v", row.name, err)
			}
		}
	})
}

func TestTermsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		for field, change := range map[string]func(*draws.Terms){
			"title":         func(t *draws.Terms) { t.Title = " \n" },
			"prize":         func(t *draws.Terms) { t.Prize = strings.Repeat("长", 121) },
			"winners":       func(t *draws.Terms) { t.Winners = 101 },
			"who":           func(t *draws.Terms) { t.Who = "friends" },
			"most_entrants": func(t *draws.Terms) { t.MostEntrants = 2 },
			"opens_at":      func(t *draws.Terms) { t.OpensAt = engagetest.Evening().Add(time.Second) },
			"closes_at":     func(t *draws.Terms) { t.ClosesAt = t.OpensAt },
		} {
			terms := h.terms()
			change(&terms)
			var f *fault.Error
			if _, err := h.Publish(h.desk, show, terms); !errors.As(err, &f) || f.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := h.Publish(buyer(t.Context(), 1), show, h.terms()); !errors.Is(err, web.ErrForbidden) {
			t.Errorf("a buyer published: %v", err)
		}
		if _, err := h.Publish(h.desk, engagetest.Ended, h.terms()); !errors.Is(err, engage.ErrOver) {
			t.Errorf("after the end: %v", err)
		}
		for range 5 {
			h.publish(t, h.terms())
		}
		if _, err := h.Publish(h.desk, show, h.terms()); !errors.Is(err, draws.ErrTooMany) {
			t.Errorf("a sixth: %v", err)
		}
	})
}

// A line break in a title must not write another term.
func TestTermsCantBeForged(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		terms := h.terms()
		terms.Title = "福袋\nwinners: 99"
		d := h.publish(t, terms)
		if strings.Count(d.TermsText, "\nwinners: ") != 1 {
			t.Error(d.TermsText)
		}
	})
}

func TestCancelOnlyBeforeEntries(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		early, late := h.publish(t, h.terms()), h.publish(t, h.terms())
		d, err := h.Cancel(h.desk, show, early.ID, "奖品没到")
		if err != nil || d.State(h.Clock.Now()) != draws.Cancelled || d.Seed != "" {
			t.Errorf("%+v, %v", d, err)
		}
		h.Clock.Advance(time.Minute)
		if _, err := h.Cancel(h.desk, show, late.ID, "后悔了"); !errors.Is(err, draws.ErrBegun) {
			t.Errorf("after entries began: %v", err)
		}
		if _, err := h.Enter(buyer(t.Context(), 1), show, early.ID); !errors.Is(err, draws.ErrClosed) {
			t.Errorf("entering a cancelled draw: %v", err)
		}
		h.Clock.Advance(time.Hour)
		h.Round(t, h.stage)
		if d, err = h.Draw(t.Context(), show, early.ID); err != nil || !d.DrawnAt.IsZero() {
			t.Errorf("a cancelled draw took place: %+v, %v", d, err)
		}
	})
}

// Nobody entered, or fewer than there are prizes: it takes place nevertheless.
func TestFewEntrants(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		none, two := h.publish(t, h.terms()), h.publish(t, h.terms())
		h.Clock.Advance(time.Minute)
		for n := range int64(2) {
			if _, err := h.Enter(buyer(t.Context(), n+1), show, two.ID); err != nil {
				t.Fatal(err)
			}
		}
		h.Clock.Advance(time.Minute)
		h.Round(t, h.stage)
		for id, want := range map[int64]int{none.ID: 0, two.ID: 2} {
			d, err := h.Draw(t.Context(), show, id)
			if err != nil || len(d.Won) != want || d.DrawnAt.IsZero() {
				t.Errorf("%d winners wanted: %+v, %v", want, d, err)
			}
		}
	})
}

// The server was down when the time came; two processes come up. The draw takes place once, and the room hears of it once, though
// the room itself could not be reached at first.
func TestTwoProcessesDrawOnce(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		d := h.publish(t, h.terms())
		h.Clock.Advance(time.Minute)
		for n := range int64(30) {
			if _, err := h.Enter(buyer(t.Context(), n+1), show, d.ID); err != nil {
				t.Fatal(err)
			}
		}
		h.Round(t, h.stage)
		h.Heard("draw")
		h.Acts()
		h.Clock.Advance(time.Hour)
		h.Break(true)
		nodes := []*hall{open(t, h.Town, h.db), open(t, h.Town, h.db), open(t, h.Town, h.db)}
		for range 3 {
			var all sync.WaitGroup
			for _, n := range nodes {
				all.Go(func() { _ = n.stage.Round(t.Context()) }) // the room is away
			}
			all.Wait()
		}
		if acts := h.Acts(); !slices.Equal(acts, []string{"draw.drawn"}) {
			t.Errorf("audit %v", acts)
		}
		h.Break(false)
		h.Clock.Advance(time.Minute)
		for _, n := range nodes {
			h.Round(t, n.stage)
		}
		if e := h.Heard("draw"); len(e) != 1 {
			t.Errorf("the room heard of it %d times", len(e))
		}
	})
}

// A thousand enter at once over two processes, each of them twice: each is in once, and nobody beyond the bound.
func TestThousandEnterAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		terms := h.terms()
		terms.MostEntrants = 900
		d := h.publish(t, terms)
		h.Clock.Advance(time.Minute)
		nodes := []*hall{h, open(t, h.Town, h.db)}
		var mu sync.Mutex
		got, full := map[int64]map[string]bool{}, 0
		var all sync.WaitGroup
		for n := range int64(1000) {
			for _, node := range nodes {
				all.Go(func() {
					ticket, err := node.Enter(buyer(t.Context(), n+1), show, d.ID)
					mu.Lock()
					defer mu.Unlock()
					switch {
					case errors.Is(err, draws.ErrFull):
						full++
					case err != nil:
						t.Error(err)
					case got[n] == nil:
						got[n] = map[string]bool{ticket: true}
					default:
						got[n][ticket] = true
					}
				})
			}
		}
		all.Wait()
		if len(got) != 900 || full < 100 {
			t.Errorf("%d are in, %d were refused", len(got), full)
		}
		for n, tickets := range got {
			if len(tickets) != 1 {
				t.Errorf("%d has the tickets %v", n, tickets)
			}
		}
		if d, err := h.Draw(t.Context(), show, d.ID); err != nil || d.Entrants != 900 {
			t.Errorf("%d entrants, %v", d.Entrants, err)
		}
	})
}

// The rule, for random lists: it is a function of seed and list, whatever order the list comes in; nobody wins twice; as many win
// as there are prizes; a longer list of prizes only adds winners.
func TestRule(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.SliceOfN(rapid.Byte(), draws.SeedSize, draws.SeedSize).Draw(t, "seed")
		tickets := rapid.SliceOfDistinct(rapid.StringMatching(`[0-9a-f]{32}`), func(s string) string { return s }).Draw(t, "tickets")
		n := rapid.IntRange(0, 10).Draw(t, "winners")
		won := draws.Pick(seed, tickets, n)
		shuffled := rapid.Permutation(tickets).Draw(t, "shuffled")
		if again := draws.Pick(seed, shuffled, n); !slices.Equal(won, again) || draws.ListHash(tickets) != draws.ListHash(shuffled) {
			t.Fatalf("%v, then %v", won, again)
		}
		if len(won) != min(n, len(tickets)) {
			t.Fatalf("%d of %d won, %d prizes", len(won), len(tickets), n)
		}
		seen := map[string]bool{}
		for _, w := range won {
			if seen[w] || !slices.Contains(tickets, w) {
				t.Fatalf("winner %q", w)
			}
			seen[w] = true
		}
		if more := draws.Pick(seed, tickets, n+1); !slices.Equal(more[:len(won)], won) {
			t.Fatalf("%v with one prize more: %v", won, more)
		}
	})
}

// Over many seeds everybody wins equally often, in each place: chi-squared against uniform, at a bound that a fair rule passes
// but once in ten thousand lists; the seeds are fixed, so the test is deterministic.
func TestRuleIsFair(t *testing.T) {
	const people, prizes, rounds = 20, 3, 6_000
	tickets := make([]string, people)
	for i := range tickets {
		tickets[i] = fmt.Sprintf("%032x", i*7919)
	}
	var first, any [people]float64
	for r := range rounds {
		seed := make([]byte, draws.SeedSize)
		copy(seed, fmt.Sprintf("%020d", r))
		for place, w := range draws.Pick(seed, tickets, prizes) {
			i := slices.Index(tickets, w)
			any[i]++
			if place == 0 {
				first[i]++
			}
		}
	}
	chi := func(seen [people]float64, want float64) (sum float64) {
		for _, n := range seen {
			sum += (n - want) * (n - want) / want
		}
		return sum
	}
	const bound = 50.8 // 19 degrees of freedom, p = 0.0001
	if c := chi(first, rounds/people); c > bound {
		t.Errorf("first prizes: chi-squared %.1f, %v", c, first)
	}
	if c := chi(any, rounds*prizes/people); c > bound {
		t.Errorf("all prizes: chi-squared %.1f, %v", c, any)
	}
}

// A known answer, so that the rule can't change by accident: the sample program and the documents rest on it.
func TestRuleKnownAnswer(t *testing.T) {
	seed, err := hex.DecodeString(strings.Repeat("0b", 32))
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(draws.Pick(seed, []string{"aa", "bb", "cc", "dd", "ee"}, 2), " ") + " " + draws.ListHash([]string{"ee", "dd", "cc", "bb", "aa"})[:16] + " " + draws.Commit(seed)[:16]
	if got != "bb ee 7030439215a881b4 f0e38b830ebd8a50" { // computed with Python's hashlib and hmac
		t.Error(got)
	}
}
