package board_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/duoduopin/duoduopin/engage"
	"github.com/duoduopin/duoduopin/engage/board"
	"github.com/duoduopin/duoduopin/engage/engagetest"
	"github.com/duoduopin/duoduopin/internal/db"
	"github.com/duoduopin/duoduopin/internal/fault"
	"github.com/duoduopin/duoduopin/internal/testshop"
	"github.com/duoduopin/duoduopin/internal/web"
)

func TestMain(m *testing.M) { testshop.Main(m) }

const show = engagetest.Show

func each(t *testing.T, fn func(t *testing.T, town *engagetest.Town, d *db.DB)) {
	t.Helper()
	testshop.EachDB(t, append(engage.Migrations(), board.Migrations()...), func(t *testing.T, d *db.DB) { fn(t, engagetest.New(), d) })
}

// Lines are set, changed and taken away; the room has what stands, once a change, and a fresh process tells it too.
func TestLines(t *testing.T) {
	each(t, func(t *testing.T, town *engagetest.Town, d *db.DB) {
		stage := town.Stage(t, d)
		s := board.New(stage)
		crew := engagetest.As(t.Context(), web.Assistant, 1)
		town.Round(t, stage)
		if e := town.Heard("board"); len(e) != 0 {
			t.Errorf("told of nothing: %+v", e)
		}
		for _, row := range []struct {
			kind            board.Kind
			text            string
			welcome, pinned string
			audit           int
		}{
			{board.Welcome, " 欢迎来到多多品 \n", "欢迎来到多多品", "", 1},
			{board.Pinned, "今晚包邮", "欢迎来到多多品", "今晚包邮", 1},
			{board.Pinned, "今晚包邮", "欢迎来到多多品", "今晚包邮", 0},
			{board.Pinned, "新疆除外", "欢迎来到多多品", "新疆除外", 1},
			{board.Pinned, "", "欢迎来到多多品", "", 1},
			{board.Welcome, "", "", "", 1},
		} {
			b, err := s.Set(crew, show, row.kind, row.text)
			if err != nil || b.Welcome.Text != row.welcome || b.Pinned.Text != row.pinned || len(town.Acts()) != row.audit {
				t.Errorf("%s %q: %+v, %v", row.kind, row.text, b, err)
			}
			town.Round(t, stage)
			for _, e := range town.Heard("board") {
				pinned, _ := e.Data["pinned"].(map[string]any)
				text, _ := pinned["text"].(string)
				if e.Kept || e.Data["welcome"] != row.welcome || text != row.pinned {
					t.Errorf("%s %q: the room has %+v", row.kind, row.text, e)
				}
			}
		}
		if lines, err := s.History(t.Context(), show); err != nil || len(lines) != 3 || lines[1].To.IsZero() {
			t.Errorf("%+v, %v", lines, err)
		}
	})
}

// A notice is in the log as one, too; and after a restart the room is told again what stands, also who comes to an empty room.
func TestPinnedOutlivesRestarts(t *testing.T) {
	each(t, func(t *testing.T, town *engagetest.Town, d *db.DB) {
		first := town.Stage(t, d)
		s := board.New(first)
		if _, err := s.Set(engagetest.As(t.Context(), web.Operator, 1), show, board.Pinned, "今晚包邮"); err != nil {
			t.Fatal(err)
		}
		town.Round(t, first)
		if e := town.Heard("notice"); len(e) != 1 || !e[0].Kept || e[0].Data["pinned"] != true {
			t.Errorf("%+v", e)
		}
		second := town.Stage(t, d)
		board.New(second)
		town.Leave(true)
		town.Round(t, second)
		if e := town.Heard("board"); len(e) != 0 {
			t.Errorf("told an empty room: %+v", e)
		}
		town.Leave(false)
		town.Round(t, second)
		if e := town.Heard("board"); len(e) != 1 {
			t.Errorf("after the restart: %+v", e)
		}
		town.Clock.Advance(13 * time.Hour)
		town.Round(t, second)
		if e := town.Heard("board"); len(e) != 1 {
			t.Errorf("half a day later: %+v", e)
		}
	})
}

func TestWhoMaySet(t *testing.T) {
	each(t, func(t *testing.T, town *engagetest.Town, d *db.DB) {
		s := board.New(town.Stage(t, d))
		crew := engagetest.As(t.Context(), web.Assistant, 1)
		for name, row := range map[string]struct{ err, want error }{
			"a buyer":     {set(s.Set(engagetest.As(t.Context(), web.Buyer, 1), show, board.Welcome, "x")), web.ErrForbidden},
			"a long text": {set(s.Set(crew, show, board.Welcome, strings.Repeat("长", 101))), fault.Bad("", "")},
			"after":       {set(s.Set(crew, engagetest.Ended, board.Welcome, "x")), engage.ErrOver},
			"nowhere":     {set(s.Set(crew, 99, board.Welcome, "x")), fault.Missing("")},
		} {
			if !errors.Is(row.err, row.want) {
				t.Errorf("%s: %v", name, row.err)
			}
		}
	})
}

func set(_ board.Board, err error) error { return err }
