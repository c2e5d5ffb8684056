package questions_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/engage/engagetest"
	"github.com/duoduopin/duoduopin/engage/questions"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

const show = engagetest.Show

type hall struct {
	*engagetest.Town
	*questions.Service
	stage *engage.Stage
	crew  context.Context
}

// OnShelf: product 12 is.
func (h *hall) OnShelf(_ context.Context, _, productID int64) (bool, error) {
	return productID == 12, nil
}

func each(t *testing.T, fn func(t *testing.T, h *hall)) {
	t.Helper()
	testshop.EachDB(t, append(engage.Migrations(), questions.Migrations()...), func(t *testing.T, d *db.DB) {
		h := &hall{Town: engagetest.New(), crew: engagetest.As(t.Context(), web.Anchor, 1)}
		h.stage = h.Stage(t, d)
		h.Service = questions.New(h.stage, h)
		fn(t, h)
	})
}

func buyer(ctx context.Context, n int64) context.Context { return engagetest.As(ctx, web.Buyer, n) }

func (h *hall) ask(t *testing.T, n int64, text string) questions.Question {
	t.Helper()
	q, err := h.Ask(buyer(t.Context(), n), show, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func TestWhoMayAsk(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		for _, row := range []struct {
			name    string
			who     context.Context
			session int64
			text    string
			product int64
			want    error
		}{
			{"a visitor", t.Context(), show, "多长？", 0, web.ErrSignIn},
			{"nothing", buyer(t.Context(), 1), show, " \u200b\n", 0, fault.Bad("", "")},
			{"too much", buyer(t.Context(), 1), show, strings.Repeat("长", 101), 0, fault.Bad("", "")},
			{"about what is not sold here", buyer(t.Context(), 1), show, "多长？", 13, questions.ErrNoProduct},
			{"who is muted", buyer(t.Context(), 666), show, "多长？", 0, engagetest.ErrMuted},
			{"after the end", buyer(t.Context(), 1), engagetest.Ended, "多长？", 0, engage.ErrOver},
			{"nowhere", buyer(t.Context(), 1), 99, "多长？", 0, fault.Missing("")},
			{"about a product", buyer(t.Context(), 1), show, "多长？", 12, nil},
			{"a second one", buyer(t.Context(), 1), show, "多宽？", 0, questions.ErrOpenQuestion},
			{"somebody else", buyer(t.Context(), 2), show, "多宽？", 0, nil},
		} {
			if _, err := h.Ask(row.who, row.session, row.text, row.product); !errors.Is(err, row.want) {
				t.Errorf("%s: %v", row.name, err)
			}
		}
	})
}

// The queue: sorted by votes, shown to the room as it stands, worked off by the crew; the log never has the text.
func TestQueue(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		long, wide, rude, back := h.ask(t, 1, "多长？"), h.ask(t, 2, "多宽？"), h.ask(t, 3, "粗话"), h.ask(t, 4, "算了")
		for _, n := range []int64{3, 4, 5, 5} {
			if _, err := h.Vote(buyer(t.Context(), n), show, wide.ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.Vote(buyer(t.Context(), 2), show, wide.ID); !errors.Is(err, questions.ErrOwn) {
			t.Errorf("one's own: %v", err)
		}
		h.Round(t, h.stage)
		sheet := h.Heard("questions")
		top := sheet[0].Data["top"].([]any)
		if first := top[0].(map[string]any); sheet[0].Data["open"] != 4.0 || len(top) != 3 || first["text"] != "多宽？" || first["votes"] != 3.0 {
			t.Errorf("the room sees %v", sheet)
		}
		_, err1 := h.Answer(h.crew, show, wide.ID)
		_, err2 := h.Dismiss(h.crew, show, rude.ID, "请文明提问")
		_, err3 := h.Withdraw(buyer(t.Context(), 4), show, back.ID)
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		if acts := h.Acts(); !slices.Equal(acts, []string{"question.answered", "question.dismissed"}) {
			t.Errorf("audit %v", acts)
		}
		h.Round(t, h.stage)
		h.Round(t, h.stage)
		var states []string
		for _, e := range h.Heard("question") {
			if _, has := e.Data["text"]; has || !e.Kept {
				t.Errorf("%+v", e)
			}
			states = append(states, e.Data["state"].(string))
		}
		if !slices.Equal(states, []string{"answered", "dismissed", "withdrawn"}) {
			t.Errorf("the room heard %v", states)
		}
		mine, err := h.Mine(buyer(t.Context(), 3), show)
		if err != nil || len(mine) != 1 || mine[0].State != questions.Dismissed || mine[0].Reason != "请文明提问" {
			t.Errorf("the asker sees %+v, %v", mine, err)
		}
		for _, row := range []struct {
			name string
			err  error
			want error
		}{
			{"a vote for what was answered", second(h.Vote(buyer(t.Context(), 9), show, wide.ID)), questions.ErrNotOpen},
			{"answering what was dismissed", second(h.Answer(h.crew, show, rude.ID)), questions.ErrNotOpen},
			{"answering twice", second(h.Answer(h.crew, show, wide.ID)), nil},
			{"withdrawing another's", second(h.Withdraw(buyer(t.Context(), 9), show, long.ID)), fault.Missing("")},
			{"a buyer who answers", second(h.Answer(buyer(t.Context(), 9), show, long.ID)), web.ErrForbidden},
			{"a dismissal without a reason", second(h.Dismiss(h.crew, show, long.ID, " ")), fault.Bad("", "")},
			{"a question that is not there", second(h.Answer(h.crew, show, 999)), fault.Missing("")},
		} {
			if !errors.Is(row.err, row.want) {
				t.Errorf("%s: %v", row.name, row.err)
			}
		}
	})
}

