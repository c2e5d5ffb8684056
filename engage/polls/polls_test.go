package polls_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/engage/engagetest"
	"github.com/duoduopin/duoduopin/engage/polls"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

const show = engagetest.Show

type hall struct {
	*engagetest.Town
	*polls.Service
	stage *engage.Stage
	db    *db.DB
	crew  context.Context
}

func each(t *testing.T, fn func(t *testing.T, h *hall)) {
	t.Helper()
	testshop.EachDB(t, append(engage.Migrations(), polls.Migrations()...), func(t *testing.T, d *db.DB) { fn(t, open(t, engagetest.New(), d)) })
}

func open(t *testing.T, town *engagetest.Town, d *db.DB) *hall {
	h := &hall{Town: town, db: d, crew: engagetest.As(t.Context(), web.Anchor, 1), stage: town.Stage(t, d)}
	h.Service = polls.New(h.stage)
	return h
}

func (h *hall) ask(t *testing.T) polls.Poll {
	t.Helper()
	p, err := h.Open(h.crew, show, "先讲哪一个？", []string{"羊绒围巾", "沙棘汁", "酸杏"}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func buyer(ctx context.Context, n int64) context.Context { return engagetest.As(ctx, web.Buyer, n) }

func TestLife(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		p := h.ask(t)
		h.Round(t, h.stage)
		if e := h.Heard("poll"); len(e) != 1 || !e[0].Kept || e[0].Data["state"] != "open" {
			t.Fatalf("the room heard %+v", e)
		}
		if _, err := h.Open(h.crew, show, "再来？", []string{"好", "不好"}, time.Minute); !errors.Is(err, polls.ErrOpenPoll) {
			t.Errorf("a second poll: %v", err)
		}
		for _, row := range []struct {
			name   string
			who    context.Context
			poll   int64
			option int
			want   error
		}{
			{"a visitor", t.Context(), p.ID, 0, web.ErrSignIn},
			{"one", buyer(t.Context(), 1), p.ID, 2, nil},
			{"the same again", buyer(t.Context(), 1), p.ID, 2, nil},
			{"another answer", buyer(t.Context(), 1), p.ID, 0, polls.ErrVoted},
			{"no such answer", buyer(t.Context(), 2), p.ID, 3, fault.Bad("", "")},
			{"no such poll", buyer(t.Context(), 2), 999, 0, fault.Missing("")},
			{"two", buyer(t.Context(), 2), p.ID, 1, nil},
		} {
			if err := h.Vote(row.who, show, row.poll, row.option); !errors.Is(err, row.want) {
				t.Errorf("%s: %v", row.name, err)
			}
		}
		closed, err := h.Close(h.crew, show, p.ID)
		if err != nil || closed.Options[1].Votes != 1 || closed.Options[2].Votes != 1 {
			t.Errorf("%+v, %v", closed, err)
		}
		if err := h.Vote(buyer(t.Context(), 3), show, p.ID, 0); !errors.Is(err, polls.ErrClosed) {
			t.Errorf("after the end: %v", err)
		}
		if _, err := h.Close(h.crew, show, p.ID); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		h.Round(t, h.stage)
		if e := h.Heard("poll"); len(e) != 1 || e[0].Data["state"] != "closed" || e[0].Data["total"] != 2.0 {
			t.Errorf("the room heard %+v", e)
		}
		facts, err := h.Facts(t.Context(), show)
		if err != nil || len(facts) != 2 || facts[0].AccountID != 1 {
			t.Errorf("%+v, %v", facts, err)
		}
		list, err := h.List(t.Context(), show, 0, 10)
		chosen, err2 := h.Chosen(t.Context(), 2, list)
		if err != nil || err2 != nil || len(list) != 1 || chosen[p.ID] != 1 {
			t.Errorf("%+v, %v; %v, %v", list, err, chosen, err2)
		}
	})
}

// A thousand vote at once over two processes, many of them twice, while rounds go on: counted exactly, told once a second at most.
func TestThousandVoteAtOnce(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		p := h.ask(t)
		h.Round(t, h.stage)
		h.Heard("")
		nodes := []*hall{h, open(t, h.Town, h.db)}
		var all sync.WaitGroup
		for n := range int64(1000) {
			for _, node := range nodes {
				all.Go(func() {
					if err := node.Vote(buyer(t.Context(), n+1), show, p.ID, int(n%3)); err != nil {
						t.Error(err)
					}
				})
			}
		}
		for range 5 { // the clock stands: a second passes only below
			for _, node := range nodes {
				if err := node.stage.Round(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
		all.Wait()
		if e := h.Heard("poll_counts"); len(e) != 0 {
			t.Errorf("told %d times within the second", len(e))
		}
		h.Round(t, h.stage)
		e := h.Heard("poll_counts")
		if len(e) != 1 || e[0].Kept || e[0].Data["total"] != 1000.0 {
			t.Fatalf("the room heard %+v", e)
		}
		if o := e[0].Data["options"].([]any)[0].(map[string]any); o["votes"] != 334.0 {
			t.Errorf("%v", o)
		}
		h.Round(t, h.stage)
		if e := h.Heard("poll_counts"); len(e) != 0 {
			t.Errorf("told again without a change: %+v", e)
		}
	})
}

// Rules sees a count that is not its ballots.
func TestRules(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		p := h.ask(t)
		if err := h.Vote(buyer(t.Context(), 1), show, p.ID, 1); err != nil {
			t.Fatal(err)
		}
		if rules, err := h.Rules(t.Context()); err != nil || len(rules) != 1 || !rules[0].Holds() {
			t.Errorf("%+v, %v", rules, err)
		}
		if err := h.db.Write(t.Context()).Exec("UPDATE engage_poll_options SET votes = 2 WHERE position = 1").Error; err != nil {
			t.Fatal(err)
		}
		if rules, err := h.Rules(t.Context()); err != nil || len(rules[0].Broken) != 1 || rules[0].Broken[0].Off != 1 {
			t.Errorf("%+v, %v", rules, err)
		}
	})
}

// Votes that come while the poll is being closed are in the final count or refused.
func TestVotesAroundTheEnd(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		p := h.ask(t)
		other := open(t, h.Town, h.db)
		var taken int64
		var mu sync.Mutex
		var all sync.WaitGroup
		for n := range int64(200) {
			all.Go(func() {
				switch err := h.Vote(buyer(t.Context(), n+1), show, p.ID, 0); {
				case err == nil:
					mu.Lock()
					taken++
					mu.Unlock()
				case !errors.Is(err, polls.ErrClosed):
					t.Error(err)
				}
			})
		}
		closed, err := other.Close(other.crew, show, p.ID)
		all.Wait()
		if err != nil || closed.Options[0].Votes != taken {
			t.Errorf("%d votes were taken, %d counted: %v", taken, closed.Options[0].Votes, err)
		}
	})
}

// A poll closes by itself, also when the server was down then; the result stands a while and then no more.
func TestClosesByItself(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.ask(t)
		h.Round(t, h.stage)
		h.Heard("")
		h.Clock.Advance(time.Hour)
		again := open(t, h.Town, h.db)
		h.Round(t, again.stage)
		h.Round(t, h.stage)
		if e := h.Heard("poll"); len(e) != 1 || e[0].Data["state"] != "closed" {
			t.Errorf("the room heard %+v", e)
		}
		h.Clock.Advance(time.Hour)
		h.Round(t, again.stage)
		if e := h.Heard("poll_counts"); len(e) != 1 || len(e[0].Data) != 0 {
			t.Errorf("the sheet is not empty: %+v", e)
		}
		if _, err := h.Open(h.crew, show, "再来？", []string{"好", "不好"}, time.Minute); err != nil {
			t.Errorf("the next poll: %v", err)
		}
	})
}

func TestQuestionsAreBounded(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		for field, ask := range map[string]struct {
			question string
			options  []string
			length   time.Duration
		}{
			"question":   {" ", []string{"a", "b"}, time.Minute},
			"options":    {"?", []string{"a"}, time.Minute},
			"options[1]": {"?", []string{"a", " a "}, time.Minute},
			"seconds":    {"?", []string{"a", "b"}, time.Second},
		} {
			var f *fault.Error
			if _, err := h.Open(h.crew, show, ask.question, ask.options, ask.length); !errors.As(err, &f) || f.Field != field {
				t.Errorf("%s: %v", field, err)
			}
		}
		if _, err := h.Open(buyer(t.Context(), 1), show, "?", []string{"a", "b"}, time.Minute); !errors.Is(err, web.ErrForbidden) {
			t.Errorf("a buyer: %v", err)
		}
		if _, err := h.Open(h.crew, engagetest.Ended, "?", []string{"a", "b"}, time.Minute); !errors.Is(err, engage.ErrOver) {
			t.Errorf("after the end: %v", err)
		}
	})
}