func second(_ questions.Question, err error) error { return err }

func TestWhoSeesWhat(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		open, rude := h.ask(t, 1, "多长？"), h.ask(t, 2, "粗话")
		if _, err := h.Dismiss(h.crew, show, rude.ID, "不"); err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			name   string
			who    context.Context
			filter questions.Filter
			want   []int64
			err    error
		}{
			{"a visitor", t.Context(), questions.Filter{}, []int64{open.ID}, nil},
			{"a visitor who is curious", t.Context(), questions.Filter{State: questions.Dismissed}, nil, web.ErrForbidden},
			{"the crew", h.crew, questions.Filter{}, []int64{rude.ID, open.ID}, nil},
			{"the crew, dismissed ones", h.crew, questions.Filter{State: questions.Dismissed}, []int64{rude.ID}, nil},
		} {
			row.filter.Limit = 10
			list, err := h.List(row.who, show, row.filter)
			var ids []int64
			for _, q := range list {
				ids = append(ids, q.ID)
			}
			if !errors.Is(err, row.err) || !slices.Equal(ids, row.want) {
				t.Errorf("%s: %v, %v", row.name, ids, err)
			}
		}
	})
}

func TestFivePerPerson(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		for range 5 {
			if _, err := h.Answer(h.crew, show, h.ask(t, 1, "多长？").ID); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := h.Ask(buyer(t.Context(), 1), show, "多长？", 0); !errors.Is(err, questions.ErrTooMany) {
			t.Errorf("a sixth: %v", err)
		}
	})
}

// Everybody asks twice and votes twice at once: one open question a person, one vote a person.
func TestInParallel(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		q := h.ask(t, 1, "多长？")
		var all sync.WaitGroup
		for n := range int64(50) {
			for range 2 {
				all.Go(func() {
					_, err := h.Ask(buyer(t.Context(), n+2), show, "我也问", 0)
					if err != nil && !errors.Is(err, questions.ErrOpenQuestion) {
						t.Error(err)
					}
					if _, err := h.Vote(buyer(t.Context(), n+2), show, q.ID); err != nil {
						t.Error(err)
					}
				})
			}
		}
		all.Wait()
		list, err := h.List(t.Context(), show, questions.Filter{Votes: true, Limit: 1000})
		if err != nil || len(list) != 51 || list[0].ID != q.ID || list[0].Votes != 50 {
			t.Errorf("%d questions, the first %+v, %v", len(list), list[0], err)
		}
	})
}

func TestForget(t *testing.T) {
	each(t, func(t *testing.T, h *hall) {
		h.ask(t, 1, "多长？")
		h.ask(t, 2, "多宽？")
		if err := h.Forget(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		facts, err := h.Facts(t.Context(), show)
		if err != nil || facts[0].Text != "" || facts[0].Name != "" || facts[1].Text != "多宽？" {
			t.Errorf("%+v, %v", facts, err)
		}
	})
}
